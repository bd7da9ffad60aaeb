/* ProcessEngine: the parent side of a process pool, as Python sees it. */
#include <errno.h>
#include <string.h>

#include "module/module.h"
#include "platform/cpus.h"
#include "platform/status.h"
#include "py/compat.h"
#include "ring/donestack.h"
#include "workers/engine.h"

/* Cells: enough that a burst rarely has to be parked, few enough that all of
 * them fit the last-level cache. */
#define CELL_COUNT 16384
/* Address space, not memory: the region is sparse. */
#define WANTED_BYTES_PER_HEAP (64ull << 30)
#define WANTED_BYTES_MAX (8ull << 40)
#define LEAST_BYTES_PER_HEAP (8ull << 20)
/* --- the source ---------------------------------------------------------- */

static struct pyconc_process_engine *
engine_of(struct pyconc_source *source)
{
    return PYCONC_PROCESS_ENGINE(source->engine);
}

static int
source_check(struct pyconc_source *source)
{
    if (pyconc_engine_is_ours(&engine_of(source)->base)) {
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
    pyconc_process_drain(engine_of(source), enough);
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
    struct pyconc_process_engine *engine = engine_of(source);
    struct pyconc_task *task = outcome->task;

    if (task == NULL || !pyconc_engine_is_ours(&engine->base)) {
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
        pyconc_process_release_task(engine, &copy);
        Py_DECREF(copy.owner); /* the caller holds another reference */
    }
    else {
        struct pyconc_parked *parked = (struct pyconc_parked *)task;
        pyconc_process_unpark(engine, parked);
        pyconc_process_release_task(engine, task);
        Py_DECREF(task->owner);
        PyMem_Free(parked);
    }
    engine->base.pending--;
    pyconc_process_settle(engine);
    return 1;
}

static int
source_running(struct pyconc_source *source, struct pyconc_outcome *outcome)
{
    struct pyconc_process_engine *engine = engine_of(source);
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
source_need_collector(struct pyconc_source *source)
{
    return pyconc_engine_need_collector(&engine_of(source)->base);
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
    .need_collector = source_need_collector,
};

/* --- making -------------------------------------------------------------- */

/* Everything but the heaps and the later cells. */
static int
commit_fixed(struct pyconc_process_engine *engine, const char **limit)
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
create_region(struct pyconc_process_engine *engine)
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
        pyconc_raise_status(engine->base.state, status,
                            "making the shared memory of a pool", limit);
        return -1;
    }
    return 0;
}

static int
attach_parts(struct pyconc_process_engine *engine)
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
    struct pyconc_process_engine *engine = PYCONC_PROCESS_ENGINE((
        PyObject *)pyconc_engine_new(type, future_type, start_collector,
                                     &pyconc_process_engine_ops, &source_ops));
    if (engine == NULL) {
        return NULL;
    }
    engine->main_travels = (uint8_t)main_travels;
    engine->chain = CONC_CELL_NONE;
    engine->free_function = PYCONC_FUNCTION_NONE;
    engine->region.fd = -1;
    engine->geometry.worker_count = worker_count;
    engine->geometry.cell_count = CELL_COUNT;
    if (create_region(engine) < 0 || attach_parts(engine) < 0 ||
        pyconc_classes_init(&engine->classes, engine->base.state->is_plain,
                            pyconc_function_class_number, engine) < 0) {
        Py_DECREF(engine);
        return NULL;
    }
    return (PyObject *)engine;
}

/* --- methods ------------------------------------------------------------- */

static PyObject *
engine_sweep(PyObject *self, PyObject *arguments)
{
    unsigned int slot;
    PyObject *make_error;

    if (!PyArg_ParseTuple(arguments, "IO:sweep", &slot, &make_error)) {
        return NULL;
    }
    if (slot >= PYCONC_PROCESS_ENGINE(self)->geometry.worker_count) {
        PyErr_SetString(PyExc_ValueError, "no such slot");
        return NULL;
    }
    Py_ssize_t lost =
        pyconc_process_sweep(PYCONC_PROCESS_ENGINE(self), slot, make_error);
    return lost < 0 ? NULL : PyLong_FromSsize_t(lost);
}

static PyObject *
engine_slot(PyObject *self, PyObject *argument)
{
    struct pyconc_process_engine *engine = PYCONC_PROCESS_ENGINE(self);
    unsigned long slot = PyLong_AsUnsignedLong(argument);

    if (slot >= engine->geometry.worker_count) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "no such slot");
        }
        return NULL;
    }
    PyObject *error = pyconc_process_slot_error(engine, (uint32_t)slot);
    if (error == NULL) {
        return NULL;
    }
    return Py_BuildValue("(IN)", conc_load_acq(&engine->slots[slot].status),
                         error);
}

static PyObject *
get_geometry(PyObject *self, void *Py_UNUSED(closure))
{
    const struct pyconc_geometry *geometry =
        &PYCONC_PROCESS_ENGINE(self)->geometry;

    return Py_BuildValue("(KII)", (unsigned long long)geometry->region_bytes,
                         geometry->cell_count, geometry->worker_count);
}

static PyObject *
get_fd(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(PYCONC_PROCESS_ENGINE(self)->region.fd);
}

static PyObject *
get_finished(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(PYCONC_PROCESS_ENGINE(self)->finished);
}

static PyObject *
get_started(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(PYCONC_PROCESS_ENGINE(self)->started);
}

static int
set_started(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long started = value == NULL ? 0 : PyLong_AsUnsignedLong(value);

    if (started == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    PYCONC_PROCESS_ENGINE(self)->started = (uint32_t)started;
    return 0;
}

/* --- the type ------------------------------------------------------------ */

static int
engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    return pyconc_engine_traverse(PYCONC_ENGINE(self), visit, arg);
}

static int
engine_clear(PyObject *self)
{
    pyconc_engine_clear(PYCONC_ENGINE(self));
    return 0;
}

static void
engine_dealloc(PyObject *self)
{
    struct pyconc_process_engine *engine = PYCONC_PROCESS_ENGINE(self);
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (engine->base.weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)engine_clear(self);
    Py_CLEAR(engine->base.future_type);
    Py_CLEAR(engine->base.held);
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
    pyconc_codec_trim(engine->base.state->codec);
    conc_board_fini(&engine->board);
    conc_region_close(&engine->region, pyconc_engine_is_ours(&engine->base));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef engine_methods[] = {
    {"sweep", engine_sweep, METH_VARARGS,
     PyDoc_STR("sweep($self, slot, make_error, /)\n--\n\n"
               "Settle what the dead worker of a slot left; returns the\n"
               "number of lost tasks.")},
    {"slot", engine_slot, METH_O,
     PyDoc_STR("slot($self, slot, /)\n--\n\n"
               "Return (status, error of the initializer or None).")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef engine_getset[] = {
    {"geometry", get_geometry, NULL, NULL, NULL},
    {"region_fd", get_fd, NULL, NULL, NULL},
    {"finished", get_finished, NULL, NULL, NULL},
    {"started", get_started, set_started, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
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
    {0, NULL},
};

PyType_Spec pyconc_process_engine_spec = {
    .name = "pyconc._core.ProcessEngine",
    .basicsize = sizeof(struct pyconc_process_engine),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = engine_slots,
};
