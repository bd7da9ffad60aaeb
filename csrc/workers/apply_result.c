/* AsyncResult of Pool.apply_async, and what MapResult shares with it; after
 * Lib/multiprocessing/pool.py. */
#include "codec/codec.h"
#include "platform/clock.h"
#include "py/compat.h"
#include "workers/results.h"

#define AS_APPLY(object) ((struct pyconc_apply *)(object))

static struct pyconc_state *
state_of(PyObject *self)
{
    return pyconc_state_of(Py_TYPE(self));
}

/* --- submitting ---------------------------------------------------------- */

static int
submit_encoded(struct pyconc_engine *engine, struct pyconc_outcome *outcome,
               uint32_t function, enum pyconc_operation operation,
               PyObject *payload)
{
    if (payload == NULL) {
        return -1;
    }
    struct pyconc_submission submission = {
        .target = PYCONC_TARGET_OUTCOME,
        .operation = operation,
        .owner = outcome->object,
        .outcome = outcome,
        .function = function,
        .payload = payload,
    };
    int status = pyconc_engine_submit(engine, &submission);
    Py_DECREF(payload);
    return status;
}

static int
submit_call(struct pyconc_engine *engine, struct pyconc_outcome *outcome,
            PyObject *callable, PyObject *arguments, PyObject *keywords)
{
    int has_keywords = keywords != NULL && PyObject_Length(keywords) != 0;
    uint32_t function;

    if (PyErr_Occurred()) {
        return -1;
    }
    int found = pyconc_function_acquire(engine, callable, &function);
    if (found < 0) {
        return -1;
    }
    if (found > 0) {
        return submit_encoded(
            engine, outcome, PYCONC_FUNCTION_NONE, PYCONC_CALL_JOINT,
            has_keywords ? PyTuple_Pack(3, callable, arguments, keywords)
                         : Py_BuildValue("(OO{})", callable, arguments));
    }
    int status;
    if (has_keywords) {
        status = submit_encoded(engine, outcome, function, PYCONC_CALL_KW,
                                PyTuple_Pack(2, arguments, keywords));
    }
    else if (PyTuple_CheckExact(arguments) &&
             PyTuple_GET_SIZE(arguments) == 1) {
        status = submit_encoded(engine, outcome, function, PYCONC_CALL_ONE,
                                Py_NewRef(PyTuple_GET_ITEM(arguments, 0)));
    }
    else {
        status = submit_encoded(engine, outcome, function, PYCONC_CALL_STAR,
                                Py_NewRef(arguments));
    }
    pyconc_function_release(engine, function);
    return status;
}

int
pyconc_submit_call(struct pyconc_engine *engine,
                   struct pyconc_outcome *outcome, PyObject *callable,
                   PyObject *arguments, PyObject *keywords)
{
    if (pyconc_engine_check_open(engine) < 0) {
        return -1;
    }
    if (submit_call(engine, outcome, callable, arguments, keywords) == 0) {
        return 0;
    }
    if (engine->phase != PYCONC_ENGINE_OPEN || engine->broken != NULL ||
        PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        return -1;
    }
    /* What cannot be encoded fails this task alone, through its outcome. */
    PyObject *error = pyconc_error_take();
    if (outcome->deferred && pyconc_engine_need_collector(engine) < 0) {
        Py_DECREF(error);
        return -1;
    }
    pyconc_outcome_arrive(outcome, error, PYCONC_VALUE_EXCEPTION, 0);
    return 0;
}

static PyObject *
optional(PyObject *object)
{
    return object == NULL || object == Py_None ? NULL : Py_NewRef(object);
}

static int
prepare(struct pyconc_engine *engine, struct pyconc_apply *apply,
        PyObject *callback, PyObject *error_callback)
{
    apply->outcome.object = (PyObject *)apply;
    apply->outcome.source = &engine->source;
    Py_INCREF(engine);
    apply->callback = optional(callback);
    apply->error_callback = optional(error_callback);
    if (apply->callback != NULL || apply->error_callback != NULL) {
        apply->outcome.deferred = 1;
        return pyconc_engine_need_collector(engine);
    }
    return 0;
}

