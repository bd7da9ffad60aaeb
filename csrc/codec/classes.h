/* Plain classes, whose instances have a tagged form.
 *
 * pickle spends most of its time for a small object on finding its class by
 * name, on both sides.  A pool sends a class once, like a function, and then
 * as a number.  A class is plain if pickle would do nothing but store its
 * instances' __dict__ and put it back (pyconc/_wire.py says which those
 * are); that is asked anew whenever the class or a base of it changes, and
 * reducers registered for it are looked for at each use. */
#ifndef PYCONC_CODEC_CLASSES_H
#define PYCONC_CODEC_CLASSES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define PYCONC_CLASS_NONE UINT32_MAX

/* What one process knows of the classes of one pool: for encoding. */
struct pyconc_classes {
    PyObject *known;         /* owns; {class: version << 32 | number}, number
                              * PYCONC_CLASS_NONE: not plain, or not of this pool */
    PyObject *is_plain;      /* owns; callable: class -> bool */
    PyObject *copyreg_table; /* owns; both are looked at live */
    PyObject *forking_table; /* owns */
    /* cache of the class asked last; borrowed from `known` */
    PyTypeObject *last;
    unsigned int last_version;
    uint32_t last_number;
    uint64_t asked; /* how often is_plain was called: it is Python code */
    /* The number of a plain class asked for the first time:
     * PYCONC_CLASS_NONE if it has none.  Never raises. */
    uint32_t (*number_of)(void *context, PyTypeObject *type);
    void *context;
};

/* The other direction, for decoding. */
struct pyconc_class_lookup {
    /* The class that has this number: new reference, or NULL with an
     * exception.  May run user code. */
    PyTypeObject *(*class_of)(void *context, uint32_t number);
    void *context;
};

/* 0, or -1 with an exception. */
int pyconc_classes_init(struct pyconc_classes *classes, PyObject *is_plain,
                        uint32_t (*number_of)(void *, PyTypeObject *),
                        void *context);
void pyconc_classes_fini(struct pyconc_classes *classes);

/* Whether instances have nothing but a __dict__ that could be lost: the part
 * of being plain that keeps a wrong number from doing harm. */
int pyconc_class_is_simple(PyTypeObject *type);

/* The number of the object's class, PYCONC_CLASS_NONE if it is not plain.
 * Never raises.  Runs Python code only if it counts `asked`; a second call
 * for the same unchanged class then does not. */
uint32_t pyconc_class_number(struct pyconc_classes *classes, PyObject *object);

/* Ask about this class anew. */
void pyconc_class_forget(struct pyconc_classes *classes, PyTypeObject *type);

#endif
