/* The task board; what it promises is in the header, the argument for every
 * death in docs/internals/task-board.md.
 *
 * Invariants (numbers as on that page):
 *   I1  A task that is out is in exactly one of {QUEUED}, {RUNNING, worker},
 *       {DONE, worker}, all under its sequence, and only compare-and-swap on
 *       that one word takes it from QUEUED.
 *   I2  Every QUEUED task has an entry between head and tail.
 *   I3  head only grows, by one at a time, past entries that are not QUEUED
 *       any more; head <= tail <= head + entries.
 *   I4  Only the parent writes tail and entries; it trusts its private copy.
 *
 * Edges:
 *   P1 -> C1  cell.state: operation, flags, length and payload are complete
 *             before the task can be claimed.
 *   P2 -> C2  tail: entry and state are stored before the entry is looked
 *             for, so an entry whose cell is not QUEUED under its sequence
 *             never will be again.  Sequentially consistent: idlers.c reasons
 *             with "publish, then look for sleepers" against "announce, then
 *             look at the queue".
 *   C3 -> C4  head: who sees the head at a position also sees the tail beyond
 *             it.
 *   C3 -> P3  head: an entry has been read before the parent reuses it.
 *   W1 -> R1  cell.state: the answer is complete before it is taken
 *             (donestack.c and the sweep).
 *
 * Sequences wrap after 2^32 publishes of one cell.  A worker that was stopped
 * for that long between its look at an entry and its claim may then find its
 * sequence again, and takes the task that is queued there: a valid claim of a
 * queued task, only out of order. */
#include "ring/board.h"

#include <stdbool.h>
#include <stdlib.h>

#include "platform/check.h"
#include "platform/status.h"
#include "ring/donestack.h"

#define CONC_CELLS_MAX (UINT32_C(1) << 20)

static inline uint64_t
capacity_of(const struct conc_board *board)
{
    return (uint64_t)board->entry_mask + 1;
}

uint64_t
conc_board_bytes(uint32_t cell_count)
{
    uint64_t bytes = sizeof(struct conc_board_shared) +
                     (uint64_t)cell_count * sizeof(struct conc_cell) +
                     (uint64_t)cell_count * 2 * sizeof(uint64_t);
    return (bytes + CONC_CACHELINE - 1) & ~(uint64_t)(CONC_CACHELINE - 1);
}

int
conc_board_init(struct conc_board *board, const struct conc_region *region,
                conc_off start, uint32_t cell_count, int parent)
{
    *board = (struct conc_board){0};
    if (cell_count == 0 || cell_count > CONC_CELLS_MAX ||
        (cell_count & (cell_count - 1)) != 0 || start % CONC_CACHELINE != 0) {
        return CONC_CORRUPT;
    }
    uint8_t *memory =
        conc_region_at(region, start, conc_board_bytes(cell_count));
    if (memory == NULL) {
        return CONC_CORRUPT;
    }
    if (parent) {
        /* calloc leaves pages that are never used untouched */
        board->free_cells = calloc(cell_count, sizeof(*board->free_cells));
        board->notes = calloc(cell_count, sizeof(*board->notes));
        if (board->free_cells == NULL || board->notes == NULL) {
            conc_board_fini(board);
            return CONC_NOMEM;
        }
    }
    void *cells = memory + conc_board_cells_end(0);
    void *entries = memory + conc_board_cells_end(cell_count);
    board->shared = (void *)memory;
    board->cells = cells;
    board->entries = entries;
    board->cell_count = cell_count;
    board->entry_mask = 2 * cell_count - 1;
    return CONC_OK;
}

void
conc_board_fini(struct conc_board *board)
{
    free(board->free_cells);
    free(board->notes);
    *board = (struct conc_board){0};
}

uint32_t
conc_board_alloc(struct conc_board *board)
{
    uint32_t cell;
    if (board->free_count > 0) {
        cell = board->free_cells[--board->free_count];
    }
    else if (board->used_cells < board->cell_count) {
        cell = board->used_cells++;
    }
    else {
        return CONC_CELL_NONE;
    }
    CONC_ASSERT(board->notes[cell].place == CONC_PLACE_FREE);
    board->notes[cell].place = CONC_PLACE_OWNED;
    return cell;
}

static void
put_back(struct conc_board *board, uint32_t cell)
{
    CONC_ASSERT(cell < board->used_cells);
    CONC_ASSERT(board->notes[cell].place == CONC_PLACE_OWNED);
    board->notes[cell].place = CONC_PLACE_FREE;
    board->free_cells[board->free_count++] = cell;
}

void
conc_board_abandon(struct conc_board *board, uint32_t cell)
{
    put_back(board, cell);
}

/* The parent found the queue full by its copy of head: look at the true one,
 * and move it past entries that nobody will take any more, which workers do
 * only when they look for tasks. */
