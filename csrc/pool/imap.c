/* IMapIterator: results one by one, in order or as they come.
 *
 * The input is read by whoever feeds: the caller of imap while that runs no
 * code of the user's (exact lists, tuples and ranges), a feeder thread for
 * the rest, as in the stdlib, which reads the input to its end whether or
 * not results are fetched.  With `buffer` the consumer itself reads on, one
 * item for each result it takes, so an endless input needs constant
 * memory. */
#include "codec/codec.h"
#include "platform/clock.h"
#include "pool/results.h"
#include "py/compat.h"

/* Items that imap submits itself before it leaves the rest to a thread. */
#define FEED_INLINE 4096
/* A feeder lets other threads run after this many items. */
#define FEED_BURST 256

struct item {
    PyObject *value; /* owns; NULL: not there yet */
    uint8_t kind;
    uint8_t form;
};

struct pyconc_imap {
    PyObject_HEAD
    struct pyconc_engine *engine; /* owns */
    PyObject *iterator;           /* owns; NULL once read to its end */
    struct item *items; /* owns; ring of `capacity`, a power of two */
    size_t capacity;
    Py_ssize_t submitted; /* index of the next task */
    Py_ssize_t arrived;   /* unordered: place of the next answer */
    Py_ssize_t taken;     /* results that next() has handed out */
    Py_ssize_t length;    /* tasks in all, -1: not known yet */
    Py_ssize_t chunk;
    Py_ssize_t buffer; /* 0: unlimited */
    struct pyconc_callee callee;
    struct pyconc_siblings siblings;
    Py_ssize_t helpers; /* of those in next(): who would run a task */
    uint8_t ordered;
    uint8_t feeding;               /* somebody is reading the input */
    struct pyconc_reading reading; /* .waiters: in next() */
};

#define AS_IMAP(object) ((struct pyconc_imap *)(object))

static struct pyconc_reading *
reading_of(struct pyconc_imap *imap)
{
    return imap->buffer == 0 ? &imap->reading : NULL;
}

/* --- arrival ------------------------------------------------------------- */

static int
grow(struct pyconc_imap *imap, size_t needed)
{
    size_t capacity = imap->capacity;

    while (capacity < needed) {
        capacity *= 2;
    }
    struct item *items = PyMem_Calloc(capacity, sizeof(*items));
    if (items == NULL) {
        return -1;
    }
    for (size_t i = 0; i < imap->capacity; i++) {
        size_t place = (size_t)imap->taken + i;
        items[place & (capacity - 1)] =
            imap->items[place & (imap->capacity - 1)];
    }
    PyMem_Free(imap->items);
    imap->items = items;
    imap->capacity = capacity;
    return 0;
}

static struct item *
item_at(struct pyconc_imap *imap, Py_ssize_t index)
{
    return &imap->items[(size_t)index & (imap->capacity - 1)];
}

static void
wake_consumers(struct pyconc_imap *imap)
{
    pyconc_engine_wake_list(&imap->reading.waiters);
}

/* Room for one more task is made when it is submitted, so that its answer
 * cannot fail to be stored. */
