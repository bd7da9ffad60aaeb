/* Small blocks are cut from slabs, spans that belong to one size class, and
 * wait in a stack per class; everything else is an extent.  The idea is that
 * of Bonwick's slab allocator (1994), with all bookkeeping moved out of the
 * memory that it is about.
 *
 * Edges:
 *   R1 -> T1  returned: the peer's reads of the block and its link to the
 *             next one are complete before the owner takes it back.  All
 *             pushes are read-modify-writes, so that one exchange pairs with
 *             each of them; and since the whole stack is taken at once, a
 *             block that comes back (ABA) does no harm.
 *
 * Invariants:
 *   I1  A slab's bit is set exactly for the first unit of a live block.
 *   I2  A block of a slab is live or once in the stack of its class.
 *   I3  A stack has room for every block of its class: release cannot fail.
 *
 * The returned stack is the only thing read that somebody else writes.  Each
 * of its blocks must be live at that moment and is released at once, so a
 * cycle, a block twice or a wild offset ends the walk with CONC_CORRUPT. */
#include "region/arena.h"

#include "platform/check.h"
#include "platform/status.h"
#include "region/extents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_BYTES 64
#define SPAN_UNITS ((uint32_t)(CONC_SPAN_BYTES / UNIT_BYTES))
#define SMALL_BYTES_MAX 32768
#define CLASSES 32
/* Units are numbered with 32 bits. */
#define HEAP_BYTES_MAX (UINT64_C(1) << 38)

struct slab {
    uint64_t bits[CONC_SPAN_BYTES / UNIT_BYTES / 64]; /* I1 */
    uint32_t live;
    uint32_t class_index;
    bool doomed; /* only within heap_dissolve */
};

struct block_class {
    uint32_t *stack; /* owns: free blocks by their first unit */
    uint32_t count;
    uint32_t room;
    uint32_t blocks; /* of all slabs, free and live */
};

struct conc_heap {
    struct conc_extents extents;
    struct conc_heap_shared *shared; /* borrowed; hostile */
    struct slab **slabs;             /* owns; per span, NULL: none */
    uint32_t slabs_room;
    uint64_t live_bytes;
    struct block_class classes[CLASSES];
};

/* Classes 0 to 3 are 64 to 256 bytes; then four between each power of two
 * and the next. */
static uint32_t
class_of(uint64_t size_bytes)
{
    if (size_bytes <= 4 * UNIT_BYTES) {
        return (uint32_t)((size_bytes - 1) / UNIT_BYTES);
    }
    uint64_t last = size_bytes - 1;
    uint32_t doubling = 63 - (uint32_t)__builtin_clzll(last); /* >= 8 */
    uint32_t quarter = (uint32_t)(last >> (doubling - 2)) & 3;
    return 4 + (doubling - 8) * 4 + quarter;
}

static uint32_t
class_bytes(uint32_t class_index)
{
    if (class_index < 4) {
        return (class_index + 1) * UNIT_BYTES;
    }
    return (5 + class_index % 4) << (class_index / 4 + 5);
}

static struct slab *
slab_at(const struct conc_heap *heap, uint32_t span)
{
    return span < heap->slabs_room ? heap->slabs[span] : NULL;
}

static uint64_t
unit_bit(uint32_t unit)
{
    return UINT64_C(1) << unit % 64;
}

static uint64_t *
unit_word(struct slab *slab, uint32_t unit)
{
    return &slab->bits[unit % SPAN_UNITS / 64];
}

static void
name_limit(const char **limit, const char *name)
{
    errno = ENOMEM;
    if (limit != NULL) {
        *limit = name;
    }
}

/* --- slabs ------------------------------------------------------------- */

static int
stack_reserve(struct block_class *class, uint32_t blocks)
{
    if (blocks > class->room) {
        uint32_t *stack =
            realloc(class->stack, (size_t)blocks * sizeof *stack);
        if (stack == NULL) {
            return CONC_NOMEM;
        }
        class->stack = stack;
        class->room = blocks;
    }
    return CONC_OK;
}

static int
slabs_reserve(struct conc_heap *heap, uint32_t spans)
{
    if (spans > heap->slabs_room) {
        struct slab **slabs =
            realloc(heap->slabs, (size_t)spans * sizeof(struct slab *));
        if (slabs == NULL) {
            return CONC_NOMEM;
        }
        for (uint32_t i = heap->slabs_room; i < spans; i++) {
            slabs[i] = NULL;
        }
        heap->slabs = slabs;
        heap->slabs_room = spans;
    }
    return CONC_OK;
}

