/* A heap with four children to a node: half as deep as a binary one, and the
 * children that are compared lie beside each other.  What is compared is in
 * the entries; a timer is only touched when its entry moves.
 *
 *   H1  No entry is due before its parent; among equals the ticket decides.
 *   H2  entries[i].timer->place == i + 1. */
#include "timers/heap.h"

#include <stdlib.h>

#include "platform/clock.h"
#include "platform/status.h"

#define CHILDREN 4

/* Entries for which there is room at least, once there was one. */
#define ROOM_MIN 64

static bool
is_before(const struct conc_timer_entry *a, const struct conc_timer_entry *b)
{
    return a->due_ns < b->due_ns ||
           (a->due_ns == b->due_ns && a->ticket < b->ticket);
}

static void
put(struct conc_timer_heap *heap, size_t at, struct conc_timer_entry entry)
{
    heap->entries[at] = entry;
    entry.timer->place = at + 1;
}

/* An entry that may be earlier than what is above `at` goes there or up. */
static void
sift_up(struct conc_timer_heap *heap, size_t at, struct conc_timer_entry entry)
{
    while (at > 0) {
        size_t parent = (at - 1) / CHILDREN;
        if (!is_before(&entry, &heap->entries[parent])) {
            break;
        }
        put(heap, at, heap->entries[parent]);
        at = parent;
    }
    put(heap, at, entry);
}

/* The same for one that may be later than what is below. */
static void
sift_down(struct conc_timer_heap *heap, size_t at,
          struct conc_timer_entry entry)
{
    for (;;) {
        size_t child = at * CHILDREN + 1;
        if (child >= heap->count) {
            break;
        }
        size_t end =
            heap->count - child < CHILDREN ? heap->count : child + CHILDREN;
        size_t earliest = child;
        while (++child < end) {
            if (is_before(&heap->entries[child], &heap->entries[earliest])) {
                earliest = child;
            }
        }
        if (!is_before(&heap->entries[earliest], &entry)) {
            break;
        }
        put(heap, at, heap->entries[earliest]);
        at = earliest;
    }
    put(heap, at, entry);
}

static int
set_room(struct conc_timer_heap *heap, size_t room)
{
    if (room > SIZE_MAX / sizeof(*heap->entries)) {
        return CONC_NOMEM;
    }
    struct conc_timer_entry *entries =
        realloc(heap->entries, room * sizeof(*entries));
    if (entries == NULL) {
        return CONC_NOMEM;
    }
    heap->entries = entries;
    heap->room = room;
    return CONC_OK;
}

void
conc_timer_heap_fini(struct conc_timer_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        heap->entries[i].timer->place = 0;
    }
    free(heap->entries);
    *heap = (struct conc_timer_heap){.tickets = heap->tickets};
}

int
conc_timer_heap_add(struct conc_timer_heap *heap, struct conc_timer *timer,
                    int64_t due_ns)
{
    if (heap->count == heap->room &&
        set_room(heap, heap->room == 0 ? ROOM_MIN : 2 * heap->room) !=
            CONC_OK) {
        return CONC_NOMEM;
    }
    sift_up(heap, heap->count++,
            (struct conc_timer_entry){
                .due_ns = due_ns, .ticket = heap->tickets++, .timer = timer});
    return CONC_OK;
}

void
conc_timer_heap_remove(struct conc_timer_heap *heap, struct conc_timer *timer)
{
    size_t at = timer->place - 1;

    timer->place = 0;
    heap->count--;
    if (at < heap->count) {
        struct conc_timer_entry last = heap->entries[heap->count];
        if (at > 0 && is_before(&last, &heap->entries[(at - 1) / CHILDREN])) {
            sift_up(heap, at, last);
        }
        else {
            sift_down(heap, at, last);
        }
    }
    /* At an eighth, to a quarter: so that a heap that grows and shrinks by
     * one does not reallocate each time. */
    if (heap->room > ROOM_MIN && heap->count < heap->room / 8) {
        (void)set_room(heap,
                       heap->room / 4 > ROOM_MIN ? heap->room / 4 : ROOM_MIN);
    }
}

struct conc_timer *
conc_timer_heap_first(const struct conc_timer_heap *heap)
{
    return heap->count == 0 ? NULL : heap->entries[0].timer;
}

int64_t
conc_timer_heap_due_ns(const struct conc_timer_heap *heap)
{
    return heap->count == 0 ? CONC_NEVER : heap->entries[0].due_ns;
}

bool
conc_timer_heap_check(const struct conc_timer_heap *heap)
{
    if (heap->count > heap->room) {
        return false;
    }
    for (size_t i = 0; i < heap->count; i++) {
        if (heap->entries[i].timer->place != i + 1) {
            return false; /* H2 */
        }
        if (i > 0 &&
            is_before(&heap->entries[i], &heap->entries[(i - 1) / CHILDREN])) {
            return false; /* H1 */
        }
    }
    return true;
}
