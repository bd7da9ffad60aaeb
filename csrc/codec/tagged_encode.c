/* Objects to the tagged form; see tagged.h. */
#include <string.h>

#include "codec/classes.h"
#include "codec/codec.h"
#include "codec/copy.h"
#include "codec/numbers.h"
#include "codec/tagged.h"
#include "platform/compiler.h"
#include "py/compat.h"

CONC_STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
CONC_STATIC_ASSERT(sizeof(double) == 8);
CONC_STATIC_ASSERT(sizeof(long) == 8);

/* What is going to be written for one value. */
struct scalar {
    uint8_t tag;
    uint8_t inline_bytes; /* of `bits`, if `object` is NULL */
    uint64_t bits;
    /* Otherwise a length and data_bytes from `data`, or, if that is NULL,
     * from the int `object`. */
    PyObject *object; /* borrowed */
    const void *data;
    size_t length;
    size_t data_bytes;
};

/* The parts met so far.  Few are compared one by one, more through a table
 * of pointers. */
#define MEMO_LISTED 8
#define MEMO_SLOTS ((size_t)2 * TAGGED_MEMO_MAX) /* a power of two */

struct memo {
    size_t count;
    PyObject *list[MEMO_LISTED]; /* borrowed */
    PyObject *table[MEMO_SLOTS]; /* borrowed; filled from MEMO_LISTED on */
    uint8_t indices[MEMO_SLOTS];
};

/* Without `out` it only measures. */
struct writer {
    uint8_t *out;
    size_t used;
    size_t capacity;
    struct pyconc_classes *classes; /* NULL: instances are not known */
    bool unfit;     /* no tagged form, or none that anybody could tell */
    bool again;     /* Python code ran: what was written counts no more */
    bool has_class; /* an instance was written */
    unsigned depth; /* containers open: */
    PyObject *open[TAGGED_DEPTH_MAX]; /* borrowed */
    struct memo memo;
};

static bool
refuse(struct writer *writer)
{
    writer->unfit = true;
    return false;
}

static bool
classify_big_int(PyObject *number, struct scalar *scalar)
{
    size_t size = pyconc_long_bytes(number);

    if (size == 0) {
        PyErr_Clear();
        return false;
    }
    scalar->tag = TAG_BIG_INT;
    scalar->object = number;
    scalar->data = NULL;
    scalar->length = size;
    scalar->data_bytes = size;
    return true;
}

static inline bool
classify_int(PyObject *number, struct scalar *scalar)
{
    int64_t value;

    if (!pyconc_long_fits(number, &value)) {
        return classify_big_int(number, scalar);
    }
    scalar->inline_bytes = (uint8_t)tagged_int_bytes(tagged_magnitude(value));
    scalar->tag = (uint8_t)(TAG_INT + scalar->inline_bytes);
    scalar->bits = (uint64_t)value;
    scalar->object = NULL;
    return true;
}

static inline bool
classify_str(PyObject *text, struct scalar *scalar)
{
    if (!pyconc_unicode_is_ready(text)) {
        return false;
    }
    size_t kind = (size_t)PyUnicode_KIND(text);

    if (kind == PyUnicode_1BYTE_KIND) {
        scalar->tag = PyUnicode_IS_ASCII(text) ? TAG_ASCII : TAG_LATIN1;
    }
    else {
        scalar->tag = kind == PyUnicode_2BYTE_KIND ? TAG_UCS2 : TAG_UCS4;
    }
    scalar->object = text;
    scalar->data = PyUnicode_DATA(text);
    scalar->length = (size_t)PyUnicode_GET_LENGTH(text);
    scalar->data_bytes = scalar->length * kind;
    return true;
}

