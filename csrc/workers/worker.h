/* The worker side of a process pool: claim, decode, call, encode, publish.
 *
 * A worker is one process with one thread in this loop.  Everything that it
 * reads from shared memory was checked or copied first; everything that a
 * task raises is that task's answer; the loop itself ends only when the pool
 * stops or the worker has done its number of tasks. */
#ifndef PYCONC_WORKERS_WORKER_H
#define PYCONC_WORKERS_WORKER_H

#include "codec/classes.h"
#include "codec/codec.h"
#include "py/state.h"
#include "workers/layout.h"

struct pyconc_worker {
    PyObject_HEAD
    struct pyconc_state *state; /* borrowed from the module */
    PyObject *encode_error;     /* owns; exception -> bytes */
    PyObject *unsendable;       /* owns; (result, exception) -> exception */
    PyObject *undecodable;      /* owns; (bytes or None, exception) ->
                                 * exception */
    PyObject *engine; /* owns; under fork: whose mapping is used, or NULL */
    int by_value;     /* results: enum pyconc_by_value */
    uint32_t slot;
    uint32_t forks; /* conc_forks_count() at the start */

    struct pyconc_geometry geometry;
    struct pyconc_layout layout;
    struct conc_region region; /* own mapping, or a copy of the engine's */
    struct pyconc_control *control;
    struct pyconc_slot *slots;
    struct pyconc_function_entry *entries;
    struct conc_board board;
    struct conc_idlers idlers;
    struct conc_heap *heap; /* owns */

    struct pyconc_classes classes; /* numbers that the parent used */
    PyObject *class_numbers;       /* owns; {class: number} */

    PyObject **functions;  /* owns; decoded references by index */
    uint32_t *generations; /* owns; of each of them */
};

/* Attach to the region; 0, or -1 with an exception. */
int pyconc_worker_attach(struct pyconc_worker *worker, int fd);

/* Run tasks: at most max_tasks (0: no limit).  0 when the pool stops or the
 * number is reached. */
int pyconc_worker_run(struct pyconc_worker *worker, uint64_t max_tasks);

/* Leave the initializer's error for the parent. */
int pyconc_worker_fail(struct pyconc_worker *worker, PyObject *error);

#endif