PyObject *
pyconc_apply_start(struct pyconc_engine *engine, PyTypeObject *type,
                   PyObject *callable, PyObject *arguments, PyObject *keywords,
                   PyObject *callback, PyObject *error_callback)
{
    struct pyconc_apply *apply =
        (struct pyconc_apply *)type->tp_alloc(type, 0);

    if (apply == NULL) {
        return NULL;
    }
    if (prepare(engine, apply, callback, error_callback) < 0) {
        Py_DECREF(apply);
        return NULL;
    }
    if (!apply->outcome.deferred) {
        pyconc_outcome_untrack(&apply->outcome);
    }
    if (pyconc_submit_call(engine, &apply->outcome, callable, arguments,
                           keywords) < 0) {
        Py_DECREF(apply);
        return NULL;
    }
    return (PyObject *)apply;
}

/* --- maps ---------------------------------------------------------------- */

static int
submit_item(struct pyconc_engine *engine, struct pyconc_submission *submission,
            PyObject *items, Py_ssize_t start, Py_ssize_t end)
{
    if (end > PySequence_Fast_GET_SIZE(items)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the list changed size while it was submitted");
        return -1;
    }
    if (submission->operation == PYCONC_MAP_CHUNK ||
        submission->operation == PYCONC_STAR_CHUNK) {
        submission->payload = items;
        submission->start = start;
        submission->end = end;
        return pyconc_engine_submit(engine, submission);
    }
    submission->payload = Py_NewRef(PySequence_Fast_GET_ITEM(items, start));
    int status = pyconc_engine_submit(engine, submission);
    Py_DECREF(submission->payload);
    return status;
}

/* Submits the tasks of a map; a failure to encode fails its task. */
static int
submit_items(struct pyconc_engine *engine, struct pyconc_map *map,
             uint32_t function, PyObject *items, Py_ssize_t chunk, int star)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    struct pyconc_submission submission = {
        .target = PYCONC_TARGET_MAP,
        .operation = map->chunked
                         ? (star ? PYCONC_STAR_CHUNK : PYCONC_MAP_CHUNK)
                         : (star ? PYCONC_CALL_STAR : PYCONC_CALL_ONE),
        .owner = (PyObject *)map,
        .function = function,
    };

    for (Py_ssize_t start = 0; start < count; submission.index++) {
        Py_ssize_t end = count - start < chunk ? count : start + chunk;
        if (submit_item(engine, &submission, items, start, end) < 0) {
            if (engine->phase != PYCONC_ENGINE_OPEN ||
                engine->broken != NULL ||
                PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
                return -1;
            }
            pyconc_map_fail((PyObject *)map, submission.index);
        }
        start = end;
    }
    return 0;
}

PyObject *
pyconc_map_start(struct pyconc_engine *engine, PyTypeObject *type,
                 PyObject *callable, PyObject *items, Py_ssize_t chunk,
                 int star, PyObject *callback, PyObject *error_callback)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    Py_ssize_t tasks = count / chunk + (count % chunk != 0);
    uint32_t function = PYCONC_FUNCTION_NONE;

    if (pyconc_engine_check_open(engine) < 0) {
        return NULL;
    }
    struct pyconc_map *map = (struct pyconc_map *)type->tp_alloc(type, 0);
    if (map == NULL) {
        return NULL;
    }
    map->chunked = chunk != 1;
    map->remaining = tasks;
    map->answers = PyList_New(tasks);
    map->forms = PyMem_Calloc((size_t)tasks + 1, 1);
    if (map->answers == NULL || map->forms == NULL) {
        Py_DECREF(map);
        return PyErr_NoMemory();
    }
    PyObject_GC_UnTrack(map->answers);
    if (prepare(engine, &map->apply, callback, error_callback) < 0) {
        Py_DECREF(map);
        return NULL;
    }
    if (tasks == 0) {
        pyconc_outcome_arrive(&map->apply.outcome, Py_NewRef(Py_None),
                              PYCONC_VALUE_RESULT, 0);
        return (PyObject *)map;
    }
    int found = pyconc_function_acquire(engine, callable, &function);
    if (found > 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "more than 4096 maps with different functions that "
                        "cannot be imported by name are under way in this "
                        "pool; wait for some of them");
    }
    int status = found == 0
                     ? submit_items(engine, map, function, items, chunk, star)
                     : -1;
    if (found == 0) {
        pyconc_function_release(engine, function);
    }
    else if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyObject *error = pyconc_error_take();
        map->remaining = 0;
        pyconc_outcome_arrive(&map->apply.outcome, error,
                              PYCONC_VALUE_EXCEPTION, 0);
        return (PyObject *)map;
    }
    if (status < 0) {
        Py_DECREF(map);
        return NULL;
    }
    return (PyObject *)map;
}

