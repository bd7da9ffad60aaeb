/* The parent side of a process pool.
 *
 * Tasks are encoded by whoever submits and put into cells of the board; if
 * there is none they wait, encoded, in the parent (`parked`).  Answers are
 * taken from the completion stack by whoever waits (future/wait.h).
 *
 * All of this is protected by the GIL: between two places where Python code
 * may run the state is consistent.  Invariants:
 *
 *   E1  tasks[cell].owner is set exactly for cells that are published and
 *       not yet freed, abandoned ones excepted.
 *   E2  `pending` counts the tasks with an owner, in cells and parked.
 *   E3  a cell taken from the completion stack is either in `chain` or has
 *       tasks[cell].collecting set until it is freed; the sweep after a
 *       death leaves those alone.
 *   E4  parked tasks are in order, and a task is parked only while there is
 *       no free cell or something is parked already. */
#ifndef PYCONC_WORKERS_ENGINE_H
#define PYCONC_WORKERS_ENGINE_H

#include "codec/classes.h"
#include "codec/codec.h"
#include "future/block.h"
#include "pool/engine.h"
#include "workers/layout.h"

struct pyconc_task {
    PyObject *owner; /* owns; NULL: nobody waits for this any more */
    struct pyconc_outcome *outcome; /* of owner, for TARGET_OUTCOME */
    Py_ssize_t index;
    conc_off arguments; /* block in the parent's heap, 0: none */
    uint32_t function;  /* counted reference, or PYCONC_FUNCTION_NONE */
    uint8_t target;     /* enum pyconc_target */
    uint8_t collecting;
};

/* What is written into a cell. */
struct pyconc_message {
    uint8_t operation;
    uint8_t flags;
    uint16_t length;
    uint8_t payload[CONC_CELL_PAYLOAD_BYTES];
};

struct pyconc_parked {
    struct pyconc_task task; /* first: a task pointer is one to this */
    struct pyconc_message message;
    struct pyconc_parked *next;
    struct pyconc_parked *previous;
};

/* The parent's side of an entry of the function table. */
struct pyconc_function {
    PyObject *key;      /* owns; the callable (by reference) or its bytes */
    PyObject *name;     /* owns; for messages */
    Py_ssize_t tasks;   /* references: tasks and jobs that name it */
    conc_off block;     /* in the parent's heap */
    uint32_t next_free; /* while key is NULL */
};

/* What of __main__ the workers find. */
enum pyconc_main {
    PYCONC_MAIN_SHARED = 0,  /* all: they are forked from here */
    PYCONC_MAIN_RERUN = 1,   /* what its file defines when imported */
    PYCONC_MAIN_MISSING = 2, /* nothing: a notebook, -c, standard input */
};

struct pyconc_process_engine {
    struct pyconc_engine base;
    uint8_t main_travels; /* enum pyconc_main */
    uint8_t damaged;      /* the board's words are not what we wrote */

    struct pyconc_geometry geometry;
    struct pyconc_layout layout;
    struct conc_region region;
    struct pyconc_control *control;
    struct pyconc_slot *slots;
    struct conc_heap_shared *heaps_shared;
    struct pyconc_function_entry *entries;
    struct conc_board board;
    struct conc_idlers idlers;
    struct conc_heap *heap; /* owns; the parent's */

    struct pyconc_task *tasks; /* owns; one per cell */
    uint32_t *links;           /* owns; one per cell: chains of done cells */
    uint32_t chain;            /* taken from the stack, not yet completed */
    struct pyconc_parked *parked_first; /* owns */
    struct pyconc_parked *parked_last;
    Py_ssize_t parked_count;
    uint64_t finished;            /* answers ever received */
    struct pyconc_link *sweepers; /* wait for the end of somebody's decode */
    struct pyconc_block *blocks;  /* big results still in shared memory */

    uint32_t started; /* workers alive, as Python counts them */

