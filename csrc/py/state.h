/* What one instance of the module owns: its types, and the Python objects
 * that C code needs by name.  Nothing here is static, so that the module can
 * live in several interpreters. */
#ifndef PYCONC_PY_STATE_H
#define PYCONC_PY_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct pyconc_codec;

struct pyconc_state {
    /* types */
    PyTypeObject *future_type;      /* FutureBase */
    PyTypeObject *completions_type; /* Completions */
    PyTypeObject *block_type;       /* Block */
    PyTypeObject *engine_type;      /* Engine */
    PyTypeObject *process_engine_type;
    PyTypeObject *thread_engine_type;
    PyTypeObject *worker_type;    /* Worker */
    PyTypeObject *submitter_type; /* Submitter */
    PyTypeObject *scheduling_type;
    PyTypeObject *periodic_type;  /* PeriodicTask */
    PyTypeObject *apply_type;     /* ApplyResultBase */
    PyTypeObject *map_type;       /* MapResultBase */
    PyTypeObject *imap_type;      /* IMapIteratorBase */
    PyTypeObject *event_type;     /* Event */
    PyTypeObject *lock_type;      /* Lock */
    PyTypeObject *rlock_type;     /* RLock */
    PyTypeObject *semaphore_type; /* Semaphore */
    PyTypeObject *condition_type; /* Condition */
    PyTypeObject *barrier_type;   /* Barrier */
    PyTypeObject *counter_type;
    PyTypeObject *queue_type;   /* Queue */
    PyTypeObject *awaiter_type; /* Awaiter */

    struct pyconc_codec *codec; /* owns; pyconc_state_complete */

    /* from the stdlib; what the codec, futures and engines need of it is there
     * after pyconc_state_complete */
    PyObject *cancelled_error;
    PyObject *invalid_state_error;
    PyObject *futures_timeout_error;
    PyObject *pool_timeout_error; /* multiprocessing.TimeoutError */
    PyObject *condition_class;    /* threading.Condition */
    PyObject *logger;             /* concurrent.futures */
    PyObject *broken_barrier_error;
    PyObject *allocate_lock;         /* threading.Lock */
    PyTypeObject *builtin_lock_type; /* of threading.Lock() */
    PyTypeObject *builtin_rlock_type;
    PyObject *queue_empty; /* queue.Empty */
    PyObject *queue_full;
    PyTypeObject *deque_type;
    PyObject *deque_append; /* unbound methods */
    PyObject *deque_popleft;

    /* from pyconc, imported from pyconc._wire at first need */
    PyObject *decode_error; /* bytes -> exception */
    PyObject *result_error; /* (exception, bytes) -> stand-in exception */
    PyObject *is_plain;     /* class -> bool */
    PyObject *dump_main;    /* function of __main__ -> bytes */
    PyObject *load_main;    /* bytes -> function */
    PyObject *report_error; /* exception of a callback -> reported */

    /* from pyconc._signatures, at first need */
    PyObject *native_function; /* ctypes' type of function pointers */
    PyObject *native_plan;     /* what it declares -> bytes */
    PyObject *native_number;   /* (type, argument, is it real) -> number */
    PyObject *native_pointer;  /* (type, argument) -> (address, to be kept) */
    PyObject *native_result;   /* (type, bits) -> object */
    PyObject *native_plans;    /* dict; set last */
    PyObject *str_argtypes;
    PyObject *str_restype;
    PyObject *str_errcheck;
    PyObject *str_flags;

    PyObject *corruption_error;
    PyObject *queue_shutdown; /* pyconc.errors.ShutDown */
    PyObject *str_add_result;
    PyObject *str_add_exception;
    PyObject *str_add_cancelled;
    PyObject *str_notify_all;
    PyObject *str_notify;
    PyObject *str_enter;
    PyObject *str_exit;
    PyObject *str_release;
    PyObject *str_init;
    PyObject *str_qsize;
    PyObject *str_put_hook;
    PyObject *str_get_hook;
    PyObject *str_release_save;
    PyObject *str_acquire_restore;
    PyObject *str_is_owned;
    PyObject *str_wait;
    PyObject *str_put;
    PyObject *str_get;
    PyObject *str_clear;
    PyObject *str_open_put;
    PyObject *str_open_get;
    PyObject *str_open_task_done;
    PyObject *str_open_join;
    PyObject *str_open_shutdown;
    PyObject *str_open_qsize;
    PyObject *str_make_conditions;

    PyObject *names_block; /* ("block",), for calls with keywords */
    PyObject *names_block_timeout;

    uint32_t cpu_count; /* that we may use; 0: not asked yet */

    int in_task; /* a worker of this process is inside a task */
};

/* The state behind a type of this module, also for subclasses. */
struct pyconc_state *pyconc_state_of(PyTypeObject *type);
struct pyconc_state *pyconc_state_of_module(PyObject *module);

/* Import what the first future, engine, worker or use of the codec needs:
 * programs that only want locks do not wait for it.  0, or -1 with an
 * exception. */
int pyconc_state_complete(struct pyconc_state *state);

/* Set the Python exception for a status of the plain layers; `what` says
 * what was tried, `limit` (may be NULL) which limit is in the way.
 * Returns NULL. */
PyObject *pyconc_raise_status(struct pyconc_state *state, int status,
                              const char *what, const char *limit);

/* A timeout argument (None or a number of seconds) to an absolute deadline.
 * 0, or -1 with an exception. */
int pyconc_deadline_from_timeout(PyObject *timeout, int64_t *deadline_ns);

/* A timeout as the locks of the stdlib take it: a float, or what can be an
 * int.  0, or -1 with an exception. */
int pyconc_seconds(PyObject *timeout, double *seconds);

/* As the locks of the stdlib take it: None, or a number of seconds; what is
 * negative or NaN has passed, and what exceeds threading.TIMEOUT_MAX is an
 * OverflowError. */
int pyconc_deadline_of_lock(PyObject *timeout, int64_t *deadline_ns);

#endif
