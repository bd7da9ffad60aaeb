#include "platform/clock.h"

#include <sys/prctl.h>
#include <time.h>

int64_t
conc_clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
conc_clock_coarse_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
conc_deadline_after(int64_t timeout_ns)
{
    int64_t now = conc_clock_now_ns();
    if (timeout_ns <= 0) {
        return now;
    }
    return timeout_ns < CONC_NEVER - now ? now + timeout_ns : CONC_NEVER;
}

void
conc_clock_set_precise(bool precise)
{
    /* 0 is the value that the thread began with.  A sandbox may refuse; then
     * it stays as it is. */
    (void)prctl(PR_SET_TIMERSLACK, precise ? 1UL : 0UL, 0UL, 0UL, 0UL);
}
