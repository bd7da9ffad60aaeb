#include "region/extents.h"

#include "platform/status.h"

#include "conc_test.h"

#include <sys/stat.h>

#define PAGES 4096 /* 16 MiB */

static struct conc_region region;
static struct conc_extents extents;

static void
open_extents(uint32_t pages)
{
    uint64_t length = (uint64_t)pages * CONC_EXTENT_PAGE;
    REQUIRE(conc_region_create(&region, length + CONC_REGION_HEADER_BYTES,
                               length + CONC_REGION_HEADER_BYTES,
                               0) == CONC_OK);
    conc_extents_init(&extents, &region, CONC_REGION_HEADER_BYTES, length);
}

static void
close_extents(void)
{
    CHECK(conc_extents_check(&extents));
    conc_extents_fini(&extents);
    conc_region_close(&region, 1);
}

static uint64_t
committed_bytes(void)
{
    struct stat status;
    REQUIRE(fstat(region.fd, &status) == 0);
    return (uint64_t)status.st_blocks * 512 - CONC_REGION_HEADER_BYTES;
}

static uint32_t
take(uint32_t pages)
{
    uint32_t page;
    REQUIRE(conc_extents_take(&extents, pages, false, &page, NULL) == CONC_OK);
    CHECK(conc_extents_check(&extents));
    return page;
}

static void
give(uint32_t page)
{
    conc_extents_give(&extents, page);
    CHECK(conc_extents_check(&extents));
}

static void
test_best_fit_is_taken(void)
{
    open_extents(PAGES);
    static const uint32_t sizes[] = {200, 90, 12, 11, 100, 30};
    enum { HOLES = sizeof sizes / sizeof sizes[0] };
    uint32_t holes[HOLES];
    for (int i = 0; i < HOLES; i++) {
        holes[i] = take(sizes[i]);
        take(1); /* keeps the neighbours apart */
    }
    for (int i = 0; i < HOLES; i++) {
        give(holes[i]);
    }
    CHECK(take(11) == holes[3]);
    CHECK(take(31) == holes[1]);      /* 90 */
    CHECK(take(95) == holes[4]);      /* 100 */
    CHECK(take(11) == holes[2]);      /* 12 */
    CHECK(take(59) == holes[1] + 31); /* what was left of 90 */
    CHECK(take(201) == extents.top - 201);
    close_extents();
}

static void
test_neighbours_become_one(void)
{
    open_extents(PAGES);
    uint32_t a = take(10);
    uint32_t b = take(1);
    uint32_t c = take(20);
    uint32_t d = take(5);
    give(a);
    give(c);
    give(b); /* joins both sides */
    CHECK(take(31) == a);
    give(a);
    give(d); /* joins what is free and the top */
    CHECK(extents.top == 0);
    close_extents();
}

static void
test_aligned_extent_begins_a_span(void)
{
    open_extents(PAGES);
    uint32_t first = take(1);
    uint32_t page;
    for (uint32_t i = 1; i <= 3; i++) {
        REQUIRE(conc_extents_take(&extents, CONC_SPAN_PAGES, true, &page,
                                  NULL) == CONC_OK);
        CHECK(page == i * CONC_SPAN_PAGES);
    }
    CHECK(take(CONC_SPAN_PAGES - 1) == first + 1); /* the gap */
    /* Free, and as big as a span, but across two. */
    give(CONC_SPAN_PAGES * 2);
    CHECK(take(1) == CONC_SPAN_PAGES * 2);
    give(CONC_SPAN_PAGES * 3);
    REQUIRE(conc_extents_take(&extents, CONC_SPAN_PAGES, true, &page, NULL) ==
            CONC_OK);
    CHECK(page == CONC_SPAN_PAGES * 3);
    close_extents();
}

static void
test_committed_by_span_and_only_once(void)
{
    open_extents(PAGES);
    uint32_t a = take(1);
    CHECK(committed_bytes() == CONC_SPAN_BYTES);
    uint32_t b = take(CONC_SPAN_PAGES - 1);
    CHECK(committed_bytes() == CONC_SPAN_BYTES);
    uint32_t c = take(CONC_SPAN_PAGES + 1);
    CHECK(committed_bytes() == 3 * CONC_SPAN_BYTES);
    give(a);
    give(b);
    give(c);
    CHECK(committed_bytes() == 3 * CONC_SPAN_BYTES);
    take(3 * CONC_SPAN_PAGES);
    CHECK(committed_bytes() == 3 * CONC_SPAN_BYTES);
    close_extents();
}

