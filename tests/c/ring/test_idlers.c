#include "ring/idlers.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "ring/ring_fixture.h"

#define MANY 32

static struct ring ring;

static void
pretend_asleep(uint32_t worker)
{
    conc_idlers_attach(&ring.idlers, worker);
    atomic_fetch_or(&ring.shared->idlers.sleeping[worker / 64],
                    UINT64_C(1) << (worker % 64));
}

static bool
looks_asleep(uint32_t worker)
{
    return (atomic_load(&ring.shared->idlers.sleeping[worker / 64]) >>
                (worker % 64) &
            1) != 0;
}

/* --- whom to wake: one thread, sleepers pretended ----------------------- */

static void
test_nobody_sleeps_nobody_is_woken(void)
{
    ring_open(&ring, 4, 4, 2);
    CHECK(conc_idlers_published(&ring.idlers) == 0);
    conc_idlers_attach(&ring.idlers, 0);
    conc_idlers_attach(&ring.idlers, 1);
    ring_submit(&ring, 0);
    CHECK(conc_idlers_published(&ring.idlers) == 0);
    CHECK(conc_idlers_claimed(&ring.idlers, 0) == 0);
    CHECK(atomic_load(&ring.shared->idlers.sentinel) == 0);
    ring_close(&ring);
}

static void
test_a_burst_costs_one_system_call(void)
{
    ring_open(&ring, 16, 4, 2);
    for (uint32_t i = 0; i < 4; i++) {
        pretend_asleep(i);
    }
    int calls = 0;
    for (uint32_t i = 0; i < 10; i++) {
        ring_submit(&ring, i);
        calls += conc_idlers_published(&ring.idlers);
    }
    CHECK(calls == 1);
    CHECK(!looks_asleep(0)); /* the lowest */
    CHECK(atomic_load(&ring.shared->idlers.rousing) == 1);
    for (uint32_t i = 1; i < 4; i++) {
        CHECK(looks_asleep(i));
    }
    ring_close(&ring);
}

static void
test_a_spinner_spares_the_wake(void)
{
    ring_open(&ring, 16, 4, 2);
    pretend_asleep(0);
    conc_idlers_attach(&ring.idlers, 1);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 1) == 1);
    ring_submit(&ring, 0);
    CHECK(conc_idlers_published(&ring.idlers) == 0);
    conc_idlers_spin_end(&ring.idlers, 1);
    CHECK(conc_idlers_published(&ring.idlers) == 1);
    ring_close(&ring);
}

static void
test_spinners_are_limited(void)
{
    ring_open(&ring, 16, 200, 3);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 199) == 1);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 0) == 1);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 1) == 0);
    conc_idlers_spin_end(&ring.idlers, 199);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 1) == 1);
    ring_close(&ring);

    ring_open(&ring, 16, 4, 1);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 0) == 0);
    ring_close(&ring);
}

static void
test_who_claims_with_more_queued_wakes_the_next(void)
{
    ring_open(&ring, 16, 4, 2);
    uint32_t cell;
    pretend_asleep(1);
    conc_idlers_attach(&ring.idlers, 0);
    ring_submit(&ring, 0);
    REQUIRE(conc_board_claim(&ring.board, 0, &cell) == CONC_OK);
    CHECK(conc_idlers_claimed(&ring.idlers, 0) == 0); /* nothing more */
    ring_submit(&ring, 1);
    CHECK(conc_idlers_claimed(&ring.idlers, 0) == 1);
    CHECK(!looks_asleep(1));
    ring_close(&ring);
}

static void
test_with_enough_awake_the_highest_becomes_sentinel(void)
{
    ring_open(&ring, 16, 130, 2);
    conc_idlers_attach(&ring.idlers, 0);
    conc_idlers_attach(&ring.idlers, 1);
    for (uint32_t i = 2; i < 130; i++) {
        pretend_asleep(i);
    }
    ring_submit(&ring, 0);
    CHECK(conc_idlers_published(&ring.idlers) == 1);
    CHECK(atomic_load(&ring.shared->idlers.sentinel) == 130);
    CHECK(looks_asleep(129));
    CHECK(conc_idlers_published(&ring.idlers) == 0);
    CHECK(conc_idlers_claimed(&ring.idlers, 0) == 0);
    ring_close(&ring);
}

