/* The task board: one producer process, many worker processes, any of which
 * may be killed between two instructions.
 *
 * A task lives in a cell.  The cell's state word {sequence, worker, phase} is
 * the truth about it; everything else is a hint:
 *
 *     FREE -> QUEUED -> RUNNING(worker) -> DONE(worker) -> FREE
 *                    -> FREE (cancelled)
 *
 * Each arrow is one compare-and-swap, and the one that takes a task records
 * who took it.  The queue, an array of {sequence, cell} entries with a head
 * and a tail, only says where to look: an entry whose cell no longer carries
 * its sequence in phase QUEUED is skipped by whoever meets it.  So a worker
 * that dies after claiming and before moving the head blocks nobody.
 * Finished cells go to the completion stack (donestack.h).
 *
 * Death of a worker, step by step: docs/internals/task-board.md.  In short,
 * the parent, told of the death, first drains the stack, then walks the
 * cells: DONE(dead) is delivered, RUNNING(dead) is lost.
 *
 * The parent side (alloc, publish, cancel, free, sweep, donestack_take) is
 * called by one thread at a time: the caller serializes.  Every index that was
 * read from shared memory is checked against private geometry before use, and
 * the parent keeps private notes of each cell's sequence and place, so that
 * whatever a worker scribbles, no cell is delivered twice. */
#ifndef CONC_RING_BOARD_H
#define CONC_RING_BOARD_H

#include <stdint.h>

#include "platform/atomics.h"
#include "region/region.h"

#define CONC_CELL_PAYLOAD_BYTES 48
#define CONC_CELL_NONE UINT32_MAX
#define CONC_WORKER_NONE UINT32_MAX

enum conc_phase {
    CONC_FREE = 0,
    CONC_QUEUED = 1,
    CONC_RUNNING = 2,
    CONC_DONE = 3,
};

struct conc_cell { /* zeroed memory is valid: FREE */
    _Alignas(CONC_CACHELINE) _Atomic uint64_t state; /* sequence:32 |
                                                      * worker:16 | phase:8 */
    _Atomic uint32_t next; /* completion stack: index + 1 of the one below */
    uint8_t operation;     /* the four below belong to the engine: what the */
    uint8_t flags;         /* payload is; written by the parent before */
    uint16_t length;       /* QUEUED and by the worker before DONE */
    uint8_t payload[CONC_CELL_PAYLOAD_BYTES];
};
CONC_STATIC_ASSERT(sizeof(struct conc_cell) == CONC_CACHELINE);

static inline enum conc_phase
conc_state_phase(uint64_t state)
{
    return (enum conc_phase)(state & 0xff);
}

static inline uint32_t
conc_state_worker(uint64_t state)
{
    return (uint32_t)(state >> 8) & 0xffff;
}

