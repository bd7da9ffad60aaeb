/* The results of a Pool: AsyncResult, MapResult, IMapIterator.
 *
 * What they have in common with futures is the outcome; what differs is that
 * a result with a callback is ready only after its callback has returned. */
#ifndef PYCONC_POOL_RESULTS_H
#define PYCONC_POOL_RESULTS_H

#include "pool/engine.h"

struct pyconc_apply {
    PyObject_HEAD
    struct pyconc_outcome outcome;
    PyObject *callback;       /* owns, or NULL */
    PyObject *error_callback; /* owns, or NULL */
};

struct pyconc_map {
    struct pyconc_apply apply; /* outcome.value: the list, once resolved */
    PyObject *answers; /* owns; list, one item per task; NULL once resolved;
                        * hidden from the garbage collector, which would show
                        * it to anybody while half of it is missing */
    uint8_t *forms;    /* owns; per task: 0 decoded, 1 + form: raw */
    struct pyconc_siblings siblings;
    Py_ssize_t remaining;
    PyObject *error; /* owns; the first by completion */
    uint8_t error_kind;
    uint8_t chunked; /* each answer is a list of results */
    uint8_t any_raw;
};

/* Bring the value of a map together: decode, flatten.  0 with the outcome
 * RESULT or EXCEPTION, or -1 with an exception.  Runs user code. */
int pyconc_apply_resolve(struct pyconc_state *state,
                         struct pyconc_apply *apply);

/* By the collector: the callback, then the transition.  Steals the queue's
 * reference. */
void pyconc_apply_complete_special(struct pyconc_state *state,
                                   struct pyconc_outcome *outcome);

/* An answer for them (steals value). */
void pyconc_map_arrive(PyObject *map, Py_ssize_t index, PyObject *value,
                       uint8_t kind, uint8_t form);
void pyconc_imap_arrive(PyObject *imap, Py_ssize_t index, PyObject *value,
                        uint8_t kind, uint8_t form);

/* Fail a task of a map at submission, with the current exception. */
void pyconc_map_fail(PyObject *map, Py_ssize_t index);

extern PyType_Spec pyconc_apply_spec;
extern PyType_Spec pyconc_map_spec;
extern PyType_Spec pyconc_imap_spec;

/* Make the results and submit their tasks: see engine_type.c. */
PyObject *pyconc_apply_start(struct pyconc_engine *engine, PyTypeObject *type,
                             PyObject *callable, PyObject *arguments,
                             PyObject *keywords, PyObject *callback,
                             PyObject *error_callback);
PyObject *pyconc_map_start(struct pyconc_engine *engine, PyTypeObject *type,
                           PyObject *callable, PyObject *items,
                           Py_ssize_t chunk, int star, PyObject *callback,
                           PyObject *error_callback);
PyObject *pyconc_imap_start(struct pyconc_engine *engine, PyTypeObject *type,
                            PyObject *callable, PyObject *iterable,
                            Py_ssize_t chunk, int ordered, Py_ssize_t buffer);

/* Submit callable(*arguments, **keywords) for an outcome; an error of
 * encoding becomes the outcome's.  0, or -1 if the pool refuses. */
int pyconc_submit_call(struct pyconc_engine *engine,
                       struct pyconc_outcome *outcome, PyObject *callable,
                       PyObject *arguments, PyObject *keywords);

#endif
