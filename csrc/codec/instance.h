/* Instances of plain classes, in compact form: the number of the class and
 * the tagged form of __dict__.
 *
 * pickle spends most of its time for a small object on finding its class by
 * name, on both sides.  A pool sends a class once, like a function, and then
 * as a number.  A class is plain if pickle would do nothing but store its
 * instances' __dict__ and put it back (pyconc/_wire.py says which those
 * are); that is asked anew whenever the class or a base of it changes, and
 * reducers registered for it are looked for at each use.
 *
 * Runs no user code. */
#ifndef PYCONC_CODEC_INSTANCE_H
#define PYCONC_CODEC_INSTANCE_H

#include "codec/codec.h"

/* Instances whose form is longer than this are left to pickle. */
#define PYCONC_INSTANCE_BYTES_MAX (32 * 1024)

#define PYCONC_CLASS_NONE UINT32_MAX

/* What one process knows of the classes of one pool. */
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
    /* The number of a plain class asked for the first time:
     * PYCONC_CLASS_NONE if it has none.  Never raises. */
    uint32_t (*number_of)(void *context, PyTypeObject *type);
    void *context;
};

/* 0, or -1 with an exception. */
int pyconc_classes_init(struct pyconc_classes *classes, PyObject *is_plain,
                        uint32_t (*number_of)(void *, PyTypeObject *),
                        void *context);
void pyconc_classes_fini(struct pyconc_classes *classes);

/* The number of the object's class, PYCONC_CLASS_NONE if it is not plain. */
uint32_t pyconc_class_number(struct pyconc_classes *classes, PyObject *object);

/* Ask about this class anew. */
void pyconc_class_forget(struct pyconc_classes *classes, PyTypeObject *type);

/* As pyconc_tagged_encode and pyconc_tagged_size, for an instance whose
 * class has this number. */
size_t pyconc_instance_encode(PyObject *object, uint32_t number, uint8_t *out,
                              size_t capacity);
size_t pyconc_instance_size(PyObject *object);

/* The number in an encoded instance, PYCONC_CLASS_NONE if it is too short. */
uint32_t pyconc_instance_number(const uint8_t *data, size_t length);

/* New reference, or NULL with an exception. */
PyObject *pyconc_instance_decode(PyTypeObject *type, const uint8_t *data,
                                 size_t length);

#endif