/* Give a class a new slab. */
static int
slab_new(struct conc_heap *heap, uint32_t class_index, const char **limit)
{
    struct block_class *class = &heap->classes[class_index];
    uint32_t units = class_bytes(class_index) / UNIT_BYTES;
    uint32_t blocks = SPAN_UNITS / units;
    uint32_t page;
    int status =
        conc_extents_take(&heap->extents, CONC_SPAN_PAGES, true, &page, limit);
    if (status != CONC_OK) {
        return status;
    }
    uint32_t span = page / CONC_SPAN_PAGES;
    struct slab *slab = calloc(1, sizeof *slab);
    if (slab == NULL ||
        slabs_reserve(heap, heap->extents.spans_room) != CONC_OK ||
        stack_reserve(class, class->blocks + blocks) != CONC_OK) {
        free(slab);
        conc_extents_give(&heap->extents, page);
        name_limit(limit, "malloc");
        return CONC_NOMEM;
    }
    slab->class_index = class_index;
    heap->slabs[span] = slab;
    class->blocks += blocks;
    for (uint32_t i = blocks; i > 0; i--) { /* the lowest comes first */
        class->stack[class->count++] = span * SPAN_UNITS + (i - 1) * units;
    }
    return CONC_OK;
}

/* Turn slabs without live blocks into free extents, except while *keep_bytes
 * lasts.  Returns how many. */
static uint32_t
heap_dissolve(struct conc_heap *heap, uint64_t *keep_bytes)
{
    uint32_t dissolved = 0;
    for (uint32_t span = 0; span < heap->slabs_room; span++) {
        struct slab *slab = heap->slabs[span];
        if (slab == NULL || slab->live != 0) {
            continue;
        }
        if (*keep_bytes >= CONC_SPAN_BYTES) {
            *keep_bytes -= CONC_SPAN_BYTES;
            continue;
        }
        slab->doomed = true;
        dissolved++;
    }
    if (dissolved == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        struct block_class *class = &heap->classes[i];
        uint32_t kept = 0;
        for (uint32_t j = 0; j < class->count; j++) {
            uint32_t unit = class->stack[j];
            if (!heap->slabs[unit / SPAN_UNITS]->doomed) {
                class->stack[kept++] = unit;
            }
        }
        class->blocks -= class->count - kept;
        class->count = kept;
    }
    for (uint32_t span = 0; span < heap->slabs_room; span++) {
        struct slab *slab = heap->slabs[span];
        if (slab != NULL && slab->doomed) {
            free(slab);
            heap->slabs[span] = NULL;
            conc_extents_give(&heap->extents, span * CONC_SPAN_PAGES);
        }
    }
    return dissolved;
}

/* --- blocks ------------------------------------------------------------ */

uint64_t
conc_heap_block_bytes(const struct conc_heap *heap, conc_off block)
{
    uint64_t inside = block - heap->extents.start; /* wraps below the start */
    if (inside >= heap->extents.length || inside % UNIT_BYTES != 0) {
        return 0;
    }
    uint32_t unit = (uint32_t)(inside / UNIT_BYTES);
    struct slab *slab = slab_at(heap, unit / SPAN_UNITS);
    if (slab != NULL) {
        bool live = (*unit_word(slab, unit) & unit_bit(unit)) != 0;
        return live ? class_bytes(slab->class_index) : 0;
    }
    if (inside % CONC_EXTENT_PAGE != 0) {
        return 0;
    }
    uint32_t page = (uint32_t)(inside / CONC_EXTENT_PAGE);
    return (uint64_t)conc_extents_pages(&heap->extents, page) *
           CONC_EXTENT_PAGE;
}

/* Release a block that conc_heap_block_bytes has found live. */
static void
heap_put(struct conc_heap *heap, conc_off block, uint64_t block_bytes)
{
    uint64_t inside = block - heap->extents.start;
    uint32_t unit = (uint32_t)(inside / UNIT_BYTES);
    struct slab *slab = slab_at(heap, unit / SPAN_UNITS);
    heap->live_bytes -= block_bytes;
    if (slab == NULL) {
        conc_extents_give(&heap->extents,
                          (uint32_t)(inside / CONC_EXTENT_PAGE));
        return;
    }
    struct block_class *class = &heap->classes[slab->class_index];
    *unit_word(slab, unit) &= ~unit_bit(unit);
    slab->live--;
    class->stack[class->count++] = unit;
}

