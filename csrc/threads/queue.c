/* The tasks of a thread pool: queued, taken, run, completed.  GIL: held in
 * all of these. */
#include "future/future.h"
#include "py/compat.h"
#include "threads/engine.h"
#include "threads/timers.h"

#define AS_THREADS(engine) PYCONC_THREAD_ENGINE(engine)

/* --- the list ------------------------------------------------------------ */

static struct pyconc_thread_task *
task_new(PyObject *owner, enum pyconc_target target, enum pyconc_call call,
         PyObject *callable, PyObject *arguments)
{
    struct pyconc_thread_task *task = PyMem_Malloc(sizeof(*task));

    if (task == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *task = (struct pyconc_thread_task){
        .owner = Py_NewRef(owner),
        .callable = Py_NewRef(callable),
        .arguments = Py_NewRef(arguments),
        .target = (uint8_t)target,
        .call = (uint8_t)call,
    };
    return task;
}

/* What the task was made from goes; its owner stays. */
static void
task_release(struct pyconc_thread_task *task)
{
    Py_CLEAR(task->callable);
    Py_CLEAR(task->arguments);
    Py_CLEAR(task->keywords);
    Py_CLEAR(task->context);
    pyconc_native_free(task->native);
    task->native = NULL;
}

/* The task is accepted. */
static void
count(struct pyconc_thread_engine *engine, struct pyconc_thread_task *task)
{
    if (task->outcome != NULL) {
        task->outcome->task = task;
    }
    engine->base.pending++;
    pyconc_engine_accepted(&engine->base);
}

static void
add(struct pyconc_thread_engine *engine, struct pyconc_thread_task *task)
{
    task->next = NULL;
    task->previous = engine->last;
    if (engine->last == NULL) {
        engine->first = task;
    }
    else {
        engine->last->next = task;
    }
    engine->last = task;
    if (task->siblings != NULL) {
        if (task->siblings->last == NULL) {
            task->siblings->first = task;
        }
        else {
            ((struct pyconc_thread_task *)task->siblings->last)->sibling =
                task;
        }
        task->siblings->last = task;
    }
    engine->queued++;
    /* Q1, pairs with Q2 in crew.c */
    conc_store_sc(&engine->added, conc_load_rlx(&engine->added) + 1);
    count(engine, task);
}

void
pyconc_thread_take_out(struct pyconc_thread_engine *engine,
                       struct pyconc_thread_task *task)
{
    if (task->previous == NULL) {
        engine->first = task->next;
    }
    else {
        task->previous->next = task->next;
    }
    if (task->next == NULL) {
        engine->last = task->previous;
    }
    else {
        task->next->previous = task->previous;
    }
    if (task->outcome != NULL) {
        task->outcome->task = NULL;
    }
    if (task->siblings != NULL) {
        /* Tasks of a map leave in order, whoever takes them. */
        task->siblings->first = task->sibling;
        if (task->sibling == NULL) {
            task->siblings->last = NULL;
        }
        task->siblings = NULL;
    }
    engine->queued--;
    /* relaxed: only its movement counts */
    conc_store_rlx(&engine->taken, conc_load_rlx(&engine->taken) + 1);
}

void
pyconc_thread_enqueue(struct pyconc_thread_engine *engine,
                      struct pyconc_thread_task *task)
{
    add(engine, task);
    pyconc_thread_published(engine);
}

struct pyconc_thread_task *
pyconc_thread_take(struct pyconc_thread_engine *engine)
{
    struct pyconc_thread_task *task = engine->first;

    if (task != NULL) {
        pyconc_thread_take_out(engine, task);
    }
    return task;
}

/* --- running ------------------------------------------------------------- */

static PyObject *
call_each(PyObject *callable, PyObject *items, int star)
{
    PyObject *results = PyList_New(0);
    PyObject *iterator = PyObject_GetIter(items);
    PyObject *item;

    while (results != NULL && iterator != NULL &&
           (item = PyIter_Next(iterator)) != NULL) {
        PyObject *result;
        if (!star) {
            result = PyObject_CallOneArg(callable, item);
        }
        else {
            PyObject *arguments = PySequence_Tuple(item);
            result = arguments == NULL
                         ? NULL
                         : PyObject_Call(callable, arguments, NULL);
            Py_XDECREF(arguments);
        }
        Py_DECREF(item);
        if (result == NULL || PyList_Append(results, result) < 0) {
            Py_XDECREF(result);
            Py_CLEAR(results);
            break;
        }
        Py_DECREF(result);
    }
    if (iterator == NULL || PyErr_Occurred()) {
        Py_CLEAR(results);
    }
    Py_XDECREF(iterator);
    return results;
}

static PyObject *
call_plain(PyObject *callable, PyObject *arguments, PyObject *keywords)
{
    PyObject *positional = arguments, *named = keywords;
    PyObject *result = NULL;

    /* As f(*arguments, **keywords) would. */
    if (!PyTuple_CheckExact(arguments)) {
        positional = PySequence_Tuple(arguments);
        if (positional == NULL) {
            return NULL;
        }
    }
    if (keywords != NULL && !PyDict_CheckExact(keywords)) {
        named = PyDict_New();
        if (named != NULL && PyDict_Update(named, keywords) < 0) {
            Py_CLEAR(named);
            if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
                PyErr_Format(PyExc_TypeError,
                             "argument after ** must be a mapping, not %.200s",
                             Py_TYPE(keywords)->tp_name);
            }
        }
    }
    if (named != NULL || keywords == NULL) {
        result = PyObject_Call(callable, positional, named);
    }
    if (named != keywords) {
        Py_XDECREF(named);
    }
    if (positional != arguments) {
        Py_DECREF(positional);
    }
    return result;
}

