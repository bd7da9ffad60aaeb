/* A binary heap in a list, as heapq keeps it: the same comparisons in the same
 * order, so the same order of what comes out.  Unlike heapq both decide first
 * and move then: a comparison that raises leaves the heap as it was. */
#ifndef PYCONC_LOCKS_HEAP_H
#define PYCONC_LOCKS_HEAP_H

#include "py/compat.h"

/* 0, or -1 with an exception.  Run the items' comparisons, during which the
 * caller keeps others away from the list. */
int pyconc_heap_push(PyObject *heap, PyObject *item);

/* The smallest item, taken out: new reference.  NULL with an exception; the
 * list must not be empty. */
PyObject *pyconc_heap_pop(PyObject *heap);

#endif
