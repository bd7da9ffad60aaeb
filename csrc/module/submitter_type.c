/* Submitter: the C half of our executors, because a Python function
 * with *args and **kwargs around each submit would cost as much as the
 * submit. */
#include "future/future.h"
#include "module/module.h"
#include "pool/results.h"
#include "py/compat.h"
#include "threads/engine.h"

struct submitter {
    PyObject_HEAD
    PyObject *engine; /* owns; NULL until the first submit */
};

#define AS_SUBMITTER(object) ((struct submitter *)(object))

int
pyconc_executor_hook(PyObject *self, const char *name)
{
    PyObject *result = PyObject_CallMethod(self, name, NULL);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The engine, open, or NULL with the exception that says why not.  One that
 * broke while it started is not refused: the task that started it was there
 * before, as in the stdlib. */
struct pyconc_engine *
pyconc_executor_open(PyObject *self)
{
    struct submitter *submitter = AS_SUBMITTER(self);
    int first = submitter->engine == NULL;

    if (first && pyconc_executor_hook(self, "_open") < 0) {
        return NULL;
    }
    struct pyconc_engine *engine = PYCONC_ENGINE(submitter->engine);
    if (engine == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the executor did not start");
        return NULL;
    }
    if (first && engine->broken != NULL) {
        return engine;
    }
    if (engine->phase != PYCONC_ENGINE_OPEN || engine->broken != NULL ||
        !pyconc_engine_adopt(engine)) {
        if (pyconc_executor_hook(self, "_refuse") == 0) {
            (void)pyconc_engine_check_open(engine);
        }
        return NULL;
    }
    return engine;
}

void
pyconc_executor_refused(PyObject *self, struct pyconc_engine *engine)
{
    if (engine->phase != PYCONC_ENGINE_OPEN &&
        PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        if (pyconc_executor_hook(self, "_refuse") == 0) {
            PyErr_SetString(PyExc_RuntimeError,
                            "cannot schedule new futures after shutdown");
        }
    }
}

int
pyconc_executor_pack(PyObject *const *arguments, Py_ssize_t first,
                     Py_ssize_t count, PyObject *names, PyObject **positional,
                     PyObject **keywords)
{
    *positional = PyTuple_New(count - first);
    *keywords = NULL;
    if (*positional == NULL) {
        return -1;
    }
    for (Py_ssize_t i = first; i < count; i++) {
        PyTuple_SET_ITEM(*positional, i - first, Py_NewRef(arguments[i]));
    }
    if (names == NULL || PyTuple_GET_SIZE(names) == 0) {
        return 0;
    }
    *keywords = PyDict_New();
    for (Py_ssize_t i = 0; *keywords != NULL && i < PyTuple_GET_SIZE(names);
         i++) {
        if (PyDict_SetItem(*keywords, PyTuple_GET_ITEM(names, i),
                           arguments[count + i]) < 0) {
            Py_CLEAR(*keywords);
        }
    }
    if (*keywords == NULL) {
        Py_CLEAR(*positional);
        return -1;
    }
    return 0;
}

int
pyconc_executor_grow(PyObject *self)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(AS_SUBMITTER(self)->engine);
    int status = pyconc_executor_hook(self, "_grow");

    if (engine->ops->has_grown != NULL) {
        engine->ops->has_grown(engine);
    }
    return status;
}

static PyObject *
submit_one(PyObject *self, struct pyconc_engine *engine, PyObject *callable,
           PyObject *arguments, PyObject *keywords,
           struct pyconc_native *native)
{
    struct pyconc_future *future = pyconc_future_new(
        (PyTypeObject *)engine->future_type, &engine->source);

    if (future == NULL) {
        pyconc_native_free(native);
        return NULL;
    }
    if (engine->broken != NULL) {
        pyconc_native_free(native);
        pyconc_outcome_arrive(&future->outcome, Py_NewRef(engine->broken),
                              PYCONC_VALUE_EXCEPTION, 0);
        return (PyObject *)future;
    }
    int status = native != NULL
                     ? pyconc_thread_submit_native(
                           PYCONC_THREAD_ENGINE(engine), &future->outcome,
                           callable, arguments, native)
                     : pyconc_submit_call(engine, &future->outcome, callable,
                                          arguments, keywords);
    if (status < 0) {
        Py_DECREF(future);
        pyconc_executor_refused(self, engine);
        return NULL;
    }
    /* More work than workers: start another, if the start method allows. */
    if (engine->ops->wants_worker(engine) && pyconc_executor_grow(self) < 0) {
        /* The caller is told; nobody may ever come for the task. */
        PyObject *error = pyconc_error_take();
        PyObject *cancelled =
            PyObject_CallMethod((PyObject *)future, "cancel", NULL);
        Py_XDECREF(cancelled);
        Py_DECREF(future);
        pyconc_raise_object(error);
        Py_DECREF(error);
        return NULL;
    }
    return (PyObject *)future;
}