static PyObject *
call(const struct pyconc_thread_task *task)
{
    if (task->native != NULL) {
        return pyconc_native_run(task->native);
    }
    switch ((enum pyconc_call)task->call) {
    case PYCONC_CALL_ITEM:
        return PyObject_CallOneArg(task->callable, task->arguments);
    case PYCONC_CALL_EACH:
        return call_each(task->callable, task->arguments, 0);
    case PYCONC_CALL_EACH_STAR:
        return call_each(task->callable, task->arguments, 1);
    case PYCONC_CALL_PLAIN:
        break;
    }
    return call_plain(task->callable, task->arguments, task->keywords);
}

static PyObject *
call_in_context(const struct pyconc_thread_task *task)
{
    if (task->context == NULL) {
        return call(task);
    }
    if (PyContext_Enter(task->context) < 0) {
        return NULL;
    }
    PyObject *result = call(task);
    PyObject *error = result == NULL ? pyconc_error_take() : NULL;
    if (PyContext_Exit(task->context) < 0) {
        PyErr_WriteUnraisable(task->callable);
    }
    if (error != NULL) {
        pyconc_raise_object(error);
        Py_DECREF(error);
    }
    return result;
}

/* The value (stolen) goes to the task's owner, which lets go of the task. */
static void
deliver(struct pyconc_thread_engine *engine, struct pyconc_thread_task *task,
        PyObject *value, uint8_t kind)
{
    PyObject *owner = task->owner;

    if (owner == NULL) { /* failed before, while it ran */
        Py_DECREF(value);
        return;
    }
    task->owner = NULL;
    engine->base.pending--;
    if (task->target == PYCONC_TARGET_OUTCOME &&
        PyObject_TypeCheck(owner, engine->base.state->future_type)) {
        pyconc_future_finish((struct pyconc_future *)owner, value, kind);
    }
    else if (task->target == PYCONC_TARGET_PERIODIC) {
        pyconc_periodic_ran(engine, owner, value, kind);
    }
    else {
        pyconc_engine_deliver((enum pyconc_target)task->target, owner,
                              task->outcome, task->index, value, kind, 0);
    }
    Py_DECREF(owner);
    engine->base.ops->settle(&engine->base);
}

void
pyconc_thread_complete(struct pyconc_thread_engine *engine,
                       struct pyconc_thread_task *task, PyObject *value,
                       uint8_t kind)
{
    deliver(engine, task, value, kind);
    task_release(task);
    PyMem_Free(task);
}

/* Somebody else has set the future's result: there is nothing to run. */
static void
abandon_done(struct pyconc_thread_engine *engine,
             struct pyconc_thread_task *task)
{
    PyObject *owner = task->owner;

    task->owner = NULL;
    engine->base.pending--;
    task_release(task);
    PyMem_Free(task);
    Py_DECREF(owner);
    engine->base.ops->settle(&engine->base);
}

void
pyconc_thread_run_task(struct pyconc_thread_engine *engine,
                       struct pyconc_thread_worker *worker,
                       struct pyconc_thread_task *task)
{
    uint8_t kind = PYCONC_VALUE_RESULT;

    if (task->outcome != NULL) {
        if (pyconc_outcome_is_done(task->outcome)) {
            abandon_done(engine, task);
            return;
        }
        task->outcome->state = PYCONC_RUNNING;
    }
    task->outer = worker->task;
    worker->task = task;
    PyObject *value = call_in_context(task);
    if (value == NULL) {
        kind = PYCONC_VALUE_EXCEPTION;
        value = pyconc_error_take();
    }
    /* Finalizers may let another thread fork, whose child has to find the task
     * here. */
    task_release(task);
    worker->task = task->outer;
    if (engine->queued == 0 && task->outer == NULL) {
        pyconc_thread_leaves(engine, worker);
    }
    pyconc_thread_complete(engine, task, value, kind);
}

