/* See block.h.  GIL: held in all of these. */
#include "future/block.h"

#include <stdlib.h>
#include <string.h>

struct pyconc_block *
pyconc_block_new(struct pyconc_state *state, const uint8_t *data,
                 uint64_t size_bytes)
{
    struct pyconc_block *block =
        (struct pyconc_block *)state->block_type->tp_alloc(state->block_type,
                                                           0);
    if (block != NULL) {
        block->data = data;
        block->size_bytes = size_bytes;
    }
    return block;
}

static void
give_back(struct pyconc_block *block)
{
    if (block->engine != NULL) {
        PyObject *engine = block->engine;
        block->release(block);
        block->engine = NULL;
        Py_DECREF(engine);
    }
}

int
pyconc_block_evacuate(struct pyconc_block *block)
{
    if (block->pins > 0) {
        return 1;
    }
    uint8_t *copy = malloc(block->size_bytes);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, block->data, block->size_bytes);
    block->copy = copy;
    block->data = copy;
    give_back(block);
    return 0;
}

PyObject *
pyconc_block_decode(struct pyconc_state *state, PyObject *object,
                    enum pyconc_form form)
{
    struct pyconc_block *block = (struct pyconc_block *)object;

    block->pins++;
    PyObject *result = pyconc_decode(state->codec, form, NULL, block->data,
                                     block->size_bytes);
    if (--block->pins == 0 && block->unpinned != NULL) {
        block->unpinned(block);
    }
    return result;
}

static void
block_dealloc(PyObject *self)
{
    struct pyconc_block *block = (struct pyconc_block *)self;
    PyTypeObject *type = Py_TYPE(self);

    give_back(block);
    free(block->copy);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot block_slots[] = {
    {Py_tp_dealloc, (void *)block_dealloc},
    {0, NULL},
};

PyType_Spec pyconc_block_spec = {
    .name = "pyconc._core.Block",
    .basicsize = sizeof(struct pyconc_block),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = block_slots,
};
