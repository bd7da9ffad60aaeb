/* FutureBase: the C half of pyconc.futures.Future. */
#ifndef PYCONC_FUTURE_FUTURE_H
#define PYCONC_FUTURE_FUTURE_H

#include "future/outcome.h"

struct pyconc_future {
    PyObject_HEAD
    struct pyconc_outcome outcome;
    PyObject *callbacks; /* owns; list, or NULL */
    PyObject *condition; /* owns; made when stdlib code asks for it */
    PyObject *waiters;   /* owns; list, made with the condition */
};

extern PyType_Spec pyconc_future_spec;

/* A pending future of `type` (the Python class), waiting on `source`. */
struct pyconc_future *pyconc_future_new(PyTypeObject *type,
                                        struct pyconc_source *source);

/* By an engine whose workers complete: as set_result or set_exception, in this
 * thread, callbacks included (steals value).  The caller holds a reference.
 * Runs user code. */
void pyconc_future_finish(struct pyconc_future *future, PyObject *value,
                          uint8_t kind);

/* The collector's part: complete what has arrived under the condition, run
 * the callbacks.  Steals the queue's reference.  Runs user code; what it
 * raises is logged. */
void pyconc_future_complete_special(struct pyconc_state *state,
                                    struct pyconc_outcome *outcome);

#endif
