/* ProcessEngine: the parent side of a process pool, as Python sees it. */
#include <errno.h>
#include <string.h>

#include "future/future.h"
#include "module/module.h"
#include "platform/cpus.h"
#include "platform/forks.h"
#include "platform/status.h"
#include "py/compat.h"
#include "ring/donestack.h"
#include "workers/results.h"

/* Cells: enough that a burst rarely has to be parked, few enough that all of
 * them fit the last-level cache. */
#define CELL_COUNT 16384
/* Address space, not memory: the region is sparse. */
#define WANTED_BYTES_PER_HEAP (64ull << 30)
#define WANTED_BYTES_MAX (8ull << 40)
#define LEAST_BYTES_PER_HEAP (8ull << 20)
/* With so many tasks queued a collector that has parked tasks to place need
 * not be woken by each completion; it looks again after this time. */
#define COLLECTOR_NAP_NS 1000000

/* --- the source ---------------------------------------------------------- */

static struct pyconc_engine *
engine_of(struct pyconc_source *source)
{
    return PYCONC_ENGINE(source->engine);
}

static int
source_check(struct pyconc_source *source)
{
    if (pyconc_engine_is_ours(engine_of(source))) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "this task belongs to the parent process: its outcome "
                    "cannot be waited for in a forked child");
    return -1;
}

static int
source_ready(struct pyconc_source *source)
{
    return conc_donestack_ready(&engine_of(source)->board);
}

static void
source_drain(struct pyconc_source *source, Py_ssize_t enough)
{
    pyconc_engine_drain(engine_of(source), enough);
}

static uint32_t
source_announce(struct pyconc_source *source)
{
    return conc_eventcount_announce(&engine_of(source)->control->completions);
}

static int
source_sleep(struct pyconc_source *source, uint32_t ticket,
             int64_t deadline_ns)
{
    return conc_eventcount_wait_shared(
        &engine_of(source)->control->completions, ticket, deadline_ns);
}

static void
source_rouse(struct pyconc_source *source)
{
    conc_eventcount_wake_all_shared(&engine_of(source)->control->completions);
}

static int
source_cancel(struct pyconc_source *source, struct pyconc_outcome *outcome)
{
    struct pyconc_engine *engine = engine_of(source);
    struct pyconc_task *task = outcome->task;

    if (task == NULL || !pyconc_engine_is_ours(engine)) {
        return 0;
    }
    if (task >= engine->tasks &&
        task < engine->tasks + engine->geometry.cell_count) {
        uint32_t cell = (uint32_t)(task - engine->tasks);
        if (conc_board_cancel(&engine->board, cell) != CONC_OK) {
            return 0;
        }
        struct pyconc_task copy = *task;
        task->owner = NULL;
        task->outcome = NULL;
        conc_board_free(&engine->board, cell);
        pyconc_engine_release_task(engine, &copy);
        Py_DECREF(copy.owner); /* the caller holds another reference */
    }
    else {
        struct pyconc_parked *parked = (struct pyconc_parked *)task;
        pyconc_engine_unpark(engine, parked);
        pyconc_engine_release_task(engine, task);
        Py_DECREF(task->owner);
        PyMem_Free(parked);
    }
    engine->pending--;
    pyconc_engine_settle(engine);
    return 1;
}

static int
source_running(struct pyconc_source *source, struct pyconc_outcome *outcome)
{
    struct pyconc_engine *engine = engine_of(source);
    struct pyconc_task *task = outcome->task;

    if (task == NULL || task < engine->tasks ||
        task >= engine->tasks + engine->geometry.cell_count) {
        return 0;
    }
    /* A look at a word that changes any time: the answer is as old as it
     * gets, nothing is read on the strength of it. */
    uint64_t state =
        conc_load_rlx(&engine->board.cells[task - engine->tasks].state);
    return conc_state_phase(state) == CONC_RUNNING ||
           conc_state_phase(state) == CONC_DONE;
}

static int
source_may_linger(struct pyconc_source *source)
{
    return conc_idlers_cpu_is_free(&engine_of(source)->idlers);
}

static int
source_need_collector(struct pyconc_source *source)
{
    return pyconc_engine_need_collector(engine_of(source));
}

static const struct pyconc_source_ops source_ops = {
    .check = source_check,
    .ready_nogil = source_ready,
    .drain = source_drain,
    .announce = source_announce,
    .sleep_nogil = source_sleep,
    .rouse = source_rouse,
    .cancel = source_cancel,
    .running = source_running,
    .may_linger = source_may_linger,
    .need_collector = source_need_collector,
};

