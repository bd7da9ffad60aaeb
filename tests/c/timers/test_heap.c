#include "timers/heap.h"

#include "conc_test.h"

#include "platform/clock.h"
#include "platform/status.h"

static void
test_an_empty_heap_has_no_first(void)
{
    struct conc_timer_heap heap = {0};
    CHECK(conc_timer_heap_first(&heap) == NULL);
    CHECK(conc_timer_heap_due_ns(&heap) == CONC_NEVER);
    CHECK(conc_timer_heap_check(&heap));
    conc_timer_heap_fini(&heap);
}

static void
test_the_earliest_is_first(void)
{
    struct conc_timer_heap heap = {0};
    struct conc_timer timers[5] = {0};
    const int64_t due[5] = {30, -10, 20, INT64_MAX, 0};
    const int order[5] = {1, 4, 2, 0, 3};
    for (int i = 0; i < 5; i++) {
        CHECK(!conc_timer_is_set(&timers[i]));
        CHECK(conc_timer_heap_add(&heap, &timers[i], due[i]) == CONC_OK);
        CHECK(conc_timer_is_set(&timers[i]));
    }
    for (int i = 0; i < 5; i++) {
        CHECK(conc_timer_heap_due_ns(&heap) == due[order[i]]);
        CHECK(conc_timer_heap_first(&heap) == &timers[order[i]]);
        conc_timer_heap_remove(&heap, &timers[order[i]]);
        CHECK(!conc_timer_is_set(&timers[order[i]]));
        CHECK(conc_timer_heap_check(&heap));
    }
    CHECK(heap.count == 0);
    conc_timer_heap_fini(&heap);
}

static void
test_equals_keep_the_order_of_adding(void)
{
    enum { COUNT = 1000 };
    struct conc_timer_heap heap = {0};
    struct conc_timer *timers = calloc(COUNT, sizeof(*timers));
    REQUIRE(timers != NULL);
    for (int i = 0; i < COUNT; i++) {
        CHECK(conc_timer_heap_add(&heap, &timers[i], i % 2) == CONC_OK);
    }
    for (int i = 0; i < COUNT; i++) {
        int expected = i < COUNT / 2 ? 2 * i : 2 * (i - COUNT / 2) + 1;
        CHECK(conc_timer_heap_first(&heap) == &timers[expected]);
        conc_timer_heap_remove(&heap, &timers[expected]);
    }
    conc_timer_heap_fini(&heap);
    free(timers);
}

static void
test_the_only_and_the_last_can_be_removed(void)
{
    struct conc_timer_heap heap = {0};
    struct conc_timer first = {0}, last = {0};
    CHECK(conc_timer_heap_add(&heap, &first, 1) == CONC_OK);
    conc_timer_heap_remove(&heap, &first);
    CHECK(conc_timer_heap_add(&heap, &first, 1) == CONC_OK);
    CHECK(conc_timer_heap_add(&heap, &last, 2) == CONC_OK);
    conc_timer_heap_remove(&heap, &last);
    CHECK(conc_timer_heap_first(&heap) == &first);
    CHECK(heap.count == 1);
    CHECK(conc_timer_heap_check(&heap));
    conc_timer_heap_fini(&heap);
    CHECK(!conc_timer_is_set(&first));
}

/* The hole may be filled by an entry that belongs above it. */
static void
test_removal_from_the_middle_can_move_up(void)
{
    struct conc_timer_heap heap = {0};
    struct conc_timer timers[25] = {0};
    /* 1 to 4 below the root; 2's children are late, 3's early */
    for (int i = 0; i < 25; i++) {
        int64_t due_ns = i < 5 ? i : 10;
        due_ns = i == 1 || (i >= 5 && i < 9) ? 100 + i : due_ns;
        CHECK(conc_timer_heap_add(&heap, &timers[i], due_ns) == CONC_OK);
    }
    for (int i = 5; i < 9; i++) {
        conc_timer_heap_remove(&heap, &timers[i]);
        CHECK(conc_timer_heap_check(&heap));
    }
    conc_timer_heap_fini(&heap);
}

