#include "region/arena.h"

#include "platform/memfd.h"
#include "platform/status.h"

#include "conc_test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define SPAN (256 * KIB)
#define FINGERPRINT 42

/* A region with the shared word behind its header and one heap after it. */
#define SHARED_AT CONC_REGION_HEADER_BYTES
#define HEAP_AT (64 * KIB)

struct fixture {
    struct conc_region region;
    struct conc_heap_shared *shared;
    struct conc_heap *heap;
    uint64_t length;
};

static void
open_heap(struct fixture *f, uint64_t length)
{
    f->length = length;
    REQUIRE(conc_region_create(&f->region, HEAP_AT + length, HEAP_AT + length,
                               FINGERPRINT) == CONC_OK);
    REQUIRE(conc_region_commit(&f->region, SHARED_AT, 4096, NULL) == CONC_OK);
    f->shared = (void *)(f->region.base + SHARED_AT);
    f->heap = conc_heap_new(&f->region, HEAP_AT, length, f->shared);
    REQUIRE(f->heap != NULL);
}

static void
close_heap(struct fixture *f)
{
    CHECK(conc_heap_check(f->heap));
    conc_heap_free(f->heap);
    conc_region_close(&f->region, 1);
}

/* Bytes of the heap's range that are allocated. */
static uint64_t
committed_bytes(const struct fixture *f)
{
    struct stat status;
    REQUIRE(fstat(f->region.fd, &status) == 0);
    return (uint64_t)status.st_blocks * 512 - SHARED_AT - 4096;
}

static conc_off
alloc(struct fixture *f, uint64_t size_bytes)
{
    conc_off block;
    REQUIRE(conc_heap_alloc(f->heap, size_bytes, &block, NULL) == CONC_OK);
    return block;
}

/* --- the owner alone --------------------------------------------------- */

static void
test_blocks_are_aligned_and_little_is_wasted(void)
{
    struct fixture f;
    open_heap(&f, 512 * MIB);
    for (uint64_t size = 1; size <= 100 * KIB; size += size / 61 + 1) {
        conc_off block = alloc(&f, size);
        uint64_t block_bytes = conc_heap_block_bytes(f.heap, block);
        CHECK(block % CONC_CACHELINE == 0);
        CHECK(block >= HEAP_AT && block + block_bytes <= HEAP_AT + f.length);
        CHECK(block_bytes >= size);
        CHECK(block_bytes < size + size / 4 + CONC_CACHELINE);
    }
    close_heap(&f);
}

static void
test_every_size_class_is_a_multiple_of_the_line(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    uint64_t classes = 0;
    uint64_t before = 0;
    for (uint64_t size = 64; size <= 32 * KIB; size += 64) {
        conc_off block = alloc(&f, size);
        uint64_t block_bytes = conc_heap_block_bytes(f.heap, block);
        CHECK(block_bytes % CONC_CACHELINE == 0);
        CHECK(block_bytes >= before);
        classes += block_bytes != before;
        before = block_bytes;
        conc_heap_release(f.heap, block);
    }
    CHECK(classes == 32);
    CHECK(conc_heap_live_bytes(f.heap) == 0);
    close_heap(&f);
}

static void
test_last_released_block_is_the_next_one(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    static const uint64_t sizes[] = {1, 1000, 32768, 32769, 5 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        conc_off a = alloc(&f, sizes[i]);
        conc_off b = alloc(&f, sizes[i]);
        CHECK(a != b);
        conc_heap_release(f.heap, a);
        CHECK(alloc(&f, sizes[i]) == a);
    }
    close_heap(&f);
}

