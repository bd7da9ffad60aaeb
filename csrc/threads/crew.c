/* The workers of a thread pool: who runs, who spins, who sleeps, whom to
 * rouse; docs/internals/gil.md has the measurements.
 *
 * Every worker needs the GIL to take a task and, mostly, to run it.  To wake
 * a second worker for the next task would cost more than to run it, and both
 * would then want the GIL.  So one worker is roused for a burst and runs task
 * after task in one hold, letting others have the GIL as the interpreter
 * does.  For tasks that block without the GIL (sleep, wait for the network)
 * another idle worker watches: the sentinel sleeps with a timeout, without
 * the GIL, and when the task at the head of the queue has been waiting for a
 * whole period it goes to work and rouses others, twice as many each time.
 *
 * Idle workers form a list, newest first, which is also the order in which
 * they are roused: the same few stay warm, the others may time out.
 *
 * Invariant T2 (engine.h).  Each step with the GIL leaves it true:
 *   - a task is queued: pyconc_thread_published sees to it;
 *   - a worker takes a task and leaves others behind: pass_on();
 *   - the one that was roused looks, takes a task if there is one: pass_on();
 *   - a worker becomes idle: it does so only with an empty queue, or for a
 *     moment after its start, when whoever started it publishes;
 *   - the sentinel leaves its watch.  It does that without the GIL: it
 *     resigns, then looks at the queue (R1 -> R2) and, if it is not empty,
 *     goes to work.  Whoever found it watching (R2) had added the task
 *     before, so the resigned sentinel sees it (Q1 -> Q2).
 *
 * Edges:
 *   Q1 -> Q2  added: a task is queued before somebody relies on the watch.
 *   R1 -> R2  parker (ring/parker.c): the watch is left before the last look
 *             at `added`.
 *   F1 -> F2  is_free: a worker says that it has done its errand, then looks
 *             for queued tasks; who queues one (Q1) then looks for free
 *             workers.  Before others learn that the errand is done: they may
 *             send the next one, and then the worker is not free.
 *   N1 -> N2  errand, is_roused: written before the worker is woken; the
 *             worker looks at them after it has noted the wake. */
#include "platform/clock.h"
#include "platform/cpus.h"
#include "platform/forks.h"
#include "platform/status.h"
#include "py/compat.h"
#include "py/park.h"
#include "threads/engine.h"
#include "threads/timers.h"

/* The sentinel's period, as for processes (ring/idlers.c). */
#define WATCH_FIRST_NS INT64_C(150000)
#define WATCH_LONGEST_NS INT64_C(2000000)

/* Tasks that take less than a wake costs do not become faster by more
 * workers. */
#define TASK_WORTH_A_WAKE_NS UINT64_C(50000)

/* More than anybody has threads: bounds the doubling. */
#define BURST_MAX 4096

/* How long a worker that starts waits for whoever started it to go on. */
#define START_NS 200000

/* The interpreter's switch interval: tasks that never come by its eval loop
 * (calls of C functions) must not keep others from the GIL for longer. */
#define GIL_HOLD_NS 5000000

static _Thread_local struct pyconc_thread_worker *current;

/* Threads of this process that spin as idle workers.  A hint. */
static _Atomic uint32_t spinners;

struct pyconc_thread_worker *
pyconc_thread_current(void)
{
    return current;
}

/* --- the idle list (GIL held) -------------------------------------------- */

/* relaxed: only changed with the GIL held, a hint for the sentinel */
static void
count_busy(struct pyconc_thread_engine *engine, uint32_t change)
{
    conc_store_rlx(&engine->busy, conc_load_rlx(&engine->busy) + change);
}

static void
push_idle(struct pyconc_thread_engine *engine,
          struct pyconc_thread_worker *worker)
{
    worker->is_idle = 1;
    worker->newer = NULL;
    worker->older = engine->newest;
    if (engine->newest == NULL) {
        engine->oldest = worker;
    }
    else {
        engine->newest->newer = worker;
    }
    engine->newest = worker;
    engine->idle_count++;
    count_busy(engine, UINT32_MAX);
}

