/* Scheduling: the C half of ScheduledThreadPoolExecutor. */
#include <math.h>

#include "module/module.h"
#include "platform/clock.h"
#include "py/compat.h"
#include "threads/timers.h"

#define SECONDS_MAX 9e9

/* A number of seconds: 0 or more, or with `positive` more than 0.  0, or -1
 * with an exception that calls it `what`. */
static int
parse_seconds(PyObject *object, const char *what, int positive, int64_t *ns)
{
    double seconds = PyFloat_AsDouble(object);

    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "%s must be a number of seconds, not %.200s", what,
                         Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_Format(PyExc_ValueError,
                     "%s must be a number of seconds, not NaN", what);
        return -1;
    }
    if (seconds < 0 || (positive && seconds == 0)) {
        PyErr_Format(PyExc_ValueError, "%s must be %s 0 seconds, not %R", what,
                     positive ? "greater than" : "at least", object);
        return -1;
    }
    if (seconds > SECONDS_MAX) {
        PyErr_Format(PyExc_OverflowError,
                     "%s must be at most 9e9 seconds, not %R", what, object);
        return -1;
    }
    *ns = (int64_t)(seconds * 1e9);
    if (positive && *ns == 0) {
        *ns = 1;
    }
    return 0;
}

/* Set the timer, and see to it that there is a sleeper. */
static PyObject *
schedule_plan(PyObject *self, struct pyconc_engine *base,
              const struct pyconc_plan *plan)
{
    struct pyconc_thread_engine *engine = PYCONC_THREAD_ENGINE(base);
    PyObject *future = pyconc_timers_schedule(engine, plan);

    if (future == NULL) {
        pyconc_executor_refused(self, base);
        return NULL;
    }
    struct pyconc_timers *timers = engine->timers;
    if (timers->sleeper != PYCONC_SLEEPER_NONE) {
        return future;
    }
    timers->sleeper = PYCONC_SLEEPER_STARTING;
    if (pyconc_executor_hook(self, "_watch") == 0) {
        return future;
    }
    if (timers->sleeper == PYCONC_SLEEPER_STARTING) {
        timers->sleeper = PYCONC_SLEEPER_NONE;
    }
    /* The caller is told; nobody may ever come for it. */
    PyObject *error = pyconc_error_take();
    PyObject *cancelled = PyObject_CallMethod(future, "cancel", NULL);
    Py_XDECREF(cancelled);
    Py_DECREF(future);
    pyconc_error_restore(error);
    return NULL;
}

/* What the three methods have in common: `times` are the names of the first
 * parameters, then come fn and what it is called with. */
static PyObject *
schedule(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
         PyObject *names, const char *method, const char *const *times,
         enum pyconc_repeat repeat)
{
    struct pyconc_plan plan = {.executor = self, .repeat = repeat};
    int64_t now_ns = conc_clock_now_ns();
    int64_t delay_ns;
    Py_ssize_t first = repeat == PYCONC_REPEAT_NEVER ? 1 : 2;

    if (count <= first) {
        PyErr_Format(PyExc_TypeError,
                     "%s.%s() missing required positional argument: '%s'",
                     _PyType_Name(Py_TYPE(self)), method,
                     count < first ? times[count] : "fn");
        return NULL;
    }
    if (parse_seconds(arguments[0], times[0], 0, &delay_ns) < 0 ||
        (first == 2 &&
         parse_seconds(arguments[1], times[1], 1, &plan.period_ns) < 0)) {
        return NULL;
    }
    plan.callable = arguments[first];
    if (!PyCallable_Check(plan.callable)) {
        PyErr_Format(PyExc_TypeError, "fn must be callable, not %.200s",
                     Py_TYPE(plan.callable)->tp_name);
        return NULL;
    }
    plan.due_ns =
        delay_ns < CONC_NEVER - now_ns ? now_ns + delay_ns : CONC_NEVER;
    struct pyconc_engine *engine = pyconc_executor_open(self);
    if (engine == NULL) {
        return NULL;
    }
    if (!PyObject_TypeCheck((PyObject *)engine,
                            engine->state->thread_engine_type)) {
        PyErr_SetString(PyExc_TypeError, "only threads have timers");
        return NULL;
    }
    if (PYCONC_THREAD_ENGINE(engine)->timers == NULL &&
        pyconc_executor_hook(self, "_enable_timers") < 0) {
        return NULL;
    }
    if (pyconc_executor_pack(arguments, first + 1, count, names,
                             &plan.arguments, &plan.keywords) < 0) {
        return NULL;
    }
    PyObject *future = schedule_plan(self, engine, &plan);
    Py_XDECREF(plan.keywords);
    Py_DECREF(plan.arguments);
    return future;
}