static void
test_only_live_blocks_are_known(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    conc_off small = alloc(&f, 100);
    conc_off large = alloc(&f, 100 * KIB);
    CHECK(conc_heap_block_bytes(f.heap, small) == 128);
    CHECK(conc_heap_block_bytes(f.heap, large) == 100 * KIB);
    static const uint64_t wild[] = {
        0,
        1,
        63,
        64,
        HEAP_AT - 64,
        HEAP_AT + 64 * MIB,
        UINT64_MAX,
        UINT64_MAX - 63,
        HEAP_AT + 32 * MIB,
    };
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        CHECK(conc_heap_block_bytes(f.heap, wild[i]) == 0);
    }
    for (uint64_t inside = 1; inside < 128; inside++) {
        CHECK(conc_heap_block_bytes(f.heap, small + inside) == 0);
        CHECK(conc_heap_block_bytes(f.heap, large + inside * 64) == 0);
    }
    conc_heap_release(f.heap, small);
    conc_heap_release(f.heap, large);
    CHECK(conc_heap_block_bytes(f.heap, small) == 0);
    CHECK(conc_heap_block_bytes(f.heap, large) == 0);
    close_heap(&f);
}

/* The oracle: what a block must contain, by an identity of its own. */
struct live_block {
    conc_off block; /* 0: none */
    uint64_t size_bytes;
    uint64_t identity;
};

/* The words that are written: all of a small block, of a large one those
 * about each page's border, so that two that overlap notice it. */
static bool
word_counts(const struct live_block *live, uint64_t at)
{
    return live->size_bytes <= 4 * KIB || at % (4 * KIB) < 16 ||
           at % (4 * KIB) >= 4 * KIB - 16 || at + 16 >= live->size_bytes;
}

static void
fill(const struct conc_region *region, const struct live_block *live)
{
    for (uint64_t at = 0; at + 8 <= live->size_bytes; at += 8) {
        if (word_counts(live, at)) {
            uint64_t word = live->identity + at;
            memcpy(region->base + live->block + at, &word, 8);
        }
    }
}

static bool
intact(const struct conc_region *region, const struct live_block *live)
{
    for (uint64_t at = 0; at + 8 <= live->size_bytes; at += 8) {
        uint64_t word;
        memcpy(&word, region->base + live->block + at, 8);
        if (word_counts(live, at) && word != live->identity + at) {
            return false;
        }
    }
    return true;
}

/* Sizes spread over all orders of magnitude. */
static uint64_t
random_size(uint64_t *state, uint64_t doublings)
{
    return 1 + conc_test_below(
                   state, UINT64_C(2) << conc_test_below(state, doublings));
}

static void
random_operations(struct fixture *f, int steps)
{
    enum { BLOCKS = 300 };
    static struct live_block blocks[BLOCKS];
    memset(blocks, 0, sizeof blocks);
    uint64_t state = conc_test_seed();
    for (int step = 0; step < steps; step++) {
        struct live_block *live = &blocks[conc_test_below(&state, BLOCKS)];
        if (live->block != 0) {
            CHECK(intact(&f->region, live));
            CHECK(conc_heap_block_bytes(f->heap, live->block) >=
                  live->size_bytes);
            if (conc_test_below(&state, 2) == 0) {
                conc_heap_release(f->heap, live->block);
            }
            else {
                conc_heap_return(&f->region, f->shared, live->block);
            }
            live->block = 0;
        }
        else {
            live->size_bytes = random_size(&state, 20);
            live->identity = conc_test_random(&state);
            int status =
                conc_heap_alloc(f->heap, live->size_bytes, &live->block, NULL);
            if (status == CONC_OK) {
                fill(&f->region, live);
            }
            else {
                CHECK(status == CONC_NOMEM);
                CHECK(live->block == 0);
            }
        }
        if (conc_test_below(&state, 500) == 0) {
            uint64_t keep_bytes = conc_test_below(&state, 16 * MIB);
            CHECK(conc_heap_trim(f->heap, keep_bytes) == CONC_OK);
        }
        if (step % 100 == 0) {
            CHECK(conc_heap_check(f->heap));
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].block != 0) {
            CHECK(intact(&f->region, &blocks[i]));
            conc_heap_return(&f->region, f->shared, blocks[i].block);
        }
    }
    CHECK(conc_heap_trim(f->heap, 0) == CONC_OK);
    CHECK(conc_heap_live_bytes(f->heap) == 0);
}

static void
test_random_operations_keep_contents(void)
{
    struct fixture f;
    open_heap(&f, 4096 * MIB);
    random_operations(&f, 20000);
    CHECK(committed_bytes(&f) == 0);
    close_heap(&f);
}

