#include "py/state.h"

#include <errno.h>
#include <math.h>

#include "platform/clock.h"
#include "platform/status.h"

PyObject *
pyconc_raise_status(struct pyconc_state *state, int status, const char *what,
                    const char *limit)
{
    int saved_errno = errno;

    if (status == CONC_CORRUPT) {
        PyErr_Format(state->corruption_error,
                     "%s: shared memory is damaged; some process wrote where "
                     "it must not (a faulty extension module?). Make a new "
                     "pool",
                     what);
    }
    else if (status == CONC_NOMEM && limit != NULL) {
        PyErr_Format(PyExc_MemoryError,
                     "%s: not enough memory, the limit is %s", what, limit);
    }
    else if (status == CONC_NOMEM) {
        PyErr_Format(PyExc_MemoryError, "%s: not enough memory", what);
    }
    else if (status == CONC_MISMATCH) {
        PyErr_Format(PyExc_RuntimeError,
                     "%s: the shared memory was made by another version of "
                     "pyconc; use one version in all processes",
                     what);
    }
    else {
        PyObject *text =
            PyUnicode_FromFormat("%s: %s", what, strerror(saved_errno));
        if (text != NULL) {
            PyObject *arguments = Py_BuildValue("(iN)", saved_errno, text);
            if (arguments != NULL) {
                PyErr_SetObject(PyExc_OSError, arguments);
                Py_DECREF(arguments);
            }
        }
    }
    return NULL;
}

int
pyconc_deadline_from_timeout(PyObject *timeout, int64_t *deadline_ns)
{
    if (timeout == NULL || timeout == Py_None) {
        *deadline_ns = CONC_NEVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError,
                        "timeout must be a number of seconds, not NaN");
        return -1;
    }
    if (seconds > 9.0e9) {
        *deadline_ns = CONC_NEVER;
        return 0;
    }
    if (seconds < 0) {
        seconds = 0;
    }
    *deadline_ns = conc_deadline_after((int64_t)(seconds * 1e9));
    return 0;
}

#define TIMEOUT_MAX_SECONDS 9223372036.0

int
pyconc_seconds(PyObject *timeout, double *seconds)
{
    if (PyFloat_Check(timeout)) {
        *seconds = PyFloat_AS_DOUBLE(timeout);
        return 0;
    }
    PyObject *number = PyNumber_Index(timeout);
    if (number == NULL) {
        return -1;
    }
    *seconds = PyLong_AsDouble(number);
    Py_DECREF(number);
    return *seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
}

int
pyconc_deadline_of_lock(PyObject *timeout, int64_t *deadline_ns)
{
    if (timeout == NULL || timeout == Py_None) {
        *deadline_ns = CONC_NEVER;
        return 0;
    }
    double seconds;
    if (pyconc_seconds(timeout, &seconds) < 0) {
        return -1;
    }
    if (seconds > TIMEOUT_MAX_SECONDS) {
        PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
        return -1;
    }
    *deadline_ns =
        seconds > 0 ? conc_deadline_after((int64_t)(seconds * 1e9)) : 0;
    return 0;
}
