#include "platform/clock.h"

#include "conc_test.h"

static void
test_time_does_not_go_back(void)
{
    int64_t before = conc_clock_now_ns();
    for (int i = 0; i < 100000; i++) {
        int64_t now = conc_clock_now_ns();
        CHECK(now >= before);
        before = now;
    }
}

static void
test_deadline_lies_the_timeout_ahead(void)
{
    int64_t before = conc_clock_now_ns();
    int64_t deadline = conc_deadline_after(5000000000);
    int64_t after = conc_clock_now_ns();
    CHECK(deadline >= before + 5000000000);
    CHECK(deadline <= after + 5000000000);
}

static void
test_negative_timeout_counts_as_zero(void)
{
    int64_t before = conc_clock_now_ns();
    int64_t deadline = conc_deadline_after(INT64_MIN);
    CHECK(deadline >= before);
    CHECK(deadline <= conc_clock_now_ns());
}

static void
test_far_deadline_saturates(void)
{
    CHECK(conc_deadline_after(CONC_NEVER) == CONC_NEVER);
    CHECK(conc_deadline_after(INT64_MAX - 1) == CONC_NEVER);
    CHECK(conc_deadline_after(INT64_MAX / 2) < CONC_NEVER);
}

CONC_TEST_MAIN(CONC_TEST(test_time_does_not_go_back),
               CONC_TEST(test_deadline_lies_the_timeout_ahead),
               CONC_TEST(test_negative_timeout_counts_as_zero),
               CONC_TEST(test_far_deadline_saturates))
