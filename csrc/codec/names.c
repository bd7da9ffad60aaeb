/* Which callables pickle writes as a name: what save_global in _pickle.c
 * would find, and nothing that could be reduced in another way.  To be wrong
 * is allowed in one direction: 0 only costs speed. */
#include "codec/codec.h"

#include <stdbool.h>

/* Exactly these types: the stdlib's and others' tables may hold reducers for
 * other callables, and for classes with another metaclass. */
static bool
is_named_callable(PyObject *callable)
{
    if (PyFunction_Check(callable) || Py_IS_TYPE(callable, &PyType_Type)) {
        return true;
    }
    if (!PyCFunction_CheckExact(callable)) {
        return false;
    }
    /* A method of an object other than a module has that object as state. */
    PyObject *owner = PyCFunction_GET_SELF(callable); /* borrowed */

    return owner == NULL || PyModule_Check(owner);
}

/* A str attribute.  New reference; NULL, without an exception, if there is
 * none. */
static PyObject *
str_attribute(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);

    if (value != NULL && !PyUnicode_Check(value)) {
        Py_CLEAR(value);
    }
    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

/* Follow "A.b" from the module.  New reference; NULL, perhaps with an
 * exception, if it leads nowhere. */
static PyObject *
look_up(PyObject *module_name, PyObject *qualified_name)
{
    PyObject *found = PyImport_GetModule(module_name);
    PyObject *dot = PyUnicode_FromString(".");
    PyObject *names =
        dot == NULL ? NULL : PyUnicode_Split(qualified_name, dot, -1);

    Py_XDECREF(dot);
    if (names == NULL) {
        Py_CLEAR(found);
    }
    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i); /* borrowed */
        /* What stands behind it has no name. */
        PyObject *next =
            PyUnicode_CompareWithASCIIString(name, "<locals>") == 0
                ? NULL
                : PyObject_GetAttr(found, name);

        Py_SETREF(found, next);
    }
    Py_XDECREF(names);
    return found;
}

int
pyconc_is_by_reference(PyObject *callable, int *in_main)
{
    int is_reference = 0;

    *in_main = 0;
    if (!is_named_callable(callable)) {
        return 0;
    }
    PyObject *module_name = str_attribute(callable, "__module__");
    PyObject *qualified_name = str_attribute(callable, "__qualname__");

    if (module_name != NULL && qualified_name != NULL) {
        PyObject *found = look_up(module_name, qualified_name);

        is_reference = found == callable;
        Py_XDECREF(found);
        PyErr_Clear();
        *in_main =
            PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0;
    }
    Py_XDECREF(module_name);
    Py_XDECREF(qualified_name);
    return is_reference;
}
