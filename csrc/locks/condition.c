/* threading.Condition: waiting, with a lock let go of meanwhile.
 *
 * The lock may be anything with acquire() and release(); its methods are
 * looked up once.  One that has _release_save, _acquire_restore and _is_owned
 * (RLock) is let go of completely, whatever its depth.  Our own RLock needs no
 * looking up: lock.h. */
#include "locks/lock.h"
#include "locks/types.h"
#include "locks/waitlist.h"
#include "platform/clock.h"
#include "py/arguments.h"

struct condition {
    PyObject_HEAD
    struct pyconc_state *state;
    struct pyconc_waitlist waiting; /* for a verdict */
    PyObject *lock;
    PyObject *acquire;
    PyObject *release;
    uint8_t is_ours;   /* the lock is our RLock */
    uint8_t is_simple; /* it is our Lock, or the interpreter's Lock or RLock:
                        * entering it is acquire(), leaving release() */
    /* The lock's; NULL: our own, which a subclass may override. */
    PyObject *release_save;
    PyObject *acquire_restore;
    PyObject *is_owned;
};

#define CONDITION(object) ((struct condition *)(object))

/* --- the lock ------------------------------------------------------------ */

/* What is looked up of a lock. */
struct methods {
    PyObject *acquire;
    PyObject *release;
    PyObject *release_save; /* these three NULL if it has none */
    PyObject *acquire_restore;
    PyObject *is_owned;
};

static void
methods_clear(struct methods *methods)
{
    Py_CLEAR(methods->acquire);
    Py_CLEAR(methods->release);
    Py_CLEAR(methods->release_save);
    Py_CLEAR(methods->acquire_restore);
    Py_CLEAR(methods->is_owned);
}

static int
find_method(PyObject *lock, const char *name, int required, PyObject **method)
{
    *method = PyObject_GetAttrString(lock, name);
    if (*method == NULL) {
        if (required || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
    }
    return 0;
}

static int
methods_find(PyObject *lock, struct methods *methods)
{
    *methods = (struct methods){.acquire = NULL};
    if (find_method(lock, "acquire", 1, &methods->acquire) < 0 ||
        find_method(lock, "release", 1, &methods->release) < 0 ||
        find_method(lock, "_release_save", 0, &methods->release_save) < 0 ||
        find_method(lock, "_acquire_restore", 0, &methods->acquire_restore) <
            0 ||
        find_method(lock, "_is_owned", 0, &methods->is_owned) < 0) {
        methods_clear(methods);
        return -1;
    }
    return 0;
}

/* Whether it is a Lock, ours or the interpreter's. */
static int
is_plain_lock(const struct pyconc_state *state, PyObject *lock)
{
    return Py_TYPE(lock) == state->lock_type ||
           Py_TYPE(lock) == state->builtin_lock_type;
}

static int
condition_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"lock", NULL};
    struct condition *self = CONDITION(object);
    struct pyconc_state *state = pyconc_state_of(Py_TYPE(object));
    struct methods methods;
    PyObject *lock = Py_None;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:Condition",
                                     pyconc_keywords(names), &lock)) {
        return -1;
    }
    lock = lock == Py_None ? PyObject_CallNoArgs((PyObject *)state->rlock_type)
                           : Py_NewRef(lock);
    if (lock == NULL || methods_find(lock, &methods) < 0) {
        Py_XDECREF(lock);
        return -1;
    }
    /* All at once; what was there before goes when it is complete. */
    struct methods old = {self->acquire, self->release, self->release_save,
                          self->acquire_restore, self->is_owned};
    PyObject *old_lock = self->lock;
    self->state = state;
    self->lock = lock;
    self->acquire = methods.acquire;
    self->release = methods.release;
    self->release_save = methods.release_save;
    self->acquire_restore = methods.acquire_restore;
    self->is_owned = methods.is_owned;
    self->is_ours = Py_TYPE(lock) == state->rlock_type;
    self->is_simple = is_plain_lock(state, lock) ||
                      Py_TYPE(lock) == state->builtin_rlock_type;
    methods_clear(&old);
    Py_XDECREF(old_lock);
    return 0;
}