/* --- making -------------------------------------------------------------- */

/* Everything but the heaps and the later cells. */
static int
commit_fixed(struct pyconc_engine *engine, const char **limit)
{
    const struct pyconc_layout *layout = &engine->layout;
    conc_off cells = layout->board + conc_board_cells_end(PYCONC_CELLS_STEP);
    conc_off entries =
        layout->board + conc_board_cells_end(engine->geometry.cell_count);
    int status = conc_region_commit(&engine->region, CONC_REGION_HEADER_BYTES,
                                    cells - CONC_REGION_HEADER_BYTES, limit);

    if (status == CONC_OK) {
        engine->committed_cells = PYCONC_CELLS_STEP;
        status = conc_region_commit(&engine->region, entries,
                                    layout->fixed_end - entries, limit);
    }
    return status;
}

static int
create_region(struct pyconc_engine *engine)
{
    uint64_t heaps = engine->geometry.worker_count + 1ull;
    uint64_t wanted = heaps * WANTED_BYTES_PER_HEAP;
    uint64_t least = heaps * LEAST_BYTES_PER_HEAP + (8ull << 20);
    const char *limit = NULL;
    int status;

    if (wanted > WANTED_BYTES_MAX) {
        wanted = WANTED_BYTES_MAX;
    }
    status = conc_region_create(&engine->region, wanted, least,
                                pyconc_layout_fingerprint());
    if (status == CONC_OK) {
        engine->geometry.region_bytes = engine->region.size_bytes;
        status = pyconc_layout_compute(&engine->geometry, &engine->layout);
    }
    if (status == CONC_OK) {
        status = commit_fixed(engine, &limit);
    }
    if (status == CONC_OK) {
        status = conc_board_init(&engine->board, &engine->region,
                                 engine->layout.board,
                                 engine->geometry.cell_count, 1);
    }
    if (status != CONC_OK) {
        pyconc_raise_status(engine->state, status,
                            "making the shared memory of a pool", limit);
        return -1;
    }
    return 0;
}

static int
attach_parts(struct pyconc_engine *engine)
{
    uint8_t *base = engine->region.base;
    uint32_t cells = engine->geometry.cell_count;
    uint32_t cpus = (uint32_t)conc_cpus_usable();

    engine->control = (void *)(base + engine->layout.control);
    engine->slots = (void *)(base + engine->layout.slots);
    engine->heaps_shared = (void *)(base + engine->layout.heaps_shared);
    engine->entries = (void *)(base + engine->layout.functions);
    engine->idlers = (struct conc_idlers){
        .shared = (void *)(base + engine->layout.idlers),
        .board = &engine->board,
        .worker_count = engine->geometry.worker_count,
        .cpu_count = cpus,
        .spin_limit = cpus - 1,
    };
    engine->heap =
        conc_heap_new(&engine->region, pyconc_heap_start(&engine->layout, 0),
                      engine->layout.heap_bytes, &engine->heaps_shared[0]);
    engine->tasks = PyMem_Calloc(cells, sizeof(*engine->tasks));
    engine->links = PyMem_Calloc(cells, sizeof(*engine->links));
    engine->functions =
        PyMem_Calloc(PYCONC_FUNCTIONS_MAX, sizeof(*engine->functions));
    engine->function_index = PyDict_New();
    if (engine->heap == NULL || engine->tasks == NULL ||
        engine->links == NULL || engine->functions == NULL ||
        engine->function_index == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyObject *
engine_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"worker_count", "future_type",
                                        "start_collector", "main_travels",
                                        NULL};
    unsigned int worker_count;
    PyObject *future_type, *start_collector;
    int main_travels = PYCONC_MAIN_SHARED;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "IO!Oi",
                                     pyconc_keywords(names), &worker_count,
                                     &PyType_Type, &future_type,
                                     &start_collector, &main_travels)) {
        return NULL;
    }
    if (worker_count < 1 || worker_count > CONC_WORKERS_MAX) {
        PyErr_Format(PyExc_ValueError, "a pool has 1 to %d workers, not %u",
                     CONC_WORKERS_MAX, worker_count);
        return NULL;
    }
    struct pyconc_state *state = pyconc_state_of(type);
    if (!PyType_IsSubtype((PyTypeObject *)future_type, state->future_type)) {
        PyErr_SetString(PyExc_TypeError,
                        "future_type must derive from FutureBase");
        return NULL;
    }
    struct pyconc_engine *engine =
        (struct pyconc_engine *)type->tp_alloc(type, 0);
    if (engine == NULL) {
        return NULL;
    }
    engine->state = state;
    engine->forks = conc_forks_count();
    engine->main_travels = (uint8_t)main_travels;
    engine->chain = CONC_CELL_NONE;
    engine->free_function = PYCONC_FUNCTION_NONE;
    engine->region.fd = -1;
    engine->geometry.worker_count = worker_count;
    engine->geometry.cell_count = CELL_COUNT;
    engine->source.ops = &source_ops;
    engine->source.engine = (PyObject *)engine;
    engine->future_type = Py_NewRef(future_type);
    engine->start_collector = Py_NewRef(start_collector);
    if (create_region(engine) < 0 || attach_parts(engine) < 0 ||
        pyconc_classes_init(&engine->classes, state->is_plain,
                            pyconc_function_class_number, engine) < 0) {
        Py_DECREF(engine);
        return NULL;
    }
    return (PyObject *)engine;
}

