/* How many CPUs this process may really use. */
#ifndef CONC_PLATFORM_CPUS_H
#define CONC_PLATFORM_CPUS_H

/* min(affinity, ceil(CPU quota of our cgroup and its ancestors)), at least
 * 1.  Reads files: call it once per pool, not per task. */
int conc_cpus_usable(void);

/* The CPU on which this thread runs right now: a hint.  Some nanoseconds; a
 * negative number if it cannot be told. */
int conc_cpu_now(void);

#endif