/* --- completion ---------------------------------------------------------- */

void
pyconc_engine_complete_special(struct pyconc_engine *engine,
                               struct pyconc_outcome *outcome)
{
    struct pyconc_state *state = engine->state;
    struct pyconc_apply *apply = AS_APPLY(outcome->object);

    if (pyconc_apply_resolve(state, apply) < 0) {
        PyObject *error = pyconc_error_take();
        outcome->kind = PYCONC_VALUE_EXCEPTION;
        pyconc_outcome_set_value(outcome, error);
    }
    PyObject *callback = outcome->kind == PYCONC_VALUE_EXCEPTION
                             ? apply->error_callback
                             : apply->callback;
    if (callback != NULL) {
        PyObject *result = PyObject_CallOneArg(callback, outcome->value);
        if (result == NULL) {
            PyObject *error = pyconc_error_take();
            result = PyObject_CallOneArg(state->report_error, error);
            Py_DECREF(error);
            if (result == NULL) {
                PyErr_WriteUnraisable(callback);
            }
        }
        Py_XDECREF(result);
    }
    outcome->arrived = 0;
    outcome->state = PYCONC_FINISHED;
    Py_CLEAR(apply->callback);
    Py_CLEAR(apply->error_callback);
    pyconc_outcome_fire(outcome);
    pyconc_outcome_detach(outcome);
    Py_DECREF(apply);
}

/* --- methods ------------------------------------------------------------- */

static void
look(struct pyconc_outcome *outcome)
{
    if (outcome->source != NULL && !pyconc_outcome_is_done(outcome)) {
        outcome->source->ops->drain(outcome->source, PY_SSIZE_T_MAX);
    }
}

static int
parse_timeout(PyObject *arguments, PyObject *keywords, const char *format,
              int64_t *deadline_ns)
{
    static const char *const names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, format,
                                     pyconc_keywords(names), &timeout)) {
        return -1;
    }
    return pyconc_deadline_from_timeout(timeout, deadline_ns);
}

