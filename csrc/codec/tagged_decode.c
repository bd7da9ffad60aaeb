/* The tagged form to objects; see tagged.h. */
#include <string.h>

#include "codec/classes.h"
#include "codec/codec.h"
#include "codec/copy.h"
#include "codec/numbers.h"
#include "codec/tagged.h"
#include "platform/compiler.h"
#include "py/compat.h"

struct reader {
    const uint8_t *next;
    const uint8_t *end;
    const struct pyconc_class_lookup *lookup; /* NULL: no instances */
    /* The value is the whole object: nothing half-filled hangs on it, so
     * that the GIL may go, and nothing can refer to it. */
    bool alone;
    unsigned depth;
    size_t memo_count;
    PyObject *memo[TAGGED_MEMO_MAX]; /* owns; NULL: not yet filled */
};

static void
fill(const struct reader *reader, void *destination, const void *source,
     size_t size_bytes)
{
    if (reader->alone) {
        pyconc_copy_fresh(destination, source, size_bytes);
    }
    else {
        memcpy(destination, source, size_bytes);
    }
}

static PyObject *
damaged(void)
{
    PyErr_SetString(PyExc_ValueError,
                    "a message between processes is damaged");
    return NULL;
}

static inline size_t
reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->next);
}

static inline bool
read_length(struct reader *reader, size_t *length)
{
    return tagged_read_length(&reader->next, reader->end, length);
}

static inline PyObject *
read_int(struct reader *reader, size_t size)
{
    uint64_t bits = 0;

    if (size > reader_left(reader)) {
        return damaged();
    }
    if (CONC_LIKELY(reader_left(reader) >= 8)) {
        memcpy(&bits, reader->next, 8); /* one load */
    }
    else {
        memcpy(&bits, reader->next, size);
    }
    reader->next += size;
    /* From a long: the interpreter has a short way for those. */
    return PyLong_FromLong((long)tagged_int_value(bits, (unsigned)size));
}

static inline PyObject *
read_float(struct reader *reader)
{
    double value;

    if (reader_left(reader) < 8) {
        return damaged();
    }
    memcpy(&value, reader->next, 8);
    reader->next += 8;
    return PyFloat_FromDouble(value);
}

/* A length and so many units of data, or NULL with an exception. */
static const uint8_t *
read_data(struct reader *reader, size_t unit, size_t *length)
{
    if (!read_length(reader, length) || *length > reader_left(reader) / unit) {
        damaged();
        return NULL;
    }
    const uint8_t *data = reader->next;

    reader->next += *length * unit;
    return data;
}

static PyObject *
read_big_int(struct reader *reader)
{
    size_t length;
    const uint8_t *data = read_data(reader, 1, &length);

    return data == NULL ? NULL : pyconc_long_read(data, length);
}

int
pyconc_tagged_is_container(const uint8_t *data, size_t length)
{
    return length > 0 && *data >= TAG_TUPLE && *data <= TAG_INSTANCE;
}

/* Give a part its index.  0, or -1 with an exception. */
static int
memo_put(struct reader *reader, PyObject *part)
{
    if (reader->memo_count == TAGGED_MEMO_MAX) {
        damaged();
        return -1;
    }
    reader->memo[reader->memo_count++] = Py_XNewRef(part);
    return 0;
}

/* A str or bytes that has just been read.  Steals and returns it. */
static PyObject *
memoize(struct reader *reader, PyObject *part, size_t length, size_t kind)
{
    if (part == NULL || reader->alone ||
        tagged_is_singleton(length, length * kind)) {
        return part;
    }
    if (memo_put(reader, part) < 0) {
        Py_CLEAR(part);
    }
    return part;
}

static PyObject *
read_bytes(struct reader *reader)
{
    size_t length;
    const uint8_t *data = read_data(reader, 1, &length);
    PyObject *bytes;

    if (data == NULL) {
        return NULL;
    }
    if (length < PYCONC_COPY_DETACHED_BYTES) {
        bytes =
            PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)length);
    }
    else {
        bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
        if (bytes != NULL) {
            fill(reader, PyBytes_AS_STRING(bytes), data, length);
        }
    }
    return memoize(reader, bytes, length, 1);
}

