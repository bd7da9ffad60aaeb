/* Arguments of METH_FASTCALL | METH_KEYWORDS methods. */
#ifndef PYCONC_PY_ARGUMENTS_H
#define PYCONC_PY_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A method's function pointer, as PyMethodDef wants it. */
#define PYCONC_FAST_METHOD(function) ((PyCFunction)(void (*)(void))(function))

/* A parameter list: names, NULL at the end, of which `required` must come. */
struct pyconc_parameters {
    const char *function;
    Py_ssize_t required;
    const char *const *names;
};

/* Put each argument at its parameter's place in `out` (borrowed); what was not
 * given stays as it was.  0, or -1 with TypeError. */
int pyconc_arguments(const struct pyconc_parameters *parameters,
                     PyObject *const *arguments, Py_ssize_t count,
                     PyObject *keywords, PyObject **out);

#endif
