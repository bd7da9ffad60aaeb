/* Without CONC_DEBUG a crash point is nothing, which is then what is tested;
 * with it, children are sent through one. */
#include "platform/check.h"

#include "conc_test.h"

#ifdef CONC_DEBUG

#    include <errno.h>
#    include <stdio.h>

/* The wait status of a child that goes through "test.point" `passes` times
 * in the role of a worker. */
static int
status_after(const char *plan, const char *role, int passes)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        setenv("PYCONC_CRASH", plan, 1);
        if (role != NULL) {
            setenv("PYCONC_CRASH_ROLE", role, 1);
        }
        CONC_CRASH_ROLE("worker");
        for (int i = 0; i < passes; i++) {
            CONC_CRASH_POINT("test.other");
            CONC_CRASH_POINT("test.point");
        }
        conc_test_child_exit();
    }
    int status;
    while (waitpid(pid, &status, WUNTRACED) != pid) {
    }
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        conc_test_wait(pid);
    }
    return status;
}

static bool
killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void
test_named_pass_kills(void)
{
    CHECK(killed(status_after("test.point:1", NULL, 1)));
    CHECK(killed(status_after("test.point:3", NULL, 3)));
    CHECK(status_after("test.point:3", NULL, 2) == 0);
    CHECK(status_after("test.poin:1", NULL, 3) == 0);
    CHECK(status_after("test.points:1", NULL, 3) == 0);
}

static void
test_stop_is_a_stop(void)
{
    CHECK(WIFSTOPPED(status_after("test.point:2:stop", NULL, 2)));
}

static void
test_role_restricts(void)
{
    CHECK(killed(status_after("test.point:1", "any", 1)));
    CHECK(killed(status_after("test.point:1", "worker", 1)));
    CHECK(status_after("test.point:1", "parent", 1) == 0);
}

static void
test_forked_process_counts_anew(void)
{
    setenv("PYCONC_CRASH", "test.point:3", 1);
    CONC_CRASH_POINT("test.point");
    CONC_CRASH_POINT("test.point");
    unsetenv("PYCONC_CRASH");
    CHECK(status_after("test.point:3", NULL, 2) == 0);
    CHECK(killed(status_after("test.point:3", NULL, 3)));
}

/* A path that nobody uses; conc_test_fork's children inherit the string. */
static const char *
fresh_path(void)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/conc_check.%ld", (long)getpid());
    CHECK(unlink(path) == 0 || errno == ENOENT);
    return path;
}

static void
test_only_one_process_dies_once(void)
{
    const char *path = fresh_path();
    setenv("PYCONC_CRASH_ONCE", path, 1);
    CHECK(killed(status_after("test.point:2", NULL, 2)));
    CHECK(status_after("test.point:2", NULL, 4) == 0);
    CHECK(unlink(path) == 0);
    CHECK(killed(status_after("test.point:2", NULL, 4)));
    unsetenv("PYCONC_CRASH_ONCE");
    CHECK(unlink(path) == 0);
}

static void
test_log_has_a_line_per_signal(void)
{
    const char *path = fresh_path();
    setenv("PYCONC_CRASH_LOG", path, 1);
    CHECK(killed(status_after("test.point:1", NULL, 1)));
    CHECK(WIFSTOPPED(status_after("test.point:2:stop", NULL, 2)));
    CHECK(status_after("test.point:3", NULL, 2) == 0);
    unsetenv("PYCONC_CRASH_LOG");

    FILE *log = fopen(path, "re");
    CHECK(log != NULL);
    long first, second, third;
    CHECK(fscanf(log, "%ld\n%ld\n%ld", &first, &second, &third) == 2);
    CHECK(first > 0 && second > 0 && first != second);
    fclose(log);
    CHECK(unlink(path) == 0);
}

CONC_TEST_MAIN(CONC_TEST(test_named_pass_kills),
               CONC_TEST(test_stop_is_a_stop), CONC_TEST(test_role_restricts),
               CONC_TEST(test_forked_process_counts_anew),
               CONC_TEST(test_only_one_process_dies_once),
               CONC_TEST(test_log_has_a_line_per_signal))

#else

static void
test_crash_point_is_nothing_without_debug(void)
{
    setenv("PYCONC_CRASH", "test.point:1", 1);
    CONC_CRASH_ROLE("worker");
    CONC_CRASH_POINT("test.point");
}

CONC_TEST_MAIN(CONC_TEST(test_crash_point_is_nothing_without_debug))

#endif