static bool
is_ascii(const uint8_t *characters, size_t length)
{
    uint64_t all = 0;
    size_t i = 0;

    for (; i + 8 <= length; i += 8) {
        uint64_t eight;

        memcpy(&eight, characters + i, 8);
        all |= eight;
    }
    for (; i < length; i++) {
        all |= characters[i];
    }
    return (all & 0x8080808080808080) == 0;
}

/* A str whose characters need less than its kind offers is not canonical,
 * and would compare unequal to its equals. */
enum fit { FIT_CANONICAL, FIT_TOO_WIDE, FIT_INVALID };

static enum fit
unicode_fit(PyObject *text, uint8_t tag)
{
    const void *data = PyUnicode_DATA(text);
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);

    if (tag == TAG_ASCII) {
        return is_ascii(data, length) ? FIT_CANONICAL : FIT_INVALID;
    }
    if (tag == TAG_LATIN1) {
        return is_ascii(data, length) ? FIT_TOO_WIDE : FIT_CANONICAL;
    }
    if (tag == TAG_UCS2) {
        const Py_UCS2 *characters = data;

        for (size_t i = 0; i < length; i++) {
            if (characters[i] > 0xFF) {
                return FIT_CANONICAL;
            }
        }
        return FIT_TOO_WIDE;
    }
    const Py_UCS4 *characters = data;
    Py_UCS4 greatest = 0;

    for (size_t i = 0; i < length; i++) {
        greatest = characters[i] > greatest ? characters[i] : greatest;
    }
    if (greatest > 0x10FFFF) {
        return FIT_INVALID;
    }
    return greatest > 0xFFFF ? FIT_CANONICAL : FIT_TOO_WIDE;
}

static PyObject *
read_str(struct reader *reader, uint8_t tag)
{
    size_t length;
    size_t kind = tag == TAG_UCS4   ? PyUnicode_4BYTE_KIND
                  : tag == TAG_UCS2 ? PyUnicode_2BYTE_KIND
                                    : PyUnicode_1BYTE_KIND;
    Py_UCS4 greatest = tag == TAG_UCS4     ? 0x10FFFF
                       : tag == TAG_UCS2   ? 0xFFFF
                       : tag == TAG_LATIN1 ? 0xFF
                                           : 0x7F;

    const uint8_t *data = read_data(reader, kind, &length);

    if (data == NULL) {
        return NULL;
    }
    if (length * kind <= 1) {
        /* Finds the one object of that value. */
        return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, data,
                                         (Py_ssize_t)length);
    }
    PyObject *text = PyUnicode_New((Py_ssize_t)length, greatest);

    if (text == NULL) {
        return NULL;
    }
    /* Copied first: the characters may lie in shared memory, and the copy is
     * aligned. */
    fill(reader, PyUnicode_DATA(text), data, length * kind);

    enum fit fit = unicode_fit(text, tag);

    if (fit == FIT_CANONICAL) {
        return memoize(reader, text, length, kind);
    }
    PyObject *canonical =
        fit == FIT_INVALID
            ? damaged()
            : PyUnicode_FromKindAndData((int)kind, PyUnicode_DATA(text),
                                        (Py_ssize_t)length);

    Py_DECREF(text);
    return memoize(reader, canonical, length, kind);
}

static PyObject *
read_reference(struct reader *reader)
{
    if (reader_left(reader) < 1) {
        return damaged();
    }
    size_t index = *reader->next++;

    /* A container that is still being filled is not there yet: it would be
     * its own part. */
    if (index >= reader->memo_count || reader->memo[index] == NULL) {
        return damaged();
    }
    return Py_NewRef(reader->memo[index]);
}