void
conc_heap_release(struct conc_heap *heap, conc_off block)
{
    uint64_t block_bytes = conc_heap_block_bytes(heap, block);
    CONC_ASSERT(block_bytes != 0);
    if (block_bytes != 0) {
        heap_put(heap, block, block_bytes);
    }
}

/* The link in the first bytes of a returned block. */
static _Atomic uint64_t *
block_link(const struct conc_region *region, conc_off block)
{
    return (_Atomic uint64_t *)(void *)(region->base + block);
}

void
conc_heap_return(const struct conc_region *region,
                 struct conc_heap_shared *shared, conc_off block)
{
    CONC_ASSERT(block % UNIT_BYTES == 0);
    CONC_ASSERT(conc_region_at(region, block, UNIT_BYTES) != NULL);
    _Atomic uint64_t *link = block_link(region, block);
    /* Relaxed: the top is only a link to be, R1 carries it on. */
    uint64_t top = conc_load_rlx(&shared->returned);
    do {
        conc_store_rlx(link, top);
        CONC_CRASH_POINT("arena.return");
    } while (!conc_cas_acqrel(&shared->returned, &top, block)); /* R1 */
    CONC_CRASH_POINT("arena.returned");
}

/* Take back what peers have returned. */
static int
heap_take_returned(struct conc_heap *heap)
{
    /* Relaxed: only whether to look; the exchange is what counts. */
    if (conc_load_rlx(&heap->shared->returned) == 0) {
        return CONC_OK;
    }
    uint64_t block = conc_exchange_acqrel(&heap->shared->returned, 0); /* T1 */
    CONC_CRASH_POINT("arena.taken");
    while (block != 0) {
        uint64_t block_bytes = conc_heap_block_bytes(heap, block);
        if (block_bytes == 0) {
            return CONC_CORRUPT;
        }
        /* Relaxed: T1 brought it. */
        uint64_t next = conc_load_rlx(block_link(heap->extents.region, block));
        heap_put(heap, block, block_bytes);
        block = next;
    }
    return CONC_OK;
}

static void
small_pop(struct conc_heap *heap, uint32_t class_index, conc_off *block)
{
    struct block_class *class = &heap->classes[class_index];
    uint32_t unit = class->stack[--class->count];
    struct slab *slab = heap->slabs[unit / SPAN_UNITS];
    *unit_word(slab, unit) |= unit_bit(unit);
    slab->live++;
    heap->live_bytes += class_bytes(class_index);
    *block = heap->extents.start + (uint64_t)unit * UNIT_BYTES;
}

/* When no stack has the block: from what came back, a new slab, an extent. */
static int
heap_alloc_slowly(struct conc_heap *heap, uint64_t size_bytes, conc_off *block,
                  const char **limit)
{
    if (size_bytes > heap->extents.length) {
        name_limit(limit, "the pool's memory range");
        return CONC_NOMEM;
    }
    int status = heap_take_returned(heap);
    if (status != CONC_OK) {
        return status;
    }
    if (size_bytes <= SMALL_BYTES_MAX) {
        uint32_t class_index = class_of(size_bytes);
        if (heap->classes[class_index].count == 0) {
            status = slab_new(heap, class_index, limit);
        }
        if (status == CONC_OK) {
            small_pop(heap, class_index, block);
            return CONC_OK;
        }
        if (status != CONC_NOMEM) {
            return status;
        }
        /* No whole span is left, but there may be a page. */
    }
    uint32_t pages =
        (uint32_t)((size_bytes + CONC_EXTENT_PAGE - 1) / CONC_EXTENT_PAGE);
    uint32_t page;
    status = conc_extents_take(&heap->extents, pages, false, &page, limit);
    if (status == CONC_OK) {
        heap->live_bytes += (uint64_t)pages * CONC_EXTENT_PAGE;
        *block = heap->extents.start + (uint64_t)page * CONC_EXTENT_PAGE;
    }
    return status;
}

