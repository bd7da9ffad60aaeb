/* Submitting and draining; see engine.h.  GIL: held in all of these unless a
 * name says otherwise. */
#include "py/compat.h"
#include "workers/engine.h"

#include <string.h>

#include "codec/numbers.h"
#include "platform/check.h"
#include "platform/forks.h"
#include "platform/status.h"
#include "ring/donestack.h"

/* Results up to this size are copied out of shared memory at once, so that
 * the worker's block is free (and warm) for its next result; bigger ones
 * stay until somebody asks for them. */
#define COPY_OUT_BYTES (64 * 1024)

/* With nothing pending the parent's heap keeps this much for the next
 * arguments. */
#define KEEP_BYTES (256ull << 20)

/* --- encoding ------------------------------------------------------------ */

/* Where arguments of this size go: into the message, or into a block that
 * the message then names.  After message->flags has been set.  0, or -1 with
 * an exception. */
static int
make_place(struct pyconc_process_engine *engine,
           struct pyconc_message *message, struct pyconc_task *task,
           uint64_t size_bytes, uint8_t **data)
{
    struct pyconc_block_ref reference = {.size_bytes = size_bytes};
    const char *limit = NULL;

    if (size_bytes <= sizeof(message->payload)) {
        message->length = (uint16_t)size_bytes;
        *data = message->payload;
        return 0;
    }
    int status =
        conc_heap_alloc(engine->heap, size_bytes, &reference.offset, &limit);

    if (status != CONC_OK) {
        pyconc_raise_status(engine->base.state, status,
                            "storing the arguments of a task", limit);
        return -1;
    }
    task->arguments = reference.offset;
    *data = engine->region.base + reference.offset;
    memcpy(message->payload, &reference, sizeof(reference));
    message->length = sizeof(reference);
    message->flags |= PYCONC_FLAG_BLOCK;
    return 0;
}

static int
encode_packed(struct pyconc_process_engine *engine,
              const struct pyconc_packing *packing,
              struct pyconc_message *message, struct pyconc_task *task)
{
    uint8_t *data;

    message->flags = PYCONC_FORM_TAGGED;
    if (make_place(engine, message, task, packing->size_bytes, &data) < 0) {
        return -1;
    }
    pyconc_packing_write(packing, data);
    return 0;
}

/* Pickle the payload into `message`. */
static int
encode_pickled(struct pyconc_process_engine *engine, PyObject *payload,
               struct pyconc_message *message, struct pyconc_task *task,
               enum pyconc_by_value by_value, const uint8_t **stored,
               uint64_t *stored_bytes)
{
    struct pyconc_pickled pickled;
    uint8_t *data;

    if (pyconc_pickle(engine->base.state->codec, payload, by_value, &pickled) <
        0) {
        return -1;
    }
    message->flags = (uint8_t)pickled.form;
    int status = make_place(engine, message, task, pickled.size_bytes, &data);
    if (status == 0) {
        pyconc_pickled_write(&pickled, data);
        *stored = data;
        *stored_bytes = pickled.size_bytes;
    }
    pyconc_pickled_clear(&pickled);
    return status;
}

/* Fill `message` and task->arguments.  Runs user code (reducers). */
static int
encode(struct pyconc_process_engine *engine, PyObject *payload,
       struct pyconc_message *message, struct pyconc_task *task)
{
    static const char main_name[] = "__main__";
    const uint8_t *stored;
    uint64_t stored_bytes;
    enum pyconc_form form;

    size_t size =
        pyconc_tagged_encode(payload, &engine->classes, message->payload,
                             sizeof(message->payload), &form);
    message->flags = (uint8_t)form;
    if (CONC_LIKELY(size > 0)) {
        message->length = (uint16_t)size;
        return 0;
    }
    if (form != PYCONC_FORM_PICKLED) {
        size = pyconc_tagged_size(payload, &engine->classes, &form);
    }
    if (size > 0) {
        uint8_t *data;
        message->flags = (uint8_t)form;
        if (make_place(engine, message, task, size, &data) < 0) {
            return -1;
        }
        size_t written =
            pyconc_tagged_encode(payload, &engine->classes, data, size, &form);
        CONC_ASSERT(written == size);
        (void)written;
        return 0;
    }
    if (encode_pickled(engine, payload, message, task, PYCONC_BY_VALUE_NEEDED,
                       &stored, &stored_bytes) < 0) {
        return -1;
    }
    if (engine->main_travels != PYCONC_MAIN_MISSING ||
        memmem(stored, stored_bytes, main_name, sizeof(main_name) - 1) ==
            NULL) {
        return 0;
    }
    /* Classes of a __main__ that the workers lack travel by value. */
    if (task->arguments != 0) {
        conc_heap_release(engine->heap, task->arguments);
        task->arguments = 0;
    }
    return encode_pickled(engine, payload, message, task,
                          PYCONC_BY_VALUE_ALWAYS, &stored, &stored_bytes);
}

