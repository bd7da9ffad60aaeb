/* How a thread waits for outcomes.
 *
 * An engine is a `source` of outcomes.  A source of threads completes them
 * itself: who waits sleeps on a word of its own and is woken by whoever
 * completes what it waits for.
 *
 * At a source of processes, whoever waits, drains: the thread
 * that waits takes what the workers have finished and completes it, for
 * itself and for all others.  One of the waiting threads leads: it sleeps on
 * the source's own eventcount, which the workers notify.  The others follow:
 * each sleeps on a word of its own and is woken by whoever completes what it
 * waits for, or when the leader leaves and the lead is free.  So a completion
 * wakes one thread, however many wait.
 *
 * Everything here is protected by the GIL; native words are only for
 * sleeping.  Invariant W1: while somebody waits on a source there is a
 * leader, or a follower has been woken and will see that there is none. */
#ifndef PYCONC_FUTURE_WAIT_H
#define PYCONC_FUTURE_WAIT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#include "ring/parker.h"

struct pyconc_outcome;
struct pyconc_single;
struct pyconc_source;

/* What an engine offers to the layers above it. */
struct pyconc_source_ops {
    /* Whether this process may wait here: 0, or -1 with RuntimeError. */
    int (*check)(struct pyconc_source *source);
    /* Whether drain would find something; GIL: not needed. */
    int (*ready_nogil)(struct pyconc_source *source);
    /* Complete what is finished; with more finished all the time, stop when
     * it was `enough`.  Runs no user code but decrefs. */
    void (*drain)(struct pyconc_source *source, Py_ssize_t enough);
    /* Sleep on the eventcount of the source; see eventcount.h.  NULL: this
     * source completes its outcomes itself. */
    uint32_t (*announce)(struct pyconc_source *source);
    int (*sleep_nogil)(struct pyconc_source *source, uint32_t ticket,
                       int64_t deadline_ns);
    /* Wake who sleeps there. */
    void (*rouse)(struct pyconc_source *source);
    /* Take a task back that nobody has started: 1 if so. */
    int (*cancel)(struct pyconc_source *source,
                  struct pyconc_outcome *outcome);
    /* A thread that waits for this task without limit: run it right here, if
     * it is queued and the thread is a worker of this source.  1 if it was
     * run, 0 if not, -1 with an exception (RecursionError).  Runs user code;
     * NULL: never. */
    int (*help)(struct pyconc_source *source, void *task);
    /* Whether this thread is a worker of this source, which might help.  Not
     * NULL where `help` is not. */
    int (*may_help)(struct pyconc_source *source);
    /* A thread that waits without limit for an outcome that has a task: if
     * the task waits for its time, and the thread is a worker of this source,
     * wait until it can be helped with.  0, or -1 with an exception.  NULL:
     * never. */
    int (*await_time)(struct pyconc_source *source,
                      struct pyconc_outcome *outcome);
    /* A thread is going to wait for a task that runs without the GIL.  It may
     * be the one to be woken when the task has ended, and to complete it: then
     * single->waiter.attended is set, until the task is completed.  NULL:
     * never. */
    void (*attend)(struct pyconc_source *source,
                   struct pyconc_outcome *outcome,
                   struct pyconc_single *single);
    /* Complete what this thread attends to, if it has ended.  Runs user code.
     */
    void (*look)(struct pyconc_source *source, void *attended);
    /* The thread waits no more. */
    void (*desert)(struct pyconc_source *source, struct pyconc_single *single);
    /* Whether a worker has claimed the task. */
    int (*running)(struct pyconc_source *source,
                   struct pyconc_outcome *outcome);
    /* See to it that a collector thread drains without anybody waiting.
     * 0, or -1 with an exception. */
    int (*need_collector)(struct pyconc_source *source);
};

struct pyconc_source {
    const struct pyconc_source_ops *ops;
    PyObject *engine; /* borrowed: the object around this */
    /* Of a source of threads: workers that will let go of the GIL at once,
     * see py/park.h. */
    _Atomic uint32_t leaving;
    struct conc_patience patience;   /* of those who wait */
    uint32_t spin_limit;             /* idle threads that may spin: CPUs - 1 */
    struct pyconc_waiter *leader;    /* sleeps on the eventcount, or NULL */
    struct pyconc_waiter *followers; /* ring of the others, or NULL */
    struct pyconc_waiter *collector; /* the collector thread's waiter, the
                                      * last to be given the lead */
    struct pyconc_outcome *special_first; /* arrived, for the collector: */
    struct pyconc_outcome *special_last;  /* each owns its object */
};

/* One outcome that one waiter waits for.  Owned by the waiter's frame or
 * object; in the outcome's list until it fires or is taken out. */
struct pyconc_link {
    struct pyconc_link *next;       /* in the outcome's list */
    struct pyconc_link *previous;   /* NULL: first */
    struct pyconc_link *next_fired; /* in the waiter's list */
    struct pyconc_waiter *waiter;   /* NULL: not in an outcome's list */
    PyObject *object;               /* borrowed from the waiter's owner */
    int until_notified;             /* a cancelled outcome counts only once its
                                     * executor has confirmed it, as for wait() */
};

/* One thread's wait. */
struct pyconc_waiter {
    struct conc_parker parker;
    int stop_at_error;  /* FIRST_EXCEPTION */
    Py_ssize_t missing; /* outcomes still needed; <= 0: satisfied */
    struct pyconc_link *fired_first; /* in order of completion */
    struct pyconc_link *fired_last;
    struct pyconc_source *source; /* waits there now, or NULL */
    struct pyconc_outcome *alone; /* all that it waits for, or NULL */
    void *attended; /* the task of `alone` that it will complete, or NULL */
    struct conc_patience *patience; /* that it waits with, or NULL */
    struct pyconc_waiter *next;     /* ring of followers */
    struct pyconc_waiter *previous;
};

void pyconc_waiter_init(struct pyconc_waiter *waiter, Py_ssize_t missing);

/* A waiter that waits for one thing, with its link: not on the thread's stack,
 * for when the interpreter ends, threads that ask for the GIL vanish with
 * theirs, and whoever completes something afterwards still finds the waiter.
 * NULL with MemoryError. */
struct pyconc_single {
    struct pyconc_waiter waiter;
    struct pyconc_link link;
    /* The thread's, and one of whoever wakes it without the GIL. */
    _Atomic uint32_t references;
};
struct pyconc_single *pyconc_single_new(void);
/* GIL: not needed. */
void pyconc_single_drop(struct pyconc_single *single);

/* Wake this waiter: it is satisfied, or has to look. */
void pyconc_waiter_wake(struct pyconc_waiter *waiter);

/* Wait until waiter->missing <= 0.  `source` may be NULL: no engine, or
 * several that complete by themselves.  0: satisfied; 1: the deadline passed;
 * -1: a signal handler raised.  GIL: released inside. */
int pyconc_wait(struct pyconc_waiter *waiter, struct pyconc_source *source,
                int64_t deadline_ns);

/* The collector's wait: until somebody wakes it or there is something to
 * drain; never spins.  With nap_ns > 0 it sleeps that long whatever is
 * finished. */
void pyconc_wait_collector(struct pyconc_waiter *waiter,
                           struct pyconc_source *source, int64_t nap_ns);

#endif