PyObject *
pyconc_executor_submit(PyObject *self, PyObject *callable, PyObject *arguments,
                       PyObject *keywords, struct pyconc_native *native)
{
    struct pyconc_engine *engine = pyconc_executor_open(self);

    if (engine == NULL) {
        pyconc_native_free(native);
        return NULL;
    }
    return submit_one(self, engine, callable, arguments, keywords, native);
}

static PyObject *
submit(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
       PyObject *names)
{
    if (count < 1) {
        PyErr_Format(PyExc_TypeError,
                     "%s.submit() missing 1 required positional argument: "
                     "'fn'",
                     _PyType_Name(Py_TYPE(self)));
        return NULL;
    }
    struct pyconc_engine *engine = pyconc_executor_open(self);
    if (engine == NULL) {
        return NULL;
    }
    PyObject *positional, *keywords;
    if (pyconc_executor_pack(arguments, 1, count, names, &positional,
                             &keywords) < 0) {
        return NULL;
    }
    PyObject *result =
        submit_one(self, engine, arguments[0], positional, keywords, NULL);
    Py_XDECREF(keywords);
    Py_DECREF(positional);
    return result;
}

/* _submit_each(fn, iterator of argument tuples, limit) -> list of futures */
static PyObject *
submit_each(PyObject *self, PyObject *arguments)
{
    PyObject *callable, *iterator;
    Py_ssize_t limit;

    if (!PyArg_ParseTuple(arguments, "OOn:_submit_each", &callable, &iterator,
                          &limit)) {
        return NULL;
    }
    struct pyconc_engine *engine = pyconc_executor_open(self);
    PyObject *futures = engine == NULL ? NULL : PyList_New(0);
    if (futures == NULL) {
        return NULL;
    }
    while (limit < 0 || PyList_GET_SIZE(futures) < limit) {
        PyObject *item = PyIter_Next(iterator);
        if (item == NULL) {
            break;
        }
        engine = pyconc_executor_open(
            self); /* the iterator may have done anything */
        PyObject *future = engine == NULL ? NULL
                                          : submit_one(self, engine, callable,
                                                       item, NULL, NULL);
        Py_DECREF(item);
        if (future == NULL || PyList_Append(futures, future) < 0) {
            Py_XDECREF(future);
            break;
        }
        Py_DECREF(future);
    }
    if (PyErr_Occurred()) {
        Py_DECREF(futures);
        return NULL;
    }
    return futures;
}

static PyObject *
get_engine(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *engine = AS_SUBMITTER(self)->engine;

    return Py_NewRef(engine != NULL ? engine : Py_None);
}

static int
set_engine(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    struct pyconc_state *state = pyconc_state_of(Py_TYPE(self));

    if (value == NULL || !PyObject_TypeCheck(value, state->engine_type)) {
        PyErr_SetString(PyExc_TypeError, "_engine must be an Engine");
        return -1;
    }
    Py_XSETREF(AS_SUBMITTER(self)->engine, Py_NewRef(value));
    return 0;
}

static int
submitter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(AS_SUBMITTER(self)->engine);
    return 0;
}

static int
submitter_clear(PyObject *self)
{
    Py_CLEAR(AS_SUBMITTER(self)->engine);
    return 0;
}

static void
submitter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)submitter_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef submitter_methods[] = {
    {"submit", (PyCFunction)(void (*)(void))submit,
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "submit($self, fn, /, *args, **kwargs)\n--\n\n"
         "Schedule fn(*args, **kwargs) and return its Future.\n\n"
         "Raises RuntimeError after shutdown(), BrokenProcessPool once the\n"
         "pool is broken.  What cannot be pickled is the future's error.\n"
         "Thread-safe; not for use in a forked child.\n"
         "Mirrors concurrent.futures.Executor.submit.")},
    {"_submit_each", submit_each, METH_VARARGS,
     PyDoc_STR("_submit_each($self, fn, arguments, limit, /)\n--\n\n"
               "Submit for each tuple of arguments, at most `limit` (-1:\n"
               "all), and return the futures.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef submitter_getset[] = {
    {"_engine", get_engine, set_engine, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char submitter_doc[] = PyDoc_STR("The C half of an executor.");

static PyType_Slot submitter_slots[] = {
    {Py_tp_doc, submitter_doc},
    {Py_tp_new, (void *)PyType_GenericNew},
    {Py_tp_dealloc, (void *)submitter_dealloc},
    {Py_tp_traverse, (void *)submitter_traverse},
    {Py_tp_clear, (void *)submitter_clear},
    {Py_tp_methods, submitter_methods},
    {Py_tp_getset, submitter_getset},
    {0, NULL},
};

PyType_Spec pyconc_submitter_spec = {
    .name = "pyconc._core.Submitter",
    .basicsize = sizeof(struct submitter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = submitter_slots,
};
