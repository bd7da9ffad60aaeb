/* A pool of threads.
 *
 * Tasks wait in a list, in order; a worker takes one with the GIL held, runs
 * it and completes it itself.  All of this is protected by the GIL but for
 * the native words that workers without it look at.  Invariants:
 *
 *   T1  A task is in the list exactly while its outcome (or map) names it,
 *       and until a worker takes it, it is cancelled or it is failed; or it
 *       is `timed`, and waits in a heap (timers.h).
 *   T2  While tasks are queued and workers idle, one of the idle was roused
 *       and has yet to look, or the sentinel watches (crew.c).
 *   T3  A worker is in the idle list from before it lets go of the GIL until
 *       somebody with the GIL takes it out: who rouses it, or itself; or who
 *       borrows it for an errand, and puts it back.  Whoever needs workers
 *       takes back those that have done their errand.
 *   T4  `pending` counts the tasks that are queued or running. */
#ifndef PYCONC_THREADS_ENGINE_H
#define PYCONC_THREADS_ENGINE_H

#include "pool/engine.h"
#include "pool/results.h"
#include "ring/parker.h"

struct pyconc_thread_worker;
struct pyconc_timers;

/* How a task's function is called. */
enum pyconc_call {
    PYCONC_CALL_PLAIN,     /* f(*arguments, **keywords) */
    PYCONC_CALL_ITEM,      /* f(arguments) */
    PYCONC_CALL_EACH,      /* [f(x) for x in arguments] */
    PYCONC_CALL_EACH_STAR, /* [f(*x) for x in arguments] */
};

/* What an idle worker does without taking the GIL. */
struct pyconc_errand {
    /* Whether the worker then needs the GIL.  Calls
     * pyconc_thread_errand_done before anybody else can know.  GIL: not held.
     */
    int (*run)(struct pyconc_errand *errand,
               struct pyconc_thread_worker *worker);
};

struct pyconc_native;
struct conc_team;

struct pyconc_thread_task {
    struct pyconc_thread_task *next;
    struct pyconc_thread_task *previous;
    struct pyconc_thread_task *sibling; /* the next one of the same map */
    struct pyconc_siblings *siblings;   /* of its map, or NULL */
    struct pyconc_thread_task *outer;   /* the one that waits for this one,
                                         * further down on the same stack */
    PyObject *owner;                    /* owns */
    struct pyconc_outcome *outcome;     /* of owner, for TARGET_OUTCOME */
    PyObject *callable;                 /* owns */
    PyObject *arguments;                /* owns */
    PyObject *keywords;                 /* owns, or NULL */
    PyObject *context;                  /* owns, or NULL: the worker's own */
    struct pyconc_native *native; /* owns; a C function, or NULL: native.c */
    Py_ssize_t index;
    uint8_t target; /* enum pyconc_target */
    uint8_t call;   /* enum pyconc_call */
    uint8_t timed;  /* not in the list, but in the heap of timers */
};

/* Its memory is the engine's: a forked child has no stack of its thread. */
struct pyconc_thread_worker {
    struct conc_parker parker;
    struct pyconc_thread_engine *engine; /* borrowed from the thread's call */
    struct pyconc_thread_worker *newer;  /* idle list */
    struct pyconc_thread_worker *older;
    struct pyconc_thread_worker *next; /* list of all */
    struct pyconc_thread_worker *previous;
    struct pyconc_thread_task *task; /* runs now, or NULL */
    unsigned long ident;             /* of its thread, as Python's */
    uint32_t depth; /* tasks below the one that runs, which wait for it */
    uint32_t let_go_seen; /* pyconc_let_go when it was roused */
    uint32_t burst;       /* as sentinel: how many to rouse next time */
    uint8_t is_idle;      /* in the idle list */
    uint8_t is_leaving;   /* counted in source.leaving */
    struct conc_patience patience;
    _Atomic(struct pyconc_errand *) errand; /* N1 -> N2, crew.c */
    _Atomic uint32_t is_roused; /* woken to take the GIL; N1 -> N2 as well */
    const void *borrower;       /* who will put it back; NULL: nobody */
    _Atomic uint32_t is_back;   /* it was put back: a hint */
    _Atomic uint32_t is_free;   /* it has done its errand, F1 -> F2 */
    uint32_t forks;             /* conc_forks_count() where it began */
    uint8_t is_dismissed;       /* leaves after its task */
    int64_t gil_since_ns; /* when others could have had the GIL; 0: unknown */
};

struct pyconc_thread_engine {
    struct pyconc_engine base;
    struct pyconc_thread_task *first; /* owns */
    struct pyconc_thread_task *last;
    Py_ssize_t queued;
    /* Ever added, ever taken out: for the sentinel, which looks without the
     * GIL.  Their difference is `queued`. */
    _Atomic uint64_t added;
    _Atomic uint64_t taken;
    _Atomic uint32_t busy; /* workers that are not idle */

    struct pyconc_thread_worker *newest; /* idle list */
    struct pyconc_thread_worker *oldest;
    Py_ssize_t idle_count;
    struct pyconc_thread_worker *rousing;  /* roused, has yet to look */
    struct pyconc_thread_worker *sentinel; /* watches, if its parker says so */
    uint32_t burst;                        /* the next sentinel's */

