/* See waitlist.h. */
#include "locks/waitlist.h"

#include "locks/awaiter.h"
#include "platform/clock.h"
#include "platform/forks.h"
#include "py/park.h"

/* What this thread knows of its last waits.  A place has a copy, which whoever
 * wakes adds to: this may be gone by then, as places must not be. */
static _Thread_local struct conc_patience patience;

/* So often may newcomers be faster than somebody who was woken. */
#define TRIES_MAX 4

/* Into the list, behind those that came before it: mostly at one end. */
static void
insert(struct pyconc_waitlist *list, struct pyconc_place *place)
{
    struct pyconc_place *after = list->last;

    if (list->first != NULL && place->ticket < list->first->ticket) {
        after = NULL;
    }
    while (after != NULL && after->ticket > place->ticket) {
        after = after->previous;
    }
    place->previous = after;
    place->next = after == NULL ? list->first : after->next;
    if (place->previous == NULL) {
        list->first = place;
    }
    else {
        place->previous->next = place;
    }
    if (place->next == NULL) {
        list->last = place;
    }
    else {
        place->next->previous = place;
    }
    place->is_listed = 1;
    place->is_woken = 0;
    place->forks = list->forks;
    conc_parker_reset(&place->parker);
    list->length++;
}

/* In a forked child nobody waits who is not here.  The thread that forked may
 * have done it in a signal handler, during a wait: its place stays. */
static void
forget_the_dead(struct pyconc_waitlist *list)
{
    uint32_t forks = conc_forks_count();
    struct pyconc_place *place = list->first;

    if (list->forks == forks) {
        return;
    }
    list->first = list->last = NULL;
    list->length = list->woken = list->hungry = 0;
    list->forks = forks;
    while (place != NULL) {
        struct pyconc_place *next = place->next;
        if (place->awaiter == NULL && place->thread == conc_forks_survivor()) {
            place->tries = 0;
            insert(list, place);
        }
        place = next;
    }
}

static void
take_out(struct pyconc_waitlist *list, struct pyconc_place *place)
{
    if (place->previous == NULL) {
        list->first = place->next;
    }
    else {
        place->previous->next = place->next;
    }
    if (place->next == NULL) {
        list->last = place->previous;
    }
    else {
        place->next->previous = place->previous;
    }
    place->is_listed = 0;
    list->length--;
}

struct pyconc_place *
pyconc_place_new(void)
{
    struct pyconc_place *place = PyMem_Calloc(1, sizeof(*place));

    if (place == NULL) {
        PyErr_NoMemory();
    }
    return place;
}

void
pyconc_place_free(struct pyconc_place *place)
{
    PyMem_Free(place);
}

void
pyconc_waitlist_join(struct pyconc_waitlist *list, struct pyconc_place *place,
                     PyObject *awaiter)
{
    forget_the_dead(list);
    place->ticket = list->tickets++;
    place->thread = conc_thread_serial();
    place->awaiter = awaiter;
    insert(list, place);
}

void
pyconc_waitlist_rejoin(struct pyconc_waitlist *list,
                       struct pyconc_place *place)
{
    forget_the_dead(list);
    if (place->forks != list->forks) {
        place->tries = 0; /* counted in the parent */
    }
    if (place->was_woken && place->tries < TRIES_MAX &&
        ++place->tries == TRIES_MAX) {
        list->hungry++;
    }
    insert(list, place);
}

int
pyconc_waitlist_leave(struct pyconc_waitlist *list, struct pyconc_place *place)
{
    int was_woken = place->is_woken;

    forget_the_dead(list);
    if (place->forks != list->forks) {
        was_woken = 0; /* in the parent */
    }
    else if (place->is_listed) {
        take_out(list, place);
    }
    else if (was_woken) {
        list->woken--;
    }
    place->is_listed = place->is_woken = 0;
    place->was_woken = (uint8_t)was_woken;
    return was_woken;
}

void
pyconc_waitlist_done(struct pyconc_waitlist *list, struct pyconc_place *place)
{
    forget_the_dead(list);
    if (place->tries == TRIES_MAX && place->forks == list->forks) {
        list->hungry--;
    }
    place->tries = 0;
}

/* Other threads have no handlers to run; from Python 3.12 on they would
 * collect garbage here, whose finalizers may wait for the same thing. */
static int
check_signals(void)
{
    return pyconc_is_main_thread() ? PyErr_CheckSignals() : 0;
}

static void
park(struct pyconc_place *place, int64_t deadline_ns)
{
    place->patience = patience;
    pyconc_park(&place->parker, &place->patience, NULL, &place->let_go_seen,
                deadline_ns);
    patience = place->patience;
}

int
pyconc_waitlist_wait_chance(struct pyconc_waitlist *list,
                            struct pyconc_place *place, Py_ssize_t available,
                            int64_t deadline_ns)
{
    (void)pyconc_waitlist_offer(list, available);
    if (!place->is_woken) {
        park(place, deadline_ns);
    }
    if (pyconc_waitlist_leave(list, place)) {
        return 0;
    }
    if (check_signals() < 0) {
        return -1;
    }
    return deadline_ns != CONC_NEVER && conc_clock_now_ns() >= deadline_ns;
}

int
pyconc_waitlist_wait(struct pyconc_waitlist *list, struct pyconc_place *place,
                     int64_t deadline_ns)
{
    for (;;) {
        if (place->is_woken) {
            break;
        }
        if (check_signals() < 0) {
            if (pyconc_waitlist_leave(list, place)) {
                /* by the handler: whoever comes next shall have it */
                place->is_woken = 1;
            }
            return -1;
        }
        if (place->is_woken) {
            break;
        }
        forget_the_dead(list); /* if the handler forked */
        if (deadline_ns != CONC_NEVER && conc_clock_now_ns() >= deadline_ns) {
            (void)pyconc_waitlist_leave(list, place);
            return 1;
        }
        park(place, deadline_ns);
    }
    (void)pyconc_waitlist_leave(list, place);
    return 0;
}

/* Wake the first place.  0, or -1 with an exception: it is back in the list.
 */
static int
wake_first(struct pyconc_waitlist *list, uint8_t verdict)
{
    struct pyconc_place *place = list->first;

    take_out(list, place);
    list->woken++;
    place->is_woken = 1;
    place->verdict = verdict;
    if (place->awaiter != NULL) {
        return pyconc_awaiter_notify(place->awaiter);
    }
    /* relaxed: a hint */
    place->let_go_seen = conc_load_rlx(&pyconc_let_go);
    conc_patience_waker(&place->patience);
    (void)conc_parker_wake(&place->parker);
    return 0;
}

Py_ssize_t
pyconc_waitlist_wake(struct pyconc_waitlist *list, Py_ssize_t count,
                     uint8_t verdict)
{
    Py_ssize_t woken = 0;

    forget_the_dead(list);
    while (woken < count && list->first != NULL) {
        (void)wake_first(list, verdict); /* threads: cannot fail */
        woken++;
    }
    return woken;
}

int
pyconc_waitlist_offer_slow(struct pyconc_waitlist *list, Py_ssize_t available)
{
    forget_the_dead(list);
    while (list->woken < available && list->first != NULL) {
        if (wake_first(list, 0) < 0) {
            return -1;
        }
    }
    return 0;
}

Py_ssize_t
pyconc_waitlist_count(struct pyconc_waitlist *list)
{
    forget_the_dead(list);
    return list->length;
}
