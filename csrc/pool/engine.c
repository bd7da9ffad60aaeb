/* See engine.h.  GIL: held in all of these. */
#include "pool/engine.h"

#include "future/future.h"
#include "platform/forks.h"
#include "pool/results.h"

struct pyconc_engine *
pyconc_engine_new(PyTypeObject *type, PyObject *future_type,
                  PyObject *start_collector,
                  const struct pyconc_engine_ops *ops,
                  const struct pyconc_source_ops *source)
{
    struct pyconc_state *state = pyconc_state_of(type);

    if (!PyType_Check(future_type) ||
        !PyType_IsSubtype((PyTypeObject *)future_type, state->future_type)) {
        PyErr_SetString(PyExc_TypeError,
                        "future_type must derive from FutureBase");
        return NULL;
    }
    if (pyconc_state_complete(state) < 0) {
        return NULL;
    }
    struct pyconc_engine *engine =
        (struct pyconc_engine *)type->tp_alloc(type, 0);
    if (engine != NULL) {
        engine->ops = ops;
        engine->state = state;
        engine->forks = conc_forks_count();
        engine->source.ops = source;
        engine->source.engine = (PyObject *)engine;
        engine->future_type = Py_NewRef(future_type);
        engine->start_collector = Py_NewRef(start_collector);
    }
    return engine;
}

int
pyconc_engine_traverse(struct pyconc_engine *engine, visitproc visit,
                       void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)engine));
    Py_VISIT(engine->broken);
    Py_VISIT(engine->future_type);
    Py_VISIT(engine->start_collector);
    return 0;
}

/* Tasks hold the engine through their owners and are not visited: an engine
 * with tasks under way is not garbage, its workers still work. */
void
pyconc_engine_clear(struct pyconc_engine *engine)
{
    Py_CLEAR(engine->start_collector);
    Py_CLEAR(engine->broken);
}

int
pyconc_engine_is_ours(const struct pyconc_engine *engine)
{
    return engine->forks == conc_forks_count();
}

int
pyconc_engine_adopt(struct pyconc_engine *engine)
{
    if (!pyconc_engine_is_ours(engine) && engine->ops->after_fork != NULL) {
        engine->ops->after_fork(engine);
    }
    return pyconc_engine_is_ours(engine);
}

int
pyconc_engine_check_open(struct pyconc_engine *engine)
{
    if (!pyconc_engine_adopt(engine)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this pool belongs to the parent process; make a "
                        "new one in the forked child");
        return -1;
    }
    if (engine->broken != NULL) {
        pyconc_raise_object(engine->broken);
        return -1;
    }
    if (engine->phase != PYCONC_ENGINE_OPEN) {
        PyErr_SetString(PyExc_ValueError, "Pool not running");
        return -1;
    }
    return 0;
}

int
pyconc_engine_check_going(struct pyconc_engine *engine)
{
    if (engine->phase == PYCONC_ENGINE_CLOSING && engine->broken == NULL &&
        pyconc_engine_is_ours(engine)) {
        return 0;
    }
    return pyconc_engine_check_open(engine);
}

int
pyconc_engine_is_idle(const struct pyconc_engine *engine)
{
    return engine->pending == 0 &&
           (engine->reading == NULL || engine->broken != NULL ||
            engine->phase == PYCONC_ENGINE_ENDED);
}