/* --- placing ------------------------------------------------------------- */

/* Before a cell is taken: see that its memory is there.  0, or -1: the
 * machine has none. */
static int
commit_cells(struct pyconc_process_engine *engine)
{
    uint32_t committed = engine->committed_cells;

    if (CONC_LIKELY(engine->board.used_cells < committed ||
                    engine->board.free_count > 0 ||
                    committed == engine->geometry.cell_count)) {
        return 0;
    }
    if (conc_region_commit(
            &engine->region,
            engine->layout.board + conc_board_cells_end(committed),
            PYCONC_CELLS_STEP * sizeof(struct conc_cell), NULL) != CONC_OK) {
        return -1;
    }
    engine->committed_cells += PYCONC_CELLS_STEP;
    return 0;
}

/* Put a message into a cell: 0, or -1 if there is none. */
static int
place(struct pyconc_process_engine *engine,
      const struct pyconc_message *message, const struct pyconc_task *task)
{
    uint32_t index = CONC_CELL_NONE;

    if (commit_cells(engine) == 0) {
        index = conc_board_alloc(&engine->board);
    }
    if (index == CONC_CELL_NONE) {
        return -1;
    }
    struct conc_cell *cell = &engine->board.cells[index];
    conc_store_rlx(&cell->next, task->function); /* carried by the publish */
    cell->operation = message->operation;
    cell->flags = message->flags;
    cell->length = message->length;
    memcpy(cell->payload, message->payload, message->length);
    engine->tasks[index] = *task;
    int status = conc_board_publish(&engine->board, index);
    if (CONC_UNLIKELY(status != CONC_OK)) {
        engine->tasks[index].owner = NULL;
        conc_board_abandon(&engine->board, index);
        if (status == CONC_CORRUPT) {
            engine->damaged = 1; /* the next drain breaks the pool */
        }
        return -1;
    }
    if (task->outcome != NULL) {
        task->outcome->task = &engine->tasks[index];
    }
    return 0;
}

void
pyconc_process_unpark(struct pyconc_process_engine *engine,
                      struct pyconc_parked *parked)
{
    if (parked->previous != NULL) {
        parked->previous->next = parked->next;
    }
    else {
        engine->parked_first = parked->next;
    }
    if (parked->next != NULL) {
        parked->next->previous = parked->previous;
    }
    else {
        engine->parked_last = parked->previous;
    }
    engine->parked_count--;
}

static void
place_parked(struct pyconc_process_engine *engine)
{
    int placed = 0;

    while (engine->parked_first != NULL) {
        struct pyconc_parked *parked = engine->parked_first;
        if (place(engine, &parked->message, &parked->task) < 0) {
            break;
        }
        pyconc_process_unpark(engine, parked);
        PyMem_Free(parked);
        placed = 1;
    }
    if (placed) {
        (void)conc_idlers_published(&engine->idlers);
    }
}