void
pyconc_thread_abandon(struct pyconc_thread_engine *engine,
                      struct pyconc_thread_task *task, PyObject *error)
{
    PyObject *owner = task->owner;

    task_release(task);
    if (owner == NULL) {
        PyMem_Free(task);
        return;
    }
    engine->base.pending--;
    switch ((enum pyconc_target)task->target) {
    case PYCONC_TARGET_OUTCOME:
        pyconc_outcome_abandon(task->outcome, error);
        break;
    case PYCONC_TARGET_MAP:
        pyconc_outcome_abandon(&((struct pyconc_map *)owner)->apply.outcome,
                               error);
        break;
    case PYCONC_TARGET_IMAP:
        pyconc_imap_arrive(owner, task->index, Py_NewRef(error),
                           PYCONC_VALUE_EXCEPTION, 0);
        break;
    case PYCONC_TARGET_PERIODIC:
        pyconc_periodic_abandon(engine, owner, error);
        break;
    }
    PyMem_Free(task);
    Py_DECREF(owner);
}

/* --- what the layers above ask for --------------------------------------- */

static int
submit_task(struct pyconc_thread_engine *engine,
            struct pyconc_thread_task *task, int goes_on)
{
    int status = 0;

    if (engine->copies_context) {
        task->context = PyContext_CopyCurrent();
        status = task->context == NULL ? -1 : 0;
    }
    /* Again: what came before may have let another thread close the pool. */
    if (status == 0) {
        status = goes_on ? pyconc_engine_check_going(&engine->base)
                         : pyconc_engine_check_open(&engine->base);
    }
    if (status < 0) {
        task_release(task);
        Py_DECREF(task->owner);
        PyMem_Free(task);
        return -1;
    }
    add(engine, task);
    pyconc_thread_published(engine);
    return 0;
}

static int
call_op(struct pyconc_engine *base, struct pyconc_outcome *outcome,
        PyObject *callable, PyObject *arguments, PyObject *keywords)
{
    struct pyconc_thread_task *task =
        task_new(outcome->object, PYCONC_TARGET_OUTCOME, PYCONC_CALL_PLAIN,
                 callable, arguments);

    if (task == NULL) {
        return -1;
    }
    task->outcome = outcome;
    /* What is no mapping is the task's error. */
    if (keywords != NULL &&
        !(PyDict_CheckExact(keywords) && PyDict_GET_SIZE(keywords) == 0)) {
        task->keywords = Py_NewRef(keywords);
    }
    return submit_task(AS_THREADS(base), task, 0);
}

int
pyconc_thread_submit_native(struct pyconc_thread_engine *engine,
                            struct pyconc_outcome *outcome, PyObject *callable,
                            PyObject *arguments, struct pyconc_native *native)
{
    struct pyconc_thread_worker *worker = NULL;
    struct pyconc_thread_task *task =
        task_new(outcome->object, PYCONC_TARGET_OUTCOME, PYCONC_CALL_PLAIN,
                 callable, arguments);

    if (task == NULL) {
        pyconc_native_free(native);
        return -1;
    }
    task->outcome = outcome;
    task->native = native;
    if (engine->queued == 0 && engine->rousing == NULL &&
        pyconc_engine_check_open(&engine->base) == 0) {
        worker = pyconc_thread_borrow(engine, task);
    }
    if (worker == NULL) {
        return submit_task(engine, task, 0);
    }
    count(engine, task);
    outcome->state = PYCONC_RUNNING;
    worker->task = task;
    pyconc_native_send(task, worker);
    return 0;
}

static int
acquire_op(struct pyconc_engine *Py_UNUSED(engine), PyObject *callable,
           struct pyconc_callee *callee)
{
    callee->callable = Py_NewRef(callable);
    return 0;
}

static void
release_op(struct pyconc_engine *Py_UNUSED(engine),
           struct pyconc_callee *callee)
{
    Py_CLEAR(callee->callable);
}

static enum pyconc_call
call_of(enum pyconc_shape shape)
{
    switch (shape) {
    case PYCONC_SHAPE_STAR:
        return PYCONC_CALL_PLAIN;
    case PYCONC_SHAPE_CHUNK:
        return PYCONC_CALL_EACH;
    case PYCONC_SHAPE_STAR_CHUNK:
        return PYCONC_CALL_EACH_STAR;
    case PYCONC_SHAPE_ONE:
        break;
    }
    return PYCONC_CALL_ITEM;
}

