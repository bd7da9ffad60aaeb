/* Boundary tags (Knuth, TAOCP 1, 2.5), kept apart from the memory that they
 * describe.  Invariants:
 *
 *   I1  [0, top) is tiled by extents: the entry of an extent's first page
 *       tells its state and size, so that the next one is found from it.
 *   I2  The last page of a free extent has a tag too, so that the one before
 *       is found; no other entry has a tag, also above the top.
 *   I3  No two free extents touch each other or the top.
 *   I4  Every free extent is in the list of its size, once.
 *   I5  Spans that an extent in use touches are committed.  Others may be. */
#include "region/extents.h"

#include "platform/check.h"
#include "platform/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum tag {
    TAG_NONE = 0,
    TAG_TAKEN,     /* first page of an extent in use */
    TAG_FREE,      /* first page of a free extent */
    TAG_FREE_LAST, /* last page of a free extent of more than one page */
};

struct conc_extent_page {
    uint32_t tag;
    uint32_t pages; /* of the extent */
    uint32_t next;  /* in the list: first page + 1, 0: none */
    uint32_t previous;
};

static uint32_t
list_of(uint32_t pages)
{
    if (pages < CONC_SPAN_PAGES) {
        return pages - 1;
    }
    uint32_t doubling = 31 - (uint32_t)__builtin_clz(pages); /* >= 6 */
    uint32_t quarter = pages >> (doubling - 2) & 3;
    return CONC_SPAN_PAGES - 1 + (doubling - 6) * 4 + quarter;
}

static uint32_t
span_up(uint32_t page)
{
    return (page + CONC_SPAN_PAGES - 1) / CONC_SPAN_PAGES;
}

/* --- free extents ------------------------------------------------------ */

static void
free_insert(struct conc_extents *extents, uint32_t first, uint32_t pages)
{
    struct conc_extent_page *entry = &extents->pages[first];
    uint32_t *head = &extents->lists[list_of(pages)];
    extents->pages[first + pages - 1] =
        (struct conc_extent_page){.tag = TAG_FREE_LAST, .pages = pages};
    *entry = (struct conc_extent_page){
        .tag = TAG_FREE, .pages = pages, .next = *head};
    if (*head != 0) {
        extents->pages[*head - 1].previous = first + 1;
    }
    *head = first + 1;
}

static void
free_remove(struct conc_extents *extents, uint32_t first)
{
    struct conc_extent_page *entry = &extents->pages[first];
    uint32_t *link = entry->previous != 0
                         ? &extents->pages[entry->previous - 1].next
                         : &extents->lists[list_of(entry->pages)];
    *link = entry->next;
    if (entry->next != 0) {
        extents->pages[entry->next - 1].previous = entry->previous;
    }
    extents->pages[first + entry->pages - 1].tag = TAG_NONE;
    entry->tag = TAG_NONE;
}

/* The best fit for `pages`: the smallest extent of the first list that has
 * any that fits.  Returns its first page + 1, 0 if there is none. */
static uint32_t
free_find(const struct conc_extents *extents, uint32_t pages, bool aligned)
{
    for (uint32_t list = list_of(pages); list < CONC_EXTENT_LISTS; list++) {
        uint32_t best = 0;
        uint32_t best_pages = UINT32_MAX;
        uint32_t at = extents->lists[list];
        while (at != 0 && best_pages > pages) {
            const struct conc_extent_page *entry = &extents->pages[at - 1];
            uint32_t skipped =
                aligned ? span_up(at - 1) * CONC_SPAN_PAGES - (at - 1) : 0;
            if (entry->pages >= pages && entry->pages - pages >= skipped &&
                entry->pages < best_pages) {
                best = at;
                best_pages = entry->pages;
            }
            at = entry->next;
        }
        if (best != 0) {
            return best;
        }
    }
    return 0;
}

/* --- committed spans --------------------------------------------------- */

static int
spans_commit(struct conc_extents *extents, uint32_t page, uint32_t pages,
             const char **limit)
{
    uint32_t end = span_up(page + pages);
    uint32_t span = page / CONC_SPAN_PAGES;
    while (span < end) {
        uint32_t run = 0;
        while (span + run < end && !extents->committed[span + run]) {
            run++;
        }
        if (run == 0) {
            span++;
            continue;
        }
        uint64_t offset = span * CONC_SPAN_BYTES;
        uint64_t length = run * CONC_SPAN_BYTES;
        if (length > extents->length - offset) {
            length = extents->length - offset; /* the range's last span */
        }
        offset += extents->start;
        int status =
            conc_region_commit(extents->region, offset, length, limit);
        if (status != CONC_OK) {
            int error = errno;
            conc_region_release(extents->region, offset, length);
            errno = error;
            return status;
        }
        conc_region_populate(extents->region, offset, length);
        memset(extents->committed + span, 1, run);
        extents->committed_bytes += run * CONC_SPAN_BYTES;
        span += run;
    }
    return CONC_OK;
}

