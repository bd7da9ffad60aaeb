/* The tagged form.
 *
 * A value is a tag byte and what follows from the tag: nothing, the bytes of
 * a number, or a length and that many items.  A length below 255 is one byte,
 * a longer one is 255 and eight bytes.  Numbers are little-endian.
 *
 *   TAG_INT + n   an int as n bytes of two's complement, n in 1..8
 *   TAG_BIG_INT   length, so many bytes of two's complement
 *   TAG_FLOAT     the eight bytes of a double
 *   TAG_BYTES     length, bytes
 *   TAG_ASCII, TAG_LATIN1, TAG_UCS2, TAG_UCS4
 *                 length in characters, the characters as str keeps them
 *   TAG_TUPLE, TAG_LIST
 *                 length, so many values that are no containers
 *   TAG_DICT      length, so many pairs of such values
 *
 * Identity (I1 of docs/internals/codec.md).  What is decoded must be shared
 * within the object exactly as pickle would share it.  Pickle memoizes str and
 * bytes but not numbers, so an object that holds one str or bytes twice has no
 * tagged form, except for those that the interpreter has only one of. */
#include "codec/codec.h"

#include <stdbool.h>
#include <string.h>

#include "codec/copy.h"
#include "platform/compiler.h"
#include "py/compat.h"

CONC_STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
CONC_STATIC_ASSERT(sizeof(double) == 8);
CONC_STATIC_ASSERT(sizeof(long) == 8);

enum {
    TAG_NONE = 1,
    TAG_FALSE,
    TAG_TRUE,
    TAG_FLOAT,
    TAG_BIG_INT,
    TAG_BYTES,
    TAG_ASCII,
    TAG_LATIN1,
    TAG_UCS2,
    TAG_UCS4,
    TAG_TUPLE,
    TAG_LIST,
    TAG_DICT,
    TAG_INT = 0x20,
};

#define LONG_LENGTH 255

/* --- encoding ---------------------------------------------------------- */

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

/* Without `out` it only measures. */
struct writer {
    uint8_t *out;
    size_t used;
    size_t capacity;
};

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

    if (!pyconc_long_is_digit(number, &value)) {
        int overflow;

        value = PyLong_AsLongLongAndOverflow(number, &overflow);
        if (overflow != 0) {
            return classify_big_int(number, scalar);
        }
    }
    /* The bits that differ from the sign, and the sign itself. */
    uint64_t magnitude = (uint64_t)(value ^ (value >> 63));
    unsigned bits = 65 - (unsigned)__builtin_clzll(magnitude | 1);

    scalar->inline_bytes = (uint8_t)((bits + 7) / 8);
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

static inline size_t
header_bytes(size_t length)
{
    return length < LONG_LENGTH ? 2 : 10;
}

