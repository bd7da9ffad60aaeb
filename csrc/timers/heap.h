/* What falls due when: a heap of timers, earliest first.
 *
 * Timers that are due at the same time come out in the order in which they
 * were added.  A timer knows its place, so that any one is taken out in
 * O(log n), and nothing of it is left behind.
 *
 * The heap has no lock: one thread at a time. */
#ifndef CONC_TIMERS_HEAP_H
#define CONC_TIMERS_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what falls due; zeroed memory is valid, and in no heap. */
struct conc_timer {
    size_t place; /* in the heap, from 1; 0: in none */
};

struct conc_timer_entry {
    int64_t due_ns;
    uint64_t ticket; /* given out in the order of adding */
    struct conc_timer *timer;
};

struct conc_timer_heap {              /* zeroed memory is an empty heap */
    struct conc_timer_entry *entries; /* owns */
    size_t count;
    size_t room;
    uint64_t tickets;
};

/* Frees the entries; the timers are the caller's, and are in no heap any
 * more. */
void conc_timer_heap_fini(struct conc_timer_heap *heap);

/* Add a timer that is in no heap.  CONC_OK, or CONC_NOMEM and nothing has
 * changed.  May allocate. */
int conc_timer_heap_add(struct conc_timer_heap *heap, struct conc_timer *timer,
                        int64_t due_ns);

/* Take out a timer that is in this heap.  Gives memory back after a burst;
 * cannot fail. */
void conc_timer_heap_remove(struct conc_timer_heap *heap,
                            struct conc_timer *timer);

/* The timer that is due next, NULL if there is none. */
struct conc_timer *conc_timer_heap_first(const struct conc_timer_heap *heap);

/* When it is due; CONC_NEVER if there is none. */
int64_t conc_timer_heap_due_ns(const struct conc_timer_heap *heap);

static inline bool
conc_timer_is_set(const struct conc_timer *timer)
{
    return timer->place != 0;
}

/* Whether all invariants hold; in O(n), for tests. */
bool conc_timer_heap_check(const struct conc_timer_heap *heap);

#endif
