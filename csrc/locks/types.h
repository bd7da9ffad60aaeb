/* The Python types of this layer. */
#ifndef PYCONC_LOCKS_TYPES_H
#define PYCONC_LOCKS_TYPES_H

#include "py/compat.h"
#include "py/state.h"

/* __reduce__ of them all: raises TypeError. */
PyObject *pyconc_cannot_pickle(PyObject *self, PyObject *ignored);

/* allocate_lock() of the module: a new Lock. */
PyObject *pyconc_allocate_lock(PyObject *module, PyObject *ignored);

extern PyType_Spec pyconc_event_spec;
extern PyType_Spec pyconc_lock_spec;
extern PyType_Spec pyconc_rlock_spec;
extern PyType_Spec pyconc_semaphore_spec;
extern PyType_Spec pyconc_condition_spec;
extern PyType_Spec pyconc_barrier_spec;
extern PyType_Spec pyconc_counter_spec;
extern PyType_Spec pyconc_queue_spec;
extern PyType_Spec pyconc_awaiter_spec;

#endif
