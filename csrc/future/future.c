/* Future, after Lib/concurrent/futures/_base.py.
 *
 * The plain path touches neither a condition nor a lock.  Code of the
 * standard library that reaches for `_condition`, `_waiters` or `_state`
 * finds them: the condition is made on demand, and from then on every
 * transition of this future happens under it. */
#include "future/future.h"
#include "py/compat.h"

#include <stddef.h>

#include "codec/codec.h"
#include "platform/clock.h"
#include "platform/status.h"

#define AS_FUTURE(object) ((struct pyconc_future *)(object))

static struct pyconc_state *
state_of(PyObject *self)
{
    return pyconc_state_of(Py_TYPE(self));
}

/* --- transitions --------------------------------------------------------- */

static void
log_failure(struct pyconc_state *state, const char *what, PyObject *self)
{
    PyObject *error = pyconc_error_take();
    PyObject *method = PyObject_GetAttrString(state->logger, "exception");
    PyObject *arguments = NULL, *keywords = NULL, *result = NULL;

    if (method != NULL) {
        arguments = Py_BuildValue("(sO)", what, self);
        keywords = Py_BuildValue("{sO}", "exc_info", error);
    }
    if (arguments != NULL && keywords != NULL) {
        result = PyObject_Call(method, arguments, keywords);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable(self);
    }
    Py_XDECREF(result);
    Py_XDECREF(keywords);
    Py_XDECREF(arguments);
    Py_XDECREF(method);
    Py_XDECREF(error);
}

/* Who runs the callbacks: a thread that completes everybody's futures, which
 * SystemExit must not end, or somebody who is to get what is no Exception. */
enum caller { BY_ENGINE, BY_USER };

/* 0, or -1 with an exception for the user: KeyboardInterrupt. */
static int
run_callback(struct pyconc_state *state, PyObject *self, PyObject *callback,
             enum caller caller)
{
    PyObject *result = PyObject_CallOneArg(callback, self);

    if (result != NULL) {
        Py_DECREF(result);
        return 0;
    }
    if (caller == BY_USER && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    log_failure(state, "exception calling callback for %r", self);
    return 0;
}

/* As run_callback; what comes after the one that raised is not called, as in
 * the stdlib. */
static int
run_callbacks(struct pyconc_state *state, struct pyconc_future *future,
              enum caller caller)
{
    PyObject *callbacks = future->callbacks;
    int status = 0;

    future->callbacks = NULL;
    future->outcome.has_callbacks = 0;
    if (callbacks == NULL) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks) && status == 0;
         i++) {
        PyObject *callback = Py_NewRef(PyList_GET_ITEM(callbacks, i));
        status = run_callback(state, (PyObject *)future, callback, caller);
        Py_DECREF(callback);
    }
    Py_DECREF(callbacks);
    return status;
}

/* Enter the condition if there is one: 0, or -1 with an exception. */
static int
enter_condition(struct pyconc_state *state, struct pyconc_future *future)
{
    if (future->condition == NULL) {
        return 0;
    }
    PyObject *result =
        PyObject_CallMethodNoArgs(future->condition, state->str_enter);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static void
exit_condition(struct pyconc_state *state, struct pyconc_future *future,
               PyObject *entered)
{
    if (entered == NULL) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? pyconc_error_take() : NULL;
    PyObject *result = PyObject_CallMethodObjArgs(
        entered, state->str_exit, Py_None, Py_None, Py_None, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)future);
    }
    Py_XDECREF(result);
    if (error != NULL) {
        pyconc_raise_object(error);
        Py_DECREF(error);
    }
}

static void
tell_waiters(struct pyconc_future *future, PyObject *method)
{
    if (future->waiters == NULL) {
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(future->waiters); i++) {
        PyObject *waiter = Py_NewRef(PyList_GET_ITEM(future->waiters, i));
        PyObject *result =
            PyObject_CallMethodOneArg(waiter, method, (PyObject *)future);
        if (result == NULL) {
            PyErr_WriteUnraisable(waiter);
        }
        Py_XDECREF(result);
        Py_DECREF(waiter);
    }
}

/* `entered` is the condition that is held; one that was made since then has
 * nobody who waits. */
