/* See awaiter.h. */
#include "locks/awaiter.h"

#include "locks/types.h"

struct awaiter {
    PyObject_HEAD
    struct pyconc_place place;
    struct pyconc_waitlist *list; /* in owner */
    PyObject *owner;              /* owns */
    pyconc_pass_on *pass_on;
    PyObject *callback; /* owns; NULL: not in the list */
};

#define AWAITER(object) ((struct awaiter *)(object))

PyObject *
pyconc_awaiter_new(struct pyconc_state *state, PyObject *owner,
                   struct pyconc_waitlist *list, pyconc_pass_on *pass_on)
{
    struct awaiter *self =
        AWAITER(state->awaiter_type->tp_alloc(state->awaiter_type, 0));

    if (self != NULL) {
        self->list = list;
        self->owner = Py_NewRef(owner);
        self->pass_on = pass_on;
    }
    return (PyObject *)self;
}

/* Whether an exception of the callback means that its event loop is closed, so
 * that nobody will come and look. */
static int
is_of_closed_loop(void)
{
    return PyErr_ExceptionMatches(PyExc_RuntimeError) &&
           !PyErr_ExceptionMatches(PyExc_RecursionError);
}

/* Call the callback; what a signal handler raises meanwhile is not its
 * error, so it is called again.  0, or -1 with an exception. */
static int
call_back(PyObject *callback)
{
    PyObject *first = NULL;

    for (int i = 0; i < 3; i++) {
        PyObject *result = PyObject_CallNoArgs(callback);
        if (result != NULL || is_of_closed_loop()) {
            Py_XDECREF(result);
            PyErr_Clear();
            if (first != NULL) {
                pyconc_error_restore(first);
            }
            return result == NULL ? 1 : 0;
        }
        PyObject *error = pyconc_error_take();
        if (first == NULL) {
            first = error;
        }
        else {
            Py_DECREF(error);
        }
    }
    pyconc_error_restore(first);
    return -1;
}

int
pyconc_awaiter_notify(PyObject *object)
{
    struct awaiter *self = AWAITER(Py_NewRef(object));
    PyObject *callback = Py_NewRef(self->callback);
    PyObject *before = PyErr_Occurred() ? pyconc_error_take() : NULL;
    int status = call_back(callback);

    /* Meanwhile the coroutine may have come, and waits anew: not our affair
     * then. */
    if (status != 0 && self->callback == callback && self->place.is_woken) {
        (void)pyconc_waitlist_leave(self->list, &self->place);
        if (status < 0) {
            pyconc_waitlist_rejoin(self->list, &self->place);
        }
    }
    status = PyErr_Occurred() ? -1 : 0;
    if (before != NULL) {
        if (status < 0) {
            PyErr_WriteUnraisable(callback);
        }
        pyconc_error_restore(before);
        status = 0;
    }
    Py_DECREF(callback);
    Py_DECREF(self);
    return status;
}

/* 0, or -1 with an exception of the one that was woken instead. */
static int
leave(struct awaiter *self)
{
    if (self->callback == NULL) {
        return 0;
    }
    (void)pyconc_waitlist_leave(self->list, &self->place);
    pyconc_waitlist_done(self->list, &self->place);
    Py_CLEAR(self->callback);
    return self->pass_on(self->owner, self->list);
}

static PyObject *
awaiter_join(PyObject *object, PyObject *callback)
{
    struct awaiter *self = AWAITER(object);
    PyObject *old = self->callback;

    self->callback = Py_NewRef(callback);
    if (old == NULL) {
        pyconc_waitlist_join(self->list, &self->place, object);
    }
    else {
        (void)pyconc_waitlist_leave(self->list, &self->place);
        pyconc_waitlist_rejoin(self->list, &self->place);
        Py_DECREF(old);
    }
    Py_RETURN_NONE;
}

static PyObject *
awaiter_leave(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (leave(AWAITER(object)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
awaiter_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(AWAITER(object)->owner);
    Py_VISIT(AWAITER(object)->callback);
    return 0;
}

static int
awaiter_clear(PyObject *object)
{
    if (leave(AWAITER(object)) < 0) {
        PyErr_WriteUnraisable(object);
    }
    return 0;
}

static void
awaiter_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    PyObject *error_type, *error, *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    (void)awaiter_clear(object);
    PyErr_Restore(error_type, error, traceback);
    Py_CLEAR(AWAITER(object)->owner);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef awaiter_methods[] = {
    {"join", awaiter_join, METH_O,
     PyDoc_STR("join($self, callback, /)\n--\n\n"
               "Enter the list, or enter it again in the old order.\n\n"
               "callback() is called once, in whatever thread, when it is\n"
               "worth while to look.")},
    {"leave", awaiter_leave, METH_NOARGS,
     PyDoc_STR("leave($self, /)\n--\n\n"
               "Leave the list; a wake that was not used goes to the next.")},
    {NULL, NULL, 0, NULL},
};

static char awaiter_doc[] = PyDoc_STR("A coroutine's place in a queue.");

static PyType_Slot awaiter_slots[] = {
    {Py_tp_doc, awaiter_doc},
    {Py_tp_dealloc, (void *)awaiter_dealloc},
    {Py_tp_traverse, (void *)awaiter_traverse},
    {Py_tp_clear, (void *)awaiter_clear},
    {Py_tp_methods, awaiter_methods},
    {0, NULL},
};

PyType_Spec pyconc_awaiter_spec = {
    .name = "pyconc._core.Awaiter",
    .basicsize = sizeof(struct awaiter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = awaiter_slots,
};