int
pyconc_engine_refused(struct pyconc_engine *engine)
{
    return engine->phase != PYCONC_ENGINE_OPEN || engine->broken != NULL ||
           PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

void
pyconc_engine_deliver(enum pyconc_target target, PyObject *owner,
                      struct pyconc_outcome *outcome, Py_ssize_t index,
                      PyObject *value, uint8_t kind, uint8_t form)
{
    switch (target) {
    case PYCONC_TARGET_OUTCOME:
        pyconc_outcome_arrive(outcome, value, kind, form);
        break;
    case PYCONC_TARGET_MAP:
        pyconc_map_arrive(owner, index, value, kind, form);
        break;
    case PYCONC_TARGET_IMAP:
        pyconc_imap_arrive(owner, index, value, kind, form);
        break;
    case PYCONC_TARGET_PERIODIC:
        Py_DECREF(value); /* cannot be: see engine.h */
        break;
    }
}

void
pyconc_engine_accepted(struct pyconc_engine *engine)
{
    if (engine->held == NULL && engine->pool != NULL) {
        engine->held = Py_NewRef(engine->pool);
    }
}

void
pyconc_engine_feeder_begin(struct pyconc_engine *engine,
                           struct pyconc_reading *reading)
{
    pyconc_engine_accepted(engine);
    engine->feeders++;
    if (reading != NULL) {
        reading->previous = NULL;
        reading->next = engine->reading;
        if (reading->next != NULL) {
            reading->next->previous = reading;
        }
        engine->reading = reading;
    }
}

void
pyconc_engine_feeder_end(struct pyconc_engine *engine,
                         struct pyconc_reading *reading)
{
    engine->feeders--;
    if (reading != NULL) {
        if (reading->previous == NULL) {
            engine->reading = reading->next;
        }
        else {
            reading->previous->next = reading->next;
        }
        if (reading->next != NULL) {
            reading->next->previous = reading->previous;
        }
    }
    if (pyconc_engine_is_idle(engine)) {
        engine->ops->settle(engine);
    }
}

void
pyconc_engine_fail(struct pyconc_engine *engine, PyObject *error,
                   PyObject *refusal)
{
    engine->ops->fail(engine, error, refusal);
    if (!pyconc_engine_is_ours(engine)) {
        return;
    }
    struct pyconc_reading *reading = engine->reading;
    for (; reading != NULL; reading = reading->next) {
        pyconc_engine_wake_list(&reading->waiters);
    }
    if (pyconc_engine_is_idle(engine)) {
        engine->ops->settle(engine);
    }
}

void
pyconc_engine_settled(struct pyconc_engine *engine)
{
    pyconc_engine_wake_list(&engine->idle_waiters);
    if (engine->retiring && engine->source.collector != NULL) {
        pyconc_waiter_wake(engine->source.collector);
    }
    if (engine->feeders == 0) {
        Py_CLEAR(engine->held); /* may end the pool: nothing comes after */
    }
}

int
pyconc_engine_need_collector(struct pyconc_engine *engine)
{
    if (engine->has_collector) {
        return 0;
    }
    if (engine->retiring && pyconc_engine_is_idle(engine) &&
        engine->phase != PYCONC_ENGINE_OPEN) {
        return pyconc_engine_check_open(engine); /* it would come too late */
    }
    engine->has_collector = 1;
    PyObject *result = PyObject_CallNoArgs(engine->start_collector);
    if (result == NULL) {
        engine->has_collector = 0;
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

static void
complete_specials(struct pyconc_engine *engine)
{
    struct pyconc_outcome *outcome;

    while ((outcome = pyconc_source_pop_special(&engine->source)) != NULL) {
        if (PyObject_TypeCheck(outcome->object, engine->state->future_type)) {
            pyconc_future_complete_special(engine->state, outcome);
        }
        else {
            pyconc_apply_complete_special(engine->state, outcome);
        }
    }
}

void
pyconc_engine_collect(struct pyconc_engine *engine)
{
    struct pyconc_source *source = &engine->source;
    struct pyconc_single *single = pyconc_single_new();

    if (single == NULL) {
        PyErr_WriteUnraisable((PyObject *)engine);
        engine->has_collector = 0;
        return;
    }
    single->waiter.source = source;
    source->collector = &single->waiter;
    for (;;) {
        source->ops->drain(source, PY_SSIZE_T_MAX);
        complete_specials(engine);
        if (source->special_first != NULL) {
            continue;
        }
        if (engine->retiring && pyconc_engine_is_idle(engine)) {
            break;
        }
        pyconc_wait_collector(&single->waiter, source,
                              engine->ops->collector_nap_ns(engine));
    }
    source->collector = NULL;
    engine->has_collector = 0;
    pyconc_single_drop(single);
}

int
pyconc_engine_help(struct pyconc_engine *engine,
                   const struct pyconc_siblings *siblings,
                   const struct pyconc_outcome *outcome)
{
    struct pyconc_source *source = &engine->source;
    int helped = 1;

    while (helped > 0 && siblings->first != NULL &&
           !pyconc_outcome_is_done(outcome)) {
        helped = source->ops->help(source, siblings->first);
    }
    return helped < 0 ? -1 : 0;
}

void
pyconc_engine_wake_list(struct pyconc_link **list)
{
    while (*list != NULL) {
        struct pyconc_link *link = *list;
        *list = link->next;
        link->waiter->missing = 0;
        pyconc_waiter_wake(link->waiter);
        link->waiter = NULL;
    }
}

int
pyconc_engine_wait_on(struct pyconc_engine *engine, struct pyconc_link **list,
                      int64_t deadline_ns)
{
    struct pyconc_single *single = pyconc_single_new();

    if (single == NULL) {
        return -1;
    }
    single->link.next = *list;
    *list = &single->link;
    int status = pyconc_wait(&single->waiter, &engine->source, deadline_ns);
    for (struct pyconc_link **at = list; *at != NULL; at = &(*at)->next) {
        if (*at == &single->link) {
            *at = single->link.next;
            break;
        }
    }
    pyconc_single_drop(single);
    return status;
}
