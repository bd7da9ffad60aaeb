/* The pages of one heap: which are in use, and which are committed.
 *
 * An extent is a run of pages, free or taken.  Free extents are coalesced
 * and found by size; what lies above every extent in use (the top) has never
 * been used or was given back.  Memory is committed and released in spans,
 * aligned groups of pages: a system call and a look at the machine's memory
 * for each page would cost more than the page.
 *
 * All of it is private memory of the heap's owner.  The tables grow with the
 * top, not with the range, which may be many GiB of nothing. */
#ifndef CONC_REGION_EXTENTS_H
#define CONC_REGION_EXTENTS_H

#include "region/region.h"

#include <stdbool.h>
#include <stdint.h>

/* Not the machine's page, which may be larger: nothing but the size of a
 * large block depends on it. */
#define CONC_EXTENT_PAGE 4096
#define CONC_SPAN_BYTES (UINT64_C(256) << 10)
#define CONC_SPAN_PAGES ((uint32_t)(CONC_SPAN_BYTES / CONC_EXTENT_PAGE))

/* Free extents by size: one list for each number of pages up to a span's,
 * above that four per doubling, for up to 2^32 pages. */
#define CONC_EXTENT_LISTS (64 + 4 * 26)
CONC_STATIC_ASSERT(CONC_SPAN_BYTES / CONC_EXTENT_PAGE == 64);

struct conc_extent_page;

struct conc_extents {
    const struct conc_region *region; /* borrowed */
    conc_off start;
    uint64_t length;
    uint64_t committed_bytes; /* of all committed spans */
    uint32_t limit;           /* pages of the range */
    uint32_t top; /* first page above all extents; never after a free one */
    uint32_t pages_room;
    uint32_t spans_room;
    struct conc_extent_page *pages;    /* owns; valid below top */
    uint8_t *committed;                /* owns; one per span */
    uint32_t lists[CONC_EXTENT_LISTS]; /* first page + 1; 0: empty */
};

/* Describe [start, start + length), nothing of which is committed. */
void conc_extents_init(struct conc_extents *extents,
                       const struct conc_region *region, conc_off start,
                       uint64_t length);
void conc_extents_fini(struct conc_extents *extents);

/* Take `pages` committed pages.  With `aligned` the first begins a span.
 * Prefers the free extent that fits best, then the top.  CONC_OK with *page;
 * CONC_NOMEM (*limit, may be NULL, names which); CONC_SYSTEM.  Allocates
 * when the tables grow; may block like conc_region_commit. */
int conc_extents_take(struct conc_extents *extents, uint32_t pages,
                      bool aligned, uint32_t *page, const char **limit);

/* Give back what conc_extents_take returned.  It stays committed. */
void conc_extents_give(struct conc_extents *extents, uint32_t page);

/* The pages of the extent in use that begins at `page`; 0 if none does.
 * Safe for any number. */
uint32_t conc_extents_pages(const struct conc_extents *extents, uint32_t page);

/* Release committed spans that are wholly free, except for the lowest
 * keep_bytes of them. */
void conc_extents_trim(struct conc_extents *extents, uint64_t keep_bytes);

/* Whether all invariants hold; for tests and debugging. */
bool conc_extents_check(const struct conc_extents *extents);

#endif
