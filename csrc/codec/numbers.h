/* Long lists and tuples of numbers in the tagged form: packed, all ints in as
 * many bytes as the widest of them needs, floats as doubles.
 *
 * Maps are made of these: a chunk of arguments, a chunk of results.  Where
 * each number is needed only for a moment, no list is made of them. */
#ifndef PYCONC_CODEC_NUMBERS_H
#define PYCONC_CODEC_NUMBERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* --- writing ------------------------------------------------------------ */

/* Objects that are going to be packed. */
struct pyconc_packing {
    PyObject *const *items; /* borrowed */
    size_t count;
    size_t size_bytes; /* of the tagged form */
    uint8_t tag;
    uint8_t width;
};

/* Whether the items have such a form, to be written before anything else
 * happens.  Never raises. */
int pyconc_packing_plan(struct pyconc_packing *packing, PyObject *const *items,
                        Py_ssize_t count, int is_list);
void pyconc_packing_write(const struct pyconc_packing *packing, uint8_t *out);

/* --- gathering ---------------------------------------------------------- */

/* Results as they come.  As long as all are ints of at most 64 bits, or all
 * are floats, only their values are kept; else they are in a list. */
struct pyconc_gathered {
    uint64_t *values; /* owns; NULL once there is a list */
    PyObject *list;   /* owns; NULL while there are only values */
    size_t count;
    size_t capacity; /* how many there will be */
    uint64_t magnitudes;
    uint8_t are_floats;
};

/* 0, or -1 with MemoryError. */
int pyconc_gathered_init(struct pyconc_gathered *gathered, size_t capacity);
void pyconc_gathered_clear(struct pyconc_gathered *gathered);

/* Add one more; steals it.  0, or -1 with MemoryError. */
int pyconc_gathered_add(struct pyconc_gathered *gathered, PyObject *result);

/* Bytes of the packed form of a list of all of them.  Only without a list. */
size_t pyconc_gathered_size(const struct pyconc_gathered *gathered);
void pyconc_gathered_write(const struct pyconc_gathered *gathered,
                           uint8_t *out);

/* --- reading ------------------------------------------------------------ */

/* The numbers of an encoded list or tuple; the bytes stay where they are. */
struct pyconc_numbers {
    const uint8_t *next;
    size_t left; /* numbers */
    uint8_t width;
    uint8_t are_floats;
};

/* From the bytes after the tag.  1; 0: they are damaged. */
int pyconc_numbers_begin(struct pyconc_numbers *numbers, uint8_t tag,
                         const uint8_t *data, size_t length);

/* Whether the bytes are nothing but a list or tuple of packed numbers. */
int pyconc_numbers_open(struct pyconc_numbers *numbers, const uint8_t *data,
                        size_t length);

/* The next one, of which there must be one left: new reference, or NULL with
 * MemoryError. */
PyObject *pyconc_numbers_next(struct pyconc_numbers *numbers);

/* Make `out` of all that are left: 0, or -1 with MemoryError. */
int pyconc_numbers_fill(struct pyconc_numbers *numbers, PyObject **out);

#endif
