/* ThreadEngine: a pool of threads, as Python sees it. */
#include "module/module.h"
#include "platform/clock.h"
#include "platform/cpus.h"
#include "py/compat.h"
#include "threads/engine.h"
#include "threads/timers.h"

static PyObject *
engine_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"worker_limit",    "future_type",
                                        "start_collector", "idle_timeout",
                                        "copies_context",  NULL};
    Py_ssize_t worker_limit;
    PyObject *future_type, *start_collector, *idle_timeout = Py_None;
    int copies_context = 0;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "nOO|Op",
                                     pyconc_keywords(names), &worker_limit,
                                     &future_type, &start_collector,
                                     &idle_timeout, &copies_context)) {
        return NULL;
    }
    int64_t deadline_ns, now_ns = conc_clock_now_ns();
    if (pyconc_deadline_from_timeout(idle_timeout, &deadline_ns) < 0) {
        return NULL;
    }
    struct pyconc_thread_engine *engine =
        PYCONC_THREAD_ENGINE((PyObject *)pyconc_engine_new(
            type, future_type, start_collector, &pyconc_thread_engine_ops,
            &pyconc_thread_source_ops));
    if (engine == NULL) {
        return NULL;
    }
    struct pyconc_state *state = engine->base.state;
    if (state->cpu_count == 0) {
        state->cpu_count = (uint32_t)conc_cpus_usable();
    }
    engine->base.source.spin_limit = state->cpu_count - 1;
    engine->worker_limit = worker_limit;
    engine->idle_timeout_ns =
        deadline_ns == CONC_NEVER ? CONC_NEVER : deadline_ns - now_ns;
    engine->copies_context = (uint8_t)copies_context;
    return (PyObject *)engine;
}

static PyObject *
engine_work(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (pyconc_thread_work(PYCONC_THREAD_ENGINE(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_dismiss(PyObject *self, PyObject *argument)
{
    unsigned long ident = PyLong_AsUnsignedLong(argument);

    if (ident == (unsigned long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    pyconc_thread_dismiss(PYCONC_THREAD_ENGINE(self), ident);
    Py_RETURN_NONE;
}

static PyObject *
engine_after_fork(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(pyconc_engine_adopt(PYCONC_ENGINE(self)));
}

static PyObject *
engine_enable_timers(PyObject *self, PyObject *grow)
{
    if (pyconc_timers_enable(PYCONC_THREAD_ENGINE(self), grow) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_watch_timers(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    pyconc_timers_watch(PYCONC_THREAD_ENGINE(self));
    Py_RETURN_NONE;
}

static PyObject *
engine_cancel_timers(PyObject *self, PyObject *everything)
{
    int all = PyObject_IsTrue(everything);

    if (all < 0 || pyconc_timers_cancel(PYCONC_THREAD_ENGINE(self), all) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
get_timers(PyObject *self, void *Py_UNUSED(closure))
{
    const struct pyconc_timers *timers = PYCONC_THREAD_ENGINE(self)->timers;

    return PyLong_FromSize_t(timers == NULL ? 0 : timers->heap.count);
}

static PyObject *
get_queued(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(PYCONC_THREAD_ENGINE(self)->queued);
}

static PyObject *
get_idle(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(PYCONC_THREAD_ENGINE(self)->idle_count);
}

static PyObject *
get_worker_count(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(PYCONC_THREAD_ENGINE(self)->worker_count);
}

static int
set_worker_count(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_ssize_t count = value == NULL ? 0 : PyLong_AsSsize_t(value);

    if (count == -1 && PyErr_Occurred()) {
        return -1;
    }
    PYCONC_THREAD_ENGINE(self)->worker_count = count;
    return 0;
}

static int
engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pyconc_timers *timers = PYCONC_THREAD_ENGINE(self)->timers;

    if (timers != NULL) {
        Py_VISIT(timers->grow);
    }
    return pyconc_engine_traverse(PYCONC_ENGINE(self), visit, arg);
}

static int
engine_clear(PyObject *self)
{
    pyconc_engine_clear(PYCONC_ENGINE(self));
    return 0;
}

static void
engine_dealloc(PyObject *self)
{
    struct pyconc_thread_engine *engine = PYCONC_THREAD_ENGINE(self);
    PyTypeObject *type = Py_TYPE(self);

    /* Its workers and its tasks' owners hold it: there are none. */
    PyObject_GC_UnTrack(self);
    if (engine->base.weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)engine_clear(self);
    pyconc_timers_free(engine);
    Py_CLEAR(engine->base.future_type);
    Py_CLEAR(engine->base.held);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef engine_methods[] = {
    {"work", engine_work, METH_NOARGS,
     PyDoc_STR("work($self, /)\n--\n\nA worker thread's life.")},
    {"dismiss", engine_dismiss, METH_O,
     PyDoc_STR("dismiss($self, ident, /)\n--\n\n"
               "Have the worker of a thread leave after its task.")},
    {"after_fork", engine_after_fork, METH_NOARGS,
     PyDoc_STR("after_fork($self, /)\n--\n\n"
               "In a forked child: begin again, empty; False if a Pool's\n"
               "engine, which does not.")},
    {"enable_timers", engine_enable_timers, METH_O,
     PyDoc_STR("enable_timers($self, grow, /)\n--\n\n"
               "Let tasks wait for their time; grow() starts a worker.")},
    {"watch_timers", engine_watch_timers, METH_NOARGS,
     PyDoc_STR("watch_timers($self, /)\n--\n\n"
               "The life of the thread that sleeps until they are due.")},
    {"cancel_timers", engine_cancel_timers, METH_O,
     PyDoc_STR("cancel_timers($self, everything, /)\n--\n\n"
               "Cancel periodic tasks, or everything that waits for its\n"
               "time.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef engine_getset[] = {
    {"queued", get_queued, NULL, NULL, NULL},
    {"timers", get_timers, NULL, NULL, NULL},
    {"idle", get_idle, NULL, NULL, NULL},
    {"worker_count", get_worker_count, set_worker_count, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char engine_doc[] = PyDoc_STR("A pool of threads.");

static PyType_Slot engine_slots[] = {
    {Py_tp_doc, engine_doc},
    {Py_tp_new, (void *)engine_new},
    {Py_tp_dealloc, (void *)engine_dealloc},
    {Py_tp_traverse, (void *)engine_traverse},
    {Py_tp_clear, (void *)engine_clear},
    {Py_tp_methods, engine_methods},
    {Py_tp_getset, engine_getset},
    {0, NULL},
};

PyType_Spec pyconc_thread_engine_spec = {
    .name = "pyconc._core.ThreadEngine",
    .basicsize = sizeof(struct pyconc_thread_engine),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = engine_slots,
};
