/* Counting forks, so that an object can tell cheaply whether it is still in
 * the process that made it (getpid is a system call). */
#ifndef CONC_PLATFORM_FORKS_H
#define CONC_PLATFORM_FORKS_H

#include <stdint.h>

/* Start counting in this process; idempotent, thread-safe.  CONC_OK or
 * CONC_NOMEM. */
int conc_forks_watch(void);

/* How many forks lie between the first conc_forks_watch and this process. */
uint32_t conc_forks_count(void);

/* A number of this thread's own: unlike the kernel's and pthread's it is never
 * used again, not in a child either. */
uint64_t conc_thread_serial(void);

/* That of the thread that forked this process off, the only one that came
 * along; 0: none did. */
uint64_t conc_forks_survivor(void);

#endif
