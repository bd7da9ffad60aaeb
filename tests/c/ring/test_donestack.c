#include "ring/donestack.h"

#include <pthread.h>

#include "ring/ring_fixture.h"

static struct ring ring;

static uint32_t
finish_one(uint32_t task)
{
    uint32_t cell;
    REQUIRE(ring_submit(&ring, task) != CONC_CELL_NONE);
    REQUIRE(conc_board_claim(&ring.board, 0, &cell) == CONC_OK);
    conc_board_finish(&ring.board, 0, cell);
    return cell;
}

static void
test_empty_stack_gives_nothing(void)
{
    ring_open(&ring, 4, 1, 1);
    uint32_t first = 0;
    CHECK(!conc_donestack_ready(&ring.board));
    CHECK(conc_donestack_take(&ring.board, ring.links, &first) == CONC_OK);
    CHECK(first == CONC_CELL_NONE);
    ring_close(&ring);
}

static void
test_takes_all_in_completion_order(void)
{
    ring_open(&ring, 8, 1, 1);
    uint32_t cells[5];
    for (uint32_t i = 0; i < 5; i++) {
        cells[i] = finish_one(i);
    }
    CHECK(conc_donestack_ready(&ring.board));
    uint32_t next;
    CHECK(conc_donestack_take(&ring.board, ring.links, &next) == CONC_OK);
    CHECK(!conc_donestack_ready(&ring.board));
    for (uint32_t i = 0; i < 5; i++) {
        REQUIRE(next == cells[i]);
        next = ring.links[next];
        conc_board_free(&ring.board, cells[i]);
    }
    CHECK(next == CONC_CELL_NONE);
    conc_board_check(&ring.board);
    ring_close(&ring);
}

/* Take; free what came; how many that were. */
static uint32_t
drain(int *status)
{
    uint32_t next;
    uint32_t taken = 0;
    *status = conc_donestack_take(&ring.board, ring.links, &next);
    while (next != CONC_CELL_NONE) {
        uint32_t cell = next;
        next = ring.links[cell];
        conc_board_free(&ring.board, cell);
        taken++;
        REQUIRE(taken <= ring.board.cell_count);
    }
    conc_board_check(&ring.board);
    return taken;
}

static void
test_later_scribbles_do_not_change_a_taken_chain(void)
{
    ring_open(&ring, 8, 1, 1);
    for (uint32_t i = 0; i < 3; i++) {
        finish_one(i);
    }
    uint32_t first;
    CHECK(conc_donestack_take(&ring.board, ring.links, &first) == CONC_OK);
    for (uint32_t i = 0; i < 8; i++) {
        atomic_store(&ring.board.cells[i].next, 12345);
    }
    uint32_t length = 0;
    for (uint32_t c = first; c != CONC_CELL_NONE; c = ring.links[c]) {
        length++;
    }
    CHECK(length == 3);
    ring_close(&ring);
}

static void
test_damage_is_corrupt_and_bounded(void)
{
    int status;
    /* an index out of range */
    ring_open(&ring, 8, 1, 1);
    atomic_store(&ring.board.shared->done, 9);
    CHECK(drain(&status) == 0 && status == CONC_CORRUPT);
    ring_close(&ring);

    /* within range, never handed out */
    ring_open(&ring, 8, 1, 1);
    finish_one(0);
    atomic_store(&ring.board.shared->done, 8);
    CHECK(drain(&status) == 0 && status == CONC_CORRUPT);
    ring_close(&ring);

    /* a circle: the good part once */
    ring_open(&ring, 8, 1, 1);
    uint32_t bottom = finish_one(0);
    uint32_t top = finish_one(1);
    atomic_store(&ring.board.cells[bottom].next, top + 1);
    CHECK(drain(&status) == 2 && status == CONC_CORRUPT);
    ring_close(&ring);

    /* pushed twice: delivered once */
    ring_open(&ring, 8, 1, 1);
    uint32_t cell = finish_one(0);
    CHECK(drain(&status) == 1 && status == CONC_OK);
    conc_donestack_push(&ring.board, cell);
    CHECK(drain(&status) == 0 && status == CONC_CORRUPT);
    ring_close(&ring);

    /* still running, or of another sequence */
    for (int wrong = 0; wrong < 2; wrong++) {
        ring_open(&ring, 8, 1, 1);
        REQUIRE(ring_submit(&ring, 0) != CONC_CELL_NONE);
        REQUIRE(conc_board_claim(&ring.board, 0, &cell) == CONC_OK);
        if (wrong == 1) {
            atomic_store(&ring.board.cells[cell].state,
                         conc_state_make(77, 0, CONC_DONE));
        }
        conc_donestack_push(&ring.board, cell);
        CHECK(drain(&status) == 0 && status == CONC_CORRUPT);
        ring_close(&ring);
    }
}

/* --- threads ------------------------------------------------------------ */

#define PUSHERS 4
#define ROUNDS 4000

static void *
push_rounds(void *argument)
{
    uint32_t worker = *(uint32_t *)argument;
    for (int i = 0; i < ROUNDS;) {
        uint32_t cell;
        if (conc_board_claim(&ring.board, worker, &cell) == CONC_OK) {
            conc_board_finish(&ring.board, worker, cell);
            i++;
        }
        else {
            sched_yield();
        }
    }
    return NULL;
}

static void
test_concurrent_pushes_all_arrive(void)
{
    static uint32_t numbers[PUSHERS];
    pthread_t threads[PUSHERS];
    ring_open(&ring, 64, PUSHERS, 2);
    for (uint32_t i = 0; i < PUSHERS; i++) {
        numbers[i] = i;
        REQUIRE(pthread_create(&threads[i], NULL, push_rounds, &numbers[i]) ==
                0);
    }
    uint32_t submitted = 0;
    uint32_t taken = 0;
    while (taken < PUSHERS * ROUNDS) {
        int status;
        while (submitted < PUSHERS * ROUNDS &&
               ring_submit(&ring, 0) != CONC_CELL_NONE) {
            submitted++;
        }
        taken += drain(&status);
        REQUIRE(status == CONC_OK);
    }
    for (int i = 0; i < PUSHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(taken == PUSHERS * ROUNDS);
    ring_close(&ring);
}

CONC_TEST_MAIN(CONC_TEST(test_empty_stack_gives_nothing),
               CONC_TEST(test_takes_all_in_completion_order),
               CONC_TEST(test_later_scribbles_do_not_change_a_taken_chain),
               CONC_TEST(test_damage_is_corrupt_and_bounded),
               CONC_TEST(test_concurrent_pushes_all_arrive))
