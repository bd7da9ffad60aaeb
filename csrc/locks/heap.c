/* See heap.h.  Mirrors Modules/_heapqmodule.c in what it compares. */
#include "locks/heap.h"

#include "platform/check.h"

/* A list has less than 2**60 items. */
#define DEPTH_MAX 64

/* Whether a < b; -1 with an exception, also if that changed the list's
 * size. */
static int
is_less(PyObject *heap, PyObject *a, PyObject *b)
{
    Py_ssize_t size = PyList_GET_SIZE(heap);

    Py_INCREF(a);
    Py_INCREF(b);
    int less = PyObject_RichCompareBool(a, b, Py_LT);
    Py_DECREF(a);
    Py_DECREF(b);
    if (less >= 0 && PyList_GET_SIZE(heap) != size) {
        PyErr_SetString(PyExc_RuntimeError,
                        "comparing two items changed the size of the queue's "
                        "list; do not touch the queue in __lt__");
        return -1;
    }
    return less;
}

int
pyconc_heap_push(PyObject *heap, PyObject *item)
{
    Py_ssize_t at = PyList_GET_SIZE(heap), place = at;

    while (place > 0) {
        Py_ssize_t parent = (place - 1) >> 1;
        int less = is_less(heap, item, PyList_GET_ITEM(heap, parent));
        if (less < 0) {
            return -1;
        }
        if (!less) {
            break;
        }
        place = parent;
    }
    if (PyList_Append(heap, item) < 0) {
        return -1;
    }
    /* From here on nothing runs but moves; references change places. */
    while (at > place) {
        Py_ssize_t parent = (at - 1) >> 1;
        PyObject *moved = PyList_GET_ITEM(heap, parent);
        PyList_SET_ITEM(heap, parent, PyList_GET_ITEM(heap, at));
        PyList_SET_ITEM(heap, at, moved);
        at = parent;
    }
    return 0;
}

/* The way from the root to a leaf along the smaller children, and how far up
 * `last` then goes from there: the length of the way, -1 with an exception. */
static int
find_way(PyObject *heap, Py_ssize_t size, PyObject *last, Py_ssize_t *way)
{
    Py_ssize_t place = 0;
    int length = 0;

    while (2 * place + 1 < size) {
        Py_ssize_t child = 2 * place + 1;
        if (child + 1 < size) {
            int less = is_less(heap, PyList_GET_ITEM(heap, child),
                               PyList_GET_ITEM(heap, child + 1));
            if (less < 0) {
                return -1;
            }
            child += !less;
        }
        CONC_ASSERT(length < DEPTH_MAX);
        way[length++] = child;
        place = child;
    }
    while (length > 0) {
        /* What lies there will have moved up by one. */
        int less = is_less(heap, last, PyList_GET_ITEM(heap, way[length - 1]));
        if (less < 0) {
            return -1;
        }
        if (!less) {
            break;
        }
        length--;
    }
    return length;
}

PyObject *
pyconc_heap_pop(PyObject *heap)
{
    Py_ssize_t size = PyList_GET_SIZE(heap) - 1; /* without the last item */
    Py_ssize_t way[DEPTH_MAX];
    PyObject *last = Py_NewRef(PyList_GET_ITEM(heap, size));

    if (size == 0) {
        if (PyList_SetSlice(heap, 0, 1, NULL) < 0) {
            Py_CLEAR(last);
        }
        return last;
    }
    int length = find_way(heap, size, last, way);
    if (length < 0) {
        Py_DECREF(last);
        return NULL;
    }
    PyObject *first = Py_NewRef(PyList_GET_ITEM(heap, 0));
    /* Shortening comes first: it may fail.  It runs no finalizer, for `last`
     * is held here. */
    if (PyList_GET_ITEM(heap, size) != last) {
        PyErr_SetString(PyExc_RuntimeError,
                        "comparing two items changed the queue's list");
    }
    if (PyErr_Occurred() || PyList_SetSlice(heap, size, size + 1, NULL) < 0) {
        Py_DECREF(first);
        Py_DECREF(last);
        return NULL;
    }
    PyObject *root = PyList_GET_ITEM(heap, 0);
    Py_ssize_t place = 0;
    for (int i = 0; i < length; i++) {
        PyList_SET_ITEM(heap, place, PyList_GET_ITEM(heap, way[i]));
        place = way[i];
    }
    PyList_SET_ITEM(heap, place, last);
    Py_DECREF(root); /* `first` holds it */
    return first;
}
