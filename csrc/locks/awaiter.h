/* A coroutine's place in a waitlist, as a Python object. */
#ifndef PYCONC_LOCKS_AWAITER_H
#define PYCONC_LOCKS_AWAITER_H

#include "locks/waitlist.h"
#include "py/state.h"

/* Make a place in a list of `owner`, not yet joined.  Whenever it leaves
 * `offer` is called, so that L1 holds.  New reference, or NULL. */
PyObject *pyconc_awaiter_new(struct pyconc_state *state, PyObject *owner,
                             struct pyconc_waitlist *list,
                             void (*offer)(PyObject *owner));

/* It was woken: call its callback.  Runs Python code; reports what it raises,
 * and then takes the place out. */
void pyconc_awaiter_notify(PyObject *awaiter);

#endif
