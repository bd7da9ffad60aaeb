/* The outcome of one task: what a Future and an AsyncResult have in common.
 *
 * A result arrives encoded and stays so until somebody asks for it, in whose
 * thread it is decoded: a broken __setstate__ hurts only its reader.
 *
 * An outcome is `special` if its completion runs user code: it has
 * callbacks, or stdlib code has taken hold of its condition.  The transition
 * of one with a condition, and all callbacks, belong to the collector
 * thread. */
#ifndef PYCONC_FUTURE_OUTCOME_H
#define PYCONC_FUTURE_OUTCOME_H

#include "future/wait.h"
#include "py/state.h"

enum pyconc_outcome_state {
    PYCONC_PENDING,
    PYCONC_RUNNING,
    PYCONC_CANCELLED,              /* by cancel(), waiters not told yet */
    PYCONC_CANCELLED_AND_NOTIFIED, /* waiters have been told */
    PYCONC_FINISHED,
};

/* What `value` is. */
enum pyconc_value_kind {
    PYCONC_VALUE_NONE = 0,   /* nothing yet */
    PYCONC_VALUE_RESULT,     /* the result object */
    PYCONC_VALUE_EXCEPTION,  /* the exception object */
    PYCONC_VALUE_RAW_RESULT, /* bytes or Block, in `form` */
    PYCONC_VALUE_RAW_ERROR,  /* bytes for decode_error */
};

struct pyconc_outcome {
    struct pyconc_outcome *next_special; /* the source's list */
    PyObject *object;                    /* borrowed: who embeds this */
    struct pyconc_source *source; /* owns a reference to its engine until
                                   * done; NULL: made by the user */
    void *task;                   /* the engine's record, NULL when done */
    struct pyconc_link *links;    /* who waits */
    PyObject *value;              /* owns */
    PyObject *attributes;         /* owns; __dict__ of object, or NULL */
    uint8_t state;                /* enum pyconc_outcome_state */
    uint8_t kind;                 /* enum pyconc_value_kind */
    uint8_t form;                 /* enum pyconc_form, for RAW_RESULT */
    uint8_t arrived;              /* value is there, transition is not */
    uint8_t deferred;             /* the transition is the collector's: it goes
                                   * through the object's condition (Future)
                                   * or comes after its callback (Pool) */
    uint8_t has_callbacks;
    uint8_t queued_special; /* in the source's list */
};

/* Whether an outcome of this kind means that the task failed. */
static inline int
pyconc_kind_is_error(uint8_t kind)
{
    return kind == PYCONC_VALUE_EXCEPTION || kind == PYCONC_VALUE_RAW_ERROR;
}

static inline int
pyconc_outcome_is_done(const struct pyconc_outcome *outcome)
{
    return outcome->state >= PYCONC_CANCELLED;
}

/* What the garbage collector sees.  A program may hold a million outcomes, of
 * which hardly one is part of a cycle; to walk over all of them again and
 * again took longer than the tasks.  So the collector does not know of one
 * until it refers to something that may refer back: from then on it is
 * tracked.  _untrack is for a new object of our own classes, before anybody
 * else has it; what else a subclass may refer to we would not see. */
void pyconc_outcome_untrack(struct pyconc_outcome *outcome);
void pyconc_outcome_track(struct pyconc_outcome *outcome);

/* Give the outcome its value (steals it). */
void pyconc_outcome_set_value(struct pyconc_outcome *outcome, PyObject *value);

/* For the types that embed an outcome: attributes that users set.  The first
 * is the method `__setattr__`: the slot would take object.__setattr__ away
 * from users. */
PyObject *pyconc_outcome_setattr(struct pyconc_outcome *outcome,
                                 PyObject *arguments);
PyObject *pyconc_outcome_get_dict(struct pyconc_outcome *outcome);
int pyconc_outcome_set_dict(struct pyconc_outcome *outcome, PyObject *dict);

/* Link a waiter: it will find `link` among its fired ones.  The caller has
 * set link->until_notified. */
void pyconc_outcome_link(struct pyconc_outcome *outcome,
                         struct pyconc_link *link,
                         struct pyconc_waiter *waiter);
void pyconc_outcome_unlink(struct pyconc_outcome *outcome,
                           struct pyconc_link *link);

/* Tell everybody who is linked. */
void pyconc_outcome_fire(struct pyconc_outcome *outcome);

/* By the engine: the answer is here (steals value).  Completes the outcome,
 * or hands it to the collector if it is special.  The caller holds a
 * reference to outcome->object.  Runs no user code but decrefs. */
void pyconc_outcome_arrive(struct pyconc_outcome *outcome, PyObject *value,
                           uint8_t kind, uint8_t form);

/* In a forked child: its task is the parent's.  Done with this error (a new
 * reference is made), without callbacks. */
void pyconc_outcome_abandon(struct pyconc_outcome *outcome, PyObject *error);

/* Put into the collector's list, with a reference to the object. */
void pyconc_outcome_queue_special(struct pyconc_outcome *outcome);
struct pyconc_outcome *pyconc_source_pop_special(struct pyconc_source *source);

/* The engine's reference goes. */
void pyconc_outcome_detach(struct pyconc_outcome *outcome);

/* Decode a raw value in place, into RESULT or EXCEPTION.  0, or -1 with an
 * exception that is not the task's (MemoryError, KeyboardInterrupt): the
 * value then stays raw.  Runs user code. */
int pyconc_outcome_decode(struct pyconc_state *state,
                          struct pyconc_outcome *outcome);

/* Decode any value: new reference with *kind RESULT or EXCEPTION. */
PyObject *pyconc_value_decode(struct pyconc_state *state, PyObject *value,
                              uint8_t *kind, uint8_t form);

/* Wait for one outcome.  As pyconc_wait. */
int pyconc_outcome_wait(struct pyconc_outcome *outcome, int64_t deadline_ns);

/* Raise the exception object as `raise` would.  Returns NULL. */
PyObject *pyconc_raise_object(PyObject *exception);

void pyconc_outcome_clear(struct pyconc_outcome *outcome);

#endif