static int
make_room(struct conc_board *board)
{
    const uint64_t capacity = capacity_of(board);
    uint64_t head = conc_load_acq(&board->shared->head); /* P3, with C3 */
    /* One step per entry at most; a worker that moves the head as well makes
     * it faster. */
    for (uint64_t step = 0; step < capacity; step++) {
        if (board->tail - head > capacity || head < board->head_seen) {
            return CONC_CORRUPT; /* moved back, or beyond the tail */
        }
        board->head_seen = head;
        if (head == board->tail) {
            break;
        }
        uint64_t entry =
            conc_load_rlx(&board->entries[head & board->entry_mask]);
        uint32_t cell = (uint32_t)entry;
        if (cell >= board->cell_count) {
            return CONC_CORRUPT;
        }
        uint64_t queued =
            conc_state_make((uint32_t)(entry >> 32), 0, CONC_QUEUED);
        /* relaxed: nothing behind the state is looked at, and a task that
         * has left QUEUED does not come back (I2) */
        if (conc_load_rlx(&board->cells[cell].state) == queued) {
            break;
        }
        if (conc_cas_acqrel(&board->shared->head, &head, head + 1)) { /* C3 */
            head++;
        }
    }
    return board->tail - board->head_seen < capacity ? CONC_OK : CONC_FULL;
}

int
conc_board_publish(struct conc_board *board, uint32_t cell)
{
    struct conc_cell_note *note = &board->notes[cell];
    CONC_ASSERT(cell < board->used_cells);
    CONC_ASSERT(note->place == CONC_PLACE_OWNED);
    if (CONC_UNLIKELY(board->tail - board->head_seen == capacity_of(board))) {
        int status = make_room(board);
        if (status != CONC_OK) {
            return status;
        }
    }
    CONC_CRASH_POINT("board.filled");
    uint32_t sequence = ++note->sequence;
    note->place = CONC_PLACE_OUT;
    /* P1, pairs with C1 in conc_board_claim */
    conc_store_rel(&board->cells[cell].state,
                   conc_state_make(sequence, 0, CONC_QUEUED));
    CONC_CRASH_POINT("board.queued");
    /* relaxed: the tail publishes it */
    conc_store_rlx(&board->entries[board->tail & board->entry_mask],
                   (uint64_t)sequence << 32 | cell);
    board->tail++;
    /* P2, pairs with C2 in conc_board_claim and S2 in conc_idlers_sleep */
    conc_store_sc(&board->shared->tail, board->tail);
    CONC_CRASH_POINT("board.published");
    return CONC_OK;
}

int
conc_board_cancel(struct conc_board *board, uint32_t cell)
{
    struct conc_cell_note *note = &board->notes[cell];
    CONC_ASSERT(cell < board->used_cells);
    CONC_ASSERT(note->place == CONC_PLACE_OUT);
    uint64_t queued = conc_state_make(note->sequence, 0, CONC_QUEUED);
    uint64_t cancelled = conc_state_make(note->sequence, 0, CONC_FREE);
    /* No edge: who takes it from QUEUED has it, and nobody else wrote. */
    if (!conc_cas_acqrel(&board->cells[cell].state, &queued, cancelled)) {
        return CONC_AGAIN;
    }
    CONC_CRASH_POINT("board.cancelled");
    note->place = CONC_PLACE_OWNED;
    return CONC_OK;
}

static bool
claim_cell(struct conc_board *board, uint32_t worker, uint32_t cell,
           uint32_t sequence)
{
    uint64_t queued = conc_state_make(sequence, 0, CONC_QUEUED);
    uint64_t running = conc_state_make(sequence, worker, CONC_RUNNING);
    CONC_CRASH_POINT("board.claim.before");
    /* C1, pairs with P1 in conc_board_publish.  No look before the swap: that
     * would move the cell's line here twice, shared and then exclusive. */
    if (!conc_cas_acqrel(&board->cells[cell].state, &queued, running)) {
        return false;
    }
    CONC_CRASH_POINT("board.claimed");
    return true;
}

int
conc_board_claim(struct conc_board *board, uint32_t worker, uint32_t *cell)
{
    const uint64_t capacity = capacity_of(board);
    *cell = CONC_CELL_NONE;
    /* Each turn that fails is a step forward of somebody else, unless the
     * memory is damaged; the bound is for that. */
    for (uint64_t turn = 0; turn < capacity; turn++) {
        uint64_t head = conc_load_acq(&board->shared->head); /* C4, with C3 */
        uint64_t tail = conc_load_sc(&board->shared->tail);  /* C2, with P2 */
        if (head == tail) {
            return CONC_AGAIN;
        }
        if (CONC_UNLIKELY(tail - head > capacity)) {
            /* Whoever read an old head and then a new tail sees this too; but
             * with the head where it was, I3 is broken. */
            if (conc_load_acq(&board->shared->head) == head) {
                return CONC_CORRUPT;
            }
            continue;
        }
        /* relaxed: the tail carried it.  If the head is old and the entry
         * reused already, it names a newer task, which is as good. */
        uint64_t entry =
            conc_load_rlx(&board->entries[head & board->entry_mask]);
        if (CONC_UNLIKELY((uint32_t)entry >= board->cell_count)) {
            return CONC_CORRUPT;
        }
        bool claimed = claim_cell(board, worker, (uint32_t)entry,
                                  (uint32_t)(entry >> 32));
        /* Whether claimed by us or not, the entry is done with (P2 -> C2), and
         * who claimed it may be dead.  If this fails, somebody else did it:
         * the head is at each position once. */
        uint64_t expected = head;
        conc_cas_acqrel(&board->shared->head, &expected, head + 1); /* C3 */
        CONC_CRASH_POINT("board.head_moved");
        if (claimed) {
            *cell = (uint32_t)entry;
            return CONC_OK;
        }
    }
    return CONC_AGAIN;
}

