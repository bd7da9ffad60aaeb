/* The rules are in the header; here is why no task is left waiting while
 * somebody sleeps.
 *
 * A worker LOOKS when it claims from the queue until it finds it empty or has
 * a task; if it has one and the queue is not empty, it calls
 * conc_idlers_claimed, which either finds a reason to leave it at that or
 * wakes or appoints somebody.  Every access to the words here, and to the
 * queue's tail, is sequentially consistent, so "before" below is one order.
 *
 * Invariant: after each publish of a task, until it is taken, one of these
 * holds, or nobody sleeps:
 *   a  the publisher, or a worker in conc_idlers_claimed, has yet to read the
 *      words here;
 *   b  a worker that spins, or one that was roused, has yet to look;
 *   c  the sentinel sleeps with a timeout, or has yet to look;
 *   d  a worker that had announced sleep has yet to look a second time.
 *
 * Each way out of pass_on() leaves one of them behind:
 *   - nobody sleeps.  A worker that announces later looks after that (S1 ->
 *     S2): d.
 *   - somebody spins: it stops spinning after our read, and looks after that
 *     (N1 -> N2): b.
 *   - `rousing` names somebody: that worker takes its name out after our
 *     read, and looks after that (N1 -> N2): b.
 *   - `sentinel` names somebody: as before, or it stays on watch: c.
 *   - we named a worker.  The name goes in first, then we see whether it
 *     still had announced sleep; a worker that wakes up takes its
 *     announcement back first, then looks for its name (A1 -> A2).  So either
 *     it sees its name, and the two cases above hold for whoever relied on
 *     it; or we see that it had gone, take the name out and begin again: a.
 *
 * The sentinel takes its name out before it looks at the queue for the last
 * time (N1 -> N2), whether it goes to work or back to sleep without a
 * timeout; and when it goes to work and leaves tasks behind, its call of
 * conc_idlers_claimed appoints a successor.
 *
 * Deaths.  The supervisor calls conc_idlers_forget, for what the dead
 * announced, and conc_idlers_wake_all, for what it had promised: that takes
 * all names out (they may be left from a dead namer, for a worker that does
 * not know) and then makes everybody look.
 *
 * Edges, all sequentially consistent:
 *   S1 -> S2  sleeping against tail: announce, then look at the queue;
 *             publish (P2 in board.c), then look for sleepers.
 *   N1 -> N2  spinning, rousing, sentinel against tail: take the own name
 *             out, then look at the queue; publish, then look for names.
 *   A1 -> A2  names against sleeping: name, then see whether it sleeps; take
 *             the announcement back, then look for the own name.
 *   K1 -> K2  wake: the words are changed before it moves; a sleeper reads it
 *             before it looks at them, and the futex compares it. */
#include "ring/idlers.h"

#include <limits.h>
#include <stdbool.h>

#include "platform/check.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "platform/status.h"

/* The sentinel's period.  The first: three times what waking an idle CPU
 * takes (20-45 us), so that a wake in progress is not taken for a stuck queue;
 * and with the kernel's 50 us of timer slack the doubling 1, 2, 4, 8, 16 still
 * starts 32 blocking tasks in about 1.3 ms (2 cores of an EPYC VM).  The
 * longest: 500 timer interrupts a second beside a queue that flows, and at
 * most 2.3 ms until a flow that stops is noticed. */
#define CONC_WATCH_FIRST_NS INT64_C(150000)
#define CONC_WATCH_LONGEST_NS INT64_C(2000000)

/* Tasks that take less than a wake costs (waker, woken and the cache misses of
 * both) do not become faster by more workers. */
#define CONC_TASK_WORTH_A_WAKE_NS UINT64_C(50000)

struct watch {
    bool on;
    int64_t since_ns; /* the last look at head and tail */
    int64_t period_ns;
    uint64_t head;
    uint64_t tail;
    uint32_t burst; /* how many to wake if the head is old next time */
};

static inline uint32_t
word_count(const struct conc_idlers *idlers)
{
    return (idlers->worker_count + 63) / 64;
}

static inline uint64_t
bit_of(uint32_t worker)
{
    return UINT64_C(1) << (worker % 64);
}

/* One word of a bitmask, without bits that name no worker of ours. */
static inline uint64_t
load_word(const struct conc_idlers *idlers, const _Atomic uint64_t *words,
          uint32_t i)
{
    uint32_t rest = idlers->worker_count - i * 64;
    uint64_t mask = rest >= 64 ? UINT64_MAX : bit_of(rest) - 1;
    return conc_load_sc(&words[i]) & mask;
}