/* --- methods ------------------------------------------------------------- */

static PyObject *
engine_apply(PyObject *self, PyObject *arguments)
{
    PyObject *type, *callable, *positional, *keywords, *callback, *error;

    if (!PyArg_ParseTuple(arguments, "OOOOOO:apply", &type, &callable,
                          &positional, &keywords, &callback, &error)) {
        return NULL;
    }
    return pyconc_apply_start(PYCONC_ENGINE(self), (PyTypeObject *)type,
                              callable, positional, keywords, callback, error);
}

static PyObject *
engine_map(PyObject *self, PyObject *arguments)
{
    PyObject *type, *callable, *items, *callback, *error;
    Py_ssize_t chunk;
    int star;

    if (!PyArg_ParseTuple(arguments, "OOOnpOO:map", &type, &callable, &items,
                          &chunk, &star, &callback, &error)) {
        return NULL;
    }
    items = PySequence_Fast(items, "map needs an iterable");
    if (items == NULL) {
        return NULL;
    }
    PyObject *result =
        pyconc_map_start(PYCONC_ENGINE(self), (PyTypeObject *)type, callable,
                         items, chunk, star, callback, error);
    Py_DECREF(items);
    return result;
}

static PyObject *
engine_imap(PyObject *self, PyObject *arguments)
{
    PyObject *type, *callable, *iterable;
    Py_ssize_t chunk, buffer;
    int ordered;

    if (!PyArg_ParseTuple(arguments, "OOOnpn:imap", &type, &callable,
                          &iterable, &chunk, &ordered, &buffer)) {
        return NULL;
    }
    return pyconc_imap_start(PYCONC_ENGINE(self), (PyTypeObject *)type,
                             callable, iterable, chunk, ordered, buffer);
}

static PyObject *
engine_sweep(PyObject *self, PyObject *arguments)
{
    unsigned int slot;
    PyObject *make_error;

    if (!PyArg_ParseTuple(arguments, "IO:sweep", &slot, &make_error)) {
        return NULL;
    }
    if (slot >= PYCONC_ENGINE(self)->geometry.worker_count) {
        PyErr_SetString(PyExc_ValueError, "no such slot");
        return NULL;
    }
    Py_ssize_t lost =
        pyconc_engine_sweep(PYCONC_ENGINE(self), slot, make_error);
    return lost < 0 ? NULL : PyLong_FromSsize_t(lost);
}

static PyObject *
engine_slot(PyObject *self, PyObject *argument)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    unsigned long slot = PyLong_AsUnsignedLong(argument);

    if (slot >= engine->geometry.worker_count) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "no such slot");
        }
        return NULL;
    }
    PyObject *error = pyconc_engine_slot_error(engine, (uint32_t)slot);
    if (error == NULL) {
        return NULL;
    }
    return Py_BuildValue("(IN)", conc_load_acq(&engine->slots[slot].status),
                         error);
}

static PyObject *
engine_break(PyObject *self, PyObject *arguments)
{
    PyObject *error, *refusal = Py_None;

    if (!PyArg_ParseTuple(arguments, "O|O:fail", &error, &refusal)) {
        return NULL;
    }
    pyconc_engine_break(PYCONC_ENGINE(self), error,
                        refusal != Py_None ? refusal : error);
    Py_RETURN_NONE;
}

static PyObject *
engine_serve(PyObject *self, PyObject *pool)
{
    PYCONC_ENGINE(self)->pool = pool; /* borrowed: see engine.h */
    Py_RETURN_NONE;
}

