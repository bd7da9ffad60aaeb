/* A big result that still lies in shared memory, until somebody asks for it
 * or the heap it lies in must be vacated. */
#ifndef PYCONC_FUTURE_BLOCK_H
#define PYCONC_FUTURE_BLOCK_H

#include "codec/codec.h"
#include "py/state.h"

struct pyconc_block {
    PyObject_HEAD
    const uint8_t *data; /* in shared memory, or `copy` */
    uint64_t size_bytes;
    uint8_t *copy; /* owns (malloc); NULL while in shared memory */
    int pins;      /* decodes in progress: the memory must stay */
    /* called when no decode is in progress any more, if it is set */
    void (*unpinned)(struct pyconc_block *block);
    PyObject *engine; /* owns; whose memory it is; NULL once copied */
    void (*release)(struct pyconc_block *block); /* gives it back */
    struct pyconc_block *next; /* the engine's list of blocks out there */
    struct pyconc_block *previous;
    uint64_t offset; /* for release */
    uint32_t slot;
};

/* New reference, or NULL with MemoryError. */
struct pyconc_block *pyconc_block_new(struct pyconc_state *state,
                                      const uint8_t *data,
                                      uint64_t size_bytes);

/* Move the bytes to private memory and release the shared block.  0, 1 if
 * somebody is reading it (see unpinned), -1 without memory (no exception). */
int pyconc_block_evacuate(struct pyconc_block *block);

/* New reference, or NULL with an exception. */
PyObject *pyconc_block_decode(struct pyconc_state *state, PyObject *block,
                              enum pyconc_form form);

extern PyType_Spec pyconc_block_spec;

#endif
