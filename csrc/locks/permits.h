/* Permits that threads take, waiting for them, and give back: what semaphores
 * and locks are made of.  Everything here is protected by the GIL. */
#ifndef PYCONC_LOCKS_PERMITS_H
#define PYCONC_LOCKS_PERMITS_H

#include "locks/waitlist.h"

struct pyconc_permits {
    struct pyconc_waitlist waiting; /* for a chance */
    Py_ssize_t available;
};

int pyconc_permits_wait(struct pyconc_permits *permits, int64_t deadline_ns);

/* Whether somebody who may wait gets a permit at once. */
static inline int
pyconc_permits_are_free(const struct pyconc_permits *permits)
{
    return permits->available > 0 && permits->waiting.hungry == 0;
}

/* Take a permit.  1 with it, 0 without: the deadline has passed; -1: a signal
 * handler raised.  GIL: may be released inside; runs signal handlers then. */
static inline int
pyconc_permits_take(struct pyconc_permits *permits, int64_t deadline_ns)
{
    if (!pyconc_permits_are_free(permits)) {
        return pyconc_permits_wait(permits, deadline_ns);
    }
    permits->available--;
    return 1;
}

/* Take a permit if there is one: whether there was. */
static inline int
pyconc_permits_try(struct pyconc_permits *permits)
{
    if (permits->available <= 0) {
        return 0;
    }
    permits->available--;
    return 1;
}

/* Give permits back, and wake who waits for them. */
static inline void
pyconc_permits_give(struct pyconc_permits *permits, Py_ssize_t count)
{
    permits->available += count;
    /* threads wait here: cannot fail */
    (void)pyconc_waitlist_offer(&permits->waiting, permits->available);
}

#endif