int
conc_heap_alloc(struct conc_heap *heap, uint64_t size_bytes, conc_off *block,
                const char **limit)
{
    CONC_ASSERT(size_bytes > 0);
    *block = 0;
    if (CONC_LIKELY(size_bytes <= SMALL_BYTES_MAX)) {
        uint32_t class_index = class_of(size_bytes);
        if (CONC_LIKELY(heap->classes[class_index].count != 0)) {
            small_pop(heap, class_index, block);
            return CONC_OK;
        }
    }
    int status = heap_alloc_slowly(heap, size_bytes, block, limit);
    uint64_t keep_bytes = 0;
    if (status == CONC_NOMEM && heap_dissolve(heap, &keep_bytes) > 0) {
        /* Other classes had slabs that they did not use. */
        status = heap_alloc_slowly(heap, size_bytes, block, limit);
    }
    return status;
}

/* --- heaps ------------------------------------------------------------- */

struct conc_heap *
conc_heap_new(const struct conc_region *region, conc_off start,
              uint64_t length, struct conc_heap_shared *shared)
{
    struct conc_heap *heap = calloc(1, sizeof *heap);
    if (heap != NULL) {
        length = length < HEAP_BYTES_MAX ? length : HEAP_BYTES_MAX;
        conc_extents_init(&heap->extents, region, start, length);
        heap->shared = shared;
    }
    return heap;
}

void
conc_heap_free(struct conc_heap *heap)
{
    if (heap == NULL) {
        return;
    }
    for (uint32_t i = 0; i < heap->slabs_room; i++) {
        free(heap->slabs[i]);
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        free(heap->classes[i].stack);
    }
    free(heap->slabs);
    conc_extents_fini(&heap->extents);
    free(heap);
}

int
conc_heap_trim(struct conc_heap *heap, uint64_t keep_bytes)
{
    int status = heap_take_returned(heap);
    heap_dissolve(heap, &keep_bytes);
    conc_extents_trim(&heap->extents, keep_bytes);
    return status;
}

uint64_t
conc_heap_idle_bytes(const struct conc_heap *heap)
{
    return heap->extents.committed_bytes - heap->live_bytes;
}

uint64_t
conc_heap_live_bytes(const struct conc_heap *heap)
{
    return heap->live_bytes;
}

bool
conc_heap_check(const struct conc_heap *heap)
{
    uint32_t blocks[CLASSES] = {0}; /* of the class, seen in its slabs */
    uint32_t live[CLASSES] = {0};
    for (uint32_t span = 0; span < heap->slabs_room; span++) {
        const struct slab *slab = heap->slabs[span];
        if (slab == NULL) {
            continue;
        }
        uint32_t set = 0;
        for (uint32_t i = 0; i < SPAN_UNITS / 64; i++) {
            set += (uint32_t)__builtin_popcountll(slab->bits[i]);
        }
        if (set != slab->live || slab->doomed ||
            conc_extents_pages(&heap->extents, span * CONC_SPAN_PAGES) !=
                CONC_SPAN_PAGES) {
            return false;
        }
        uint32_t units = class_bytes(slab->class_index) / UNIT_BYTES;
        blocks[slab->class_index] += SPAN_UNITS / units;
        live[slab->class_index] += set;
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        const struct block_class *class = &heap->classes[i];
        if (class->blocks != blocks[i] || class->room < class->blocks ||
            class->count != class->blocks - live[i]) { /* I2, I3 */
            return false;
        }
        for (uint32_t j = 0; j < class->count; j++) {
            uint32_t unit = class->stack[j];
            struct slab *slab = slab_at(heap, unit / SPAN_UNITS);
            if (slab == NULL || slab->class_index != i ||
                unit % SPAN_UNITS % (class_bytes(i) / UNIT_BYTES) != 0 ||
                (*unit_word(slab, unit) & unit_bit(unit)) != 0) {
                return false;
            }
        }
    }
    return conc_extents_check(&heap->extents);
}

void
conc_heap_forget(const struct conc_region *region, conc_off start,
                 uint64_t length, struct conc_heap_shared *shared)
{
    /* Relaxed: the caller is alone with this word, whose owner is dead and
     * whose next owner it has yet to start. */
    conc_store_rlx(&shared->returned, 0);
    conc_region_release(region, start, length);
}
