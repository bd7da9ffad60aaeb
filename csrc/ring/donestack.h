/* The completion stack: workers push finished cells, the parent takes all
 * of them with one exchange.  Only whole stacks are taken, so there is no
 * ABA problem and no reader that a dead writer could hold up: a worker dies
 * before its push (the sweep of the board finds the cell), or after it. */
#ifndef CONC_RING_DONESTACK_H
#define CONC_RING_DONESTACK_H

#include "ring/board.h"

/* Worker. */
void conc_donestack_push(struct conc_board *board, uint32_t cell);

/* Whether something is there: one load. */
int conc_donestack_ready(const struct conc_board *board);

/* Parent: take everything, as a chain in completion order (oldest first),
 * of at most cell_count cells.  *first is CONC_CELL_NONE if there is
 * nothing.  Each cell of the chain is out, in range and DONE under its
 * sequence, else CONC_CORRUPT (what was good until then is in the chain).
 * The cells of the chain are the caller's.  The chain is linked through
 * `links`, private memory of cell_count entries: links[cell] is the next one
 * or CONC_CELL_NONE; so a worker that scribbles later cannot change it. */
int conc_donestack_take(struct conc_board *board, uint32_t *links,
                        uint32_t *first);

#endif