static void
remove_idle(struct pyconc_thread_engine *engine,
            struct pyconc_thread_worker *worker)
{
    if (!worker->is_idle) {
        return;
    }
    worker->is_idle = 0;
    if (worker->newer == NULL) {
        engine->newest = worker->older;
    }
    else {
        worker->newer->older = worker->older;
    }
    if (worker->older == NULL) {
        engine->oldest = worker->newer;
    }
    else {
        worker->older->newer = worker->newer;
    }
    engine->idle_count--;
    count_busy(engine, 1);
    if (engine->sentinel == worker) {
        engine->sentinel = NULL;
    }
}

static void
rouse(struct pyconc_thread_engine *engine, struct pyconc_thread_worker *worker)
{
    remove_idle(engine, worker);
    /* relaxed: a hint */
    worker->let_go_seen = conc_load_rlx(&pyconc_let_go);
    conc_patience_waker(&worker->patience);
    conc_store_sc(&worker->is_roused, 1); /* N1 */
    (void)conc_parker_wake(&worker->parker);
}

static int
is_watched(const struct pyconc_thread_engine *engine)
{
    return engine->sentinel != NULL &&
           conc_parker_is_watching(&engine->sentinel->parker); /* R2 */
}

static void take_back(struct pyconc_thread_engine *engine);

void
pyconc_thread_published(struct pyconc_thread_engine *engine)
{
    if (engine->newest == NULL && engine->borrowed > 0) {
        take_back(engine);
    }
    struct pyconc_thread_worker *worker = engine->newest;

    if (worker == NULL || engine->rousing != NULL || engine->queued == 0) {
        return;
    }
    /* The first task of a burst is worth a wake even if the watch for the
     * last burst is still on. */
    if (engine->queued > 1 && is_watched(engine)) {
        return;
    }
    engine->rousing = worker;
    engine->burst = 1;
    rouse(engine, worker);
}

/* A worker has taken a task: if it leaves others behind, somebody shall
 * watch. */
static void
pass_on(struct pyconc_thread_engine *engine)
{
    while (engine->queued > 0 && engine->rousing == NULL &&
           engine->oldest != NULL && !is_watched(engine)) {
        struct pyconc_thread_worker *worker = engine->oldest;
        worker->burst = engine->burst;
        engine->sentinel = worker;
        if (conc_parker_appoint(&worker->parker)) {
            return;
        }
        /* It has yet to note the wake for an errand that was called off. */
        engine->rousing = worker;
        rouse(engine, worker);
    }
}

/* --- errands (GIL held) -------------------------------------------------- */

static void
end_loan(struct pyconc_thread_engine *engine,
         struct pyconc_thread_worker *worker)
{
    if (worker->borrower != NULL) {
        worker->borrower = NULL;
        engine->borrowed--;
    }
}

/* Take borrowed workers back that have done their errand: the borrower may be
 * busy for long, in a signal handler for instance. */
static void
take_back(struct pyconc_thread_engine *engine)
{
    struct pyconc_thread_worker *worker = engine->workers;

    for (; worker != NULL && engine->borrowed > 0; worker = worker->next) {
        if (worker->borrower == NULL ||
            !conc_load_sc(&worker->is_free)) { /* F2 */
            continue;
        }
        end_loan(engine, worker);
        if (worker->task == NULL) {
            push_idle(engine, worker);
        }
        else {
            rouse(engine, worker); /* to complete that itself */
        }
    }
}

struct pyconc_thread_worker *
pyconc_thread_borrow(struct pyconc_thread_engine *engine, const void *borrower)
{
    struct pyconc_thread_worker *worker = engine->newest;

    /* The sentinel keeps its watch while there is something to watch. */
    if (worker != NULL && worker == engine->sentinel && engine->queued > 0) {
        worker = worker->older;
    }
    if (worker == NULL || engine->halted) {
        return NULL;
    }
    remove_idle(engine, worker);
    worker->borrower = borrower;
    engine->borrowed++;
    return worker;
}

