/* Monotonic time.  Everything that waits takes an absolute deadline in
 * nanoseconds of CLOCK_MONOTONIC, so that interrupted waits need no
 * arithmetic and the wall clock cannot move them. */
#ifndef CONC_PLATFORM_CLOCK_H
#define CONC_PLATFORM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CONC_NEVER INT64_MAX

int64_t conc_clock_now_ns(void);

/* The same, some milliseconds late, for a tenth of the price. */
int64_t conc_clock_coarse_ns(void);

/* now + timeout_ns, CONC_NEVER where that exceeds the range; a negative
 * timeout counts as zero. */
int64_t conc_deadline_after(int64_t timeout_ns);

/* Whether sleeps of this thread, and of those that it starts, end on time: the
 * kernel may end others up to 50 us late, to wake several at once. */
void conc_clock_set_precise(bool precise);

#endif
