/* See native.h.
 *
 * Edges:
 *   D1 -> D2  state: what the function wrote is seen by whoever finds it DONE,
 *             and what the attendant did before it registered by the worker
 *             that wakes it.  After D1 the worker reads nothing of the task.
 */
#include "threads/native.h"

#include "platform/check.h"
#include "platform/clock.h"
#include "platform/forks.h"
#include "platform/relax.h"
#include "platform/status.h"
#include "py/compat.h"
#include "py/park.h"

#define DONE ((uintptr_t)1)

#define AS_THREADS(source) PYCONC_THREAD_ENGINE((source)->engine)

/* --- one call ------------------------------------------------------------ */

/* A short call has ended before whoever submitted it asks for the result: the
 * worker waits so many turns, of 10 to 60 ns, before it takes the GIL, which
 * would hold that thread up. */
#define LINGER_SPINS 150

/* Whether the task was completed meanwhile. */
static int
linger(const struct pyconc_thread_worker *worker)
{
    for (int i = 0; i < LINGER_SPINS; i++) {
        if (conc_load_rlx(&worker->is_back)) { /* a hint */
            return 1;
        }
        conc_cpu_relax();
    }
    return 0;
}

static int
run_task(struct pyconc_errand *errand, struct pyconc_thread_worker *worker)
{
    struct pyconc_native *native = (struct pyconc_native *)errand;

    native->ops->run(native);
    pyconc_thread_errand_done(worker);
    /* D1, D2 */
    uintptr_t before = conc_exchange_acqrel(&native->state, DONE);
    if (before == 0) {
        return !linger(worker); /* nobody else may ever complete it */
    }
    struct pyconc_single *single = (struct pyconc_single *)before;
    (void)conc_parker_wake(&single->waiter.parker);
    pyconc_single_drop(single);
    return 0;
}

void
pyconc_native_send(struct pyconc_thread_task *task,
                   struct pyconc_thread_worker *worker)
{
    task->native->errand.run = run_task;
    task->native->worker = worker;
    pyconc_thread_send(worker, &task->native->errand);
}

PyObject *
pyconc_native_run(struct pyconc_native *native)
{
    Py_BEGIN_ALLOW_THREADS
    native->ops->run(native);
    Py_END_ALLOW_THREADS
    return native->ops->result(native);
}

static void
forget_attendant(struct pyconc_native *native)
{
    if (native->attendant != NULL) {
        native->attendant->waiter.attended = NULL;
        native->attendant = NULL;
    }
}

void
pyconc_native_free(struct pyconc_native *native)
{
    if (native != NULL) {
        forget_attendant(native);
        native->ops->free(native);
    }
}

void
pyconc_native_reap(struct pyconc_thread_engine *engine,
                   struct pyconc_thread_task *task)
{
    struct pyconc_native *native = task->native;
    struct pyconc_thread_worker *worker = native->worker;
    uint8_t kind = PYCONC_VALUE_RESULT;

    CONC_ASSERT(conc_load_acq(&native->state) == DONE); /* D2 */
    /* First: from here on nobody else finds it. */
    forget_attendant(native);
    if (task->owner != NULL && task->outcome->task == task) {
        task->outcome->task = NULL;
    }
    worker->task = NULL;
    if (worker->borrower == task) {
        pyconc_thread_give_back(engine, worker);
    }
    PyObject *value = native->ops->result(native);
    if (value == NULL) {
        kind = PYCONC_VALUE_EXCEPTION;
        value = pyconc_error_take();
    }
    pyconc_thread_complete(engine, task, value, kind);
}

void
pyconc_native_attend(struct pyconc_source *source,
                     struct pyconc_outcome *outcome,
                     struct pyconc_single *single)
{
    struct pyconc_thread_task *task = outcome->task;

    /* Callbacks are the worker's. */
    if (task == NULL || task->native == NULL || outcome->has_callbacks ||
        outcome->deferred) {
        return;
    }
    uintptr_t before = 0;
    /* relaxed: the worker sees it through D2 */
    (void)conc_fetch_add_rlx(&single->references, 1);
    if (conc_cas_acqrel(&task->native->state, &before, /* D1, D2 */
                        (uintptr_t)single)) {
        task->native->attendant = single;
        single->waiter.attended = task;
        return;
    }
    pyconc_single_drop(single);
    if (before == DONE) {
        pyconc_native_reap(AS_THREADS(source), task);
    }
}

void
pyconc_native_look(struct pyconc_source *source, void *attended)
{
    struct pyconc_thread_task *task = attended;

    if (conc_load_acq(&task->native->state) == DONE) { /* D2 */
        pyconc_native_reap(AS_THREADS(source), task);
    }
}

void
pyconc_native_desert(struct pyconc_source *source,
                     struct pyconc_single *single)
{
    struct pyconc_thread_task *task = single->waiter.attended;
    uintptr_t mine = (uintptr_t)single;

    if (conc_cas_acqrel(&task->native->state, &mine, 0)) { /* D1, D2 */
        forget_attendant(task->native);
        pyconc_single_drop(single);
        return;
    }
    /* It has ended, and the worker relies on this thread. */
    PyObject *error = PyErr_Occurred() ? pyconc_error_take() : NULL;
    pyconc_native_reap(AS_THREADS(source), task);
    if (error != NULL) {
        pyconc_error_restore(error);
    }
}

/* --- a range ------------------------------------------------------------- */

/* In the engine's list, on the host's stack, as long as workers may join. */
struct pyconc_hosted {
    struct pyconc_hosted *next;
    struct pyconc_hosted *previous;
    struct conc_team *team;
};

/* A worker that was sent to join. */
struct join {
    struct pyconc_errand errand;
    struct conc_team *team; /* a reference */
};

