/* How many CPUs this process may really use. */
#ifndef CONC_PLATFORM_CPUS_H
#define CONC_PLATFORM_CPUS_H

/* min(affinity, ceil(CPU quota of our cgroup and its ancestors)), at least
 * 1.  Reads files: call it once per pool, not per task. */
int conc_cpus_usable(void);

#endif