    struct pyconc_function *functions; /* owns; PYCONC_FUNCTIONS_MAX */
    uint32_t function_count;           /* high-water mark */
    uint32_t free_function;            /* list of indices let go of */
    uint32_t reference_count;          /* entries held by reference */
    PyObject *function_index;          /* owns; {callable or bytes: index} */
    PyObject *last_callable;           /* borrowed from its entry; a cache */
    uint32_t last_function;

    struct pyconc_classes classes; /* numbers are function indices */
    uint32_t committed_cells;      /* of the board */
};

#define PYCONC_PROCESS_ENGINE(object)                                         \
    ((struct pyconc_process_engine *)(object))

/* --- parent.c ------------------------------------------------------------ */

/* A task to submit.  Everything is borrowed. */
struct pyconc_dispatch {
    enum pyconc_target target;
    enum pyconc_operation operation;
    PyObject *owner;
    struct pyconc_outcome *outcome; /* NULL but for TARGET_OUTCOME */
    Py_ssize_t index;
    uint32_t function; /* a counted reference that the task takes a share of;
                        * PYCONC_FUNCTION_NONE for CALL_JOINT */
    PyObject *payload;
    Py_ssize_t start; /* these as in struct pyconc_submission */
    Py_ssize_t end;
    uint8_t goes_on;
};

/* 0, or -1 with the exception that encoding the payload raised. */
int pyconc_process_submit(struct pyconc_process_engine *engine,
                          const struct pyconc_dispatch *dispatch);

/* Complete what is finished.  If more is finished all the time, end when it
 * was `enough`.  Leaves nothing in the chain. */
void pyconc_process_drain(struct pyconc_process_engine *engine,
                          Py_ssize_t enough);

/* Complete the task at `cell`, which the caller took: its value, stolen.
 * Frees the cell. */
void pyconc_process_complete(struct pyconc_process_engine *engine,
                             uint32_t cell, PyObject *value, uint8_t kind,
                             uint8_t form);

/* Read the answer in a DONE cell.  New reference with kind and form; never
 * NULL without memory: then *kind is EXCEPTION and it is a MemoryError. */
PyObject *pyconc_process_take_answer(struct pyconc_process_engine *engine,
                                     uint32_t cell, uint8_t *kind,
                                     uint8_t *form);

/* After `pending` fell: end the closing, wake who waits for that. */
void pyconc_process_settle(struct pyconc_process_engine *engine);

/* Let go of a task's function and block; the owner stays. */
void pyconc_process_release_task(struct pyconc_process_engine *engine,
                                 struct pyconc_task *task);
void pyconc_process_unpark(struct pyconc_process_engine *engine,
                           struct pyconc_parked *parked);

extern const struct pyconc_engine_ops pyconc_process_engine_ops; /* calls.c */

/* Whether a submit would have to park. */
int pyconc_process_is_full(struct pyconc_process_engine *engine);

/* --- functions.c --------------------------------------------------------- */

/* The index of a callable in the function table, with one reference for the
 * caller.  0; 1: it should travel jointly with its arguments (the table is
 * full); -1: an exception, from pickling it. */
int pyconc_function_acquire(struct pyconc_process_engine *engine,
                            PyObject *callable, uint32_t *function);
void pyconc_function_release(struct pyconc_process_engine *engine,
                             uint32_t function);

/* For struct pyconc_classes: the index of a class that travels by name. */
uint32_t pyconc_function_class_number(void *engine, PyTypeObject *type);

/* --- reap.c -------------------------------------------------------------- */

/* After the death of the worker in `slot`: deliver what it finished, fail
 * what it was running with make_error(function name), repair the words it
 * may have left, empty its heap once nobody decodes a result that lies there.
 * The number of lost tasks; -1 with an exception.  GIL: released inside. */
Py_ssize_t pyconc_process_sweep(struct pyconc_process_engine *engine,
                                uint32_t slot, PyObject *make_error);

/* Fail everything that is pending with `error`, and all later submits with
 * `refusal`. */
void pyconc_process_break(struct pyconc_process_engine *engine,
                          PyObject *error, PyObject *refusal);

/* The error that a worker's initializer left, decoded, or None. */
PyObject *pyconc_process_slot_error(struct pyconc_process_engine *engine,
                                    uint32_t slot);

#endif
