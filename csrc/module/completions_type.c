/* Completions: a set of futures and the order in which they finish; what
 * wait() and as_completed() are made of. */
#include "future/future.h"
#include "module/module.h"
#include "platform/clock.h"
#include "py/compat.h"

struct completions {
    PyObject_HEAD
    struct pyconc_waiter waiter;
    struct pyconc_link *links; /* owns; one per future */
    PyObject *futures;         /* owns; list, NULL for those popped */
    Py_ssize_t count;
    struct pyconc_source *source; /* borrowed from what is unfinished */
    int source_is_known;
    Py_ssize_t helped; /* before this place nothing is left to help with */
};

#define AS_COMPLETIONS(object) ((struct completions *)(object))

static struct pyconc_outcome *
outcome_of(PyObject *future)
{
    return &((struct pyconc_future *)future)->outcome;
}

static int
is_settled(const struct pyconc_outcome *outcome)
{
    return outcome->state >= PYCONC_CANCELLED_AND_NOTIFIED;
}

static void
append_fired(struct completions *self, struct pyconc_link *link)
{
    struct pyconc_waiter *waiter = &self->waiter;

    if (waiter->fired_last == NULL) {
        waiter->fired_first = link;
    }
    else {
        waiter->fired_last->next_fired = link;
    }
    waiter->fired_last = link;
}

static PyObject *
completions_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"futures", NULL};
    struct pyconc_state *state = pyconc_state_of(type);
    PyObject *futures;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O",
                                     pyconc_keywords(names), &futures)) {
        return NULL;
    }
    struct completions *self = (struct completions *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->futures = PySequence_List(futures);
    if (self->futures == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(self->futures);
    self->links = PyMem_Calloc((size_t)count + 1, sizeof(*self->links));
    if (self->links == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    pyconc_waiter_init(&self->waiter, 0);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *future = PyList_GET_ITEM(self->futures, i);
        if (!PyObject_TypeCheck(future, state->future_type)) {
            PyErr_Format(PyExc_TypeError, "not a future of pyconc: %R",
                         future);
            Py_DECREF(self);
            return NULL;
        }
    }
    self->count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *future = PyList_GET_ITEM(self->futures, i);
        struct pyconc_link *link = &self->links[i];
        link->object = future;
        link->until_notified = 1;
        if (is_settled(outcome_of(future))) {
            append_fired(self, link);
        }
        else {
            pyconc_outcome_link(outcome_of(future), link, &self->waiter);
        }
    }
    return (PyObject *)self;
}

/* The source that all unfinished futures have in common, or NULL after
 * seeing to it that somebody drains each of theirs.  Found once: what is
 * unfinished later was so then, and holds its source. */
static int
common_source(struct completions *self, struct pyconc_source **source)
{
    struct pyconc_source *common = NULL;
    int several = 0;

    *source = self->source;
    if (self->source_is_known) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < self->count; i++) {
        if (self->links[i].waiter == NULL) {
            continue;
        }
        struct pyconc_source *other =
            outcome_of(self->links[i].object)->source;
        if (other != NULL && common == NULL) {
            common = other;
        }
        several = several || (other != NULL && other != common);
    }
    for (Py_ssize_t i = 0; several && i < self->count; i++) {
        struct pyconc_link *link = &self->links[i];
        if (link->waiter == NULL) {
            continue;
        }
        struct pyconc_source *other = outcome_of(link->object)->source;
        if (other != NULL && other->ops->need_collector(other) < 0) {
            return -1;
        }
    }
    *source = self->source = several ? NULL : common;
    self->source_is_known = 1;
    return 0;
}

static Py_ssize_t
count_unfired(const struct completions *self)
{
    Py_ssize_t unfired = 0;

    for (Py_ssize_t i = 0; i < self->count; i++) {
        unfired += self->links[i].waiter != NULL;
    }
    return unfired;
}

/* Before a wait without limit in a worker of a pool: run what is still queued
 * of these futures in that pool, as long as anything is missing.  0, or -1
 * with an exception. */
static int
help(struct completions *self, int64_t deadline_ns)
{
    if (deadline_ns != CONC_NEVER) {
        return 0;
    }
    while (self->waiter.missing > 0 && self->helped < self->count) {
        struct pyconc_link *link = &self->links[self->helped];
        struct pyconc_outcome *outcome =
            link->waiter == NULL ? NULL : outcome_of(link->object);
        if (outcome != NULL && outcome->task != NULL &&
            outcome->state == PYCONC_PENDING) {
            struct pyconc_source *source = outcome->source;
            if (source->ops->help != NULL &&
                source->ops->help(source, outcome->task) < 0) {
                return -1;
            }
        }
        self->helped++;
    }
    return 0;
}

/* wait(timeout, any, stop_at_error): until all have finished, or `any` one
 * more, or one has failed. */
