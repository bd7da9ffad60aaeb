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
    PyTypeObject *apply_type;     /* ApplyResultBase */
    PyTypeObject *map_type;       /* MapResultBase */
    PyTypeObject *imap_type;      /* IMapIteratorBase */

    struct pyconc_codec *codec; /* owns */

    /* from the stdlib */
    PyObject *cancelled_error;
    PyObject *invalid_state_error;
    PyObject *futures_timeout_error;
    PyObject *pool_timeout_error; /* multiprocessing.TimeoutError */
    PyObject *condition_class;    /* threading.Condition */
    PyObject *logger;             /* concurrent.futures */

    /* from pyconc, imported from pyconc._wire at first need */
    PyObject *decode_error; /* bytes -> exception */
    PyObject *result_error; /* (exception, bytes) -> stand-in exception */
    PyObject *is_plain;     /* class -> bool */
    PyObject *dump_main;    /* function of __main__ -> bytes */
    PyObject *load_main;    /* bytes -> function */
    PyObject *report_error; /* exception of a callback -> reported */

    PyObject *corruption_error;
    PyObject *str_add_result;
    PyObject *str_add_exception;
    PyObject *str_add_cancelled;
    PyObject *str_notify_all;
    PyObject *str_enter;
    PyObject *str_exit;

    uint32_t cpu_count; /* that we may use; 0: not asked yet */

    int in_task; /* a worker of this process is inside a task */
};

/* The state behind a type of this module, also for subclasses. */
struct pyconc_state *pyconc_state_of(PyTypeObject *type);
struct pyconc_state *pyconc_state_of_module(PyObject *module);

/* Set the Python exception for a status of the plain layers; `what` says
 * what was tried, `limit` (may be NULL) which limit is in the way.
 * Returns NULL. */
PyObject *pyconc_raise_status(struct pyconc_state *state, int status,
                              const char *what, const char *limit);

/* A timeout argument (None or a number of seconds) to an absolute deadline.
 * 0, or -1 with an exception. */
int pyconc_deadline_from_timeout(PyObject *timeout, int64_t *deadline_ns);

#endif