/* Release the committed spans of [span, end), except while *keep_bytes
 * lasts. */
static void
spans_release(struct conc_extents *extents, uint32_t span, uint32_t end,
              uint64_t *keep_bytes)
{
    while (span < end) {
        if (extents->committed[span] && *keep_bytes >= CONC_SPAN_BYTES) {
            *keep_bytes -= CONC_SPAN_BYTES;
            span++;
            continue;
        }
        uint32_t run = 0;
        while (span + run < end && extents->committed[span + run]) {
            run++;
        }
        if (run == 0) {
            span++;
            continue;
        }
        uint64_t offset = span * CONC_SPAN_BYTES;
        uint64_t length = run * CONC_SPAN_BYTES;
        if (length > extents->length - offset) {
            length = extents->length - offset;
        }
        memset(extents->committed + span, 0, run);
        extents->committed_bytes -= run * CONC_SPAN_BYTES;
        conc_region_release(extents->region, extents->start + offset, length);
        span += run;
    }
}

/* --- tables ------------------------------------------------------------ */

/* Make room for `pages` pages in the tables. */
static int
tables_reserve(struct conc_extents *extents, uint32_t pages)
{
    if (pages > extents->pages_room) {
        uint64_t room = (uint64_t)pages + pages / 2 + CONC_SPAN_PAGES;
        room = room < extents->limit ? room : extents->limit;
        struct conc_extent_page *table =
            realloc(extents->pages, room * sizeof *table);
        if (table == NULL) {
            return CONC_NOMEM;
        }
        memset(table + extents->pages_room, 0,
               (room - extents->pages_room) * sizeof *table);
        extents->pages = table;
        extents->pages_room = (uint32_t)room;
    }
    uint32_t spans = span_up(extents->pages_room);
    if (spans > extents->spans_room) {
        uint8_t *table = realloc(extents->committed, spans);
        if (table == NULL) {
            return CONC_NOMEM;
        }
        memset(table + extents->spans_room, 0, spans - extents->spans_room);
        extents->committed = table;
        extents->spans_room = spans;
    }
    return CONC_OK;
}

/* Move the top up by `pages`, aligned or not. */
static int
top_take(struct conc_extents *extents, uint32_t pages, bool aligned,
         uint32_t *page, const char **limit)
{
    uint64_t first = extents->top;
    if (aligned) {
        first = (uint64_t)span_up(extents->top) * CONC_SPAN_PAGES;
    }
    if (first > extents->limit || pages > extents->limit - first) {
        if (limit != NULL) {
            *limit = "the pool's memory range";
        }
        errno = ENOMEM;
        return CONC_NOMEM;
    }
    uint32_t top = (uint32_t)first + pages;
    if (tables_reserve(extents, top) != CONC_OK) {
        if (limit != NULL) {
            *limit = "malloc";
        }
        errno = ENOMEM;
        return CONC_NOMEM;
    }
    if (first > extents->top) {
        free_insert(extents, extents->top, (uint32_t)first - extents->top);
    }
    extents->top = top;
    *page = (uint32_t)first;
    return CONC_OK;
}

/* --- interface --------------------------------------------------------- */

void
conc_extents_init(struct conc_extents *extents,
                  const struct conc_region *region, conc_off start,
                  uint64_t length)
{
    uint64_t limit = length / CONC_EXTENT_PAGE;
    /* So that no sum of two page numbers wraps. */
    limit = limit < INT32_MAX ? limit : INT32_MAX;
    *extents = (struct conc_extents){
        .region = region,
        .start = start,
        .length = limit * CONC_EXTENT_PAGE,
        .limit = (uint32_t)limit,
    };
}

void
conc_extents_fini(struct conc_extents *extents)
{
    free(extents->pages);
    free(extents->committed);
    *extents = (struct conc_extents){0};
}

