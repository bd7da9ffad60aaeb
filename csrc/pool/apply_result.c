/* AsyncResult of Pool.apply_async, and what MapResult shares with it; after
 * Lib/multiprocessing/pool.py. */
#include "platform/clock.h"
#include "pool/results.h"
#include "py/compat.h"

#define AS_APPLY(object) ((struct pyconc_apply *)(object))

static struct pyconc_state *
state_of(PyObject *self)
{
    return pyconc_state_of(Py_TYPE(self));
}

/* --- submitting ---------------------------------------------------------- */

int
pyconc_submit_call(struct pyconc_engine *engine,
                   struct pyconc_outcome *outcome, PyObject *callable,
                   PyObject *arguments, PyObject *keywords)
{
    if (pyconc_engine_check_open(engine) < 0) {
        return -1;
    }
    if (engine->ops->call(engine, outcome, callable, arguments, keywords) ==
        0) {
        return 0;
    }
    if (pyconc_engine_refused(engine)) {
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
    if (submission->shape == PYCONC_SHAPE_CHUNK ||
        submission->shape == PYCONC_SHAPE_STAR_CHUNK) {
        submission->payload = items;
        submission->start = start;
        submission->end = end;
        return engine->ops->submit(engine, submission);
    }
    submission->payload = Py_NewRef(PySequence_Fast_GET_ITEM(items, start));
    int status = engine->ops->submit(engine, submission);
    Py_DECREF(submission->payload);
    return status;
}

/* Submits the tasks of a map; a failure to encode fails its task. */
static int
submit_items(struct pyconc_engine *engine, struct pyconc_map *map,
             const struct pyconc_callee *callee, PyObject *items,
             Py_ssize_t chunk, int star)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    struct pyconc_submission submission = {
        .target = PYCONC_TARGET_MAP,
        .shape = map->chunked
                     ? (star ? PYCONC_SHAPE_STAR_CHUNK : PYCONC_SHAPE_CHUNK)
                     : (star ? PYCONC_SHAPE_STAR : PYCONC_SHAPE_ONE),
        .owner = (PyObject *)map,
        .callee = callee,
        .siblings = &map->siblings,
    };

    for (Py_ssize_t start = 0; start < count; submission.index++) {
        Py_ssize_t end = count - start < chunk ? count : start + chunk;
        if (submit_item(engine, &submission, items, start, end) < 0) {
            if (pyconc_engine_refused(engine)) {
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
    struct pyconc_callee callee = {.callable = NULL};

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
    if (engine->ops->acquire(engine, callable, &callee) < 0) {
        if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
            Py_DECREF(map);
            return NULL;
        }
        PyObject *error = pyconc_error_take();
        map->remaining = 0;
        pyconc_outcome_arrive(&map->apply.outcome, error,
                              PYCONC_VALUE_EXCEPTION, 0);
        return (PyObject *)map;
    }
    int status = submit_items(engine, map, &callee, items, chunk, star);
    engine->ops->release(engine, &callee);
    if (status < 0) {
        Py_DECREF(map);
        return NULL;
    }
    return (PyObject *)map;
}

/* --- completion ---------------------------------------------------------- */

void
pyconc_apply_complete_special(struct pyconc_state *state,
                              struct pyconc_outcome *outcome)
{
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

/* As pyconc_outcome_wait. */
static int
await(PyObject *self, int64_t deadline_ns)
{
    struct pyconc_outcome *outcome = &AS_APPLY(self)->outcome;

    if (deadline_ns == CONC_NEVER && outcome->source != NULL &&
        PyObject_TypeCheck(self, state_of(self)->map_type)) {
        PyObject *engine = Py_NewRef(outcome->source->engine);
        int status = pyconc_engine_help(PYCONC_ENGINE(engine),
                                        &((struct pyconc_map *)self)->siblings,
                                        outcome);
        Py_DECREF(engine);
        if (status < 0) {
            return -1;
        }
    }
    return pyconc_outcome_wait(outcome, deadline_ns);
}

static PyObject *
apply_wait(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    int64_t deadline_ns;

    if (parse_timeout(arguments, keywords, "|O:wait", &deadline_ns) < 0 ||
        await(self, deadline_ns) < 0) {
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
    int waited = await(self, deadline_ns);
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
