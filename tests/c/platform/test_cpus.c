#include "platform/cpus.h"

#include "conc_test.h"

#include <sched.h>

static void
test_at_least_one_and_no_more_than_online(void)
{
    int cpus = conc_cpus_usable();
    CHECK(cpus >= 1);
    CHECK(cpus <= sysconf(_SC_NPROCESSORS_CONF));
}

static void
test_affinity_is_respected(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        cpu_set_t set;
        REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
        size_t first = 0;
        while (!CPU_ISSET(first, &set)) {
            first++;
        }
        CPU_ZERO(&set);
        CPU_SET(first, &set);
        REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
        CHECK(conc_cpus_usable() == 1);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

CONC_TEST_MAIN(CONC_TEST(test_at_least_one_and_no_more_than_online),
               CONC_TEST(test_affinity_is_respected))
