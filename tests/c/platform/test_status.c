#include "platform/status.h"

#include "conc_test.h"

static void
test_every_status_has_a_name_of_its_own(void)
{
    for (int a = CONC_MISMATCH; a <= CONC_OK; a++) {
        CHECK(strcmp(conc_status_name(a), "unknown") != 0);
        for (int b = CONC_MISMATCH; b < a; b++) {
            CHECK(strcmp(conc_status_name(a), conc_status_name(b)) != 0);
        }
    }
}

static void
test_any_other_number_is_unknown(void)
{
    CHECK(strcmp(conc_status_name(1), "unknown") == 0);
    CHECK(strcmp(conc_status_name(CONC_MISMATCH - 1), "unknown") == 0);
}

CONC_TEST_MAIN(CONC_TEST(test_every_status_has_a_name_of_its_own),
               CONC_TEST(test_any_other_number_is_unknown))
