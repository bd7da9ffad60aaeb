/* Objects without a tagged form, through the stdlib's C pickler.
 *
 * Pickling.  A pickler and the sink that it writes to are kept for the next
 * object.  User code runs inside (reducers), which may pickle in turn or let
 * another thread do so; therefore a pickler in use belongs to one call alone
 * (I6 of docs/internals/codec.md): it is taken from a spare slot, or made.
 *
 * Reducers.  ForkingPickler looks into its own table and then into copyreg's,
 * and both may change at any time.  The pickler asks copyreg's table itself
 * if it has no dispatch_table of its own, so `reducer_override` needs to know
 * only ForkingPickler's; a mapping over both as dispatch_table would raise
 * (and from 3.12 on instantiate) a KeyError for every object.
 *
 * Wire form with buffers, all numbers uint64:
 *
 *   number of buffers, bytes of the stream,
 *   for each buffer its bytes and whether it is read-only (0 or 1),
 *   the stream,
 *   each buffer, at the next multiple of BUFFER_ALIGNMENT.
 *
 * Edges (for threads without a GIL):
 *   D1 -> D2  spare: a dumper is complete and at rest before it is taken.
 *   V1 -> V2  value_pickler_class: the class is complete. */
#include "codec/codec.h"

#include <stdbool.h>
#include <string.h>

#include "codec/buffer.h"
#include "codec/copy.h"
#include "platform/atomics.h"
#include "platform/compiler.h"
#include "py/compat.h"

#define BUFFER_ALIGNMENT 64

/* Threads that pickle at the same time, or levels of re-entrance, beyond
 * which picklers are made anew. */
#define SPARE_PICKLERS 4

/* A pickler's buffer is as big as its biggest object needed; one that wrote
 * more than this is not kept.  Making another takes 1 to 4 us, writing so
 * much 100 us. */
#define SPARE_STREAM_BYTES (32 * 1024)

struct wire_header {
    uint64_t buffers;
    uint64_t stream_bytes;
};

struct wire_buffer {
    uint64_t size_bytes;
    uint64_t read_only;
};

/* --- the sink: what a pickler takes for its file ----------------------- */

struct sink {
    PyObject_HEAD
    struct pyconc_pickled *target; /* borrowed; NULL between two objects */
};

static void
sink_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    type->tp_free(self);
    Py_DECREF(type);
}

static int
append_to(PyObject **list, PyObject *item)
{
    if (*list == NULL) {
        *list = PyList_New(0);
        if (*list == NULL) {
            return -1;
        }
    }
    return PyList_Append(*list, item);
}

static struct pyconc_pickled *
sink_target(PyObject *self)
{
    struct pyconc_pickled *target = ((struct sink *)self)->target;

    if (target == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "this pickler's object was finished before");
    }
    return target;
}

/* Keep what may change or go away by a view, which pins its size. */
static int
sink_append_piece(struct pyconc_pickled *target, PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        target->stream_bytes += (uint64_t)PyBytes_GET_SIZE(data);
        return append_to(&target->pieces, data);
    }
    PyObject *view = PyMemoryView_FromObject(data);

    if (view == NULL) {
        return -1;
    }
    target->stream_bytes += (uint64_t)PyMemoryView_GET_BUFFER(view)->len;

    int status = append_to(&target->pieces, view);

    Py_DECREF(view);
    return status;
}