static int
park(struct pyconc_process_engine *engine,
     const struct pyconc_message *message, const struct pyconc_task *task)
{
    struct pyconc_parked *parked = PyMem_Malloc(sizeof(*parked));

    if (parked == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    parked->task = *task;
    parked->message = *message;
    parked->next = NULL;
    parked->previous = engine->parked_last;
    if (parked->previous != NULL) {
        parked->previous->next = parked;
    }
    else {
        engine->parked_first = parked;
    }
    engine->parked_last = parked;
    engine->parked_count++;
    if (task->outcome != NULL) {
        task->outcome->task = parked;
    }
    return 0;
}

int
pyconc_process_is_full(struct pyconc_process_engine *engine)
{
    if (conc_board_room(&engine->board) > 0 && engine->parked_first == NULL) {
        return 0;
    }
    pyconc_process_drain(engine, PY_SSIZE_T_MAX);
    return conc_board_room(&engine->board) == 0 ||
           engine->parked_first != NULL;
}

static int
encode_payload(struct pyconc_process_engine *engine,
               const struct pyconc_dispatch *dispatch,
               struct pyconc_message *message, struct pyconc_task *task)
{
    PyObject *payload = dispatch->payload;
    Py_ssize_t start = dispatch->start, end = dispatch->end;

    if (end == 0) {
        return encode(engine, payload, message, task);
    }
    PyObject *const *items = PySequence_Fast_ITEMS(payload);
    struct pyconc_packing packing;
    if (pyconc_packing_plan(&packing, items + start, end - start, 1)) {
        return encode_packed(engine, &packing, message, task);
    }
    PyObject *slice = PySequence_GetSlice(payload, start, end);
    if (slice == NULL) {
        return -1;
    }
    int status = encode(engine, slice, message, task);
    Py_DECREF(slice);
    return status;
}

int
pyconc_process_submit(struct pyconc_process_engine *engine,
                      const struct pyconc_dispatch *dispatch)
{
    struct pyconc_message message;
    PyObject *owner = dispatch->owner;
    uint32_t function = dispatch->function;
    struct pyconc_task task = {
        .owner = owner,
        .outcome = dispatch->outcome,
        .index = dispatch->index,
        .function = function,
        .target = (uint8_t)dispatch->target,
    };

    message.operation = (uint8_t)dispatch->operation;
    if (encode_payload(engine, dispatch, &message, &task) < 0) {
        return -1;
    }
    /* Encoding may have run anything, also something that ended the pool. */
    int status = dispatch->goes_on ? pyconc_engine_check_going(&engine->base)
                                   : pyconc_engine_check_open(&engine->base);
    if (CONC_UNLIKELY(status < 0)) {
        if (task.arguments != 0) {
            conc_heap_release(engine->heap, task.arguments);
        }
        return -1;
    }
    Py_INCREF(owner);
    pyconc_engine_accepted(&engine->base);
    engine->base.pending++;
    if (function != PYCONC_FUNCTION_NONE) {
        engine->functions[function].tasks++;
    }
    if (CONC_UNLIKELY(pyconc_process_is_full(engine)) ||
        place(engine, &message, &task) < 0) {
        if (park(engine, &message, &task) < 0) {
            pyconc_process_release_task(engine, &task);
            engine->base.pending--;
            Py_DECREF(owner);
            return -1;
        }
        place_parked(engine);
        if (engine->parked_first != NULL) {
            return pyconc_engine_need_collector(&engine->base);
        }
        return 0;
    }
    (void)conc_idlers_published(&engine->idlers);
    return 0;
}

/* --- draining ------------------------------------------------------------ */

void
pyconc_process_release_task(struct pyconc_process_engine *engine,
                            struct pyconc_task *task)
{
    if (task->arguments != 0) {
        conc_heap_release(engine->heap, task->arguments);
        task->arguments = 0;
    }
    if (task->function != PYCONC_FUNCTION_NONE) {
        uint32_t function = task->function;
        task->function = PYCONC_FUNCTION_NONE;
        pyconc_function_release(engine, function);
    }
}

static void
release_block(struct pyconc_block *block)
{
    struct pyconc_process_engine *engine =
        PYCONC_PROCESS_ENGINE(block->engine);

    if (block->previous != NULL) {
        block->previous->next = block->next;
    }
    else {
        engine->blocks = block->next;
    }
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
    if (pyconc_engine_is_ours(&engine->base)) {
        conc_heap_return(&engine->region,
                         &engine->heaps_shared[1 + block->slot],
                         block->offset);
    }
}

static PyObject *
error_answer(uint8_t *kind)
{
    *kind = PYCONC_VALUE_EXCEPTION;
    return pyconc_error_take();
}

static PyObject *
corrupt_answer(struct pyconc_process_engine *engine, uint8_t *kind)
{
    pyconc_raise_status(engine->base.state, CONC_CORRUPT,
                        "reading the answer of a worker", NULL);
    return error_answer(kind);
}

/* For struct pyconc_class_lookup: our own classes come back. */
static PyTypeObject *
class_of(void *context, uint32_t number)
{
    struct pyconc_process_engine *engine = context;
    PyObject *type =
        number < PYCONC_FUNCTIONS_MAX ? engine->functions[number].key : NULL;

    if (type == NULL || !PyType_Check(type)) {
        pyconc_raise_status(engine->base.state, CONC_CORRUPT,
                            "reading the answer of a worker", NULL);
        return NULL;
    }
    return (PyTypeObject *)Py_NewRef(type);
}

/* An answer in tagged form. */
static PyObject *
decode_tagged(struct pyconc_process_engine *engine, const uint8_t *data,
              uint64_t size_bytes, uint8_t *kind)
{
    struct pyconc_class_lookup lookup = {class_of, engine};
    PyObject *value = pyconc_tagged_decode(&lookup, data, (size_t)size_bytes);

    *kind = PYCONC_VALUE_RESULT;
    return value != NULL ? value : error_answer(kind);
}

/* From a copy: what runs while it is decoded (a finalizer, in the middle of a
 * collection) may let another thread sweep the worker and its heap away. */
static PyObject *
decode_block(struct pyconc_process_engine *engine, uint32_t slot,
             uint64_t offset, uint64_t size_bytes, uint8_t *kind)
{
    uint8_t *copy = PyMem_Malloc(size_bytes);
    PyObject *value;

    if (copy != NULL) {
        memcpy(copy, engine->region.base + offset, size_bytes);
    }
    conc_heap_return(&engine->region, &engine->heaps_shared[1 + slot], offset);
    if (copy == NULL) {
        PyErr_NoMemory();
        return error_answer(kind);
    }
    value = decode_tagged(engine, copy, size_bytes, kind);
    PyMem_Free(copy);
    return value;
}

/* The answer lies in a block of the worker's heap.  Containers in tagged form
 * are decoded at once, as no user code takes part: so it is done while the
 * workers are busy with the next. */
static PyObject *
take_block(struct pyconc_process_engine *engine, uint32_t slot,
           uint64_t offset, uint64_t size_bytes, uint8_t *kind, uint8_t form)
{
    conc_off start = pyconc_heap_start(&engine->layout, 1 + slot);
    uint64_t length = engine->layout.heap_bytes;

    if (slot >= engine->geometry.worker_count || offset < start ||
        offset - start > length || offset % CONC_CACHELINE != 0 ||
        size_bytes > length - (offset - start)) {
        return corrupt_answer(engine, kind);
    }
    const uint8_t *data = engine->region.base + offset;
    if (*kind == PYCONC_VALUE_RAW_RESULT &&
        (form == PYCONC_FORM_CLASSED ||
         (form == PYCONC_FORM_TAGGED &&
          pyconc_tagged_is_container(data, size_bytes)))) {
        return decode_block(engine, slot, offset, size_bytes, kind);
    }
    if (size_bytes >= COPY_OUT_BYTES && *kind == PYCONC_VALUE_RAW_RESULT) {
        struct pyconc_block *block =
            pyconc_block_new(engine->base.state, data, size_bytes);
        if (block != NULL) {
            block->engine = Py_NewRef((PyObject *)engine);
            block->release = release_block;
            block->offset = offset;
            block->slot = slot;
            block->next = engine->blocks;
            if (block->next != NULL) {
                block->next->previous = block;
            }
            engine->blocks = block;
            return (PyObject *)block;
        }
        conc_heap_return(&engine->region, &engine->heaps_shared[1 + slot],
                         offset);
    }
    else {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)data,
                                                    (Py_ssize_t)size_bytes);
        conc_heap_return(&engine->region, &engine->heaps_shared[1 + slot],
                         offset);
        if (bytes != NULL) {
            return bytes;
        }
    }
    return error_answer(kind);
}

