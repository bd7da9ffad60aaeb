#include "platform/cpus.h"

#include "platform/cgroup.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* Room for 65536 CPUs, eight times what a kernel can be built for: the
 * system call refuses a set smaller than the machine. */
#define CPU_SETS 64

static int
cpus_affinity(void)
{
    cpu_set_t sets[CPU_SETS];
    if (sched_getaffinity(0, sizeof sets, sets) == 0) {
        return CPU_COUNT_S(sizeof sets, sets);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < INT_MAX ? (int)online : 1;
}

static void
visit_quota(int version, const char *directory, void *context)
{
    int *cpus = context;
    uint64_t quota;
    uint64_t period;
    if (version == 2) {
        char text[64];
        if (!conc_cgroup_read(directory, "cpu.max", text, sizeof text) ||
            sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2) {
            return; /* "max": no quota */
        }
    }
    else if (!conc_cgroup_read_number(directory, "cpu.cfs_quota_us", &quota) ||
             !conc_cgroup_read_number(directory, "cpu.cfs_period_us",
                                      &period)) {
        return;
    }
    if (quota == 0 || period == 0) {
        return;
    }
    uint64_t usable = quota / period + (quota % period != 0);
    if (usable < (uint64_t)*cpus) {
        *cpus = (int)usable;
    }
}

int
conc_cpus_usable(void)
{
    int cpus = cpus_affinity();
    conc_cgroup_walk("cpu", visit_quota, &cpus);
    return cpus > 1 ? cpus : 1;
}

int
conc_cpu_now(void)
{
    return sched_getcpu();
}
