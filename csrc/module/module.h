/* What the files of the module layer share. */
#ifndef PYCONC_MODULE_MODULE_H
#define PYCONC_MODULE_MODULE_H

#include "py/state.h"
#include "ring/team.h"

struct pyconc_engine;
struct pyconc_native;

/* submitter_type.c: an executor's engine, open, or NULL with the exception
 * that says why not (borrowed). */
struct pyconc_engine *pyconc_executor_open(PyObject *executor);
/* Submit to it, as submit() does; with `native` (stolen) it is the C function
 * that is called, and callable and arguments are what it keeps alive. */
PyObject *pyconc_executor_submit(PyObject *executor, PyObject *callable,
                                 PyObject *arguments, PyObject *keywords,
                                 struct pyconc_native *native);
/* Start one more thread. */
int pyconc_executor_grow(PyObject *executor);
/* Call a method without arguments.  0, or -1. */
int pyconc_executor_hook(PyObject *executor, const char *name);
/* A submit failed: if that was because the executor was shut down in between,
 * say so as the stdlib does. */
void pyconc_executor_refused(PyObject *executor, struct pyconc_engine *engine);
/* The arguments of a METH_FASTCALL | METH_KEYWORDS call from place `first` on:
 * 0 with a tuple, and a dict or NULL (new references), or -1. */
int pyconc_executor_pack(PyObject *const *arguments, Py_ssize_t first,
                         Py_ssize_t count, PyObject *names,
                         PyObject **positional, PyObject **keywords);

/* c_api.c: the capsule.  0, or -1. */
int pyconc_add_c_api(PyObject *module);

/* native_functions.c: whether C functions can be submitted to it: 0, or -1
 * with TypeError, or with what submit() would raise. */
int pyconc_check_threads(struct pyconc_state *state, PyObject *executor);

/* native_functions.c: as native.parallel_for().  0, or -1 with an exception.
 * GIL: released inside. */
int pyconc_run_range(struct pyconc_state *state, PyObject *executor,
                     conc_range_function function, void *context, int64_t n,
                     int64_t grain);

extern PyMethodDef pyconc_codec_methods[];  /* codec_functions.c */
extern PyMethodDef pyconc_native_methods[]; /* native_functions.c */
extern PyMethodDef pyconc_probe_methods[];  /* probe_functions.c */
extern PyMethodDef pyconc_worker_methods[]; /* worker_type.c */

extern PyType_Spec pyconc_engine_spec;         /* engine_type.c */
extern PyType_Spec pyconc_process_engine_spec; /* process_engine_type.c */
extern PyType_Spec pyconc_thread_engine_spec;  /* thread_engine_type.c */
extern PyType_Spec pyconc_worker_spec;         /* worker_type.c */
extern PyType_Spec pyconc_submitter_spec;      /* submitter_type.c */
extern PyType_Spec pyconc_scheduling_spec;     /* scheduling_type.c */
extern PyType_Spec pyconc_completions_spec;    /* completions_type.c */

#endif
