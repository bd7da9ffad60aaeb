/* FUTEX_WAIT_BITSET and not FUTEX_WAIT, because only the former takes an
 * absolute deadline. */
#include "platform/futex.h"

#include "platform/check.h"
#include "platform/clock.h"
#include "platform/status.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int
futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns,
           int flags)
{
    struct timespec deadline;
    struct timespec *limit = NULL;
    if (deadline_ns != CONC_NEVER) {
        /* The kernel would put us to sleep before it notices that the
         * deadline has passed, and it refuses a negative one. */
        if (deadline_ns <= conc_clock_now_ns()) {
            /* Relaxed: the caller looks again before it acts. */
            return conc_load_rlx(word) == expected ? CONC_TIMEOUT : CONC_OK;
        }
        deadline.tv_sec = (time_t)(deadline_ns / 1000000000);
        deadline.tv_nsec = (long)(deadline_ns % 1000000000);
        limit = &deadline;
    }
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET | flags, expected, limit,
                NULL, FUTEX_BITSET_MATCH_ANY) == 0) {
        return CONC_OK;
    }
    switch (errno) {
    case EINTR:
        return CONC_INTR;
    case ETIMEDOUT:
        return CONC_TIMEOUT;
    default:
        CONC_ASSERT(errno == EAGAIN);
        return CONC_OK;
    }
}

static int
futex_wake(_Atomic uint32_t *word, int count, int flags)
{
    long woken =
        syscall(SYS_futex, word, FUTEX_WAKE | flags, count, NULL, NULL, 0);
    CONC_ASSERT(woken >= 0);
    return woken > 0 ? (int)woken : 0;
}

int
conc_futex_wait_shared(_Atomic uint32_t *word, uint32_t expected,
                       int64_t deadline_ns)
{
    return futex_wait(word, expected, deadline_ns, 0);
}

int
conc_futex_wait_private(_Atomic uint32_t *word, uint32_t expected,
                        int64_t deadline_ns)
{
    return futex_wait(word, expected, deadline_ns, FUTEX_PRIVATE_FLAG);
}

int
conc_futex_wake_shared(_Atomic uint32_t *word, int count)
{
    return futex_wake(word, count, 0);
}

int
conc_futex_wake_private(_Atomic uint32_t *word, int count)
{
    return futex_wake(word, count, FUTEX_PRIVATE_FLAG);
}