/* Requires header_bytes(length) of room. */
static inline void
write_header(struct writer *writer, uint8_t tag, size_t length)
{
    uint8_t *next = writer->out + writer->used;

    next[0] = tag;
    if (length < LONG_LENGTH) {
        next[1] = (uint8_t)length;
        writer->used += 2;
    }
    else {
        next[1] = LONG_LENGTH;
        memcpy(next + 2, &length, 8);
        writer->used += 10;
    }
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
    size_t size = header_bytes(scalar->length) + scalar->data_bytes;

    if (size > writer->capacity - writer->used) {
        return false;
    }
    if (writer->out == NULL) {
        writer->used += size;
        return true;
    }
    write_header(writer, scalar->tag, scalar->length);

    uint8_t *next = writer->out + writer->used;

    if (scalar->data == NULL) {
        if (pyconc_long_write(scalar->object, next, scalar->data_bytes) < 0) {
            PyErr_Clear();
            return false;
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

/* The str and bytes objects met so far in one container.  Few are compared
 * one by one, more through a table of pointers. */
#define SEEN_LISTED 8
#define SEEN_SLOTS 512 /* a power of two */
#define SEEN_MOST (SEEN_SLOTS / 2)

struct seen {
    size_t count;
    PyObject *list[SEEN_LISTED]; /* borrowed */
    PyObject *table[SEEN_SLOTS]; /* borrowed; filled from SEEN_LISTED on */
};

/* Returns false if it is in the table already. */
static bool
seen_table_add(struct seen *seen, PyObject *object)
{
    /* Objects lie 16 bytes apart; the multiplication spreads what is left
     * to the upper bits. */
    uint64_t hash = ((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15;
    size_t slot = (size_t)(hash >> 32) & (SEEN_SLOTS - 1);

    while (seen->table[slot] != NULL) {
        if (seen->table[slot] == object) {
            return false;
        }
        slot = (slot + 1) & (SEEN_SLOTS - 1);
    }
    seen->table[slot] = object;
    return true;
}

/* Returns false if the object was there before, or if so many were that we
 * cannot know. */
static bool
seen_add(struct seen *seen, PyObject *object)
{
    if (seen->count < SEEN_LISTED) {
        for (size_t i = 0; i < seen->count; i++) {
            if (seen->list[i] == object) {
                return false;
            }
        }
        seen->list[seen->count++] = object;
        return true;
    }
    if (seen->count == SEEN_LISTED) {
        memset(seen->table, 0, sizeof(seen->table));
        for (size_t i = 0; i < SEEN_LISTED; i++) {
            seen_table_add(seen, seen->list[i]);
        }
    }
    else if (seen->count == SEEN_MOST) {
        return false;
    }
    seen->count++;
    return seen_table_add(seen, object);
}

/* Whether the interpreter has only one object of this value, so that
 * decoding it twice gives one object as well. */
static inline bool
is_singleton(const struct scalar *scalar)
{
    return scalar->length == 0 ||
           (scalar->length == 1 && scalar->data_bytes == 1);
}

static inline bool
emit_item(struct writer *writer, struct seen *seen, PyObject *item)
{
    struct scalar scalar;

    if (!classify(item, &scalar)) {
        return false;
    }
    if (scalar.object == NULL) {
        return emit_inline(writer, &scalar);
    }
    if (scalar.data != NULL && !is_singleton(&scalar) &&
        !seen_add(seen, item)) {
        return false;
    }
    return emit_data(writer, &scalar, false);
}

static bool
emit_container_header(struct writer *writer, uint8_t tag, Py_ssize_t length)
{
    size_t size = header_bytes((size_t)length);

    if (size > writer->capacity - writer->used) {
        return false;
    }
    if (writer->out == NULL) {
        writer->used += size;
    }
    else {
        write_header(writer, tag, (size_t)length);
    }
    return true;
}

static bool
emit_tuple(struct writer *writer, PyObject *tuple)
{
    struct seen seen;
    Py_ssize_t length = PyTuple_GET_SIZE(tuple);

    seen.count = 0;
    if (!emit_container_header(writer, TAG_TUPLE, length)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!emit_item(writer, &seen, PyTuple_GET_ITEM(tuple, i))) {
            return false;
        }
    }
    return true;
}

/* Nothing in here lets another thread change the list. */
static bool
emit_list(struct writer *writer, PyObject *list)
{
    struct seen seen;
    Py_ssize_t length = PyList_GET_SIZE(list);

    seen.count = 0;
    if (!emit_container_header(writer, TAG_LIST, length)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!emit_item(writer, &seen, PyList_GET_ITEM(list, i))) {
            return false;
        }
    }
    return true;
}

/* The same holds for the dict. */
static bool
emit_dict(struct writer *writer, PyObject *dict)
{
    struct seen seen;
    Py_ssize_t position = 0;
    PyObject *key, *value; /* borrowed */

    seen.count = 0;
    if (!emit_container_header(writer, TAG_DICT, PyDict_GET_SIZE(dict))) {
        return false;
    }
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!emit_item(writer, &seen, key) ||
            !emit_item(writer, &seen, value)) {
            return false;
        }
    }
    return true;
}

static bool
emit_container(struct writer *writer, PyObject *object)
{
    bool emitted;

    if (PyTuple_CheckExact(object)) {
        return emit_tuple(writer, object);
    }
    if (PyList_CheckExact(object)) {
        Py_BEGIN_CRITICAL_SECTION(object);
        emitted = emit_list(writer, object);
        Py_END_CRITICAL_SECTION();
        return emitted;
    }
    if (PyDict_CheckExact(object)) {
        Py_BEGIN_CRITICAL_SECTION(object);
        emitted = emit_dict(writer, object);
        Py_END_CRITICAL_SECTION();
        return emitted;
    }
    return false;
}

static inline size_t
emit_object(struct writer *writer, PyObject *object)
{
    struct scalar scalar;
    bool emitted;

    if (!classify(object, &scalar)) {
        emitted = emit_container(writer, object);
    }
    else if (scalar.object == NULL) {
        emitted = emit_inline(writer, &scalar);
    }
    else {
        emitted = emit_data(writer, &scalar, true);
    }
    return emitted ? writer->used : 0;
}

size_t
pyconc_tagged_encode(PyObject *object, uint8_t *out, size_t capacity)
{
    struct writer writer = {out, 0, capacity};

    return emit_object(&writer, object);
}

size_t
pyconc_tagged_size(PyObject *object)
{
    struct writer writer = {NULL, 0, SIZE_MAX};

    return emit_object(&writer, object);
}

/* --- decoding ---------------------------------------------------------- */

struct reader {
    const uint8_t *next;
    const uint8_t *end;
    /* No half-filled container hangs on what is read now, so that the GIL
     * may go: the garbage collector shows such a container to anybody. */
    bool alone;
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
    if (reader_left(reader) < 1) {
        return false;
    }
    *length = *reader->next++;
    if (*length == LONG_LENGTH) {
        if (reader_left(reader) < 8) {
            return false;
        }
        pyconc_copy_once(length, reader->next, 8);
        reader->next += 8;
    }
    return true;
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

    /* Up, so that the sign is on top, and down again. */
    unsigned unused = 64 - 8 * (unsigned)size;

    /* From a long: the interpreter has a short way for those. */
    return PyLong_FromLong((long)((int64_t)(bits << unused) >> unused));
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

static PyObject *
read_big_int(struct reader *reader)
{
    size_t length;

    if (!read_length(reader, &length) || length > reader_left(reader)) {
        return damaged();
    }
    const uint8_t *data = reader->next;

    reader->next += length;
    return pyconc_long_read(data, length);
}

static PyObject *
read_bytes(struct reader *reader)
{
    size_t length;

    if (!read_length(reader, &length) || length > reader_left(reader)) {
        return damaged();
    }
    const uint8_t *data = reader->next;

    reader->next += length;
    if (length < PYCONC_COPY_DETACHED_BYTES) {
        return PyBytes_FromStringAndSize((const char *)data,
                                         (Py_ssize_t)length);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);

    if (bytes != NULL) {
        fill(reader, PyBytes_AS_STRING(bytes), data, length);
    }
    return bytes;
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

    if (!read_length(reader, &length) || length > reader_left(reader) / kind) {
        return damaged();
    }
    const uint8_t *data = reader->next;

    reader->next += length * kind;
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
        return text;
    }
    PyObject *canonical =
        fit == FIT_INVALID
            ? damaged()
            : PyUnicode_FromKindAndData((int)kind, PyUnicode_DATA(text),
                                        (Py_ssize_t)length);

    Py_DECREF(text);
    return canonical;
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
    default:
        return damaged();
    }
}

