/* What queue.Queue, LifoQueue and PriorityQueue do.
 *
 * A queue is `closed` as long as nobody has asked for its mutex or one of its
 * conditions, and no subclass overrides how items are kept.  All it does is
 * then here, protected by the GIL, and waiting goes through waitlists.  Else
 * it is `open` for good, and the methods of pyconc.queue.Queue named _open_*
 * take over: they work with a real mutex and real conditions, as the
 * documentation of the standard library lets everybody do.
 *
 * Items are in `items`: a deque, or a list for the other two kinds.  Only a
 * heap runs Python code while it is changed (comparisons), so only there
 * threads have to be kept away meanwhile: `heap_owner`. */
#include "locks/queue.h"

#include "locks/awaiter.h"
#include "locks/types.h"
#include "platform/clock.h"
#include "py/arguments.h"

/* A coroutine has left; what it was woken for goes to the next. */
static int
pass_on(PyObject *owner, struct pyconc_waitlist *list)
{
    return PYCONC_QUEUE(owner)->is_open
               ? pyconc_waitlist_offer(list, list->woken + 1)
               : pyconc_queue_offer_all(PYCONC_QUEUE(owner));
}

/* --- tasks --------------------------------------------------------------- */

static void
wake_joiners(struct pyconc_queue *self)
{
    if (self->joiners.first != NULL) {
        (void)pyconc_waitlist_wake(&self->joiners, PY_SSIZE_T_MAX, 0);
    }
}

