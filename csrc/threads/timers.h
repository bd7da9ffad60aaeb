/* Tasks of a thread pool that wait for their time.
 *
 * A timer is a task that is in a heap instead of the engine's list.  One
 * thread of the pool, the sleeper, sleeps until the earliest is due and moves
 * what is due to the list; from then on it is a task like any other.  A
 * periodic task is a PeriodicTask, which makes a timer for each of its runs
 * once the run before has ended.
 *
 * Protected by the GIL, as the engine is.  Invariants:
 *
 *   S1  A task is in the heap exactly while it is `timed`; its outcome then
 *       names it, as it names a task in the list.
 *   S2  `count` is the number of timers in the heap and of periodic tasks that
 *       have not ended.  While it is not 0 the engine is kept from closing (by
 *       `reading`), and the executor from being collected.
 *   S3  A sleeper that sleeps will wake up at wakes_at_ns, or was woken, and
 *       nothing in the heap is due before wakes_at_ns.
 *   S4  A periodic task that has not ended has one timer or task, or runs. */
#ifndef PYCONC_THREADS_TIMERS_H
#define PYCONC_THREADS_TIMERS_H

#include "future/future.h"
#include "threads/engine.h"
#include "timers/heap.h"

struct pyconc_timer {
    struct pyconc_thread_task task; /* first: freed as the task that it is */
    struct conc_timer timer;
};

enum pyconc_repeat {
    PYCONC_REPEAT_NEVER,
    PYCONC_REPEAT_AT_RATE,    /* due at start + n * period */
    PYCONC_REPEAT_WITH_DELAY, /* due a period after the end of a run */
};

struct pyconc_periodic {
    PyObject_HEAD
    struct pyconc_outcome run;    /* of the current run: where its task is, and
                                   * whether it has been started */
    struct pyconc_periodic *next; /* list of all that have not ended */
    struct pyconc_periodic *previous;
    struct pyconc_future *future; /* owns */
    PyObject *callable;           /* owns */
    PyObject *arguments;          /* owns */
    PyObject *keywords;           /* owns, or NULL */
    PyObject *context;            /* owns, or NULL: each run has a copy */
    int64_t due_ns;               /* of the run to come or under way */
    int64_t period_ns;
    uint8_t repeat; /* enum pyconc_repeat */
    uint8_t linked; /* in the list: has not ended */
};

extern PyType_Spec pyconc_periodic_spec;

enum pyconc_sleeper {
    PYCONC_SLEEPER_NONE = 0,
    PYCONC_SLEEPER_STARTING = 1,
    PYCONC_SLEEPER_WORKS = 2,
};

struct pyconc_timers {
    struct conc_timer_heap heap;
    struct pyconc_periodic *periodics; /* owns those in the list */
    Py_ssize_t count;
    struct pyconc_reading reading;
    struct pyconc_source source;     /* of the futures of periodic tasks */
    struct pyconc_link *due_waiters; /* workers that wait for a timer of their
                                      * own pool: woken by each that leaves
                                      * the heap */
    PyObject *grow;                  /* owns; starts a worker */
    PyObject *executor;              /* owns; NULL while count is 0 */
    struct conc_parker parker;       /* the sleeper's */
    int64_t wakes_at_ns;             /* INT64_MIN: it does not sleep */
    uint8_t sleeper;                 /* enum pyconc_sleeper */
};

/* What to do when.  Everything is borrowed. */
struct pyconc_plan {
    PyObject *executor;
    PyObject *callable;
    PyObject *arguments; /* tuple */
    PyObject *keywords;  /* dict, or NULL */
    int64_t due_ns;
    int64_t period_ns;
    enum pyconc_repeat repeat;
};

/* Let this engine have timers.  0, or -1 with an exception. */
int pyconc_timers_enable(struct pyconc_thread_engine *engine, PyObject *grow);
/* With the engine. */
void pyconc_timers_free(struct pyconc_thread_engine *engine);

/* Set a timer: a new future, or NULL with an exception (ValueError: closed).
 * The caller sees to it that there is a sleeper. */
PyObject *pyconc_timers_schedule(struct pyconc_thread_engine *engine,
                                 const struct pyconc_plan *plan);

/* The sleeper's life. */
void pyconc_timers_watch(struct pyconc_thread_engine *engine);

/* After the engine was closed: cancel periodic tasks, or everything that is
 * not queued yet.  0, or -1 with an exception.  Runs callbacks. */
int pyconc_timers_cancel(struct pyconc_thread_engine *engine, int everything);

/* Append the futures of all that wait for their time, or only of periodic
 * tasks.  0, or -1 with an exception. */
int pyconc_timers_list(struct pyconc_thread_engine *engine, PyObject *futures,
                       int everything);

/* The engine is broken. */
void pyconc_timers_fail(struct pyconc_thread_engine *engine, PyObject *error);

/* In a forked child: all of it is the parent's. */
void pyconc_timers_after_fork(struct pyconc_thread_engine *engine,
                              PyObject *error);

/* --- what the task list calls -------------------------------------------- */

/* Take a timed task out of the heap.  Returns a reference that the caller lets
 * go of in the end, which may end the executor, or NULL. */
PyObject *pyconc_timers_take_out(struct pyconc_thread_engine *engine,
                                 struct pyconc_thread_task *task);

/* Wait until this task is no longer timed.  0, or -1 with an exception. */
int pyconc_timers_await(struct pyconc_thread_engine *engine,
                        struct pyconc_outcome *outcome);

/* A run has ended (steals value). */
void pyconc_periodic_ran(struct pyconc_thread_engine *engine, PyObject *object,
                         PyObject *value, uint8_t kind);
/* In a forked child. */
void pyconc_periodic_abandon(struct pyconc_thread_engine *engine,
                             PyObject *object, PyObject *error);

#endif