int
conc_board_claim_exact(struct conc_board *board, uint32_t worker,
                       uint32_t cell, uint32_t sequence)
{
    if (cell >= board->cell_count) {
        return CONC_AGAIN;
    }
    /* The entry stays; whoever meets it skips it. */
    return claim_cell(board, worker, cell, sequence) ? CONC_OK : CONC_AGAIN;
}

void
conc_board_finish(struct conc_board *board, uint32_t worker, uint32_t cell)
{
    CONC_ASSERT(cell < board->cell_count);
    _Atomic uint64_t *state = &board->cells[cell].state;
    /* A store is enough: RUNNING(worker) is left by its worker only, or by
     * the parent after the worker's end.  The sequence is our own claim's. */
    uint32_t sequence = conc_state_sequence(conc_load_rlx(state));
    CONC_CRASH_POINT("board.done.before");
    /* W1, pairs with R1 in conc_donestack_take and conc_board_sweep */
    conc_store_rel(state, conc_state_make(sequence, worker, CONC_DONE));
    CONC_CRASH_POINT("board.done");
    conc_donestack_push(board, cell);
}

void
conc_board_free(struct conc_board *board, uint32_t cell)
{
    /* For observers only, hence relaxed: the notes know that it is free. */
    conc_store_rlx(&board->cells[cell].state,
                   conc_state_make(board->notes[cell].sequence, 0, CONC_FREE));
    put_back(board, cell);
}

uint64_t
conc_board_backlog(const struct conc_board *board)
{
    /* head first: a result of 0 was true when the tail was looked at */
    uint64_t head = conc_load_acq(&board->shared->head);
    uint64_t tail = conc_load_sc(&board->shared->tail); /* C2, with P2 */
    uint64_t backlog = tail - head;
    return backlog <= capacity_of(board) ? backlog : capacity_of(board);
}

uint32_t
conc_board_sweep(struct conc_board *board, uint32_t worker, uint32_t *cursor,
                 enum conc_phase *phase)
{
    while (*cursor < board->used_cells) {
        uint32_t cell = (*cursor)++;
        struct conc_cell_note *note = &board->notes[cell];
        if (note->place != CONC_PLACE_OUT) {
            continue;
        }
        uint64_t state =
            conc_load_acq(&board->cells[cell].state); /* R1, with W1 */
        uint32_t holder = conc_state_worker(state);
        *phase = conc_state_phase(state);
        if (state == conc_state_make(note->sequence, 0, CONC_QUEUED)) {
            continue;
        }
        if (state != conc_state_make(note->sequence, holder, *phase) ||
            (*phase != CONC_RUNNING && *phase != CONC_DONE)) {
            *phase = CONC_FREE; /* damaged: not a state of a task that is out
                                 * (I1) */
        }
        else if (holder != worker) {
            continue;
        }
        note->place = CONC_PLACE_OWNED;
        return cell;
    }
    return CONC_CELL_NONE;
}

void
conc_board_check(const struct conc_board *board)
{
    CONC_ASSERT(board->used_cells <= board->cell_count);
    CONC_ASSERT(board->free_count <= board->used_cells);
    CONC_ASSERT(board->tail - board->head_seen <= capacity_of(board));
    uint32_t free_places = 0;
    for (uint32_t i = 0; i < board->cell_count; i++) {
        uint32_t place = board->notes[i].place;
        CONC_ASSERT(place <= CONC_PLACE_OUT);
        CONC_ASSERT(i < board->used_cells || place == CONC_PLACE_FREE);
        free_places += i < board->used_cells && place == CONC_PLACE_FREE;
    }
    CONC_ASSERT(free_places == board->free_count);
    (void)free_places; /* not looked at in a release build */
    for (uint32_t i = 0; i < board->free_count; i++) {
        CONC_ASSERT(board->free_cells[i] < board->used_cells);
        CONC_ASSERT(board->notes[board->free_cells[i]].place ==
                    CONC_PLACE_FREE);
    }
}
