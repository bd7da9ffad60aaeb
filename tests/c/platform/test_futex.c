#include "platform/futex.h"

#include "platform/clock.h"
#include "platform/status.h"

#include "conc_test.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

typedef int (*wait_function)(_Atomic uint32_t *, uint32_t, int64_t);
typedef int (*wake_function)(_Atomic uint32_t *, int);

static const wait_function waits[] = {conc_futex_wait_shared,
                                      conc_futex_wait_private};
static const wake_function wakes[] = {conc_futex_wake_shared,
                                      conc_futex_wake_private};

static void
test_differing_word_does_not_sleep(void)
{
    _Atomic uint32_t word = 7;
    for (int i = 0; i < 2; i++) {
        CHECK(waits[i](&word, 8, CONC_NEVER) == CONC_OK);
        CHECK(waits[i](&word, 8, 0) == CONC_OK);
    }
}

static void
test_past_deadline_times_out_at_once(void)
{
    _Atomic uint32_t word = 7;
    for (int i = 0; i < 2; i++) {
        CHECK(waits[i](&word, 7, 0) == CONC_TIMEOUT);
        CHECK(waits[i](&word, 7, INT64_MIN) == CONC_TIMEOUT);
        CHECK(waits[i](&word, 7, conc_clock_now_ns()) == CONC_TIMEOUT);
    }
}

static void
test_timeout_is_not_early(void)
{
    _Atomic uint32_t word = 7;
    for (int i = 0; i < 2; i++) {
        int64_t deadline = conc_deadline_after(3000000);
        int status;
        while ((status = waits[i](&word, 7, deadline)) == CONC_OK) {
        }
        CHECK(status == CONC_TIMEOUT);
        CHECK(conc_clock_now_ns() >= deadline);
    }
}

static void
test_wake_without_sleepers_wakes_nobody(void)
{
    _Atomic uint32_t word = 0;
    CHECK(conc_futex_wake_shared(&word, INT_MAX) == 0);
    CHECK(conc_futex_wake_private(&word, INT_MAX) == 0);
}

struct sleeper {
    _Atomic uint32_t word;
    wait_function wait;
    int status;
};

static void *
sleep_until_set(void *argument)
{
    struct sleeper *sleeper = argument;
    while (conc_load_acq(&sleeper->word) == 0) {
        sleeper->status = sleeper->wait(&sleeper->word, 0, CONC_NEVER);
    }
    return NULL;
}

static void
test_wake_ends_the_sleep_of_a_thread(void)
{
    for (int i = 0; i < 2; i++) {
        struct sleeper sleeper = {.wait = waits[i]};
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, sleep_until_set, &sleeper) == 0);
        /* The word is still 0: this can only return 1 for a thread that
         * really slept. */
        while (wakes[i](&sleeper.word, 1) == 0) {
            sched_yield();
        }
        conc_store_rel(&sleeper.word, 1);
        wakes[i](&sleeper.word, 1);
        pthread_join(thread, NULL);
        CHECK(sleeper.status == CONC_OK);
    }
}

static void
test_shared_wake_reaches_another_process(void)
{
    _Atomic uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(word != MAP_FAILED);
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        while (conc_load_acq(word) == 0) {
            CHECK(conc_futex_wait_shared(word, 0, CONC_NEVER) == CONC_OK);
        }
        conc_test_child_exit();
    }
    while (conc_futex_wake_shared(word, 1) == 0) {
        sched_yield();
    }
    conc_store_rel(word, 1);
    conc_futex_wake_shared(word, 1);
    CHECK(conc_test_child_passed(pid));
    munmap(word, 4096);
}

static void
ignore_signal(int signal_number)
{
    (void)signal_number;
}

struct interrupted {
    _Atomic uint32_t done;
    pthread_t thread;
};

static void *
interrupt_until_done(void *argument)
{
    struct interrupted *interrupted = argument;
    while (!conc_load_acq(&interrupted->done)) {
        pthread_kill(interrupted->thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void
test_signal_handler_interrupts(void)
{
    struct sigaction action = {.sa_handler = ignore_signal};
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    struct interrupted interrupted = {.thread = pthread_self()};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, interrupt_until_done,
                           &interrupted) == 0);
    _Atomic uint32_t word = 0;
    for (int i = 0; i < 2; i++) {
        CHECK(waits[i](&word, 0, CONC_NEVER) == CONC_INTR);
        CHECK(waits[i](&word, 0, conc_deadline_after(INT64_MAX / 2)) ==
              CONC_INTR);
    }
    conc_store_rel(&interrupted.done, 1);
    pthread_join(thread, NULL);
}

CONC_TEST_MAIN(CONC_TEST(test_differing_word_does_not_sleep),
               CONC_TEST(test_past_deadline_times_out_at_once),
               CONC_TEST(test_timeout_is_not_early),
               CONC_TEST(test_wake_without_sleepers_wakes_nobody),
               CONC_TEST(test_wake_ends_the_sleep_of_a_thread),
               CONC_TEST(test_shared_wake_reaches_another_process),
               CONC_TEST(test_signal_handler_interrupts))
