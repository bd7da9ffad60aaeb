#include "platform/lifeline.h"

#include "platform/status.h"

#include "conc_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

static void
test_both_ends_are_close_on_exec(void)
{
    int ends[2];
    REQUIRE(conc_lifeline_open(&ends[0], &ends[1]) == CONC_OK);
    for (int i = 0; i < 2; i++) {
        CHECK((fcntl(ends[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    int armed;
    REQUIRE(conc_lifeline_arm(ends[0], &armed) == CONC_OK);
    CHECK(armed != ends[0]);
    CHECK((fcntl(armed, F_GETFD) & FD_CLOEXEC) != 0);
    close(armed);
    close(ends[0]);
    close(ends[1]);
}

static void
test_wrong_descriptor_is_an_error(void)
{
    int armed;
    CHECK(conc_lifeline_arm(-1, &armed) == CONC_SYSTEM && errno == ENOENT);
    CHECK(armed == -1);
}

/* An owner forks dependents that run busy loops, one of them with another
 * copy of the same read end, and is killed. */
static void
test_death_of_the_owner_ends_busy_dependents(void)
{
    enum { DEPENDENTS = 3 };
    int alive[2]; /* its end-of-file: all processes that hold it are gone */
    int ready[2];
    REQUIRE(pipe2(alive, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    pid_t owner = conc_test_fork();
    if (owner == 0) {
        close(alive[0]);
        int ends[2];
        REQUIRE(conc_lifeline_open(&ends[0], &ends[1]) == CONC_OK);
        for (int i = 0; i < DEPENDENTS; i++) {
            if (conc_test_fork() == 0) {
                close(ends[1]);
                int armed;
                REQUIRE(conc_lifeline_arm(ends[0], &armed) == CONC_OK);
                close(ends[0]);
                REQUIRE(write(ready[1], "", 1) == 1);
                for (;;) {
                }
            }
        }
        for (;;) {
            pause();
        }
    }
    close(alive[1]);
    for (int i = 0; i < DEPENDENTS; i++) {
        char byte;
        REQUIRE(read(ready[0], &byte, 1) == 1);
    }
    struct pollfd watch = {.fd = alive[0], .events = POLLIN};
    CHECK(poll(&watch, 1, 0) == 0);
    kill(owner, SIGKILL);
    conc_test_wait(owner);
    char byte;
    CHECK(read(alive[0], &byte, 1) == 0); /* or the watchdog */
    close(alive[0]);
    close(ready[0]);
    close(ready[1]);
}

static void
test_late_dependent_is_killed_at_once(void)
{
    int ends[2];
    REQUIRE(conc_lifeline_open(&ends[0], &ends[1]) == CONC_OK);
    close(ends[1]);
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        int armed;
        conc_lifeline_arm(ends[0], &armed);
        conc_test_child_exit();
    }
    int status = conc_test_wait(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(ends[0]);
}

/* The setting belongs to the dependent alone: the owner and its siblings
 * share the description of the read end that they inherited. */
static void
test_end_of_one_dependent_does_not_touch_others(void)
{
    int ends[2];
    REQUIRE(conc_lifeline_open(&ends[0], &ends[1]) == CONC_OK);
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        int armed;
        CHECK(conc_lifeline_arm(ends[0], &armed) == CONC_OK);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
    CHECK((fcntl(ends[0], F_GETFL) & O_ASYNC) == 0);
    close(ends[1]); /* no SIGKILL for this process */
    close(ends[0]);
}

CONC_TEST_MAIN(CONC_TEST(test_both_ends_are_close_on_exec),
               CONC_TEST(test_wrong_descriptor_is_an_error),
               CONC_TEST(test_death_of_the_owner_ends_busy_dependents),
               CONC_TEST(test_late_dependent_is_killed_at_once),
               CONC_TEST(test_end_of_one_dependent_does_not_touch_others))
