/* The end of a process ends those that depend on it, also in the middle of
 * a busy loop and without a thread of their own.
 *
 * The owner keeps the only write end of a pipe.  Each dependent opens the
 * read end anew, which gives it a file description of its own, and asks the
 * kernel for SIGKILL when something happens there.  All that can happen is
 * end-of-file. */
#ifndef CONC_PLATFORM_LIFELINE_H
#define CONC_PLATFORM_LIFELINE_H

/* CONC_OK with both ends (own, close-on-exec), else CONC_SYSTEM. */
int conc_lifeline_open(int *read_fd, int *write_fd);

/* In the dependent: arm SIGKILL on the end-of-file of the pipe whose read
 * end is `read_fd`; the new description lives in *armed_fd (owns) and must
 * stay open.  If the owner is gone already the process is killed at once.
 * CONC_OK, CONC_SYSTEM (errno). */
int conc_lifeline_arm(int read_fd, int *armed_fd);

#endif
