/* See numbers.h. */
#include "codec/numbers.h"

#include "codec/tagged.h"
#include "py/compat.h"

/* From so many numbers on they are packed. */
#define NUMBERS_MIN 4

static size_t
width_of(uint64_t magnitudes)
{
    unsigned bytes = tagged_int_bytes(magnitudes);

    return bytes <= 2 ? bytes : bytes <= 4 ? 4 : 8;
}

static inline bool
int_value(PyObject *object, int64_t *value)
{
    return PyLong_CheckExact(object) && pyconc_long_fits(object, value);
}

/* Bytes that hold each of the ints, 0 if not all of them are such ints. */
static size_t
common_width(PyObject *const *items, Py_ssize_t length)
{
    uint64_t magnitudes = 0;
    int64_t value;

    for (Py_ssize_t i = 0; i < length; i++) {
        if (!int_value(items[i], &value)) {
            return 0;
        }
        magnitudes |= tagged_magnitude(value);
    }
    return width_of(magnitudes);
}

static inline void
write_value(uint8_t *out, uint64_t value, size_t width)
{
    switch (width) { /* each a single store */
    case 1:
        memcpy(out, &value, 1);
        break;
    case 2:
        memcpy(out, &value, 2);
        break;
    case 4:
        memcpy(out, &value, 4);
        break;
    default:
        memcpy(out, &value, 8);
        break;
    }
}

static void
write_ints(uint8_t *out, PyObject *const *items, Py_ssize_t length,
           size_t width)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        int64_t value = 0;

        (void)int_value(items[i], &value);
        write_value(out, (uint64_t)value, width);
        out += width;
    }
}

static bool
are_floats(PyObject *const *items, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!PyFloat_CheckExact(items[i])) {
            return false;
        }
    }
    return true;
}

static void
write_floats(uint8_t *out, PyObject *const *items, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        double value = PyFloat_AS_DOUBLE(items[i]);

        memcpy(out + 8 * i, &value, 8);
    }
}

/* Whether the width follows the length: floats have only one. */
static bool
has_width(uint8_t tag)
{
    return tag == TAG_INT_TUPLE || tag == TAG_INT_LIST;
}

static size_t
packed_bytes(uint8_t tag, size_t count, size_t width)
{
    return tagged_header_bytes(count) + (has_width(tag) ? 1 : 0) +
           count * width;
}

/* Returns the bytes of the header. */
static size_t
write_packed_header(uint8_t *out, uint8_t tag, size_t count, size_t width)
{
    size_t size = tagged_write_header(out, tag, count);

    if (has_width(tag)) {
        out[size++] = (uint8_t)width;
    }
    return size;
}

int
pyconc_packing_plan(struct pyconc_packing *packing, PyObject *const *items,
                    Py_ssize_t count, int is_list)
{
    if (count < NUMBERS_MIN) {
        return 0;
    }
    bool ints = PyLong_CheckExact(items[0]);

    packing->items = items;
    packing->count = (size_t)count;
    if (ints) {
        packing->tag = is_list ? TAG_INT_LIST : TAG_INT_TUPLE;
        packing->width = (uint8_t)common_width(items, count);
    }
    else {
        packing->tag = is_list ? TAG_FLOAT_LIST : TAG_FLOAT_TUPLE;
        packing->width = are_floats(items, count) ? 8 : 0;
    }
    packing->size_bytes =
        packed_bytes(packing->tag, (size_t)count, packing->width);
    return packing->width > 0;
}

void
pyconc_packing_write(const struct pyconc_packing *packing, uint8_t *out)
{
    out +=
        write_packed_header(out, packing->tag, packing->count, packing->width);
    if (has_width(packing->tag)) {
        write_ints(out, packing->items, (Py_ssize_t)packing->count,
                   packing->width);
    }
    else {
        write_floats(out, packing->items, (Py_ssize_t)packing->count);
    }
}

/* --- gathering ---------------------------------------------------------- */