static int
submit_op(struct pyconc_engine *engine,
          const struct pyconc_submission *submission)
{
    PyObject *payload = submission->payload;

    if (submission->end > 0) {
        payload =
            PySequence_GetSlice(payload, submission->start, submission->end);
        if (payload == NULL) {
            return -1;
        }
    }
    else {
        Py_INCREF(payload);
    }
    struct pyconc_thread_task *task = task_new(
        submission->owner, submission->target, call_of(submission->shape),
        submission->callee->callable, payload);
    Py_DECREF(payload);
    if (task == NULL) {
        return -1;
    }
    task->index = submission->index;
    task->siblings = submission->siblings;
    return submit_task(AS_THREADS(engine), task, submission->goes_on);
}

/* Reading on is held up where a process pool would hold it up. */
#define QUEUED_MANY 16384

static int
is_full_op(struct pyconc_engine *engine)
{
    return AS_THREADS(engine)->queued >= QUEUED_MANY;
}

static void
has_grown_op(struct pyconc_engine *engine)
{
    pyconc_thread_published(AS_THREADS(engine));
}

static void
after_fork_op(struct pyconc_engine *engine)
{
    pyconc_thread_after_fork(AS_THREADS(engine));
}

static int
wants_worker_op(struct pyconc_engine *base)
{
    struct pyconc_thread_engine *engine = AS_THREADS(base);
    Py_ssize_t at_hand = engine->idle_count + (engine->rousing != NULL);

    return engine->worker_count < engine->worker_limit &&
           engine->queued > at_hand;
}

static void
settle_op(struct pyconc_engine *base)
{
    struct pyconc_thread_engine *engine = AS_THREADS(base);

    if (base->room_waiters != NULL &&
        (engine->queued < QUEUED_MANY / 2 || base->broken != NULL ||
         base->phase != PYCONC_ENGINE_OPEN)) {
        pyconc_engine_wake_list(&base->room_waiters);
    }
    if (base->phase != PYCONC_ENGINE_OPEN && engine->queued == 0 &&
        (base->reading == NULL || base->broken != NULL)) {
        pyconc_thread_rouse_all(engine);
    }
    if (pyconc_engine_is_idle(base)) {
        pyconc_engine_settled(base);
    }
}

static int64_t
collector_nap_ns_op(struct pyconc_engine *Py_UNUSED(engine))
{
    return 0;
}

/* A task of this engine that runs and has an owner, or NULL. */
static struct pyconc_thread_task *
find_running(struct pyconc_thread_engine *engine)
{
    struct pyconc_thread_worker *worker = engine->workers;

    for (; worker != NULL; worker = worker->next) {
        struct pyconc_thread_task *task = worker->task;
        for (; task != NULL; task = task->outer) {
            if (task->owner != NULL) {
                return task;
            }
        }
    }
    return NULL;
}

/* What runs goes on; in an executor it also counts, as in the stdlib. */
static void
fail_all(struct pyconc_thread_engine *engine, PyObject *error)
{
    struct pyconc_thread_task *task;

    while ((task = pyconc_thread_take(engine)) != NULL) {
        pyconc_thread_complete(engine, task, Py_NewRef(error),
                               PYCONC_VALUE_EXCEPTION);
    }
    while (engine->base.pool != NULL &&
           (task = find_running(engine)) != NULL) {
        deliver(engine, task, Py_NewRef(error), PYCONC_VALUE_EXCEPTION);
    }
    pyconc_timers_fail(engine, error);
}

static void
fail_op(struct pyconc_engine *base, PyObject *error, PyObject *refusal)
{
    if (base->broken == NULL) {
        base->broken = Py_NewRef(refusal);
    }
    if (pyconc_engine_is_ours(base)) {
        fail_all(AS_THREADS(base), error);
    }
}

static void
halt_op(struct pyconc_engine *engine)
{
    AS_THREADS(engine)->halted = 1;
    pyconc_thread_rouse_all(AS_THREADS(engine));
}

static int
list_owners_op(struct pyconc_engine *engine, PyObject *owners)
{
    struct pyconc_thread_task *task = AS_THREADS(engine)->first;
    int status = 0;

    for (; task != NULL && status == 0; task = task->next) {
        status = PyList_Append(owners, task->owner);
    }
    return status < 0 ? -1 : pyconc_timers_list(AS_THREADS(engine), owners, 1);
}