/* Call a method of the lock, which stays while another thread makes the
 * condition anew. */
static PyObject *
call(PyObject *method, PyObject *argument)
{
    Py_INCREF(method);
    PyObject *result = argument == NULL
                           ? PyObject_CallNoArgs(method)
                           : PyObject_CallOneArg(method, argument);
    Py_DECREF(method);
    return result;
}

static int
check_made(struct condition *self)
{
    if (self->release == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Condition.__init__() was not called");
        return -1;
    }
    return 0;
}

/* 1, 0, or -1 with an exception. */
static int
is_owned(struct condition *self)
{
    PyObject *answer;

    if (check_made(self) < 0) {
        return -1;
    }
    if (self->is_ours) {
        return pyconc_rlock_is_owned(self->lock);
    }
    if (self->is_owned != NULL) {
        answer = call(self->is_owned, NULL);
    }
    else {
        answer = PyObject_CallMethodNoArgs((PyObject *)self,
                                           self->state->str_is_owned);
    }
    int owned = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return owned;
}

static int
require_owned(struct condition *self, const char *what)
{
    int owned = is_owned(self);

    if (owned == 0) {
        PyErr_Format(PyExc_RuntimeError, "cannot %s on un-acquired lock",
                     what);
    }
    return owned > 0 ? 0 : -1;
}

/* A lock that was let go of completely, and what takes it back. */
struct let_go {
    PyObject *ours; /* our RLock; NULL: another lock */
    struct pyconc_held held;
    PyObject *saved;
};

static int
let_go_of_lock(struct condition *self, struct let_go *let_go)
{
    *let_go = (struct let_go){.ours = NULL};
    if (self->is_ours) {
        if (pyconc_rlock_save(self->lock, &let_go->held) < 0) {
            return -1;
        }
        let_go->ours = Py_NewRef(self->lock);
        return 0;
    }
    let_go->saved = self->release_save != NULL
                        ? call(self->release_save, NULL)
                        : PyObject_CallMethodNoArgs(
                              (PyObject *)self, self->state->str_release_save);
    return let_go->saved == NULL ? -1 : 0;
}

