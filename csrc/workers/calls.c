/* How calls of functions become messages: what the layers above ask of an
 * engine (pool/engine.h), for processes. */
#include "ring/board.h"
#include "workers/engine.h"

#define AS_PROCESS(engine) PYCONC_PROCESS_ENGINE(engine)

static int
submit_encoded(struct pyconc_process_engine *engine,
               struct pyconc_outcome *outcome, uint32_t function,
               enum pyconc_operation operation, PyObject *payload)
{
    if (payload == NULL) {
        return -1;
    }
    struct pyconc_dispatch dispatch = {
        .target = PYCONC_TARGET_OUTCOME,
        .operation = operation,
        .owner = outcome->object,
        .outcome = outcome,
        .function = function,
        .payload = payload,
    };
    int status = pyconc_process_submit(engine, &dispatch);
    Py_DECREF(payload);
    return status;
}

static int
call(struct pyconc_engine *base, struct pyconc_outcome *outcome,
     PyObject *callable, PyObject *arguments, PyObject *keywords)
{
    struct pyconc_process_engine *engine = AS_PROCESS(base);
    int has_keywords = keywords != NULL && PyObject_Length(keywords) != 0;
    uint32_t function;

    if (PyErr_Occurred()) {
        return -1;
    }
    int found = pyconc_function_acquire(engine, callable, &function);
    if (found < 0) {
        return -1;
    }
    if (found > 0) {
        return submit_encoded(
            engine, outcome, PYCONC_FUNCTION_NONE, PYCONC_CALL_JOINT,
            has_keywords ? PyTuple_Pack(3, callable, arguments, keywords)
                         : Py_BuildValue("(OO{})", callable, arguments));
    }
    int status;
    if (has_keywords) {
        status = submit_encoded(engine, outcome, function, PYCONC_CALL_KW,
                                PyTuple_Pack(2, arguments, keywords));
    }
    else if (PyTuple_CheckExact(arguments) &&
             PyTuple_GET_SIZE(arguments) == 1) {
        status = submit_encoded(engine, outcome, function, PYCONC_CALL_ONE,
                                Py_NewRef(PyTuple_GET_ITEM(arguments, 0)));
    }
    else {
        status = submit_encoded(engine, outcome, function, PYCONC_CALL_STAR,
                                Py_NewRef(arguments));
    }
    pyconc_function_release(engine, function);
    return status;
}

static int
acquire(struct pyconc_engine *engine, PyObject *callable,
        struct pyconc_callee *callee)
{
    int found = pyconc_function_acquire(AS_PROCESS(engine), callable,
                                        &callee->function);

    if (found > 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "more than 4096 maps with different functions that "
                        "cannot be imported by name are under way in this "
                        "pool; wait for some of them");
    }
    if (found != 0) {
        return -1;
    }
    callee->callable = Py_NewRef(callable);
    return 0;
}

static void
release(struct pyconc_engine *engine, struct pyconc_callee *callee)
{
    if (callee->callable != NULL) {
        Py_CLEAR(callee->callable);
        pyconc_function_release(AS_PROCESS(engine), callee->function);
    }
}

static enum pyconc_operation
operation_of(enum pyconc_shape shape)
{
    switch (shape) {
    case PYCONC_SHAPE_STAR:
        return PYCONC_CALL_STAR;
    case PYCONC_SHAPE_CHUNK:
        return PYCONC_MAP_CHUNK;
    case PYCONC_SHAPE_STAR_CHUNK:
        return PYCONC_STAR_CHUNK;
    case PYCONC_SHAPE_ONE:
        break;
    }
    return PYCONC_CALL_ONE;
}

static int
submit(struct pyconc_engine *engine,
       const struct pyconc_submission *submission)
{
    struct pyconc_dispatch dispatch = {
        .target = submission->target,
        .operation = operation_of(submission->shape),
        .owner = submission->owner,
        .index = submission->index,
        .function = submission->callee->function,
        .payload = submission->payload,
        .start = submission->start,
        .end = submission->end,
        .goes_on = submission->goes_on,
    };

    return pyconc_process_submit(AS_PROCESS(engine), &dispatch);
}

static int
is_full(struct pyconc_engine *engine)
{
    return pyconc_process_is_full(AS_PROCESS(engine));
}

static int
wants_worker(struct pyconc_engine *engine)
{
    uint32_t started = AS_PROCESS(engine)->started;

    return started < AS_PROCESS(engine)->geometry.worker_count &&
           engine->pending > (Py_ssize_t)started;
}

static void
settle(struct pyconc_engine *engine)
{
    pyconc_process_settle(AS_PROCESS(engine));
}

/* With so many tasks queued a collector that has parked tasks to place need
 * not be woken by each completion; it looks again after this time. */
#define COLLECTOR_NAP_NS 1000000

static int64_t
collector_nap_ns(struct pyconc_engine *base)
{
    struct pyconc_process_engine *engine = AS_PROCESS(base);

    return engine->parked_first != NULL && conc_board_backlog(&engine->board) >
                                               engine->geometry.cell_count / 4
               ? COLLECTOR_NAP_NS
               : 0;
}

static void
fail(struct pyconc_engine *engine, PyObject *error, PyObject *refusal)
{
    pyconc_process_break(AS_PROCESS(engine), error, refusal);
}

static void
halt(struct pyconc_engine *engine)
{
    /* A worker looks at this after each task; no edge is needed. */
    conc_store_sc(&AS_PROCESS(engine)->control->stop, PYCONC_STOP_NOW);
    conc_idlers_wake_all(&AS_PROCESS(engine)->idlers);
}

static int
list_owners(struct pyconc_engine *base, PyObject *owners)
{
    struct pyconc_process_engine *engine = AS_PROCESS(base);
    int status = 0;

    for (struct pyconc_parked *parked = engine->parked_first;
         parked != NULL && status == 0; parked = parked->next) {
        status = PyList_Append(owners, parked->task.owner);
    }
    for (uint32_t i = 0; i < engine->board.used_cells && status == 0; i++) {
        PyObject *owner = engine->tasks[i].owner;
        status = owner == NULL ? 0 : PyList_Append(owners, owner);
    }
    return status;
}

const struct pyconc_engine_ops pyconc_process_engine_ops = {
    .call = call,
    .acquire = acquire,
    .release = release,
    .submit = submit,
    .is_full = is_full,
    .wants_worker = wants_worker,
    .settle = settle,
    .collector_nap_ns = collector_nap_ns,
    .fail = fail,
    .halt = halt,
    .list_owners = list_owners,
};
