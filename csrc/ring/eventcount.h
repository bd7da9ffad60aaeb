/* Sleep and wake without lost wakeups; nobody else pairs a flag with a
 * futex.
 *
 * One 32-bit word: bit 0 says that somebody may be asleep, the rest is the
 * epoch.  The waiter announces itself (sets bit 0, learns the word), looks
 * once more at the condition, and sleeps while the word is unchanged.  The
 * other side makes the condition true and then looks at the word: without
 * bit 0 there is nothing to do; with it, it moves the epoch, clears the bit
 * and wakes everybody.
 *
 * Why nothing is lost: announcing and notifying are both sequentially
 * consistent, as are the accesses to the condition on either side of them.
 * Either the waiter's second look comes after the change of the condition
 * and sees it, or the notifier's look at the word comes after the
 * announcement, sees the bit and moves the epoch, on which the futex refuses
 * to sleep or wakes.
 *
 * In which direction it may be wrong: the bit may be set with nobody asleep
 * (one wasted wake); it is never clear while somebody sleeps on the current
 * epoch.
 *
 * Death.  A waiter that dies leaves the bit set: one wasted wake.  A
 * notifier that dies between the change and the wake leaves sleepers
 * behind: whoever learns of the death calls conc_eventcount_wake_all. */
#ifndef CONC_RING_EVENTCOUNT_H
#define CONC_RING_EVENTCOUNT_H

#include <stdint.h>

#include "platform/atomics.h"

struct conc_eventcount { /* zeroed memory is valid */
    _Atomic uint32_t word;
};

/* Announce that the caller may sleep; returns the ticket for _wait.  The
 * caller looks at its condition again between the two. */
uint32_t conc_eventcount_announce(struct conc_eventcount *ec);

/* Sleep until notified after the announcement.  CONC_OK (or spurious),
 * CONC_TIMEOUT, CONC_INTR.  Leaving early needs no call. */
int conc_eventcount_wait_shared(struct conc_eventcount *ec, uint32_t ticket,
                                int64_t deadline_ns);

/* After the condition became true (by a sequentially consistent write or
 * read-modify-write): wake all who announced.  One load if nobody did.
 * Returns 1 if a system call was made. */
int conc_eventcount_notify_shared(struct conc_eventcount *ec);

/* Move the epoch and wake, whatever the bit says: after a death. */
void conc_eventcount_wake_all_shared(struct conc_eventcount *ec);

#endif
