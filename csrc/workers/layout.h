/* What lies where in the region of a process pool.
 *
 *     header                      region.h
 *     struct pyconc_control       eventcount of the parent, closing word
 *     struct conc_idlers_shared   who sleeps, who spins
 *     struct pyconc_slot          one per worker
 *     struct conc_heap_shared     one per heap: the parent's, each worker's
 *     struct pyconc_function_entry  the function table
 *     the task board              board.h
 *     heaps                       the parent's, then one per worker slot
 *
 * Every process computes the offsets from the geometry that it was started
 * with; nothing of it is read from shared memory. */
#ifndef PYCONC_WORKERS_LAYOUT_H
#define PYCONC_WORKERS_LAYOUT_H

#include "region/arena.h"
#include "ring/board.h"
#include "ring/eventcount.h"
#include "ring/idlers.h"

#define PYCONC_FUNCTIONS_MAX 4096
#define PYCONC_FUNCTION_NONE UINT32_MAX

/* struct pyconc_control.stop */
enum pyconc_stop {
    PYCONC_GO_ON = 0,
    PYCONC_STOP_WHEN_DONE = 1, /* leave when the queue is empty */
    PYCONC_STOP_NOW = 2,       /* leave after the current task */
};

/* Cells are committed in steps of so many, as they come into use: few pools
 * need more, and starting one must be cheap. */
#define PYCONC_CELLS_STEP 1024

struct pyconc_control {
    /* notified by workers, announced on by the parent's leader */
    _Alignas(CONC_CACHELINE) struct conc_eventcount completions;
    /* written by the parent, read by workers when they find nothing */
    _Alignas(CONC_CACHELINE) _Atomic uint32_t stop;
};

/* Edges:
 *   S1 -> S2  control.stop: whoever sees it set sees the queue as it was when
 *             it was set, so an empty queue is the end.
 *   I1 -> I2  slot.status: the initializer's error is complete when the
 *             status says that there is one. */

enum pyconc_slot_status {
    PYCONC_SLOT_EMPTY = 0,
    PYCONC_SLOT_READY = 1,       /* in its loop */
    PYCONC_SLOT_LEAVING = 2,     /* ended by itself: not a death */
    PYCONC_SLOT_INIT_FAILED = 3, /* the initializer raised: see error */
};

/* Written by the worker, read by the parent after its end. */
struct pyconc_slot {
    _Alignas(CONC_CACHELINE) _Atomic uint32_t status;
    _Atomic uint32_t pid;
    _Atomic uint64_t error_offset; /* of INIT_FAILED: encoded error */
    _Atomic uint64_t error_bytes;
};

/* How a callable travels. */
enum pyconc_travel {
    PYCONC_BY_VALUE = 0,     /* decoded afresh for each task */
    PYCONC_BY_REFERENCE = 1, /* a name; a worker decodes it once */
    PYCONC_BY_MAIN = 2,      /* a name in __main__, and by value for workers
                              * that do not find it; decoded once */
};

/* Written by the parent before the first task that names it is published,
 * and unchanged until the last such task has ended. */
struct pyconc_function_entry {
    uint64_t offset;
    uint64_t size_bytes;
    uint32_t generation; /* of this entry: a worker's cache compares it */
    uint8_t form;        /* enum pyconc_form */
    uint8_t travel;      /* enum pyconc_travel */
    uint8_t reserved[10];
};
CONC_STATIC_ASSERT(sizeof(struct pyconc_function_entry) == 32);

/* struct conc_cell.operation: what a task does with its payload ... */
enum pyconc_operation {
    PYCONC_CALL_ONE = 1,   /* f(payload) */
    PYCONC_CALL_STAR = 2,  /* f(*payload) */
    PYCONC_CALL_KW = 3,    /* f(*payload[0], **payload[1]) */
    PYCONC_CALL_JOINT = 4, /* payload[0](*payload[1], **payload[2]) */
    PYCONC_MAP_CHUNK = 5,  /* [f(x) for x in payload] */
    PYCONC_STAR_CHUNK = 6, /* [f(*x) for x in payload] */
    /* ... and what its answer is */
    PYCONC_RESULT = 16,
    PYCONC_ERROR = 17,     /* payload for decode_error */
    PYCONC_NO_MEMORY = 18, /* not even the error could be stored */
};

/* struct conc_cell.flags: a form in the low bits, and */
#define PYCONC_FLAG_FORM 0x03
#define PYCONC_FLAG_BLOCK 0x04 /* payload is a struct pyconc_block_ref */

struct pyconc_block_ref {
    uint64_t offset;
    uint64_t size_bytes;
};

/* Chosen by the parent, told to each worker at its start. */
struct pyconc_geometry {
    uint64_t region_bytes;
    uint32_t cell_count;
    uint32_t worker_count;
};

/* Computed. */
struct pyconc_layout {
    conc_off control;
    conc_off idlers;
    conc_off slots;
    conc_off heaps_shared; /* [0]: the parent's, [1 + slot] */
    conc_off functions;
    conc_off board;
    conc_off fixed_end; /* everything above is committed at creation, but
                         * for most cells of the board */
    conc_off heaps;
    uint64_t heap_bytes; /* of each heap's range */
};

/* CONC_OK, or CONC_NOMEM if the region is too small for the geometry. */
int pyconc_layout_compute(const struct pyconc_geometry *geometry,
                          struct pyconc_layout *layout);

/* A hash over the sizes and offsets that both sides must agree on. */
uint64_t pyconc_layout_fingerprint(void);

/* The range of heap `index` (0: the parent's, 1 + slot: a worker's). */
static inline conc_off
pyconc_heap_start(const struct pyconc_layout *layout, uint32_t index)
{
    return layout->heaps + (uint64_t)index * layout->heap_bytes;
}

#endif
