/* threading.Lock and RLock: one permit, and for the latter who has it. */
#include "locks/lock.h"

#include <limits.h>

#include "locks/permits.h"
#include "locks/types.h"
#include "platform/clock.h"
#include "py/arguments.h"

struct lock {
    PyObject_HEAD
    struct pyconc_permits permits; /* one, when nobody holds it */
    struct pyconc_held held;       /* an RLock's; valid while it is held */
    PyObject *weak_references;
};

#define LOCK(object) ((struct lock *)(object))

static int
is_held(const struct lock *lock)
{
    return lock->permits.available == 0;
}

static PyObject *
lock_alloc(PyTypeObject *type)
{
    PyObject *self = type->tp_alloc(type, 0);

    if (self != NULL) {
        LOCK(self)->permits.available = 1;
    }
    return self;
}

static int
has_arguments(PyObject *arguments, PyObject *keywords)
{
    return PyTuple_GET_SIZE(arguments) > 0 ||
           (keywords != NULL && PyDict_GET_SIZE(keywords) > 0);
}

#if PY_VERSION_HEX >= 0x030D0000
static PyObject *
lock_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    if (has_arguments(arguments, keywords)) {
        PyErr_SetString(PyExc_TypeError, "Lock() takes no arguments");
        return NULL;
    }
    return lock_alloc(type);
}
#endif

PyObject *
pyconc_allocate_lock(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_state *state = PyModule_GetState(module);

    return lock_alloc(state->lock_type);
}

/* The interpreter's RLock ignores arguments; a subclass's __init__ may have a
 * use for them. */
static PyObject *
rlock_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    if (PY_VERSION_HEX >= 0x030D0000 && has_arguments(arguments, keywords) &&
        type->tp_init == PyBaseObject_Type.tp_init &&
        PyErr_WarnEx(PyExc_DeprecationWarning,
                     "Passing arguments to RLock is deprecated and will be "
                     "removed in 3.15",
                     1) < 0) {
        return NULL;
    }
    return lock_alloc(type);
}