static void
test_random_operations_in_a_range_that_is_too_small(void)
{
    struct fixture f;
    open_heap(&f, 6 * MIB + 12 * KIB);
    random_operations(&f, 20000);
    CHECK(committed_bytes(&f) == 0);
    close_heap(&f);
}

static void
test_inherited_memory_without_a_file(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        struct fixture f;
        open_heap(&f, 512 * MIB);
        CHECK(f.region.fd == -1);
        random_operations(&f, 3000);
        close_heap(&f);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

/* --- limits ------------------------------------------------------------ */

static void
test_exhausted_range_is_named_and_recovers(void)
{
    struct fixture f;
    open_heap(&f, 2 * MIB);
    const char *limit = NULL;
    conc_off block;
    CHECK(conc_heap_alloc(f.heap, 2 * MIB + 1, &block, &limit) == CONC_NOMEM);
    CHECK(errno == ENOMEM);
    CHECK(block == 0);
    REQUIRE(limit != NULL);
    CHECK(strcmp(limit, "the pool's memory range") == 0);
    CHECK(conc_heap_alloc(f.heap, UINT64_MAX, &block, NULL) == CONC_NOMEM);
    /* All of it in small blocks, then all of it in one. */
    static conc_off blocks[2 * MIB / 128];
    uint64_t count = 0;
    while (conc_heap_alloc(f.heap, 128, &block, &limit) == CONC_OK) {
        REQUIRE(count < sizeof blocks / sizeof blocks[0]);
        blocks[count++] = block;
    }
    CHECK(count == sizeof blocks / sizeof blocks[0]);
    CHECK(conc_heap_live_bytes(f.heap) == 2 * MIB);
    while (count > 0) {
        conc_heap_release(f.heap, blocks[--count]);
    }
    block = alloc(&f, 2 * MIB);
    CHECK(block == HEAP_AT);
    conc_heap_release(f.heap, block);
    close_heap(&f);
}

static void
test_range_below_a_span_serves_small_blocks(void)
{
    struct fixture f;
    open_heap(&f, 64 * KIB);
    for (int i = 0; i < 16; i++) {
        alloc(&f, 64);
    }
    conc_off block;
    CHECK(conc_heap_alloc(f.heap, 64, &block, NULL) == CONC_NOMEM);
    close_heap(&f);
}

static void
test_lack_of_memory_is_named_and_harmless(void)
{
    struct conc_region region;
    REQUIRE(conc_region_create(&region, UINT64_C(1) << 38, 64 * MIB,
                               FINGERPRINT) == CONC_OK);
    REQUIRE(conc_region_commit(&region, SHARED_AT, 4096, NULL) == CONC_OK);
    struct conc_heap *heap =
        conc_heap_new(&region, HEAP_AT, region.size_bytes - HEAP_AT,
                      (void *)(region.base + SHARED_AT));
    REQUIRE(heap != NULL);
    uint64_t most = region.size_bytes - HEAP_AT;
    const char *limit = NULL;
    conc_off block;
    if (conc_memory_available(&limit) < most) {
        limit = NULL;
        CHECK(conc_heap_alloc(heap, most, &block, &limit) == CONC_NOMEM);
        CHECK(limit != NULL && strcmp(limit, "the pool's memory range") != 0);
        CHECK(conc_heap_live_bytes(heap) == 0);
        CHECK(conc_heap_check(heap));
    }
    CHECK(conc_heap_alloc(heap, MIB, &block, NULL) == CONC_OK);
    conc_heap_free(heap);
    conc_region_close(&region, 1);
}

/* --- pages ------------------------------------------------------------- */

static void
test_memory_stays_warm_until_trimmed(void)
{
    struct fixture f;
    open_heap(&f, 512 * MIB);
    CHECK(committed_bytes(&f) == 0);
    conc_off large = alloc(&f, 8 * MIB);
    conc_off small = alloc(&f, 64);
    CHECK(committed_bytes(&f) == 8 * MIB + SPAN);
    conc_heap_release(f.heap, large);
    conc_heap_return(&f.region, f.shared, small);
    CHECK(committed_bytes(&f) == 8 * MIB + SPAN);
    CHECK(conc_heap_trim(f.heap, MIB) == CONC_OK);
    CHECK(committed_bytes(&f) == MIB);
    CHECK(conc_heap_trim(f.heap, 0) == CONC_OK);
    CHECK(committed_bytes(&f) == 0);
    large = alloc(&f, 8 * MIB);
    CHECK(f.region.base[large] == 0); /* and no SIGBUS */
    close_heap(&f);
}

static void
test_slab_in_use_is_not_trimmed(void)
{
    struct fixture f;
    open_heap(&f, 512 * MIB);
    struct live_block live = {.size_bytes = 640, .identity = 1};
    conc_off other = alloc(&f, 640);
    live.block = alloc(&f, 640);
    fill(&f.region, &live);
    conc_heap_release(f.heap, other);
    CHECK(conc_heap_trim(f.heap, 0) == CONC_OK);
    CHECK(committed_bytes(&f) == SPAN);
    CHECK(intact(&f.region, &live));
    CHECK(alloc(&f, 640) == other);
    close_heap(&f);
}

static void
test_forgotten_heap_starts_anew(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    conc_off block = alloc(&f, MIB);
    memset(f.region.base + block, 1, MIB);
    conc_heap_return(&f.region, f.shared, alloc(&f, 64));
    conc_heap_free(f.heap); /* the owner is dead */
    conc_heap_forget(&f.region, HEAP_AT, f.length, f.shared);
    CHECK(committed_bytes(&f) == 0);
    f.heap = conc_heap_new(&f.region, HEAP_AT, f.length, f.shared);
    REQUIRE(f.heap != NULL);
    CHECK(conc_heap_live_bytes(f.heap) == 0);
    CHECK(alloc(&f, MIB) == block);
    CHECK(f.region.base[block] == 0);
    close_heap(&f);
}

/* --- peers ------------------------------------------------------------- */

/* Blocks on their way to the peers: a slot is empty (0) or holds one. */
enum { SLOTS = 64, PEERS = 2, DELIVERIES = 20000 };

struct mailbox {
    _Atomic uint64_t slots[SLOTS];
    _Atomic uint64_t delivered; /* taken out by peers */
    _Atomic uint64_t damaged;
};

struct peer {
    const struct conc_region *region;
    struct mailbox *mailbox;
    struct conc_heap_shared *shared;
};

/* Every block says its own offset and size. */
static void
write_letter(const struct conc_region *region, conc_off block,
             uint64_t size_bytes)
{
    uint64_t letter[2] = {block, size_bytes};
    memcpy(region->base + block, letter, sizeof letter);
    memset(region->base + block + sizeof letter, (int)(size_bytes & 0xff),
           size_bytes - sizeof letter);
}

static bool
letter_intact(const struct conc_region *region, conc_off block)
{
    uint64_t letter[2];
    memcpy(letter, region->base + block, sizeof letter);
    if (letter[0] != block || letter[1] > region->size_bytes - block) {
        return false;
    }
    for (uint64_t at = sizeof letter; at < letter[1]; at++) {
        if (region->base[block + at] != (letter[1] & 0xff)) {
            return false;
        }
    }
    return true;
}

static void *
run_peer(void *argument)
{
    struct peer *peer = argument;
    struct mailbox *mailbox = peer->mailbox;
    while (conc_load_rlx(&mailbox->delivered) < DELIVERIES) {
        for (int i = 0; i < SLOTS; i++) {
            uint64_t block = conc_exchange_acqrel(&mailbox->slots[i], 0);
            if (block == 0) {
                continue;
            }
            if (!letter_intact(peer->region, block)) {
                conc_fetch_add_rlx(&mailbox->damaged, 1);
            }
            conc_heap_return(peer->region, peer->shared, block);
            conc_fetch_add_rlx(&mailbox->delivered, 1);
        }
        sched_yield();
    }
    return NULL;
}

static void
send_letters(struct fixture *f, struct mailbox *mailbox)
{
    uint64_t state = conc_test_seed();
    uint64_t sent = 0;
    while (sent < DELIVERIES) {
        for (int i = 0; i < SLOTS && sent < DELIVERIES; i++) {
            if (conc_load_acq(&mailbox->slots[i]) == 0) {
                uint64_t size_bytes = 16 + random_size(&state, 16);
                conc_off block = alloc(f, size_bytes);
                write_letter(&f->region, block, size_bytes);
                conc_store_rel(&mailbox->slots[i], block);
                sent++;
            }
        }
        sched_yield();
    }
}

static void
finish_letters(struct fixture *f, const struct mailbox *mailbox)
{
    CHECK(conc_load_acq(&mailbox->damaged) == 0);
    CHECK(conc_heap_trim(f->heap, 0) == CONC_OK);
    CHECK(conc_heap_live_bytes(f->heap) == 0);
    CHECK(committed_bytes(f) == 0);
}

static void
test_threads_return_blocks(void)
{
    struct fixture f;
    open_heap(&f, 512 * MIB);
    static struct mailbox mailbox;
    struct peer peer = {&f.region, &mailbox, f.shared};
    pthread_t threads[PEERS];
    for (int i = 0; i < PEERS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, run_peer, &peer) == 0);
    }
    send_letters(&f, &mailbox);
    for (int i = 0; i < PEERS; i++) {
        pthread_join(threads[i], NULL);
    }
    finish_letters(&f, &mailbox);
    close_heap(&f);
}