static uint32_t
count(const struct conc_idlers *idlers, const _Atomic uint64_t *words)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < word_count(idlers); i++) {
        bits += (uint32_t)__builtin_popcountll(load_word(idlers, words, i));
    }
    return bits;
}

static bool
any(const struct conc_idlers *idlers, const _Atomic uint64_t *words)
{
    for (uint32_t i = 0; i < word_count(idlers); i++) {
        if (load_word(idlers, words, i) != 0) {
            return true;
        }
    }
    return false;
}

static bool
set_bit(_Atomic uint64_t *words, uint32_t worker)
{
    uint64_t bit = bit_of(worker);
    return (conc_fetch_or_sc(&words[worker / 64], bit) & bit) != 0;
}

static bool
clear_bit(_Atomic uint64_t *words, uint32_t worker)
{
    uint64_t bit = bit_of(worker);
    return (conc_fetch_and_sc(&words[worker / 64], ~bit) & bit) != 0;
}

static bool
has_bit(const _Atomic uint64_t *words, uint32_t worker)
{
    return (conc_load_sc(&words[worker / 64]) & bit_of(worker)) != 0;
}

/* Workers that are attached and have not announced sleep. */
static uint32_t
count_awake(const struct conc_idlers *idlers)
{
    uint32_t attached = count(idlers, idlers->shared->attached);
    uint32_t sleeping = count(idlers, idlers->shared->sleeping);
    return attached > sleeping ? attached - sleeping : 0;
}

/* The sleeper to wake: always the lowest, so that the same few stay warm. */
static uint32_t
lowest_sleeper(const struct conc_idlers *idlers, uint32_t except)
{
    for (uint32_t i = 0; i < word_count(idlers); i++) {
        uint64_t word = load_word(idlers, idlers->shared->sleeping, i);
        if (except / 64 == i) {
            word &= ~bit_of(except);
        }
        if (word != 0) {
            return i * 64 + (uint32_t)__builtin_ctzll(word);
        }
    }
    return CONC_WORKER_NONE;
}

/* The sentinel to be: the highest, whose turn to work comes last. */
static uint32_t
highest_sleeper(const struct conc_idlers *idlers)
{
    for (uint32_t i = word_count(idlers); i-- > 0;) {
        uint64_t word = load_word(idlers, idlers->shared->sleeping, i);
        if (word != 0) {
            return i * 64 + 63 - (uint32_t)__builtin_clzll(word);
        }
    }
    return CONC_WORKER_NONE;
}

/* Put a worker's name in, if nobody's is there. */
static bool
name(_Atomic uint32_t *word, uint32_t worker)
{
    uint32_t nobody = 0;
    return conc_cas_sc(word, &nobody, worker + 1); /* A1, with A2 */
}

/* Take a worker's name out, if it is there. */
static void
unname(_Atomic uint32_t *word, uint32_t worker)
{
    uint32_t named = worker + 1;
    if (conc_load_sc(word) == named) {
        conc_cas_sc(word, &named, 0); /* N1, with N2 */
    }
}

/* Make a worker look at the words again. */
static void
rouse(struct conc_idlers *idlers, uint32_t worker)
{
    _Atomic uint32_t *wake = &idlers->shared->idlers[worker].wake;
    conc_fetch_add_sc(wake, 1); /* K1, pairs with K2 in conc_idlers_sleep */
    CONC_CRASH_POINT("idlers.moved");
    conc_futex_wake_shared(wake, INT_MAX);
    CONC_CRASH_POINT("idlers.woken");
}

