/* Threads and coroutines that wait for something, in order.
 *
 * Each has a place of its own and is woken by name: with one word per object
 * a newcomer could take a wake that was meant for somebody else.  A place is
 * allocated, or lies in an Awaiter that a coroutine holds (awaiter.h).  It is
 * not on a stack: when the interpreter ends, threads that ask for the GIL
 * vanish with theirs, and finalizers may still wake them.  Everything here is
 * protected by the GIL.
 *
 * Whoever wakes takes the place out of the list.  What that means is the
 * list's affair:
 *
 *   a verdict   Condition, Event, Barrier: what was waited for has happened.
 *   a chance    Semaphore, Queue: there may be something; who was woken looks
 *               again, and if a newcomer has taken it waits again, in its old
 *               order (`ticket`).  So whoever runs may go on taking without a
 *               switch of threads each time; but not for ever (`hungry`).
 *
 * Invariant L1, for chances: as many places are woken and have not yet looked
 * as there are things to be had, or nobody waits.  Whoever adds a thing,
 * joins, or leaves without having taken what it was woken for, calls
 * pyconc_waitlist_offer.
 *
 * Death: a thread ends only with the GIL, so never inside a wait; a forked
 * child forgets the places of threads that it does not have. */
#ifndef PYCONC_LOCKS_WAITLIST_H
#define PYCONC_LOCKS_WAITLIST_H

#include "py/compat.h"
#include "ring/parker.h"

struct pyconc_place {
    struct pyconc_place *next; /* in the list */
    struct pyconc_place *previous;
    PyObject *awaiter; /* borrowed: that it lies in; NULL: a thread's */
    uint64_t thread;   /* that waits here: conc_thread_serial() */
    uint64_t ticket;
    struct conc_parker parker;
    struct conc_patience patience;
    uint32_t forks;       /* when it joined */
    uint32_t let_go_seen; /* when it was woken, see py/park.h */
    uint8_t is_listed;
    uint8_t is_woken;  /* taken out by whoever woke it */
    uint8_t was_woken; /* so it was when it left */
    uint8_t verdict;   /* of whoever woke it */
    uint8_t tries;     /* wakes that were for nothing */
};

struct pyconc_waitlist { /* zeroed memory is valid */
    struct pyconc_place *first;
    struct pyconc_place *last;
    Py_ssize_t length;
    Py_ssize_t woken;  /* of those that have not yet looked */
    Py_ssize_t hungry; /* places that were woken for nothing too often:
                        * newcomers that may wait let them go first */
    uint64_t tickets;  /* handed out */
    uint32_t forks;    /* of the process whose places these are */
};

/* A thread's place, not yet in a list: NULL with MemoryError. */
struct pyconc_place *pyconc_place_new(void);
void pyconc_place_free(struct pyconc_place *place);

/* Enter the list at the end.  `awaiter` as in the place. */
void pyconc_waitlist_join(struct pyconc_waitlist *list,
                          struct pyconc_place *place, PyObject *awaiter);

/* Leave the list, woken or not.  Whether the place had been woken and has
 * not been told of it by pyconc_waitlist_wait. */
int pyconc_waitlist_leave(struct pyconc_waitlist *list,
                          struct pyconc_place *place);

/* Wait for a verdict, in a place that has joined, until it is woken: 0.  1:
 * the deadline has passed; -1: a signal handler raised.  In each case the
 * place has left the list; with -1, place->is_woken tells whether it was woken
 * all the same.  GIL: released inside; runs signal handlers. */
int pyconc_waitlist_wait(struct pyconc_waitlist *list,
                         struct pyconc_place *place, int64_t deadline_ns);

/* Wait for a chance, in a place that has joined (or joined again), while
 * `available` things are to be had.  0: look; 1: look for the last time, the
 * deadline has passed; -1: a signal handler raised.  In each case the place
 * has left the list.  It is not in the list while handlers run: they may wait
 * for the same thing, and what this thread cannot take then is for others. */
int pyconc_waitlist_wait_chance(struct pyconc_waitlist *list,
                                struct pyconc_place *place,
                                Py_ssize_t available, int64_t deadline_ns);

/* After a look that was for nothing: join again, in the old order. */
void pyconc_waitlist_rejoin(struct pyconc_waitlist *list,
                            struct pyconc_place *place);

/* Who waited for a chance waits no more, with or without it. */
void pyconc_waitlist_done(struct pyconc_waitlist *list,
                          struct pyconc_place *place);

/* Wake the first `count` places with this verdict.  How many there were. */
Py_ssize_t pyconc_waitlist_wake(struct pyconc_waitlist *list, Py_ssize_t count,
                                uint8_t verdict);

int pyconc_waitlist_offer_slow(struct pyconc_waitlist *list,
                               Py_ssize_t available);

/* Keep L1: `available` things are to be had.  May run Python code (that of
 * an event loop), so it comes last.  0, or -1 with that code's exception; one
 * that was set before stays. */
static inline int
pyconc_waitlist_offer(struct pyconc_waitlist *list, Py_ssize_t available)
{
    return list->first == NULL ? 0
                               : pyconc_waitlist_offer_slow(list, available);
}

/* How many wait and have not been woken. */
Py_ssize_t pyconc_waitlist_count(struct pyconc_waitlist *list);

#endif
