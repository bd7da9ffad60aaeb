/* threading.Barrier: threads that wait for each other.
 *
 * The last one to come runs the action, then wakes the others with the
 * verdict PASSED; whoever breaks the barrier wakes them with BROKEN.  Their
 * places are taken out at once, so the next round can begin before the last
 * of them has run: there is no draining. */
#include "locks/types.h"
#include "locks/waitlist.h"
#include "platform/clock.h"
#include "py/arguments.h"

enum verdict { PASSED, BROKEN };
enum phase { FILLING, ACTING, BROKEN_DOWN };

struct barrier {
    PyObject_HEAD
    struct pyconc_state *state;
    struct pyconc_waitlist waiting;  /* for a verdict */
    struct pyconc_waitlist entering; /* for the action to end: a verdict */
    Py_ssize_t parties;
    Py_ssize_t count; /* that have come in this round */
    uint64_t rounds;
    PyObject *action;
    PyObject *timeout;
    uint8_t phase;  /* enum phase */
    uint8_t resets; /* reset() was called during the action */
};

#define BARRIER(object) ((struct barrier *)(object))

static int
barrier_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"parties", "action", "timeout", NULL};
    struct barrier *self = BARRIER(object);
    PyObject *action = Py_None, *timeout = Py_None;
    Py_ssize_t parties;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "n|OO:Barrier",
                                     pyconc_keywords(names), &parties, &action,
                                     &timeout)) {
        return -1;
    }
    if (parties < 1) {
        PyErr_SetString(PyExc_ValueError, "parties must be > 0");
        return -1;
    }
    self->state = pyconc_state_of(Py_TYPE(object));
    self->parties = parties;
    Py_XSETREF(self->action, Py_NewRef(action));
    Py_XSETREF(self->timeout, Py_NewRef(timeout));
    return 0;
}

/* --- rounds -------------------------------------------------------------- */

static void
begin_round(struct barrier *self, enum phase phase, enum verdict verdict)
{
    self->phase = (uint8_t)phase;
    self->count = 0;
    self->rounds++;
    (void)pyconc_waitlist_wake(&self->waiting, PY_SSIZE_T_MAX,
                               (uint8_t)verdict);
    (void)pyconc_waitlist_wake(&self->entering, PY_SSIZE_T_MAX, 0);
}

static PyObject *
raise_broken(struct barrier *self)
{
    PyErr_SetNone(self->state->broken_barrier_error);
    return NULL;
}

/* The last to come. 0, or -1 with the action's exception. */
static int
act(struct barrier *self)
{
    uint64_t round = self->rounds;

    self->phase = ACTING; /* first: the action's truth may run code, too */
    self->resets = 0;
    int is_true = PyObject_IsTrue(self->action);
    if (is_true > 0) {
        PyObject *action = Py_NewRef(self->action);
        PyObject *result = PyObject_CallNoArgs(action);
        Py_DECREF(action);
        if (result == NULL) {
            is_true = -1;
        }
        Py_XDECREF(result);
    }
    if (is_true < 0) {
        PyObject *error = pyconc_error_take();
        if (self->rounds == round) {
            begin_round(self, self->resets ? FILLING : BROKEN_DOWN, BROKEN);
        }
        pyconc_error_restore(error);
        return -1;
    }
    if (self->rounds == round) { /* no abort() during the action */
        begin_round(self, FILLING, PASSED);
    }
    return 0;
}

/* Wait for this round's verdict.  0 passed, 1 broken, -1 exception. */
static int
wait_for_verdict(struct barrier *self, int64_t deadline_ns)
{
    struct pyconc_place *place = pyconc_place_new();

    if (place == NULL) {
        self->count--;
        return -1;
    }
    pyconc_waitlist_join(&self->waiting, place, NULL);
    int status = pyconc_waitlist_wait(&self->waiting, place, deadline_ns);
    if (status > 0 && self->phase == ACTING) {
        /* All have come in time: the action decides. */
        pyconc_waitlist_rejoin(&self->waiting, place);
        status = pyconc_waitlist_wait(&self->waiting, place, CONC_NEVER);
    }
    if (status == 0) {
        status = place->verdict == PASSED ? 0 : 1;
    }
    else if (status > 0) {
        begin_round(self, BROKEN_DOWN, BROKEN);
    }
    else if (!place->is_woken && self->count > 0) {
        self->count--; /* interrupted: it has not come */
    }
    pyconc_place_free(place);
    return status;
}

