/* Sleep and wake without lost wakeups; the argument is in the header.
 *
 * Edges, all sequentially consistent:
 *   E1 -> E2  word: the announcement comes before the waiter's second look at
 *             its condition; the notifier's change of the condition comes
 *             before its look at the word.
 *   E3 -> E4  word: the epoch moves before FUTEX_WAKE, and FUTEX_WAIT compares
 *             it (the kernel orders the two), so a waiter with an old ticket
 *             either does not fall asleep or is woken. */
#include "ring/eventcount.h"

#include <limits.h>

#include "platform/check.h"
#include "platform/futex.h"

#define CONC_EVENTCOUNT_WAITING UINT32_C(1)
#define CONC_EVENTCOUNT_EPOCH UINT32_C(2)

uint32_t
conc_eventcount_announce(struct conc_eventcount *ec)
{
    /* E1, pairs with E2 in conc_eventcount_notify_shared */
    uint32_t ticket = conc_fetch_or_sc(&ec->word, CONC_EVENTCOUNT_WAITING);
    CONC_CRASH_POINT("eventcount.announced");
    return ticket | CONC_EVENTCOUNT_WAITING;
}

int
conc_eventcount_wait_shared(struct conc_eventcount *ec, uint32_t ticket,
                            int64_t deadline_ns)
{
    /* E4, pairs with E3.  A waiter that is held up between announcement and
     * futex for exactly 2^31 notifications, each with a bit set anew, would
     * mistake the epoch for its own: that takes minutes of system calls, and
     * the next notification wakes it. */
    return conc_futex_wait_shared(&ec->word, ticket, deadline_ns);
}

int
conc_eventcount_notify_shared(struct conc_eventcount *ec)
{
    uint32_t word = conc_load_sc(&ec->word); /* E2, pairs with E1 */
    if (CONC_LIKELY((word & CONC_EVENTCOUNT_WAITING) == 0)) {
        return 0;
    }
    uint32_t moved = (word + CONC_EVENTCOUNT_EPOCH) & ~CONC_EVENTCOUNT_WAITING;
    if (!conc_cas_sc(&ec->word, &word, moved)) { /* E3, pairs with E4 */
        /* Somebody else moved the epoch after our look, and wakes all who had
         * announced until then.  Who announced later looks at the condition
         * after our change of it. */
        return 0;
    }
    CONC_CRASH_POINT("eventcount.moved");
    conc_futex_wake_shared(&ec->word, INT_MAX);
    CONC_CRASH_POINT("eventcount.woken");
    return 1;
}

void
conc_eventcount_wake_all_shared(struct conc_eventcount *ec)
{
    /* The bit stays as it is: at worst set with nobody asleep. */
    conc_fetch_add_sc(&ec->word, CONC_EVENTCOUNT_EPOCH); /* E3, with E4 */
    CONC_CRASH_POINT("eventcount.moved");
    conc_futex_wake_shared(&ec->word, INT_MAX);
    CONC_CRASH_POINT("eventcount.woken");
}