static inline uint32_t
conc_state_sequence(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static inline uint64_t
conc_state_make(uint32_t sequence, uint32_t worker, enum conc_phase phase)
{
    return (uint64_t)sequence << 32 | (uint64_t)(worker & 0xffff) << 8 |
           (uint64_t)phase;
}

/* Shared part, at a fixed offset of the region; zeroed memory is valid.
 * Grouped by writer. */
struct conc_board_shared {
    /* the parent's line */
    _Alignas(CONC_CACHELINE) _Atomic uint64_t tail; /* entries published */
    /* the workers' line: entries known to be taken; may lag, never leads */
    _Alignas(CONC_CACHELINE) _Atomic uint64_t head;
    /* completion stack (donestack.c): index + 1 of the newest, 0: empty */
    _Alignas(CONC_CACHELINE) _Atomic uint32_t done;
};
CONC_STATIC_ASSERT(sizeof(struct conc_board_shared) == 3 * CONC_CACHELINE);

/* Where a cell is, as the parent knows by its own doing. */
enum conc_place {
    CONC_PLACE_FREE = 0,  /* in the free list, or never handed out */
    CONC_PLACE_OWNED = 1, /* the caller's: alloc, cancel, take or sweep */
    CONC_PLACE_OUT = 2,   /* published: queue, workers, completion stack */
};

struct conc_cell_note {
    uint32_t sequence; /* of the last publish */
    uint32_t place;    /* enum conc_place */
};

/* Private handle of one process. */
struct conc_board {
    struct conc_board_shared *shared;
    struct conc_cell *cells;
    _Atomic uint64_t *entries; /* sequence << 32 | cell */
    uint32_t cell_count;       /* a power of two, at most 1 << 20 */
    uint32_t entry_mask;       /* 2 * cell_count - 1 */
    /* parent only: */
    uint32_t *free_cells; /* owns; LIFO, so that few cells stay warm */
    uint32_t free_count;
    uint32_t used_cells;          /* high-water mark: cells ever handed out */
    struct conc_cell_note *notes; /* owns; one per cell */
    uint64_t tail;                /* the true one; the shared one is a copy */
    uint64_t head_seen;           /* copy of head; may lag, never leads */
};

/* Bytes that conc_board_init needs at a page-aligned offset; a multiple of
 * the cache line. */
uint64_t conc_board_bytes(uint32_t cell_count);

/* Of these, bytes up to the end of the first `cells` cells; what follows the
 * last cell are the entries of the queue. */
static inline uint64_t
conc_board_cells_end(uint32_t cells)
{
    return sizeof(struct conc_board_shared) +
           (uint64_t)cells * sizeof(struct conc_cell);
}

/* Attach a handle to the memory at `start`, which the creator committed
 * (cells: at the latest before they are handed out) and which was zero at
 * first.  `parent`: also make the free list. CONC_OK; CONC_NOMEM;
 * CONC_CORRUPT: not within the region, or a cell_count that is not a power of
 * two up to 1 << 20. */
int conc_board_init(struct conc_board *board, const struct conc_region *region,
                    conc_off start, uint32_t cell_count, int parent);
void conc_board_fini(struct conc_board *board);

/* Parent: how many cells conc_board_alloc can still hand out. */
static inline uint32_t
conc_board_room(const struct conc_board *board)
{
    return board->free_count + (board->cell_count - board->used_cells);
}

/* Parent: take a free cell to fill, or CONC_CELL_NONE.  Not shared yet:
 * conc_board_abandon gives it back unused. */
uint32_t conc_board_alloc(struct conc_board *board);
void conc_board_abandon(struct conc_board *board, uint32_t cell);

/* Parent: hand the filled cell to the workers, under a new sequence, which
 * conc_board_sequence then tells.  CONC_OK; CONC_FULL: the queue has no entry
 * left (many cancelled tasks behind a waiting one); CONC_CORRUPT.  Unless
 * CONC_OK, the cell stays the caller's. */
int conc_board_publish(struct conc_board *board, uint32_t cell);

/* Parent: the sequence under which the cell was published last. */
static inline uint32_t
conc_board_sequence(const struct conc_board *board, uint32_t cell)
{
    return board->notes[cell].sequence;
}

/* Parent: take a queued task back.  CONC_OK: it will not run and the cell is
 * the caller's again, to be freed or refilled; CONC_AGAIN: somebody claimed
 * it before. */
int conc_board_cancel(struct conc_board *board, uint32_t cell);

/* Worker: claim the oldest queued task.  CONC_OK with *cell; CONC_AGAIN:
 * none, or others were faster each time (before a worker sleeps,
 * conc_idlers_sleep looks again); CONC_CORRUPT. */
int conc_board_claim(struct conc_board *board, uint32_t worker,
                     uint32_t *cell);

/* Worker: claim exactly this task, if `sequence` is still queued there.
 * CONC_OK, CONC_AGAIN. */
int conc_board_claim_exact(struct conc_board *board, uint32_t worker,
                           uint32_t cell, uint32_t sequence);

/* Worker: the answer is written; mark it DONE and push it on the completion
 * stack.  The caller then notifies the parent's eventcount. */
void conc_board_finish(struct conc_board *board, uint32_t worker,
                       uint32_t cell);

/* Parent: free a cell that it took from the completion stack, from
 * conc_board_cancel, or from a sweep. */
void conc_board_free(struct conc_board *board, uint32_t cell);

/* Anybody: how many entries wait, as far as the hints tell. */
uint64_t conc_board_backlog(const struct conc_board *board);

/* Parent, after the death of `worker` and after draining the stack: the next
 * cell at or after *cursor that the dead worker holds, or CONC_CELL_NONE.
 * The cell is the caller's then.  *phase is CONC_RUNNING: lost; CONC_DONE:
 * finished, not pushed; CONC_FREE: the state word is damaged (by the dead,
 * most likely), so nobody can tell and nobody will finish it: lost. */
uint32_t conc_board_sweep(struct conc_board *board, uint32_t worker,
                          uint32_t *cursor, enum conc_phase *phase);

/* Parent: the invariants of its private state; asserts in debug builds. */
void conc_board_check(const struct conc_board *board);

#endif