static int
try_to_take_back(struct condition *self, const struct let_go *let_go)
{
    if (let_go->ours != NULL) {
        return pyconc_rlock_restore(let_go->ours, &let_go->held);
    }
    PyObject *done =
        self->acquire_restore != NULL
            ? call(self->acquire_restore, let_go->saved)
            : PyObject_CallMethodOneArg((PyObject *)self,
                                        self->state->str_acquire_restore,
                                        let_go->saved);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* With an exception set: keeps it, and takes the lock all the same. */
static void
take_lock_back(struct condition *self, struct let_go *let_go)
{
    PyObject *first = PyErr_Occurred() ? pyconc_error_take() : NULL;

    for (int i = 0; i < 2 && try_to_take_back(self, let_go) < 0; i++) {
        PyObject *error = pyconc_error_take();
        if (first == NULL) {
            first = error;
        }
        else {
            Py_DECREF(error);
        }
        /* A signal handler raised while the lock was waited for.  Who leaves
         * `with condition` will release it, so it should be held; but the next
         * exception ends this. */
        if (let_go->ours == NULL && !is_plain_lock(self->state, self->lock)) {
            break;
        }
    }
    if (first != NULL) {
        pyconc_error_restore(first);
    }
    Py_XDECREF(let_go->ours);
    Py_XDECREF(let_go->saved);
}

/* For locks that have no such methods. */

static PyObject *
condition_release_save(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct condition *self = CONDITION(object);

    if (check_made(self) < 0) {
        return NULL;
    }
    return call(
        self->release_save != NULL ? self->release_save : self->release, NULL);
}

static PyObject *
condition_acquire_restore(PyObject *object, PyObject *saved)
{
    struct condition *self = CONDITION(object);

    if (check_made(self) < 0) {
        return NULL;
    }
    if (self->acquire_restore != NULL) {
        return call(self->acquire_restore, saved);
    }
    return call(self->acquire, NULL);
}

static PyObject *
condition_is_owned(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (check_made(CONDITION(self)) < 0) {
        return NULL;
    }
    if (CONDITION(self)->is_owned != NULL) {
        return call(CONDITION(self)->is_owned, NULL);
    }
    PyObject *acquired = call(CONDITION(self)->acquire, Py_False);
    int free = acquired == NULL ? -1 : PyObject_IsTrue(acquired);

    Py_XDECREF(acquired);
    if (free > 0) {
        PyObject *released = call(CONDITION(self)->release, NULL);
        if (released == NULL) {
            return NULL;
        }
        Py_DECREF(released);
    }
    return free < 0 ? NULL : PyBool_FromLong(!free);
}

/* --- wait ---------------------------------------------------------------- */

/* 1 if it was notified, 0 if the time was up, -1 with an exception; the lock
 * is held again. */
static int
wait(struct condition *self, PyObject *timeout)
{
    int64_t deadline_ns;

    if (require_owned(self, "wait") < 0 ||
        pyconc_deadline_of_lock(timeout, &deadline_ns) < 0) {
        return -1;
    }
    struct pyconc_place *place = pyconc_place_new();
    if (place == NULL) {
        return -1;
    }
    /* First: letting go of the lock lets others notify. */
    pyconc_waitlist_join(&self->waiting, place, NULL);
    struct let_go let_go;
    int status = let_go_of_lock(self, &let_go), notified;
    if (status < 0) {
        notified = pyconc_waitlist_leave(&self->waiting, place);
    }
    else {
        status = pyconc_waitlist_wait(&self->waiting, place, deadline_ns);
        notified = status == 0 || (status < 0 && place->is_woken);
        take_lock_back(self, &let_go);
    }
    pyconc_place_free(place);
    if (!PyErr_Occurred()) {
        return status == 0;
    }
    if (notified) { /* and interrupted: somebody else shall be */
        (void)pyconc_waitlist_wake(&self->waiting, 1, 0);
    }
    return -1;
}

static const char *const wait_names[] = {"timeout", NULL};
static const struct pyconc_parameters wait_parameters = {"wait", 0,
                                                         wait_names};

static PyObject *
condition_wait(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords)
{
    PyObject *timeout = NULL;

    if (pyconc_arguments(&wait_parameters, arguments, count, keywords,
                         &timeout) < 0) {
        return NULL;
    }
    int status = wait(CONDITION(self), timeout);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

static const char *const wait_for_names[] = {"predicate", "timeout", NULL};
static const struct pyconc_parameters wait_for_parameters = {"wait_for", 1,
                                                             wait_for_names};

/* One wait() of wait_for, which may be a subclass's.  0, 1 if the time is up,
 * -1 with an exception. */
static int
wait_until(PyObject *self, int64_t deadline_ns)
{
    PyObject *timeout = Py_None, *result;

    if (deadline_ns != CONC_NEVER) {
        int64_t left_ns = deadline_ns - conc_clock_now_ns();
        if (left_ns <= 0) {
            return 1;
        }
        timeout = PyFloat_FromDouble((double)left_ns / 1e9);
        if (timeout == NULL) {
            return -1;
        }
    }
    result = PyObject_CallMethodOneArg(self, CONDITION(self)->state->str_wait,
                                       timeout);
    if (deadline_ns != CONC_NEVER) {
        Py_DECREF(timeout);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
condition_wait_for(PyObject *self, PyObject *const *arguments,
                   Py_ssize_t count, PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};
    int64_t deadline_ns = CONC_NEVER;
    int has_deadline = 0;

    if (pyconc_arguments(&wait_for_parameters, arguments, count, keywords,
                         out) < 0 ||
        check_made(CONDITION(self)) < 0) {
        return NULL;
    }
    for (;;) {
        PyObject *result = PyObject_CallNoArgs(out[0]);
        int true_now = result == NULL ? -1 : PyObject_IsTrue(result);
        if (true_now != 0) {
            if (true_now < 0) {
                Py_CLEAR(result);
            }
            return result;
        }
        int status = -1;
        if (has_deadline) {
            status = wait_until(self, deadline_ns);
        }
        else if (pyconc_deadline_of_lock(out[1], &deadline_ns) == 0) {
            has_deadline = 1;
            /* At first it waits even if there is no time: that lets others
             * have the lock. */
            PyObject *waited = PyObject_CallMethodOneArg(
                self, CONDITION(self)->state->str_wait,
                out[1] == NULL ? Py_None : out[1]);
            status = waited == NULL ? -1 : 0;
            Py_XDECREF(waited);
        }
        if (status == 1) {
            return result;
        }
        Py_DECREF(result);
        if (status < 0) {
            return NULL;
        }
    }
}

/* --- notify -------------------------------------------------------------- */

static const char *const notify_names[] = {"n", NULL};
static const struct pyconc_parameters notify_parameters = {"notify", 0,
                                                           notify_names};

static PyObject *
condition_notify(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                 PyObject *keywords)
{
    PyObject *n = NULL;
    Py_ssize_t places = 1;

    if (pyconc_arguments(&notify_parameters, arguments, count, keywords, &n) <
            0 ||
        require_owned(CONDITION(self), "notify") < 0) {
        return NULL;
    }
    if (n != NULL) {
        places = PyNumber_AsSsize_t(n, NULL);
        if (places == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    (void)pyconc_waitlist_wake(&CONDITION(self)->waiting, places, 0);
    Py_RETURN_NONE;
}

static PyObject *
get_waiting(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(
        pyconc_waitlist_count(&CONDITION(self)->waiting));
}

static PyObject *
condition_notify_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *count =
        check_made(CONDITION(self)) < 0 ? NULL : get_waiting(self, NULL);

    if (count == NULL) {
        return NULL;
    }
    /* A subclass may count its notifications. */
    PyObject *done = PyObject_CallMethodOneArg(
        self, CONDITION(self)->state->str_notify, count);
    Py_DECREF(count);
    return done;
}

/* --- as a context, as an object ------------------------------------------ */

static PyObject *
condition_enter(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (check_made(CONDITION(self)) < 0) {
        return NULL;
    }
    if (CONDITION(self)->is_simple) {
        return call(CONDITION(self)->acquire, NULL);
    }
    PyObject *lock = Py_NewRef(CONDITION(self)->lock);
    PyObject *result;
    if (CONDITION(self)->is_ours) {
        result = pyconc_rlock_acquire(lock) < 0 ? NULL : Py_NewRef(Py_True);
    }
    else {
        result =
            PyObject_CallMethodNoArgs(lock, CONDITION(self)->state->str_enter);
    }
    Py_DECREF(lock);
    return result;
}

static PyObject *
condition_exit(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *all[4];

    if (check_made(CONDITION(self)) < 0) {
        return NULL;
    }
    if (CONDITION(self)->is_ours) {
        return pyconc_rlock_release(CONDITION(self)->lock) < 0
                   ? NULL
                   : Py_NewRef(Py_None);
    }
    if (CONDITION(self)->is_simple) {
        return call(CONDITION(self)->release, NULL);
    }
    if (count > 3) {
        PyErr_SetString(PyExc_TypeError,
                        "__exit__() takes at most 3 arguments");
        return NULL;
    }
    all[0] = Py_NewRef(CONDITION(self)->lock);
    for (Py_ssize_t i = 0; i < count; i++) {
        all[i + 1] = arguments[i];
    }
    PyObject *result = PyObject_VectorcallMethod(
        CONDITION(self)->state->str_exit, all, (size_t)count + 1, NULL);
    Py_DECREF(all[0]);
    return result;
}

static PyObject *
get_owned_object(PyObject *self, void *closure)
{
    PyObject *object =
        *(PyObject **)(void *)((char *)self + (Py_ssize_t)(intptr_t)closure);

    if (object == NULL) {
        (void)check_made(CONDITION(self));
        return NULL;
    }
    return Py_NewRef(object);
}

static int
condition_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(CONDITION(self)->lock);
    Py_VISIT(CONDITION(self)->acquire);
    Py_VISIT(CONDITION(self)->release);
    Py_VISIT(CONDITION(self)->release_save);
    Py_VISIT(CONDITION(self)->acquire_restore);
    Py_VISIT(CONDITION(self)->is_owned);
    return 0;
}

static int
condition_clear(PyObject *self)
{
    Py_CLEAR(CONDITION(self)->lock);
    Py_CLEAR(CONDITION(self)->acquire);
    Py_CLEAR(CONDITION(self)->release);
    Py_CLEAR(CONDITION(self)->release_save);
    Py_CLEAR(CONDITION(self)->acquire_restore);
    Py_CLEAR(CONDITION(self)->is_owned);
    return 0;
}

static void
condition_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)condition_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef condition_methods[] = {
    {"wait", PYCONC_FAST_METHOD(condition_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Let go of the lock, wait to be notified, at most timeout\n"
               "seconds, and take the lock again.\n\n"
               "Return False if the time was up, else True.")},
    {"wait_for", PYCONC_FAST_METHOD(condition_wait_for),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait_for($self, /, predicate, timeout=None)\n--\n\n"
               "Wait until predicate() is true, at most timeout seconds.\n\n"
               "Return what it returned last.")},
    {"notify", PYCONC_FAST_METHOD(condition_notify),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("notify($self, /, n=1)\n--\n\n"
               "Wake the n threads that have been waiting longest.")},
    {"notify_all", condition_notify_all, METH_NOARGS,
     PyDoc_STR("notify_all($self, /)\n--\n\nWake every thread that waits.")},
    {"__enter__", condition_enter, METH_NOARGS, NULL},
    {"__exit__", PYCONC_FAST_METHOD(condition_exit), METH_FASTCALL, NULL},
    {"_release_save", condition_release_save, METH_NOARGS, NULL},
    {"_acquire_restore", condition_acquire_restore, METH_O, NULL},
    {"_is_owned", condition_is_owned, METH_NOARGS, NULL},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

#define OFFSET(member) ((void *)offsetof(struct condition, member))

static PyGetSetDef condition_getset[] = {
    {"acquire", get_owned_object, NULL, NULL, OFFSET(acquire)},
    {"release", get_owned_object, NULL, NULL, OFFSET(release)},
    {"_lock", get_owned_object, NULL, NULL, OFFSET(lock)},
    {"_waiting", get_waiting, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char condition_doc[] =
    PyDoc_STR("Condition(lock=None)\n--\n\nWhat threading.Condition does.");

static PyType_Slot condition_slots[] = {
    {Py_tp_doc, condition_doc},
    {Py_tp_init, (void *)condition_init},
    {Py_tp_dealloc, (void *)condition_dealloc},
    {Py_tp_traverse, (void *)condition_traverse},
    {Py_tp_clear, (void *)condition_clear},
    {Py_tp_methods, condition_methods},
    {Py_tp_getset, condition_getset},
    {0, NULL},
};

PyType_Spec pyconc_condition_spec = {
    .name = "pyconc._core.Condition",
    .basicsize = sizeof(struct condition),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = condition_slots,
};