/* While the action runs nobody enters.  0, or -1 with an exception. */
static int
wait_to_enter(struct barrier *self)
{
    struct pyconc_place *place = pyconc_place_new();

    if (place == NULL) {
        return -1;
    }
    pyconc_waitlist_join(&self->entering, place, NULL);
    int status = pyconc_waitlist_wait(&self->entering, place, CONC_NEVER);
    pyconc_place_free(place);
    return status;
}

static const char *const wait_names[] = {"timeout", NULL};
static const struct pyconc_parameters wait_parameters = {"wait", 0,
                                                         wait_names};

static PyObject *
barrier_wait(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
             PyObject *keywords)
{
    struct barrier *self = BARRIER(object);
    PyObject *timeout = Py_None;
    int64_t deadline_ns = CONC_NEVER;

    if (pyconc_arguments(&wait_parameters, arguments, count, keywords,
                         &timeout) < 0) {
        return NULL;
    }
    if (self->action == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Barrier.__init__() was not called");
        return NULL;
    }
    for (int known = 0;;) {
        while (self->phase == ACTING) {
            if (wait_to_enter(self) < 0) {
                return NULL;
            }
        }
        if (self->phase == BROKEN_DOWN) {
            return raise_broken(self);
        }
        if (self->count + 1 == self->parties || known) {
            break;
        }
        /* This may run code, so everything is looked at again. */
        if (pyconc_deadline_of_lock(timeout == Py_None ? self->timeout
                                                       : timeout,
                                    &deadline_ns) < 0) {
            return NULL;
        }
        known = 1;
    }
    Py_ssize_t index = self->count++;
    if (self->count == self->parties) {
        return act(self) < 0 ? NULL : PyLong_FromSsize_t(index);
    }
    switch (wait_for_verdict(self, deadline_ns)) {
    case 0:
        return PyLong_FromSsize_t(index);
    case 1:
        return raise_broken(self);
    default:
        return NULL;
    }
}

static PyObject *
barrier_reset(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (BARRIER(self)->phase == ACTING) {
        BARRIER(self)->resets = 1; /* for the case that it fails */
    }
    else {
        begin_round(BARRIER(self), FILLING, BROKEN);
    }
    Py_RETURN_NONE;
}

static PyObject *
barrier_abort(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    begin_round(BARRIER(self), BROKEN_DOWN, BROKEN);
    Py_RETURN_NONE;
}

/* --- what it shows ------------------------------------------------------- */

static PyObject *
get_parties(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(BARRIER(self)->parties);
}

static PyObject *
get_n_waiting(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(BARRIER(self)->count);
}

static PyObject *
get_broken(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(BARRIER(self)->phase == BROKEN_DOWN);
}

static int
barrier_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(BARRIER(self)->action);
    Py_VISIT(BARRIER(self)->timeout);
    return 0;
}

static int
barrier_clear(PyObject *self)
{
    Py_CLEAR(BARRIER(self)->action);
    Py_CLEAR(BARRIER(self)->timeout);
    return 0;
}

static void
barrier_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)barrier_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef barrier_methods[] = {
    {"wait", PYCONC_FAST_METHOD(barrier_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait until all parties have come, at most timeout seconds.\n\n"
               "Return a number from 0 to parties - 1, for each another.")},
    {"reset", barrier_reset, METH_NOARGS,
     PyDoc_STR("reset($self, /)\n--\n\n"
               "Begin again; who waits gets BrokenBarrierError.")},
    {"abort", barrier_abort, METH_NOARGS,
     PyDoc_STR("abort($self, /)\n--\n\n"
               "Break the barrier; who waits gets BrokenBarrierError.")},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef barrier_getset[] = {
    {"parties", get_parties, NULL,
     PyDoc_STR("How many threads are waited for."), NULL},
    {"n_waiting", get_n_waiting, NULL, PyDoc_STR("How many have come."), NULL},
    {"broken", get_broken, NULL, PyDoc_STR("Whether it is broken."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char barrier_doc[] =
    PyDoc_STR("Barrier(parties, action=None, timeout=None)\n--\n\n"
              "What threading.Barrier does.");

static PyType_Slot barrier_slots[] = {
    {Py_tp_doc, barrier_doc},
    {Py_tp_init, (void *)barrier_init},
    {Py_tp_dealloc, (void *)barrier_dealloc},
    {Py_tp_traverse, (void *)barrier_traverse},
    {Py_tp_clear, (void *)barrier_clear},
    {Py_tp_methods, barrier_methods},
    {Py_tp_getset, barrier_getset},
    {0, NULL},
};

PyType_Spec pyconc_barrier_spec = {
    .name = "pyconc._core.Barrier",
    .basicsize = sizeof(struct barrier),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = barrier_slots,
};