static inline PyObject *
read_scalar(struct reader *reader)
{
    if (reader_left(reader) < 1) {
        return damaged();
    }
    uint8_t tag = *reader->next++;

    if (tag > TAG_INT && tag <= TAG_INT + 8) {
        return read_int(reader, (size_t)(tag - TAG_INT));
    }
    switch (tag) {
    case TAG_NONE:
        return Py_NewRef(Py_None);
    case TAG_FALSE:
        return Py_NewRef(Py_False);
    case TAG_TRUE:
        return Py_NewRef(Py_True);
    case TAG_FLOAT:
        return read_float(reader);
    case TAG_BIG_INT:
        return read_big_int(reader);
    case TAG_BYTES:
        return read_bytes(reader);
    case TAG_ASCII:
    case TAG_LATIN1:
    case TAG_UCS2:
    case TAG_UCS4:
        return read_str(reader, tag);
    case TAG_REFERENCE:
        return read_reference(reader);
    default:
        return damaged();
    }
}

static PyObject *read_container(struct reader *reader);

/* A first look; the memory may be shared, and say something else later. */
static inline bool
container_is_next(const struct reader *reader)
{
    return pyconc_tagged_is_container(reader->next, reader_left(reader));
}

/* The next item of a tuple or list that is being filled.  What is read within
 * a container may run user code (a collection of garbage, the import of a
 * class), which must not find the half-filled one. */
static inline PyObject *
read_item(struct reader *reader, PyObject *owner, bool *hidden)
{
    if (CONC_LIKELY(!container_is_next(reader))) {
        return read_scalar(reader);
    }
    if (!*hidden) {
        PyObject_GC_UnTrack(owner);
        *hidden = true;
    }
    return read_container(reader);
}

/* Fill a new tuple or list.  0, or -1 with an exception. */
static int
read_items(struct reader *reader, PyObject *owner, PyObject **items,
           size_t length)
{
    bool hidden = false;

    for (size_t i = 0; i < length; i++) {
        items[i] = read_item(reader, owner, &hidden);
        if (items[i] == NULL) {
            return -1;
        }
    }
    if (hidden) {
        PyObject_GC_Track(owner);
    }
    return 0;
}

static PyObject *
read_sequence(struct reader *reader, uint8_t tag)
{
    bool is_list =
        tag == TAG_LIST || tag == TAG_INT_LIST || tag == TAG_FLOAT_LIST;
    bool packed = tag != TAG_TUPLE && tag != TAG_LIST;
    struct pyconc_numbers numbers;
    size_t length;

    if (packed) {
        if (!pyconc_numbers_begin(&numbers, tag, reader->next,
                                  reader_left(reader))) {
            return damaged();
        }
        length = numbers.left;
    }
    /* An item takes a byte at least, which bounds the allocation. */
    else if (!read_length(reader, &length) || length > reader_left(reader)) {
        return damaged();
    }
    size_t index = reader->memo_count;
    bool has_index = is_list || length > 0;

    if (has_index && memo_put(reader, NULL) < 0) {
        return NULL;
    }
    PyObject *sequence = is_list ? PyList_New((Py_ssize_t)length)
                                 : PyTuple_New((Py_ssize_t)length);
    if (sequence == NULL) {
        return NULL;
    }
    PyObject **items = PySequence_Fast_ITEMS(sequence);
    int status = packed ? pyconc_numbers_fill(&numbers, items)
                        : read_items(reader, sequence, items, length);

    if (status < 0) {
        Py_DECREF(sequence);
        return NULL;
    }
    if (packed) {
        reader->next = numbers.next;
    }
    if (has_index) {
        reader->memo[index] = Py_NewRef(sequence);
    }
    return sequence;
}

static PyObject *
read_value(struct reader *reader)
{
    return container_is_next(reader) ? read_container(reader)
                                     : read_scalar(reader);
}

/* As pickle does it: interned, so that lookups compare pointers; but what a
 * later reference means is the object that was read. */
static PyObject *
read_attribute_name(struct reader *reader)
{
    PyObject *name = read_scalar(reader);

    if (name != NULL && PyUnicode_CheckExact(name)) {
        PyUnicode_InternInPlace(&name);
    }
    return name;
}

/* Whether hashing it runs no user code. */
static bool
is_scalar(PyObject *object)
{
    return PyUnicode_CheckExact(object) || PyLong_CheckExact(object) ||
           PyFloat_CheckExact(object) || PyBytes_CheckExact(object) ||
           PyBool_Check(object) || object == Py_None;
}