/* The peers map the region a second time, at an address of their own. */
static void
test_processes_return_blocks(void)
{
    struct fixture f;
    open_heap(&f, 512 * MIB);
    struct mailbox *mailbox =
        mmap(NULL, sizeof *mailbox, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mailbox != MAP_FAILED);
    pid_t pids[PEERS];
    for (int i = 0; i < PEERS; i++) {
        pids[i] = conc_test_fork();
        if (pids[i] == 0) {
            struct conc_region own;
            REQUIRE(conc_region_attach(&own, f.region.fd, FINGERPRINT) ==
                    CONC_OK);
            CHECK(own.base != f.region.base);
            struct peer peer = {&own, mailbox, (void *)(own.base + SHARED_AT)};
            run_peer(&peer);
            conc_test_child_exit();
        }
    }
    send_letters(&f, mailbox);
    for (int i = 0; i < PEERS; i++) {
        CHECK(conc_test_child_passed(pids[i]));
    }
    finish_letters(&f, mailbox);
    munmap(mailbox, sizeof *mailbox);
    close_heap(&f);
}

/* --- damage ------------------------------------------------------------ */

static void
set_link(struct fixture *f, conc_off block, uint64_t next)
{
    memcpy(f->region.base + block, &next, sizeof next);
}

static void
test_damaged_returned_stack_is_reported(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    conc_off freed = alloc(&f, 64);
    conc_off freed_large = alloc(&f, MIB);
    conc_off live = alloc(&f, 4096);
    conc_heap_release(f.heap, freed);
    conc_heap_release(f.heap, freed_large);
    uint64_t tops[] = {
        1,
        64,
        HEAP_AT - 64,
        HEAP_AT + f.length,
        UINT64_MAX,
        UINT64_MAX - 63,
        freed,
        freed_large,
        live + 8,
        live + 64,
    };
    for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++) {
        conc_store_rel(&f.shared->returned, tops[i]);
        CHECK(conc_heap_trim(f.heap, UINT64_MAX) == CONC_CORRUPT);
        /* As the link of a good block too, and met by an allocation. */
        conc_off block = alloc(&f, 64);
        set_link(&f, block, tops[i]);
        conc_store_rel(&f.shared->returned, block);
        CHECK(conc_heap_alloc(f.heap, 8 * MIB, &block, NULL) == CONC_CORRUPT);
        CHECK(block == 0);
        CHECK(conc_heap_check(f.heap));
    }
    CHECK(conc_heap_block_bytes(f.heap, live) == 4096);
    close_heap(&f);
}

