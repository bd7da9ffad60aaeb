/* Where one thread waits to be woken by name.
 *
 * One word.  Whoever wakes moves it to WOKEN, and makes a system call only if
 * the thread had gone to sleep by then; a thread that still spins sees the
 * word move.  Two wakers at a time are fine, two waiting threads are not.
 *
 * A parker may also be told to watch: its thread then sleeps in periods, and
 * looks at something in between.
 *
 * In which direction it may be wrong: ASLEEP or WATCHING with the thread not
 * yet, or no longer, in the futex call (a wasted system call); never AWAKE
 * while it sleeps. */
#ifndef CONC_RING_PARKER_H
#define CONC_RING_PARKER_H

#include <stdint.h>

#include "platform/atomics.h"

/* How long a waiting thread spins before it sleeps.  Waking an idle CPU takes
 * 20-45 us on the machines that we measured, so a wait shorter than that is
 * cheaper awake. */
#define CONC_SPIN_NS 20000

/* Two sides that answer each other in a microsecond fall out of step when one
 * of them had to be woken: the other one's 20 us are over before it answers,
 * and from then on each sleeps and is woken every time, 25 us instead of 2.
 * So a thread whose sleep turned out to be no longer than this spins for that
 * long the next time. */
#define CONC_LINGER_NS 150000

/* Waits in a row that may spin for nothing: then every second one spins, every
 * fourth, ... every 32nd.  Tasks may be long, or the CPUs busy. */
#define CONC_SPIN_MISSES 4

/* What a thread knows of how its last waits went.  For one thread at a time;
 * zeroed memory is valid. */
struct conc_patience {
    int32_t waker;   /* CPU of whoever woke it last, plus 1; 0: unknown */
    uint8_t lingers; /* the last sleep was short */
    uint8_t misses;  /* spins in a row that were for nothing */
    uint8_t skips;   /* waits that shall not spin */
};

/* How long to spin this time; 0: not.  Not on the CPU that the waker needs: if
 * the thread sleeps instead, it may wake up on another one. */
int64_t conc_patience_spin_ns(struct conc_patience *patience);
/* By whoever wakes. */
void conc_patience_waker(struct conc_patience *patience);
/* It was enough; or it was not, and the sleep took so long. */
void conc_patience_hit(struct conc_patience *patience);
void conc_patience_miss(struct conc_patience *patience, int64_t slept_ns);

enum conc_parker_state {
    CONC_PARKER_AWAKE = 0,
    CONC_PARKER_ASLEEP = 1,
    CONC_PARKER_WATCHING = 2,
    CONC_PARKER_WOKEN = 3,
};

struct conc_parker { /* zeroed memory is valid */
    _Atomic uint32_t word;
};

/* Edges:
 *   K1 -> K2  what the waker did before is seen by the woken.
 *   A1 -> A2  as K, for an appointment to watch. */

/* By the owner, while nobody can wake: a new wait begins. */
void conc_parker_reset(struct conc_parker *parker);

/* By the owner, whom others may wake all the time: note a wake.  What the
 * wakers did before is seen, and later wakes are not lost. */
void conc_parker_take_wake(struct conc_parker *parker);

/* By anybody.  Returns the number of system calls. */
int conc_parker_wake(struct conc_parker *parker);

/* By anybody: the owner shall watch.  False if it was woken before. */
int conc_parker_appoint(struct conc_parker *parker);

/* By the owner: the watch is over.  Sequentially consistent, so that whoever
 * finds it watching afterwards did what the owner looks at next.  False if it
 * was woken. */
int conc_parker_resign(struct conc_parker *parker);

int conc_parker_is_watching(const struct conc_parker *parker);
int conc_parker_is_woken(const struct conc_parker *parker);

/* By the owner: spin until the word moves, at most spin_ns.  True if it
 * moved. */
int conc_parker_spin(struct conc_parker *parker, int64_t spin_ns);

/* By the owner: sleep.  CONC_OK: woken; CONC_AGAIN: appointed, or for no
 * reason; CONC_TIMEOUT; CONC_INTR. */
int conc_parker_sleep(struct conc_parker *parker, int64_t deadline_ns);

/* By the owner, on watch: the same. */
int conc_parker_watch(struct conc_parker *parker, int64_t deadline_ns);

#endif