/* Tasks are queued: see that somebody cares.  The number of system calls. */
static int
pass_on(struct conc_idlers *idlers)
{
    struct conc_idlers_shared *shared = idlers->shared;
    /* Each turn beyond the first means that a sleeper went meanwhile. */
    for (uint32_t turn = 0; turn <= idlers->worker_count; turn++) {
        uint32_t target = lowest_sleeper(idlers, CONC_WORKER_NONE); /* S2 */
        if (target == CONC_WORKER_NONE ||
            conc_load_sc(&shared->rousing) != 0 || /* N2 */
            any(idlers, shared->spinning)) {       /* N2 */
            return 0;
        }
        if (count_awake(idlers) < idlers->cpu_count) {
            if (!name(&shared->rousing, target)) {
                return 0;
            }
            CONC_CRASH_POINT("idlers.named");
            if (clear_bit(shared->sleeping, target)) { /* A2 */
                CONC_CRASH_POINT("idlers.picked");
                rouse(idlers, target);
                return 1;
            }
            unname(&shared->rousing, target);
            continue;
        }
        if (conc_load_sc(&shared->sentinel) != 0) { /* N2 */
            return 0;
        }
        target = highest_sleeper(idlers);
        if (target == CONC_WORKER_NONE || !name(&shared->sentinel, target)) {
            return 0;
        }
        CONC_CRASH_POINT("idlers.sentinel");
        if (has_bit(shared->sleeping, target)) { /* A2 */
            rouse(idlers, target);
            return 1;
        }
        unname(&shared->sentinel, target);
    }
    conc_idlers_wake_all(idlers); /* not by any order of events of ours */
    return 1;
}

void
conc_idlers_attach(struct conc_idlers *idlers, uint32_t worker)
{
    CONC_ASSERT(worker < idlers->worker_count);
    conc_idlers_forget(idlers, worker); /* what a predecessor left */
    set_bit(idlers->shared->attached, worker);
    CONC_CRASH_POINT("idlers.attached");
}

void
conc_idlers_detach(struct conc_idlers *idlers, uint32_t worker)
{
    conc_idlers_forget(idlers, worker);
    CONC_CRASH_POINT("idlers.detached");
    if (conc_board_backlog(idlers->board) != 0) { /* N2 */
        pass_on(idlers);
    }
}

int
conc_idlers_published(struct conc_idlers *idlers)
{
    return pass_on(idlers);
}

int
conc_idlers_claimed(struct conc_idlers *idlers, uint32_t worker)
{
    CONC_ASSERT(!has_bit(idlers->shared->spinning, worker));
    (void)worker;
    return conc_board_backlog(idlers->board) != 0 ? pass_on(idlers) : 0;
}

int
conc_idlers_spin_begin(struct conc_idlers *idlers, uint32_t worker)
{
    _Atomic uint64_t *spinning = idlers->shared->spinning;
    if (count(idlers, spinning) >= idlers->spin_limit) {
        return 0;
    }
    set_bit(spinning, worker);
    CONC_CRASH_POINT("idlers.spinning");
    if (count(idlers, spinning) > idlers->spin_limit) {
        clear_bit(spinning, worker); /* somebody came first */
        return 0;
    }
    return 1;
}

void
conc_idlers_spin_end(struct conc_idlers *idlers, uint32_t worker)
{
    clear_bit(idlers->shared->spinning, worker); /* N1, with N2 in pass_on */
    CONC_CRASH_POINT("idlers.spun");
}

static void
watch_begin(struct watch *watch, uint64_t head, uint64_t tail)
{
    *watch = (struct watch){
        .on = true,
        .since_ns = conc_clock_now_ns(),
        .period_ns = CONC_WATCH_FIRST_NS,
        .head = head,
        .tail = tail,
        .burst = 1,
    };
}

/* A period is over and the queue is not empty.  False: the sentinel is
 * needed for work itself. */
static bool
watch_look(struct conc_idlers *idlers, uint32_t worker, struct watch *watch,
           uint64_t head, uint64_t tail)
{
    struct conc_idlers_shared *shared = idlers->shared;
    int64_t now_ns = conc_clock_now_ns();
    uint64_t elapsed_ns = (uint64_t)(now_ns - watch->since_ns);
    uint64_t taken = head - watch->head;
    bool young = (int64_t)(head - watch->tail) >= 0;
    bool flows = taken > 0 && taken * CONC_TASK_WORTH_A_WAKE_NS >=
                                  count_awake(idlers) * elapsed_ns;
    bool enough = true;
    if (young || flows) {
        watch->burst = 1;
        /* A young task behind a head that did not move may become old. */
        watch->period_ns =
            taken == 0 ? CONC_WATCH_FIRST_NS : 2 * watch->period_ns;
        if (watch->period_ns > CONC_WATCH_LONGEST_NS) {
            watch->period_ns = CONC_WATCH_LONGEST_NS;
        }
    }
    else {
        for (uint32_t i = 0; i < watch->burst && enough; i++) {
            uint32_t target = lowest_sleeper(idlers, worker);
            enough = target != CONC_WORKER_NONE;
            if (enough && clear_bit(shared->sleeping, target)) {
                CONC_CRASH_POINT("idlers.picked");
                rouse(idlers, target);
            }
        }
        /* not beyond what can be needed: bounds the loop above */
        if (watch->burst < CONC_WORKERS_MAX) {
            watch->burst *= 2;
        }
        watch->period_ns = CONC_WATCH_FIRST_NS;
    }
    watch->since_ns = now_ns;
    watch->head = head;
    watch->tail = tail;
    return enough;
}