static int
reserve(struct pyconc_imap *imap)
{
    size_t needed = (size_t)(imap->submitted - imap->taken) + 1;

    if (needed > imap->capacity && grow(imap, needed) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void
pyconc_imap_arrive(PyObject *self, Py_ssize_t index, PyObject *value,
                   uint8_t kind, uint8_t form)
{
    struct pyconc_imap *imap = AS_IMAP(self);
    Py_ssize_t place = imap->ordered ? index : imap->arrived++;

    *item_at(imap, place) = (struct item){value, kind, form};
    if (place == imap->taken) {
        wake_consumers(imap);
    }
}

/* --- feeding ------------------------------------------------------------- */

static void
end_of_input(struct pyconc_imap *imap)
{
    imap->length = imap->submitted;
    if (imap->iterator != NULL) {
        Py_CLEAR(imap->iterator);
        pyconc_engine_feeder_end(imap->engine, reading_of(imap));
    }
    imap->engine->ops->release(imap->engine, &imap->callee);
    if (imap->taken == imap->length) {
        wake_consumers(imap);
    }
}

/* The current exception becomes the next item. */
static void
fail_next(struct pyconc_imap *imap)
{
    PyObject *error = pyconc_error_take();

    if (reserve(imap) < 0) {
        PyErr_WriteUnraisable((PyObject *)imap);
        Py_DECREF(error);
        return;
    }
    pyconc_imap_arrive((PyObject *)imap, imap->submitted++, error,
                       PYCONC_VALUE_EXCEPTION, 0);
}

/* The payload of the next task: new reference; NULL at the end or with an
 * exception. */
static PyObject *
next_payload(struct pyconc_imap *imap, PyObject *iterator)
{
    if (imap->chunk == 1) {
        return PyIter_Next(iterator);
    }
    PyObject *chunk = PyList_New(0);
    if (chunk == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < imap->chunk; i++) {
        PyObject *item = PyIter_Next(iterator);
        if (item == NULL) {
            break;
        }
        int status = PyList_Append(chunk, item);
        Py_DECREF(item);
        if (status < 0) {
            break;
        }
    }
    if (PyErr_Occurred() || PyList_GET_SIZE(chunk) == 0) {
        Py_DECREF(chunk);
        return NULL;
    }
    return chunk;
}

/* Submit up to `limit` tasks.  1: the input goes on; 0: it has ended; -1: the
 * thread that asks for results was interrupted while it read on. */
static int
feed(struct pyconc_imap *imap, Py_ssize_t limit)
{
    struct pyconc_engine *engine = imap->engine;
    enum pyconc_shape shape =
        imap->chunk == 1 ? PYCONC_SHAPE_ONE : PYCONC_SHAPE_CHUNK;

    while (limit-- > 0 && imap->iterator != NULL) {
        if (imap->buffer > 0 &&
            imap->submitted - imap->taken >= imap->buffer) {
            return 1;
        }
        PyObject *iterator = Py_NewRef(imap->iterator);
        PyObject *payload = next_payload(imap, iterator);
        Py_DECREF(iterator);
        if (payload == NULL) {
            int interrupted = imap->buffer > 0 && PyErr_Occurred() &&
                              !PyErr_ExceptionMatches(PyExc_Exception);
            PyObject *error = interrupted ? pyconc_error_take() : NULL;
            if (PyErr_Occurred()) {
                fail_next(imap);
            }
            end_of_input(imap);
            if (error != NULL) {
                pyconc_error_restore(error);
                return -1;
            }
            return 0;
        }
        int status = reserve(imap);
        if (status == 0) {
            struct pyconc_submission submission = {
                .target = PYCONC_TARGET_IMAP,
                .shape = shape,
                .owner = (PyObject *)imap,
                .index = imap->submitted,
                .callee = &imap->callee,
                .siblings = &imap->siblings,
                .payload = payload,
                .goes_on = imap->buffer == 0,
            };
            status = engine->ops->submit(engine, &submission);
        }
        Py_DECREF(payload);
        if (status == 0) {
            imap->submitted++;
            if (imap->helpers > 0) {
                wake_consumers(imap); /* perhaps only they can run it */
            }
            continue;
        }
        int refused =
            engine->phase == PYCONC_ENGINE_ENDED || engine->broken != NULL ||
            (engine->phase != PYCONC_ENGINE_OPEN && imap->buffer > 0);
        fail_next(imap);
        if (refused) {
            end_of_input(imap);
            return 0;
        }
    }
    return imap->iterator != NULL;
}

static int
runs_no_user_code(PyObject *iterable)
{
    return PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable) ||
           PyRange_Check(iterable);
}

PyObject *
pyconc_imap_start(struct pyconc_engine *engine, PyTypeObject *type,
                  PyObject *callable, PyObject *iterable, Py_ssize_t chunk,
                  int ordered, Py_ssize_t buffer)
{
    if (pyconc_engine_check_open(engine) < 0) {
        return NULL;
    }
    struct pyconc_imap *imap = (struct pyconc_imap *)type->tp_alloc(type, 0);
    if (imap == NULL) {
        return NULL;
    }
    imap->engine = PYCONC_ENGINE(Py_NewRef((PyObject *)engine));
    imap->length = -1;
    imap->chunk = chunk;
    imap->buffer = buffer;
    imap->ordered = (uint8_t)ordered;
    imap->capacity = 64;
    imap->items = PyMem_Calloc(imap->capacity, sizeof(struct item));
    if (imap->items == NULL) {
        Py_DECREF(imap);
        return PyErr_NoMemory();
    }
    if (engine->ops->acquire(engine, callable, &imap->callee) == 0) {
        imap->iterator = PyObject_GetIter(iterable);
    }
    if (imap->iterator == NULL) {
        fail_next(imap); /* raised by the first next(), as in the stdlib */
        end_of_input(imap);
    }
    else {
        pyconc_engine_feeder_begin(engine, reading_of(imap));
    }
    if (imap->iterator == NULL) {
        return (PyObject *)imap;
    }
    if (buffer > 0) {
        if (feed(imap, buffer) < 0) {
            Py_DECREF(imap);
            return NULL;
        }
    }
    else if (runs_no_user_code(iterable)) {
        (void)feed(imap, FEED_INLINE);
    }
    return (PyObject *)imap;
}

/* --- methods ------------------------------------------------------------- */

static PyObject *
imap_feed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_imap *imap = AS_IMAP(self);

    while (feed(imap, FEED_BURST)) {
        if (imap->engine->ops->is_full(imap->engine)) {
            /* Reading on would only pile up encoded items here. */
            if (pyconc_engine_wait_on(imap->engine,
                                      &imap->engine->room_waiters,
                                      CONC_NEVER) < 0) {
                return NULL;
            }
        }
        Py_BEGIN_ALLOW_THREADS /* lets go of the GIL if somebody wants it */
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static PyObject *
imap_needs_feeder(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(AS_IMAP(self)->iterator != NULL &&
                           AS_IMAP(self)->buffer == 0);
}

/* Read on, if it is the consumer's part.  A generator that is being read by
 * another thread would raise, so one thread reads at a time. */
static int
feed_one(struct pyconc_imap *imap)
{
    int status = 0;

    if (imap->buffer > 0 && imap->iterator != NULL && !imap->feeding) {
        imap->feeding = 1;
        status = feed(imap, imap->buffer);
        imap->feeding = 0;
    }
    return status < 0 ? -1 : 0;
}

/* Wait for the next item: 0, 1: timeout, 2: the end, -1: an exception. */
static int
await_item(struct pyconc_imap *imap, int64_t deadline_ns)
{
    for (;;) {
        if (feed_one(imap) < 0) {
            return -1;
        }
        if (item_at(imap, imap->taken)->value != NULL) {
            return 0;
        }
        if (imap->length >= 0 && imap->taken >= imap->length) {
            return 2;
        }
        if (imap->engine->broken != NULL && imap->taken >= imap->submitted) {
            /* Nothing is under way, and nothing more will be submitted. */
            pyconc_raise_object(imap->engine->broken);
            return -1;
        }
        struct pyconc_source *source = &imap->engine->source;
        int may_help = deadline_ns == CONC_NEVER &&
                       source->ops->help != NULL &&
                       source->ops->may_help(source);
        if (may_help && imap->siblings.first != NULL) {
            int helped = source->ops->help(source, imap->siblings.first);
            if (helped < 0) {
                return -1;
            }
            if (helped > 0) {
                continue;
            }
        }
        imap->helpers += may_help;
        int status = pyconc_engine_wait_on(
            imap->engine, &imap->reading.waiters, deadline_ns);
        imap->helpers -= may_help;
        if (status != 0) {
            return status;
        }
    }
}

/* new reference; NULL with StopIteration or what the task raised */
static PyObject *
take(struct pyconc_imap *imap, int64_t deadline_ns)
{
    struct pyconc_state *state = imap->engine->state;
    int status = await_item(imap, deadline_ns);

    if (status == 2) {
        return NULL;
    }
    if (status == 1) {
        PyErr_SetNone(state->pool_timeout_error);
        return NULL;
    }
    if (status < 0) {
        return NULL;
    }
    struct item *place = item_at(imap, imap->taken);
    struct item item = *place;
    place->value = NULL;
    imap->taken++;
    if (feed_one(imap) < 0) {
        /* This result is lost to the interruption, as any that is under way
         * when Ctrl-C comes. */
        Py_DECREF(item.value);
        return NULL;
    }
    if (imap->reading.waiters != NULL) {
        wake_consumers(imap); /* another thread's turn to look */
    }
    if (item.kind == PYCONC_VALUE_RESULT) {
        return item.value;
    }
    PyObject *value =
        pyconc_value_decode(state, item.value, &item.kind, item.form);
    Py_DECREF(item.value);
    if (value != NULL && item.kind == PYCONC_VALUE_EXCEPTION) {
        pyconc_raise_object(value);
        Py_CLEAR(value);
    }
    return value;
}

static PyObject *
imap_iternext(PyObject *self)
{
    return take(AS_IMAP(self), CONC_NEVER);
}

static PyObject *
imap_next(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    int64_t deadline_ns;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:next",
                                     pyconc_keywords(names), &timeout) ||
        pyconc_deadline_from_timeout(timeout, &deadline_ns) < 0) {
        return NULL;
    }
    PyObject *result = take(AS_IMAP(self), deadline_ns);
    if (result == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return result;
}

static int
imap_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pyconc_imap *imap = AS_IMAP(self);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)imap->engine);
    Py_VISIT(imap->iterator);
    for (size_t i = 0; imap->items != NULL && i < imap->capacity; i++) {
        Py_VISIT(imap->items[i].value);
    }
    return 0;
}