const struct pyconc_engine_ops pyconc_thread_engine_ops = {
    .call = call_op,
    .acquire = acquire_op,
    .release = release_op,
    .submit = submit_op,
    .is_full = is_full_op,
    .wants_worker = wants_worker_op,
    .has_grown = has_grown_op,
    .after_fork = after_fork_op,
    .settle = settle_op,
    .collector_nap_ns = collector_nap_ns_op,
    .fail = fail_op,
    .halt = halt_op,
    .list_owners = list_owners_op,
};

/* --- the source ---------------------------------------------------------- */

static struct pyconc_thread_engine *
engine_of(struct pyconc_source *source)
{
    return AS_THREADS(source->engine);
}

static int
check(struct pyconc_source *source)
{
    (void)pyconc_engine_adopt(&engine_of(source)->base);
    return 0;
}

static int
ready_nogil(struct pyconc_source *Py_UNUSED(source))
{
    return 0;
}

static void
drain(struct pyconc_source *Py_UNUSED(source), Py_ssize_t Py_UNUSED(enough))
{
}

static int
cancel(struct pyconc_source *source, struct pyconc_outcome *outcome)
{
    struct pyconc_thread_engine *engine = engine_of(source);
    struct pyconc_thread_task *task = outcome->task;

    if (task == NULL) {
        return 0;
    }
    PyObject *executor = NULL;
    if (task->timed) {
        executor = pyconc_timers_take_out(engine, task);
    }
    else {
        pyconc_thread_take_out(engine, task);
        engine->base.pending--;
    }
    /* Before anything is let go of, which may run anything. */
    outcome->state = PYCONC_CANCELLED_AND_NOTIFIED;
    task_release(task);
    Py_DECREF(task->owner); /* the caller holds another reference */
    PyMem_Free(task);
    engine->base.ops->settle(&engine->base);
    Py_XDECREF(executor);
    return 1;
}

/* So many tasks deep a stack may grow while other threads are idle. */
#define HELP_DEPTH 32

static int
may_help(struct pyconc_source *source)
{
    struct pyconc_thread_worker *worker = pyconc_thread_current();

    return worker != NULL && worker->engine == engine_of(source);
}

static int
help(struct pyconc_source *source, void *queued)
{
    struct pyconc_thread_engine *engine = engine_of(source);
    struct pyconc_thread_worker *worker = pyconc_thread_current();
    struct pyconc_thread_task *task = queued;

    if (!may_help(source) || engine->halted || task->timed) {
        return 0;
    }
    if (worker->depth >= HELP_DEPTH && engine->idle_count > 0) {
        return 0; /* another stack has more room */
    }
    /* Not to be waited for instead: perhaps all workers do that. */
    if (Py_EnterRecursiveCall(" while waiting for a task of the same pool")) {
        return -1;
    }
    /* First: whatever allocates may collect garbage, which lets others have
     * the GIL, and the task. */
    pyconc_thread_take_out(engine, task);
    if (task->context == NULL) {
        /* Not the one of the task that waits: this is another task. */
        task->context = PyContext_New();
    }
    if (task->context == NULL) {
        pyconc_thread_complete(engine, task, pyconc_error_take(),
                               PYCONC_VALUE_EXCEPTION);
    }
    else {
        /* Nor does it handle the exception that the waiting task handles. */
        _PyErr_StackItem item;
        _PyErr_StackItem *outer = pyconc_handled_begin(&item);
        worker->depth++;
        pyconc_thread_run_task(engine, worker, task);
        worker->depth--;
        pyconc_handled_end(&item, outer);
    }
    Py_LeaveRecursiveCall();
    return 1;
}

/* If all workers did that, nobody would be left for what they wait for. */
static int
await_time(struct pyconc_source *source, struct pyconc_outcome *outcome)
{
    struct pyconc_thread_task *task = outcome->task;

    if (!task->timed || !may_help(source)) {
        return 0;
    }
    return pyconc_timers_await(engine_of(source), outcome);
}

static int
running(struct pyconc_source *Py_UNUSED(source),
        struct pyconc_outcome *Py_UNUSED(outcome))
{
    return 0; /* its state says so */
}

static int
need_collector(struct pyconc_source *Py_UNUSED(source))
{
    return 0; /* workers complete futures whether or not somebody waits */
}

const struct pyconc_source_ops pyconc_thread_source_ops = {
    .check = check,
    .ready_nogil = ready_nogil,
    .drain = drain,
    .cancel = cancel,
    .help = help,
    .may_help = may_help,
    .await_time = await_time,
    .running = running,
    .attend = pyconc_native_attend,
    .look = pyconc_native_look,
    .desert = pyconc_native_desert,
    .need_collector = need_collector,
};
