/* What the two engines, of threads and of processes, have in common: tasks
 * come in, outcomes go out, a pool is closed, a thread collects.
 *
 * A Pool and an executor know an engine only by this.  All of it is protected
 * by the GIL: between two places where Python code may run the state is
 * consistent. */
#ifndef PYCONC_POOL_ENGINE_H
#define PYCONC_POOL_ENGINE_H

#include "future/outcome.h"

struct pyconc_engine;

/* Whom the answer of a task is for. */
enum pyconc_target {
    PYCONC_TARGET_OUTCOME = 0,  /* owner embeds one: Future, ApplyResult */
    PYCONC_TARGET_MAP = 1,      /* owner is a MapResultBase, index a chunk */
    PYCONC_TARGET_IMAP = 2,     /* owner is an IMapIteratorBase */
    PYCONC_TARGET_PERIODIC = 3, /* owner is a PeriodicTask: the thread
                                 * engine's own affair */
};

/* What a task of a map does with its payload. */
enum pyconc_shape {
    PYCONC_SHAPE_ONE,        /* f(payload) */
    PYCONC_SHAPE_STAR,       /* f(*payload) */
    PYCONC_SHAPE_CHUNK,      /* [f(x) for x in payload] */
    PYCONC_SHAPE_STAR_CHUNK, /* [f(*x) for x in payload] */
};

/* The function of a map or imap, as its engine keeps it meanwhile. */
struct pyconc_callee {
    PyObject *callable; /* owns; NULL: nothing is kept */
    uint32_t function;  /* for the engine that gives functions numbers */
};

/* The queued tasks of one map or imap, as the engine links them; first NULL:
 * none, or the engine does not say. */
struct pyconc_siblings {
    void *first;
    void *last;
};

/* An imap whose input is read whether or not results are fetched. */
struct pyconc_reading {
    struct pyconc_reading *next;
    struct pyconc_reading *previous;
    struct pyconc_link *waiters; /* threads that wait for its next result */
};

/* A task of a map or imap.  Everything is borrowed. */
struct pyconc_submission {
    enum pyconc_target target;
    enum pyconc_shape shape;
    PyObject *owner;
    Py_ssize_t index;
    const struct pyconc_callee *callee;
    struct pyconc_siblings *siblings; /* of owner */
    PyObject *payload;
    /* With end > 0 `payload` is a list or tuple, of which these items are
     * meant. */
    Py_ssize_t start;
    Py_ssize_t end;
    uint8_t goes_on; /* part of what was accepted before the pool closed */
};

/* What an engine offers beside its source. */
struct pyconc_engine_ops {
    /* Submit callable(*arguments, **keywords) for an outcome; keywords may be
     * NULL.  0, or -1 with an exception, of encoding for instance. */
    int (*call)(struct pyconc_engine *engine, struct pyconc_outcome *outcome,
                PyObject *callable, PyObject *arguments, PyObject *keywords);
    /* Keep the function of a map: 0, or -1 with an exception. */
    int (*acquire)(struct pyconc_engine *engine, PyObject *callable,
                   struct pyconc_callee *callee);
    void (*release)(struct pyconc_engine *engine,
                    struct pyconc_callee *callee);
    int (*submit)(struct pyconc_engine *engine,
                  const struct pyconc_submission *submission);
    /* Whether reading on would only pile up tasks. */
    int (*is_full)(struct pyconc_engine *engine);
    /* Whether there is more work than workers, and room for another. */
    int (*wants_worker)(struct pyconc_engine *engine);
    /* After one was started.  NULL: nothing to do. */
    void (*has_grown)(struct pyconc_engine *engine);
    /* In a forked child: begin again, empty.  NULL: it stays unusable. */
    void (*after_fork)(struct pyconc_engine *engine);
    /* After `pending` fell: end the closing, wake who waits for that. */
    void (*settle)(struct pyconc_engine *engine);
    /* How long the collector may sleep whatever is finished, 0: not. */
    int64_t (*collector_nap_ns)(struct pyconc_engine *engine);
    /* Fail everything that is pending with `error`, and all later submits
     * with `refusal`. */
    void (*fail)(struct pyconc_engine *engine, PyObject *error,
                 PyObject *refusal);
    /* Have workers leave after their current task. */
    void (*halt)(struct pyconc_engine *engine);
    /* Append the owners of all tasks that may be queued.  0, or -1. */
    int (*list_owners)(struct pyconc_engine *engine, PyObject *owners);
};

enum pyconc_engine_phase {
    PYCONC_ENGINE_OPEN = 0,
    PYCONC_ENGINE_CLOSING = 1, /* accepted tasks still run */
    PYCONC_ENGINE_ENDED = 2,   /* nothing runs any more */
};

