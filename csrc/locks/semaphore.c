/* threading.Semaphore and BoundedSemaphore: permits, and who waits for one. */
#include "locks/permits.h"
#include "locks/types.h"
#include "py/arguments.h"

struct semaphore {
    PyObject_HEAD
    struct pyconc_permits permits;
    Py_ssize_t bound;          /* the most there may be; -1: no bound */
    uint8_t overrides_release; /* a subclass: `with` goes through it */
};

#define SEMAPHORE(object) ((struct semaphore *)(object))

static int
semaphore_init(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"value", NULL};
    PyObject *value = NULL;
    Py_ssize_t permits = 1;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:Semaphore",
                                     pyconc_keywords(names), &value)) {
        return -1;
    }
    if (value != NULL) {
        PyObject *zero = PyLong_FromLong(0);
        int negative =
            zero == NULL ? -1 : PyObject_RichCompareBool(value, zero, Py_LT);
        Py_XDECREF(zero);
        if (negative > 0) {
            PyErr_SetString(PyExc_ValueError,
                            "semaphore initial value must be >= 0");
        }
        if (negative != 0) {
            return -1;
        }
        permits = PyNumber_AsSsize_t(value, PyExc_OverflowError);
        if (permits == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    struct pyconc_state *state = pyconc_state_of(Py_TYPE(self));
    PyObject *ours = PyObject_GetAttr((PyObject *)state->semaphore_type,
                                      state->str_release);
    PyObject *theirs =
        PyObject_GetAttr((PyObject *)Py_TYPE(self), state->str_release);
    SEMAPHORE(self)->overrides_release = ours != theirs;
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
    if (PyErr_Occurred()) {
        return -1;
    }
    SEMAPHORE(self)->permits.available = permits;
    SEMAPHORE(self)->bound = -1;
    return 0;
}

/* --- acquire ------------------------------------------------------------- */

/* 1 with a permit, 0 without, -1 with an exception. */
static int
acquire(struct semaphore *semaphore, PyObject *blocking, PyObject *timeout)
{
    int blocks = blocking == NULL ? 1 : PyObject_IsTrue(blocking);
    int64_t deadline_ns;

    if (blocks < 0) {
        return -1;
    }
    if (!blocks && timeout != NULL && timeout != Py_None) {
        PyErr_SetString(PyExc_ValueError,
                        "can't specify timeout for non-blocking acquire");
        return -1;
    }
    if (!blocks) {
        return pyconc_permits_try(&semaphore->permits);
    }
    if (pyconc_permits_are_free(&semaphore->permits)) {
        timeout = NULL; /* not looked at, as in the standard library */
    }
    return pyconc_deadline_of_lock(timeout, &deadline_ns) < 0
               ? -1
               : pyconc_permits_take(&semaphore->permits, deadline_ns);
}

static const char *const acquire_names[] = {"blocking", "timeout", NULL};
static const struct pyconc_parameters acquire_parameters = {"acquire", 0,
                                                            acquire_names};

static PyObject *
semaphore_acquire(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                  PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};

    if (pyconc_arguments(&acquire_parameters, arguments, count, keywords,
                         out) < 0) {
        return NULL;
    }
    int status = acquire(SEMAPHORE(self), out[0], out[1]);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* --- release ------------------------------------------------------------- */

static PyObject *
release(struct semaphore *semaphore, Py_ssize_t count)
{
    if (count < 1) {
        PyErr_SetString(PyExc_ValueError, "n must be one or more");
        return NULL;
    }
    if (semaphore->bound >= 0 &&
        count > semaphore->bound - semaphore->permits.available) {
        PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
        return NULL;
    }
    if (count > PY_SSIZE_T_MAX - semaphore->permits.available) {
        PyErr_SetString(PyExc_OverflowError,
                        "a semaphore cannot hold so many permits");
        return NULL;
    }
    pyconc_permits_give(&semaphore->permits, count);
    Py_RETURN_NONE;
}

static const char *const release_names[] = {"n", NULL};
static const struct pyconc_parameters release_parameters = {"release", 0,
                                                            release_names};

static PyObject *
semaphore_release(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                  PyObject *keywords)
{
    PyObject *n = NULL;
    Py_ssize_t permits = 1;

    if (pyconc_arguments(&release_parameters, arguments, count, keywords, &n) <
        0) {
        return NULL;
    }
    if (n != NULL) {
        permits = PyNumber_AsSsize_t(n, PyExc_OverflowError);
        if (permits == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    return release(SEMAPHORE(self), permits);
}

static PyObject *
semaphore_exit(PyObject *self, PyObject *const *Py_UNUSED(arguments),
               Py_ssize_t Py_UNUSED(count))
{
    if (!SEMAPHORE(self)->overrides_release) {
        return release(SEMAPHORE(self), 1);
    }
    return PyObject_CallMethodNoArgs(
        self, pyconc_state_of(Py_TYPE(self))->str_release);
}

/* --- what it shows ------------------------------------------------------- */

static PyObject *
get_value(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(SEMAPHORE(self)->permits.available);
}

static int
set_value(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_ssize_t permits = value == NULL ? 0 : PyLong_AsSsize_t(value);

    if (permits == -1 && PyErr_Occurred()) {
        return -1;
    }
    SEMAPHORE(self)->permits.available = permits;
    pyconc_permits_give(&SEMAPHORE(self)->permits, 0);
    return 0;
}

static PyObject *
get_bound(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(SEMAPHORE(self)->bound);
}

static int
set_bound(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_ssize_t bound = value == NULL ? -1 : PyLong_AsSsize_t(value);

    if (bound == -1 && PyErr_Occurred()) {
        return -1;
    }
    SEMAPHORE(self)->bound = bound;
    return 0;
}

static PyMethodDef semaphore_methods[] = {
    {"acquire", PYCONC_FAST_METHOD(semaphore_acquire),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("acquire($self, /, blocking=True, timeout=None)\n--\n\n"
               "Take a permit, waiting for one at most timeout seconds.\n\n"
               "Return whether one was taken.")},
    {"__enter__", PYCONC_FAST_METHOD(semaphore_acquire),
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"release", PYCONC_FAST_METHOD(semaphore_release),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("release($self, /, n=1)\n--\n\n"
               "Give n permits back; wake so many threads that wait.")},
    {"__exit__", PYCONC_FAST_METHOD(semaphore_exit), METH_FASTCALL, NULL},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef semaphore_getset[] = {
    {"_value", get_value, set_value, NULL, NULL},
    {"_initial_value", get_bound, set_bound, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char semaphore_doc[] =
    PyDoc_STR("Semaphore(value=1)\n--\n\nWhat threading.Semaphore does.");

static PyType_Slot semaphore_slots[] = {
    {Py_tp_doc, semaphore_doc},
    {Py_tp_init, (void *)semaphore_init},
    {Py_tp_methods, semaphore_methods},
    {Py_tp_getset, semaphore_getset},
    {0, NULL},
};

PyType_Spec pyconc_semaphore_spec = {
    .name = "pyconc._core.Semaphore",
    .basicsize = sizeof(struct semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = semaphore_slots,
};
