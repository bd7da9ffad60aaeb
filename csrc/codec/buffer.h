/* Memory for big writable buffers that arrive, recycled while it is warm.
 *
 * The first touch of fresh memory costs more than the copy that fills it, so
 * what one array leaves serves the next one.  Private to the process; a
 * buffer belongs to whoever received it, and to nobody else, until it is
 * freed. */
#ifndef PYCONC_CODEC_BUFFER_H
#define PYCONC_CODEC_BUFFER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Smaller buffers are bytearrays: malloc recycles those well enough. */
#define PYCONC_BUFFER_LEAST_BYTES (4 * 1024 * 1024)

struct pyconc_spares; /* memory without a buffer; counted reference */

/* NULL with MemoryError. */
struct pyconc_spares *pyconc_spares_new(void);
void pyconc_spares_release(struct pyconc_spares *spares);

/* Give all spare memory back to the system. */
void pyconc_spares_trim(struct pyconc_spares *spares);

/* A writable buffer of `size` bytes, not initialized; *memory is where they
 * are and *fresh whether nobody has touched them yet.  New reference. */
PyObject *pyconc_buffer_new(PyTypeObject *type, struct pyconc_spares *spares,
                            Py_ssize_t size, void **memory, int *fresh);

extern PyType_Spec pyconc_buffer_spec;

#endif