static void
notify_condition(struct pyconc_state *state, struct pyconc_future *future,
                 PyObject *entered)
{
    if (entered == NULL) {
        return;
    }
    PyObject *result =
        PyObject_CallMethodNoArgs(entered, state->str_notify_all);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)future);
    }
    Py_XDECREF(result);
}

/* The part of a completion that the condition covers.  The condition, if
 * there is one, is held. */
static void
finish_locked(struct pyconc_state *state, struct pyconc_future *future,
              PyObject *entered)
{
    int is_error = pyconc_kind_is_error(future->outcome.kind);

    future->outcome.arrived = 0;
    future->outcome.state = PYCONC_FINISHED;
    tell_waiters(future,
                 is_error ? state->str_add_exception : state->str_add_result);
    notify_condition(state, future, entered);
    pyconc_outcome_fire(&future->outcome);
}

void
pyconc_future_complete_special(struct pyconc_state *state,
                               struct pyconc_outcome *outcome)
{
    struct pyconc_future *future = AS_FUTURE(outcome->object);

    if (outcome->arrived) {
        PyObject *entered = Py_XNewRef(future->condition);
        if (enter_condition(state, future) < 0) {
            PyErr_WriteUnraisable((PyObject *)future);
            Py_CLEAR(entered);
        }
        if (outcome->arrived) {
            finish_locked(state, future, entered);
        }
        exit_condition(state, future, entered);
        Py_XDECREF(entered);
    }
    (void)run_callbacks(state, future, BY_ENGINE);
    pyconc_outcome_detach(outcome);
    Py_DECREF(future);
}

static PyObject *get_state(PyObject *self, void *closure);

/* set_result and set_exception: by the user, or by an engine in Python. */
static PyObject *
set_outcome(struct pyconc_future *future, PyObject *value,
            enum pyconc_value_kind kind, enum caller caller)
{
    struct pyconc_state *state = state_of((PyObject *)future);
    struct pyconc_outcome *outcome = &future->outcome;
    PyObject *entered = Py_XNewRef(future->condition);

    if (enter_condition(state, future) < 0) {
        Py_XDECREF(entered);
        return NULL;
    }
    if (outcome->state >= PYCONC_CANCELLED || outcome->arrived) {
        PyObject *name = outcome->arrived
                             ? PyUnicode_FromString("FINISHED")
                             : get_state((PyObject *)future, NULL);
        PyErr_Format(state->invalid_state_error, "%V: %R", name, "?",
                     (PyObject *)future);
        Py_XDECREF(name);
        exit_condition(state, future, entered);
        Py_XDECREF(entered);
        return NULL;
    }
    pyconc_outcome_set_value(outcome, Py_NewRef(value));
    outcome->kind = (uint8_t)kind;
    outcome->task = NULL;
    finish_locked(state, future, entered);
    exit_condition(state, future, entered);
    Py_XDECREF(entered);
    int status = run_callbacks(state, future, caller);
    pyconc_outcome_detach(outcome);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

void
pyconc_future_finish(struct pyconc_future *future, PyObject *value,
                     uint8_t kind)
{
    PyObject *result =
        set_outcome(future, value, (enum pyconc_value_kind)kind, BY_ENGINE);

    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)future);
    }
    Py_XDECREF(result);
    Py_DECREF(value);
}

/* --- methods ------------------------------------------------------------- */

static PyObject *
future_cancel(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_future *future = AS_FUTURE(self);
    struct pyconc_state *state = state_of(self);
    struct pyconc_outcome *outcome = &future->outcome;
    int by_engine = outcome->source != NULL;
    PyObject *entered = Py_XNewRef(future->condition);

    if (enter_condition(state, future) < 0) {
        Py_XDECREF(entered);
        return NULL;
    }
    int cancelled = outcome->state == PYCONC_CANCELLED ||
                    outcome->state == PYCONC_CANCELLED_AND_NOTIFIED;
    int may =
        !cancelled && outcome->state == PYCONC_PENDING && !outcome->arrived;
    if (may && by_engine) {
        may = outcome->source->ops->cancel(outcome->source, outcome);
    }
    if (may) {
        outcome->task = NULL;
        /* An engine of ours has let go of the task for good, so the waiters
         * can be told at once; otherwise set_running_or_notify_cancel
         * does. */
        outcome->state =
            by_engine ? PYCONC_CANCELLED_AND_NOTIFIED : PYCONC_CANCELLED;
        if (by_engine) {
            tell_waiters(future, state->str_add_cancelled);
        }
        notify_condition(state, future, entered);
        pyconc_outcome_fire(outcome);
    }
    exit_condition(state, future, entered);
    Py_XDECREF(entered);
    if (may) {
        int status = run_callbacks(state, future, BY_USER);
        pyconc_outcome_detach(outcome);
        if (status < 0) {
            return NULL;
        }
    }
    return PyBool_FromLong(cancelled || may);
}