static PyObject *
apply_wait(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    int64_t deadline_ns;

    if (parse_timeout(arguments, keywords, "|O:wait", &deadline_ns) < 0 ||
        pyconc_outcome_wait(&AS_APPLY(self)->outcome, deadline_ns) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
apply_get(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    struct pyconc_apply *apply = AS_APPLY(self);
    struct pyconc_state *state = state_of(self);
    int64_t deadline_ns;

    if (parse_timeout(arguments, keywords, "|O:get", &deadline_ns) < 0) {
        return NULL;
    }
    int waited = pyconc_outcome_wait(&apply->outcome, deadline_ns);
    if (waited < 0) {
        return NULL;
    }
    if (waited == 1) {
        PyErr_SetNone(state->pool_timeout_error);
        return NULL;
    }
    if (pyconc_apply_resolve(state, apply) < 0) {
        return NULL;
    }
    if (apply->outcome.kind == PYCONC_VALUE_EXCEPTION) {
        return pyconc_raise_object(apply->outcome.value);
    }
    return Py_NewRef(apply->outcome.value);
}

static PyObject *
apply_ready(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    look(&AS_APPLY(self)->outcome);
    return PyBool_FromLong(pyconc_outcome_is_done(&AS_APPLY(self)->outcome));
}

static PyObject *
apply_successful(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_apply *apply = AS_APPLY(self);

    look(&apply->outcome);
    if (!pyconc_outcome_is_done(&apply->outcome)) {
        PyErr_Format(PyExc_ValueError, "%R not ready", self);
        return NULL;
    }
    if (pyconc_apply_resolve(state_of(self), apply) < 0) {
        return NULL;
    }
    return PyBool_FromLong(apply->outcome.kind == PYCONC_VALUE_RESULT);
}

static PyObject *
apply_setattr(PyObject *self, PyObject *arguments)
{
    return pyconc_outcome_setattr(&AS_APPLY(self)->outcome, arguments);
}

static PyObject *
get_dict(PyObject *self, void *Py_UNUSED(closure))
{
    return pyconc_outcome_get_dict(&AS_APPLY(self)->outcome);
}

static int
set_dict(PyObject *self, PyObject *dict, void *Py_UNUSED(closure))
{
    return pyconc_outcome_set_dict(&AS_APPLY(self)->outcome, dict);
}

static int
apply_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pyconc_apply *apply = AS_APPLY(self);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(apply->outcome.value);
    Py_VISIT(apply->outcome.attributes);
    Py_VISIT(apply->callback);
    Py_VISIT(apply->error_callback);
    return 0;
}

static int
apply_clear(PyObject *self)
{
    struct pyconc_apply *apply = AS_APPLY(self);

    pyconc_outcome_clear(&apply->outcome);
    Py_CLEAR(apply->callback);
    Py_CLEAR(apply->error_callback);
    return 0;
}

static void
apply_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)apply_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef apply_methods[] = {
    {"get", (PyCFunction)(void (*)(void))apply_get,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("get($self, /, timeout=None)\n--\n\n"
               "Return the result, or raise what the task raised.\n\n"
               "Waits up to `timeout` seconds (None: without limit), then\n"
               "raises multiprocessing.TimeoutError.  Thread-safe.\n"
               "Mirrors multiprocessing.pool.AsyncResult.get.")},
    {"wait", (PyCFunction)(void (*)(void))apply_wait,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait until the result is there, at most `timeout` seconds.")},
    {"ready", apply_ready, METH_NOARGS,
     PyDoc_STR("ready($self, /)\n--\n\nReturn True if get() would not wait.")},
    {"successful", apply_successful, METH_NOARGS,
     PyDoc_STR("successful($self, /)\n--\n\n"
               "Return True if the task returned, False if it raised.\n\n"
               "Raises ValueError if the result is not there yet.")},
    {"__setattr__", apply_setattr, METH_VARARGS,
     PyDoc_STR("__setattr__($self, name, value, /)\n--\n\n"
               "Implement setattr(self, name, value).")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("See PEP 585.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef apply_members[] = {
    {"__dictoffset__", Py_T_PYSSIZET,
     offsetof(struct pyconc_apply, outcome.attributes), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef apply_getset[] = {
    {"__dict__", get_dict, set_dict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char apply_doc[] =
    PyDoc_STR("The C half of AsyncResult; made by a Pool.");

static PyType_Slot apply_slots[] = {
    {Py_tp_doc, apply_doc},
    {Py_tp_dealloc, (void *)apply_dealloc},
    {Py_tp_traverse, (void *)apply_traverse},
    {Py_tp_clear, (void *)apply_clear},
    {Py_tp_methods, apply_methods},
    {Py_tp_members, apply_members},
    {Py_tp_getset, apply_getset},
    {0, NULL},
};

PyType_Spec pyconc_apply_spec = {
    .name = "pyconc._core.ApplyResultBase",
    .basicsize = sizeof(struct pyconc_apply),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = apply_slots,
};
