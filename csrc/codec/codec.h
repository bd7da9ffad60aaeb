/* Python objects to bytes and back.
 *
 * TAGGED: exact None, bool, int, float, str, bytes, and tuples, lists and
 * dicts of these, written straight into a cell.  CLASSED: the same with
 * instances of plain classes (classes.h) among them.  PICKLED: everything
 * else, through the stdlib's pickler with the reducers of ForkingPickler,
 * protocol 5; buffers of PYCONC_OUT_OF_BAND_BYTES and more travel beside the
 * stream and are copied once.
 *
 * What a decoder reads was copied to private memory first, or is read once
 * with every length checked: any bytes give an object or a clean Python
 * exception. */
#ifndef PYCONC_CODEC_CODEC_H
#define PYCONC_CODEC_CODEC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define PYCONC_OUT_OF_BAND_BYTES (64 * 1024)

enum pyconc_form {
    PYCONC_FORM_TAGGED = 0,
    PYCONC_FORM_PICKLED = 1, /* a plain pickle stream */
    PYCONC_FORM_BUFFERS = 2, /* a pickle stream and out-of-band buffers */
    PYCONC_FORM_CLASSED = 3, /* tagged, with numbers of classes */
};

/* --- tagged_encode.c, tagged_decode.c ----------------------------------- */

struct pyconc_classes;
struct pyconc_class_lookup;

/* Write `object` in tagged form; `classes` may be NULL: then no instances.
 * Returns the bytes written (> 0), with their form: TAGGED or CLASSED.  Or 0:
 * then `form` is PICKLED if the object has no tagged form (a part is of
 * another type, contains itself, or lies too deep; too many parts to tell
 * which are the same), and TAGGED if only `capacity` is too small.  Without
 * `out` it only measures.  Never raises.  Runs no user code after it has
 * looked at anything that it returns; what pyconc_tagged_size has seen it
 * encodes without any.  The GIL is released around copies of 1 MiB and more,
 * which happen only for a bytes or str that is the whole object. */
size_t pyconc_tagged_encode(PyObject *object, struct pyconc_classes *classes,
                            uint8_t *out, size_t capacity,
                            enum pyconc_form *form);

/* Bytes of the tagged form, or 0 if the object has none; the form as from
 * pyconc_tagged_encode.  Never raises. */
size_t pyconc_tagged_size(PyObject *object, struct pyconc_classes *classes,
                          enum pyconc_form *form);

/* Whether what is encoded is a tuple, list, dict or instance. */
int pyconc_tagged_is_container(const uint8_t *data, size_t length);

/* A new reference, or NULL with an exception (ValueError for damaged bytes,
 * MemoryError, whatever the lookup raises).  `lookup` may be NULL: instances
 * are damage then.  No user code runs but the lookup's and, with containers,
 * a collection of garbage. */
PyObject *pyconc_tagged_decode(const struct pyconc_class_lookup *lookup,
                               const uint8_t *data, size_t length);

/* --- pickled.c: runs user code (reducers), may release the GIL ---------- */

/* Picklers to reuse, and the callables that the codec needs.  One per module
 * instance. */
struct pyconc_codec;

struct pyconc_codec *pyconc_codec_new(void); /* NULL with an exception */
void pyconc_codec_free(struct pyconc_codec *codec);
int pyconc_codec_traverse(struct pyconc_codec *codec, visitproc visit,
                          void *arg);

/* Give back the memory that is kept warm for big buffers. */
void pyconc_codec_trim(struct pyconc_codec *codec);

/* A pickled object on its way: what pyconc_pickle has made and
 * pyconc_pickled_write copies into its place.  Filled by pyconc_pickle,
 * emptied by pyconc_pickled_clear (idempotent). */
struct pyconc_pickled {
    enum pyconc_form form;
    uint64_t size_bytes; /* of the wire form */
    /* private to pickled.c: the stream, whose beginning is in `small`, and
     * what travels beside it */
    uint64_t stream_bytes;
    uint8_t small[256];
    uint32_t small_bytes;
    PyObject *pieces;  /* owns; list of bytes and memoryviews, or NULL */
    PyObject *buffers; /* owns; list of memoryviews, or NULL */
};

enum pyconc_by_value {
    PYCONC_BY_VALUE_NEVER = 0,  /* as pickle does */
    PYCONC_BY_VALUE_NEEDED = 1, /* cloudpickle takes what pickle refuses */
    PYCONC_BY_VALUE_ALWAYS = 2, /* cloudpickle, for functions of a __main__
                                   that the other side cannot import */
};

/* Pickle `object` as the stdlib would (ForkingPickler).  BY_VALUE_NEEDED:
 * what pickle refuses because it cannot be imported by name (PicklingError,
 * AttributeError, or TypeError from pickle itself) goes to cloudpickle, and
 * if that refuses too, the error of pickle is raised.  0, or -1 with an
 * exception. */
int pyconc_pickle(struct pyconc_codec *codec, PyObject *object,
                  enum pyconc_by_value by_value, struct pyconc_pickled *out);
/* GIL: held, but no user code runs (released around copies of 1 MiB+).  Big
 * mutable buffers are read here and not before. */
void pyconc_pickled_write(const struct pyconc_pickled *pickled,
                          uint8_t *destination);
void pyconc_pickled_clear(struct pyconc_pickled *pickled);

/* Decode; `data` may lie in shared memory: the stream is copied out before
 * it is decoded, each buffer is copied to memory of its own that is writable
 * exactly if the original was.  New reference, or NULL with whatever
 * exception unpickling raised. */
PyObject *pyconc_unpickle(struct pyconc_codec *codec, enum pyconc_form form,
                          const uint8_t *data, uint64_t size_bytes);

/* Decode any form; as the two above.  `data` may lie in shared memory. */
static inline PyObject *
pyconc_decode(struct pyconc_codec *codec, enum pyconc_form form,
              const struct pyconc_class_lookup *lookup, const uint8_t *data,
              uint64_t size_bytes)
{
    return form == PYCONC_FORM_TAGGED || form == PYCONC_FORM_CLASSED
               ? pyconc_tagged_decode(lookup, data, (size_t)size_bytes)
               : pyconc_unpickle(codec, form, data, size_bytes);
}

/* --- names.c ----------------------------------------------------------- */

/* Whether pickle would write `callable` as a reference by name that leads to
 * this very object: a Python function, a builtin function of a module, or a
 * class, found in sys.modules under its __module__ and __qualname__.
 * 1, 0; never raises.  `*in_main`: its module is __main__. */
int pyconc_is_by_reference(PyObject *callable, int *in_main);

#endif