/* Sleep as announced.  CONC_OK, CONC_TIMEOUT, CONC_INTR as from
 * conc_idlers_sleep. */
static int
sleep_announced(struct conc_idlers *idlers, uint32_t worker,
                const _Atomic uint32_t *stop, int64_t deadline_ns)
{
    struct conc_idlers_shared *shared = idlers->shared;
    const struct conc_board *board = idlers->board;
    _Atomic uint32_t *wake = &shared->idlers[worker].wake;
    struct watch watch = {.on = false};
    bool slept = false;
    bool period_over = false;
    for (;;) {
        uint32_t ticket = conc_load_sc(wake); /* K2, pairs with K1 in rouse */
        if (conc_load_sc(stop) != 0 || !has_bit(shared->sleeping, worker)) {
            return CONC_OK;
        }
        bool named = conc_load_sc(&shared->sentinel) == worker + 1;
        uint64_t head = conc_load_acq(&board->shared->head);
        uint64_t tail = conc_load_sc(&board->shared->tail); /* S2, N2 */
        if (head == tail) {
            watch.on = false;
            if (named) {
                /* Whoever relies on our watch published before we took the
                 * name out, so look again. */
                unname(&shared->sentinel, worker);
                CONC_CRASH_POINT("idlers.resigned");
                continue;
            }
        }
        else if (!named || !slept) {
            /* Awake anyway: work, also if somebody just made us sentinel. */
            return CONC_OK;
        }
        else if (!watch.on) {
            watch_begin(&watch, head, tail);
        }
        else if (period_over &&
                 !watch_look(idlers, worker, &watch, head, tail)) {
            return CONC_OK;
        }

        int64_t until_ns = deadline_ns;
        bool timed =
            watch.on && watch.since_ns + watch.period_ns < deadline_ns;
        if (timed) {
            until_ns = watch.since_ns + watch.period_ns;
        }
        int status = conc_futex_wait_shared(wake, ticket, until_ns);
        slept = true;
        period_over = timed && status == CONC_TIMEOUT;
        if (status == CONC_INTR || (status == CONC_TIMEOUT && !timed)) {
            return status;
        }
    }
}

int
conc_idlers_sleep(struct conc_idlers *idlers, uint32_t worker,
                  const _Atomic uint32_t *stop, int64_t deadline_ns)
{
    struct conc_idlers_shared *shared = idlers->shared;
    CONC_ASSERT(!has_bit(shared->spinning, worker));
    set_bit(shared->sleeping, worker); /* S1, pairs with S2 in pass_on */
    CONC_CRASH_POINT("idlers.announced");
    int status = sleep_announced(idlers, worker, stop, deadline_ns);
    clear_bit(shared->sleeping, worker); /* A1, pairs with A2 in pass_on */
    CONC_CRASH_POINT("idlers.left");
    unname(&shared->rousing, worker);
    unname(&shared->sentinel, worker);
    CONC_CRASH_POINT("idlers.unnamed");
    /* With CONC_OK the caller looks at the queue.  Who comes back for another
     * reason may have been woken for a task at the same time. */
    if (status != CONC_OK && conc_board_backlog(idlers->board) != 0) { /* N2 */
        if (status == CONC_TIMEOUT) {
            return CONC_OK;
        }
        pass_on(idlers);
    }
    return status;
}

void
conc_idlers_wake_all(struct conc_idlers *idlers)
{
    struct conc_idlers_shared *shared = idlers->shared;
    /* Names first: nobody shall rely on one that nobody answers to. */
    conc_store_sc(&shared->rousing, 0);
    conc_store_sc(&shared->sentinel, 0);
    for (uint32_t i = 0; i < idlers->worker_count; i++) {
        rouse(idlers, i);
    }
}

void
conc_idlers_forget(struct conc_idlers *idlers, uint32_t worker)
{
    struct conc_idlers_shared *shared = idlers->shared;
    clear_bit(shared->attached, worker);
    clear_bit(shared->sleeping, worker);
    clear_bit(shared->spinning, worker);
    unname(&shared->rousing, worker);
    unname(&shared->sentinel, worker);
}
