/* What a death means for the tasks; see engine.h and
 * docs/internals/task-board.md. */
#include <string.h>

#include "platform/check.h"
#include "platform/clock.h"
#include "platform/status.h"
#include "py/compat.h"
#include "ring/donestack.h"
#include "workers/engine.h"

static PyObject *
lost_error(struct pyconc_process_engine *engine, uint32_t function,
           PyObject *make_error)
{
    PyObject *name = function == PYCONC_FUNCTION_NONE
                         ? Py_None
                         : engine->functions[function].name;

    Py_INCREF(name);
    PyObject *error = PyObject_CallOneArg(make_error, name);
    Py_DECREF(name);
    return error != NULL ? error : pyconc_error_take();
}

/* A decode that kept the sweep waiting is over. */
static void
go_on_sweeping(struct pyconc_block *block)
{
    if (block->engine != NULL) {
        pyconc_engine_wake_list(
            &PYCONC_PROCESS_ENGINE(block->engine)->sweepers);
    }
}

/* Results of the dead that nobody has asked for yet move to private memory.
 * As pyconc_block_evacuate. */
static int
evacuate(struct pyconc_process_engine *engine, uint32_t slot)
{
    struct pyconc_block *block = engine->blocks;

    while (block != NULL) {
        struct pyconc_block *next = block->next;
        if (block->slot == slot) {
            int status = pyconc_block_evacuate(block);
            if (status != 0) {
                block->unpinned = go_on_sweeping;
                return status;
            }
        }
        block = next;
    }
    return 0;
}

Py_ssize_t
pyconc_process_sweep(struct pyconc_process_engine *engine, uint32_t slot,
                     PyObject *make_error)
{
    Py_ssize_t lost = 0;
    uint32_t cursor = 0;
    enum conc_phase phase;

    pyconc_process_drain(engine,
                         PY_SSIZE_T_MAX); /* E3: the chain is empty afterwards,
                                           * or its cells are marked */
    for (;;) {
        uint32_t cell =
            conc_board_sweep(&engine->board, slot, &cursor, &phase);
        if (cell == CONC_CELL_NONE) {
            break;
        }
        cursor = cell + 1;
        struct pyconc_task *task = &engine->tasks[cell];
        if (task->collecting) {
            continue;
        }
        task->collecting = 1;
        CONC_CRASH_POINT("reap.sweeping");
        uint8_t kind = PYCONC_VALUE_EXCEPTION, form = 0;
        PyObject *value;
        if (phase == CONC_DONE) {
            engine->finished++;
            value = pyconc_process_take_answer(engine, cell, &kind, &form);
        }
        else {
            lost++;
            value = lost_error(engine, task->function, make_error);
        }
        pyconc_process_complete(engine, cell, value, kind, form);
    }

    int status = evacuate(engine, slot);
    while (status > 0) {
        if (pyconc_engine_wait_on(&engine->base, &engine->sweepers,
                                  CONC_NEVER) < 0) {
            return -1;
        }
        status = evacuate(engine, slot);
    }
    if (status < 0) {
        PyErr_NoMemory();
        return -1;
    }
    CONC_CRASH_POINT("reap.evacuated");
    conc_heap_forget(
        &engine->region, pyconc_heap_start(&engine->layout, 1 + slot),
        engine->layout.heap_bytes, &engine->heaps_shared[1 + slot]);
    conc_store_rlx(&engine->slots[slot].status, PYCONC_SLOT_EMPTY);
    conc_idlers_forget(&engine->idlers, slot);
    /* The dead may have been about to wake somebody. */
    conc_idlers_wake_all(&engine->idlers);
    conc_eventcount_wake_all_shared(&engine->control->completions);
    pyconc_process_drain(engine, PY_SSIZE_T_MAX);
    pyconc_process_settle(engine);
    return lost;
}

static void
fail_owner(struct pyconc_process_engine *engine, struct pyconc_task *task,
           PyObject *error)
{
    PyObject *owner = task->owner;

    task->owner = NULL;
    engine->base.pending--;
    pyconc_engine_deliver((enum pyconc_target)task->target, owner,
                          task->outcome, task->index, Py_NewRef(error),
                          PYCONC_VALUE_EXCEPTION, 0);
    task->outcome = NULL;
    Py_DECREF(owner);
}

void
pyconc_process_break(struct pyconc_process_engine *engine, PyObject *error,
                     PyObject *refusal)
{
    if (engine->base.broken == NULL) {
        engine->base.broken = Py_NewRef(refusal);
    }
    if (!pyconc_engine_is_ours(&engine->base)) {
        return;
    }
    /* Workers that still run find no more work: queued cells are taken back,
     * the running ones are abandoned, to be freed when their answer or the
     * death of their worker comes. */
    for (uint32_t cell = 0; cell < engine->board.used_cells; cell++) {
        struct pyconc_task *task = &engine->tasks[cell];
        if (task->owner == NULL || task->collecting) {
            continue;
        }
        if (conc_board_cancel(&engine->board, cell) == CONC_OK) {
            task->collecting = 1;
            pyconc_process_complete(engine, cell, Py_NewRef(error),
                                    PYCONC_VALUE_EXCEPTION, 0);
        }
        else {
            fail_owner(engine, task, error);
        }
    }
    while (engine->parked_first != NULL) {
        struct pyconc_parked *parked = engine->parked_first;
        pyconc_process_unpark(engine, parked);
        fail_owner(engine, &parked->task, error);
        pyconc_process_release_task(engine, &parked->task);
        PyMem_Free(parked);
    }
    pyconc_process_settle(engine);
}

PyObject *
pyconc_process_slot_error(struct pyconc_process_engine *engine, uint32_t slot)
{
    struct pyconc_slot *record = &engine->slots[slot];

    /* I2, pairs with I1 in pyconc_worker_fail */
    if (conc_load_acq(&record->status) != PYCONC_SLOT_INIT_FAILED) {
        Py_RETURN_NONE;
    }
    uint64_t offset = conc_load_rlx(&record->error_offset);
    uint64_t size_bytes = conc_load_rlx(&record->error_bytes);
    conc_off start = pyconc_heap_start(&engine->layout, 1 + slot);
    uint64_t length = engine->layout.heap_bytes;

    if (offset < start || offset - start > length ||
        size_bytes > length - (offset - start)) {
        Py_RETURN_NONE;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(
        (const char *)engine->region.base + offset, (Py_ssize_t)size_bytes);
    if (bytes == NULL) {
        return NULL;
    }
    PyObject *error =
        PyObject_CallOneArg(engine->base.state->decode_error, bytes);
    Py_DECREF(bytes);
    return error;
}
