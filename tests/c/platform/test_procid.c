#include "platform/procid.h"

#include "platform/status.h"

#include "conc_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

static pid_t
fork_waiting_child(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    REQUIRE(pid > 0);
    return pid;
}

static void
wait_until_readable(int fd)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    while (poll(&watch, 1, -1) != 1) {
    }
}

static void
test_pidfd_follows_a_child_to_its_end(void)
{
    pid_t pid = fork_waiting_child();
    int fd;
    REQUIRE(conc_pidfd_open(pid, &fd) == CONC_OK);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(!conc_pidfd_ended(fd));
    CHECK(conc_pidfd_signal(fd, SIGKILL) == CONC_OK);
    wait_until_readable(fd);
    CHECK(conc_pidfd_ended(fd)); /* as a zombie */
    CHECK(WTERMSIG(conc_test_wait(pid)) == SIGKILL);
    CHECK(conc_pidfd_ended(fd)); /* reaped */
    CHECK(conc_pidfd_signal(fd, SIGKILL) == CONC_SYSTEM && errno == ESRCH);
    close(fd);
    CHECK(conc_pidfd_open(pid, &fd) == CONC_SYSTEM && errno == ESRCH);
    CHECK(fd == -1);
}

static void
test_end_shows_although_sigchld_is_ignored(void)
{
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork_waiting_child();
    int fd;
    REQUIRE(conc_pidfd_open(pid, &fd) == CONC_OK);
    CHECK(conc_pidfd_signal(fd, SIGKILL) == CONC_OK);
    wait_until_readable(fd);
    CHECK(conc_pidfd_ended(fd));
    close(fd);
    signal(SIGCHLD, SIG_DFL);
}

static void
test_start_time_identifies_a_process(void)
{
    uint64_t own = conc_process_start_time(getpid());
    CHECK(own > 0);
    CHECK(conc_process_start_time(getpid()) == own);
    pid_t pid = fork_waiting_child();
    CHECK(conc_process_start_time(pid) >= own);
    kill(pid, SIGKILL);
    conc_test_wait(pid);
    CHECK(conc_process_start_time(pid) == 0);
}

/* A name can contain what separates the fields of /proc/PID/stat. */
static void
test_start_time_is_found_behind_any_name(void)
{
    uint64_t own = conc_process_start_time(getpid());
    FILE *name = fopen("/proc/self/comm", "w");
    REQUIRE(name != NULL);
    fputs("a) R 1 2 (", name);
    fclose(name);
    CHECK(conc_process_start_time(getpid()) == own);
}

CONC_TEST_MAIN(CONC_TEST(test_pidfd_follows_a_child_to_its_end),
               CONC_TEST(test_end_shows_although_sigchld_is_ignored),
               CONC_TEST(test_start_time_identifies_a_process),
               CONC_TEST(test_start_time_is_found_behind_any_name))