static PyObject *
sink_write(PyObject *self, PyObject *data)
{
    struct pyconc_pickled *target = sink_target(self);

    if (target == NULL) {
        return NULL;
    }
    if (PyBytes_CheckExact(data) && target->pieces == NULL &&
        (size_t)PyBytes_GET_SIZE(data) <=
            sizeof(target->small) - target->small_bytes) {
        size_t size = (size_t)PyBytes_GET_SIZE(data);

        memcpy(target->small + target->small_bytes, PyBytes_AS_STRING(data),
               size);
        target->small_bytes += (uint32_t)size;
        target->stream_bytes += size;
    }
    else if (sink_append_piece(target, data) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* The pickler's buffer_callback: true leaves the buffer in the stream. */
static PyObject *
sink_keep_buffer(PyObject *self, PyObject *buffer)
{
    struct pyconc_pickled *target = sink_target(self);
    const Py_buffer *raw;

    if (target == NULL) {
        return NULL;
    }
    raw = PyPickleBuffer_GetBuffer(buffer);
    if (raw == NULL) {
        return NULL;
    }
    if (raw->len < PYCONC_OUT_OF_BAND_BYTES ||
        !PyBuffer_IsContiguous(raw, 'A')) {
        Py_RETURN_TRUE;
    }
    /* A view of our own: whoever made the PickleBuffer may release it. */
    PyObject *view = PyMemoryView_FromObject(buffer);

    if (view == NULL) {
        return NULL;
    }
    int status = append_to(&target->buffers, view);

    Py_DECREF(view);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_FALSE;
}

static PyMethodDef sink_methods[] = {
    {"write", sink_write, METH_O, NULL},
    {"keep_buffer", sink_keep_buffer, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sink_slots[] = {
    {Py_tp_dealloc, sink_dealloc},
    {Py_tp_methods, sink_methods},
    {0, NULL},
};

static PyType_Spec sink_spec = {
    .name = "pyconc._core._Sink",
    .basicsize = sizeof(struct sink),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sink_slots,
};

/* --- the codec --------------------------------------------------------- */

struct dumper {
    PyObject *sink;    /* owns */
    PyObject *pickler; /* owns */
    PyObject *dump;    /* owns; the bound method */
};

struct pyconc_codec {
    PyTypeObject *sink_type;      /* owns */
    PyTypeObject *buffer_type;    /* owns */
    struct pyconc_spares *spares; /* owns */
    PyObject *pickler_class;      /* owns; see make_pickler_class */
    PyObject *extra_reducers;     /* owns; ForkingPickler's dict itself */
    PyObject *loads;              /* owns; pickle.loads */
    PyObject *loads_keywords;     /* owns; ("buffers",) */
    PyObject *pickler_keywords;   /* owns; ("protocol", "buffer_callback") */
    PyObject *protocol;           /* owns; 5 */
    PyObject *str_memo;           /* owns */
    PyObject *empty_memo;         /* owns; {}, which a pickler only reads */
    PyObject *pickling_error;     /* owns */
    /* owns; made when the first object goes by value */
    _Atomic(PyObject *) value_pickler_class;
    _Atomic(struct dumper *) spare[SPARE_PICKLERS]; /* owns */
};

/* What ForkingPickler.dispatch_table would find before copyreg's; `self` is
 * its table. */
static PyObject *
reducer_override(PyObject *self, PyObject *object)
{
    PyObject *type = (PyObject *)Py_TYPE(object);

    /* Pickle saves these by name before it looks into any table. */
    if (type == (PyObject *)&PyFunction_Type ||
        type == (PyObject *)&PyType_Type) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *reducer = PyDict_GetItemWithError(self, type); /* borrowed */

    if (reducer == NULL) {
        if (PyErr_Occurred()) {
            return NULL;
        }
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_INCREF(reducer); /* it may register another in its place */

    PyObject *reduced = PyObject_CallOneArg(reducer, object);

    Py_DECREF(reducer);
    return reduced;
}

static PyMethodDef reducer_override_method = {"reducer_override",
                                              reducer_override, METH_O, NULL};

/* `module`.`name`; new reference, or NULL with an exception. */
static PyObject *
import_from(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);

    if (imported == NULL) {
        return NULL;
    }
    PyObject *found = PyObject_GetAttrString(imported, name);

    Py_DECREF(imported);
    return found;
}

/* A subclass of pickle.Pickler with our reducer_override.  A builtin function
 * does not bind, so that looking it up makes no method object. */
static PyObject *
make_pickler_class(PyObject *extra_reducers)
{
    PyObject *result = NULL;
    PyObject *base = import_from("pickle", "Pickler");
    PyObject *override =
        PyCFunction_New(&reducer_override_method, extra_reducers);

    if (base != NULL && override != NULL) {
        result = PyObject_CallFunction(
            (PyObject *)&PyType_Type, "s(O){s:(),s:s,s:O}", "_Pickler", base,
            "__slots__", "__module__", "pyconc._core", "reducer_override",
            override);
    }
    Py_XDECREF(base);
    Py_XDECREF(override);
    return result;
}

struct pyconc_codec *
pyconc_codec_new(void)
{
    struct pyconc_codec *codec = PyMem_Calloc(1, sizeof(*codec));

    if (codec == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *forking_pickler =
        import_from("multiprocessing.reduction", "ForkingPickler");

    if (forking_pickler == NULL) {
        goto fail;
    }
    codec->extra_reducers =
        PyObject_GetAttrString(forking_pickler, "_extra_reducers");
    Py_DECREF(forking_pickler);
    if (codec->extra_reducers == NULL) {
        goto fail;
    }
    if (!PyDict_Check(codec->extra_reducers)) {
        PyErr_SetString(PyExc_TypeError,
                        "ForkingPickler._extra_reducers is no dict");
        goto fail;
    }
    codec->sink_type = (PyTypeObject *)PyType_FromSpec(&sink_spec);
    codec->buffer_type = (PyTypeObject *)PyType_FromSpec(&pyconc_buffer_spec);
    codec->spares = pyconc_spares_new();
    codec->pickler_class = make_pickler_class(codec->extra_reducers);
    codec->loads = import_from("pickle", "loads");
    codec->pickling_error = import_from("pickle", "PicklingError");
    codec->loads_keywords = Py_BuildValue("(s)", "buffers");
    codec->pickler_keywords =
        Py_BuildValue("(ss)", "protocol", "buffer_callback");
    codec->protocol = PyLong_FromLong(5);
    codec->str_memo = PyUnicode_InternFromString("memo");
    codec->empty_memo = PyDict_New();
    if (codec->sink_type == NULL || codec->buffer_type == NULL ||
        codec->spares == NULL || codec->pickler_class == NULL ||
        codec->loads == NULL || codec->pickling_error == NULL ||
        codec->loads_keywords == NULL || codec->pickler_keywords == NULL ||
        codec->protocol == NULL || codec->str_memo == NULL ||
        codec->empty_memo == NULL) {
        goto fail;
    }
    return codec;

fail:
    pyconc_codec_free(codec);
    return NULL;
}

static void
dumper_free(struct dumper *dumper)
{
    if (dumper != NULL) {
        Py_XDECREF(dumper->dump);
        Py_XDECREF(dumper->pickler);
        Py_XDECREF(dumper->sink);
        PyMem_Free(dumper);
    }
}

void
pyconc_codec_free(struct pyconc_codec *codec)
{
    if (codec == NULL) {
        return;
    }
    for (size_t i = 0; i < SPARE_PICKLERS; i++) {
        dumper_free(conc_exchange_acqrel(&codec->spare[i], NULL));
    }
    Py_XDECREF(conc_exchange_acqrel(&codec->value_pickler_class, NULL));
    Py_XDECREF(codec->sink_type);
    Py_XDECREF(codec->buffer_type);
    if (codec->spares != NULL) {
        pyconc_spares_release(codec->spares);
    }
    Py_XDECREF(codec->pickler_class);
    Py_XDECREF(codec->extra_reducers);
    Py_XDECREF(codec->loads);
    Py_XDECREF(codec->loads_keywords);
    Py_XDECREF(codec->pickler_keywords);
    Py_XDECREF(codec->protocol);
    Py_XDECREF(codec->str_memo);
    Py_XDECREF(codec->empty_memo);
    Py_XDECREF(codec->pickling_error);
    PyMem_Free(codec);
}

int
pyconc_codec_traverse(struct pyconc_codec *codec, visitproc visit, void *arg)
{
    if (codec == NULL) {
        return 0;
    }
    for (size_t i = 0; i < SPARE_PICKLERS; i++) {
        /* Relaxed: nobody runs beside the garbage collector. */
        struct dumper *dumper = conc_load_rlx(&codec->spare[i]);

        if (dumper != NULL) {
            Py_VISIT(dumper->dump);
            Py_VISIT(dumper->pickler);
            Py_VISIT(dumper->sink);
        }
    }
    Py_VISIT(conc_load_rlx(&codec->value_pickler_class));
    Py_VISIT(codec->sink_type);
    Py_VISIT(codec->buffer_type);
    Py_VISIT(codec->pickler_class);
    Py_VISIT(codec->extra_reducers);
    Py_VISIT(codec->loads);
    Py_VISIT(codec->loads_keywords);
    Py_VISIT(codec->pickler_keywords);
    Py_VISIT(codec->protocol);
    Py_VISIT(codec->str_memo);
    Py_VISIT(codec->empty_memo);
    Py_VISIT(codec->pickling_error);
    return 0;
}

/* --- pickling ---------------------------------------------------------- */

/* A pickler of `pickler_class` with a sink of its own, or NULL with an
 * exception. */
static struct dumper *
dumper_new(struct pyconc_codec *codec, PyObject *pickler_class)
{
    struct dumper *dumper = PyMem_Calloc(1, sizeof(*dumper));

    if (dumper == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    struct sink *sink = PyObject_New(struct sink, codec->sink_type);

    if (sink == NULL) {
        goto fail;
    }
    sink->target = NULL;
    dumper->sink = (PyObject *)sink;

    PyObject *keep_buffer =
        PyObject_GetAttrString(dumper->sink, "keep_buffer");

    if (keep_buffer == NULL) {
        goto fail;
    }
    PyObject *arguments[] = {dumper->sink, codec->protocol, keep_buffer};

    dumper->pickler = PyObject_Vectorcall(pickler_class, arguments, 1,
                                          codec->pickler_keywords);
    Py_DECREF(keep_buffer);
    if (dumper->pickler == NULL) {
        goto fail;
    }
    dumper->dump = PyObject_GetAttrString(dumper->pickler, "dump");
    if (dumper->dump == NULL) {
        goto fail;
    }
    return dumper;

fail:
    dumper_free(dumper);
    return NULL;
}

static struct dumper *
dumper_take(struct pyconc_codec *codec)
{
    for (size_t i = 0; i < SPARE_PICKLERS; i++) {
        struct dumper *dumper =
            conc_exchange_acqrel(&codec->spare[i], NULL); /* D2 */

        if (dumper != NULL) {
            return dumper;
        }
    }
    return dumper_new(codec, codec->pickler_class);
}

static void
dumper_give_back(struct pyconc_codec *codec, struct dumper *dumper)
{
    for (size_t i = 0; i < SPARE_PICKLERS; i++) {
        struct dumper *none = NULL;

        if (conc_cas_acqrel(&codec->spare[i], &none, dumper)) { /* D1 */
            return;
        }
    }
    dumper_free(dumper);
}

/* 0, or -1 with an exception. */
static int
dumper_dump(struct dumper *dumper, PyObject *object,
            struct pyconc_pickled *out)
{
    struct sink *sink = (struct sink *)dumper->sink;

    sink->target = out;

    PyObject *result = PyObject_CallOneArg(dumper->dump, object);

    sink->target = NULL;
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

static int
pickle_by_name(struct pyconc_codec *codec, PyObject *object,
               struct pyconc_pickled *out)
{
    struct dumper *dumper = dumper_take(codec);

    if (dumper == NULL) {
        return -1;
    }
    /* One that failed may be anywhere in the middle of its work. */
    if (dumper_dump(dumper, object, out) < 0) {
        dumper_free(dumper);
        return -1;
    }
    if (out->stream_bytes > SPARE_STREAM_BYTES) {
        dumper_free(dumper);
        return 0;
    }
    /* A new memo, as clear_memo() keeps the table and walks through all of
     * it each time: 4 us after an object of 1000 parts, 24 after 4000. */
    if (PyObject_SetAttr(dumper->pickler, codec->str_memo, codec->empty_memo) <
        0) {
        dumper_free(dumper);
        return -1;
    }
    dumper_give_back(codec, dumper);
    return 0;
}

/* cloudpickle's pickler, which has a reducer_override of its own, with
 * ForkingPickler's table in front of its others.  New reference, or NULL with
 * an exception. */
static PyObject *
make_value_pickler_class(struct pyconc_codec *codec)
{
    PyObject *result = NULL;
    PyObject *table = NULL, *tables = NULL;
    PyObject *base = import_from("cloudpickle", "CloudPickler");

    if (base != NULL) {
        table = PyObject_GetAttrString(base, "dispatch_table");
    }
    if (table != NULL) {
        tables = PyObject_CallMethod(table, "new_child", "O",
                                     codec->extra_reducers);
    }
    if (tables != NULL) {
        result = PyObject_CallFunction(
            (PyObject *)&PyType_Type, "s(O){s:s,s:O}", "_ValuePickler", base,
            "__module__", "pyconc._core", "dispatch_table", tables);
    }
    Py_XDECREF(base);
    Py_XDECREF(table);
    Py_XDECREF(tables);
    return result;
}

/* Borrowed, or NULL with an exception. */
static PyObject *
value_pickler_class(struct pyconc_codec *codec)
{
    /* V2, pairs with V1 below */
    PyObject *known = conc_load_acq(&codec->value_pickler_class);

    if (known != NULL) {
        return known;
    }
    PyObject *made = make_value_pickler_class(codec);

    if (made == NULL) {
        return NULL;
    }
    /* V1, pairs with V2.  Importing runs Python code, so another thread may
     * have been faster. */
    if (!conc_cas_acqrel(&codec->value_pickler_class, &known, made)) {
        Py_DECREF(made);
        return known;
    }
    return made;
}

static int
pickle_by_value(struct pyconc_codec *codec, PyObject *object,
                struct pyconc_pickled *out)
{
    PyObject *pickler_class = value_pickler_class(codec);

    if (pickler_class == NULL) {
        return -1;
    }
    struct dumper *dumper = dumper_new(codec, pickler_class);

    if (dumper == NULL) {
        return -1;
    }
    int status = dumper_dump(dumper, object, out);

    dumper_free(dumper);
    return status;
}

/* Whether `error` is pickle's refusal.  Pickle raises other types than its
 * own as well, but from C, and so without a traceback: one that has a
 * traceback comes from a reducer of the user, who would be run again. */
static bool
is_refusal(struct pyconc_codec *codec, PyObject *error)
{
    if (PyErr_GivenExceptionMatches(error, codec->pickling_error)) {
        return true;
    }
    if (!PyErr_GivenExceptionMatches(error, PyExc_AttributeError) &&
        !PyErr_GivenExceptionMatches(error, PyExc_TypeError)) {
        return false;
    }
    PyObject *traceback = PyException_GetTraceback(error);

    Py_XDECREF(traceback);
    return traceback == NULL;
}

/* Note on `error` what the current exception says, which is cleared. */
static void
add_note(PyObject *error, const char *prefix)
{
    PyObject *reason = pyconc_error_take();
    PyObject *note = PyUnicode_FromFormat("%s: %S", prefix, reason);
    PyObject *result = note == NULL
                           ? NULL
                           : PyObject_CallMethod(error, "add_note", "O", note);

    if (result == NULL) {
        PyErr_Clear(); /* the note is a courtesy */
    }
    Py_XDECREF(result);
    Py_XDECREF(note);
    Py_DECREF(reason);
}

/* Requires an exception, which it replaces by nothing (0) or leaves (-1). */
static int
pickle_refused_by_value(struct pyconc_codec *codec, PyObject *object,
                        struct pyconc_pickled *out)
{
    PyObject *error = pyconc_error_take();

    if (is_refusal(codec, error)) {
        pyconc_pickled_clear(out);
        if (pickle_by_value(codec, object, out) == 0) {
            Py_DECREF(error);
            return 0;
        }
        add_note(error, "cloudpickle says");
    }
    pyconc_error_restore(error);
    return -1;
}

static uint64_t
aligned(uint64_t offset)
{
    return (offset + BUFFER_ALIGNMENT - 1) & ~(uint64_t)(BUFFER_ALIGNMENT - 1);
}

static const Py_buffer *
buffer_at(PyObject *list, Py_ssize_t i)
{
    return PyMemoryView_GET_BUFFER(PyList_GET_ITEM(list, i));
}

static uint64_t
wire_bytes(const struct pyconc_pickled *pickled)
{
    if (pickled->buffers == NULL) {
        return pickled->stream_bytes;
    }
    Py_ssize_t count = PyList_GET_SIZE(pickled->buffers);
    uint64_t size = sizeof(struct wire_header) +
                    (uint64_t)count * sizeof(struct wire_buffer) +
                    pickled->stream_bytes;

    for (Py_ssize_t i = 0; i < count; i++) {
        size = aligned(size) + (uint64_t)buffer_at(pickled->buffers, i)->len;
    }
    return size;
}

int
pyconc_pickle(struct pyconc_codec *codec, PyObject *object,
              enum pyconc_by_value by_value, struct pyconc_pickled *out)
{
    int status;

    out->pieces = NULL;
    out->buffers = NULL;
    pyconc_pickled_clear(out);
    if (by_value == PYCONC_BY_VALUE_ALWAYS) {
        status = pickle_by_value(codec, object, out);
    }
    else {
        status = pickle_by_name(codec, object, out);
        if (status < 0 && by_value == PYCONC_BY_VALUE_NEEDED) {
            status = pickle_refused_by_value(codec, object, out);
        }
    }
    if (status < 0) {
        pyconc_pickled_clear(out);
        return -1;
    }
    if (out->buffers != NULL) {
        out->form = PYCONC_FORM_BUFFERS;
    }
    out->size_bytes = wire_bytes(out);
    return 0;
}

/* Returns the end of what it wrote. */
static uint8_t *
write_stream(const struct pyconc_pickled *pickled, uint8_t *destination)
{
    memcpy(destination, pickled->small, pickled->small_bytes);
    destination += pickled->small_bytes;
    if (pickled->pieces == NULL) {
        return destination;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pickled->pieces); i++) {
        PyObject *piece = PyList_GET_ITEM(pickled->pieces, i);
        const void *data;
        size_t size;

        if (PyBytes_CheckExact(piece)) {
            data = PyBytes_AS_STRING(piece);
            size = (size_t)PyBytes_GET_SIZE(piece);
        }
        else {
            const Py_buffer *raw = PyMemoryView_GET_BUFFER(piece);

            data = raw->buf;
            size = (size_t)raw->len;
        }
        pyconc_copy(destination, data, size);
        destination += size;
    }
    return destination;
}

static void
write_with_buffers(const struct pyconc_pickled *pickled, uint8_t *destination)
{
    Py_ssize_t count = PyList_GET_SIZE(pickled->buffers);
    struct wire_header header = {(uint64_t)count, pickled->stream_bytes};
    uint8_t *next = destination;

    memcpy(next, &header, sizeof(header));
    next += sizeof(header);
    for (Py_ssize_t i = 0; i < count; i++) {
        const Py_buffer *raw = buffer_at(pickled->buffers, i);
        struct wire_buffer entry = {(uint64_t)raw->len, raw->readonly ? 1 : 0};

        memcpy(next, &entry, sizeof(entry));
        next += sizeof(entry);
    }
    next = write_stream(pickled, next);

    uint64_t offset = (uint64_t)(next - destination);

    for (Py_ssize_t i = 0; i < count; i++) {
        const Py_buffer *raw = buffer_at(pickled->buffers, i);
        uint64_t start = aligned(offset);

        memset(destination + offset, 0, (size_t)(start - offset));
        pyconc_copy(destination + start, raw->buf, (size_t)raw->len);
        offset = start + (uint64_t)raw->len;
    }
}

void
pyconc_pickled_write(const struct pyconc_pickled *pickled,
                     uint8_t *destination)
{
    if (pickled->form == PYCONC_FORM_BUFFERS) {
        write_with_buffers(pickled, destination);
    }
    else {
        write_stream(pickled, destination);
    }
}

void
pyconc_pickled_clear(struct pyconc_pickled *pickled)
{
    pickled->form = PYCONC_FORM_PICKLED;
    pickled->size_bytes = 0;
    pickled->stream_bytes = 0;
    pickled->small_bytes = 0;
    Py_CLEAR(pickled->pieces);
    Py_CLEAR(pickled->buffers);
}

/* --- unpickling -------------------------------------------------------- */

static PyObject *
damaged(void)
{
    PyErr_SetString(PyExc_ValueError,
                    "a message between processes is damaged");
    return NULL;
}

/* Bytes of our own; new reference, or NULL with an exception. */
static PyObject *
copy_out(const uint8_t *data, uint64_t size_bytes)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size_bytes);

    if (bytes != NULL) {
        pyconc_copy_fresh(PyBytes_AS_STRING(bytes), data, (size_t)size_bytes);
    }
    return bytes;
}

static PyObject *
copy_out_big(struct pyconc_codec *codec, const uint8_t *data, size_t size)
{
    void *memory;
    int fresh;
    PyObject *buffer = pyconc_buffer_new(codec->buffer_type, codec->spares,
                                         (Py_ssize_t)size, &memory, &fresh);

    if (buffer != NULL && fresh) {
        pyconc_copy_fresh(memory, data, size);
    }
    else if (buffer != NULL) {
        pyconc_copy(memory, data, size);
    }
    return buffer;
}

static PyObject *
copy_out_buffer(struct pyconc_codec *codec, const uint8_t *data,
                const struct wire_buffer *entry)
{
    if (entry->read_only) {
        return copy_out(data, entry->size_bytes);
    }
    if (entry->size_bytes >= PYCONC_BUFFER_LEAST_BYTES) {
        return copy_out_big(codec, data, (size_t)entry->size_bytes);
    }
    PyObject *buffer =
        PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)entry->size_bytes);

    if (buffer != NULL) {
        pyconc_copy_fresh(PyByteArray_AS_STRING(buffer), data,
                          (size_t)entry->size_bytes);
    }
    return buffer;
}

/* The list of buffers; `offset` is where the stream ends. */
static PyObject *
read_buffers(struct pyconc_codec *codec, const uint8_t *data,
             uint64_t size_bytes, uint64_t count, uint64_t offset)
{
    PyObject *buffers = PyList_New(0);
    const uint8_t *table = data + sizeof(struct wire_header);

    for (uint64_t i = 0; buffers != NULL && i < count; i++) {
        struct wire_buffer entry;
        PyObject *buffer;

        pyconc_copy_once(&entry, table + i * sizeof(entry), sizeof(entry));
        offset = aligned(offset);
        if (offset > size_bytes || entry.size_bytes > size_bytes - offset ||
            entry.read_only > 1) {
            buffer = damaged();
        }
        else {
            buffer = copy_out_buffer(codec, data + offset, &entry);
            offset += entry.size_bytes;
        }
        if (buffer == NULL || PyList_Append(buffers, buffer) < 0) {
            Py_CLEAR(buffers);
        }
        Py_XDECREF(buffer);
    }
    if (buffers != NULL && offset != size_bytes) {
        Py_CLEAR(buffers);
        damaged();
    }
    return buffers;
}

static PyObject *
unpickle_with_buffers(struct pyconc_codec *codec, const uint8_t *data,
                      uint64_t size_bytes)
{
    struct wire_header header;

    if (size_bytes < sizeof(header)) {
        return damaged();
    }
    pyconc_copy_once(&header, data, sizeof(header));

    uint64_t left = size_bytes - sizeof(header);

    if (header.buffers > left / sizeof(struct wire_buffer)) {
        return damaged();
    }
    left -= header.buffers * sizeof(struct wire_buffer);
    if (header.stream_bytes > left) {
        return damaged();
    }
    uint64_t stream_at = size_bytes - left;
    PyObject *result = NULL;
    PyObject *stream = NULL;
    PyObject *buffers = read_buffers(codec, data, size_bytes, header.buffers,
                                     stream_at + header.stream_bytes);

    if (buffers != NULL) {
        stream = copy_out(data + stream_at, header.stream_bytes);
    }
    if (stream != NULL) {
        PyObject *arguments[] = {stream, buffers};

        result = PyObject_Vectorcall(codec->loads, arguments, 1,
                                     codec->loads_keywords);
    }
    Py_XDECREF(stream);
    Py_XDECREF(buffers);
    return result;
}

void
pyconc_codec_trim(struct pyconc_codec *codec)
{
    pyconc_spares_trim(codec->spares);
}

PyObject *
pyconc_unpickle(struct pyconc_codec *codec, enum pyconc_form form,
                const uint8_t *data, uint64_t size_bytes)
{
    if (form == PYCONC_FORM_BUFFERS) {
        return unpickle_with_buffers(codec, data, size_bytes);
    }
    if (form != PYCONC_FORM_PICKLED) {
        return damaged();
    }
    PyObject *stream = copy_out(data, size_bytes);

    if (stream == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallOneArg(codec->loads, stream);

    Py_DECREF(stream);
    return result;
}
