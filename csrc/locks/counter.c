/* threading.AtomicInt: a number of 64 bits that threads share. */
#include "locks/types.h"
#include "platform/atomics.h"
#include "py/arguments.h"
#include "py/compat.h"

struct counter {
    PyObject_HEAD
    /* Sequentially consistent, as Python's own objects are; no other memory
     * hangs on it. */
    _Atomic int64_t value;
};

#define COUNTER(object) ((struct counter *)(object))

/* 0, or -1 with an exception. */
static int
to_int64(PyObject *number, int64_t *value)
{
    PyObject *index = PyNumber_Index(number);
    int overflow = 0;

    if (index == NULL) {
        return -1;
    }
    *value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0) {
        PyErr_SetString(PyExc_OverflowError,
                        "an AtomicInt holds 64 bits, from -2**63 to 2**63-1");
        return -1;
    }
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int
counter_init(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"value", NULL};
    PyObject *number = NULL;
    int64_t value = 0;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:AtomicInt",
                                     pyconc_keywords(names), &number) ||
        (number != NULL && to_int64(number, &value) < 0)) {
        return -1;
    }
    conc_store_sc(&COUNTER(self)->value, value);
    return 0;
}

/* Add to the value, or subtract from it; *result is the new one.  0, or -1
 * with OverflowError. */
static int
change(PyObject *self, PyObject *number, int subtracts, int64_t *result)
{
    int64_t by = 1;

    if (number != NULL && to_int64(number, &by) < 0) {
        return -1;
    }
    int64_t old = conc_load_sc(&COUNTER(self)->value);
    do {
        if (subtracts ? __builtin_sub_overflow(old, by, result)
                      : __builtin_add_overflow(old, by, result)) {
            PyErr_SetString(PyExc_OverflowError,
                            "the result does not fit the 64 bits of an "
                            "AtomicInt, which keeps its value");
            return -1;
        }
    } while (!conc_cas_sc(&COUNTER(self)->value, &old, *result));
    return 0;
}

static const char *const change_names[] = {"n", NULL};
static const struct pyconc_parameters add_parameters = {"add", 0,
                                                        change_names};
static const struct pyconc_parameters sub_parameters = {"sub", 0,
                                                        change_names};

static PyObject *
counter_add(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
            PyObject *keywords)
{
    PyObject *number = NULL;
    int64_t sum;

    if (pyconc_arguments(&add_parameters, arguments, count, keywords,
                         &number) < 0 ||
        change(self, number, 0, &sum) < 0) {
        return NULL;
    }
    return PyLong_FromLongLong(sum);
}

static PyObject *
counter_sub(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
            PyObject *keywords)
{
    PyObject *number = NULL;
    int64_t difference;

    if (pyconc_arguments(&sub_parameters, arguments, count, keywords,
                         &number) < 0 ||
        change(self, number, 1, &difference) < 0) {
        return NULL;
    }
    return PyLong_FromLongLong(difference);
}

static PyObject *
counter_load(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(conc_load_sc(&COUNTER(self)->value));
}

static PyObject *
counter_store(PyObject *self, PyObject *number)
{
    int64_t value;

    if (to_int64(number, &value) < 0) {
        return NULL;
    }
    conc_store_sc(&COUNTER(self)->value, value);
    Py_RETURN_NONE;
}

static PyObject *
counter_exchange(PyObject *self, PyObject *number)
{
    int64_t value;

    if (to_int64(number, &value) < 0) {
        return NULL;
    }
    return PyLong_FromLongLong(conc_exchange_sc(&COUNTER(self)->value, value));
}

static const char *const compare_names[] = {"expected", "desired", NULL};
static const struct pyconc_parameters compare_parameters = {"compare_exchange",
                                                            2, compare_names};

static PyObject *
counter_compare_exchange(PyObject *self, PyObject *const *arguments,
                         Py_ssize_t count, PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};
    int64_t expected, desired;

    if (pyconc_arguments(&compare_parameters, arguments, count, keywords,
                         out) < 0 ||
        to_int64(out[0], &expected) < 0 || to_int64(out[1], &desired) < 0) {
        return NULL;
    }
    return PyBool_FromLong(
        conc_cas_sc(&COUNTER(self)->value, &expected, desired));
}

static PyObject *
change_in_place(PyObject *self, PyObject *number, int subtracts)
{
    int64_t result;

    /* Not NotImplemented for what is no int: subclasses have this function as
     * sq_inplace_concat, too, which may not return that. */
    return change(self, number, subtracts, &result) < 0 ? NULL
                                                        : Py_NewRef(self);
}

static PyObject *
counter_inplace_add(PyObject *self, PyObject *number)
{
    return change_in_place(self, number, 0);
}

static PyObject *
counter_inplace_subtract(PyObject *self, PyObject *number)
{
    return change_in_place(self, number, 1);
}

static PyObject *
counter_int(PyObject *self)
{
    return counter_load(self, NULL);
}

static int
counter_bool(PyObject *self)
{
    return conc_load_sc(&COUNTER(self)->value) != 0;
}

/* By value, also among subclasses; there is no hash, since it changes. */
static PyObject *
counter_compare(PyObject *self, PyObject *other, int operation)
{
    PyObject *mine = counter_load(self, NULL);
    PyObject *result = NULL;

    if (mine == NULL) {
        return NULL;
    }
    if (Py_TYPE(other)->tp_richcompare == counter_compare) {
        PyObject *theirs = counter_load(other, NULL);
        if (theirs != NULL) {
            result = PyObject_RichCompare(mine, theirs, operation);
            Py_DECREF(theirs);
        }
    }
    else if (PyLong_Check(other) || PyFloat_Check(other)) {
        result = PyObject_RichCompare(mine, other, operation);
    }
    else {
        result = Py_NewRef(Py_NotImplemented);
    }
    Py_DECREF(mine);
    return result;
}

static PyMethodDef counter_methods[] = {
    {"add", PYCONC_FAST_METHOD(counter_add), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("add($self, /, n=1)\n--\n\nAdd n and return the new value.")},
    {"sub", PYCONC_FAST_METHOD(counter_sub), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("sub($self, /, n=1)\n--\n\n"
               "Subtract n and return the new value.")},
    {"load", counter_load, METH_NOARGS,
     PyDoc_STR("load($self, /)\n--\n\nReturn the value.")},
    {"store", counter_store, METH_O,
     PyDoc_STR("store($self, value, /)\n--\n\nSet the value.")},
    {"exchange", counter_exchange, METH_O,
     PyDoc_STR("exchange($self, value, /)\n--\n\n"
               "Set the value and return the old one.")},
    {"compare_exchange", PYCONC_FAST_METHOD(counter_compare_exchange),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("compare_exchange($self, /, expected, desired)\n--\n\n"
               "Set the value to desired if it is expected.\n\n"
               "Return whether it was.")},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static char counter_doc[] =
    PyDoc_STR("AtomicInt(value=0)\n--\n\nA number that threads share.");

static PyType_Slot counter_slots[] = {
    {Py_tp_doc, counter_doc},
    {Py_tp_init, (void *)counter_init},
    {Py_tp_methods, counter_methods},
    {Py_nb_inplace_add, (void *)counter_inplace_add},
    {Py_nb_inplace_subtract, (void *)counter_inplace_subtract},
    {Py_nb_int, (void *)counter_int},
    {Py_nb_bool, (void *)counter_bool},
    {Py_tp_richcompare, (void *)counter_compare},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {0, NULL},
};

PyType_Spec pyconc_counter_spec = {
    .name = "pyconc._core.AtomicInt",
    .basicsize = sizeof(struct counter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = counter_slots,
};
