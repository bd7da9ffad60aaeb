/* threading.Event: a flag, and who waits for it. */
#include "locks/types.h"
#include "locks/waitlist.h"
#include "py/arguments.h"

struct event {
    PyObject_HEAD
    struct pyconc_waitlist waiting; /* for a verdict */
    uint8_t is_set;
};

#define EVENT(object) ((struct event *)(object))

PyObject *
pyconc_cannot_pickle(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyErr_Format(PyExc_TypeError,
                 "cannot pickle '%.200s' object: it belongs to the threads of "
                 "one process",
                 Py_TYPE(self)->tp_name);
    return NULL;
}

static int
event_init(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {NULL};

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, ":Event",
                                     pyconc_keywords(names))) {
        return -1;
    }
    EVENT(self)->is_set = 0;
    return 0;
}

static PyObject *
event_is_set(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(EVENT(self)->is_set);
}

static PyObject *
event_set(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    EVENT(self)->is_set = 1;
    if (EVENT(self)->waiting.first != NULL) {
        (void)pyconc_waitlist_wake(&EVENT(self)->waiting, PY_SSIZE_T_MAX, 0);
    }
    Py_RETURN_NONE;
}

static PyObject *
event_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    EVENT(self)->is_set = 0;
    Py_RETURN_NONE;
}

static const char *const wait_names[] = {"timeout", NULL};
static const struct pyconc_parameters wait_parameters = {"wait", 0,
                                                         wait_names};

static PyObject *
event_wait(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
           PyObject *keywords)
{
    struct event *event = EVENT(self);
    PyObject *timeout = NULL;
    int64_t deadline_ns;

    if (pyconc_arguments(&wait_parameters, arguments, count, keywords,
                         &timeout) < 0) {
        return NULL;
    }
    if (event->is_set) {
        Py_RETURN_TRUE;
    }
    if (pyconc_deadline_of_lock(timeout, &deadline_ns) < 0) {
        return NULL;
    }
    if (event->is_set) { /* by what the timeout's conversion ran */
        Py_RETURN_TRUE;
    }
    struct pyconc_place *place = pyconc_place_new();
    if (place == NULL) {
        return NULL;
    }
    pyconc_waitlist_join(&event->waiting, place, NULL);
    int status = pyconc_waitlist_wait(&event->waiting, place, deadline_ns);
    pyconc_place_free(place);
    return status < 0 ? NULL : PyBool_FromLong(status == 0);
}

static PyMethodDef event_methods[] = {
    {"is_set", event_is_set, METH_NOARGS,
     PyDoc_STR("is_set($self, /)\n--\n\nReturn whether the flag is true.")},
    {"set", event_set, METH_NOARGS,
     PyDoc_STR("set($self, /)\n--\n\n"
               "Make the flag true and wake every thread that waits.")},
    {"clear", event_clear, METH_NOARGS,
     PyDoc_STR("clear($self, /)\n--\n\nMake the flag false.")},
    {"wait", PYCONC_FAST_METHOD(event_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait until the flag is true, at most timeout seconds.\n\n"
               "Return False if the time was up, else True.")},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static char event_doc[] =
    PyDoc_STR("Event()\n--\n\nWhat threading.Event does.");

static PyType_Slot event_slots[] = {
    {Py_tp_doc, event_doc},
    {Py_tp_init, (void *)event_init},
    {Py_tp_methods, event_methods},
    {0, NULL},
};

PyType_Spec pyconc_event_spec = {
    .name = "pyconc._core.Event",
    .basicsize = sizeof(struct event),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = event_slots,
};
