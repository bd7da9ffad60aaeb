/* Run a program as __main__, as the interpreter's own command line does.
 *
 * An exception that nobody catches is reported here, so that its traceback
 * does not show who called.  SystemExit ends the process from here. */
#include "launch/launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static PyObject *
status_object(int status)
{
    return PyLong_FromLong(status < 0 ? 1 : 0);
}

static PyObject *
run_file(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *path;
    PyCompilerFlags flags = {.cf_flags = 0,
                             .cf_feature_version = PY_MINOR_VERSION};

    if (!PyArg_ParseTuple(arguments, "O&:run_file", PyUnicode_FSConverter,
                          &path)) {
        return NULL;
    }
    FILE *file = fopen(PyBytes_AS_STRING(path), "rbe");
    if (file == NULL) {
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, PyBytes_AS_STRING(path));
        Py_DECREF(path);
        return NULL;
    }
    int status =
        PyRun_AnyFileExFlags(file, PyBytes_AS_STRING(path), 1, &flags);
    Py_DECREF(path);
    return status_object(status);
}

static PyObject *
run_input(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyCompilerFlags flags = {.cf_flags = 0,
                             .cf_feature_version = PY_MINOR_VERSION};

    return status_object(PyRun_AnyFileExFlags(stdin, "<stdin>", 0, &flags));
}

static PyObject *
run_string(PyObject *Py_UNUSED(module), PyObject *source)
{
    PyCompilerFlags flags = {.cf_flags = PyCF_IGNORE_COOKIE,
                             .cf_feature_version = PY_MINOR_VERSION};
    const char *text = PyUnicode_AsUTF8(source);

    if (text == NULL) {
        return NULL;
    }
    return status_object(PyRun_SimpleStringFlags(text, &flags));
}

/* run_call(function, *arguments): the status of a program that a function
 * runs.  Evaluated as source, because the interpreter ends as Ctrl-C ends it
 * only if that was what KeyboardInterrupt came out of. */
static PyObject *
run_call(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *names = Py_BuildValue("{s:O}", "arguments", arguments);

    if (names == NULL) {
        return NULL;
    }
    PyObject *result = PyRun_StringFlags("arguments[0](*arguments[1:])",
                                         Py_eval_input, names, names, NULL);
    Py_DECREF(names);
    if (result == NULL) {
        PyObject *error = pyconc_error_take();
        PyTracebackObject *traceback =
            (PyTracebackObject *)PyException_GetTraceback(error);
        if (traceback != NULL) {
            PyException_SetTraceback(error,
                                     traceback->tb_next == NULL
                                         ? Py_None
                                         : (PyObject *)traceback->tb_next);
            Py_DECREF(traceback);
        }
        pyconc_error_restore(error);
        PyErr_Print(); /* ends the process for SystemExit */
        return status_object(-1);
    }
    Py_DECREF(result);
    return status_object(0);
}

PyMethodDef pyconc_program_methods[] = {
    {"run_file", run_file, METH_VARARGS,
     PyDoc_STR("run_file($module, path, /)\n--\n\n"
               "Run a script, or compiled one; return its exit status.\n\n"
               "Raises OSError if it cannot be opened.")},
    {"run_input", run_input, METH_NOARGS,
     PyDoc_STR("run_input($module, /)\n--\n\n"
               "Run what standard input holds; return its exit status.")},
    {"run_string", run_string, METH_O,
     PyDoc_STR("run_string($module, source, /)\n--\n\n"
               "Run a program; return its exit status.")},
    {"run_call", run_call, METH_VARARGS,
     PyDoc_STR("run_call($module, function, /, *arguments)\n--\n\n"
               "Run a program by a call; return its exit status.")},
    {NULL, NULL, 0, NULL},
};