static void
test_forget_takes_a_worker_out_of_every_word(void)
{
    ring_open(&ring, 16, 100, 2);
    struct conc_idlers_shared *shared = &ring.shared->idlers;
    pretend_asleep(99);
    CHECK(conc_idlers_spin_begin(&ring.idlers, 99) == 1);
    atomic_store(&shared->sentinel, 100);
    atomic_store(&shared->rousing, 100);
    conc_idlers_forget(&ring.idlers, 98); /* somebody else */
    CHECK(atomic_load(&shared->sentinel) == 100);
    CHECK(atomic_load(&shared->rousing) == 100);
    conc_idlers_forget(&ring.idlers, 99);
    CHECK(atomic_load(&shared->sentinel) == 0);
    CHECK(atomic_load(&shared->rousing) == 0);
    CHECK(atomic_load(&shared->sleeping[1]) == 0);
    CHECK(atomic_load(&shared->spinning[1]) == 0);
    CHECK(atomic_load(&shared->attached[1]) == 0);
    ring_close(&ring);
}

static void
test_who_leaves_passes_on(void)
{
    ring_open(&ring, 16, 4, 1);
    conc_idlers_attach(&ring.idlers, 0);
    pretend_asleep(1);
    conc_idlers_detach(&ring.idlers, 0);
    CHECK(looks_asleep(1)); /* nothing is queued */
    conc_idlers_attach(&ring.idlers, 0);
    ring_submit(&ring, 0);
    conc_idlers_detach(&ring.idlers, 0);
    CHECK(!looks_asleep(1));
    ring_close(&ring);
}

static void
test_all_slots_can_be_woken(void)
{
    ring_open(&ring, 16, CONC_WORKERS_MAX, CONC_WORKERS_MAX);
    pretend_asleep(CONC_WORKERS_MAX - 1);
    ring_submit(&ring, 0);
    CHECK(conc_idlers_published(&ring.idlers) == 1);
    CHECK(!looks_asleep(CONC_WORKERS_MAX - 1));
    conc_idlers_wake_all(&ring.idlers);
    for (uint32_t i = 0; i < CONC_WORKERS_MAX; i++) {
        CHECK(atomic_load(&ring.shared->idlers.idlers[i].wake) != 0);
    }
    ring_close(&ring);
}

/* --- when not to sleep --------------------------------------------------- */

static void
test_does_not_sleep_with_tasks_or_a_stop(void)
{
    ring_open(&ring, 16, 4, 2);
    _Atomic uint32_t *stop = &ring.shared->stop;
    conc_idlers_attach(&ring.idlers, 0);
    CHECK(conc_idlers_sleep(&ring.idlers, 0, stop, 0) == CONC_TIMEOUT);
    CHECK(!looks_asleep(0));
    ring_submit(&ring, 0);
    CHECK(conc_idlers_sleep(&ring.idlers, 0, stop, CONC_NEVER) == CONC_OK);
    CHECK(!looks_asleep(0));
    uint32_t cell;
    REQUIRE(conc_board_claim(&ring.board, 0, &cell) == CONC_OK);
    atomic_store(stop, 1);
    CHECK(conc_idlers_sleep(&ring.idlers, 0, stop, CONC_NEVER) == CONC_OK);
    CHECK(!looks_asleep(0));
    ring_close(&ring);
}

static void
test_sleeps_until_the_deadline(void)
{
    ring_open(&ring, 16, 4, 2);
    conc_idlers_attach(&ring.idlers, 0);
    int64_t deadline = conc_deadline_after(2000000);
    CHECK(conc_idlers_sleep(&ring.idlers, 0, &ring.shared->stop, deadline) ==
          CONC_TIMEOUT);
    CHECK(conc_clock_now_ns() >= deadline);
    ring_close(&ring);
}

static void
ignore_signal(int signal_number)
{
    (void)signal_number;
}

static _Atomic int interrupted;

static void *
sleep_until_interrupted(void *unused)
{
    conc_idlers_attach(&ring.idlers, 0);
    CHECK(conc_idlers_sleep(&ring.idlers, 0, &ring.shared->stop, CONC_NEVER) ==
          CONC_INTR);
    atomic_store(&interrupted, 1);
    return unused;
}

static void
test_a_signal_ends_the_sleep(void)
{
    struct sigaction action = {.sa_handler = ignore_signal};
    pthread_t thread;
    ring_open(&ring, 16, 4, 2);
    sigaction(SIGUSR1, &action, NULL);
    atomic_store(&interrupted, 0);
    REQUIRE(pthread_create(&thread, NULL, sleep_until_interrupted, NULL) == 0);
    while (atomic_load(&interrupted) == 0) {
        if (looks_asleep(0)) {
            pthread_kill(thread, SIGUSR1);
        }
        sched_yield();
    }
    pthread_join(thread, NULL);
    CHECK(!looks_asleep(0));
    ring_close(&ring);
}

/* --- words that somebody scribbled on ------------------------------------ */