static PyObject *
completions_wait(PyObject *object, PyObject *arguments)
{
    struct completions *self = AS_COMPLETIONS(object);
    PyObject *timeout;
    int any, stop_at_error;
    int64_t deadline_ns;
    struct pyconc_source *source;

    if (!PyArg_ParseTuple(arguments, "Opp:wait", &timeout, &any,
                          &stop_at_error) ||
        pyconc_deadline_from_timeout(timeout, &deadline_ns) < 0) {
        return NULL;
    }
    /* First: it may start threads, and meanwhile futures may finish. */
    if (common_source(self, &source) < 0) {
        return NULL;
    }
    if (any && self->waiter.fired_first != NULL) {
        Py_RETURN_TRUE;
    }
    if (stop_at_error) {
        for (struct pyconc_link *link = self->waiter.fired_first; link != NULL;
             link = link->next_fired) {
            if (pyconc_kind_is_error(outcome_of(link->object)->kind)) {
                Py_RETURN_TRUE;
            }
        }
    }
    Py_ssize_t unfired = count_unfired(self);
    self->waiter.stop_at_error = stop_at_error;
    self->waiter.missing = any && unfired > 0 ? 1 : unfired;
    if (help(self, deadline_ns) < 0) {
        return NULL;
    }
    int status = pyconc_wait(&self->waiter, source, deadline_ns);
    if (status < 0) {
        return NULL;
    }
    return PyBool_FromLong(status == 0);
}

/* next(deadline): the next future to finish, None at the deadline. */
static PyObject *
completions_next(PyObject *object, PyObject *timeout)
{
    struct completions *self = AS_COMPLETIONS(object);
    int64_t deadline_ns;

    if (self->waiter.fired_first == NULL) {
        struct pyconc_source *source;
        if (pyconc_deadline_from_timeout(timeout, &deadline_ns) < 0 ||
            common_source(self, &source) < 0) {
            return NULL;
        }
        /* Futures may have finished while that started threads. */
        self->waiter.missing = self->waiter.fired_first == NULL ? 1 : 0;
        if (help(self, deadline_ns) < 0) {
            return NULL;
        }
        int status = pyconc_wait(&self->waiter, source, deadline_ns);
        if (status < 0) {
            return NULL;
        }
        if (status == 1) {
            Py_RETURN_NONE;
        }
    }
    struct pyconc_link *link = self->waiter.fired_first;
    self->waiter.fired_first = link->next_fired;
    if (link->next_fired == NULL) {
        self->waiter.fired_last = NULL;
    }
    link->next_fired = NULL;
    PyObject *future = link->object;
    /* The list's reference goes to the caller: a future that has been handed
     * out is not kept alive from here. */
    link->object = NULL;
    PyList_SET_ITEM(self->futures, link - self->links, Py_NewRef(Py_None));
    return future;
}

/* unfinished(): the set of those that have not finished. */
static PyObject *
completions_unfinished(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct completions *self = AS_COMPLETIONS(object);
    PyObject *unfinished = PySet_New(NULL);

    for (Py_ssize_t i = 0; unfinished != NULL && i < self->count; i++) {
        PyObject *future = self->links[i].object;
        if (future != NULL && !is_settled(outcome_of(future)) &&
            PySet_Add(unfinished, future) < 0) {
            Py_CLEAR(unfinished);
        }
    }
    return unfinished;
}

/* accepts(set): whether all of them are futures of ours. */
static PyObject *
completions_accepts(PyObject *type, PyObject *futures)
{
    struct pyconc_state *state = pyconc_state_of((PyTypeObject *)type);
    PyObject *iterator = PyObject_GetIter(futures);
    PyObject *future;
    int ours = 1;

    if (iterator == NULL) {
        return NULL;
    }
    while (ours && (future = PyIter_Next(iterator)) != NULL) {
        ours = PyObject_TypeCheck(future, state->future_type);
        Py_DECREF(future);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(ours);
}

static int
completions_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(AS_COMPLETIONS(object)->futures);
    return 0;
}

static int
completions_clear(PyObject *object)
{
    struct completions *self = AS_COMPLETIONS(object);

    for (Py_ssize_t i = 0; i < self->count; i++) {
        if (self->links[i].waiter != NULL) {
            pyconc_outcome_unlink(outcome_of(self->links[i].object),
                                  &self->links[i]);
        }
    }
    self->count = 0;
    Py_CLEAR(self->futures);
    return 0;
}

static void
completions_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    (void)completions_clear(object);
    PyMem_Free(AS_COMPLETIONS(object)->links);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef completions_methods[] = {
    {"wait", completions_wait, METH_VARARGS,
     PyDoc_STR("wait($self, timeout, any, stop_at_error, /)\n--\n\n"
               "Wait until all have finished, or any, or one has failed;\n"
               "False after `timeout` seconds.")},
    {"next", completions_next, METH_O,
     PyDoc_STR("next($self, timeout, /)\n--\n\n"
               "Return the next one to finish, None after `timeout` s.")},
    {"unfinished", completions_unfinished, METH_NOARGS,
     PyDoc_STR("unfinished($self, /)\n--\n\n"
               "Return the set of those that have not finished.")},
    {"accepts", completions_accepts, METH_O | METH_CLASS,
     PyDoc_STR("accepts($type, futures, /)\n--\n\n"
               "Return whether all of them are futures of pyconc.")},
    {NULL, NULL, 0, NULL},
};

static char completions_doc[] = PyDoc_STR("Futures in the order they finish.");

static PyType_Slot completions_slots[] = {
    {Py_tp_doc, completions_doc},
    {Py_tp_new, (void *)completions_new},
    {Py_tp_dealloc, (void *)completions_dealloc},
    {Py_tp_traverse, (void *)completions_traverse},
    {Py_tp_clear, (void *)completions_clear},
    {Py_tp_methods, completions_methods},
    {0, NULL},
};

PyType_Spec pyconc_completions_spec = {
    .name = "pyconc._core.Completions",
    .basicsize = sizeof(struct completions),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = completions_slots,
};