static PyObject *
queue_task_done(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_queue *self = PYCONC_QUEUE(object);

    if (self->is_open) {
        return PyObject_CallMethodNoArgs(object,
                                         self->state->str_open_task_done);
    }
    if (self->unfinished <= 0) {
        PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
        return NULL;
    }
    if (--self->unfinished == 0) {
        wake_joiners(self);
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_join(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_queue *self = PYCONC_QUEUE(object);
    while (self->unfinished != 0 && !self->is_open) {
        struct pyconc_place *place = pyconc_place_new();
        if (place == NULL) {
            return NULL;
        }
        pyconc_waitlist_join(&self->joiners, place, NULL);
        int status = pyconc_waitlist_wait(&self->joiners, place, CONC_NEVER);
        pyconc_place_free(place);
        if (status < 0) {
            return NULL;
        }
    }
    if (self->is_open) {
        return PyObject_CallMethodNoArgs(object, self->state->str_open_join);
    }
    Py_RETURN_NONE;
}

/* --- opening ------------------------------------------------------------- */

/* Make the mutex and its conditions.  0, or -1. */
static int
make_conditions(struct pyconc_queue *self)
{
    PyObject *made = PyObject_CallMethodNoArgs(
        (PyObject *)self, self->state->str_make_conditions);

    if (made == NULL) {
        return -1;
    }
    if (!PyTuple_CheckExact(made) || PyTuple_GET_SIZE(made) != 4) {
        Py_DECREF(made);
        PyErr_SetString(PyExc_TypeError, "a queue needs four conditions");
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        if (self->conditions[i] == NULL) { /* another thread may be faster */
            self->conditions[i] = Py_NewRef(PyTuple_GET_ITEM(made, i));
        }
    }
    Py_DECREF(made);
    return 0;
}

static int
open_queue(struct pyconc_queue *self)
{
    if (pyconc_queue_check_made(self) < 0 ||
        pyconc_queue_wait_for_heap(self) < 0 ||
        (self->conditions[0] == NULL && make_conditions(self) < 0) ||
        pyconc_queue_wait_for_heap(self) < 0) {
        return -1;
    }
    if (self->is_open) {
        return 0;
    }
    self->is_open = 1;
    wake_joiners(self);
    return pyconc_queue_offer_everything(self);
}

static PyObject *
get_condition(PyObject *object, void *closure)
{
    if (!PYCONC_QUEUE(object)->is_open &&
        open_queue(PYCONC_QUEUE(object)) < 0) {
        return NULL;
    }
    return Py_NewRef(PYCONC_QUEUE(object)->conditions[(intptr_t)closure]);
}

/* Subclasses may have locks of their own. */
static int
set_condition(PyObject *object, PyObject *condition, void *closure)
{
    if (condition == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a queue needs its conditions");
        return -1;
    }
    if (!PYCONC_QUEUE(object)->is_open &&
        open_queue(PYCONC_QUEUE(object)) < 0) {
        return -1;
    }
    Py_XSETREF(PYCONC_QUEUE(object)->conditions[(intptr_t)closure],
               Py_NewRef(condition));
    return 0;
}

static PyObject *
queue_shutdown(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords)
{
    static const char *const names[] = {"immediate", NULL};
    static const struct pyconc_parameters parameters = {"shutdown", 0, names};
    struct pyconc_queue *self = PYCONC_QUEUE(object);
    PyObject *immediate = Py_False;

    if (pyconc_arguments(&parameters, arguments, count, keywords, &immediate) <
            0 ||
        pyconc_queue_check_made(self) < 0) {
        return NULL;
    }
    int drops = PyObject_IsTrue(immediate);
    /* Items' finalizers run when the queue is in order again. */
    PyObject *dropped =
        drops > 0 && !self->is_open ? PySequence_List(self->items) : NULL;
    if (drops < 0 || PyErr_Occurred() ||
        pyconc_queue_wait_for_heap(self) < 0) {
        Py_XDECREF(dropped);
        return NULL;
    }
    if (self->is_open) {
        Py_XDECREF(dropped);
        return PyObject_CallMethodOneArg(
            object, self->state->str_open_shutdown, immediate);
    }
    self->is_shutdown = 1;
    PyObject *cleared = Py_None;
    if (drops) {
        Py_ssize_t items = pyconc_queue_length(self);
        self->unfinished -=
            items < self->unfinished ? items : self->unfinished;
        cleared =
            PyObject_CallMethodNoArgs(self->items, self->state->str_clear);
        Py_XDECREF(cleared);
        wake_joiners(self);
    }
    int status = pyconc_queue_offer_everything(self);
    Py_XDECREF(dropped);
    return cleared == NULL || status < 0 ? NULL : Py_NewRef(Py_None);
}

/* --- what it shows ------------------------------------------------------- */

static PyObject *
queue_qsize(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (PYCONC_QUEUE(object)->is_open) {
        return PyObject_CallMethodNoArgs(
            object, PYCONC_QUEUE(object)->state->str_open_qsize);
    }
    return pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0
               ? NULL
               : PyLong_FromSsize_t(pyconc_queue_length(PYCONC_QUEUE(object)));
}

/* As qsize(), which a subclass may keep otherwise.  -1 with an exception. */
static Py_ssize_t
size_of(PyObject *object)
{
    if (pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0) {
        return -1;
    }
    if (!PYCONC_QUEUE(object)->is_open) {
        return pyconc_queue_length(PYCONC_QUEUE(object));
    }
    PyObject *size = queue_qsize(object, NULL);
    Py_ssize_t number = size == NULL ? -1 : PyNumber_AsSsize_t(size, NULL);
    Py_XDECREF(size);
    return number;
}

static PyObject *
queue_empty(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t size = size_of(object);

    return size == -1 && PyErr_Occurred() ? NULL : PyBool_FromLong(size == 0);
}

static PyObject *
queue_full(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t size = size_of(object);

    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(PYCONC_QUEUE(object)->limit > 0 &&
                           size >= PYCONC_QUEUE(object)->limit);
}

static PyObject *
queue_awaiter(PyObject *object, PyObject *getting)
{
    int gets = PyObject_IsTrue(getting);

    if (gets < 0 || pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0) {
        return NULL;
    }
    return pyconc_awaiter_new(PYCONC_QUEUE(object)->state, object,
                              gets ? &PYCONC_QUEUE(object)->getter_tasks
                                   : &PYCONC_QUEUE(object)->putter_tasks,
                              pass_on);
}

/* An open queue has notified: n coroutines shall look. */
static PyObject *
queue_notify_tasks(PyObject *object, PyObject *arguments)
{
    int getting;
    Py_ssize_t n;

    if (!PyArg_ParseTuple(arguments, "pn:_pyconc_notify_tasks", &getting,
                          &n)) {
        return NULL;
    }
    struct pyconc_waitlist *list = getting
                                       ? &PYCONC_QUEUE(object)->getter_tasks
                                       : &PYCONC_QUEUE(object)->putter_tasks;
    if (n > 0 && pyconc_waitlist_offer(list, n < PY_SSIZE_T_MAX - list->woken
                                                 ? list->woken + n
                                                 : PY_SSIZE_T_MAX) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
get_items(PyObject *object, void *Py_UNUSED(closure))
{
    return pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0
               ? NULL
               : Py_NewRef(PYCONC_QUEUE(object)->items);
}

static int
set_items(PyObject *object, PyObject *items, void *Py_UNUSED(closure))
{
    struct pyconc_queue *self = PYCONC_QUEUE(object);

    if (items == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a queue needs its items");
        return -1;
    }
    PyTypeObject *wanted =
        self->kind == PYCONC_FIFO ? self->state->deque_type : &PyList_Type;
    if (!self->is_open && Py_TYPE(items) != wanted) {
        /* Some other container: only Python's methods can use it. */
        if (self->items == NULL) {
            self->items = Py_NewRef(items);
        }
        if (open_queue(self) < 0) {
            return -1;
        }
    }
    if (pyconc_queue_wait_for_heap(self) < 0) {
        return -1;
    }
    Py_XSETREF(self->items, Py_NewRef(items));
    return self->is_open ? 0 : pyconc_queue_offer(self);
}

static PyObject *
get_maxsize(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *maxsize = PYCONC_QUEUE(object)->maxsize;

    return maxsize == NULL ? PyLong_FromLong(0) : Py_NewRef(maxsize);
}

/* How many items a maxsize allows; 0: any number.  -1 with an exception. */
static Py_ssize_t
limit_of(PyObject *maxsize)
{
    double number = PyFloat_AsDouble(maxsize);

    if (number == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear(); /* a huge int, with whatever sign */
        return 0;
    }
    if (!(number > 0) || number >= (double)PY_SSIZE_T_MAX) {
        return 0;
    }
    Py_ssize_t limit = (Py_ssize_t)number;
    return (double)limit < number ? limit + 1 : limit;
}

static int
set_maxsize(PyObject *object, PyObject *maxsize, void *Py_UNUSED(closure))
{
    if (maxsize == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a queue needs its maxsize");
        return -1;
    }
    Py_ssize_t limit = limit_of(maxsize);
    if (limit < 0) {
        return -1;
    }
    PYCONC_QUEUE(object)->limit = limit;
    Py_XSETREF(PYCONC_QUEUE(object)->maxsize, Py_NewRef(maxsize));
    if (PYCONC_QUEUE(object)->is_open) {
        return pyconc_waitlist_offer(&PYCONC_QUEUE(object)->putter_tasks,
                                     PY_SSIZE_T_MAX);
    }
    return PYCONC_QUEUE(object)->items == NULL
               ? 0
               : pyconc_queue_offer(PYCONC_QUEUE(object));
}

static PyObject *
get_unfinished(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(PYCONC_QUEUE(object)->unfinished);
}

static int
set_unfinished(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    Py_ssize_t unfinished = value == NULL ? 0 : PyLong_AsSsize_t(value);

    if (unfinished == -1 && PyErr_Occurred()) {
        return -1;
    }
    PYCONC_QUEUE(object)->unfinished = unfinished;
    if (unfinished == 0) {
        wake_joiners(PYCONC_QUEUE(object));
    }
    return 0;
}

static PyObject *
get_is_shutdown(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(PYCONC_QUEUE(object)->is_shutdown);
}

static int
set_is_shutdown(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    int is_shutdown = value == NULL ? 0 : PyObject_IsTrue(value);

    if (is_shutdown < 0) {
        return -1;
    }
    PYCONC_QUEUE(object)->is_shutdown = (uint8_t)is_shutdown;
    return 0;
}

/* --- the object ---------------------------------------------------------- */

/* A class's number from pyconc.queue. */
static int
class_number(PyTypeObject *type, const char *method)
{
    PyObject *value = PyObject_CallMethod((PyObject *)type, method, NULL);
    int number = value == NULL ? -1 : (int)PyLong_AsLong(value);

    Py_XDECREF(value);
    return number == -1 && PyErr_Occurred() ? -1 : number;
}

static PyObject *
queue_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments),
          PyObject *Py_UNUSED(keywords))
{
    int kind = class_number(type, "_pyconc_kind");
    int overrides = kind < 0 ? -1 : class_number(type, "_pyconc_overrides");

    if (overrides < 0) {
        return NULL;
    }
    struct pyconc_queue *self = PYCONC_QUEUE(type->tp_alloc(type, 0));
    if (self != NULL) {
        self->state = pyconc_state_of(type);
        self->kind = (uint8_t)kind;
        self->overrides_hooks = (overrides & 1) != 0;
        self->overrides_put = (overrides & 2) != 0;
        self->overrides_get = (overrides & 4) != 0;
    }
    return (PyObject *)self;
}

static int
queue_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"maxsize", NULL};
    struct pyconc_queue *self = PYCONC_QUEUE(object);
    PyObject *maxsize = NULL;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:Queue",
                                     pyconc_keywords(names), &maxsize) ||
        (maxsize != NULL && set_maxsize(object, maxsize, NULL) < 0)) {
        return -1;
    }
    self->is_shutdown = 0;
    self->unfinished = 0;
    if (!self->overrides_hooks) {
        PyObject *items =
            self->kind == PYCONC_FIFO
                ? PyObject_CallNoArgs((PyObject *)self->state->deque_type)
                : PyList_New(0);
        if (items == NULL || pyconc_queue_wait_for_heap(self) < 0) {
            Py_XDECREF(items);
            return -1;
        }
        Py_XSETREF(self->items, items);
        return 0;
    }
    if (self->items == NULL) {
        self->items = Py_NewRef(Py_None); /* _init may keep them elsewhere */
    }
    if (open_queue(self) < 0) {
        return -1;
    }
    PyObject *given =
        maxsize == NULL ? PyLong_FromLong(0) : Py_NewRef(maxsize);
    PyObject *done =
        given == NULL
            ? NULL
            : PyObject_CallMethodOneArg(object, self->state->str_init, given);
    Py_XDECREF(given);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
