/* Arrival, decoding and completion of one outcome; see outcome.h. */
#include "future/outcome.h"
#include "py/compat.h"

#include "codec/codec.h"
#include "future/block.h"
#include "platform/check.h"
#include "platform/clock.h"

void
pyconc_outcome_link(struct pyconc_outcome *outcome, struct pyconc_link *link,
                    struct pyconc_waiter *waiter)
{
    link->waiter = waiter;
    link->previous = NULL;
    link->next_fired = NULL;
    link->object = outcome->object;
    link->next = outcome->links;
    if (link->next != NULL) {
        link->next->previous = link;
    }
    outcome->links = link;
}

void
pyconc_outcome_unlink(struct pyconc_outcome *outcome, struct pyconc_link *link)
{
    if (link->waiter == NULL) {
        return;
    }
    if (link->previous != NULL) {
        link->previous->next = link->next;
    }
    else {
        outcome->links = link->next;
    }
    if (link->next != NULL) {
        link->next->previous = link->previous;
    }
    link->waiter = NULL;
}

static void
fire(struct pyconc_outcome *outcome, struct pyconc_link *link)
{
    struct pyconc_waiter *waiter = link->waiter;

    link->waiter = NULL;
    if (waiter->fired_last == NULL) {
        waiter->fired_first = link;
    }
    else {
        waiter->fired_last->next_fired = link;
    }
    waiter->fired_last = link;
    waiter->missing--;
    if (waiter->stop_at_error && pyconc_kind_is_error(outcome->kind)) {
        waiter->missing = 0;
    }
    if (waiter->missing <= 0) {
        pyconc_waiter_wake(waiter);
    }
}

void
pyconc_outcome_fire(struct pyconc_outcome *outcome)
{
    struct pyconc_link *link = outcome->links;

    while (link != NULL) {
        struct pyconc_link *next = link->next;
        if (!link->until_notified || outcome->state != PYCONC_CANCELLED) {
            struct pyconc_waiter *waiter = link->waiter;
            pyconc_outcome_unlink(outcome, link);
            link->waiter = waiter;
            fire(outcome, link);
        }
        link = next;
    }
}

void
pyconc_outcome_queue_special(struct pyconc_outcome *outcome)
{
    struct pyconc_source *source = outcome->source;

    if (outcome->queued_special) {
        return;
    }
    outcome->queued_special = 1;
    Py_INCREF(outcome->object);
    outcome->next_special = NULL;
    if (source->special_last == NULL) {
        source->special_first = outcome;
    }
    else {
        source->special_last->next_special = outcome;
    }
    source->special_last = outcome;
    if (source->collector != NULL) {
        pyconc_waiter_wake(source->collector);
    }
}

struct pyconc_outcome *
pyconc_source_pop_special(struct pyconc_source *source)
{
    struct pyconc_outcome *outcome = source->special_first;

    if (outcome != NULL) {
        source->special_first = outcome->next_special;
        if (source->special_first == NULL) {
            source->special_last = NULL;
        }
        outcome->queued_special = 0;
    }
    return outcome;
}

void
pyconc_outcome_detach(struct pyconc_outcome *outcome)
{
    struct pyconc_source *source = outcome->source;

    outcome->task = NULL;
    if (source != NULL) {
        outcome->source = NULL;
        Py_DECREF(source->engine);
    }
}

void
pyconc_outcome_untrack(struct pyconc_outcome *outcome)
{
    PyObject_GC_UnTrack(outcome->object);
}

void
pyconc_outcome_track(struct pyconc_outcome *outcome)
{
    if (!PyObject_GC_IsTracked(outcome->object)) {
        PyObject_GC_Track(outcome->object);
    }
}

void
pyconc_outcome_set_value(struct pyconc_outcome *outcome, PyObject *value)
{
    if (PyObject_IS_GC(value)) {
        pyconc_outcome_track(outcome);
    }
    Py_XSETREF(outcome->value, value);
}