/* false: the object is no scalar. */
static inline bool
classify(PyObject *object, struct scalar *scalar)
{
    if (PyLong_CheckExact(object)) {
        return classify_int(object, scalar);
    }
    if (PyFloat_CheckExact(object)) {
        double value = PyFloat_AS_DOUBLE(object);

        scalar->tag = TAG_FLOAT;
        scalar->inline_bytes = 8;
        memcpy(&scalar->bits, &value, 8);
        scalar->object = NULL;
        return true;
    }
    if (PyUnicode_CheckExact(object)) {
        return classify_str(object, scalar);
    }
    if (PyBytes_CheckExact(object)) {
        scalar->tag = TAG_BYTES;
        scalar->object = object;
        scalar->data = PyBytes_AS_STRING(object);
        scalar->length = (size_t)PyBytes_GET_SIZE(object);
        scalar->data_bytes = scalar->length;
        return true;
    }
    if (object == Py_None) {
        scalar->tag = TAG_NONE;
    }
    else if (object == Py_False) {
        scalar->tag = TAG_FALSE;
    }
    else if (object == Py_True) {
        scalar->tag = TAG_TRUE;
    }
    else {
        return false;
    }
    scalar->inline_bytes = 0;
    scalar->bits = 0;
    scalar->object = NULL;
    return true;
}

static inline bool
emit_inline(struct writer *writer, const struct scalar *scalar)
{
    size_t room = writer->capacity - writer->used;
    size_t size = 1 + (size_t)scalar->inline_bytes;

    if (size > room) {
        return false;
    }
    if (writer->out != NULL) {
        uint8_t *next = writer->out + writer->used;

        next[0] = scalar->tag;
        if (CONC_LIKELY(room >= 9)) {
            memcpy(next + 1, &scalar->bits, 8); /* one store */
        }
        else {
            memcpy(next + 1, &scalar->bits, scalar->inline_bytes);
        }
    }
    writer->used += size;
    return true;
}

/* `alone`: nothing but the caller's reference to an immutable object is
 * needed while copying, so the GIL may go. */
static bool
emit_data(struct writer *writer, const struct scalar *scalar, bool alone)
{
    size_t size = tagged_header_bytes(scalar->length) + scalar->data_bytes;

    if (size > writer->capacity - writer->used) {
        return false;
    }
    if (writer->out == NULL) {
        writer->used += size;
        return true;
    }
    writer->used += tagged_write_header(writer->out + writer->used,
                                        scalar->tag, scalar->length);

    uint8_t *next = writer->out + writer->used;

    if (scalar->data == NULL) {
        if (pyconc_long_write(scalar->object, next, scalar->data_bytes) < 0) {
            PyErr_Clear();
            return refuse(writer);
        }
    }
    else if (alone) {
        pyconc_copy(next, scalar->data, scalar->data_bytes);
    }
    else {
        memcpy(next, scalar->data, scalar->data_bytes);
    }
    writer->used += scalar->data_bytes;
    return true;
}

