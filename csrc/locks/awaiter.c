/* See awaiter.h. */
#include "locks/awaiter.h"

#include "locks/types.h"

struct awaiter {
    PyObject_HEAD
    struct pyconc_place place;
    struct pyconc_waitlist *list; /* in owner */
    PyObject *owner;              /* owns */
    void (*offer)(PyObject *owner);
    PyObject *callback; /* owns; NULL: not in the list */
};

#define AWAITER(object) ((struct awaiter *)(object))

PyObject *
pyconc_awaiter_new(struct pyconc_state *state, PyObject *owner,
                   struct pyconc_waitlist *list,
                   void (*offer)(PyObject *owner))
{
    struct awaiter *self =
        AWAITER(state->awaiter_type->tp_alloc(state->awaiter_type, 0));

    if (self != NULL) {
        self->list = list;
        self->owner = Py_NewRef(owner);
        self->offer = offer;
    }
    return (PyObject *)self;
}

void
pyconc_awaiter_notify(PyObject *object)
{
    struct awaiter *self = AWAITER(Py_NewRef(object));
    PyObject *callback = Py_NewRef(self->callback);
    PyObject *error_type, *error, *traceback;

    PyErr_Fetch(&error_type, &error, &traceback);
    PyObject *result = PyObject_CallNoArgs(callback);

    if (result == NULL) {
        /* The event loop is closed: nobody will come and look. */
        if (PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            PyErr_Clear();
        }
        else {
            PyErr_WriteUnraisable(callback);
        }
        (void)pyconc_waitlist_leave(self->list, &self->place);
    }
    PyErr_Restore(error_type, error, traceback);
    Py_XDECREF(result);
    Py_DECREF(callback);
    Py_DECREF(self);
}

static void
leave(struct awaiter *self)
{
    if (self->callback == NULL) {
        return;
    }
    (void)pyconc_waitlist_leave(self->list, &self->place);
    Py_CLEAR(self->callback);
    self->offer(self->owner);
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
    leave(AWAITER(object));
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
    leave(AWAITER(object));
    return 0;
}

static void
awaiter_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    PyObject *error_type, *error, *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    leave(AWAITER(object));
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