/* Read so many pairs into a dict.  0, or -1 with an exception. */
static int
read_pairs(struct reader *reader, PyObject *dict, bool are_attributes)
{
    size_t length;
    int status = 0;

    if (!read_length(reader, &length) || length > reader_left(reader) / 2) {
        damaged();
        return -1;
    }
    for (size_t i = 0; status == 0 && i < length; i++) {
        PyObject *key =
            are_attributes ? read_attribute_name(reader) : read_scalar(reader);
        PyObject *value = NULL;

        if (key != NULL && !is_scalar(key)) {
            damaged();
            Py_CLEAR(key);
        }
        if (key != NULL) {
            value = read_value(reader);
        }
        status = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return status;
}

static PyObject *
read_dict(struct reader *reader)
{
    size_t index = reader->memo_count;

    if (memo_put(reader, NULL) < 0) {
        return NULL;
    }
    PyObject *dict = PyDict_New();

    if (dict != NULL && read_pairs(reader, dict, false) < 0) {
        Py_DECREF(dict);
        return NULL;
    }
    reader->memo[index] = Py_XNewRef(dict);
    return dict;
}

/* Into the dict that the object makes for itself: given another one, an
 * object of 3.13.0 still looks for its attributes outside of it. */
static int
read_attributes(struct reader *reader, PyObject *object)
{
    if (reader_left(reader) < 1 || *reader->next++ != TAG_DICT) {
        damaged();
        return -1;
    }
    PyObject *own = PyObject_GenericGetDict(object, NULL);

    if (own == NULL) {
        return -1;
    }
    int status = read_pairs(reader, own, true);

    Py_DECREF(own);
    return status;
}

static PyObject *
read_instance(struct reader *reader)
{
    uint32_t number;
    size_t index = reader->memo_count;

    if (reader->lookup == NULL || reader_left(reader) < sizeof(number) ||
        memo_put(reader, NULL) < 0) {
        return damaged();
    }
    pyconc_copy_once(&number, reader->next, sizeof(number));
    reader->next += sizeof(number);

    PyTypeObject *type =
        reader->lookup->class_of(reader->lookup->context, number);

    if (type == NULL) {
        return NULL;
    }
    if (!pyconc_class_is_simple(type)) {
        Py_DECREF(type);
        return damaged();
    }
    PyObject *no_arguments = PyTuple_New(0);
    PyObject *object =
        no_arguments == NULL ? NULL : type->tp_new(type, no_arguments, NULL);

    Py_XDECREF(no_arguments);
    Py_DECREF(type);
    if (object != NULL && read_attributes(reader, object) < 0) {
        Py_DECREF(object);
        return NULL;
    }
    reader->memo[index] = Py_XNewRef(object);
    return object;
}

static PyObject *
read_container(struct reader *reader)
{
    PyObject *object;

    if (reader->depth == TAGGED_DEPTH_MAX) {
        return damaged();
    }
    reader->depth++;
    uint8_t tag = *reader->next++;

    if (tag == TAG_DICT) {
        object = read_dict(reader);
    }
    else if (tag == TAG_INSTANCE) {
        object = read_instance(reader);
    }
    else if (tag >= TAG_TUPLE && tag < TAG_DICT) {
        object = read_sequence(reader, tag);
    }
    else {
        object = damaged(); /* no container any more: see container_is_next */
    }
    reader->depth--;
    return object;
}

PyObject *
pyconc_tagged_decode(const struct pyconc_class_lookup *lookup,
                     const uint8_t *data, size_t length)
{
    struct reader reader;

    reader.next = data;
    reader.end = data + length;
    reader.lookup = lookup;
    reader.depth = 0;
    reader.memo_count = 0;

    PyObject *object;

    if (container_is_next(&reader)) {
        reader.alone = false;
        object = read_container(&reader);
    }
    else {
        reader.alone = true;
        object = read_scalar(&reader);
    }
    while (reader.memo_count > 0) {
        Py_XDECREF(reader.memo[--reader.memo_count]);
    }
    if (object != NULL && reader.next != reader.end) {
        Py_DECREF(object);
        return damaged();
    }
    return object;
}