static inline size_t
memo_hash(PyObject *object)
{
    /* Objects lie 16 bytes apart; the multiplication spreads what is left
     * to the upper bits. */
    uint64_t hash = ((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15;

    return (size_t)(hash >> 32) & (MEMO_SLOTS - 1);
}

/* The index of an object that is in the table; else -1, with it put in. */
static int
memo_table_add(struct memo *memo, PyObject *object, size_t index)
{
    size_t slot = memo_hash(object);

    while (memo->table[slot] != NULL) {
        if (memo->table[slot] == object) {
            return memo->indices[slot];
        }
        slot = (slot + 1) & (MEMO_SLOTS - 1);
    }
    memo->table[slot] = object;
    memo->indices[slot] = (uint8_t)index;
    return -1;
}

/* The index of an object met before; else -1, with the object added. */
static int
memo_add(struct memo *memo, PyObject *object)
{
    if (memo->count < MEMO_LISTED) {
        for (size_t i = 0; i < memo->count; i++) {
            if (memo->list[i] == object) {
                return (int)i;
            }
        }
        memo->list[memo->count++] = object;
        return -1;
    }
    if (memo->count == MEMO_LISTED) {
        memset(memo->table, 0, sizeof(memo->table));
        for (size_t i = 0; i < MEMO_LISTED; i++) {
            (void)memo_table_add(memo, memo->list[i], i);
        }
    }
    int index = memo_table_add(memo, object, memo->count);
    if (index < 0) {
        memo->count++;
    }
    return index;
}

/* Whether a value is written only as a reference: 1; 0: it is a new part; -1:
 * it cannot be written. */
static int
emit_reference(struct writer *writer, PyObject *object)
{
    if (writer->memo.count == TAGGED_MEMO_MAX) {
        refuse(writer);
        return -1;
    }
    int index = memo_add(&writer->memo, object);

    if (index < 0) {
        return 0;
    }
    for (unsigned i = 0; i < writer->depth; i++) {
        if (writer->open[i] == object) {
            refuse(writer); /* it contains itself */
            return -1;
        }
    }
    if (writer->capacity - writer->used < 2) {
        return -1;
    }
    if (writer->out != NULL) {
        writer->out[writer->used] = TAG_REFERENCE;
        writer->out[writer->used + 1] = (uint8_t)index;
    }
    writer->used += 2;
    return 1;
}

static bool
emit_known_scalar(struct writer *writer, const struct scalar *scalar)
{
    if (scalar->object == NULL) {
        return emit_inline(writer, scalar);
    }
    if (scalar->data != NULL &&
        !tagged_is_singleton(scalar->length, scalar->data_bytes)) {
        int done = emit_reference(writer, scalar->object);
        if (done != 0) {
            return done > 0;
        }
    }
    return emit_data(writer, scalar, false);
}

static bool
emit_scalar(struct writer *writer, PyObject *object)
{
    struct scalar scalar;

    return classify(object, &scalar) ? emit_known_scalar(writer, &scalar)
                                     : refuse(writer);
}

static bool emit_container(struct writer *writer, PyObject *object);

static inline bool
emit_value(struct writer *writer, PyObject *object)
{
    struct scalar scalar;

    return CONC_LIKELY(classify(object, &scalar))
               ? emit_known_scalar(writer, &scalar)
               : emit_container(writer, object);
}

static bool
emit_container_header(struct writer *writer, uint8_t tag, Py_ssize_t length)
{
    size_t size = tagged_header_bytes((size_t)length);

    if (size > writer->capacity - writer->used) {
        return false;
    }
    if (writer->out == NULL) {
        writer->used += size;
    }
    else {
        writer->used += tagged_write_header(writer->out + writer->used, tag,
                                            (size_t)length);
    }
    return true;
}

/* A list or tuple of numbers of one kind: 1; 0: it is none; -1: no room. */
static int
emit_numbers(struct writer *writer, PyObject *const *items, Py_ssize_t length,
             bool is_list)
{
    struct pyconc_packing packing;

    if (!pyconc_packing_plan(&packing, items, length, is_list)) {
        return 0;
    }
    if (packing.size_bytes > writer->capacity - writer->used) {
        return -1;
    }
    if (writer->out != NULL) {
        pyconc_packing_write(&packing, writer->out + writer->used);
    }
    writer->used += packing.size_bytes;
    return 1;
}

/* The items of a tuple or list.  Nothing in here lets another thread change
 * the list: see emit_class. */
static bool
emit_items(struct writer *writer, PyObject *const *items, Py_ssize_t length,
           bool is_list)
{
    if (!emit_container_header(writer, is_list ? TAG_LIST : TAG_TUPLE,
                               length)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!emit_value(writer, items[i])) {
            return false;
        }
    }
    return true;
}

static bool
emit_sequence(struct writer *writer, PyObject *sequence, bool is_list)
{
    PyObject *const *items = PySequence_Fast_ITEMS(sequence);
    Py_ssize_t length = PySequence_Fast_GET_SIZE(sequence);

    if ((size_t)length > writer->capacity - writer->used) {
        return false; /* an item takes a byte at least */
    }
    int done = emit_numbers(writer, items, length, is_list);
    if (done != 0) {
        return done > 0;
    }
    return emit_items(writer, items, length, is_list);
}

/* Whether a name begins like __reduce_ex__. */
static bool
is_special(PyObject *name)
{
    return PyUnicode_CheckExact(name) && pyconc_unicode_is_ready(name) &&
           PyUnicode_GET_LENGTH(name) > 2 &&
           PyUnicode_READ_CHAR(name, 0) == '_' &&
           PyUnicode_READ_CHAR(name, 1) == '_';
}

/* As emit_items, for a dict. */
static bool
emit_pairs(struct writer *writer, PyObject *dict, bool are_attributes)
{
    Py_ssize_t position = 0;
    PyObject *key, *value; /* borrowed */

    if (!emit_container_header(writer, TAG_DICT, PyDict_GET_SIZE(dict))) {
        return false;
    }
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (are_attributes && is_special(key)) {
            return refuse(writer); /* pickle may ask the instance for it */
        }
        if (!emit_scalar(writer, key) || !emit_value(writer, value)) {
            return false;
        }
    }
    return true;
}

