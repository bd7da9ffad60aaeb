/* Functions that import as others do, and then ask who shall answer.
 *
 * They stand for builtins.__import__, which import statements call, and for
 * importlib's _gcd_import, behind importlib.import_module. */
#include "launch/launch.h"
#include "py/arguments.h"

/* What such a function is bound to, a tuple. */
enum {
    PREVIOUS, /* the function that it stands for */
    WATCHED,  /* the set of first names of modules that are asked about */
    ANSWER,   /* answer(found, name, namespace, fromlist) -> module;
               * `found` may be the ModuleNotFoundError: returned as it is, it
               * is raised */
    BOUND,
};

static int
is_watched(PyObject *bound, PyObject *name)
{
    PyObject *watched = PyTuple_GET_ITEM(bound, WATCHED);
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, length, 1);

    if (dot < 0) {
        return PySet_Contains(watched, name);
    }
    PyObject *first = PyUnicode_Substring(name, 0, dot);
    if (first == NULL) {
        return -1;
    }
    int found = PySet_Contains(watched, first);
    Py_DECREF(first);
    return found;
}

/* Import by the previous function, and ask.  namespace NULL: the importer is
 * whoever called; fromlist NULL: the module itself is wanted, not the first of
 * its packages. */
static PyObject *
import_and_ask(PyObject *bound, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords, PyObject *name, PyObject *namespace,
               PyObject *fromlist)
{
    PyObject *error = NULL;
    PyObject *found = PyObject_Vectorcall(PyTuple_GET_ITEM(bound, PREVIOUS),
                                          arguments, (size_t)count, keywords);

    if (found == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) {
            return NULL;
        }
        found = error = pyconc_error_take();
    }
    PyObject *answer = PyObject_CallFunctionObjArgs(
        PyTuple_GET_ITEM(bound, ANSWER), found, name,
        namespace == NULL ? Py_None : namespace,
        fromlist == NULL ? Py_True : fromlist, NULL);
    if (answer != NULL && answer == error) {
        Py_DECREF(answer);
        pyconc_error_restore(error); /* ours of the two references */
        return NULL;
    }
    Py_DECREF(found);
    return answer;
}

static const char *const import_names[] = {
    "name", "globals", "locals", "fromlist", "level", NULL,
};
static const struct pyconc_parameters import_parameters = {
    .function = "__import__",
    .required = 1,
    .names = import_names,
};

static PyObject *
import_statement(PyObject *bound, PyObject *const *arguments, Py_ssize_t count,
                 PyObject *keywords)
{
    PyObject *given[5] = {NULL};
    long level = 0;

    if (pyconc_arguments(&import_parameters, arguments, count, keywords,
                         given) < 0) {
        return NULL;
    }
    if (given[4] != NULL) {
        level = PyLong_AsLong(given[4]);
        if (level == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    PyObject *fromlist = given[3] == NULL ? Py_None : given[3];
    /* An empty list: C code imports, and looks into sys.modules afterwards. */
    int is_c = PyList_CheckExact(fromlist) && PyList_GET_SIZE(fromlist) == 0;
    int asks = level == 0 && PyUnicode_Check(given[0]) && !is_c
                   ? is_watched(bound, given[0])
                   : 0;
    if (asks < 0) {
        return NULL;
    }
    if (!asks) {
        return PyObject_Vectorcall(PyTuple_GET_ITEM(bound, PREVIOUS),
                                   arguments, (size_t)count, keywords);
    }
    return import_and_ask(bound, arguments, count, keywords, given[0],
                          given[1] != NULL && PyDict_Check(given[1]) ? given[1]
                                                                     : NULL,
                          fromlist);
}

static const char *const by_name_names[] = {"name", "package", "level", NULL};
static const struct pyconc_parameters by_name_parameters = {
    .function = "_gcd_import",
    .required = 1,
    .names = by_name_names,
};

/* "package.name", for level 1; NULL with an exception, or without one if the
 * level is another: nobody writes that for the modules in question. */
static PyObject *
absolute_name(PyObject *name, PyObject *package, PyObject *level)
{
    if (PyLong_AsLong(level) != 1 || package == NULL) {
        return NULL;
    }
    return PyUnicode_FromFormat("%S.%S", package, name);
}

static PyObject *
import_by_name(PyObject *bound, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords)
{
    PyObject *given[3] = {NULL};

    if (pyconc_arguments(&by_name_parameters, arguments, count, keywords,
                         given) < 0) {
        return NULL;
    }
    int is_relative = given[2] == NULL ? 0 : PyObject_IsTrue(given[2]);
    if (is_relative < 0) {
        return NULL;
    }
    PyObject *name = is_relative ? absolute_name(given[0], given[1], given[2])
                                 : Py_NewRef(given[0]);
    int asks =
        name != NULL && PyUnicode_Check(name) ? is_watched(bound, name) : 0;
    PyObject *found = NULL;
    if (asks > 0) {
        found = import_and_ask(bound, arguments, count, keywords, name, NULL,
                               NULL);
    }
    else if (asks == 0) {
        PyErr_Clear(); /* of the name: it is judged there */
        found = PyObject_Vectorcall(PyTuple_GET_ITEM(bound, PREVIOUS),
                                    arguments, (size_t)count, keywords);
    }
    Py_XDECREF(name);
    return found;
}

static PyMethodDef import_statement_method = {
    "__import__", PYCONC_FAST_METHOD(import_statement),
    METH_FASTCALL | METH_KEYWORDS,
    PyDoc_STR("__import__($module, /, name, globals=None, locals=None,\n"
              "           fromlist=(), level=0)\n--\n\n"
              "Import a module; pyconc answers for those it replaces.")};
static PyMethodDef import_by_name_method = {
    "_gcd_import", PYCONC_FAST_METHOD(import_by_name),
    METH_FASTCALL | METH_KEYWORDS,
    PyDoc_STR("_gcd_import($module, /, name, package=None, level=0)\n--\n\n"
              "Import a module; pyconc answers for those it replaces.")};

static PyObject *
bind(PyMethodDef *method, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != BOUND || !PyCallable_Check(arguments[PREVIOUS]) ||
        !PySet_Check(arguments[WATCHED]) ||
        !PyCallable_Check(arguments[ANSWER])) {
        PyErr_SetString(PyExc_TypeError,
                        "a function, a set and a function are needed");
        return NULL;
    }
    PyObject *bound = PyTuple_Pack(BOUND, arguments[PREVIOUS],
                                   arguments[WATCHED], arguments[ANSWER]);
    if (bound == NULL) {
        return NULL;
    }
    PyObject *function = PyCFunction_New(method, bound);
    Py_DECREF(bound);
    return function;
}

static PyObject *
make_import(PyObject *Py_UNUSED(module), PyObject *const *arguments,
            Py_ssize_t count)
{
    return bind(&import_statement_method, arguments, count);
}

static PyObject *
make_import_by_name(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                    Py_ssize_t count)
{
    return bind(&import_by_name_method, arguments, count);
}

PyMethodDef pyconc_importing_methods[] = {
    {"make_import", PYCONC_FAST_METHOD(make_import), METH_FASTCALL,
     PyDoc_STR("make_import($module, previous, watched, answer, /)\n--\n\n"
               "Make a function that stands for builtins.__import__.")},
    {"make_import_by_name", PYCONC_FAST_METHOD(make_import_by_name),
     METH_FASTCALL,
     PyDoc_STR("make_import_by_name($module, previous, watched, answer, /)\n"
               "--\n\n"
               "Make a function that stands for importlib's _gcd_import.")},
    {NULL, NULL, 0, NULL},
};