PyObject *
pyconc_outcome_setattr(struct pyconc_outcome *outcome, PyObject *arguments)
{
    PyObject *name, *value;

    if (!PyArg_ParseTuple(arguments, "OO:__setattr__", &name, &value)) {
        return NULL;
    }
    pyconc_outcome_track(outcome);
    if (PyObject_GenericSetAttr(outcome->object, name, value) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
pyconc_outcome_get_dict(struct pyconc_outcome *outcome)
{
    pyconc_outcome_track(outcome);
    return PyObject_GenericGetDict(outcome->object, NULL);
}

int
pyconc_outcome_set_dict(struct pyconc_outcome *outcome, PyObject *dict)
{
    pyconc_outcome_track(outcome);
    return PyObject_GenericSetDict(outcome->object, dict, NULL);
}

void
pyconc_outcome_arrive(struct pyconc_outcome *outcome, PyObject *value,
                      uint8_t kind, uint8_t form)
{
    CONC_ASSERT(outcome->kind == PYCONC_VALUE_NONE);
    outcome->task = NULL;
    pyconc_outcome_set_value(outcome, value);
    outcome->kind = kind;
    outcome->form = form;
    if (outcome->deferred) {
        outcome->arrived = 1;
        pyconc_outcome_queue_special(outcome);
        return;
    }
    outcome->state = PYCONC_FINISHED;
    pyconc_outcome_fire(outcome);
    if (outcome->has_callbacks) {
        pyconc_outcome_queue_special(outcome);
        return;
    }
    pyconc_outcome_detach(outcome);
}

void
pyconc_outcome_abandon(struct pyconc_outcome *outcome, PyObject *error)
{
    if (pyconc_outcome_is_done(outcome)) {
        return;
    }
    pyconc_outcome_set_value(outcome, Py_NewRef(error));
    outcome->kind = PYCONC_VALUE_EXCEPTION;
    outcome->state = PYCONC_FINISHED;
    pyconc_outcome_fire(outcome);
    pyconc_outcome_detach(outcome);
}

PyObject *
pyconc_value_decode(struct pyconc_state *state, PyObject *value, uint8_t *kind,
                    uint8_t form)
{
    PyObject *result;

    if (*kind == PYCONC_VALUE_RESULT || *kind == PYCONC_VALUE_EXCEPTION) {
        return Py_NewRef(value);
    }
    if (*kind == PYCONC_VALUE_RAW_ERROR) {
        *kind = PYCONC_VALUE_EXCEPTION;
        return PyObject_CallOneArg(state->decode_error, value);
    }
    if (PyBytes_CheckExact(value)) {
        result = pyconc_decode(state->codec, (enum pyconc_form)form, NULL,
                               (const uint8_t *)PyBytes_AS_STRING(value),
                               (uint64_t)PyBytes_GET_SIZE(value));
    }
    else {
        result = pyconc_block_decode(state, value, (enum pyconc_form)form);
    }
    if (result != NULL) {
        *kind = PYCONC_VALUE_RESULT;
        return result;
    }
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        return NULL;
    }

    /* What the user's unpickling raised is this reader's error alone. */
    PyObject *error = pyconc_error_take();
    PyObject *stand_in = PyObject_CallFunctionObjArgs(
        state->result_error, error,
        PyBytes_CheckExact(value) ? value : Py_None, NULL);
    Py_DECREF(error);
    *kind = PYCONC_VALUE_EXCEPTION;
    return stand_in;
}

int
pyconc_outcome_decode(struct pyconc_state *state,
                      struct pyconc_outcome *outcome)
{
    uint8_t kind = outcome->kind;

    if (kind != PYCONC_VALUE_RAW_RESULT && kind != PYCONC_VALUE_RAW_ERROR) {
        return 0;
    }
    PyObject *raw = Py_NewRef(outcome->value);
    PyObject *value = pyconc_value_decode(state, raw, &kind, outcome->form);
    Py_DECREF(raw);
    if (value == NULL) {
        return -1;
    }
    if (outcome->value == raw) {
        outcome->kind = kind; /* first: the old value may be the last
                               * reference to an engine, whose end may run
                               * code that asks for this outcome */
        pyconc_outcome_set_value(outcome, value);
    }
    else {
        Py_DECREF(value); /* another thread was quicker */
    }
    return 0;
}

int
pyconc_outcome_wait(struct pyconc_outcome *outcome, int64_t deadline_ns)
{
    struct pyconc_source *source = outcome->source;

    if (deadline_ns == CONC_NEVER && outcome->task != NULL &&
        source->ops->await_time != NULL &&
        source->ops->await_time(source, outcome) < 0) {
        return -1;
    }
    if (deadline_ns == CONC_NEVER && outcome->task != NULL &&
        outcome->state == PYCONC_PENDING && source->ops->help != NULL) {
        if (source->ops->help(source, outcome->task) < 0) {
            return -1;
        }
    }
    if (pyconc_outcome_is_done(outcome)) {
        return 0;
    }

    struct pyconc_single *single = pyconc_single_new();
    if (single == NULL) {
        return -1;
    }
    pyconc_outcome_link(outcome, &single->link, &single->waiter);
    PyObject *object = Py_NewRef(outcome->object);
    single->waiter.alone = outcome;
    int result = pyconc_wait(&single->waiter, source, deadline_ns);
    pyconc_outcome_unlink(outcome, &single->link);
    Py_DECREF(object);
    pyconc_single_drop(single);
    return result;
}

PyObject *
pyconc_raise_object(PyObject *exception)
{
    if (PyExceptionInstance_Check(exception)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must derive from BaseException, not %.100s",
                     Py_TYPE(exception)->tp_name);
    }
    return NULL;
}

void
pyconc_outcome_clear(struct pyconc_outcome *outcome)
{
    Py_CLEAR(outcome->value);
    Py_CLEAR(outcome->attributes);
    pyconc_outcome_detach(outcome);
}
