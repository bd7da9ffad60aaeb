/* What the files of the module layer share. */
#ifndef PYCONC_MODULE_MODULE_H
#define PYCONC_MODULE_MODULE_H

#include "py/state.h"

struct pyconc_codec *pyconc_module_codec(PyObject *module);

extern PyMethodDef pyconc_codec_methods[];  /* codec_functions.c */
extern PyMethodDef pyconc_probe_methods[];  /* probe_functions.c */
extern PyMethodDef pyconc_worker_methods[]; /* worker_type.c */

extern PyType_Spec pyconc_engine_spec;         /* engine_type.c */
extern PyType_Spec pyconc_process_engine_spec; /* process_engine_type.c */
extern PyType_Spec pyconc_thread_engine_spec;  /* thread_engine_type.c */
extern PyType_Spec pyconc_worker_spec;         /* worker_type.c */
extern PyType_Spec pyconc_submitter_spec;      /* submitter_type.c */
extern PyType_Spec pyconc_completions_spec;    /* completions_type.c */

extern PyType_Spec pyconc_event_spec;      /* event_type.c */
extern PyType_Spec pyconc_semaphore_spec;  /* semaphore_type.c */
extern PyType_Spec pyconc_condition_spec;  /* condition_type.c */
extern PyType_Spec pyconc_barrier_spec;    /* barrier_type.c */
extern PyType_Spec pyconc_atomic_int_spec; /* atomic_int_type.c */
extern PyType_Spec pyconc_queue_spec;      /* queue_type.c */

#endif
