"""Run every theme: python benchmarks [--help]."""

import bench_launch
import bench_native
import bench_primitives
import bench_process_pool
import bench_resources
import bench_scaling
import bench_scheduler
import bench_thread_pool
import bench_transfer
import harness

if __name__ == "__main__":
    harness.main(
        {
            "process_pool": bench_process_pool.cases(),
            "thread_pool": bench_thread_pool.cases(),
            "primitives": bench_primitives.cases(),
            "native": bench_native.cases(),
            "scheduler": bench_scheduler.cases(),
            "transfer": bench_transfer.cases(),
            "scaling": bench_scaling.cases(),
            "resources": bench_resources.cases(),
            "launch": bench_launch.cases(),
        }
    )