/* Cancel every future that nobody has started. */
static PyObject *
engine_cancel_queued(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    PyObject *owners = PyList_New(0);

    if (owners == NULL) {
        return NULL;
    }
    int failed = 0;
    for (struct pyconc_parked *parked = engine->parked_first;
         parked != NULL && !failed; parked = parked->next) {
        failed = PyList_Append(owners, parked->task.owner) < 0;
    }
    for (uint32_t i = 0; i < engine->board.used_cells && !failed; i++) {
        PyObject *owner = engine->tasks[i].owner;
        failed = owner != NULL && PyList_Append(owners, owner) < 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(owners) && !failed; i++) {
        PyObject *owner = PyList_GET_ITEM(owners, i);
        if (PyObject_TypeCheck(owner, engine->state->future_type)) {
            PyObject *result = PyObject_CallMethod(owner, "cancel", NULL);
            failed = result == NULL;
            Py_XDECREF(result);
        }
    }
    Py_DECREF(owners);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    if (engine->phase == PYCONC_ENGINE_OPEN) {
        engine->phase = PYCONC_ENGINE_CLOSING;
    }
    if (!pyconc_engine_is_ours(engine)) {
        Py_RETURN_FALSE;
    }
    pyconc_engine_drain(engine, PY_SSIZE_T_MAX);
    pyconc_engine_settle(engine);
    return PyBool_FromLong(engine->pending > 0);
}