void
pyconc_thread_send(struct pyconc_thread_worker *worker,
                   struct pyconc_errand *errand)
{
    conc_store_rlx(&worker->is_back, 0);    /* nobody looks yet */
    conc_store_rlx(&worker->is_free, 0);    /* as above */
    conc_store_sc(&worker->errand, errand); /* N1 */
    conc_patience_waker(&worker->patience);
    (void)conc_parker_wake(&worker->parker);
}

void
pyconc_thread_errand_done(struct pyconc_thread_worker *worker)
{
    conc_store_sc(&worker->is_free, 1); /* F1 */
}

void
pyconc_thread_give_back(struct pyconc_thread_engine *engine,
                        struct pyconc_thread_worker *worker)
{
    end_loan(engine, worker);
    conc_store_rlx(&worker->is_back, 1); /* a hint */
    if (engine->queued == 0 && engine->base.phase == PYCONC_ENGINE_OPEN &&
        !engine->halted && !worker->is_dismissed) {
        push_idle(engine, worker);
        return;
    }
    /* Something has happened that it was not there to be told of. */
    if (engine->rousing == NULL) {
        engine->rousing = worker;
        engine->burst = 1;
    }
    rouse(engine, worker);
}

void
pyconc_thread_rouse_all(struct pyconc_thread_engine *engine)
{
    struct pyconc_thread_worker *worker = engine->workers;

    for (; worker != NULL && engine->borrowed > 0; worker = worker->next) {
        if (worker->borrower != NULL) {
            rouse(engine, worker); /* after its errand */
        }
    }
    while (engine->newest != NULL) {
        rouse(engine, engine->newest);
    }
}

void
pyconc_thread_leaves(struct pyconc_thread_engine *engine,
                     struct pyconc_thread_worker *worker)
{
    if (!worker->is_leaving) {
        worker->is_leaving = 1;
        conc_fetch_add_rlx(&engine->base.source.leaving, 1);
    }
}

static void
stays(struct pyconc_thread_engine *engine, struct pyconc_thread_worker *worker)
{
    if (worker->is_leaving) {
        worker->is_leaving = 0;
        conc_fetch_add_rlx(&engine->base.source.leaving, UINT32_MAX);
    }
}

/* --- idle ---------------------------------------------------------------- */

/* On watch, without the GIL: until the head of the queue is old (CONC_OK),
 * or the parker moves (CONC_AGAIN). */
static int
watch_nogil(struct pyconc_thread_engine *engine,
            struct pyconc_thread_worker *worker)
{
    int64_t period_ns = WATCH_FIRST_NS;
    int64_t since_ns = conc_clock_now_ns();
    /* relaxed: only their movement counts, until the last look */
    uint64_t taken = conc_load_rlx(&engine->taken);
    uint64_t added = conc_load_rlx(&engine->added);

    for (;;) {
        int status = conc_parker_watch(&worker->parker, since_ns + period_ns);
        if (status == CONC_OK) {
            return CONC_AGAIN;
        }
        if (status != CONC_TIMEOUT) {
            continue;
        }
        int64_t now_ns = conc_clock_now_ns();
        uint64_t taken_now = conc_load_rlx(&engine->taken);
        uint64_t added_now = conc_load_rlx(&engine->added);
        uint64_t moved = taken_now - taken;
        if (taken_now == added_now) {
            if (!conc_parker_resign(&worker->parker)) { /* R1 */
                return CONC_AGAIN;
            }
            /* Q2 */
            return conc_load_sc(&engine->added) ==
                           conc_load_rlx(&engine->taken)
                       ? CONC_AGAIN
                       : CONC_OK;
        }
        int young = (int64_t)(taken_now - added) >= 0;
        uint64_t busy = conc_load_rlx(&engine->busy);
        int flows = moved > 0 && moved * TASK_WORTH_A_WAKE_NS >=
                                     busy * (uint64_t)(now_ns - since_ns);
        if (!young && !flows) {
            return CONC_OK;
        }
        worker->burst = 1;
        period_ns = moved == 0 ? WATCH_FIRST_NS : 2 * period_ns;
        if (period_ns > WATCH_LONGEST_NS) {
            period_ns = WATCH_LONGEST_NS;
        }
        since_ns = now_ns;
        taken = taken_now;
        added = added_now;
    }
}

