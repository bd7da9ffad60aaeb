/* The tagged form: what the encoder and the decoder agree on.
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
 *   TAG_REFERENCE one byte: the index of an earlier part in the memo
 *   TAG_TUPLE, TAG_LIST
 *                 length, so many values
 *   TAG_INT_TUPLE, TAG_INT_LIST
 *                 length, one byte n (1, 2, 4 or 8), so many ints of n bytes
 *   TAG_FLOAT_TUPLE, TAG_FLOAT_LIST
 *                 length, so many doubles
 *   TAG_DICT      length, so many pairs of a scalar and a value
 *   TAG_INSTANCE  four bytes, the number of a plain class; then the pairs of
 *                 the instance's __dict__ as of a dict
 *
 * Identity (I1 of docs/internals/codec.md).  What is decoded must be shared
 * within the object exactly as pickle would share it.  Pickle memoizes
 * everything but numbers and constants.  So do both sides here: each part
 * that is no number, and of which the interpreter may have more than one
 * object, gets the next index of the memo when its tag is written or read,
 * and where the same object comes again a reference is written.  A value
 * that is the whole object has no need of a memo. */
#ifndef PYCONC_CODEC_TAGGED_H
#define PYCONC_CODEC_TAGGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codec/copy.h"

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
    TAG_REFERENCE,
    TAG_TUPLE, /* from here on: containers */
    TAG_LIST,
    TAG_INT_TUPLE,
    TAG_INT_LIST,
    TAG_FLOAT_TUPLE,
    TAG_FLOAT_LIST,
    TAG_DICT,
    TAG_INSTANCE,
    TAG_INT = 0x20,
};

#define TAGGED_LONG_LENGTH 255

/* Containers within each other. */
#define TAGGED_DEPTH_MAX 8

/* An index is one byte. */
#define TAGGED_MEMO_MAX 256

/* Whether the interpreter has only one str or bytes of this value, so that
 * decoding it twice gives one object as well. */
static inline bool
tagged_is_singleton(size_t length, size_t data_bytes)
{
    return length == 0 || (length == 1 && data_bytes == 1);
}

/* The bits of an int that differ from its sign.  Of several ints: or'ed. */
static inline uint64_t
tagged_magnitude(int64_t value)
{
    return (uint64_t)(value ^ (value >> 63));
}

/* Bytes that such an int needs, with its sign. */
static inline unsigned
tagged_int_bytes(uint64_t magnitude)
{
    unsigned bits = 65 - (unsigned)__builtin_clzll(magnitude | 1);

    return (bits + 7) / 8;
}

/* The int whose lowest bytes these are: up, so that the sign is on top, and
 * down again. */
static inline int64_t
tagged_int_value(uint64_t low, unsigned bytes)
{
    unsigned unused = 64 - 8 * bytes;

    return (int64_t)(low << unused) >> unused;
}

static inline size_t
tagged_header_bytes(size_t length)
{
    return length < TAGGED_LONG_LENGTH ? 2 : 10;
}

/* Requires tagged_header_bytes(length) of room, and returns that. */
static inline size_t
tagged_write_header(uint8_t *out, uint8_t tag, size_t length)
{
    out[0] = tag;
    if (length < TAGGED_LONG_LENGTH) {
        out[1] = (uint8_t)length;
        return 2;
    }
    out[1] = TAGGED_LONG_LENGTH;
    memcpy(out + 2, &length, 8);
    return 10;
}

/* Moves on behind the length; false if there is none. */
static inline bool
tagged_read_length(const uint8_t **next, const uint8_t *end, size_t *length)
{
    if (*next == end) {
        return false;
    }
    *length = *(*next)++;
    if (*length == TAGGED_LONG_LENGTH) {
        if (end - *next < 8) {
            return false;
        }
        pyconc_copy_once(length, *next, 8);
        *next += 8;
    }
    return true;
}

#endif