static PyObject *
engine_halt(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    engine->phase = PYCONC_ENGINE_ENDED;
    if (pyconc_engine_is_ours(engine)) {
        /* A worker looks at this after each task; no edge is needed. */
        conc_store_sc(&engine->control->stop, PYCONC_STOP_NOW);
        conc_idlers_wake_all(&engine->idlers);
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_retire(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    engine->retiring = 1;
    if (engine->source.collector != NULL) {
        pyconc_waiter_wake(engine->source.collector);
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_need_collector(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (pyconc_engine_need_collector(PYCONC_ENGINE(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
engine_wait_idle(PyObject *self, PyObject *timeout)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    int64_t deadline_ns;

    if (pyconc_deadline_from_timeout(timeout, &deadline_ns) < 0) {
        return NULL;
    }
    pyconc_engine_drain(engine, PY_SSIZE_T_MAX);
    if (engine->pending == 0) {
        Py_RETURN_TRUE;
    }
    int status =
        pyconc_engine_wait_on(engine, &engine->idle_waiters, deadline_ns);
    return status < 0 ? NULL : PyBool_FromLong(status == 0);
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
            pyconc_engine_complete_special(engine, outcome);
        }
    }
}

static PyObject *
engine_collect(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    struct pyconc_source *source = &engine->source;
    struct pyconc_waiter waiter;

    pyconc_waiter_init(&waiter, 1);
    waiter.source = source;
    source->collector = &waiter;
    for (;;) {
        pyconc_engine_drain(engine, PY_SSIZE_T_MAX);
        complete_specials(engine);
        if (source->special_first != NULL) {
            continue;
        }
        if (engine->retiring && engine->pending == 0) {
            break;
        }
        if (engine->parked_first != NULL &&
            conc_board_backlog(&engine->board) >
                engine->geometry.cell_count / 4) {
            pyconc_wait_collector(&waiter, source, COLLECTOR_NAP_NS);
        }
        else {
            pyconc_wait_collector(&waiter, source, 0);
        }
    }
    source->collector = NULL;
    engine->has_collector = 0;
    Py_RETURN_NONE;
}

static PyObject *
get_geometry(PyObject *self, void *Py_UNUSED(closure))
{
    const struct pyconc_geometry *geometry = &PYCONC_ENGINE(self)->geometry;

    return Py_BuildValue("(KII)", (unsigned long long)geometry->region_bytes,
                         geometry->cell_count, geometry->worker_count);
}

static PyObject *
get_fd(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(PYCONC_ENGINE(self)->region.fd);
}

static PyObject *
get_pending(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(PYCONC_ENGINE(self)->pending);
}

static PyObject *
get_finished(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(PYCONC_ENGINE(self)->finished);
}

static PyObject *
get_broken(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *broken = PYCONC_ENGINE(self)->broken;

    return Py_NewRef(broken != NULL ? broken : Py_None);
}

static PyObject *
get_phase(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(PYCONC_ENGINE(self)->phase);
}

static PyObject *
get_started(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(PYCONC_ENGINE(self)->started);
}

static int
set_started(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long started = value == NULL ? 0 : PyLong_AsUnsignedLong(value);

    if (started == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    PYCONC_ENGINE(self)->started = (uint32_t)started;
    return 0;
}

/* --- the type ------------------------------------------------------------ */

static int
engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(engine->broken);
    Py_VISIT(engine->future_type);
    Py_VISIT(engine->start_collector);
    return 0;
}

static int
engine_clear(PyObject *self)
{
    /* Tasks hold the engine through their owners and are not visited: an
     * engine with tasks under way is not garbage, its workers still work. */
    Py_CLEAR(PYCONC_ENGINE(self)->start_collector);
    Py_CLEAR(PYCONC_ENGINE(self)->broken);
    return 0;
}

static void
engine_dealloc(PyObject *self)
{
    struct pyconc_engine *engine = PYCONC_ENGINE(self);
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (engine->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)engine_clear(self);
    Py_CLEAR(engine->future_type);
    Py_CLEAR(engine->held);
    for (uint32_t i = 0; i < engine->function_count; i++) {
        Py_CLEAR(engine->functions[i].key);
        Py_CLEAR(engine->functions[i].name);
    }
    Py_CLEAR(engine->function_index);
    pyconc_classes_fini(&engine->classes);
    PyMem_Free(engine->functions);
    PyMem_Free(engine->tasks);
    PyMem_Free(engine->links);
    if (engine->heap != NULL) {
        conc_heap_free(engine->heap);
    }
    pyconc_codec_trim(engine->state->codec);
    conc_board_fini(&engine->board);
    conc_region_close(&engine->region, pyconc_engine_is_ours(engine));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef engine_methods[] = {
    {"apply", engine_apply, METH_VARARGS, NULL},
    {"map", engine_map, METH_VARARGS, NULL},
    {"imap", engine_imap, METH_VARARGS, NULL},
    {"sweep", engine_sweep, METH_VARARGS,
     PyDoc_STR("sweep($self, slot, make_error, /)\n--\n\n"
               "Settle what the dead worker of a slot left; returns the\n"
               "number of lost tasks.")},
    {"slot", engine_slot, METH_O,
     PyDoc_STR("slot($self, slot, /)\n--\n\n"
               "Return (status, error of the initializer or None).")},
    {"fail", engine_break, METH_VARARGS,
     PyDoc_STR(
         "fail($self, error, refusal=None, /)\n--\n\n"
         "Fail what is pending with error, later submits with refusal.")},
    {"serve", engine_serve, METH_O,
     PyDoc_STR("serve($self, pool, /)\n--\n\n"
               "Keep this pool alive while it has tasks; it alone submits.")},
    {"cancel_queued", engine_cancel_queued, METH_NOARGS,
     PyDoc_STR("cancel_queued($self, /)\n--\n\n"
               "Cancel every future that nobody has started.")},
    {"close", engine_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "Accept no more tasks; True if some are pending.")},
    {"halt", engine_halt, METH_NOARGS,
     PyDoc_STR("halt($self, /)\n--\n\n"
               "Have workers leave after their current task.")},
    {"retire", engine_retire, METH_NOARGS,
     PyDoc_STR("retire($self, /)\n--\n\n"
               "End the collector once nothing is pending.")},
    {"need_collector", engine_need_collector, METH_NOARGS, NULL},
    {"collect", engine_collect, METH_NOARGS,
     PyDoc_STR("collect($self, /)\n--\n\nThe collector thread's life.")},
    {"wait_idle", engine_wait_idle, METH_O,
     PyDoc_STR("wait_idle($self, timeout, /)\n--\n\n"
               "Wait until nothing is pending; False after `timeout` s.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef engine_getset[] = {
    {"geometry", get_geometry, NULL, NULL, NULL},
    {"region_fd", get_fd, NULL, NULL, NULL},
    {"pending", get_pending, NULL, NULL, NULL},
    {"finished", get_finished, NULL, NULL, NULL},
    {"broken", get_broken, NULL, NULL, NULL},
    {"phase", get_phase, NULL, NULL, NULL},
    {"started", get_started, set_started, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef engine_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET,
     offsetof(struct pyconc_engine, weak_references), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static char engine_doc[] = PyDoc_STR("The parent side of a process pool.");

static PyType_Slot engine_slots[] = {
    {Py_tp_doc, engine_doc},
    {Py_tp_new, (void *)engine_new},
    {Py_tp_dealloc, (void *)engine_dealloc},
    {Py_tp_traverse, (void *)engine_traverse},
    {Py_tp_clear, (void *)engine_clear},
    {Py_tp_methods, engine_methods},
    {Py_tp_getset, engine_getset},
    {Py_tp_members, engine_members},
    {0, NULL},
};

PyType_Spec pyconc_engine_spec = {
    .name = "pyconc._core.ProcessEngine",
    .basicsize = sizeof(struct pyconc_engine),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = engine_slots,
};