/* Without the GIL: spin, sleep, watch, until the parker is woken (CONC_AGAIN),
 * the deadline has passed (CONC_TIMEOUT) or there is work (CONC_OK).
 * *slept_ns is 0 if spinning was enough. */
static int
rest_nogil(struct pyconc_thread_engine *engine,
           struct pyconc_thread_worker *worker, int64_t deadline_ns,
           int64_t spin_ns, int64_t *slept_ns)
{
    *slept_ns = 0;
    if (spin_ns > 0) {
        int found = 0;
        /* The thread with the GIL needs a CPU as well. */
        if (conc_fetch_add_rlx(&spinners, 1) <
            engine->base.source.spin_limit) {
            found = conc_parker_spin(&worker->parker, spin_ns);
        }
        conc_fetch_add_rlx(&spinners, UINT32_MAX);
        if (found && conc_parker_is_woken(&worker->parker)) {
            return CONC_AGAIN;
        }
    }
    int64_t asleep_ns = conc_clock_now_ns();
    int status = CONC_AGAIN;
    for (;;) {
        if (conc_parker_is_watching(&worker->parker) &&
            watch_nogil(engine, worker) == CONC_OK) {
            status = CONC_OK;
            break;
        }
        if (conc_parker_is_woken(&worker->parker)) {
            break;
        }
        int slept = conc_parker_sleep(&worker->parker, deadline_ns);
        if (slept == CONC_OK || slept == CONC_TIMEOUT) {
            status = slept == CONC_OK ? CONC_AGAIN : CONC_TIMEOUT;
            break;
        }
    }
    *slept_ns = conc_clock_now_ns() - asleep_ns;
    return status;
}

/* As rest_nogil, but for errands, which are done here. */
static int
idle_nogil(struct pyconc_thread_engine *engine,
           struct pyconc_thread_worker *worker, int64_t deadline_ns,
           int64_t spin_ns, int64_t *slept_ns)
{
    for (;;) {
        int status =
            rest_nogil(engine, worker, deadline_ns, spin_ns, slept_ns);
        if (status != CONC_AGAIN) {
            return status;
        }
        /* Not on the CPU of whoever sent it, who waits for it.  Read now:
         * once the errand is done the next one may be on its way. */
        int32_t waker = worker->patience.waker;
        uint32_t let_go_seen = worker->let_go_seen;
        conc_parker_take_wake(&worker->parker);
        struct pyconc_errand *errand =
            conc_exchange_acqrel(&worker->errand, NULL); /* N2 */
        if (errand != NULL) {
            if (errand->run(errand, worker) ||
                CONC_UNLIKELY(worker->forks != conc_forks_count())) {
                return CONC_AGAIN;
            }
            if (conc_load_sc(&engine->added) !=
                conc_load_rlx(&engine->taken)) { /* Q2 */
                return CONC_AGAIN;
            }
        }
        if (conc_load_sc(&worker->is_roused)) { /* N2 */
            if (errand == NULL && *slept_ns == 0) {
                pyconc_park_politely_nogil(let_go_seen);
            }
            return CONC_AGAIN;
        }
        /* Perhaps it was woken for an errand that was called off. */
        spin_ns =
            engine->base.source.spin_limit > 0 && waker != conc_cpu_now() + 1
                ? CONC_SPIN_NS
                : 0;
    }
}

