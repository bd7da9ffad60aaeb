/* The completion stack: Treiber's push ("Systems Programming: Coping with
 * Parallelism", IBM RJ 5118, 1986), and one exchange that takes all.
 *
 * Edges:
 *   W2 -> R2  done: the chain below a cell is linked before the cell is seen.
 *             Sequentially consistent, as the eventcount demands of a
 *             condition that is waited for: push, then look for waiters,
 *             against announce, then look at the stack.
 *   W1 -> R1  cell.state: the answer is complete (board.c). */
#include "ring/donestack.h"

#include "platform/check.h"
#include "platform/status.h"

void
conc_donestack_push(struct conc_board *board, uint32_t cell)
{
    struct conc_cell *pushed = &board->cells[cell];
    /* relaxed: the value is only compared and handed on */
    uint32_t top = conc_load_rlx(&board->shared->done);
    do {
        conc_store_rlx(&pushed->next, top); /* carried by W2 */
        CONC_CRASH_POINT("donestack.linked");
        /* W2, pairs with R2 in conc_donestack_take.  Each failure is another
         * worker's push, or the parent's take. */
    } while (!conc_cas_sc(&board->shared->done, &top, cell + 1));
    CONC_CRASH_POINT("donestack.pushed");
}

int
conc_donestack_ready(const struct conc_board *board)
{
    return conc_load_sc(&board->shared->done) != 0; /* R2, with W2 */
}

int
conc_donestack_take(struct conc_board *board, uint32_t *links, uint32_t *first)
{
    *first = CONC_CELL_NONE;
    if (!conc_donestack_ready(board)) {
        return CONC_OK;
    }
    uint32_t top = conc_exchange_sc(&board->shared->done, 0); /* R2 */
    /* Bounded, also if a damaged chain is a circle: each turn takes one cell
     * from OUT, and nothing in here puts one back. */
    while (top != 0) {
        uint32_t cell = top - 1;
        if (CONC_UNLIKELY(cell >= board->used_cells)) {
            return CONC_CORRUPT;
        }
        struct conc_cell_note *note = &board->notes[cell];
        uint64_t state =
            conc_load_acq(&board->cells[cell].state); /* R1, with W1 */
        if (CONC_UNLIKELY(note->place != CONC_PLACE_OUT ||
                          state != conc_state_make(note->sequence,
                                                   conc_state_worker(state),
                                                   CONC_DONE))) {
            return CONC_CORRUPT;
        }
        note->place = CONC_PLACE_OWNED;
        links[cell] = *first; /* the newest comes first: turn it round */
        *first = cell;
        top = conc_load_rlx(&board->cells[cell].next); /* carried by R2 */
    }
    return CONC_OK;
}