static void
lock_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (LOCK(self)->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- acquire ------------------------------------------------------------- */

static const char *const acquire_names[] = {"blocking", "timeout", NULL};
static const struct pyconc_parameters acquire_parameters = {"acquire", 0,
                                                            acquire_names};

/* The number that an argument stands for, of a type whose value does not
 * change: what it is asked twice it answers twice.  What is none stays what it
 * is, and is refused later. */
static PyObject *
exact(PyObject *argument, int is_timeout)
{
    PyObject *number = NULL;

    if (PyFloat_Check(argument)) {
        number = is_timeout ? PyFloat_FromDouble(PyFloat_AS_DOUBLE(argument))
                            : NULL;
    }
    else if (PyBool_Check(argument)) {
        return Py_NewRef(argument);
    }
    else if (is_timeout || PY_VERSION_HEX < 0x030C0000) {
        number = PyNumber_Index(argument);
        if (number != NULL && !PyLong_CheckExact(number)) {
            Py_SETREF(number, _PyLong_Copy((PyLongObject *)number));
        }
    }
    if (!is_timeout && PY_VERSION_HEX >= 0x030C0000) {
        int is_true = PyObject_IsTrue(argument);
        number = is_true < 0 ? NULL : PyBool_FromLong(is_true);
    }
    if (number == NULL) {
        PyErr_Clear();
        return Py_NewRef(argument);
    }
    return number;
}

/* What the arguments of acquire() ask for: 1 to wait, 0 not to, -1 with an
 * exception.  The interpreter's own lock judges them: what it accepts, and
 * what it says of the rest, changes from version to version. */
static int
understand(PyTypeObject *type, PyObject *const *asked, int64_t *deadline_ns)
{
    PyObject *blocking =
        asked[0] == NULL ? Py_NewRef(Py_True) : exact(asked[0], 0);
    PyObject *timeout = asked[1] == NULL ? NULL : exact(asked[1], 1);
    double seconds;
    int blocks = -1;

    *deadline_ns = CONC_NEVER;
    if (timeout != NULL || !PyBool_Check(blocking)) {
        struct pyconc_state *state = pyconc_state_of(type);
        PyObject *judge = PyObject_CallNoArgs(state->allocate_lock);
        PyObject *accepted =
            judge == NULL ? NULL
            : timeout == NULL
                ? PyObject_CallMethod(judge, "acquire", "(O)", blocking)
                : PyObject_CallMethod(judge, "acquire", "(OO)", blocking,
                                      timeout);
        Py_XDECREF(judge);
        Py_XDECREF(accepted);
        if (accepted == NULL) {
            goto done;
        }
    }
    blocks = PyObject_IsTrue(blocking);
    if (blocks > 0 && timeout != NULL) {
        if (pyconc_seconds(timeout, &seconds) < 0) {
            blocks = -1;
        }
        else if (seconds >= 0) {
            *deadline_ns = conc_deadline_after((int64_t)(seconds * 1e9));
        }
    }
done:
    Py_DECREF(blocking);
    Py_XDECREF(timeout);
    return blocks;
}

/* What one kind of lock does about it: 1 with the lock, 0 without, -1 with an
 * exception. */
typedef int (*take_function)(struct lock *lock, int blocks,
                             int64_t deadline_ns);

static inline PyObject *
acquire(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
        PyObject *keywords, take_function take)
{
    PyObject *asked[2] = {NULL, NULL};
    int64_t deadline_ns = CONC_NEVER;
    int status = 1;

    if (count > 0 || keywords != NULL) {
        if (pyconc_arguments(&acquire_parameters, arguments, count, keywords,
                             asked) < 0) {
            return NULL;
        }
        status = understand(Py_TYPE(self), asked, &deadline_ns);
    }
    if (status >= 0) {
        status = take(LOCK(self), status, deadline_ns);
    }
    return status < 0 ? NULL : PyBool_FromLong(status);
}

static int
lock_take(struct lock *lock, int blocks, int64_t deadline_ns)
{
    return blocks ? pyconc_permits_take(&lock->permits, deadline_ns)
                  : pyconc_permits_try(&lock->permits);
}

static PyObject *
lock_acquire(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
             PyObject *keywords)
{
    return acquire(self, arguments, count, keywords, lock_take);
}

static int
is_mine(const struct lock *lock)
{
    return is_held(lock) && lock->held.owner == PyThread_get_thread_ident();
}

static int
rlock_take(struct lock *lock, int blocks, int64_t deadline_ns)
{
    if (is_mine(lock)) {
        if (lock->held.count == ULONG_MAX) {
            PyErr_SetString(PyExc_OverflowError,
                            "Internal lock count overflowed");
            return -1;
        }
        lock->held.count++;
        return 1;
    }
    int status = lock_take(lock, blocks, deadline_ns);
    if (status > 0) {
        lock->held.owner = PyThread_get_thread_ident();
        lock->held.count = 1;
    }
    return status;
}

static PyObject *
rlock_acquire(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
              PyObject *keywords)
{
    return acquire(self, arguments, count, keywords, rlock_take);
}

int
pyconc_rlock_acquire(PyObject *lock)
{
    return rlock_take(LOCK(lock), 1, CONC_NEVER) < 0 ? -1 : 0;
}

/* --- release ------------------------------------------------------------- */

static PyObject *
release(struct lock *lock)
{
    if (!is_held(lock)) {
        PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
        return NULL;
    }
    pyconc_permits_give(&lock->permits, 1);
    Py_RETURN_NONE;
}

static PyObject *
lock_release(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return release(LOCK(self));
}

static PyObject *
lock_exit(PyObject *self, PyObject *const *Py_UNUSED(arguments),
          Py_ssize_t Py_UNUSED(count))
{
    return release(LOCK(self));
}

static int
require_mine(const struct lock *lock)
{
    if (!is_mine(lock)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
        return -1;
    }
    return 0;
}

int
pyconc_rlock_release(PyObject *object)
{
    struct lock *lock = LOCK(object);

    if (require_mine(lock) < 0) {
        return -1;
    }
    if (--lock->held.count == 0) {
        pyconc_permits_give(&lock->permits, 1);
    }
    return 0;
}

static PyObject *
rlock_release(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return pyconc_rlock_release(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
rlock_exit(PyObject *self, PyObject *const *Py_UNUSED(arguments),
           Py_ssize_t Py_UNUSED(count))
{
    return rlock_release(self, NULL);
}

/* --- for Condition ------------------------------------------------------- */

int
pyconc_rlock_is_owned(PyObject *lock)
{
    return is_mine(LOCK(lock));
}

int
pyconc_rlock_save(PyObject *object, struct pyconc_held *held)
{
    struct lock *lock = LOCK(object);

    if (require_mine(lock) < 0) {
        return -1;
    }
    *held = lock->held;
    pyconc_permits_give(&lock->permits, 1);
    return 0;
}

int
pyconc_rlock_restore(PyObject *lock, const struct pyconc_held *held)
{
    if (lock_take(LOCK(lock), 1, CONC_NEVER) < 0) {
        return -1;
    }
    LOCK(lock)->held = *held;
    return 0;
}

static PyObject *
rlock_is_owned(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(is_mine(LOCK(self)));
}

static PyObject *
rlock_release_save(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_held held;

    return pyconc_rlock_save(self, &held) < 0
               ? NULL
               : Py_BuildValue("(kk)", held.count, held.owner);
}

static PyObject *
rlock_acquire_restore(PyObject *self, PyObject *saved)
{
    struct pyconc_held held;

    if (!PyArg_Parse(saved, "(kk):_acquire_restore", &held.count,
                     &held.owner)) {
        return NULL;
    }
    if (held.count == 0) {
        Py_RETURN_NONE; /* not held then, not held now */
    }
    if (pyconc_rlock_restore(self, &held) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
rlock_recursion_count(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromUnsignedLong(is_mine(LOCK(self)) ? LOCK(self)->held.count
                                                       : 0);
}

/* --- what both have ------------------------------------------------------ */

static PyObject *
lock_locked(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(is_held(LOCK(self)));
}

static PyObject *
lock_at_fork_reinit(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (is_held(LOCK(self))) {
        pyconc_permits_give(&LOCK(self)->permits, 1);
    }
    Py_RETURN_NONE;
}

static PyObject *
lock_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<%s %s object at %p>",
                                is_held(LOCK(self)) ? "locked" : "unlocked",
                                Py_TYPE(self)->tp_name, self);
}

static PyObject *
rlock_repr(PyObject *self)
{
    const struct lock *lock = LOCK(self);
    int held = is_held(lock);

    return PyUnicode_FromFormat(
        "<%s %s object owner=%lu count=%lu at %p>",
        held ? "locked" : "unlocked", Py_TYPE(self)->tp_name,
        held ? lock->held.owner : 0, held ? lock->held.count : 0, self);
}

#define ACQUIRE_DOC                                                           \
    "acquire($self, /, blocking=True, timeout=-1)\n--\n\n"                    \
    "Take the lock, waiting for it at most timeout seconds, or for ever\n"    \
    "if that is -1.\n\nReturn whether it was taken."

static PyMethodDef lock_methods[] = {
    {"acquire", PYCONC_FAST_METHOD(lock_acquire),
     METH_FASTCALL | METH_KEYWORDS, PyDoc_STR(ACQUIRE_DOC)},
    {"acquire_lock", PYCONC_FAST_METHOD(lock_acquire),
     METH_FASTCALL | METH_KEYWORDS, PyDoc_STR("Obsolete: acquire().")},
    {"__enter__", PYCONC_FAST_METHOD(lock_acquire),
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"release", lock_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\n"
               "Give the lock back; any thread may do it.")},
    {"release_lock", lock_release, METH_NOARGS,
     PyDoc_STR("Obsolete: release().")},
    {"__exit__", PYCONC_FAST_METHOD(lock_exit), METH_FASTCALL, NULL},
    {"locked", lock_locked, METH_NOARGS,
     PyDoc_STR("locked($self, /)\n--\n\n"
               "Return whether somebody holds the lock.")},
    {"locked_lock", lock_locked, METH_NOARGS,
     PyDoc_STR("Obsolete: locked().")},
    {"_at_fork_reinit", lock_at_fork_reinit, METH_NOARGS, NULL},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef rlock_methods[] = {
    {"acquire", PYCONC_FAST_METHOD(rlock_acquire),
     METH_FASTCALL | METH_KEYWORDS, PyDoc_STR(ACQUIRE_DOC)},
    {"__enter__", PYCONC_FAST_METHOD(rlock_acquire),
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"release", rlock_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\n"
               "Give the lock back once; only its holder may.")},
    {"__exit__", PYCONC_FAST_METHOD(rlock_exit), METH_FASTCALL, NULL},
    {"locked", lock_locked, METH_NOARGS,
     PyDoc_STR("locked($self, /)\n--\n\n"
               "Return whether somebody holds the lock.")},
    {"_is_owned", rlock_is_owned, METH_NOARGS, NULL},
    {"_release_save", rlock_release_save, METH_NOARGS, NULL},
    {"_acquire_restore", rlock_acquire_restore, METH_O, NULL},
    {"_recursion_count", rlock_recursion_count, METH_NOARGS, NULL},
    {"_at_fork_reinit", lock_at_fork_reinit, METH_NOARGS, NULL},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef lock_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET,
     offsetof(struct lock, weak_references), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static char lock_doc[] = PyDoc_STR(
    "Lock()\n--\n\n"
    "A lock that one thread at a time holds, and any may release.\n\n"
    "Who waits longest is woken first, but a thread that comes just then may\n"
    "be faster.  Waits end for signals.  A forked child has it as it was.\n"
    "Mirrors `threading.Lock`.");

static PyType_Slot lock_slots[] = {
    {Py_tp_doc, lock_doc},
#if PY_VERSION_HEX >= 0x030D0000
    {Py_tp_new, (void *)lock_new},
#endif
    {Py_tp_dealloc, (void *)lock_dealloc},
    {Py_tp_repr, (void *)lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_members, lock_members},
    {0, NULL},
};

/* As the interpreter's: never to be derived from, and before Python 3.13
 * threading.Lock is a function that makes one. */
PyType_Spec pyconc_lock_spec = {
    .name = "pyconc.threading.Lock",
    .basicsize = sizeof(struct lock),
#if PY_VERSION_HEX >= 0x030D0000
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
#else
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
#endif
    .slots = lock_slots,
};

static char rlock_doc[] = PyDoc_STR(
    "RLock(*args, **kwargs)\n--\n\n"
    "A lock that its holder may take again, and has to release as often.\n\n"
    "Who waits longest is woken first, but a thread that comes just then may\n"
    "be faster.  Waits end for signals.  A forked child has it as it was.\n"
    "Mirrors `threading.RLock`.");

static PyType_Slot rlock_slots[] = {
    {Py_tp_doc, rlock_doc},
    {Py_tp_new, (void *)rlock_new},
    {Py_tp_dealloc, (void *)lock_dealloc},
    {Py_tp_repr, (void *)rlock_repr},
    {Py_tp_methods, rlock_methods},
    {Py_tp_members, lock_members},
    {0, NULL},
};

PyType_Spec pyconc_rlock_spec = {
    .name = "pyconc.threading.RLock",
    .basicsize = sizeof(struct lock),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = rlock_slots,
};
