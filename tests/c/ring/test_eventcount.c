#include "ring/eventcount.h"

#include <pthread.h>
#include <sys/mman.h>

#include "conc_test.h"

#include "platform/clock.h"
#include "platform/status.h"

static void
test_nobody_announced_costs_no_system_call(void)
{
    struct conc_eventcount ec = {0};
    CHECK(conc_eventcount_notify_shared(&ec) == 0);
    CHECK(atomic_load(&ec.word) == 0);
}

static void
test_notification_after_announcement_ends_the_wait(void)
{
    struct conc_eventcount ec = {0};
    uint32_t ticket = conc_eventcount_announce(&ec);
    CHECK(conc_eventcount_notify_shared(&ec) == 1);
    CHECK(conc_eventcount_wait_shared(&ec, ticket, CONC_NEVER) == CONC_OK);
    CHECK(conc_eventcount_notify_shared(&ec) == 0);
}

static void
test_waits_until_the_deadline(void)
{
    struct conc_eventcount ec = {0};
    uint32_t ticket = conc_eventcount_announce(&ec);
    int64_t deadline = conc_deadline_after(1000000);
    CHECK(conc_eventcount_wait_shared(&ec, ticket, deadline) == CONC_TIMEOUT);
    CHECK(conc_clock_now_ns() >= deadline);
    CHECK(conc_eventcount_wait_shared(&ec, ticket, 0) == CONC_TIMEOUT);
}

static void
test_who_left_early_costs_one_wasted_wake(void)
{
    struct conc_eventcount ec = {0};
    conc_eventcount_announce(&ec);
    CHECK(conc_eventcount_notify_shared(&ec) == 1);
    CHECK(conc_eventcount_notify_shared(&ec) == 0);
}

static void
test_wake_all_moves_the_epoch_for_nobody_too(void)
{
    struct conc_eventcount ec = {0};
    uint32_t ticket = conc_eventcount_announce(&ec);
    conc_eventcount_wake_all_shared(&ec);
    CHECK(conc_eventcount_wait_shared(&ec, ticket, CONC_NEVER) == CONC_OK);
    /* the bit may stay set */
    uint32_t second = conc_eventcount_announce(&ec);
    CHECK(second != ticket);
    CHECK(conc_eventcount_wait_shared(&ec, second, 0) == CONC_TIMEOUT);
}

static void
test_epoch_wraps(void)
{
    struct conc_eventcount ec = {.word = UINT32_MAX - 1};
    uint32_t ticket = conc_eventcount_announce(&ec);
    CHECK(ticket == UINT32_MAX);
    CHECK(conc_eventcount_notify_shared(&ec) == 1);
    CHECK(atomic_load(&ec.word) == 0);
    CHECK(conc_eventcount_wait_shared(&ec, ticket, CONC_NEVER) == CONC_OK);

    atomic_store(&ec.word, UINT32_MAX);
    conc_eventcount_wake_all_shared(&ec);
    CHECK(atomic_load(&ec.word) == 1);
}

/* --- threads ------------------------------------------------------------ */

#define NOTIFIERS 2
#define WAITERS 3
#define ROUNDS 3000

static struct conc_eventcount round_ec;
static _Atomic uint32_t round_count;

static void *
notify_rounds(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&round_count, 1);
        conc_eventcount_notify_shared(&round_ec);
    }
    return unused;
}

static void *
wait_for_each_round(void *unused)
{
    uint32_t seen = 0;
    while (seen < NOTIFIERS * ROUNDS) {
        uint32_t ticket = conc_eventcount_announce(&round_ec);
        uint32_t now = atomic_load(&round_count);
        if (now == seen) {
            conc_eventcount_wait_shared(&round_ec, ticket, CONC_NEVER);
        }
        CHECK(now >= seen);
        seen = now;
    }
    return unused;
}

static void
test_no_wake_is_lost(void)
{
    pthread_t threads[NOTIFIERS + WAITERS];
    atomic_store(&round_count, 0);
    for (int i = 0; i < NOTIFIERS + WAITERS; i++) {
        REQUIRE(
            pthread_create(&threads[i], NULL,
                           i < NOTIFIERS ? notify_rounds : wait_for_each_round,
                           NULL) == 0);
    }
    for (int i = 0; i < NOTIFIERS + WAITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(atomic_load(&round_count) == NOTIFIERS * ROUNDS);
}

/* --- processes ---------------------------------------------------------- */

#if defined(CONC_DEBUG) && !CONC_TEST_TSAN

struct killed_notifier {
    struct conc_eventcount ec;
    _Atomic uint32_t condition;
};

static void
wait_for_condition(struct killed_notifier *shared)
{
    while (atomic_load(&shared->condition) == 0) {
        uint32_t ticket = conc_eventcount_announce(&shared->ec);
        if (atomic_load(&shared->condition) == 0) {
            conc_eventcount_wait_shared(&shared->ec, ticket, CONC_NEVER);
        }
    }
}

/* Its notifier dies between the epoch and the wake: the sleeper depends on
 * whoever learns of that. */
static void
test_wake_all_repairs_a_notifier_that_died(void)
{
    struct killed_notifier *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    pid_t waiter = conc_test_fork();
    if (waiter == 0) {
        wait_for_condition(shared);
        conc_test_child_exit();
    }
    while ((atomic_load(&shared->ec.word) & 1) == 0) {
        struct timespec moment = {.tv_nsec = 100000};
        nanosleep(&moment, NULL);
    }
    pid_t notifier = conc_test_fork();
    if (notifier == 0) {
        setenv("PYCONC_CRASH", "eventcount.moved:1", 1);
        atomic_store(&shared->condition, 1);
        conc_eventcount_notify_shared(&shared->ec);
        conc_test_child_exit();
    }
    int status = conc_test_wait(notifier);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    conc_eventcount_wake_all_shared(&shared->ec);
    CHECK(conc_test_child_passed(waiter));
    munmap(shared, sizeof *shared);
}

#    define PROCESS_TESTS                                                     \
        , CONC_TEST(test_wake_all_repairs_a_notifier_that_died)
#else
#    define PROCESS_TESTS
#endif

CONC_TEST_MAIN(CONC_TEST(test_nobody_announced_costs_no_system_call),
               CONC_TEST(test_notification_after_announcement_ends_the_wait),
               CONC_TEST(test_waits_until_the_deadline),
               CONC_TEST(test_who_left_early_costs_one_wasted_wake),
               CONC_TEST(test_wake_all_moves_the_epoch_for_nobody_too),
               CONC_TEST(test_epoch_wraps),
               CONC_TEST(test_no_wake_is_lost) PROCESS_TESTS)
