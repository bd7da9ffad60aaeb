/* A queue's parts; queue.c says how they work together. */
#ifndef PYCONC_LOCKS_QUEUE_H
#define PYCONC_LOCKS_QUEUE_H

#include "locks/waitlist.h"
#include "py/state.h"

enum pyconc_queue_kind { PYCONC_FIFO, PYCONC_LIFO, PYCONC_PRIORITY };

struct pyconc_queue {
    PyObject_HEAD
    struct pyconc_state *state;
    PyObject *items;
    PyObject *maxsize; /* as it was given */
    Py_ssize_t limit;  /* 0: none */
    Py_ssize_t unfinished;
    struct pyconc_waitlist getters; /* threads, for a chance */
    struct pyconc_waitlist putters;
    struct pyconc_waitlist getter_tasks; /* coroutines, for a chance: one whose
                                          * event loop is busy must not keep a
                                          * thread from an item */
    struct pyconc_waitlist putter_tasks;
    struct pyconc_waitlist joiners; /* for a verdict */
    struct pyconc_waitlist sorters; /* for the heap: a chance */
    uint64_t heap_owner;            /* thread state that compares, or 0 */
    uint32_t heap_forks;            /* of its process */
    /* mutex, not_empty, not_full, all_tasks_done; NULL: closed */
    PyObject *conditions[4];
    uint8_t kind; /* enum pyconc_queue_kind */
    uint8_t is_open;
    uint8_t is_shutdown;
    uint8_t overrides_hooks;
    uint8_t overrides_put; /* a subclass: put_nowait goes through it */
    uint8_t overrides_get;
};

#define PYCONC_QUEUE(object) ((struct pyconc_queue *)(object))

static inline Py_ssize_t
pyconc_queue_length(struct pyconc_queue *self)
{
    return Py_SIZE(self->items); /* a deque has it there, too */
}

static inline int
pyconc_queue_is_full(struct pyconc_queue *self)
{
    return self->limit > 0 && pyconc_queue_length(self) >= self->limit;
}

/* --- queue_items.c ------------------------------------------------------- */

/* 0, or -1 with RuntimeError: __init__ was not called. */
int pyconc_queue_check_made(struct pyconc_queue *self);

/* Put an item in, take one out; nobody is at the heap, and there is one.  For
 * a heap this runs the items' comparisons.  0 and a new reference; -1 and NULL
 * with an exception. */
int pyconc_queue_add_item(struct pyconc_queue *self, PyObject *item);
PyObject *pyconc_queue_take_item(struct pyconc_queue *self);

/* Wait until no other thread is comparing items.  0, or -1. */
int pyconc_queue_wait_for_heap(struct pyconc_queue *self);

/* Tell everybody what there is: the last thing that a method does.  An open
 * queue notifies its conditions instead.  0, or -1 with an exception of an
 * event loop. */
int pyconc_queue_offer_all(struct pyconc_queue *self);

static inline int
pyconc_queue_offer(struct pyconc_queue *self)
{
    if (self->getters.first == NULL && self->putters.first == NULL &&
        self->getter_tasks.first == NULL && self->putter_tasks.first == NULL &&
        self->sorters.first == NULL) {
        return 0;
    }
    return pyconc_queue_offer_all(self);
}

/* Everybody looks again: the queue is shut down, or has been opened. */
int pyconc_queue_offer_everything(struct pyconc_queue *self);

/* --- queue_calls.c: methods ---------------------------------------------- */

PyObject *pyconc_queue_put(PyObject *object, PyObject *const *arguments,
                           Py_ssize_t count, PyObject *keywords);
PyObject *pyconc_queue_get(PyObject *object, PyObject *const *arguments,
                           Py_ssize_t count, PyObject *keywords);
PyObject *pyconc_queue_put_nowait(PyObject *object, PyObject *const *arguments,
                                  Py_ssize_t count, PyObject *keywords);
PyObject *pyconc_queue_get_nowait(PyObject *object, PyObject *ignored);
PyObject *pyconc_queue_put_many(PyObject *object, PyObject *const *arguments,
                                Py_ssize_t count, PyObject *keywords);
PyObject *pyconc_queue_get_many(PyObject *object, PyObject *const *arguments,
                                Py_ssize_t count, PyObject *keywords);

#endif