static PyObject *
schedule_once(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
              PyObject *names)
{
    static const char *const times[] = {"delay"};

    return schedule(self, arguments, count, names, "schedule", times,
                    PYCONC_REPEAT_NEVER);
}

static PyObject *
schedule_at_fixed_rate(PyObject *self, PyObject *const *arguments,
                       Py_ssize_t count, PyObject *names)
{
    static const char *const times[] = {"initial_delay", "period"};

    return schedule(self, arguments, count, names, "schedule_at_fixed_rate",
                    times, PYCONC_REPEAT_AT_RATE);
}

static PyObject *
schedule_with_fixed_delay(PyObject *self, PyObject *const *arguments,
                          Py_ssize_t count, PyObject *names)
{
    static const char *const times[] = {"initial_delay", "delay"};

    return schedule(self, arguments, count, names, "schedule_with_fixed_delay",
                    times, PYCONC_REPEAT_WITH_DELAY);
}

PyDoc_STRVAR(
    schedule_doc,
    "schedule($self, delay, fn, /, *args, **kwargs)\n--\n\n"
    "Run fn(*args, **kwargs) once, `delay` seconds from now; return its "
    "Future.\n\n"
    "The time is counted on the monotonic clock.  The future is pending "
    "until\n"
    "a thread starts the call, and until then cancel() takes it back at "
    "once.\n"
    "Raises TypeError if fn cannot be called or delay is no number,\n"
    "ValueError if delay is negative or NaN, OverflowError if it exceeds "
    "9e9,\n"
    "RuntimeError after shutdown().\n"
    "Thread-safe; in a forked child the executor is empty and usable.");
PyDoc_STRVAR(
    rate_doc,
    "schedule_at_fixed_rate($self, initial_delay, period, fn, /, *args, "
    "**kwargs)\n--\n\n"
    "Run fn(*args, **kwargs) again and again, `period` seconds apart.\n\n"
    "Run n is due initial_delay + n * period seconds after this call: delays "
    "do\n"
    "not add up.  Runs never overlap.  All runs that fell due while one took\n"
    "longer than the period, or the machine slept, become a single one, at\n"
    "once; then it goes on as if none had been missed.\n\n"
    "The future returned is done when the task ends: with the exception of a\n"
    "run that raised, or cancelled, by cancel() or shutdown().  cancel() "
    "during\n"
    "a run lets that run finish; it is the last.\n"
    "Errors as of schedule(); ValueError also if period is not greater than "
    "0.\n"
    "Thread-safe; in a forked child the executor is empty and usable.");
PyDoc_STRVAR(
    delay_doc,
    "schedule_with_fixed_delay($self, initial_delay, delay, fn, /, *args, "
    "**kwargs)\n--\n\n"
    "Run fn(*args, **kwargs) again and again, with pauses of `delay` "
    "seconds.\n\n"
    "The first run is due after initial_delay seconds, each other one "
    "`delay`\n"
    "seconds after the end of the one before.\n"
    "The future, its end and the errors are those of "
    "schedule_at_fixed_rate().\n"
    "Thread-safe; in a forked child the executor is empty and usable.");

static PyMethodDef scheduling_methods[] = {
    {"schedule", (PyCFunction)(void (*)(void))schedule_once,
     METH_FASTCALL | METH_KEYWORDS, schedule_doc},
    {"schedule_at_fixed_rate",
     (PyCFunction)(void (*)(void))schedule_at_fixed_rate,
     METH_FASTCALL | METH_KEYWORDS, rate_doc},
    {"schedule_with_fixed_delay",
     (PyCFunction)(void (*)(void))schedule_with_fixed_delay,
     METH_FASTCALL | METH_KEYWORDS, delay_doc},
    {NULL, NULL, 0, NULL},
};

static char scheduling_doc[] =
    PyDoc_STR("The C half of an executor whose tasks may wait.");

static PyType_Slot scheduling_slots[] = {
    {Py_tp_doc, scheduling_doc},
    {Py_tp_methods, scheduling_methods},
    {0, NULL},
};

/* Size, garbage collection and the rest are Submitter's. */
PyType_Spec pyconc_scheduling_spec = {
    .name = "pyconc._core.Scheduling",
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scheduling_slots,
};
