/* What differs between the supported versions of CPython, under one name. */
#ifndef PYCONC_PY_COMPAT_H
#define PYCONC_PY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The GIL is the critical section of builds that have it. */
#if PY_VERSION_HEX < 0x030D0000
#    define Py_BEGIN_CRITICAL_SECTION(object) {
#    define Py_END_CRITICAL_SECTION() }
#endif

/* --- keyword names and members ------------------------------------------ */

/* PyArg_ParseTupleAndKeywords takes names without const before 3.13, and
 * changes none of them. */
static inline char **
pyconc_keywords(const char *const *names)
{
    union {
        const char *const *in;
        char **out;
    } cast = {.in = names};
    return cast.out;
}

#if PY_VERSION_HEX < 0x030C0000
#    include <structmember.h>
#    define Py_T_PYSSIZET T_PYSSIZET
#    define Py_READONLY READONLY
#endif

/* --- the error indicator as one object --------------------------------- */

/* The raised exception with its traceback, which is then no longer raised.
 * New reference; requires an exception. */
static inline PyObject *
pyconc_error_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

/* Raise what pyconc_error_take took.  Steals `error`. */
static inline void
pyconc_error_restore(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), error,
                  PyException_GetTraceback(error));
#endif
}

/* --- handled exceptions ------------------------------------------------- */

/* Begin to run code that is nested in what this thread does, but does not
 * belong to it: it handles no exception.  Returns what the matching call
 * takes; `item` lives until then. */
static inline _PyErr_StackItem *
pyconc_handled_begin(_PyErr_StackItem *item)
{
    PyThreadState *thread_state = PyThreadState_Get();
    _PyErr_StackItem *outer = thread_state->exc_info;

    *item = (_PyErr_StackItem){.previous_item = NULL};
    thread_state->exc_info = item;
    return outer;
}

static inline void
pyconc_handled_end(_PyErr_StackItem *item, _PyErr_StackItem *outer)
{
    PyThreadState_Get()->exc_info = outer;
    Py_CLEAR(item->exc_value);
}

/* --- exact ints; none of these runs user code -------------------------- */

/* Whether the int is one digit, which costs no call to read. */
static inline bool
pyconc_long_is_digit(PyObject *number, int64_t *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    const PyLongObject *digits = (const PyLongObject *)(void *)number;

    if (!PyUnstable_Long_IsCompact(digits)) {
        return false;
    }
    *value = PyUnstable_Long_CompactValue(digits);
    return true;
#else
    Py_ssize_t size = Py_SIZE(number); /* sign times number of digits */

    if (size < -1 || size > 1) {
        return false;
    }
    *value =
        size == 0 ? 0 : size * (int64_t)((PyLongObject *)number)->ob_digit[0];
    return true;
#endif
}

/* Whether the int has at most 64 bits. */
static inline bool
pyconc_long_fits(PyObject *number, int64_t *value)
{
    int overflow = 0;

    if (!pyconc_long_is_digit(number, value)) {
        *value = PyLong_AsLongLongAndOverflow(number, &overflow);
    }
    return overflow == 0;
}

/* Bytes that hold the int in two's complement.  0 on failure, with an
 * exception. */
static inline size_t
pyconc_long_bytes(PyObject *number)
{
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t size =
        PyLong_AsNativeBytes(number, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);

    return size < 0 ? 0 : (size_t)size;
#else
    size_t bits = _PyLong_NumBits(number);

    return bits == (size_t)-1 ? 0 : bits / 8 + 1;
#endif
}

/* Write the int as `size` little-endian bytes, as many as pyconc_long_bytes
 * said.  0, or -1 with an exception. */
static inline int
pyconc_long_write(PyObject *number, uint8_t *out, size_t size)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_AsNativeBytes(number, out, (Py_ssize_t)size,
                                Py_ASNATIVEBYTES_LITTLE_ENDIAN) < 0
               ? -1
               : 0;
#else
    return _PyLong_AsByteArray((PyLongObject *)number, out, size, 1, 1);
#endif
}

/* New reference, or NULL with an exception. */
static inline PyObject *
pyconc_long_read(const uint8_t *data, size_t size)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromNativeBytes(data, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
#else
    return _PyLong_FromByteArray(data, size, 1, 1);
#endif
}

/* Whether a str has its canonical form already; before 3.12 those made with
 * the old wchar_t functions get it late. */
static inline bool
pyconc_unicode_is_ready(PyObject *text)
{
#if PY_VERSION_HEX >= 0x030C0000
    (void)text;
    return true;
#else
    return PyUnicode_IS_READY(text);
#endif
}

#endif
