/* Who of the workers sleeps, who spins, and whom to wake.
 *
 * Waking an idle CPU takes tens of microseconds, so a wake per task would
 * cost more than the tasks.  The rules, and what they are good for:
 *
 * - A publisher wakes somebody only if somebody sleeps, nobody spins, nobody
 *   is on the way already, and fewer workers are awake than there are CPUs:
 *   one system call for the first task of a burst, none for the others.  Who
 *   was woken and finds more queued wakes the next.
 * - At most `spin_limit` workers spin at a time.  A worker announces itself
 *   as spinner BEFORE it pushes its last result, so that the parent, which
 *   answers with the next task, sees it and makes no system call.
 * - Tasks that block (sleep, wait for the network) keep workers awake that
 *   use no CPU.  So that the queue still spreads, one sleeper is the
 *   sentinel: it sleeps with a timeout, and when the task at the head of the
 *   queue has been waiting for a whole period, it wakes others, twice as
 *   many each time.  The head's age is known without clock readings per
 *   task: if the head has not passed the tail of one period ago, its task is
 *   older than that.  A queue that flows fast (short tasks) needs no help,
 *   however deep it is.
 * - Nobody is the sentinel while the queue is empty: an idle pool sleeps
 *   without timeouts.
 *
 * All words are hints that may be wrong after a death; conc_idlers_forget
 * repairs them, and whoever learns of a death then calls
 * conc_idlers_wake_all: the dead may have been about to wake somebody.
 *
 * The loop of a worker, whose order of calls the argument in idlers.c needs:
 *
 *     for (;;) {
 *         spin, if conc_idlers_spin_begin allowed it: conc_board_claim
 *         conc_idlers_spin_end, if counted
 *         one more conc_board_claim, if nothing was claimed
 *         claimed: conc_idlers_claimed, run, conc_idlers_spin_begin,
 *                  conc_board_finish, notify the parent
 *         nothing: conc_idlers_sleep
 *     } */
#ifndef CONC_RING_IDLERS_H
#define CONC_RING_IDLERS_H

#include <stdint.h>

#include "ring/board.h"

#define CONC_WORKERS_MAX 1024
#define CONC_IDLE_WORDS (CONC_WORKERS_MAX / 64)

/* One per worker, a line of its own: the futex word it sleeps on. */
struct conc_idler {
    _Alignas(CONC_CACHELINE) _Atomic uint32_t wake;
    uint8_t reserved[CONC_CACHELINE - 4];
};

struct conc_idlers_shared { /* zeroed memory is valid */
    /* bit w: worker w announced sleep.  May be set with w awake (a wasted
     * wake); never clear while w sleeps without limit. */
    _Alignas(CONC_CACHELINE) _Atomic uint64_t sleeping[CONC_IDLE_WORDS];
    /* bit w: worker w spins, and will look at the queue again */
    _Alignas(CONC_CACHELINE) _Atomic uint64_t spinning[CONC_IDLE_WORDS];
    /* bit w: slot w has a worker in its loop */
    _Alignas(CONC_CACHELINE) _Atomic uint64_t attached[CONC_IDLE_WORDS];
    /* worker + 1 that watches the head of the queue, 0: nobody.  May be 0
     * while somebody watches (one watch too many); never names a worker that
     * is awake and will not look at the queue. */
    _Alignas(CONC_CACHELINE) _Atomic uint32_t sentinel;
    /* worker + 1 that was woken and has not looked at the queue yet, 0:
     * nobody.  May be wrong in the same direction. */
    _Atomic uint32_t rousing;
    struct conc_idler idlers[CONC_WORKERS_MAX];
};

/* Private handle. */
struct conc_idlers {
    struct conc_idlers_shared *shared;
    struct conc_board *board; /* borrowed; its head and tail are looked at */
    uint32_t worker_count;    /* slots in use, at most CONC_WORKERS_MAX */
    uint32_t cpu_count;       /* CPUs that we may use, at least 1 */
    uint32_t spin_limit;      /* cpu_count - 1; 0: nobody spins */
};

/* Worker enters or leaves its loop.  Who leaves passes on what it was
 * expected to do. */
void conc_idlers_attach(struct conc_idlers *idlers, uint32_t worker);
void conc_idlers_detach(struct conc_idlers *idlers, uint32_t worker);

/* After publishing one or more tasks: wake at most one worker by the rules
 * above, or see to it that there is a sentinel if enough are awake and
 * somebody sleeps.  Returns the number of system calls made. */
int conc_idlers_published(struct conc_idlers *idlers);

/* By each worker that has claimed a task and is about to run it, not counted
 * as spinner any more: if more are queued, keep the wakes going (same rules).
 * A few loads in the usual case. */
int conc_idlers_claimed(struct conc_idlers *idlers, uint32_t worker);

/* A worker asks to be counted as spinner: 1 if it may.  Called before it
 * pushes a result after which it might find nothing to do.  In both cases,
 * and after _end, it looks at the queue again. */
int conc_idlers_spin_begin(struct conc_idlers *idlers, uint32_t worker);
void conc_idlers_spin_end(struct conc_idlers *idlers, uint32_t worker);

/* A worker that found nothing sleeps until there may be something.  It must
 * not be counted as spinner any more.  Announces, looks at the queue once
 * more, sleeps; takes the sentinel's watch if it was chosen.  `stop` is
 * looked at after the announcement as well (the pool's closing word: non-zero
 * means do not sleep).  CONC_OK: look at the queue, or at `stop`;
 * CONC_TIMEOUT: deadline_ns passed and the queue is empty; CONC_INTR: a signal
 * handler ran. */
int conc_idlers_sleep(struct conc_idlers *idlers, uint32_t worker,
                      const _Atomic uint32_t *stop, int64_t deadline_ns);

/* Wake every worker: closing, or after a death. */
void conc_idlers_wake_all(struct conc_idlers *idlers);

/* After the death of a worker: take it out of every word. */
void conc_idlers_forget(struct conc_idlers *idlers, uint32_t worker);

#endif