static PyObject *
future_cancelled(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    enum pyconc_outcome_state state =
        (enum pyconc_outcome_state)AS_FUTURE(self)->outcome.state;
    return PyBool_FromLong(state == PYCONC_CANCELLED ||
                           state == PYCONC_CANCELLED_AND_NOTIFIED);
}

static void
look(struct pyconc_outcome *outcome)
{
    if (outcome->source != NULL && !pyconc_outcome_is_done(outcome) &&
        outcome->source->ops->ready_nogil(outcome->source)) {
        outcome->source->ops->drain(outcome->source, PY_SSIZE_T_MAX);
    }
}

static int
is_running(struct pyconc_outcome *outcome)
{
    look(outcome);
    if (outcome->state == PYCONC_PENDING && outcome->source != NULL) {
        return outcome->arrived ||
               outcome->source->ops->running(outcome->source, outcome);
    }
    return outcome->state == PYCONC_RUNNING;
}

static PyObject *
future_running(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(is_running(&AS_FUTURE(self)->outcome));
}

static PyObject *
future_done(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;

    look(outcome);
    return PyBool_FromLong(pyconc_outcome_is_done(outcome));
}

/* One argument, by position or by name; *value stays as it is if there is
 * none.  0, or -1 with TypeError. */
static int
parse_one(PyObject *const *arguments, Py_ssize_t count, PyObject *names,
          const char *function, const char *name, PyObject **value)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);

    if (count + named > 1) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most 1 argument (%zd given)", function,
                     count + named);
        return -1;
    }
    if (named == 1 && PyUnicode_CompareWithASCIIString(
                          PyTuple_GET_ITEM(names, 0), name) != 0) {
        PyErr_Format(PyExc_TypeError,
                     "%s() got an unexpected keyword argument '%U'", function,
                     PyTuple_GET_ITEM(names, 0));
        return -1;
    }
    if (count + named == 1) {
        *value = arguments[0];
    }
    return 0;
}

/* As parse_one, for an argument that must be there. */
static int
require_one(PyObject *const *arguments, Py_ssize_t count, PyObject *names,
            const char *function, const char *name, PyObject **value)
{
    *value = NULL;
    if (parse_one(arguments, count, names, function, name, value) < 0) {
        return -1;
    }
    if (*value == NULL) {
        PyErr_Format(PyExc_TypeError,
                     "%s() missing 1 required positional argument: '%s'",
                     function, name);
        return -1;
    }
    return 0;
}

