/* Engine: what Python sees of an engine of either kind. */
#include "module/module.h"
#include "pool/results.h"
#include "py/compat.h"

static PyObject *
engine_apply(PyObject *self, PyObject *arguments)
{
    PyObject *type, *callable, *positional, *keywords, *callback, *error;

    if (!PyArg_ParseTuple(arguments, "OOOOOO:apply", &type, &callable,
                          &positional, &keywords, &callback, &error)) {
        return NULL;
    }
    return pyconc_apply_start(PYCONC_ENGINE(self), (PyTypeObject *)type,
                              callable, positional, keywords, callback, error);
}

static PyObject *
engine_map(PyObject *self, PyObject *arguments)
{
    PyObject *type, *callable, *items, *callback, *error;
    Py_ssize_t chunk;
    int star;

    if (!PyArg_ParseTuple(arguments, "OOOnpOO:map", &type, &callable, &items,
                          &chunk, &star, &callback, &error)) {
        return NULL;
    }
    items = PySequence_Fast(items, "map needs an iterable");
    if (items == NULL) {
        return NULL;
    }
    PyObject *result =
        pyconc_map_start(PYCONC_ENGINE(self), (PyTypeObject *)type, callable,
                         items, chunk, star, callback, error);
    Py_DECREF(items);
    return result;
}

static PyObject *
engine_imap(PyObject *self, PyObject *arguments)
{
    PyObject *type, *callable, *iterable;
    Py_ssize_t chunk, buffer;
    int ordered;

    if (!PyArg_ParseTuple(arguments, "OOOnpn:imap", &type, &callable,
                          &iterable, &chunk, &ordered, &buffer)) {
        return NULL;
    }
    return pyconc_imap_start(PYCONC_ENGINE(self), (PyTypeObject *)type,
                             callable, iterable, chunk, ordered, buffer);
}

static PyObject *
engine_serve(PyObject *self, PyObject *pool)
{
    PYCONC_ENGINE(self)->pool = pool; /* borrowed: see engine.h */
    Py_RETURN_NONE;
}

static PyObject *
engine_fail(PyObject *self, PyObject *arguments)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    PyObject *error, *refusal = Py_None;

    if (!PyArg_ParseTuple(arguments, "O|O:fail", &error, &refusal)) {
        return NULL;
    }
    pyconc_engine_fail(engine, error, refusal != Py_None ? refusal : error);
    Py_RETURN_NONE;
}

static PyObject *
engine_cancel_queued(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    PyObject *owners = PyList_New(0);

    if (owners == NULL) {
        return NULL;
    }
    int status = engine->ops->list_owners(engine, owners);
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(owners); i++) {
        PyObject *owner = PyList_GET_ITEM(owners, i);
        if (PyObject_TypeCheck(owner, engine->state->future_type)) {
            PyObject *result = PyObject_CallMethod(owner, "cancel", NULL);
            status = result == NULL ? -1 : 0;
            Py_XDECREF(result);
        }
    }
    Py_DECREF(owners);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    if (engine->phase == PYCONC_ENGINE_OPEN) {
        engine->phase = PYCONC_ENGINE_CLOSING;
    }
    if (!pyconc_engine_is_ours(engine)) {
        Py_RETURN_FALSE;
    }
    engine->source.ops->drain(&engine->source, PY_SSIZE_T_MAX);
    engine->ops->settle(engine);
    return PyBool_FromLong(!pyconc_engine_is_idle(engine));
}

