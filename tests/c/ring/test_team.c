#include "ring/team.h"

#include <pthread.h>

#include "conc_test.h"

#include "platform/clock.h"
#include "platform/relax.h"
#include "platform/status.h"

#define INDEXES 20000
#define THREADS 4

/* How often each index was called with, and how large the parts were. */
struct log {
    _Atomic uint32_t seen[INDEXES];
    _Atomic int64_t calls;
    _Atomic int64_t longest;
    int64_t n;
    int work; /* turns for each index, times the index if uneven */
    int uneven;
    struct conc_team *team; /* to be stopped at the first call, or NULL */
};

static struct log *
new_log(int64_t n)
{
    struct log *log = calloc(1, sizeof(*log));
    REQUIRE(log != NULL);
    log->n = n;
    return log;
}

static void
note(int64_t begin, int64_t end, void *context)
{
    struct log *log = context;

    CHECK(0 <= begin && begin < end && end <= log->n);
    conc_fetch_add_rlx(&log->calls, 1);
    int64_t longest = conc_load_rlx(&log->longest);
    while (end - begin > longest &&
           !conc_cas_rlx(&log->longest, &longest, end - begin)) {
    }
    if (log->team != NULL) {
        conc_team_stop(log->team);
    }
    for (int64_t i = begin; i < end; i++) {
        conc_fetch_add_rlx(&log->seen[i], 1);
        for (int64_t k = log->work * (log->uneven ? i : 1); k > 0; k--) {
            conc_cpu_relax();
        }
    }
}

static int64_t
sum(const struct log *log)
{
    int64_t total = 0;
    for (int64_t i = 0; i < log->n; i++) {
        total += conc_load_rlx(&log->seen[i]);
    }
    return total;
}

static void
check_each_once(const struct log *log)
{
    for (int64_t i = 0; i < log->n; i++) {
        if (conc_load_rlx(&log->seen[i]) != 1) {
            CHECK(conc_load_rlx(&log->seen[i]) == 1);
            return;
        }
    }
}

static void *
help(void *argument)
{
    struct conc_team *team = argument;
    int32_t seat = conc_team_enter(team);

    if (seat >= 0) {
        CHECK(conc_team_work(team, (uint32_t)seat, CONC_NEVER) == CONC_OK);
        conc_team_leave(team);
    }
    conc_team_drop(team);
    return NULL;
}

static void
close_and_wait(struct conc_team *team)
{
    if (conc_team_close(team) > 0) {
        while (conc_parker_sleep(conc_team_host(team), CONC_NEVER) !=
               CONC_OK) {
        }
    }
    CHECK(conc_team_inside(team) == 0);
}

static void
run(struct log *log, int64_t grain, uint32_t seats, int helpers)
{
    pthread_t threads[THREADS];
    struct conc_team *team = conc_team_new(note, log, log->n, grain, seats);
    REQUIRE(team != NULL);
    for (int i = 0; i < helpers; i++) {
        conc_team_hold(team);
        REQUIRE(pthread_create(&threads[i], NULL, help, team) == 0);
    }
    CHECK(conc_team_work(team, 0, CONC_NEVER) == CONC_OK);
    close_and_wait(team);
    CHECK(!conc_team_is_open(team) || conc_team_enter(team) < 0);
    conc_team_drop(team);
    for (int i = 0; i < helpers; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
}

static void
test_each_index_is_called_once(void)
{
    static const int64_t sizes[] = {1, 2, 3, 7, 100, 1001, INDEXES};
    static const int64_t grains[] = {0, 1, 2, 7, 1000, INDEXES, INT64_MAX};

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++) {
            for (int helpers = 0; helpers <= THREADS; helpers++) {
                struct log *log = new_log(sizes[s]);
                log->work = sizes[s] < 1000 ? 20 : 0;
                run(log, grains[g], (uint32_t)helpers + 1, helpers);
                check_each_once(log);
                if (grains[g] > 0) {
                    CHECK(conc_load_rlx(&log->longest) <= grains[g]);
                }
                free(log);
            }
        }
    }
}

static void
test_one_thread_does_the_parts_of_who_does_not_come(void)
{
    struct log *log = new_log(INDEXES);
    run(log, 0, 64, 0);
    check_each_once(log);
    free(log);
}

static void
test_more_threads_than_seats(void)
{
    struct log *log = new_log(1000);
    log->work = 50;
    run(log, 1, 2, THREADS);
    check_each_once(log);
    CHECK(conc_load_rlx(&log->calls) == 1000);
    free(log);
}

static void
test_uneven_parts(void)
{
    for (int round = 0; round < 20; round++) {
        struct log *log = new_log(2000);
        log->work = 1;
        log->uneven = 1;
        run(log, 0, THREADS + 1, THREADS);
        check_each_once(log);
        free(log);
    }
}

static void
test_parts_grow_with_the_speed(void)
{
    struct log *log = new_log(INDEXES);
    run(log, 0, 1, 0);
    CHECK(conc_load_rlx(&log->longest) > 100);
    CHECK(conc_load_rlx(&log->calls) < INDEXES / 10);
    free(log);
}