is_name(PyObject *name, PyObject *wanted)
{
    return name == wanted || PyUnicode_Compare(name, wanted) == 0;
}

/* A hook may also be set on an object. */
static int
queue_setattro(PyObject *object, PyObject *name, PyObject *value)
{
    struct pyconc_queue *self = PYCONC_QUEUE(object);

    if (PyObject_GenericSetAttr(object, name, value) < 0) {
        return -1;
    }
    if (!PyUnicode_Check(name)) {
        return 0;
    }
    if (is_name(name, self->state->str_put)) {
        self->overrides_put = 1;
    }
    else if (is_name(name, self->state->str_get)) {
        self->overrides_get = 1;
    }
    else if (!self->is_open && self->items != NULL &&
             (is_name(name, self->state->str_put_hook) ||
              is_name(name, self->state->str_get_hook) ||
              is_name(name, self->state->str_qsize))) {
        return open_queue(self);
    }
    return 0;
}

static int
queue_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(PYCONC_QUEUE(object)->items);
    Py_VISIT(PYCONC_QUEUE(object)->maxsize);
    for (int i = 0; i < 4; i++) {
        Py_VISIT(PYCONC_QUEUE(object)->conditions[i]);
    }
    return 0;
}

static int
queue_clear(PyObject *object)
{
    Py_CLEAR(PYCONC_QUEUE(object)->items);
    Py_CLEAR(PYCONC_QUEUE(object)->maxsize);
    return 0;
}