static void
test_cycles_end(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    for (uint64_t length = 1; length <= 3; length++) {
        static const uint64_t sizes[] = {64, 100 * KIB, 5000};
        conc_off blocks[3];
        for (uint64_t i = 0; i < length; i++) {
            blocks[i] = alloc(&f, sizes[i]);
        }
        for (uint64_t i = 0; i < length; i++) {
            set_link(&f, blocks[i], blocks[(i + 1) % length]);
        }
        conc_store_rel(&f.shared->returned, blocks[0]);
        CHECK(conc_heap_trim(f.heap, UINT64_MAX) == CONC_CORRUPT);
        CHECK(conc_heap_check(f.heap));
        CHECK(conc_heap_live_bytes(f.heap) == 0);
    }
    close_heap(&f);
}

static void
test_block_returned_twice_is_corruption(void)
{
    struct fixture f;
    open_heap(&f, 64 * MIB);
    conc_off a = alloc(&f, 64);
    conc_off b = alloc(&f, 64);
    conc_heap_return(&f.region, f.shared, a);
    conc_heap_return(&f.region, f.shared, b);
    conc_heap_return(&f.region, f.shared, a);
    CHECK(conc_heap_trim(f.heap, UINT64_MAX) == CONC_CORRUPT);
    CHECK(conc_heap_check(f.heap));
    close_heap(&f);
}