    struct pyconc_thread_worker *workers; /* all, in their loop */
    struct pyconc_hosted *hosted; /* ranges that workers may join: native.c */
    Py_ssize_t borrowed;          /* workers with a borrower */

    Py_ssize_t worker_limit;
    Py_ssize_t worker_count; /* threads that work or will: counted by who
                              * starts one, until it leaves */
    int64_t idle_timeout_ns; /* CONC_NEVER: none */
    uint8_t copies_context;
    uint8_t halted;
    struct pyconc_timers *timers; /* owns; NULL: has none */
};

#define PYCONC_THREAD_ENGINE(object) ((struct pyconc_thread_engine *)(object))

extern const struct pyconc_engine_ops pyconc_thread_engine_ops;
extern const struct pyconc_source_ops pyconc_thread_source_ops;

/* --- queue.c ------------------------------------------------------------- */

/* Take the task at the head of the list, NULL if there is none. */
struct pyconc_thread_task *
pyconc_thread_take(struct pyconc_thread_engine *engine);
/* Take this one, wherever it is. */
void pyconc_thread_take_out(struct pyconc_thread_engine *engine,
                            struct pyconc_thread_task *task);

/* A task that was made elsewhere goes to the end of the list.  Steals it. */
void pyconc_thread_enqueue(struct pyconc_thread_engine *engine,
                           struct pyconc_thread_task *task);

/* Run a task that the caller took, and complete it; `worker` is the one that
 * this thread is.  Runs user code. */
void pyconc_thread_run_task(struct pyconc_thread_engine *engine,
                            struct pyconc_thread_worker *worker,
                            struct pyconc_thread_task *task);

/* In a forked child: the task is the parent's.  Frees it. */
void pyconc_thread_abandon(struct pyconc_thread_engine *engine,
                           struct pyconc_thread_task *task, PyObject *error);

/* Complete a task that the caller took (steals value), or what a native task
 * was for, without reading what the worker may still write.  Frees it; runs
 * user code. */
void pyconc_thread_complete(struct pyconc_thread_engine *engine,
                            struct pyconc_thread_task *task, PyObject *value,
                            uint8_t kind);

/* Queue a task that calls a C function (steals `native`); callable and
 * arguments are what it keeps alive.  It runs at once, without the GIL, if a
 * worker is to spare.  0, or -1 with an exception. */
int pyconc_thread_submit_native(struct pyconc_thread_engine *engine,
                                struct pyconc_outcome *outcome,
                                PyObject *callable, PyObject *arguments,
                                struct pyconc_native *native);

/* --- native.c ------------------------------------------------------------ */

/* A worker that holds the GIL and has nothing to do joins ranges that are
 * worked off: whether it did. */
int pyconc_thread_join_ranges(struct pyconc_thread_engine *engine);

/* Call the C function of a task that was queued: the value, or NULL with an
 * exception.  GIL: released inside. */
PyObject *pyconc_native_run(struct pyconc_native *native);

/* Send a borrowed worker to run a task. */
void pyconc_native_send(struct pyconc_thread_task *task,
                        struct pyconc_thread_worker *worker);

/* Complete the task that this worker was sent to run, and has run. */
void pyconc_native_reap(struct pyconc_thread_engine *engine,
                        struct pyconc_thread_task *task);

/* The source's operations; see future/wait.h. */
void pyconc_native_attend(struct pyconc_source *source,
                          struct pyconc_outcome *outcome,
                          struct pyconc_single *single);
void pyconc_native_look(struct pyconc_source *source, void *attended);
void pyconc_native_desert(struct pyconc_source *source,
                          struct pyconc_single *single);

void pyconc_native_free(struct pyconc_native *native);

/* --- crew.c -------------------------------------------------------------- */

/* A worker thread's life.  0, or -1 with an exception. */
int pyconc_thread_work(struct pyconc_thread_engine *engine);

/* After a task was queued, or a worker was started: keep T2. */
void pyconc_thread_published(struct pyconc_thread_engine *engine);

/* Take an idle worker out of the list, to be sent on an errand; NULL: there is
 * none to spare. */
struct pyconc_thread_worker *
pyconc_thread_borrow(struct pyconc_thread_engine *engine,
                     const void *borrower);
void pyconc_thread_send(struct pyconc_thread_worker *worker,
                        struct pyconc_errand *errand);
/* The errand is done, and the next one may come.  GIL: not held. */
void pyconc_thread_errand_done(struct pyconc_thread_worker *worker);
/* Put it back, when the errand is done or will do nothing any more. */
void pyconc_thread_give_back(struct pyconc_thread_engine *engine,
                             struct pyconc_thread_worker *worker);

/* Make every idle worker look at the engine. */
void pyconc_thread_rouse_all(struct pyconc_thread_engine *engine);

/* The worker of this thread shall leave once its task has ended. */
void pyconc_thread_dismiss(struct pyconc_thread_engine *engine,
                           unsigned long ident);

/* A worker finds nothing more to do: it will let go of the GIL. */
void pyconc_thread_leaves(struct pyconc_thread_engine *engine,
                          struct pyconc_thread_worker *worker);

/* The worker that this thread is right now, or NULL. */
struct pyconc_thread_worker *pyconc_thread_current(void);

/* In a forked child: nothing of the parent's is left but the engine. */
void pyconc_thread_after_fork(struct pyconc_thread_engine *engine);

#endif
