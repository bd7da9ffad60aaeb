/* Harness of the C tests: one program per C file, no interpreter.
 *
 *     static void
 *     test_wakes_the_sleeper(void)
 *     {
 *         CHECK(conc_futex_wake_shared(&word, 1) == 1);
 *     }
 *
 *     CONC_TEST_MAIN(CONC_TEST(test_wakes_the_sleeper))
 *
 * CHECK holds in every build and from any thread; a failure is printed and
 * counted, and the test goes on (REQUIRE ends the process instead: for what
 * the rest of the test would crash on).  A program takes parts of test names
 * as arguments and then runs only those.  Random tests start from
 * conc_test_seed(), which is printed; PYCONC_TEST_SEED sets it.
 *
 * There are no time limits in tests.  A test that hangs for
 * PYCONC_TEST_WATCHDOG seconds (300) is ended by the watchdog, which prints
 * the stacks of all threads. */
#ifndef CONC_TEST_H
#define CONC_TEST_H

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__)
#    include <execinfo.h>
#endif

/* CONC_TEST_TSAN and CONC_TEST_ASAN: 1 in builds with that sanitizer. */
#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define CONC_TEST_TSAN 1
#    endif
#    if __has_feature(address_sanitizer)
#        define CONC_TEST_ASAN 1
#    endif
#endif
#if defined(__SANITIZE_THREAD__)
#    define CONC_TEST_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#    define CONC_TEST_ASAN 1
#endif
#if !defined(CONC_TEST_TSAN)
#    define CONC_TEST_TSAN 0
#endif
#if !defined(CONC_TEST_ASAN)
#    define CONC_TEST_ASAN 0
#endif

/* After so many failed checks a test has said enough. */
#define CONC_TEST_FAILURES_MAX 20

static _Atomic int conc_test_failures;        /* of the running test */
static const char *_Atomic conc_test_running; /* its name */
static uint64_t conc_test_seed_value;

static inline void
conc_test_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
    if (atomic_fetch_add(&conc_test_failures, 1) + 1 >=
        CONC_TEST_FAILURES_MAX) {
        fprintf(stderr, "too many failures in %s\n",
                atomic_load(&conc_test_running));
        _exit(1);
    }
}

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            conc_test_fail(__FILE__, __LINE__, #condition);                   \
        }                                                                     \
    } while (0)

#define REQUIRE(condition)                                                    \
    do {                                                                      \
        if (!(condition)) {                                                   \
            conc_test_fail(__FILE__, __LINE__, #condition);                   \
            _exit(1);                                                         \
        }                                                                     \
    } while (0)

/* --- random numbers ---------------------------------------------------- */

static inline uint64_t
conc_test_seed(void)
{
    return conc_test_seed_value;
}

/* splitmix64: every state is good, also a small seed. */
static inline uint64_t
conc_test_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In [0, limit). */
static inline uint64_t
conc_test_below(uint64_t *state, uint64_t limit)
{
    return conc_test_random(state) % limit;
}

/* --- watchdog ---------------------------------------------------------- */

static inline void
conc_test_write(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written; /* there is nobody else to tell */
}

static inline void
conc_test_print_stack(int signal_number)
{
    (void)signal_number;
    conc_test_write("--- stack of a thread\n");
#if defined(__GLIBC__)
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
#endif
}

/* Not async-signal-safe in every detail: if it gets stuck itself, the second
 * alarm ends the process. */
static inline void
conc_test_watchdog(int signal_number)
{
    signal(SIGALRM, SIG_DFL);
    alarm(10);
    conc_test_write("\nwatchdog: stuck in ");
    conc_test_write(atomic_load(&conc_test_running));
    conc_test_write("\n");
    conc_test_print_stack(signal_number);
    DIR *tasks = opendir("/proc/self/task");
    if (tasks != NULL) {
        long self = syscall(SYS_gettid);
        struct dirent *entry;
        while ((entry = readdir(tasks)) != NULL) {
            long tid = strtol(entry->d_name, NULL, 10);
            if (tid > 0 && tid != self) {
                syscall(SYS_tgkill, getpid(), (pid_t)tid, SIGUSR2);
                nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
            }
        }
    }
    abort();
}

static inline void
conc_test_watchdog_arm(void)
{
    const char *text = getenv("PYCONC_TEST_WATCHDOG");
    alarm(text != NULL ? (unsigned)strtoul(text, NULL, 10) : 300);
}

/* --- processes --------------------------------------------------------- */

/* fork with the watchdog running in the child too, which ends by
 * conc_test_child_exit. */
static inline pid_t
conc_test_fork(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        atomic_store(&conc_test_failures, 0);
        conc_test_watchdog_arm();
    }
    return pid;
}

static inline void
conc_test_child_exit(void)
{
    fflush(NULL);
    _exit(atomic_load(&conc_test_failures) == 0 ? 0 : 1);
}

/* Wait for a child; its wait status. */
static inline int
conc_test_wait(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) != pid) {
    }
    return status;
}

/* Whether a child made by conc_test_fork ended with all checks passed. */
static inline bool
conc_test_child_passed(pid_t pid)
{
    int status = conc_test_wait(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- main -------------------------------------------------------------- */

struct conc_test {
    const char *name;
    void (*run)(void);
};

#define CONC_TEST(function)                                                   \
    {                                                                         \
        .name = #function, .run = function                                    \
    }

static inline bool
conc_test_selected(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i]) != NULL) {
            return true;
        }
    }
    return argc < 2;
}

static inline int
conc_test_main(int argc, char **argv, const struct conc_test *tests,
               size_t count)
{
    const char *seed = getenv("PYCONC_TEST_SEED");
    if (seed != NULL) {
        conc_test_seed_value = strtoull(seed, NULL, 0);
    }
    else if (getrandom(&conc_test_seed_value, sizeof conc_test_seed_value,
                       0) != (ssize_t)sizeof conc_test_seed_value) {
        conc_test_seed_value = (uint64_t)getpid();
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%s: seed %#" PRIx64 "\n", argv[0], conc_test_seed_value);
    signal(SIGALRM, conc_test_watchdog);
    signal(SIGUSR2, conc_test_print_stack);
    int passed = 0;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!conc_test_selected(tests[i].name, argc, argv)) {
            continue;
        }
        atomic_store(&conc_test_failures, 0);
        atomic_store(&conc_test_running, tests[i].name);
        conc_test_watchdog_arm();
        tests[i].run();
        alarm(0);
        if (atomic_load(&conc_test_failures) == 0) {
            passed++;
        }
        else {
            failed++;
            printf("FAILED %s\n", tests[i].name);
        }
    }
    printf("%s: %d passed, %d failed\n", argv[0], passed, failed);
    return failed == 0 ? 0 : 1;
}

#define CONC_TEST_MAIN(...)                                                   \
    int main(int argc, char **argv)                                           \
    {                                                                         \
        static const struct conc_test tests[] = {__VA_ARGS__};                \
        return conc_test_main(argc, argv, tests,                              \
                              sizeof tests / sizeof tests[0]);                \
    }

#endif
