/* GIL: held in all of these. */
#include "codec/buffer.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Mappings come in multiples of a huge page. */
#define MAPPING_ALIGNMENT ((size_t)2 << 20)
/* At most so much is kept for later. */
#define SPARES_MAX 4
#define SPARE_BYTES_MAX ((size_t)256 << 20)

struct spare {
    void *memory;
    size_t mapped;
};

struct pyconc_spares {
    Py_ssize_t references;
    size_t bytes;
    struct spare spares[SPARES_MAX]; /* memory NULL: none */
};

struct buffer {
    PyObject_HEAD
    void *memory; /* owns; the mapping */
    size_t mapped;
    Py_ssize_t size;
    struct pyconc_spares *spares; /* owns a reference */
};

struct pyconc_spares *
pyconc_spares_new(void)
{
    struct pyconc_spares *spares = calloc(1, sizeof(*spares));

    if (spares == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    spares->references = 1;
    return spares;
}

void
pyconc_spares_trim(struct pyconc_spares *spares)
{
    for (size_t i = 0; i < SPARES_MAX; i++) {
        if (spares->spares[i].memory != NULL) {
            (void)munmap(spares->spares[i].memory, spares->spares[i].mapped);
            spares->spares[i].memory = NULL;
        }
    }
    spares->bytes = 0;
}

void
pyconc_spares_release(struct pyconc_spares *spares)
{
    if (--spares->references == 0) {
        pyconc_spares_trim(spares);
        free(spares);
    }
}

/* A spare that fits without wasting half of it, or NULL. */
static void *
take_spare(struct pyconc_spares *spares, size_t wanted, size_t *mapped)
{
    for (size_t i = 0; i < SPARES_MAX; i++) {
        struct spare *spare = &spares->spares[i];
        if (spare->memory != NULL && spare->mapped >= wanted &&
            spare->mapped / 2 <= wanted) {
            void *memory = spare->memory;
            *mapped = spare->mapped;
            spares->bytes -= spare->mapped;
            spare->memory = NULL;
            return memory;
        }
    }
    return NULL;
}

static void
put_spare(struct pyconc_spares *spares, void *memory, size_t mapped)
{
    for (size_t i = 0; i < SPARES_MAX; i++) {
        struct spare *spare = &spares->spares[i];
        if (spare->memory == NULL &&
            spares->bytes + mapped <= SPARE_BYTES_MAX) {
            *spare = (struct spare){memory, mapped};
            spares->bytes += mapped;
            return;
        }
    }
    (void)munmap(memory, mapped);
}

PyObject *
pyconc_buffer_new(PyTypeObject *type, struct pyconc_spares *spares,
                  Py_ssize_t size, void **memory, int *fresh)
{
    size_t wanted = ((size_t)size + MAPPING_ALIGNMENT - 1) /
                    MAPPING_ALIGNMENT * MAPPING_ALIGNMENT;
    size_t mapped = wanted;
    struct buffer *buffer = (struct buffer *)type->tp_alloc(type, 0);

    if (buffer == NULL) {
        return NULL;
    }
    void *found = take_spare(spares, wanted, &mapped);
    *fresh = found == NULL;
    if (found == NULL) {
        found = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (found == MAP_FAILED) {
            Py_DECREF(buffer);
            return PyErr_NoMemory();
        }
    }
    buffer->memory = found;
    buffer->mapped = mapped;
    buffer->size = size;
    buffer->spares = spares;
    spares->references++;
    *memory = found;
    return (PyObject *)buffer;
}

static int
buffer_get(PyObject *self, Py_buffer *view, int flags)
{
    struct buffer *buffer = (struct buffer *)self;

    return PyBuffer_FillInfo(view, self, buffer->memory, buffer->size, 0,
                             flags);
}

static Py_ssize_t
buffer_length(PyObject *self)
{
    return ((struct buffer *)self)->size;
}

/* As a bytearray, which is what the stdlib would have delivered. */
static PyObject *
buffer_reduce_ex(PyObject *self, PyObject *argument)
{
    long protocol = PyLong_AsLong(argument);

    if (protocol == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *content = protocol >= 5 ? PyPickleBuffer_FromObject(self)
                                      : PyBytes_FromObject(self);
    if (content == NULL) {
        return NULL;
    }
    return Py_BuildValue("(O(N))", (PyObject *)&PyByteArray_Type, content);
}

static void
buffer_dealloc(PyObject *self)
{
    struct buffer *buffer = (struct buffer *)self;
    PyTypeObject *type = Py_TYPE(self);

    if (buffer->memory != NULL) {
        put_spare(buffer->spares, buffer->memory, buffer->mapped);
        pyconc_spares_release(buffer->spares);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef buffer_methods[] = {
    {"__reduce_ex__", buffer_reduce_ex, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static char buffer_doc[] =
    PyDoc_STR("Memory of an array that came from another process.");

static PyType_Slot buffer_slots[] = {
    {Py_tp_doc, buffer_doc},
    {Py_tp_dealloc, (void *)buffer_dealloc},
    {Py_tp_methods, buffer_methods},
    {Py_sq_length, (void *)buffer_length},
    {Py_bf_getbuffer, (void *)buffer_get},
    {0, NULL},
};

PyType_Spec pyconc_buffer_spec = {
    .name = "pyconc._core.Buffer",
    .basicsize = sizeof(struct buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};