PyObject *
pyconc_process_take_answer(struct pyconc_process_engine *engine,
                           uint32_t index, uint8_t *kind, uint8_t *form)
{
    struct conc_cell *cell = &engine->board.cells[index];
    uint8_t payload[CONC_CELL_PAYLOAD_BYTES];
    uint32_t slot = conc_state_worker(conc_load_acq(&cell->state));
    uint8_t operation = cell->operation; /* each read once: D1 in board.c */
    uint8_t flags = cell->flags;
    uint16_t length = cell->length;

    *form = flags & PYCONC_FLAG_FORM;
    *kind = operation == PYCONC_RESULT ? PYCONC_VALUE_RAW_RESULT
                                       : PYCONC_VALUE_RAW_ERROR;
    if (operation == PYCONC_NO_MEMORY) {
        PyErr_SetString(PyExc_MemoryError,
                        "a worker had no memory left to store the outcome "
                        "of this task");
        return error_answer(kind);
    }
    if ((operation != PYCONC_RESULT && operation != PYCONC_ERROR) ||
        length > sizeof(payload)) {
        return corrupt_answer(engine, kind);
    }
    memcpy(payload, cell->payload, length);
    if (flags & PYCONC_FLAG_BLOCK) {
        struct pyconc_block_ref reference;
        if (length != sizeof(reference)) {
            return corrupt_answer(engine, kind);
        }
        memcpy(&reference, payload, sizeof(reference));
        return take_block(engine, slot, reference.offset, reference.size_bytes,
                          kind, *form);
    }
    if (operation == PYCONC_RESULT &&
        (*form == PYCONC_FORM_TAGGED || *form == PYCONC_FORM_CLASSED)) {
        return decode_tagged(engine, payload, length, kind);
    }
    PyObject *value = PyBytes_FromStringAndSize((const char *)payload, length);
    return value != NULL ? value : error_answer(kind);
}