static void
test_trim_releases_whole_free_spans_from_the_top(void)
{
    open_extents(PAGES);
    uint32_t a = take(4 * CONC_SPAN_PAGES);
    uint32_t b = take(1);
    uint32_t c = take(4 * CONC_SPAN_PAGES - 1);
    conc_extents_trim(&extents, 0);
    CHECK(committed_bytes() == 8 * CONC_SPAN_BYTES);
    give(a);
    give(c);
    conc_extents_trim(&extents, 8 * CONC_SPAN_BYTES);
    CHECK(committed_bytes() == 8 * CONC_SPAN_BYTES);
    conc_extents_trim(&extents, 2 * CONC_SPAN_BYTES);
    CHECK(committed_bytes() == 3 * CONC_SPAN_BYTES); /* and that of b */
    CHECK(take(2 * CONC_SPAN_PAGES) == a);           /* the warm part */
    CHECK(committed_bytes() == 3 * CONC_SPAN_BYTES);
    give(a);
    give(b);
    conc_extents_trim(&extents, 0);
    CHECK(committed_bytes() == 0);
    close_extents();
}

static void
test_range_ends_inside_a_span(void)
{
    open_extents(CONC_SPAN_PAGES + 3);
    const char *limit = NULL;
    uint32_t page;
    CHECK(conc_extents_take(&extents, CONC_SPAN_PAGES + 4, false, &page,
                            &limit) == CONC_NOMEM);
    CHECK(limit != NULL && strstr(limit, "range") != NULL);
    CHECK(conc_extents_take(&extents, 4, true, &page, NULL) == CONC_OK);
    CHECK(conc_extents_take(&extents, 4, true, &page, NULL) == CONC_NOMEM);
    CHECK(conc_extents_take(&extents, 3, true, &page, NULL) == CONC_OK);
    CHECK(page == CONC_SPAN_PAGES);
    memset(region.base + extents.start + CONC_SPAN_BYTES, 1,
           3 * CONC_EXTENT_PAGE);
    CHECK(committed_bytes() == CONC_SPAN_BYTES + 3 * CONC_EXTENT_PAGE);
    give(page);
    conc_extents_trim(&extents, 0);
    CHECK(committed_bytes() == CONC_SPAN_BYTES);
    close_extents();
}

static void
test_only_the_first_page_of_an_extent_in_use_names_it(void)
{
    open_extents(PAGES);
    uint32_t a = take(5);
    uint32_t b = take(7);
    for (uint32_t page = 0; page < PAGES + 10; page++) {
        uint32_t pages = page == a ? 5 : page == b ? 7 : 0;
        CHECK(conc_extents_pages(&extents, page) == pages);
    }
    CHECK(conc_extents_pages(&extents, UINT32_MAX) == 0);
    give(a);
    CHECK(conc_extents_pages(&extents, a) == 0);
    close_extents();
}

/* Against an oracle that knows who has each page. */
static void
test_random_operations(void)
{
    enum { EXTENTS = 200, STEPS = 20000 };
    static uint32_t first[EXTENTS];
    static uint32_t count[EXTENTS]; /* 0: none */
    static uint8_t used[PAGES];
    uint64_t state = conc_test_seed();
    open_extents(PAGES);
    for (int step = 0; step < STEPS; step++) {
        uint64_t i = conc_test_below(&state, EXTENTS);
        if (count[i] != 0) {
            CHECK(conc_extents_pages(&extents, first[i]) == count[i]);
            conc_extents_give(&extents, first[i]);
            memset(used + first[i], 0, count[i]);
            count[i] = 0;
        }
        else {
            bool aligned = conc_test_below(&state, 4) == 0;
            uint32_t pages =
                1 + (uint32_t)conc_test_below(
                        &state, UINT64_C(1) << conc_test_below(&state, 9));
            uint32_t page;
            int status =
                conc_extents_take(&extents, pages, aligned, &page, NULL);
            if (status == CONC_OK) {
                REQUIRE(page + pages <= PAGES);
                CHECK(!aligned || page % CONC_SPAN_PAGES == 0);
                for (uint32_t p = page; p < page + pages; p++) {
                    CHECK(!used[p]);
                    used[p] = 1;
                }
                first[i] = page;
                count[i] = pages;
            }
            else {
                CHECK(status == CONC_NOMEM);
            }
        }
        if (conc_test_below(&state, 200) == 0) {
            conc_extents_trim(&extents,
                              conc_test_below(&state, 20) * CONC_SPAN_BYTES);
        }
        if (step % 50 == 0) {
            CHECK(conc_extents_check(&extents));
        }
    }
    for (int i = 0; i < EXTENTS; i++) {
        if (count[i] != 0) {
            conc_extents_give(&extents, first[i]);
        }
    }
    CHECK(extents.top == 0);
    conc_extents_trim(&extents, 0);
    CHECK(committed_bytes() == 0);
    close_extents();
}

CONC_TEST_MAIN(
    CONC_TEST(test_best_fit_is_taken), CONC_TEST(test_neighbours_become_one),
    CONC_TEST(test_aligned_extent_begins_a_span),
    CONC_TEST(test_committed_by_span_and_only_once),
    CONC_TEST(test_trim_releases_whole_free_spans_from_the_top),
    CONC_TEST(test_range_ends_inside_a_span),
    CONC_TEST(test_only_the_first_page_of_an_extent_in_use_names_it),
    CONC_TEST(test_random_operations))