int
conc_extents_take(struct conc_extents *extents, uint32_t pages, bool aligned,
                  uint32_t *page, const char **limit)
{
    CONC_ASSERT(pages > 0);
    uint32_t found = free_find(extents, pages, aligned);
    if (found != 0) {
        uint32_t first = found - 1;
        uint32_t end = first + extents->pages[first].pages;
        free_remove(extents, first);
        *page = aligned ? span_up(first) * CONC_SPAN_PAGES : first;
        if (*page > first) {
            free_insert(extents, first, *page - first);
        }
        if (end > *page + pages) {
            free_insert(extents, *page + pages, end - *page - pages);
        }
    }
    else {
        int status = top_take(extents, pages, aligned, page, limit);
        if (status != CONC_OK) {
            return status;
        }
    }
    extents->pages[*page] =
        (struct conc_extent_page){.tag = TAG_TAKEN, .pages = pages};
    int status = spans_commit(extents, *page, pages, limit);
    if (status != CONC_OK) {
        conc_extents_give(extents, *page);
    }
    return status;
}

void
conc_extents_give(struct conc_extents *extents, uint32_t page)
{
    struct conc_extent_page *table = extents->pages;
    uint32_t first = page;
    uint32_t pages = conc_extents_pages(extents, page);
    CONC_ASSERT(pages > 0);
    table[first].tag = TAG_NONE;
    uint32_t after = first + pages;
    if (after < extents->top && table[after].tag == TAG_FREE) {
        pages += table[after].pages;
        free_remove(extents, after);
    }
    if (first > 0) {
        const struct conc_extent_page *before = &table[first - 1];
        if (before->tag == TAG_FREE_LAST ||
            (before->tag == TAG_FREE && before->pages == 1)) {
            first -= before->pages;
            pages += before->pages;
            free_remove(extents, first);
        }
    }
    if (first + pages == extents->top) {
        extents->top = first; /* I3 */
    }
    else {
        free_insert(extents, first, pages);
    }
}

uint32_t
conc_extents_pages(const struct conc_extents *extents, uint32_t page)
{
    if (page >= extents->top || extents->pages[page].tag != TAG_TAKEN) {
        return 0;
    }
    return extents->pages[page].pages;
}

void
conc_extents_trim(struct conc_extents *extents, uint64_t keep_bytes)
{
    uint32_t page = 0;
    while (page < extents->top) {
        uint32_t pages = extents->pages[page].pages;
        if (extents->pages[page].tag == TAG_FREE) {
            spans_release(extents, span_up(page),
                          (page + pages) / CONC_SPAN_PAGES, &keep_bytes);
        }
        page += pages;
    }
    spans_release(extents, span_up(extents->top), extents->spans_room,
                  &keep_bytes);
}

bool
conc_extents_check(const struct conc_extents *extents)
{
    uint32_t page = 0;
    uint32_t free_extents = 0;
    bool free_before = false;
    while (page < extents->top) { /* I1 */
        const struct conc_extent_page *entry = &extents->pages[page];
        bool is_free = entry->tag == TAG_FREE;
        if ((!is_free && entry->tag != TAG_TAKEN) || entry->pages == 0 ||
            entry->pages > extents->top - page) {
            return false;
        }
        for (uint32_t i = 1; i < entry->pages; i++) { /* I2 */
            bool last = is_free && i == entry->pages - 1;
            if (entry[i].tag != (last ? TAG_FREE_LAST : TAG_NONE) ||
                (last && entry[i].pages != entry->pages)) {
                return false;
            }
        }
        if (is_free &&
            (free_before || page + entry->pages == extents->top)) { /* I3 */
            return false;
        }
        uint32_t end = span_up(page + entry->pages);
        for (uint32_t span = page / CONC_SPAN_PAGES; span < end; span++) {
            if (!is_free && !extents->committed[span]) { /* I5 */
                return false;
            }
        }
        free_extents += is_free;
        free_before = is_free;
        page += entry->pages;
    }
    for (; page < extents->pages_room; page++) {
        if (extents->pages[page].tag != TAG_NONE) {
            return false;
        }
    }
    uint32_t listed = 0;
    for (uint32_t list = 0; list < CONC_EXTENT_LISTS; list++) { /* I4 */
        uint32_t previous = 0;
        uint32_t at = extents->lists[list];
        for (; at != 0; at = extents->pages[at - 1].next) {
            const struct conc_extent_page *entry = &extents->pages[at - 1];
            if (at > extents->top || entry->tag != TAG_FREE ||
                entry->previous != previous || list_of(entry->pages) != list ||
                ++listed > free_extents) {
                return false;
            }
            previous = at;
        }
    }
    return listed == free_extents;
}