struct pyconc_engine {
    PyObject_HEAD
    const struct pyconc_engine_ops *ops;
    struct pyconc_state *state; /* borrowed from the module, which the type
                                 * keeps alive */
    uint32_t forks;             /* conc_forks_count() where it was made */
    uint8_t phase;              /* enum pyconc_engine_phase */
    uint8_t has_collector;
    uint8_t retiring;          /* the collector ends when nothing is pending */
    PyObject *broken;          /* owns; raised by every submit, or NULL */
    PyObject *future_type;     /* owns */
    PyObject *start_collector; /* owns; callable */
    struct pyconc_source source;
    struct pyconc_link *idle_waiters; /* of wait_idle */
    struct pyconc_link *room_waiters; /* feeders that found no room */
    PyObject *pool; /* borrowed: only the Pool itself submits, so it is there
                     * whenever this is used; NULL for an executor */
    PyObject *held; /* owns; the Pool, which lives while it has tasks */
    Py_ssize_t feeders;             /* imaps whose input goes on */
    struct pyconc_reading *reading; /* those of them that are read unasked */
    PyObject *weak_references;
    Py_ssize_t pending; /* tasks with an owner; last, beside what else changes
                         * with each task */
};

#define PYCONC_ENGINE(object) ((struct pyconc_engine *)(object))

/* For the types that derive from Engine.  New reference, or NULL with an
 * exception. */
struct pyconc_engine *
pyconc_engine_new(PyTypeObject *type, PyObject *future_type,
                  PyObject *start_collector,
                  const struct pyconc_engine_ops *ops,
                  const struct pyconc_source_ops *source);
int pyconc_engine_traverse(struct pyconc_engine *engine, visitproc visit,
                           void *arg);
void pyconc_engine_clear(struct pyconc_engine *engine);

/* Whether this process made the engine. */
int pyconc_engine_is_ours(const struct pyconc_engine *engine);
/* The same, after making it ours if an engine of its kind can be. */
int pyconc_engine_adopt(struct pyconc_engine *engine);

/* 0, or -1 with an exception: RuntimeError in a forked child, the broken
 * pool's error, or ValueError after closing. */
int pyconc_engine_check_open(struct pyconc_engine *engine);

/* The same, for what may also come while the pool is closing. */
int pyconc_engine_check_going(struct pyconc_engine *engine);

/* Whether there is nothing to be done, nor to be read of an input. */
int pyconc_engine_is_idle(const struct pyconc_engine *engine);

/* Whether a submit was refused, or interrupted: then its error is not the
 * task's. */
int pyconc_engine_refused(struct pyconc_engine *engine);

/* The answer of a task goes to its owner (steals value, borrows owner). */
void pyconc_engine_deliver(enum pyconc_target target, PyObject *owner,
                           struct pyconc_outcome *outcome, Py_ssize_t index,
                           PyObject *value, uint8_t kind, uint8_t form);

/* A task was accepted: the pool lives while it has tasks. */
void pyconc_engine_accepted(struct pyconc_engine *engine);

/* One more, one less reader of an input for imap; `reading` NULL if it is read
 * only as results are fetched.  A pool that is closed goes on reading. */
void pyconc_engine_feeder_begin(struct pyconc_engine *engine,
                                struct pyconc_reading *reading);
void pyconc_engine_feeder_end(struct pyconc_engine *engine,
                              struct pyconc_reading *reading);

/* Fail everything that is pending with `error`, and all later submits with
 * `refusal`; inputs that are still read do not count any more. */
void pyconc_engine_fail(struct pyconc_engine *engine, PyObject *error,
                        PyObject *refusal);

/* The common part of ops->settle, once nothing is pending. */
void pyconc_engine_settled(struct pyconc_engine *engine);

int pyconc_engine_need_collector(struct pyconc_engine *engine);
/* The collector thread's life. */
void pyconc_engine_collect(struct pyconc_engine *engine);

/* Before a wait without limit: run what is queued of these right here, if this
 * thread is a worker of the engine, until the outcome is done.  0, or -1 with
 * an exception. */
int pyconc_engine_help(struct pyconc_engine *engine,
                       const struct pyconc_siblings *siblings,
                       const struct pyconc_outcome *outcome);

/* Wait in one of the engine's lists until it is woken.  As pyconc_wait. */
int pyconc_engine_wait_on(struct pyconc_engine *engine,
                          struct pyconc_link **list, int64_t deadline_ns);
void pyconc_engine_wake_list(struct pyconc_link **list);

#endif