/* --- against a model ----------------------------------------------------- */

struct item {
    struct conc_timer timer; /* first */
    int64_t due_ns;
    uint64_t added;
};

static struct item *
model_first(struct item *items, size_t count)
{
    struct item *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct item *item = &items[i];
        if (!conc_timer_is_set(&item->timer)) {
            continue;
        }
        if (first == NULL || item->due_ns < first->due_ns ||
            (item->due_ns == first->due_ns && item->added < first->added)) {
            first = item;
        }
    }
    return first;
}

static void
run_at_random(size_t count, uint64_t steps, uint64_t every, int64_t range)
{
    struct conc_timer_heap heap = {0};
    struct item *items = calloc(count, sizeof(*items));
    uint64_t random = conc_test_seed();
    uint64_t added = 0;
    size_t set = 0;
    REQUIRE(items != NULL);
    for (uint64_t step = 0; step < steps; step++) {
        struct item *item = &items[conc_test_below(&random, count)];
        if (conc_timer_is_set(&item->timer)) {
            conc_timer_heap_remove(&heap, &item->timer);
            set--;
        }
        else {
            item->due_ns = (int64_t)conc_test_below(&random, (uint64_t)range);
            item->added = added++;
            REQUIRE(conc_timer_heap_add(&heap, &item->timer, item->due_ns) ==
                    CONC_OK);
            set++;
        }
        CHECK(heap.count == set);
        if (step % every == 0) {
            CHECK(conc_timer_heap_check(&heap));
            CHECK((struct item *)(void *)conc_timer_heap_first(&heap) ==
                  model_first(items, count));
        }
    }
    int64_t last_ns = -1;
    uint64_t last_added = 0;
    while (heap.count > 0) {
        struct item *item =
            (struct item *)(void *)conc_timer_heap_first(&heap);
        CHECK(conc_timer_heap_due_ns(&heap) == item->due_ns);
        CHECK(item->due_ns > last_ns ||
              (item->due_ns == last_ns && item->added > last_added));
        last_ns = item->due_ns;
        last_added = item->added;
        conc_timer_heap_remove(&heap, &item->timer);
        set--;
    }
    CHECK(set == 0);
    CHECK(conc_timer_heap_check(&heap));
    conc_timer_heap_fini(&heap);
    free(items);
}

static void
test_few_timers_at_random(void)
{
    for (size_t count = 1; count < 40; count++) {
        run_at_random(count, 2000, 1, 10);
    }
}

static void
test_many_timers_at_random(void)
{
    run_at_random(100000, 500000, 50000, INT64_C(1) << 40);
}

static void
test_memory_goes_back_after_a_burst(void)
{
    enum { COUNT = 100000 };
    struct conc_timer_heap heap = {0};
    struct conc_timer *timers = calloc(COUNT, sizeof(*timers));
    REQUIRE(timers != NULL);
    for (int i = 0; i < COUNT; i++) {
        REQUIRE(conc_timer_heap_add(&heap, &timers[i], i) == CONC_OK);
    }
    CHECK(heap.room >= COUNT && heap.room <= 2 * COUNT);
    for (int i = COUNT; i-- > 10;) {
        conc_timer_heap_remove(&heap, &timers[i]);
    }
    CHECK(heap.room < 1000);
    CHECK(conc_timer_heap_check(&heap));
    CHECK(conc_timer_heap_first(&heap) == &timers[0]);
    conc_timer_heap_fini(&heap);
    free(timers);
}

CONC_TEST_MAIN(CONC_TEST(test_an_empty_heap_has_no_first),
               CONC_TEST(test_the_earliest_is_first),
               CONC_TEST(test_equals_keep_the_order_of_adding),
               CONC_TEST(test_the_only_and_the_last_can_be_removed),
               CONC_TEST(test_removal_from_the_middle_can_move_up),
               CONC_TEST(test_few_timers_at_random),
               CONC_TEST(test_many_timers_at_random),
               CONC_TEST(test_memory_goes_back_after_a_burst))
