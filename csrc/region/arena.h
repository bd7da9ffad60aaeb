/* Blocks for payloads that do not fit into a cell.
 *
 * Each participant allocates from a heap of its own, a fixed range of the
 * region; only the owner ever allocates there, so its free lists and all
 * other bookkeeping are private memory that no peer can damage and no death
 * can leave half-changed.  What crosses the border is one word per heap:
 * the stack of blocks that the peer has finished with (struct
 * conc_heap_shared), pushed by the peer, taken by the owner with one
 * exchange.
 *
 * Death.  The owner dies: its heap is forgotten as a whole; the peer takes
 * out what it still needs and calls conc_heap_forget, and the successor
 * starts with an empty heap.  The peer dies (the parent of a pool): its
 * workers die with it.  A block whose push was not completed is lost to a
 * heap that is about to be forgotten.
 *
 * Blocks are recycled warm: small ones in size classes (four per doubling,
 * 64 bytes to 32 KiB) with LIFO free lists, large ones (page-aligned) by
 * best fit among free extents, coalesced.  Pages are committed before use
 * and given back by conc_heap_trim. */
#ifndef CONC_REGION_ARENA_H
#define CONC_REGION_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/atomics.h"
#include "region/region.h"

/* In shared memory, zeroed is valid.  One cache line: written by the peer
 * (push) and by the owner (take all). */
struct conc_heap_shared {
    _Alignas(CONC_CACHELINE) _Atomic uint64_t returned; /* offset of the top
                                                         * block, 0: none */
    uint8_t reserved[CONC_CACHELINE - 8];
};
CONC_STATIC_ASSERT(sizeof(struct conc_heap_shared) == CONC_CACHELINE);

struct conc_heap; /* private to the owner; the caller serializes calls */

/* A heap over [start, start + length) of the region (multiples of the page;
 * of more than 256 GiB the rest stays unused), nothing of which is
 * committed.  `shared` lies in the region.  Both are borrowed until
 * conc_heap_free.  Returns NULL when malloc fails. */
struct conc_heap *conc_heap_new(const struct conc_region *region,
                                conc_off start, uint64_t length,
                                struct conc_heap_shared *shared);
void conc_heap_free(struct conc_heap *heap);

/* A block of at least size_bytes (> 0), 64-byte aligned.  Takes back
 * returned blocks when its own lists are empty.  CONC_OK; CONC_NOMEM: the
 * range or the memory (*limit, may be NULL, names which) is exhausted;
 * CONC_SYSTEM; CONC_CORRUPT: the returned stack is damaged. */
int conc_heap_alloc(struct conc_heap *heap, uint64_t size_bytes,
                    conc_off *block, const char **limit);

/* The owner gives its own live block back. */
void conc_heap_release(struct conc_heap *heap, conc_off block);

/* The size class or extent of a live block of this heap, 0 if `block` is not
 * one: private knowledge, safe on hostile offsets. */
uint64_t conc_heap_block_bytes(const struct conc_heap *heap, conc_off block);

/* A peer gives a block back to its owner.  `block` was checked by the
 * caller to lie in that heap's range (at least 64 bytes of it).  Lock-free,
 * any number of threads. */
void conc_heap_return(const struct conc_region *region,
                      struct conc_heap_shared *shared, conc_off block);

/* Take back what peers returned, then give free pages beyond keep_bytes
 * back to the system.  CONC_OK, CONC_CORRUPT. */
int conc_heap_trim(struct conc_heap *heap, uint64_t keep_bytes);

/* Committed bytes that no live block uses: what a trim could give back, as
 * far as whole pages go. */
uint64_t conc_heap_idle_bytes(const struct conc_heap *heap);

/* Bytes in live blocks, for tests and statistics. */
uint64_t conc_heap_live_bytes(const struct conc_heap *heap);

/* Whether all invariants of the bookkeeping hold; for tests. */
bool conc_heap_check(const struct conc_heap *heap);

/* By a peer, after the owner's death and before a successor: all pages of
 * the range are given back, the shared word is zeroed. */
void conc_heap_forget(const struct conc_region *region, conc_off start,
                      uint64_t length, struct conc_heap_shared *shared);

#endif