/* Write the number of an instance's class.  To ask about a class runs Python
 * code, which may change whatever has been looked at; so the whole object is
 * then begun again. */
static bool
emit_class(struct writer *writer, PyObject *object)
{
    if (writer->classes == NULL) {
        return refuse(writer);
    }
    uint64_t asked = writer->classes->asked;
    uint32_t number = pyconc_class_number(writer->classes, object);

    if (number == PYCONC_CLASS_NONE) {
        return refuse(writer);
    }
    if (writer->classes->asked != asked) {
        writer->again = true;
        return false;
    }
    if (writer->capacity - writer->used < 1 + sizeof(number)) {
        return false;
    }
    if (writer->out != NULL) {
        writer->out[writer->used] = TAG_INSTANCE;
        memcpy(writer->out + writer->used + 1, &number, sizeof(number));
    }
    writer->used += 1 + sizeof(number);
    writer->has_class = true;
    return true;
}

static bool
emit_instance(struct writer *writer, PyObject *object)
{
    if (!emit_class(writer, object)) {
        return false;
    }
    /* It may make the dict, and before 3.12 a collection of garbage might
     * start there, whose finalizers could change what is being looked at. */
    int collects = PyGC_Disable();
    PyObject *attributes = PyObject_GenericGetDict(object, NULL);

    if (collects) {
        PyGC_Enable();
    }
    if (attributes == NULL || !PyDict_CheckExact(attributes)) {
        PyErr_Clear();
        Py_XDECREF(attributes);
        return refuse(writer);
    }
    bool emitted;

    Py_BEGIN_CRITICAL_SECTION(attributes);
    emitted = emit_pairs(writer, attributes, true);
    Py_END_CRITICAL_SECTION();
    Py_DECREF(attributes);
    return emitted;
}

static bool
emit_parts(struct writer *writer, PyObject *object)
{
    bool emitted;

    if (PyTuple_CheckExact(object)) {
        return emit_sequence(writer, object, false);
    }
    if (PyList_CheckExact(object)) {
        Py_BEGIN_CRITICAL_SECTION(object);
        emitted = emit_sequence(writer, object, true);
        Py_END_CRITICAL_SECTION();
        return emitted;
    }
    if (PyDict_CheckExact(object)) {
        Py_BEGIN_CRITICAL_SECTION(object);
        emitted = emit_pairs(writer, object, false);
        Py_END_CRITICAL_SECTION();
        return emitted;
    }
    return emit_instance(writer, object);
}

static bool
emit_container(struct writer *writer, PyObject *object)
{
    if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) > 0) {
        int done = emit_reference(writer, object);
        if (done != 0) {
            return done > 0;
        }
    }
    if (writer->depth == TAGGED_DEPTH_MAX) {
        return refuse(writer);
    }
    writer->open[writer->depth++] = object;
    bool emitted = emit_parts(writer, object);
    writer->depth--;
    return emitted;
}

static bool
emit_object(struct writer *writer, PyObject *object)
{
    struct scalar scalar;

    if (!classify(object, &scalar)) {
        return emit_container(writer, object);
    }
    if (scalar.object == NULL) {
        return emit_inline(writer, &scalar);
    }
    return emit_data(writer, &scalar, true);
}

size_t
pyconc_tagged_encode(PyObject *object, struct pyconc_classes *classes,
                     uint8_t *out, size_t capacity, enum pyconc_form *form)
{
    struct writer writer;

    writer.out = out;
    writer.capacity = capacity;
    writer.classes = classes;
    do {
        writer.used = 0;
        writer.unfit = writer.again = writer.has_class = false;
        writer.depth = 0;
        writer.memo.count = 0;
        if (emit_object(&writer, object)) {
            *form =
                writer.has_class ? PYCONC_FORM_CLASSED : PYCONC_FORM_TAGGED;
            return writer.used;
        }
    } while (writer.again);
    *form = writer.unfit ? PYCONC_FORM_PICKLED : PYCONC_FORM_TAGGED;
    return 0;
}

size_t
pyconc_tagged_size(PyObject *object, struct pyconc_classes *classes,
                   enum pyconc_form *form)
{
    return pyconc_tagged_encode(object, classes, NULL, SIZE_MAX, form);
}
