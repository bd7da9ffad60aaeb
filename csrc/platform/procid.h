/* Who a process is, and whether it lives. */
#ifndef CONC_PLATFORM_PROCID_H
#define CONC_PLATFORM_PROCID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor (close-on-exec, owns) that becomes readable when `pid` ends.
 * CONC_OK, or CONC_SYSTEM with errno (ESRCH: gone and reaped). */
int conc_pidfd_open(pid_t pid, int *fd);

/* Whether the process behind a pidfd has ended; a zombie has.  Works also
 * when SIGCHLD is ignored or somebody else reaped it. */
bool conc_pidfd_ended(int fd);

/* Send a signal to exactly that process.  CONC_OK, CONC_SYSTEM. */
int conc_pidfd_signal(int fd, int signal_number);

/* Start time of a process in clock ticks since boot (field 22 of
 * /proc/PID/stat), 0 if it cannot be read. */
uint64_t conc_process_start_time(pid_t pid);

#endif