static PyObject *
engine_halt(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    engine->phase = PYCONC_ENGINE_ENDED;
    if (pyconc_engine_is_ours(engine)) {
        engine->ops->halt(engine);
        if (pyconc_engine_is_idle(engine)) {
            engine->ops->settle(engine);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_retire(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    engine->retiring = 1;
    if (engine->source.collector != NULL) {
        pyconc_waiter_wake(engine->source.collector);
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_need_collector(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (pyconc_engine_need_collector(PYCONC_ENGINE(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_collect(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    pyconc_engine_collect(PYCONC_ENGINE(self));
    Py_RETURN_NONE;
}

static PyObject *
engine_wait_idle(PyObject *self, PyObject *timeout)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    int64_t deadline_ns;

    if (pyconc_deadline_from_timeout(timeout, &deadline_ns) < 0) {
        return NULL;
    }
    engine->source.ops->drain(&engine->source, PY_SSIZE_T_MAX);
    if (pyconc_engine_is_idle(engine)) {
        Py_RETURN_TRUE;
    }
    int status =
        pyconc_engine_wait_on(engine, &engine->idle_waiters, deadline_ns);
    return status < 0 ? NULL : PyBool_FromLong(status == 0);
}

static PyObject *
get_pending(PyObject *self, void *Py_UNUSED(closure))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    /* An input that is still read will bring more. */
    return PyLong_FromSsize_t(
        engine->pending +
        (pyconc_engine_is_idle(engine) || engine->pending > 0 ? 0 : 1));
}

static PyObject *
get_broken(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *broken = PYCONC_ENGINE(self)->broken;

    return Py_NewRef(broken != NULL ? broken : Py_None);
}

static PyObject *
get_phase(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(PYCONC_ENGINE(self)->phase);
}

static PyMethodDef engine_methods[] = {
    {"apply", engine_apply, METH_VARARGS, NULL},
    {"map", engine_map, METH_VARARGS, NULL},
    {"imap", engine_imap, METH_VARARGS, NULL},
    {"fail", engine_fail, METH_VARARGS,
     PyDoc_STR(
         "fail($self, error, refusal=None, /)\n--\n\n"
         "Fail what is pending with error, later submits with refusal.")},
    {"serve", engine_serve, METH_O,
     PyDoc_STR("serve($self, pool, /)\n--\n\n"
               "Keep this pool alive while it has tasks; it alone submits.")},
    {"cancel_queued", engine_cancel_queued, METH_NOARGS,
     PyDoc_STR("cancel_queued($self, /)\n--\n\n"
               "Cancel every future that nobody has started.")},
    {"close", engine_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "Accept no more tasks; True if some are pending.")},
    {"halt", engine_halt, METH_NOARGS,
     PyDoc_STR("halt($self, /)\n--\n\n"
               "Have workers leave after their current task.")},
    {"retire", engine_retire, METH_NOARGS,
     PyDoc_STR("retire($self, /)\n--\n\n"
               "End the collector once nothing is pending.")},
    {"need_collector", engine_need_collector, METH_NOARGS, NULL},
    {"collect", engine_collect, METH_NOARGS,
     PyDoc_STR("collect($self, /)\n--\n\nThe collector thread's life.")},
    {"wait_idle", engine_wait_idle, METH_O,
     PyDoc_STR("wait_idle($self, timeout, /)\n--\n\n"
               "Wait until nothing is pending; False after `timeout` s.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef engine_getset[] = {
    {"pending", get_pending, NULL, NULL, NULL},
    {"broken", get_broken, NULL, NULL, NULL},
    {"phase", get_phase, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef engine_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET,
     offsetof(struct pyconc_engine, weak_references), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int
engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    return pyconc_engine_traverse(PYCONC_ENGINE(self), visit, arg);
}

static char engine_doc[] = PyDoc_STR("What runs the tasks of a pool.");

static PyType_Slot engine_slots[] = {
    {Py_tp_doc, engine_doc},         {Py_tp_traverse, (void *)engine_traverse},
    {Py_tp_methods, engine_methods}, {Py_tp_getset, engine_getset},
    {Py_tp_members, engine_members}, {0, NULL},
};

PyType_Spec pyconc_engine_spec = {
    .name = "pyconc._core.Engine",
    .basicsize = sizeof(struct pyconc_engine),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = engine_slots,
};