int
pyconc_gathered_init(struct pyconc_gathered *gathered, size_t capacity)
{
    *gathered = (struct pyconc_gathered){.capacity = capacity};
    if (capacity > SIZE_MAX / sizeof(uint64_t)) {
        PyErr_NoMemory();
        return -1;
    }
    gathered->values = PyMem_Malloc(capacity * sizeof(uint64_t));
    if (gathered->values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void
pyconc_gathered_clear(struct pyconc_gathered *gathered)
{
    PyMem_Free(gathered->values);
    gathered->values = NULL;
    Py_CLEAR(gathered->list);
}

static PyObject *
gathered_object(const struct pyconc_gathered *gathered, size_t index)
{
    double value;

    if (!gathered->are_floats) {
        return PyLong_FromLongLong((long long)gathered->values[index]);
    }
    memcpy(&value, &gathered->values[index], 8);
    return PyFloat_FromDouble(value);
}

/* The values become objects again.  (That two of them were one object does
 * not matter: pickle does not remember numbers either.) */
static int
make_list(struct pyconc_gathered *gathered)
{
    PyObject *list = PyList_New((Py_ssize_t)gathered->capacity);

    if (list == NULL) {
        return -1;
    }
    /* Half-filled, and code of the user's runs before it is not. */
    PyObject_GC_UnTrack(list);
    for (size_t i = 0; i < gathered->count; i++) {
        PyObject *object = gathered_object(gathered, i);
        if (object == NULL) {
            Py_DECREF(list);
            return -1;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, object);
    }
    gathered->list = list;
    PyMem_Free(gathered->values);
    gathered->values = NULL;
    return 0;
}

int
pyconc_gathered_add(struct pyconc_gathered *gathered, PyObject *result)
{
    if (gathered->list == NULL) {
        int64_t value;
        bool first = gathered->count == 0;

        if ((first || !gathered->are_floats) && int_value(result, &value)) {
            gathered->values[gathered->count++] = (uint64_t)value;
            gathered->magnitudes |= tagged_magnitude(value);
            Py_DECREF(result);
            return 0;
        }
        if ((first || gathered->are_floats) && PyFloat_CheckExact(result)) {
            double number = PyFloat_AS_DOUBLE(result);

            memcpy(&gathered->values[gathered->count++], &number, 8);
            gathered->are_floats = 1;
            Py_DECREF(result);
            return 0;
        }
        if (make_list(gathered) < 0) {
            Py_DECREF(result);
            return -1;
        }
    }
    PyList_SET_ITEM(gathered->list, (Py_ssize_t)gathered->count++, result);
    return 0;
}

static size_t
gathered_width(const struct pyconc_gathered *gathered)
{
    return gathered->are_floats ? 8 : width_of(gathered->magnitudes);
}

static uint8_t
gathered_tag(const struct pyconc_gathered *gathered)
{
    return gathered->are_floats ? TAG_FLOAT_LIST : TAG_INT_LIST;
}

size_t
pyconc_gathered_size(const struct pyconc_gathered *gathered)
{
    return packed_bytes(gathered_tag(gathered), gathered->count,
                        gathered_width(gathered));
}

void
pyconc_gathered_write(const struct pyconc_gathered *gathered, uint8_t *out)
{
    size_t width = gathered_width(gathered);

    out += write_packed_header(out, gathered_tag(gathered), gathered->count,
                               width);
    for (size_t i = 0; i < gathered->count; i++) {
        write_value(out, gathered->values[i], width);
        out += width;
    }
}

/* --- reading ------------------------------------------------------------ */

int
pyconc_numbers_begin(struct pyconc_numbers *numbers, uint8_t tag,
                     const uint8_t *data, size_t length)
{
    const uint8_t *end = data + length;

    numbers->are_floats = !has_width(tag);
    numbers->width = 8;
    if (!tagged_read_length(&data, end, &numbers->left)) {
        return 0;
    }
    if (!numbers->are_floats) {
        numbers->width = data == end ? 0 : *data++;
        if (numbers->width != 1 && numbers->width != 2 &&
            numbers->width != 4 && numbers->width != 8) {
            return 0;
        }
    }
    numbers->next = data;
    return numbers->left <= (size_t)(end - data) / numbers->width;
}

int
pyconc_numbers_open(struct pyconc_numbers *numbers, const uint8_t *data,
                    size_t length)
{
    uint8_t tag = length > 0 ? *data : 0;

    return tag >= TAG_INT_TUPLE && tag <= TAG_FLOAT_LIST &&
           pyconc_numbers_begin(numbers, tag, data + 1, length - 1) &&
           numbers->next + numbers->left * numbers->width == data + length;
}

static inline PyObject *
next_number(struct pyconc_numbers *numbers)
{
    const uint8_t *data = numbers->next;
    uint64_t low = 0;
    double value;

    numbers->next += numbers->width;
    numbers->left--;
    if (numbers->are_floats) {
        memcpy(&value, data, 8);
        return PyFloat_FromDouble(value);
    }
    switch (numbers->width) { /* each a single load */
    case 1:
        memcpy(&low, data, 1);
        break;
    case 2:
        memcpy(&low, data, 2);
        break;
    case 4:
        memcpy(&low, data, 4);
        break;
    default:
        memcpy(&low, data, 8);
        break;
    }
    /* From a long: the interpreter has a short way for those. */
    return PyLong_FromLong((long)tagged_int_value(low, numbers->width));
}

PyObject *
pyconc_numbers_next(struct pyconc_numbers *numbers)
{
    return next_number(numbers);
}

int
pyconc_numbers_fill(struct pyconc_numbers *numbers, PyObject **out)
{
    for (size_t i = 0; numbers->left > 0; i++) {
        out[i] = next_number(numbers);
        if (out[i] == NULL) {
            return -1;
        }
    }
    return 0;
}
