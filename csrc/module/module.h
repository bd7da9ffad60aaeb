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

#endif