static PyObject *
read_tuple(struct reader *reader)
{
    size_t length;

    /* An item takes a byte at least, which bounds the allocation. */
    if (!read_length(reader, &length) || length > reader_left(reader)) {
        return damaged();
    }
    PyObject *tuple = PyTuple_New((Py_ssize_t)length);

    for (size_t i = 0; tuple != NULL && i < length; i++) {
        PyObject *item = read_scalar(reader);

        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

static PyObject *
read_list(struct reader *reader)
{
    size_t length;

    if (!read_length(reader, &length) || length > reader_left(reader)) {
        return damaged();
    }
    PyObject *list = PyList_New((Py_ssize_t)length);

    for (size_t i = 0; list != NULL && i < length; i++) {
        PyObject *item = read_scalar(reader);

        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static int
read_pair_into(struct reader *reader, PyObject *dict)
{
    PyObject *key = read_scalar(reader);

    if (key == NULL) {
        return -1;
    }
    PyObject *value = read_scalar(reader);
    int status = value == NULL ? -1 : PyDict_SetItem(dict, key, value);

    Py_DECREF(key);
    Py_XDECREF(value);
    return status;
}

static PyObject *
read_dict(struct reader *reader)
{
    size_t length;

    if (!read_length(reader, &length) || length > reader_left(reader) / 2) {
        return damaged();
    }
    PyObject *dict = PyDict_New();

    for (size_t i = 0; dict != NULL && i < length; i++) {
        if (read_pair_into(reader, dict) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

PyObject *
pyconc_tagged_decode(const uint8_t *data, size_t length)
{
    struct reader reader = {data, data + length, false};
    PyObject *object;

    switch (length > 0 ? *data : 0) {
    case TAG_TUPLE:
        reader.next++;
        object = read_tuple(&reader);
        break;
    case TAG_LIST:
        reader.next++;
        object = read_list(&reader);
        break;
    case TAG_DICT:
        reader.next++;
        object = read_dict(&reader);
        break;
    default:
        reader.alone = true;
        object = read_scalar(&reader);
        break;
    }
    if (object != NULL && reader.next != reader.end) {
        Py_DECREF(object);
        return damaged();
    }
    return object;
}