static void
test_scribbles_are_survived(void)
{
    uint64_t random = conc_test_seed();
    for (int round = 0; round < 200; round++) {
        ring_open(&ring, 16, 70, 2);
        uint64_t *words = (void *)&ring.shared->idlers;
        size_t count = offsetof(struct conc_idlers_shared, idlers) / 8;
        for (int step = 0; step < 50; step++) {
            for (int i = 0; i < 10; i++) {
                uint64_t value = conc_test_random(&random);
                words[conc_test_below(&random, count)] =
                    value % 3 == 0 ? UINT64_MAX : value;
            }
            if (conc_test_below(&random, 2) == 0) {
                atomic_store(&ring.shared->idlers.sentinel, 1);
            }
            if (conc_test_below(&random, 4) == 0) {
                atomic_store(&ring.board.shared->head,
                             conc_test_random(&random));
            }
            int calls = conc_idlers_published(&ring.idlers);
            CHECK(calls == 0 || calls == 1);
            if (conc_idlers_spin_begin(&ring.idlers, 69) != 0) {
                conc_idlers_spin_end(&ring.idlers, 69);
            }
            conc_idlers_forget(&ring.idlers, 0);
            int64_t deadline = conc_deadline_after(200000);
            int status = conc_idlers_sleep(&ring.idlers, 0, &ring.shared->stop,
                                           deadline);
            CHECK(status == CONC_OK || status == CONC_TIMEOUT);
        }
        ring_close(&ring);
    }
}

/* --- threads --------------------------------------------------------------
 */

static _Atomic uint32_t started;
static _Atomic uint32_t released; /* tasks numbered below this may end */
static _Atomic uint32_t ran[MANY];
static _Atomic int64_t last_start_ns;

static void
block_until_released(struct ring *own, uint32_t worker, uint32_t cell)
{
    uint32_t task = ring_task_of(own, cell);
    atomic_fetch_add(&ran[worker], 1);
    atomic_store(&last_start_ns, conc_clock_now_ns());
    atomic_fetch_add(&started, 1);
    while (task >= atomic_load(&released)) {
        struct timespec moment = {.tv_nsec = 200000};
        nanosleep(&moment, NULL);
    }
}

static void
be_short(struct ring *own, uint32_t worker, uint32_t cell)
{
    (void)own;
    (void)cell;
    atomic_fetch_add(&ran[worker], 1);
    for (int i = 0; i < 20; i++) {
        conc_cpu_relax();
    }
}

static ring_run *task_body;
static pthread_t threads[MANY];

static void *
work(void *argument)
{
    struct ring own;
    ring_attach(&own, &ring);
    ring_work(&own, *(uint32_t *)argument, task_body);
    return NULL;
}

static uint32_t
count_asleep(void)
{
    return (uint32_t)__builtin_popcountll(
        atomic_load(&ring.shared->idlers.sleeping[0]));
}

static void
wait_until_asleep(uint32_t count)
{
    while (count_asleep() != count) {
        sched_yield();
    }
}

