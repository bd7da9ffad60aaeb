/* RLock, for Condition, which lets go of it and takes it back. */
#ifndef PYCONC_LOCKS_LOCK_H
#define PYCONC_LOCKS_LOCK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Who holds an RLock, how often: what letting go of it must keep. */
struct pyconc_held {
    unsigned long owner;
    unsigned long count;
};

/* As the lock's acquire() and release().  0, or -1 with an exception. */
int pyconc_rlock_acquire(PyObject *lock);
int pyconc_rlock_release(PyObject *lock);

int pyconc_rlock_is_owned(PyObject *lock);

/* Let go of it, however often it is held: 0, or -1 with RuntimeError. */
int pyconc_rlock_save(PyObject *lock, struct pyconc_held *held);

/* Take it back: 0, or -1 with the exception of a signal handler. */
int pyconc_rlock_restore(PyObject *lock, const struct pyconc_held *held);

#endif
