#include "ring/parker.h"

#include <pthread.h>
#include <sched.h>

#include "conc_test.h"

#include "platform/clock.h"
#include "platform/status.h"

static void
test_a_wake_before_the_sleep_costs_no_system_call(void)
{
    struct conc_parker parker = {0};
    CHECK(conc_parker_wake(&parker) == 0);
    CHECK(conc_parker_is_woken(&parker));
    CHECK(conc_parker_spin(&parker, 0) == 1);
    CHECK(conc_parker_sleep(&parker, CONC_NEVER) == CONC_OK);
    conc_parker_reset(&parker);
    CHECK(!conc_parker_is_woken(&parker));
}

static void
test_sleeps_until_the_deadline(void)
{
    struct conc_parker parker = {0};
    int64_t deadline_ns = conc_deadline_after(1000000);
    CHECK(conc_parker_spin(&parker, 1000) == 0);
    CHECK(conc_parker_sleep(&parker, deadline_ns) == CONC_TIMEOUT);
    CHECK(conc_clock_now_ns() >= deadline_ns);
    /* awake again: a wake is for nobody in the kernel */
    CHECK(conc_parker_wake(&parker) == 0);
}

static void
test_an_appointment_is_kept_until_it_is_resigned(void)
{
    struct conc_parker parker = {0};
    CHECK(!conc_parker_resign(&parker));
    CHECK(conc_parker_appoint(&parker));
    CHECK(conc_parker_is_watching(&parker));
    CHECK(conc_parker_appoint(&parker));
    CHECK(conc_parker_spin(&parker, 0) == 1);
    CHECK(conc_parker_sleep(&parker, CONC_NEVER) == CONC_AGAIN);
    CHECK(conc_parker_watch(&parker, 0) == CONC_TIMEOUT);
    CHECK(conc_parker_is_watching(&parker));
    CHECK(conc_parker_resign(&parker));
    CHECK(!conc_parker_is_watching(&parker));
    CHECK(conc_parker_sleep(&parker, 0) == CONC_TIMEOUT);
}

static void
test_who_is_woken_is_not_appointed(void)
{
    struct conc_parker parker = {0};
    CHECK(conc_parker_appoint(&parker));
    CHECK(conc_parker_wake(&parker) == 1);
    CHECK(!conc_parker_resign(&parker));
    CHECK(!conc_parker_appoint(&parker));
    CHECK(conc_parker_watch(&parker, CONC_NEVER) == CONC_OK);
    CHECK(conc_parker_sleep(&parker, CONC_NEVER) == CONC_OK);
}

#define ROUNDS 20000

static struct conc_parker ping, pong;
static uint64_t value; /* carried by the wakes alone */

static void *
answer(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        while (conc_parker_sleep(&ping, CONC_NEVER) != CONC_OK) {
        }
        CHECK(value == 2 * i + 1);
        value++;
        conc_parker_reset(&ping);
        conc_parker_wake(&pong);
    }
    return NULL;
}

static void
test_no_wake_is_lost_and_each_carries_what_came_before(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, answer, NULL) == 0);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        value++;
        conc_parker_wake(&ping);
        if (i % 3 == 0) {
            (void)conc_parker_spin(&pong, 5000);
        }
        while (conc_parker_sleep(&pong, CONC_NEVER) != CONC_OK) {
        }
        CHECK(value == 2 * i + 2);
        conc_parker_reset(&pong);
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

static struct conc_parker sentinel;

static void *
appoint(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(conc_parker_appoint(&sentinel));
        while (conc_parker_is_watching(&sentinel)) {
            sched_yield();
        }
    }
    conc_parker_wake(&sentinel);
    return NULL;
}

static void
test_every_appointment_ends_a_sleep(void)
{
    pthread_t thread;
    int resigned = 0;
    CHECK(pthread_create(&thread, NULL, appoint, NULL) == 0);
    while (conc_parker_sleep(&sentinel, CONC_NEVER) != CONC_OK) {
        resigned += conc_parker_resign(&sentinel);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(resigned == ROUNDS);
}

static void
test_patience_ends_where_spinning_is_for_nothing(void)
{
    struct conc_patience patience = {0};
    int spins = 0;
    for (int wait = 0; wait < 1000; wait++) {
        int64_t spin_ns = conc_patience_spin_ns(&patience);
        if (spin_ns > 0) {
            spins++;
            conc_patience_miss(&patience, CONC_NEVER);
        }
    }
    CHECK(spins < 50);
    CHECK(spins >= 1000 / 32);
    while (conc_patience_spin_ns(&patience) == 0) {
    }
    conc_patience_hit(&patience);
    CHECK(conc_patience_spin_ns(&patience) == CONC_SPIN_NS);
}

static void
test_patience_lingers_once_after_a_short_sleep(void)
{
    struct conc_patience patience = {0};
    CHECK(conc_patience_spin_ns(&patience) == CONC_SPIN_NS);
    conc_patience_miss(&patience, CONC_LINGER_NS - 1);
    CHECK(conc_patience_spin_ns(&patience) == CONC_LINGER_NS);
    conc_patience_miss(&patience, CONC_LINGER_NS - 1);
    CHECK(conc_patience_spin_ns(&patience) == CONC_SPIN_NS);
    conc_patience_miss(&patience, CONC_LINGER_NS + 1);
    CHECK(conc_patience_spin_ns(&patience) == CONC_SPIN_NS);
}

CONC_TEST_MAIN(
    CONC_TEST(test_patience_ends_where_spinning_is_for_nothing),
    CONC_TEST(test_patience_lingers_once_after_a_short_sleep),
    CONC_TEST(test_a_wake_before_the_sleep_costs_no_system_call),
    CONC_TEST(test_sleeps_until_the_deadline),
    CONC_TEST(test_an_appointment_is_kept_until_it_is_resigned),
    CONC_TEST(test_who_is_woken_is_not_appointed),
    CONC_TEST(test_no_wake_is_lost_and_each_carries_what_came_before),
    CONC_TEST(test_every_appointment_ends_a_sleep))
