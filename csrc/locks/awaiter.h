/* A coroutine's place in a waitlist, as a Python object. */
#ifndef PYCONC_LOCKS_AWAITER_H
#define PYCONC_LOCKS_AWAITER_H

#include "locks/waitlist.h"
#include "py/state.h"

/* Called whenever an awaiter leaves its list: offer what it leaves behind.
 * 0, or -1 with an exception. */
typedef int pyconc_pass_on(PyObject *owner, struct pyconc_waitlist *list);

/* Make a place in a list of `owner`, not yet joined.  New reference, or
 * NULL. */
PyObject *pyconc_awaiter_new(struct pyconc_state *state, PyObject *owner,
                             struct pyconc_waitlist *list,
                             pyconc_pass_on *pass_on);

/* It was woken: call its callback.  Runs Python code.  0, or -1 with an
 * exception: then it is back in the list, unless it was a signal handler's. */
int pyconc_awaiter_notify(PyObject *awaiter);

#endif