/* Become idle until there is something to do.  As idle_nogil. */
static int
idle(struct pyconc_thread_engine *engine, struct pyconc_thread_worker *worker,
     int64_t deadline_ns)
{
    int64_t spin_ns = 0, slept_ns;

    if (engine->base.source.spin_limit > 0) {
        spin_ns = conc_patience_spin_ns(&worker->patience);
    }
    conc_parker_reset(&worker->parker);
    conc_store_rlx(&worker->is_roused, 0); /* relaxed: nobody looks yet */
    push_idle(engine, worker);
    PyThreadState *thread_state = PyEval_SaveThread();
    stays(engine, worker); /* the GIL is free now */
    int status = idle_nogil(engine, worker, deadline_ns, spin_ns, &slept_ns);
    PyEval_RestoreThread(thread_state);
    struct pyconc_errand *errand;
    while ((errand = conc_exchange_acqrel(&worker->errand, NULL)) != NULL) {
        /* N2: it came while this thread was on its way. */
        Py_BEGIN_ALLOW_THREADS(void)
        errand->run(errand, worker);
        Py_END_ALLOW_THREADS
    }
    end_loan(engine, worker); /* here it is */
    if (slept_ns == 0) {
        conc_patience_hit(&worker->patience);
    }
    else if (spin_ns > 0) {
        conc_patience_miss(&worker->patience, slept_ns);
    }
    worker->gil_since_ns = 0;
    if (!worker->is_idle) {
        status = CONC_AGAIN; /* roused at the same time */
    }
    else if (status == CONC_OK) {
        /* The sentinel goes to work, and so do others. */
        remove_idle(engine, worker);
        for (uint32_t i = 1; i < worker->burst && engine->newest != NULL;
             i++) {
            rouse(engine, engine->newest);
        }
        engine->burst =
            worker->burst < BURST_MAX ? 2 * worker->burst : BURST_MAX;
    }
    remove_idle(engine, worker);
    if (engine->rousing == worker) {
        engine->rousing = NULL;
    }
    return status;
}

/* --- the loop ------------------------------------------------------------ */

/* Let others have the GIL, if they have been waiting for it.  The eval loop
 * does that itself. */
static void
give_way(struct pyconc_thread_worker *worker)
{
    int64_t now_ns = conc_clock_now_ns();

    if (worker->gil_since_ns == 0) {
        worker->gil_since_ns = now_ns;
    }
    else if (now_ns - worker->gil_since_ns > GIL_HOLD_NS) {
        Py_BEGIN_ALLOW_THREADS
        Py_END_ALLOW_THREADS
        worker->gil_since_ns = 0;
    }
}