static void
start_threads(ring_run *body, uint32_t cells)
{
    static uint32_t numbers[MANY];
    task_body = body;
    atomic_store(&started, 0);
    atomic_store(&released, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        atomic_store(&ran[i], 0);
    }
    ring_open(&ring, cells, MANY, 2);
    for (uint32_t i = 0; i < MANY; i++) {
        numbers[i] = i;
        REQUIRE(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    wait_until_asleep(MANY);
}

static void
stop_threads(void)
{
    atomic_store(&released, UINT32_MAX);
    ring_stop(&ring);
    for (int i = 0; i < MANY; i++) {
        pthread_join(threads[i], NULL);
    }
    ring_close(&ring);
}

static void
publish(uint32_t task)
{
    REQUIRE(ring_submit(&ring, task) != CONC_CELL_NONE);
    conc_idlers_published(&ring.idlers);
}

static void
wait_until_started(uint32_t count)
{
    while (atomic_load(&started) < count) {
        struct timespec moment = {.tv_nsec = 50000};
        nanosleep(&moment, NULL);
    }
}

/* Free at least so many; how many that were. */
static uint32_t
free_finished(uint32_t least)
{
    uint32_t freed = 0;
    while (freed < least) {
        uint32_t next;
        REQUIRE(conc_donestack_take(&ring.board, ring.links, &next) ==
                CONC_OK);
        while (next != CONC_CELL_NONE) {
            uint32_t cell = next;
            next = ring.links[cell];
            conc_board_free(&ring.board, cell);
            freed++;
        }
        sched_yield();
    }
    return freed;
}

/* Every task of a burst blocks until all have started: if only one is left
 * waiting while somebody sleeps, this never ends. */
static void
test_a_burst_of_blocking_tasks_spreads_over_all(void)
{
    start_threads(block_until_released, 64);
    int64_t worst = 0;
    for (uint32_t round = 0; round < 20; round++) {
        atomic_store(&started, 0);
        int64_t begin = conc_clock_now_ns();
        for (uint32_t i = 0; i < MANY; i++) {
            publish(round * MANY + i);
        }
        wait_until_started(MANY);
        int64_t took = atomic_load(&last_start_ns) - begin;
        worst = took > worst ? took : worst;
        atomic_store(&released, (round + 1) * MANY);
        free_finished(MANY);
        wait_until_asleep(MANY);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK(atomic_load(&ran[i]) == 20);
    }
    printf("%u blocking tasks: all started within %" PRId64 " us\n", MANY,
           worst / 1000);
    stop_threads();
}

/* All CPUs' workers are busy for long: a further task does not wait. */
static void
test_a_task_behind_busy_workers_is_not_stranded(void)
{
    start_threads(block_until_released, 64);
    int64_t worst = 0;
    for (uint32_t round = 0; round < 10; round++) {
        atomic_store(&started, 0);
        for (uint32_t i = 0; i < 6; i++) {
            int64_t begin = conc_clock_now_ns();
            publish(round * 6 + i);
            wait_until_started(i + 1);
            int64_t took = atomic_load(&last_start_ns) - begin;
            worst = took > worst ? took : worst;
        }
        atomic_store(&released, (round + 1) * 6);
        free_finished(6);
        wait_until_asleep(MANY);
    }
    printf("a task behind busy workers started within %" PRId64 " us\n",
           worst / 1000);
    stop_threads();
}

#define SHORT_TASKS 20000
#define SANITIZED (CONC_TEST_TSAN || CONC_TEST_ASAN) /* no task is short */

/* A queue that is never empty, but flows. */
static void
test_short_tasks_do_not_wake_all(void)
{
    uint32_t used = MANY;
    for (int attempt = 0; attempt < (SANITIZED ? 1 : 100) && used > MANY / 2;
         attempt++) {
        start_threads(be_short, 4096);
        uint32_t out = 0;
        for (uint32_t i = 0; i < SHORT_TASKS; i++) {
            uint32_t cell = ring_submit(&ring, i % RING_TASKS_MAX);
            if (cell != CONC_CELL_NONE) {
                conc_idlers_published(&ring.idlers);
                out++;
            }
            else { /* keep half of them queued */
                out -= free_finished(out / 2);
            }
        }
        free_finished(out);
        used = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            used += atomic_load(&ran[i]) != 0;
        }
        printf("short tasks ran on %u of %u workers\n", used, MANY);
        wait_until_asleep(MANY);
        stop_threads();
    }
    /* A machine that is overloaded for a while may wake many in one attempt,
     * not in each.  If all are woken, not all come to run a task. */
    CHECK(used <= MANY / 2 || SANITIZED);
}

static long
switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

static void
test_an_idle_pool_does_not_poll(void)
{
    start_threads(block_until_released, 64);
    for (uint32_t i = 0; i < 5; i++) { /* makes a sentinel */
        publish(i);
    }
    wait_until_started(5);
    atomic_store(&released, 5);
    free_finished(5);
    wait_until_asleep(MANY);
    while (atomic_load(&ring.shared->idlers.sentinel) != 0) {
        sched_yield();
    }
    /* Who has just resigned may still be on its way to bed. */
    long before;
    long after = switches();
    struct timespec moment = {.tv_nsec = 50000000};
    int naps = 0;
    do {
        before = after;
        nanosleep(&moment, NULL);
        after = switches();
        naps++;
    } while (after - before > 2 && naps < 20);
    CHECK(after - before <= 2); /* our own */
    CHECK(count_asleep() == MANY);
    stop_threads();
}

CONC_TEST_MAIN(CONC_TEST(test_nobody_sleeps_nobody_is_woken),
               CONC_TEST(test_a_burst_costs_one_system_call),
               CONC_TEST(test_a_spinner_spares_the_wake),
               CONC_TEST(test_spinners_are_limited),
               CONC_TEST(test_who_claims_with_more_queued_wakes_the_next),
               CONC_TEST(test_with_enough_awake_the_highest_becomes_sentinel),
               CONC_TEST(test_forget_takes_a_worker_out_of_every_word),
               CONC_TEST(test_who_leaves_passes_on),
               CONC_TEST(test_all_slots_can_be_woken),
               CONC_TEST(test_does_not_sleep_with_tasks_or_a_stop),
               CONC_TEST(test_sleeps_until_the_deadline),
               CONC_TEST(test_a_signal_ends_the_sleep),
               CONC_TEST(test_scribbles_are_survived),
               CONC_TEST(test_a_burst_of_blocking_tasks_spreads_over_all),
               CONC_TEST(test_a_task_behind_busy_workers_is_not_stranded),
               CONC_TEST(test_short_tasks_do_not_wake_all),
               CONC_TEST(test_an_idle_pool_does_not_poll))