void
pyconc_process_complete(struct pyconc_process_engine *engine, uint32_t cell,
                        PyObject *value, uint8_t kind, uint8_t form)
{
    struct pyconc_task *record = &engine->tasks[cell];
    struct pyconc_task task = *record;

    record->owner = NULL;
    record->outcome = NULL;
    record->collecting = 0;
    conc_board_free(&engine->board, cell);
    if (task.owner == NULL) {
        Py_DECREF(value);
    }
    else {
        engine->base.pending--;
        pyconc_engine_deliver((enum pyconc_target)task.target, task.owner,
                              task.outcome, task.index, value, kind, form);
    }
    pyconc_process_release_task(engine, &task);
    Py_XDECREF(task.owner);
}

static void
break_damaged(struct pyconc_process_engine *engine, int status)
{
    pyconc_raise_status(engine->base.state, status, "running a pool", NULL);
    PyObject *error = pyconc_error_take();
    pyconc_process_break(engine, error, error);
    Py_DECREF(error);
}

void
pyconc_process_drain(struct pyconc_process_engine *engine, Py_ssize_t enough)
{
    Py_ssize_t completed = 0;

    if (CONC_UNLIKELY(!pyconc_engine_is_ours(&engine->base))) {
        return;
    }
    for (;;) {
        if (engine->chain == CONC_CELL_NONE) {
            if (completed >= enough || !conc_donestack_ready(&engine->board)) {
                break;
            }
            int status = conc_donestack_take(&engine->board, engine->links,
                                             &engine->chain);
            if (status != CONC_OK && engine->base.broken == NULL) {
                pyconc_raise_status(engine->base.state, status,
                                    "taking the answers of the workers", NULL);
                PyObject *error = pyconc_error_take();
                pyconc_process_break(engine, error, error);
                Py_DECREF(error);
            }
            if (engine->chain == CONC_CELL_NONE) {
                break;
            }
        }
        uint32_t cell = engine->chain;
        uint8_t kind, form;
        engine->chain = engine->links[cell];
        engine->tasks[cell].collecting = 1;
        engine->finished++;
        PyObject *value =
            pyconc_process_take_answer(engine, cell, &kind, &form);
        pyconc_process_complete(engine, cell, value, kind, form);
        completed++;
        if (engine->parked_first != NULL) {
            place_parked(engine);
        }
    }
    if (CONC_UNLIKELY(engine->damaged) && engine->base.broken == NULL) {
        break_damaged(engine, CONC_CORRUPT);
    }
    if (completed > 0) {
        pyconc_process_settle(engine);
    }
}

void
pyconc_process_settle(struct pyconc_process_engine *engine)
{
    if (engine->base.room_waiters != NULL &&
        (conc_board_room(&engine->board) >= engine->geometry.cell_count / 4 ||
         engine->base.broken != NULL ||
         engine->base.phase != PYCONC_ENGINE_OPEN)) {
        pyconc_engine_wake_list(&engine->base.room_waiters);
    }
    if (!pyconc_engine_is_idle(&engine->base)) {
        return;
    }
    if (engine->base.phase == PYCONC_ENGINE_CLOSING &&
        conc_load_rlx(&engine->control->stop) == PYCONC_GO_ON) {
        /* S1, pairs with S2 in idle() of worker.c: nothing is queued */
        conc_store_sc(&engine->control->stop, PYCONC_STOP_WHEN_DONE);
        conc_idlers_wake_all(&engine->idlers);
    }
    if (conc_heap_idle_bytes(engine->heap) > KEEP_BYTES) {
        (void)conc_heap_trim(engine->heap, KEEP_BYTES / 2);
    }
    pyconc_engine_settled(&engine->base);
}