static PyObject *
future_add_done_callback(PyObject *self, PyObject *const *arguments,
                         Py_ssize_t count, PyObject *names)
{
    PyObject *callback;

    if (require_one(arguments, count, names, "add_done_callback", "fn",
                    &callback) < 0) {
        return NULL;
    }
    struct pyconc_future *future = AS_FUTURE(self);
    struct pyconc_state *state = state_of(self);
    struct pyconc_outcome *outcome = &future->outcome;
    PyObject *entered = Py_XNewRef(future->condition);

    look(outcome);
    if (enter_condition(state, future) < 0) {
        Py_XDECREF(entered);
        return NULL;
    }
    if (pyconc_outcome_is_done(outcome) && !outcome->queued_special) {
        exit_condition(state, future, entered);
        Py_XDECREF(entered);
        return run_callback(state, self, callback, BY_USER) < 0
                   ? NULL
                   : Py_NewRef(Py_None);
    }
    int failed = 0;
    pyconc_outcome_track(outcome);
    if (future->callbacks == NULL) {
        PyObject *callbacks = PyList_New(0);
        if (future->callbacks == NULL) {
            future->callbacks = callbacks;
        }
        else {
            Py_XDECREF(callbacks); /* what that collected added one, too */
        }
    }
    if (future->callbacks == NULL ||
        PyList_Append(future->callbacks, callback) < 0) {
        failed = 1;
    }
    else {
        outcome->has_callbacks = 1;
        if (outcome->source != NULL &&
            outcome->source->ops->need_collector(outcome->source) < 0) {
            failed = 1;
        }
        else {
            /* As in the stdlib, futures with callbacks finish one after the
             * other: whoever has seen the last one's result finds that the
             * callbacks of those before it have run. */
            outcome->deferred = 1;
        }
    }
    exit_condition(state, future, entered);
    Py_XDECREF(entered);
    if (failed) {
        return NULL;
    }
    if (pyconc_outcome_is_done(outcome) && !outcome->queued_special) {
        /* It was completed in between: to make the list may have collected
         * garbage, which lets other threads run. */
        if (run_callbacks(state, future, BY_USER) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static int
parse_timeout(PyObject *const *arguments, Py_ssize_t count, PyObject *names,
              const char *function, int64_t *deadline_ns)
{
    PyObject *timeout = NULL;

    if (parse_one(arguments, count, names, function, "timeout", &timeout) <
        0) {
        return -1;
    }
    return pyconc_deadline_from_timeout(timeout, deadline_ns);
}

/* Wait until done; 0 with the outcome decoded, or -1 with an exception. */
static int
await_outcome(PyObject *self, int64_t deadline_ns)
{
    struct pyconc_state *state = state_of(self);
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;

    if (!pyconc_outcome_is_done(outcome)) {
        int waited = pyconc_outcome_wait(outcome, deadline_ns);
        if (waited < 0) {
            return -1;
        }
        if (waited == 1) {
            PyErr_SetNone(state->futures_timeout_error);
            return -1;
        }
    }
    if (outcome->state != PYCONC_FINISHED) {
        PyErr_SetNone(state->cancelled_error);
        return -1;
    }
    return pyconc_outcome_decode(state, outcome);
}

static PyObject *
future_result(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
              PyObject *names)
{
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;
    int64_t deadline_ns;

    if (parse_timeout(arguments, count, names, "result", &deadline_ns) < 0 ||
        await_outcome(self, deadline_ns) < 0) {
        return NULL;
    }
    if (outcome->kind == PYCONC_VALUE_EXCEPTION) {
        return pyconc_raise_object(outcome->value);
    }
    return Py_NewRef(outcome->value);
}

static PyObject *
future_exception(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                 PyObject *names)
{
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;
    int64_t deadline_ns;

    if (parse_timeout(arguments, count, names, "exception", &deadline_ns) <
            0 ||
        await_outcome(self, deadline_ns) < 0) {
        return NULL;
    }
    if (outcome->kind == PYCONC_VALUE_EXCEPTION) {
        return Py_NewRef(outcome->value);
    }
    Py_RETURN_NONE;
}

static PyObject *
future_set_running_or_notify_cancel(PyObject *self,
                                    PyObject *Py_UNUSED(ignored))
{
    struct pyconc_future *future = AS_FUTURE(self);
    struct pyconc_state *state = state_of(self);
    struct pyconc_outcome *outcome = &future->outcome;
    PyObject *entered = Py_XNewRef(future->condition);
    PyObject *result = NULL;

    if (enter_condition(state, future) < 0) {
        Py_XDECREF(entered);
        return NULL;
    }
    if (outcome->state == PYCONC_CANCELLED) {
        outcome->state = PYCONC_CANCELLED_AND_NOTIFIED;
        tell_waiters(future, state->str_add_cancelled);
        pyconc_outcome_fire(outcome);
        result = Py_NewRef(Py_False);
    }
    else if (outcome->state == PYCONC_PENDING && outcome->source == NULL) {
        outcome->state = PYCONC_RUNNING;
        result = Py_NewRef(Py_True);
    }
    else {
        PyObject *logged = PyObject_CallMethod(
            state->logger, "critical", "sNO",
            "Future %s in unexpected state: %s", PyLong_FromVoidPtr(future),
            get_state(self, NULL));
        Py_XDECREF(logged);
        if (logged != NULL) {
            PyErr_SetString(PyExc_RuntimeError, "Future in unexpected state");
        }
    }
    exit_condition(state, future, entered);
    Py_XDECREF(entered);
    return result;
}

static PyObject *
future_set_result(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                  PyObject *names)
{
    PyObject *value;

    if (require_one(arguments, count, names, "set_result", "result", &value) <
        0) {
        return NULL;
    }
    return set_outcome(AS_FUTURE(self), value, PYCONC_VALUE_RESULT, BY_USER);
}

static PyObject *
future_set_exception(PyObject *self, PyObject *const *arguments,
                     Py_ssize_t count, PyObject *names)
{
    PyObject *exception;

    if (require_one(arguments, count, names, "set_exception", "exception",
                    &exception) < 0) {
        return NULL;
    }
    /* As in the stdlib: set_exception(None) is a result of None. */
    return set_outcome(AS_FUTURE(self), exception,
                       exception == Py_None ? PYCONC_VALUE_RESULT
                                            : PYCONC_VALUE_EXCEPTION,
                       BY_USER);
}

static PyObject *
future_invoke_callbacks(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (run_callbacks(state_of(self), AS_FUTURE(self), BY_USER) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- what code of the standard library reaches for ----------------------- */

static PyObject *
get_state(PyObject *self, void *Py_UNUSED(closure))
{
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;

    switch ((enum pyconc_outcome_state)outcome->state) {
    case PYCONC_PENDING:
        return PyUnicode_InternFromString(is_running(outcome) ? "RUNNING"
                                                              : "PENDING");
    case PYCONC_RUNNING:
        return PyUnicode_InternFromString("RUNNING");
    case PYCONC_CANCELLED:
        return PyUnicode_InternFromString("CANCELLED");
    case PYCONC_CANCELLED_AND_NOTIFIED:
        return PyUnicode_InternFromString("CANCELLED_AND_NOTIFIED");
    case PYCONC_FINISHED:
        break;
    }
    return PyUnicode_InternFromString("FINISHED");
}

static int
make_condition(struct pyconc_future *future)
{
    struct pyconc_outcome *outcome = &future->outcome;

    if (future->condition != NULL) {
        return 0;
    }
    look(outcome);
    PyObject *waiters = PyList_New(0);
    if (waiters == NULL) {
        return -1;
    }
    PyObject *condition =
        PyObject_CallNoArgs(state_of((PyObject *)future)->condition_class);
    if (condition == NULL) {
        Py_DECREF(waiters);
        return -1;
    }
    if (future->condition != NULL) { /* made meanwhile by another thread */
        Py_DECREF(waiters);
        Py_DECREF(condition);
        return 0;
    }
    pyconc_outcome_track(outcome);
    future->waiters = waiters;
    future->condition = condition;
    outcome->deferred = 1;
    if (outcome->source != NULL && !pyconc_outcome_is_done(outcome)) {
        return outcome->source->ops->need_collector(outcome->source);
    }
    return 0;
}

static PyObject *
get_condition(PyObject *self, void *Py_UNUSED(closure))
{
    if (make_condition(AS_FUTURE(self)) < 0) {
        return NULL;
    }
    return Py_NewRef(AS_FUTURE(self)->condition);
}

static PyObject *
get_waiters(PyObject *self, void *Py_UNUSED(closure))
{
    if (make_condition(AS_FUTURE(self)) < 0) {
        return NULL;
    }
    return Py_NewRef(AS_FUTURE(self)->waiters);
}

static PyObject *
get_value(PyObject *self, void *closure)
{
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;
    int wanted =
        closure == NULL ? PYCONC_VALUE_RESULT : PYCONC_VALUE_EXCEPTION;

    if (outcome->state != PYCONC_FINISHED) {
        Py_RETURN_NONE;
    }
    if (pyconc_outcome_decode(state_of(self), outcome) < 0) {
        return NULL;
    }
    if (outcome->kind != wanted) {
        Py_RETURN_NONE;
    }
    return Py_NewRef(outcome->value);
}

static PyObject *
get_callbacks(PyObject *self, void *Py_UNUSED(closure))
{
    struct pyconc_future *future = AS_FUTURE(self);

    if (future->callbacks == NULL) {
        return PyList_New(0);
    }
    return Py_NewRef(future->callbacks);
}

static PyObject *
future_repr(PyObject *self)
{
    struct pyconc_outcome *outcome = &AS_FUTURE(self)->outcome;
    const char *name = strrchr(Py_TYPE(self)->tp_name, '.');
    const char *state = "pending";

    name = name == NULL ? Py_TYPE(self)->tp_name : name + 1;
    look(outcome);
    switch ((enum pyconc_outcome_state)outcome->state) {
    case PYCONC_FINISHED:
        if (pyconc_outcome_decode(state_of(self), outcome) < 0) {
            return NULL;
        }
        return PyUnicode_FromFormat(
            "<%s at %p state=finished %s %s>", name, (void *)self,
            outcome->kind == PYCONC_VALUE_EXCEPTION ? "raised" : "returned",
            _PyType_Name(Py_TYPE(outcome->value)));
    case PYCONC_PENDING:
        state = is_running(outcome) ? "running" : "pending";
        break;
    case PYCONC_RUNNING:
        state = "running";
        break;
    case PYCONC_CANCELLED:
    case PYCONC_CANCELLED_AND_NOTIFIED:
        state = "cancelled";
        break;
    }
    return PyUnicode_FromFormat("<%s at %p state=%s>", name, (void *)self,
                                state);
}

/* --- the type ------------------------------------------------------------ */

struct pyconc_future *
pyconc_future_new(PyTypeObject *type, struct pyconc_source *source)
{
    struct pyconc_future *future =
        (struct pyconc_future *)type->tp_alloc(type, 0);

    if (future != NULL) {
        future->outcome.object = (PyObject *)future;
        future->outcome.source = source;
        if (source != NULL) {
            Py_INCREF(source->engine);
            pyconc_outcome_untrack(&future->outcome);
        }
    }
    return future;
}

static PyObject *
future_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments),
              PyObject *Py_UNUSED(keywords))
{
    return pyconc_state_complete(pyconc_state_of(type)) < 0
               ? NULL
               : (PyObject *)pyconc_future_new(type, NULL);
}

static int
future_init(PyObject *Py_UNUSED(self), PyObject *arguments, PyObject *keywords)
{
    if (PyTuple_GET_SIZE(arguments) != 0 ||
        (keywords != NULL && PyDict_GET_SIZE(keywords) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Future() takes no arguments");
        return -1;
    }
    return 0;
}

static PyObject *
future_setattr(PyObject *self, PyObject *arguments)
{
    return pyconc_outcome_setattr(&AS_FUTURE(self)->outcome, arguments);
}

static PyObject *
get_dict(PyObject *self, void *Py_UNUSED(closure))
{
    return pyconc_outcome_get_dict(&AS_FUTURE(self)->outcome);
}

static int
set_dict(PyObject *self, PyObject *dict, void *Py_UNUSED(closure))
{
    return pyconc_outcome_set_dict(&AS_FUTURE(self)->outcome, dict);
}

static int
future_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pyconc_future *future = AS_FUTURE(self);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(future->outcome.value);
    Py_VISIT(future->outcome.attributes);
    Py_VISIT(future->callbacks);
    Py_VISIT(future->condition);
    Py_VISIT(future->waiters);
    return 0;
}

static int
future_clear(PyObject *self)
{
    struct pyconc_future *future = AS_FUTURE(self);

    pyconc_outcome_clear(&future->outcome);
    Py_CLEAR(future->callbacks);
    Py_CLEAR(future->condition);
    Py_CLEAR(future->waiters);
    return 0;
}

static void
future_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)future_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(cancel_doc, "cancel($self, /)\n--\n\n"
                         "Cancel the task if no worker has started it.\n\n"
                         "Returns True if it will not run.  Exact: the task "
                         "is taken back until the\n"
                         "very moment a worker claims it.  Thread-safe.\n"
                         "Mirrors concurrent.futures.Future.cancel.");
PyDoc_STRVAR(
    result_doc,
    "result($self, /, timeout=None)\n--\n\n"
    "Return what the task returned, or raise what it raised.\n\n"
    "Waits up to `timeout` seconds (None: without limit; monotonic), then "
    "raises\n"
    "TimeoutError.  Raises CancelledError if the future was cancelled.\n"
    "Thread-safe; interruptible by signals in the main thread.\n"
    "Mirrors concurrent.futures.Future.result.");
PyDoc_STRVAR(exception_doc,
             "exception($self, /, timeout=None)\n--\n\n"
             "Return what the task raised, or None if it returned.\n\n"
             "Waits as result() does.\n"
             "Mirrors concurrent.futures.Future.exception.");
PyDoc_STRVAR(
    callback_doc,
    "add_done_callback($self, fn)\n--\n\n"
    "Call fn(future) once the future is done.\n\n"
    "At once, in this thread, if it is done already; else in the thread that\n"
    "completes it.  What fn raises is logged.\n"
    "Mirrors concurrent.futures.Future.add_done_callback.");

static PyMethodDef future_methods[] = {
    {"cancel", future_cancel, METH_NOARGS, cancel_doc},
    {"cancelled", future_cancelled, METH_NOARGS,
     PyDoc_STR("cancelled($self, /)\n--\n\nReturn True if it was cancelled.")},
    {"running", future_running, METH_NOARGS,
     PyDoc_STR("running($self, /)\n--\n\n"
               "Return True if a worker is running the task right now.")},
    {"done", future_done, METH_NOARGS,
     PyDoc_STR("done($self, /)\n--\n\n"
               "Return True if it was cancelled or has finished.")},
    {"add_done_callback",
     (PyCFunction)(void (*)(void))future_add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, callback_doc},
    {"result", (PyCFunction)(void (*)(void))future_result,
     METH_FASTCALL | METH_KEYWORDS, result_doc},
    {"exception", (PyCFunction)(void (*)(void))future_exception,
     METH_FASTCALL | METH_KEYWORDS, exception_doc},
    {"set_running_or_notify_cancel", future_set_running_or_notify_cancel,
     METH_NOARGS,
     PyDoc_STR("set_running_or_notify_cancel($self, /)\n--\n\n"
               "For executors: mark as running, or confirm a cancel.")},
    {"set_result", (PyCFunction)(void (*)(void))future_set_result,
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("set_result($self, result)\n--\n\n"
               "For executors and tests: complete with a result.")},
    {"set_exception", (PyCFunction)(void (*)(void))future_set_exception,
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("set_exception($self, exception)\n--\n\n"
               "For executors and tests: complete with an exception.")},
    {"__setattr__", future_setattr, METH_VARARGS,
     PyDoc_STR("__setattr__($self, name, value, /)\n--\n\n"
               "Implement setattr(self, name, value).")},
    {"_invoke_callbacks", future_invoke_callbacks, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("See PEP 585.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef future_members[] = {
    {"__dictoffset__", Py_T_PYSSIZET,
     offsetof(struct pyconc_future, outcome.attributes), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef future_getset[] = {
    {"__dict__", get_dict, set_dict, NULL, NULL},
    {"_state", get_state, NULL, NULL, NULL},
    {"_condition", get_condition, NULL, NULL, NULL},
    {"_waiters", get_waiters, NULL, NULL, NULL},
    {"_result", get_value, NULL, NULL, NULL},
    {"_exception", get_value, NULL, NULL, &pyconc_future_spec},
    {"_done_callbacks", get_callbacks, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static char future_doc[] =
    PyDoc_STR("FutureBase()\n--\n\nThe C half of pyconc.futures.Future.");

static PyType_Slot future_slots[] = {
    {Py_tp_doc, future_doc},
    {Py_tp_new, (void *)future_tp_new},
    {Py_tp_init, (void *)future_init},
    {Py_tp_dealloc, (void *)future_dealloc},
    {Py_tp_traverse, (void *)future_traverse},
    {Py_tp_clear, (void *)future_clear},
    {Py_tp_repr, (void *)future_repr},
    {Py_tp_methods, future_methods},
    {Py_tp_members, future_members},
    {Py_tp_getset, future_getset},
    {0, NULL},
};

PyType_Spec pyconc_future_spec = {
    .name = "pyconc._core.FutureBase",
    .basicsize = sizeof(struct pyconc_future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = future_slots,
};