static struct pyconc_thread_worker *
attach(struct pyconc_thread_engine *engine)
{
    struct pyconc_thread_worker *worker = PyMem_Calloc(1, sizeof(*worker));

    if (worker == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    worker->engine = engine;
    worker->ident = PyThread_get_thread_ident();
    worker->forks = conc_forks_count();
    worker->next = engine->workers;
    if (worker->next != NULL) {
        worker->next->previous = worker;
    }
    engine->workers = worker;
    count_busy(engine, 1);
    current = worker;
    return worker;
}

static void
detach(struct pyconc_thread_engine *engine,
       struct pyconc_thread_worker *worker)
{
    current = NULL;
    engine->worker_count--; /* at once: a submit that comes next starts another
                             */
    count_busy(engine, UINT32_MAX);
    stays(engine, worker);
    if (worker->previous == NULL) {
        engine->workers = worker->next;
    }
    else {
        worker->previous->next = worker->next;
    }
    if (worker->next != NULL) {
        worker->next->previous = worker->previous;
    }
    PyMem_Free(worker);
    pass_on(engine);
}

/* Up to `limit` tasks until there is none, or the worker shall leave.  0, or 1
 * in a child that a task forked: the worker is the parent's. */
static int
run_tasks(struct pyconc_thread_engine *engine,
          struct pyconc_thread_worker *worker, Py_ssize_t limit)
{
    struct pyconc_thread_task *task = worker->task;

    if (task != NULL) { /* that it was sent to run */
        pyconc_native_reap(engine, task);
    }
    if (CONC_UNLIKELY(worker->forks != conc_forks_count())) {
        return 1;
    }
    while (limit-- > 0 && !engine->halted && !worker->is_dismissed &&
           (task = pyconc_thread_take(engine)) != NULL) {
        int may_hold = !PyFunction_Check(task->callable);
        uint64_t taken = conc_load_rlx(&engine->taken);
        stays(engine, worker);
        pass_on(engine);
        pyconc_thread_run_task(engine, worker, task);
        if (CONC_UNLIKELY(worker->forks != conc_forks_count())) {
            return 1;
        }
        if (conc_load_rlx(&engine->taken) != taken) {
            worker->gil_since_ns = 0; /* another worker had the GIL */
        }
        else if (may_hold && engine->queued > 0) {
            give_way(worker);
        }
    }
    return 0;
}

int
pyconc_thread_work(struct pyconc_thread_engine *engine)
{
    if (current != NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this thread is a worker of a pool already");
        return -1;
    }
    struct pyconc_thread_worker *worker = attach(engine);
    if (worker == NULL) {
        return -1;
    }
    /* Whoever started this thread waits for the GIL.  As in the stdlib the
     * task that it was started for is begun before that; but the others wait
     * until the starter goes on, and rouses us. */
    Py_ssize_t limit = 1;

    for (;;) {
        if (run_tasks(engine, worker, limit) != 0) {
            current = NULL;
            return 0;
        }
        if (pyconc_thread_join_ranges(engine)) {
            limit = PY_SSIZE_T_MAX;
            continue; /* tasks may have come */
        }
        int starting = engine->queued > 0;
        if (engine->halted || worker->is_dismissed ||
            (engine->base.phase != PYCONC_ENGINE_OPEN && !starting &&
             (engine->base.reading == NULL || engine->base.broken != NULL))) {
            break;
        }
        int64_t timeout_ns = starting ? START_NS : engine->idle_timeout_ns;
        int status =
            idle(engine, worker,
                 timeout_ns == CONC_NEVER ? CONC_NEVER
                                          : conc_deadline_after(timeout_ns));
        limit = PY_SSIZE_T_MAX;
        if (status == CONC_TIMEOUT && !starting && engine->queued == 0) {
            break;
        }
    }
    detach(engine, worker);
    return 0;
}

void
pyconc_thread_dismiss(struct pyconc_thread_engine *engine, unsigned long ident)
{
    struct pyconc_thread_worker *worker = engine->workers;

    while (worker != NULL && worker->ident != ident) {
        worker = worker->next;
    }
    if (worker != NULL) {
        worker->is_dismissed = 1;
        if (worker->is_idle || worker->borrower != NULL) {
            rouse(engine, worker);
        }
    }
}

void
pyconc_thread_after_fork(struct pyconc_thread_engine *engine)
{
    struct pyconc_thread_worker *worker = engine->workers;
    PyObject *error = PyObject_CallFunction(
        PyExc_RuntimeError, "s",
        "this task belongs to the parent process: its outcome cannot be had "
        "in a forked child");

    if (error == NULL) {
        error = pyconc_error_take();
    }
    if (engine->base.pool == NULL) {
        engine->base.forks = conc_forks_count(); /* an executor's: it grows */
    }
    engine->workers = engine->newest = engine->oldest = NULL;
    engine->hosted = NULL;
    engine->rousing = engine->sentinel = NULL;
    engine->idle_count = engine->worker_count = engine->borrowed = 0;
    conc_store_rlx(&engine->busy, 0); /* as all of this: alone by now */
    engine->base.source.collector = NULL;
    engine->base.has_collector = 0;
    conc_store_rlx(&engine->base.source.leaving, 0);
    conc_store_rlx(&spinners, 0);
    while (worker != NULL) {
        struct pyconc_thread_worker *next = worker->next;
        struct pyconc_thread_task *task =
            worker == current ? NULL : worker->task;
        while (task != NULL) {
            struct pyconc_thread_task *outer = task->outer;
            pyconc_thread_abandon(engine, task, error);
            task = outer;
        }
        if (worker != current) {
            PyMem_Free(worker);
        }
        worker = next;
    }
    struct pyconc_thread_task *task;
    while ((task = pyconc_thread_take(engine)) != NULL) {
        pyconc_thread_abandon(engine, task, error);
    }
    /* Who waits in these is on the stack of a thread that is not here. */
    engine->base.idle_waiters = engine->base.room_waiters = NULL;
    pyconc_timers_after_fork(engine, error);
    Py_DECREF(error);
}
