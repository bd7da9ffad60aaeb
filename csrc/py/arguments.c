/* See arguments.h. */
#include "py/arguments.h"

static Py_ssize_t
find(const struct pyconc_parameters *parameters, PyObject *name)
{
    Py_ssize_t i = 0;

    while (parameters->names[i] != NULL &&
           PyUnicode_CompareWithASCIIString(name, parameters->names[i]) != 0) {
        i++;
    }
    return parameters->names[i] == NULL ? -1 : i;
}

static int
take_keywords(const struct pyconc_parameters *parameters,
              PyObject *const *arguments, Py_ssize_t count, PyObject *keywords,
              PyObject **out)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *name = PyTuple_GET_ITEM(keywords, i);
        Py_ssize_t index = find(parameters, name);
        if (index < 0) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got an unexpected keyword argument '%U'",
                         parameters->function, name);
            return -1;
        }
        if (index < count) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got multiple values for argument '%U'",
                         parameters->function, name);
            return -1;
        }
        out[index] = arguments[count + i];
    }
    return 0;
}

int
pyconc_arguments(const struct pyconc_parameters *parameters,
                 PyObject *const *arguments, Py_ssize_t count,
                 PyObject *keywords, PyObject **out)
{
    Py_ssize_t i;

    for (i = 0; i < count; i++) {
        if (parameters->names[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() takes at most %zd arguments (%zd given)",
                         parameters->function, i, count);
            return -1;
        }
        out[i] = arguments[i];
    }
    if (keywords != NULL &&
        take_keywords(parameters, arguments, count, keywords, out) < 0) {
        return -1;
    }
    for (i = 0; i < parameters->required; i++) {
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() missing required argument: '%s'",
                         parameters->function, parameters->names[i]);
            return -1;
        }
    }
    return 0;
}