static void
join_free(struct join *join)
{
    conc_team_drop(join->team);
    PyMem_RawFree(join);
}

static int
run_join(struct pyconc_errand *errand, struct pyconc_thread_worker *worker)
{
    struct join *join = (struct join *)errand;
    int32_t seat = conc_team_enter(join->team);

    if (seat >= 0) {
        (void)conc_team_work(join->team, (uint32_t)seat, CONC_NEVER);
    }
    pyconc_thread_errand_done(worker);
    if (seat >= 0) {
        conc_team_leave(join->team);
    }
    join_free(join);
    return 0;
}

int
pyconc_thread_join_ranges(struct pyconc_thread_engine *engine)
{
    struct pyconc_hosted *hosted = engine->hosted;
    int joined = 0;

    while (hosted != NULL && !engine->halted) {
        struct conc_team *team = hosted->team;
        int32_t seat = conc_team_enter(team);
        if (seat < 0) {
            hosted = hosted->next;
            continue;
        }
        conc_team_hold(team);
        Py_BEGIN_ALLOW_THREADS(void)
        conc_team_work(team, (uint32_t)seat, CONC_NEVER);
        conc_team_leave(team);
        conc_team_drop(team);
        Py_END_ALLOW_THREADS
        joined = 1;
        hosted = engine->hosted; /* that one may have gone */
    }
    return joined;
}

static void
link_hosted(struct pyconc_thread_engine *engine, struct pyconc_hosted *hosted)
{
    hosted->previous = NULL;
    hosted->next = engine->hosted;
    if (hosted->next != NULL) {
        hosted->next->previous = hosted;
    }
    engine->hosted = hosted;
}

static void
unlink_hosted(struct pyconc_thread_engine *engine,
              struct pyconc_hosted *hosted)
{
    if (hosted->previous == NULL) {
        engine->hosted = hosted->next;
    }
    else {
        hosted->previous->next = hosted->next;
    }
    if (hosted->next != NULL) {
        hosted->next->previous = hosted->previous;
    }
}

static void
send_helpers(struct pyconc_thread_engine *engine, struct pyconc_hosted *hosted,
             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct join *join = PyMem_RawMalloc(sizeof(*join));
        if (join == NULL) {
            return; /* then with fewer */
        }
        struct pyconc_thread_worker *worker =
            pyconc_thread_borrow(engine, hosted);
        if (worker == NULL) {
            PyMem_RawFree(join);
            return;
        }
        join->errand.run = run_join;
        join->team = hosted->team;
        conc_team_hold(hosted->team);
        pyconc_thread_send(worker, &join->errand);
    }
}

/* Those that have not even started need not come any more. */
static void
give_helpers_back(struct pyconc_thread_engine *engine,
                  struct pyconc_hosted *hosted)
{
    struct pyconc_thread_worker *worker = engine->workers;

    for (; worker != NULL; worker = worker->next) {
        if (worker->borrower != hosted) {
            continue; /* or it has come back by itself */
        }
        struct pyconc_errand *errand =
            conc_exchange_acqrel(&worker->errand, NULL); /* N2, crew.c */
        if (errand != NULL) {
            join_free((struct join *)errand);
        }
        pyconc_thread_give_back(engine, worker);
    }
}

/* Look at signals.  0; -1: a handler raised, and no further call begins; 1:
 * this is a child that a handler forked. */
static int
look_at_signals(struct conc_team *team, uint32_t forks)
{
    int status = PyErr_CheckSignals();

    if (forks != conc_forks_count() && status < 0) {
        return 1;
    }
    if (forks != conc_forks_count()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the process was forked while this thread worked off "
                        "a range: what other threads had of it is lost");
        return 1;
    }
    if (status < 0) {
        conc_team_stop(team);
    }
    return status;
}

/* The helpers finish at about the same time: that is not worth taking the GIL
 * back for. */
static void
close_and_spin(struct conc_team *team)
{
    if (conc_team_close(team) > 0) {
        for (int i = 0; i < LINGER_SPINS && conc_team_inside(team) > 0; i++) {
            conc_cpu_relax();
        }
    }
}

int
pyconc_thread_range(struct pyconc_thread_engine *engine,
                    conc_range_function function, void *context, int64_t n,
                    int64_t grain, uint32_t threads)
{
    static _Thread_local struct conc_patience patience;
    static const _Atomic uint32_t nobody_leaves;
    uint32_t forks = conc_forks_count();
    struct pyconc_hosted hosted = {
        .team = conc_team_new(function, context, n, grain, threads)};
    int outcome = 0, status;

    if (hosted.team == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    link_hosted(engine, &hosted);
    send_helpers(engine, &hosted, threads - 1);
    do {
        Py_BEGIN_ALLOW_THREADS
        status =
            conc_team_work(hosted.team, 0, pyconc_sleep_limit_ns(CONC_NEVER));
        if (status == CONC_OK) {
            close_and_spin(hosted.team);
        }
        Py_END_ALLOW_THREADS
        outcome = look_at_signals(hosted.team, forks);
    } while (outcome == 0 && status == CONC_TIMEOUT);
    if (outcome <= 0) {
        (void)conc_team_close(hosted.team);
        while (outcome <= 0 && conc_team_inside(hosted.team) > 0) {
            pyconc_park(conc_team_host(hosted.team), &patience, &nobody_leaves,
                        NULL, CONC_NEVER);
            conc_parker_take_wake(conc_team_host(hosted.team));
            if (outcome == 0) {
                outcome = look_at_signals(hosted.team, forks);
            }
        }
    }
    if (outcome > 0) {
        return -1; /* the list and the team are the parent's */
    }
    unlink_hosted(engine, &hosted);
    give_helpers_back(engine, &hosted);
    conc_team_drop(hosted.team);
    return outcome;
}