static void
count_only(int64_t begin, int64_t end, void *context)
{
    _Atomic int64_t *total = context;
    conc_fetch_add_rlx(total, end - begin);
}

static void
test_ranges_beyond_32_bits(void)
{
    static const int64_t sizes[] = {
        (INT64_C(1) << 31) - 1, INT64_C(1) << 31, (INT64_C(1) << 31) + 1,
        (INT64_C(1) << 40) + 12345, INT64_C(1) << 62};

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        _Atomic int64_t total = 0;
        struct conc_team *team =
            conc_team_new(count_only, &total, sizes[s], 0, 3);
        REQUIRE(team != NULL);
        CHECK(conc_team_work(team, 0, CONC_NEVER) == CONC_OK);
        close_and_wait(team);
        conc_team_drop(team);
        CHECK(conc_load_rlx(&total) == sizes[s]);
    }
}

static void
test_stopped_no_call_begins(void)
{
    static const int64_t grains[] = {0, 1, 10};

    for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++) {
        struct log *log = new_log(1000);
        struct conc_team *team = conc_team_new(note, log, 1000, grains[g], 2);
        REQUIRE(team != NULL);
        log->team = team;
        CHECK(conc_team_work(team, 0, CONC_NEVER) == CONC_OK);
        CHECK(conc_load_rlx(&log->calls) == 1);
        CHECK(sum(log) == conc_load_rlx(&log->longest));
        CHECK(!conc_team_is_open(team));
        CHECK(conc_team_enter(team) < 0);
        close_and_wait(team);
        conc_team_drop(team);
        free(log);
    }
}

static void
test_the_host_can_pause(void)
{
    struct log *log = new_log(1000);
    struct conc_team *team = conc_team_new(note, log, 1000, 1, 1);
    int pauses = 0;
    REQUIRE(team != NULL);
    while (conc_team_work(team, 0, 0) == CONC_TIMEOUT) {
        pauses++;
    }
    CHECK(pauses > 1);
    CHECK(conc_team_close(team) == 0);
    check_each_once(log);
    conc_team_drop(team);
    free(log);
}

/* The first indexes cost nothing, so that many are taken at a time. */
static void
then_slow(int64_t begin, int64_t end, void *context)
{
    note(begin, end, context);
    if (begin >= INDEXES / 2) {
        int64_t until_ns = conc_clock_now_ns() + 20000000;
        while (conc_clock_now_ns() < until_ns) {
            conc_cpu_relax();
        }
    }
}

static void
test_slow_calls_after_fast_ones(void)
{
    struct log *log = new_log(INDEXES);
    struct conc_team *team = conc_team_new(then_slow, log, INDEXES, 1, 1);
    REQUIRE(team != NULL);
    do { /* long enough for many to be taken at a time */
        CHECK(conc_team_work(team, 0, conc_deadline_after(10000000)) ==
              CONC_TIMEOUT);
    } while (conc_load_rlx(&log->calls) <= INDEXES / 2);
    CHECK(conc_load_rlx(&log->calls) <= INDEXES / 2 + 2);
    conc_team_stop(team);
    CHECK(conc_team_close(team) == 0);
    conc_team_drop(team);
    free(log);
}

static void
test_closed_nobody_enters(void)
{
    struct log *log = new_log(1000);
    struct conc_team *team = conc_team_new(note, log, 1000, 0, 8);
    REQUIRE(team != NULL);
    CHECK(conc_team_is_open(team));
    int32_t seat = conc_team_enter(team);
    CHECK(seat == 1);
    CHECK(conc_team_inside(team) == 1);
    CHECK(conc_team_close(team) == 1);
    CHECK(conc_team_enter(team) < 0);
    CHECK(!conc_parker_is_woken(conc_team_host(team)));
    conc_team_leave(team);
    CHECK(conc_parker_is_woken(conc_team_host(team)));
    conc_team_drop(team);
    free(log);
}

/* Helpers that come at any moment, also after the end. */
static void
test_many_short_teams(void)
{
    for (int round = 0; round < 300; round++) {
        struct log *log = new_log(50);
        run(log, round % 3, THREADS, THREADS);
        check_each_once(log);
        free(log);
    }
}

CONC_TEST_MAIN(CONC_TEST(test_each_index_is_called_once),
               CONC_TEST(test_one_thread_does_the_parts_of_who_does_not_come),
               CONC_TEST(test_more_threads_than_seats),
               CONC_TEST(test_uneven_parts),
               CONC_TEST(test_parts_grow_with_the_speed),
               CONC_TEST(test_ranges_beyond_32_bits),
               CONC_TEST(test_stopped_no_call_begins),
               CONC_TEST(test_the_host_can_pause),
               CONC_TEST(test_slow_calls_after_fast_ones),
               CONC_TEST(test_closed_nobody_enters),
               CONC_TEST(test_many_short_teams))