static int
imap_clear(PyObject *self)
{
    struct pyconc_imap *imap = AS_IMAP(self);

    if (imap->engine != NULL) {
        imap->engine->ops->release(imap->engine, &imap->callee);
    }
    if (imap->iterator != NULL && imap->engine != NULL) {
        Py_CLEAR(imap->iterator);
        pyconc_engine_feeder_end(imap->engine, reading_of(imap));
    }
    for (size_t i = 0; imap->items != NULL && i < imap->capacity; i++) {
        Py_CLEAR(imap->items[i].value);
    }
    Py_CLEAR(imap->engine);
    return 0;
}

static void
imap_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)imap_clear(self);
    PyMem_Free(AS_IMAP(self)->items);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef imap_methods[] = {
    {"next", (PyCFunction)(void (*)(void))imap_next,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("next($self, /, timeout=None)\n--\n\n"
               "Return the next result, or raise what its task raised.\n\n"
               "Waits up to `timeout` seconds (None: without limit), then\n"
               "raises multiprocessing.TimeoutError.  Raises StopIteration\n"
               "at the end.  Thread-safe: each result is handed out once.")},
    {"_feed", imap_feed, METH_NOARGS,
     PyDoc_STR("_feed($self, /)\n--\n\nRead the input to its end.")},
    {"_needs_feeder", imap_needs_feeder, METH_NOARGS,
     PyDoc_STR("_needs_feeder($self, /)\n--\n\n"
               "Return True if a thread has to read the input.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("See PEP 585.")},
    {NULL, NULL, 0, NULL},
};

static char imap_doc[] =
    PyDoc_STR("The C half of IMapIterator; made by a Pool.");

static PyType_Slot imap_slots[] = {
    {Py_tp_doc, imap_doc},
    {Py_tp_dealloc, (void *)imap_dealloc},
    {Py_tp_traverse, (void *)imap_traverse},
    {Py_tp_clear, (void *)imap_clear},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)imap_iternext},
    {Py_tp_methods, imap_methods},
    {0, NULL},
};

PyType_Spec pyconc_imap_spec = {
    .name = "pyconc._core.IMapIteratorBase",
    .basicsize = sizeof(struct pyconc_imap),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = imap_slots,
};
