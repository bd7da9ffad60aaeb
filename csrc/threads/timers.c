/* See timers.h.  GIL: held in all of these. */
#include "threads/timers.h"

#include "platform/clock.h"
#include "platform/forks.h"
#include "platform/status.h"
#include "py/compat.h"

/* So many tasks are moved to the list in one hold of the GIL: some 0.1 ms. */
#define BATCH 1024

/* The sleeper does not sleep, or will look before it does. */
#define AWAKE INT64_MIN

/* --- timers -------------------------------------------------------------- */

static struct pyconc_timer *
timer_of(struct conc_timer *timer)
{
    return (
        struct pyconc_timer *)(void *)((char *)timer -
                                       offsetof(struct pyconc_timer, timer));
}

/* One that is in no heap yet. */
static struct pyconc_timer *
timer_new(PyObject *owner, enum pyconc_target target,
          struct pyconc_outcome *outcome, PyObject *callable,
          PyObject *arguments, PyObject *keywords)
{
    struct pyconc_timer *timer = PyMem_Malloc(sizeof(*timer));

    if (timer == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *timer = (struct pyconc_timer){
        .task =
            {
                .owner = Py_NewRef(owner),
                .outcome = outcome,
                .callable = Py_NewRef(callable),
                .arguments = Py_NewRef(arguments),
                .keywords = Py_XNewRef(keywords),
                .target = (uint8_t)target,
                .call = PYCONC_CALL_PLAIN,
            },
    };
    return timer;
}

/* One that is neither in the heap nor in the list. */
static void
timer_free(struct pyconc_timer *timer)
{
    struct pyconc_thread_task task = timer->task;

    PyMem_Free(timer);
    Py_XDECREF(task.callable);
    Py_XDECREF(task.arguments);
    Py_XDECREF(task.keywords);
    Py_XDECREF(task.context);
    Py_XDECREF(task.owner);
}

static void
wake_sleeper(struct pyconc_timers *timers)
{
    timers->wakes_at_ns = AWAKE;
    (void)conc_parker_wake(&timers->parker);
}

static void
count_one_more(struct pyconc_thread_engine *engine, PyObject *executor)
{
    struct pyconc_timers *timers = engine->timers;

    if (timers->count++ == 0) {
        timers->executor = Py_NewRef(executor);
        pyconc_engine_feeder_begin(&engine->base, &timers->reading);
    }
}

/* One less: in the same breath as the heap or the list of periodic tasks
 * changes, for whatever runs code may fork.  Returns the reference that the
 * caller lets go of in the end, or NULL: that may end the executor. */
static PyObject *
count_one_less(struct pyconc_thread_engine *engine)
{
    struct pyconc_timers *timers = engine->timers;

    if (--timers->count > 0) {
        return NULL;
    }
    PyObject *executor = timers->executor;
    timers->executor = NULL;
    if (engine->base.phase != PYCONC_ENGINE_OPEN) {
        wake_sleeper(timers); /* to leave */
    }
    pyconc_engine_feeder_end(&engine->base, &timers->reading);
    return executor;
}

/* Into the heap: 0, or -1 with MemoryError.  `executor` is only needed if
 * nothing else is counted. */
static int
set(struct pyconc_thread_engine *engine, struct pyconc_timer *timer,
    int64_t due_ns, PyObject *executor)
{
    struct pyconc_timers *timers = engine->timers;

    if (conc_timer_heap_add(&timers->heap, &timer->timer, due_ns) != CONC_OK) {
        PyErr_NoMemory();
        return -1;
    }
    timer->task.timed = 1;
    timer->task.outcome->task = &timer->task;
    count_one_more(engine, executor);
    if (due_ns < timers->wakes_at_ns) {
        wake_sleeper(timers);
    }
    return 0;
}

/* Out of the heap, but still counted. */
static void
unset(struct pyconc_thread_engine *engine, struct pyconc_thread_task *task)
{
    struct pyconc_timers *timers = engine->timers;

    conc_timer_heap_remove(&timers->heap,
                           &((struct pyconc_timer *)(void *)task)->timer);
    task->timed = 0;
    if (task->outcome->task == task) {
        task->outcome->task = NULL;
    }
    if (timers->due_waiters != NULL) {
        pyconc_engine_wake_list(&timers->due_waiters);
    }
}

PyObject *
pyconc_timers_take_out(struct pyconc_thread_engine *engine,
                       struct pyconc_thread_task *task)
{
    unset(engine, task);
    return count_one_less(engine);
}

int
pyconc_timers_await(struct pyconc_thread_engine *engine,
                    struct pyconc_outcome *outcome)
{
    struct pyconc_thread_task *task = outcome->task;
    int status = 0;

    while (status == 0 && task != NULL && task->timed) {
        status = pyconc_engine_wait_on(
            &engine->base, &engine->timers->due_waiters, CONC_NEVER);
        task = outcome->task;
    }
    return status;
}

/* --- periodic tasks ------------------------------------------------------ */

static void
link_periodic(struct pyconc_timers *timers, struct pyconc_periodic *periodic)
{
    Py_INCREF(periodic);
    periodic->linked = 1;
    periodic->previous = NULL;
    periodic->next = timers->periodics;
    if (periodic->next != NULL) {
        periodic->next->previous = periodic;
    }
    timers->periodics = periodic;
}

/* It has ended.  The list's reference is the caller's now; returns what
 * count_one_less returns. */
static PyObject *
unlink_periodic(struct pyconc_thread_engine *engine,
                struct pyconc_periodic *periodic)
{
    struct pyconc_timers *timers = engine->timers;
    struct pyconc_outcome *outcome = &periodic->future->outcome;

    if (periodic->previous == NULL) {
        timers->periodics = periodic->next;
    }
    else {
        periodic->previous->next = periodic->next;
    }
    if (periodic->next != NULL) {
        periodic->next->previous = periodic->previous;
    }
    periodic->linked = 0;
    if (outcome->task == periodic) {
        outcome->task = NULL;
    }
    return count_one_less(engine);
}

static void
release_periodic(struct pyconc_periodic *periodic)
{
    Py_CLEAR(periodic->callable);
    Py_CLEAR(periodic->arguments);
    Py_CLEAR(periodic->keywords);
    Py_CLEAR(periodic->context);
}

/* Set the timer of the next run: 0, or -1 with an exception. */
static int
arm(struct pyconc_thread_engine *engine, struct pyconc_periodic *periodic,
    PyObject *executor)
{
    struct pyconc_timer *timer =
        timer_new((PyObject *)periodic, PYCONC_TARGET_PERIODIC, &periodic->run,
                  periodic->callable, periodic->arguments, periodic->keywords);

    if (timer == NULL) {
        return -1;
    }
    if (periodic->context != NULL) {
        timer->task.context = PyContext_Copy(periodic->context);
        if (timer->task.context == NULL) {
            timer_free(timer);
            return -1;
        }
    }
    if (!periodic->linked) { /* cancelled while the context was made */
        timer_free(timer);
        return 0;
    }
    periodic->run.state = PYCONC_PENDING;
    if (set(engine, timer, periodic->due_ns, executor) < 0) {
        timer_free(timer);
        return -1;
    }
    return 0;
}

/* It ends with this value (stolen) for its future. */
static void
finish_periodic(struct pyconc_thread_engine *engine,
                struct pyconc_periodic *periodic, PyObject *value,
                uint8_t kind)
{
    /* From here on cancel() comes too late. */
    periodic->future->outcome.state = PYCONC_RUNNING;
    PyObject *executor = unlink_periodic(engine, periodic);
    pyconc_future_finish(periodic->future, value, kind);
    release_periodic(periodic);
    Py_DECREF(periodic);
    Py_XDECREF(executor);
}

/* Its future is done: by cancel(), or somebody else has set its outcome.  A
 * run under way goes on. */
static void
drop_periodic(struct pyconc_thread_engine *engine,
              struct pyconc_periodic *periodic)
{
    struct pyconc_source *tasks = &engine->base.source;
    PyObject *executor = unlink_periodic(engine, periodic);

    (void)tasks->ops->cancel(tasks, &periodic->run);
    release_periodic(periodic);
    Py_DECREF(periodic);
    Py_XDECREF(executor);
}

static void
cancel_future(PyObject *future)
{
    PyObject *result = PyObject_CallMethod(future, "cancel", NULL);

    if (result == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(result);
}

/* Runs that would have begun meanwhile become one, at once; then it goes on as
 * if nothing had been missed. */
static int64_t
next_due_ns(const struct pyconc_periodic *periodic, int64_t now_ns)
{
    int64_t from_ns = periodic->due_ns, period_ns = periodic->period_ns;

    if (periodic->repeat == PYCONC_REPEAT_WITH_DELAY) {
        from_ns = now_ns;
    }
    else if (now_ns - from_ns >= period_ns) {
        return now_ns - (now_ns - from_ns) % period_ns;
    }
    return from_ns < CONC_NEVER - period_ns ? from_ns + period_ns : CONC_NEVER;
}

void
pyconc_periodic_ran(struct pyconc_thread_engine *engine, PyObject *object,
                    PyObject *value, uint8_t kind)
{
    struct pyconc_periodic *periodic = (struct pyconc_periodic *)object;

    if (kind != PYCONC_VALUE_EXCEPTION) {
        Py_CLEAR(value); /* runs anything */
    }
    if (!periodic->linked) { /* cancelled during the run */
        Py_XDECREF(value);
        return;
    }
    if (pyconc_outcome_is_done(&periodic->future->outcome)) {
        Py_XDECREF(value);
        drop_periodic(engine, periodic);
        return;
    }
    if (value == NULL && engine->base.broken != NULL) {
        value = Py_NewRef(engine->base.broken);
    }
    if (value == NULL && engine->base.phase != PYCONC_ENGINE_OPEN) {
        cancel_future((PyObject *)periodic->future);
        return;
    }
    if (value == NULL) {
        periodic->due_ns = next_due_ns(periodic, conc_clock_now_ns());
        if (arm(engine, periodic, NULL) == 0) {
            return;
        }
        value = pyconc_error_take();
    }
    finish_periodic(engine, periodic, value, PYCONC_VALUE_EXCEPTION);
}

void
pyconc_periodic_abandon(struct pyconc_thread_engine *engine, PyObject *object,
                        PyObject *error)
{
    struct pyconc_periodic *periodic = (struct pyconc_periodic *)object;

    if (periodic->linked) {
        PyObject *executor = unlink_periodic(engine, periodic);
        pyconc_outcome_abandon(&periodic->future->outcome, error);
        release_periodic(periodic);
        Py_DECREF(periodic);
        Py_XDECREF(executor);
    }
}

static void
periodic_dealloc(PyObject *self)
{
    struct pyconc_periodic *periodic = (struct pyconc_periodic *)self;
    PyTypeObject *type = Py_TYPE(self);

    release_periodic(periodic);
    Py_CLEAR(periodic->future);
    type->tp_free(self);
    Py_DECREF(type);
}

static char periodic_doc[] =
    PyDoc_STR("What a thread pool does again and again.");

static PyType_Slot periodic_slots[] = {
    {Py_tp_doc, periodic_doc},
    {Py_tp_dealloc, (void *)periodic_dealloc},
    {0, NULL},
};

/* As tasks, these are not for the garbage collector: who waits to be run is
 * no garbage, whatever refers to it. */
PyType_Spec pyconc_periodic_spec = {
    .name = "pyconc._core.PeriodicTask",
    .basicsize = sizeof(struct pyconc_periodic),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = periodic_slots,
};

/* --- the source of the futures of periodic tasks ------------------------- */

static struct pyconc_thread_engine *
engine_of(struct pyconc_source *source)
{
    return PYCONC_THREAD_ENGINE(source->engine);
}

static int
check_op(struct pyconc_source *source)
{
    (void)pyconc_engine_adopt(&engine_of(source)->base);
    return 0;
}

static int
ready_nogil_op(struct pyconc_source *Py_UNUSED(source))
{
    return 0;
}

static void
drain_op(struct pyconc_source *Py_UNUSED(source), Py_ssize_t Py_UNUSED(enough))
{
}

/* Between runs, and also during one: that goes on, and is the last. */
static int
cancel_op(struct pyconc_source *source, struct pyconc_outcome *outcome)
{
    struct pyconc_thread_engine *engine = engine_of(source);
    struct pyconc_periodic *periodic = outcome->task;

    if (periodic == NULL) {
        return 0;
    }
    /* Before anything is let go of, which may run anything. */
    outcome->state = PYCONC_CANCELLED_AND_NOTIFIED;
    drop_periodic(engine, periodic);
    return 1;
}

static int
running_op(struct pyconc_source *Py_UNUSED(source),
           struct pyconc_outcome *outcome)
{
    struct pyconc_periodic *periodic = outcome->task;

    return periodic != NULL && periodic->run.state == PYCONC_RUNNING;
}

static int
need_collector_op(struct pyconc_source *Py_UNUSED(source))
{
    return 0;
}

static const struct pyconc_source_ops source_ops = {
    .check = check_op,
    .ready_nogil = ready_nogil_op,
    .drain = drain_op,
    .cancel = cancel_op,
    .running = running_op,
    .need_collector = need_collector_op,
};

/* --- scheduling ---------------------------------------------------------- */

int
pyconc_timers_enable(struct pyconc_thread_engine *engine, PyObject *grow)
{
    if (engine->timers != NULL) {
        return 0; /* another thread was quicker */
    }
    struct pyconc_timers *timers = PyMem_Calloc(1, sizeof(*timers));
    if (timers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    timers->source.ops = &source_ops;
    timers->source.engine = (PyObject *)engine;
    timers->wakes_at_ns = AWAKE;
    timers->grow = Py_NewRef(grow);
    engine->timers = timers;
    return 0;
}

void
pyconc_timers_free(struct pyconc_thread_engine *engine)
{
    struct pyconc_timers *timers = engine->timers;

    if (timers != NULL) {
        /* Timers and periodic tasks hold the engine by their futures: there
         * are none. */
        engine->timers = NULL;
        conc_timer_heap_fini(&timers->heap);
        Py_XDECREF(timers->grow);
        PyMem_Free(timers);
    }
}

static int
set_once(struct pyconc_thread_engine *engine, const struct pyconc_plan *plan,
         struct pyconc_future *future)
{
    struct pyconc_timer *timer =
        timer_new((PyObject *)future, PYCONC_TARGET_OUTCOME, &future->outcome,
                  plan->callable, plan->arguments, plan->keywords);

    if (timer == NULL) {
        return -1;
    }
    if (engine->copies_context) {
        timer->task.context = PyContext_CopyCurrent();
    }
    /* Again: what came before may have let another thread close the pool. */
    if ((engine->copies_context && timer->task.context == NULL) ||
        pyconc_engine_check_open(&engine->base) < 0 ||
        set(engine, timer, plan->due_ns, plan->executor) < 0) {
        timer_free(timer);
        return -1;
    }
    return 0;
}

static int
set_again_and_again(struct pyconc_thread_engine *engine,
                    const struct pyconc_plan *plan,
                    struct pyconc_future *future)
{
    PyTypeObject *type = engine->base.state->periodic_type;
    struct pyconc_periodic *periodic =
        (struct pyconc_periodic *)type->tp_alloc(type, 0);

    if (periodic == NULL) {
        return -1;
    }
    periodic->run.object = (PyObject *)periodic;
    periodic->future = (struct pyconc_future *)Py_NewRef((PyObject *)future);
    periodic->callable = Py_NewRef(plan->callable);
    periodic->arguments = Py_NewRef(plan->arguments);
    periodic->keywords = Py_XNewRef(plan->keywords);
    periodic->due_ns = plan->due_ns;
    periodic->period_ns = plan->period_ns;
    periodic->repeat = (uint8_t)plan->repeat;
    if (engine->copies_context) {
        periodic->context = PyContext_CopyCurrent();
    }
    if ((engine->copies_context && periodic->context == NULL) ||
        pyconc_engine_check_open(&engine->base) < 0) {
        Py_DECREF(periodic);
        return -1;
    }
    link_periodic(engine->timers, periodic);
    future->outcome.task = periodic;
    count_one_more(engine, plan->executor);
    int status = arm(engine, periodic, plan->executor);
    if (status < 0) {
        PyObject *error = pyconc_error_take();
        cancel_future((PyObject *)future);
        pyconc_error_restore(error);
    }
    Py_DECREF(periodic);
    return status;
}

PyObject *
pyconc_timers_schedule(struct pyconc_thread_engine *engine,
                       const struct pyconc_plan *plan)
{
    int repeats = plan->repeat != PYCONC_REPEAT_NEVER;
    struct pyconc_future *future = pyconc_future_new(
        (PyTypeObject *)engine->base.future_type,
        repeats ? &engine->timers->source : &engine->base.source);

    if (future == NULL) {
        return NULL;
    }
    if ((repeats ? set_again_and_again(engine, plan, future)
                 : set_once(engine, plan, future)) < 0) {
        Py_DECREF(future);
        return NULL;
    }
    return (PyObject *)future;
}

/* --- the sleeper --------------------------------------------------------- */

/* More tasks than workers: start another.  What was queued last fails if
 * there is nobody who could ever run it. */
static void
grow(struct pyconc_thread_engine *engine, struct pyconc_thread_task *task,
     struct pyconc_outcome *outcome)
{
    if (!engine->base.ops->wants_worker(&engine->base)) {
        return;
    }
    conc_clock_set_precise(false); /* threads inherit it */
    PyObject *result = PyObject_CallNoArgs(engine->timers->grow);
    conc_clock_set_precise(true);
    if (result != NULL) {
        Py_DECREF(result);
        pyconc_thread_published(engine);
        return;
    }
    PyObject *error = pyconc_error_take();
    if (engine->worker_count == 0 && outcome->task == task) {
        pyconc_thread_take_out(engine, task);
        pyconc_thread_complete(engine, task, Py_NewRef(error),
                               PYCONC_VALUE_EXCEPTION);
    }
    Py_DECREF(error);
}

/* A timer of a periodic task is due: whether it shall run.  If not, the task
 * has ended. */
static int
goes_on(struct pyconc_thread_engine *engine, struct pyconc_periodic *periodic)
{
    if (pyconc_outcome_is_done(&periodic->future->outcome)) {
        drop_periodic(engine, periodic);
        return 0;
    }
    if (engine->base.phase != PYCONC_ENGINE_OPEN) {
        cancel_future((PyObject *)periodic->future);
        return 0;
    }
    return 1;
}

/* Move the first timer to the list. */
static void
fire(struct pyconc_thread_engine *engine, struct pyconc_timer *timer)
{
    struct pyconc_thread_task *task = &timer->task;
    struct pyconc_outcome *outcome = task->outcome;
    PyObject *owner = Py_NewRef(task->owner);
    PyObject *executor = NULL;

    if (task->target == PYCONC_TARGET_PERIODIC &&
        !goes_on(engine, (struct pyconc_periodic *)owner)) {
        ;
    }
    else if (pyconc_outcome_is_done(outcome)) {
        /* somebody else has set its result */
        executor = pyconc_timers_take_out(engine, task);
        timer_free(timer);
    }
    else {
        unset(engine, task);
        pyconc_thread_enqueue(engine, task);
        executor = count_one_less(engine);
        grow(engine, task, outcome);
    }
    Py_DECREF(owner);
    Py_XDECREF(executor);
}

/* Move what is due; 1 in a child that something here has forked. */
static int
fire_due(struct pyconc_thread_engine *engine, uint32_t forks)
{
    struct conc_timer_heap *heap = &engine->timers->heap;
    int64_t now_ns = conc_clock_now_ns();

    for (int i = 0; i < BATCH && conc_timer_heap_due_ns(heap) <= now_ns; i++) {
        fire(engine, timer_of(conc_timer_heap_first(heap)));
        if (CONC_UNLIKELY(forks != conc_forks_count())) {
            return 1;
        }
    }
    return 0;
}

static int
shall_leave(const struct pyconc_thread_engine *engine)
{
    return engine->halted || (engine->timers->heap.count == 0 &&
                              (engine->base.phase != PYCONC_ENGINE_OPEN ||
                               engine->base.broken != NULL));
}

void
pyconc_timers_watch(struct pyconc_thread_engine *engine)
{
    struct pyconc_timers *timers = engine->timers;
    uint32_t forks = conc_forks_count();

    if (timers == NULL || timers->sleeper == PYCONC_SLEEPER_WORKS) {
        return; /* its start was given up, and another one was started */
    }
    timers->sleeper = PYCONC_SLEEPER_WORKS;
    conc_clock_set_precise(true);
    for (;;) {
        if (fire_due(engine, forks) != 0) {
            return;
        }
        if (shall_leave(engine)) {
            break;
        }
        conc_parker_reset(&timers->parker);
        int64_t due_ns = conc_timer_heap_due_ns(&timers->heap);
        int64_t limit_ns = due_ns;
        if (due_ns == CONC_NEVER && engine->idle_timeout_ns != CONC_NEVER) {
            limit_ns = conc_deadline_after(engine->idle_timeout_ns);
        }
        timers->wakes_at_ns = due_ns;
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = conc_parker_sleep(&timers->parker, limit_ns);
        Py_END_ALLOW_THREADS
        timers->wakes_at_ns = AWAKE;
        if (status == CONC_TIMEOUT && due_ns == CONC_NEVER &&
            timers->count == 0) {
            break;
        }
    }
    timers->sleeper = PYCONC_SLEEPER_NONE;
}

/* --- ends ---------------------------------------------------------------- */

int
pyconc_timers_list(struct pyconc_thread_engine *engine, PyObject *futures,
                   int everything)
{
    struct pyconc_timers *timers = engine->timers;
    int status = 0;

    if (timers == NULL) {
        return 0;
    }
    struct pyconc_periodic *periodic = timers->periodics;
    for (; periodic != NULL && status == 0; periodic = periodic->next) {
        status = PyList_Append(futures, (PyObject *)periodic->future);
    }
    for (size_t i = 0; everything && i < timers->heap.count && status == 0;
         i++) {
        struct pyconc_timer *timer = timer_of(timers->heap.entries[i].timer);
        if (timer->task.target == PYCONC_TARGET_OUTCOME) {
            status = PyList_Append(futures, timer->task.owner);
        }
    }
    return status;
}

int
pyconc_timers_cancel(struct pyconc_thread_engine *engine, int everything)
{
    if (engine->timers == NULL) {
        return 0;
    }
    PyObject *futures = PyList_New(0);
    if (futures == NULL ||
        pyconc_timers_list(engine, futures, everything) < 0) {
        Py_XDECREF(futures);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(futures); i++) {
        cancel_future(PyList_GET_ITEM(futures, i));
    }
    Py_DECREF(futures);
    wake_sleeper(engine->timers);
    return 0;
}

void
pyconc_timers_fail(struct pyconc_thread_engine *engine, PyObject *error)
{
    struct pyconc_timers *timers = engine->timers;
    struct conc_timer *first;

    if (timers == NULL) {
        return;
    }
    while ((first = conc_timer_heap_first(&timers->heap)) != NULL) {
        struct pyconc_thread_task *task = &timer_of(first)->task;
        unset(engine, task);
        engine->base.pending++;
        PyObject *executor = count_one_less(engine);
        pyconc_thread_complete(engine, task, Py_NewRef(error),
                               PYCONC_VALUE_EXCEPTION);
        Py_XDECREF(executor);
    }
    wake_sleeper(timers);
}

void
pyconc_timers_after_fork(struct pyconc_thread_engine *engine, PyObject *error)
{
    struct pyconc_timers *timers = engine->timers;
    struct conc_timer *first;

    if (timers == NULL) {
        return;
    }
    /* Who waits there is on the stack of a thread that is not here. */
    timers->due_waiters = NULL;
    timers->sleeper = PYCONC_SLEEPER_NONE;
    timers->wakes_at_ns = AWAKE;
    conc_parker_reset(&timers->parker);
    while ((first = conc_timer_heap_first(&timers->heap)) != NULL) {
        struct pyconc_thread_task *task = &timer_of(first)->task;
        unset(engine, task);
        engine->base.pending++;
        PyObject *executor = count_one_less(engine);
        pyconc_thread_abandon(engine, task, error);
        Py_XDECREF(executor);
    }
    while (timers->periodics != NULL) {
        pyconc_periodic_abandon(engine, (PyObject *)timers->periodics, error);
    }
}