static void
queue_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    (void)queue_clear(object);
    for (int i = 0; i < 4; i++) {
        Py_CLEAR(PYCONC_QUEUE(object)->conditions[i]);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef queue_methods[] = {
    {"put", PYCONC_FAST_METHOD(pyconc_queue_put),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put($self, /, item, block=True, timeout=None)\n--\n\n"
               "Put an item in, waiting for room at most timeout seconds.\n\n"
               "Raises Full if there is none, ShutDown after shutdown().")},
    {"get", PYCONC_FAST_METHOD(pyconc_queue_get),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("get($self, /, block=True, timeout=None)\n--\n\n"
               "Take an item out, waiting for one at most timeout seconds.\n\n"
               "Raises Empty if there is none, ShutDown after shutdown().")},
    {"put_nowait", PYCONC_FAST_METHOD(pyconc_queue_put_nowait),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put_nowait($self, /, item)\n--\n\n"
               "Put an item in; Full if there is no room.")},
    {"get_nowait", pyconc_queue_get_nowait, METH_NOARGS,
     PyDoc_STR("get_nowait($self, /)\n--\n\n"
               "Take an item out; Empty if there is none.")},
    {"put_many", PYCONC_FAST_METHOD(pyconc_queue_put_many),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put_many($self, /, items, block=True, timeout=None)\n--\n\n"
               "Put all items in, in order, within timeout seconds.\n\n"
               "An exception's `remaining` has those that were not put.")},
    {"get_many", PYCONC_FAST_METHOD(pyconc_queue_get_many),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "get_many($self, /, max, timeout=None)\n--\n\n"
         "Take what there is, up to max items; wait for the first one.\n\n"
         "Raises Empty if none came within timeout seconds.")},
    {"task_done", queue_task_done, METH_NOARGS,
     PyDoc_STR("task_done($self, /)\n--\n\n"
               "Say that an item that was taken has been dealt with.\n\n"
               "Raises ValueError if there are no more such items.")},
    {"join", queue_join, METH_NOARGS,
     PyDoc_STR("join($self, /)\n--\n\n"
               "Wait until all items have been dealt with.")},
    {"shutdown", PYCONC_FAST_METHOD(queue_shutdown),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("shutdown($self, /, immediate=False)\n--\n\n"
               "Have put() raise ShutDown, and get() once it is empty.\n\n"
               "immediate drops the items that are left.")},
    {"qsize", queue_qsize, METH_NOARGS,
     PyDoc_STR("qsize($self, /)\n--\n\nReturn how many items there are.")},
    {"empty", queue_empty, METH_NOARGS,
     PyDoc_STR("empty($self, /)\n--\n\nReturn whether there are none.")},
    {"full", queue_full, METH_NOARGS,
     PyDoc_STR("full($self, /)\n--\n\nReturn whether there is no room.")},
    {"_pyconc_awaiter", queue_awaiter, METH_O,
     PyDoc_STR("_pyconc_awaiter($self, getting, /)\n--\n\n"
               "Make a place for a coroutine that waits.")},
    {"_pyconc_notify_tasks", queue_notify_tasks, METH_VARARGS,
     PyDoc_STR("_pyconc_notify_tasks($self, getting, n, /)\n--\n\n"
               "Have n coroutines that wait look.")},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef queue_getset[] = {
    {"queue", get_items, set_items, PyDoc_STR("The items."), NULL},
    {"maxsize", get_maxsize, set_maxsize,
     PyDoc_STR("How many items there may be; any number if not positive."),
     NULL},
    {"unfinished_tasks", get_unfinished, set_unfinished,
     PyDoc_STR("Items put and not yet said to be done."), NULL},
    {"is_shutdown", get_is_shutdown, set_is_shutdown,
     PyDoc_STR("Whether shutdown() was called."), NULL},
    {"mutex", get_condition, set_condition, NULL, (void *)0},
    {"not_empty", get_condition, set_condition, NULL, (void *)1},
    {"not_full", get_condition, set_condition, NULL, (void *)2},
    {"all_tasks_done", get_condition, set_condition, NULL, (void *)3},
    {NULL, NULL, NULL, NULL, NULL},
};

static char queue_doc[] =
    PyDoc_STR("Queue(maxsize=0)\n--\n\nWhat the queues of pyconc.queue do.");

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, queue_doc},
    {Py_tp_new, (void *)queue_new},
    {Py_tp_init, (void *)queue_init},
    {Py_tp_setattro, (void *)queue_setattro},
    {Py_tp_dealloc, (void *)queue_dealloc},
    {Py_tp_traverse, (void *)queue_traverse},
    {Py_tp_clear, (void *)queue_clear},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {0, NULL},
};

PyType_Spec pyconc_queue_spec = {
    .name = "pyconc._core.Queue",
    .basicsize = sizeof(struct pyconc_queue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = queue_slots,
};