/* Whatever the shared words hold, the owner's books stay in order. */
static void
test_random_links_never_break_the_heap(void)
{
    enum { BLOCKS = 64, ROUNDS = 3000 };
    struct fixture f;
    open_heap(&f, 16 * MIB);
    uint64_t state = conc_test_seed();
    conc_off blocks[BLOCKS] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            conc_off block = blocks[i];
            if (conc_heap_block_bytes(f.heap, block) == 0) {
                uint64_t size_bytes = random_size(&state, 16);
                CHECK(conc_heap_alloc(f.heap, size_bytes, &blocks[i], NULL) ==
                      CONC_OK);
            }
        }
        for (int i = 0; i < BLOCKS; i++) {
            uint64_t next;
            switch (conc_test_below(&state, 8)) {
            case 0:
                next = 0;
                break;
            case 1:
                next = conc_test_random(&state);
                break;
            case 2:
                next = HEAP_AT + conc_test_below(&state, f.length);
                break;
            default:
                next = blocks[conc_test_below(&state, BLOCKS)];
                break;
            }
            set_link(&f, blocks[i], next);
        }
        conc_store_rel(&f.shared->returned,
                       blocks[conc_test_below(&state, BLOCKS)]);
        int status = conc_heap_trim(f.heap, UINT64_MAX);
        CHECK(status == CONC_OK || status == CONC_CORRUPT);
        if (round % 50 == 0) {
            CHECK(conc_heap_check(f.heap));
        }
    }
    close_heap(&f);
}

CONC_TEST_MAIN(CONC_TEST(test_blocks_are_aligned_and_little_is_wasted),
               CONC_TEST(test_every_size_class_is_a_multiple_of_the_line),
               CONC_TEST(test_last_released_block_is_the_next_one),
               CONC_TEST(test_only_live_blocks_are_known),
               CONC_TEST(test_random_operations_keep_contents),
               CONC_TEST(test_random_operations_in_a_range_that_is_too_small),
               CONC_TEST(test_inherited_memory_without_a_file),
               CONC_TEST(test_exhausted_range_is_named_and_recovers),
               CONC_TEST(test_range_below_a_span_serves_small_blocks),
               CONC_TEST(test_lack_of_memory_is_named_and_harmless),
               CONC_TEST(test_memory_stays_warm_until_trimmed),
               CONC_TEST(test_slab_in_use_is_not_trimmed),
               CONC_TEST(test_forgotten_heap_starts_anew),
               CONC_TEST(test_threads_return_blocks),
               CONC_TEST(test_processes_return_blocks),
               CONC_TEST(test_damaged_returned_stack_is_reported),
               CONC_TEST(test_cycles_end),
               CONC_TEST(test_block_returned_twice_is_corruption),
               CONC_TEST(test_random_links_never_break_the_heap))
