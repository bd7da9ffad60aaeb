/* What the files of the module layer share. */
#ifndef PYCONC_MODULE_MODULE_H
#define PYCONC_MODULE_MODULE_H

#include "pool/engine.h"

struct pyconc_codec *pyconc_module_codec(PyObject *module);

extern PyMethodDef pyconc_codec_methods[];  /* codec_functions.c */
extern PyMethodDef pyconc_probe_methods[];  /* probe_functions.c */
extern PyMethodDef pyconc_worker_methods[]; /* worker_type.c */

extern PyType_Spec pyconc_engine_spec;         /* engine_type.c */
extern PyType_Spec pyconc_process_engine_spec; /* process_engine_type.c */
extern PyType_Spec pyconc_thread_engine_spec;  /* thread_engine_type.c */
extern PyType_Spec pyconc_worker_spec;         /* worker_type.c */
extern PyType_Spec pyconc_submitter_spec;      /* submitter_type.c */
extern PyType_Spec pyconc_scheduling_spec;     /* scheduling_type.c */
extern PyType_Spec pyconc_completions_spec;    /* completions_type.c */

/* --- submitter_type.c ------------------------------------------------------
 */

/* Call a method without arguments of an executor.  0, or -1. */
int pyconc_submitter_hook(PyObject *self, const char *name);

/* The engine of an executor, open, or NULL with the exception that says why
 * not. */
struct pyconc_engine *pyconc_submitter_open(PyObject *self);

/* A submit failed: if that was because the executor was shut down in between,
 * say so as the stdlib does. */
void pyconc_submitter_refused(PyObject *self, struct pyconc_engine *engine);

/* The arguments of a call from place `first` on: 0 with a tuple, and a dict or
 * NULL (new references), or -1. */
int pyconc_submitter_pack(PyObject *const *arguments, Py_ssize_t first,
                          Py_ssize_t count, PyObject *names,
                          PyObject **positional, PyObject **keywords);

#endif
