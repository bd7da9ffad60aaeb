/* See worker.h.  GIL: held, and released while the worker spins or sleeps,
 * for the threads that tasks may have started. */
#include "workers/worker.h"
#include "py/compat.h"

#include <string.h>
#include <unistd.h>

#include "codec/numbers.h"
#include "future/outcome.h"
#include "platform/check.h"
#include "platform/clock.h"
#include "platform/cpus.h"
#include "platform/forks.h"
#include "platform/relax.h"
#include "platform/status.h"

/* As in future/wait.c: 20 us is what a sleep and a wake would cost. */
#define SPIN_NS 20000
#define ATTACHED_SPINS 40

/* Bigger payloads are not looked into for an error message. */
#define DESCRIBE_BYTES (1u << 20)

/* Memory of results stays warm for this long after the last task. */
#define TRIM_AFTER_NS 1000000000

/* For struct pyconc_classes: a class has the number under which the parent
 * sent it. */
static uint32_t
class_number(void *context, PyTypeObject *type)
{
    struct pyconc_worker *worker = context;
    PyObject *number =
        PyDict_GetItemWithError(worker->class_numbers, (PyObject *)type);

    return number == NULL ? PYCONC_CLASS_NONE
                          : (uint32_t)PyLong_AsUnsignedLong(number);
}

int
pyconc_worker_attach(struct pyconc_worker *worker, int fd)
{
    int status = CONC_OK;

    if (worker->engine == NULL) {
        status = conc_region_attach(&worker->region, fd,
                                    pyconc_layout_fingerprint());
        if (status == CONC_OK &&
            worker->region.size_bytes != worker->geometry.region_bytes) {
            status = CONC_MISMATCH;
        }
    }
    if (status == CONC_OK) {
        status = pyconc_layout_compute(&worker->geometry, &worker->layout);
    }
    if (status == CONC_OK) {
        status = conc_board_init(&worker->board, &worker->region,
                                 worker->layout.board,
                                 worker->geometry.cell_count, 0);
    }
    if (status != CONC_OK) {
        pyconc_raise_status(worker->state, status, "attaching to a pool",
                            NULL);
        return -1;
    }
    uint8_t *base = worker->region.base;
    uint32_t cpus = (uint32_t)conc_cpus_usable();
    struct conc_heap_shared *heaps =
        (void *)(base + worker->layout.heaps_shared);

    worker->control = (void *)(base + worker->layout.control);
    worker->slots = (void *)(base + worker->layout.slots);
    worker->entries = (void *)(base + worker->layout.functions);
    worker->idlers = (struct conc_idlers){
        .shared = (void *)(base + worker->layout.idlers),
        .board = &worker->board,
        .worker_count = worker->geometry.worker_count,
        .cpu_count = cpus,
        .spin_limit = cpus - 1,
    };
    worker->heap = conc_heap_new(
        &worker->region, pyconc_heap_start(&worker->layout, 1 + worker->slot),
        worker->layout.heap_bytes, &heaps[1 + worker->slot]);
    worker->functions =
        PyMem_Calloc(PYCONC_FUNCTIONS_MAX, sizeof(*worker->functions));
    worker->generations =
        PyMem_Calloc(PYCONC_FUNCTIONS_MAX, sizeof(*worker->generations));
    worker->class_numbers = PyDict_New();
    if (worker->heap == NULL || worker->functions == NULL ||
        worker->generations == NULL || worker->class_numbers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return pyconc_classes_init(&worker->classes, worker->state->is_plain,
                               class_number, worker);
}

/* --- decoding ------------------------------------------------------------ */

static PyObject *
corrupt_task(struct pyconc_worker *worker)
{
    return pyconc_raise_status(worker->state, CONC_CORRUPT, "reading a task",
                               NULL);
}

static int
note_class(struct pyconc_worker *worker, PyObject *type, uint32_t index)
{
    PyObject *number = PyLong_FromUnsignedLong(index);
    int status = number == NULL
                     ? -1
                     : PyDict_SetItem(worker->class_numbers, type, number);

    Py_XDECREF(number);
    pyconc_class_forget(&worker->classes, (PyTypeObject *)type);
    return status;
}

/* The function of a task: new reference. */
static PyObject *
decode_function(struct pyconc_worker *worker, uint32_t index)
{
    if (index >= PYCONC_FUNCTIONS_MAX) {
        return corrupt_task(worker);
    }
    const struct pyconc_function_entry *shared = &worker->entries[index];
    uint32_t generation = shared->generation;

    if (worker->functions[index] != NULL &&
        worker->generations[index] == generation) {
        return Py_NewRef(worker->functions[index]);
    }
    uint8_t travel = shared->travel;
    const uint8_t *data =
        conc_region_at(&worker->region, shared->offset, shared->size_bytes);
    if (data == NULL) {
        return corrupt_task(worker);
    }
    PyObject *function =
        pyconc_unpickle(worker->state->codec, (enum pyconc_form)shared->form,
                        data, shared->size_bytes);
    if (function != NULL && travel == PYCONC_BY_MAIN) {
        PyObject *both = function;
        function = PyObject_CallOneArg(worker->state->load_main, both);
        Py_DECREF(both);
    }
    if (function != NULL && travel != PYCONC_BY_VALUE) {
        Py_XSETREF(worker->functions[index], Py_NewRef(function));
        worker->generations[index] = generation;
        if (PyType_Check(function) &&
            note_class(worker, function, index) < 0) {
            Py_CLEAR(function);
        }
    }
    return function;
}

/* For struct pyconc_class_lookup: classes travel as functions do. */
static PyTypeObject *
class_of(void *context, uint32_t number)
{
    struct pyconc_worker *worker = context;
    PyObject *type = decode_function(worker, number);

    if (type != NULL && !PyType_Check(type)) {
        Py_DECREF(type);
        type = corrupt_task(worker);
    }
    return (PyTypeObject *)type;
}

/* The arguments of a task as they arrived. */
struct payload {
    const uint8_t *data; /* in shared memory, or `copy` */
    uint64_t size_bytes;
    enum pyconc_form form;
    uint8_t copy[CONC_CELL_PAYLOAD_BYTES];
};

/* 0, or -1 with an exception. */
static int
find_payload(struct pyconc_worker *worker, const struct conc_cell *cell,
             struct payload *payload)
{
    uint8_t flags = cell->flags;
    uint16_t length = cell->length;

    payload->form = (enum pyconc_form)(flags & PYCONC_FLAG_FORM);
    payload->data = payload->copy;
    payload->size_bytes = length;
    if (length <= sizeof(payload->copy)) {
        memcpy(payload->copy, cell->payload, length);
    }
    else {
        payload->data = NULL;
    }
    if (flags & PYCONC_FLAG_BLOCK) {
        struct pyconc_block_ref reference = {.size_bytes = 0};
        if (length == sizeof(reference)) {
            memcpy(&reference, payload->copy, sizeof(reference));
        }
        payload->size_bytes = reference.size_bytes;
        payload->data = conc_region_at(&worker->region, reference.offset,
                                       reference.size_bytes);
    }
    if (payload->data == NULL) {
        (void)corrupt_task(worker);
        return -1;
    }
    return 0;
}

static PyObject *
decode_payload(struct pyconc_worker *worker, const struct payload *payload)
{
    struct pyconc_class_lookup lookup = {class_of, worker};

    return pyconc_decode(worker->state->codec, payload->form, &lookup,
                         payload->data, payload->size_bytes);
}

/* For an error message: the bytes of a payload that could not be decoded, or
 * None. */
static PyObject *
encoded_payload(struct pyconc_worker *worker, const struct conc_cell *cell)
{
    const uint8_t *data = cell->payload;
    uint64_t size_bytes = cell->length;

    if (cell->flags & PYCONC_FLAG_BLOCK) {
        struct pyconc_block_ref reference;
        memcpy(&reference, cell->payload, sizeof(reference));
        size_bytes = reference.size_bytes;
        data = conc_region_at(&worker->region, reference.offset, size_bytes);
    }
    if (data != NULL && size_bytes <= DESCRIBE_BYTES) {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)data,
                                                    (Py_ssize_t)size_bytes);
        if (bytes != NULL) {
            return bytes;
        }
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

/* --- calling ------------------------------------------------------------- */

static PyObject *
call_star(PyObject *function, PyObject *arguments, PyObject *keywords)
{
    PyObject *positional = PySequence_Tuple(arguments);
    PyObject *named = NULL, *result = NULL;

    if (positional == NULL) {
        return NULL;
    }
    if (keywords != NULL && !PyDict_Check(keywords)) {
        named = PyDict_New();
        if (named == NULL || PyDict_Update(named, keywords) < 0) {
            goto done;
        }
        keywords = named;
    }
    result = PyObject_Call(function, positional, keywords);
done:
    Py_XDECREF(named);
    Py_DECREF(positional);
    return result;
}

/* The items of a chunk of a map. */
struct chunk {
    PyObject *sequence; /* owns; NULL: read from `numbers` */
    Py_ssize_t count;
    struct pyconc_numbers numbers;
};

/* 0, or -1 with an exception. */
static int
open_chunk(struct pyconc_worker *worker, const struct payload *payload,
           struct chunk *chunk)
{
    chunk->sequence = NULL;
    if (payload->form == PYCONC_FORM_TAGGED &&
        pyconc_numbers_open(&chunk->numbers, payload->data,
                            (size_t)payload->size_bytes)) {
        chunk->count = (Py_ssize_t)chunk->numbers.left;
        return 0;
    }
    PyObject *items = decode_payload(worker, payload);
    if (items == NULL) {
        return -1;
    }
    chunk->sequence = PySequence_Fast(items, "a chunk is a sequence");
    Py_DECREF(items);
    if (chunk->sequence == NULL) {
        return -1;
    }
    chunk->count = PySequence_Fast_GET_SIZE(chunk->sequence);
    return 0;
}

/* 0 with the results, or -1 with an exception and none. */
static int
call_chunk(PyObject *function, struct chunk *chunk, int star,
           struct pyconc_gathered *results)
{
    if (pyconc_gathered_init(results, (size_t)chunk->count) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < chunk->count; i++) {
        PyObject *item =
            chunk->sequence == NULL
                ? pyconc_numbers_next(&chunk->numbers)
                : Py_NewRef(PySequence_Fast_GET_ITEM(chunk->sequence, i));
        PyObject *result = NULL;
        if (item != NULL) {
            result = star ? call_star(function, item, NULL)
                          : PyObject_CallOneArg(function, item);
            Py_DECREF(item);
        }
        if (result == NULL || pyconc_gathered_add(results, result) < 0) {
            pyconc_gathered_clear(results);
            return -1;
        }
    }
    return 0;
}

static PyObject *
call(struct pyconc_worker *worker, uint8_t operation, PyObject *function,
     PyObject *payload)
{
    switch ((enum pyconc_operation)operation) {
    case PYCONC_CALL_ONE:
        return PyObject_CallOneArg(function, payload);
    case PYCONC_CALL_STAR:
        return call_star(function, payload, NULL);
    case PYCONC_CALL_KW:
        if (PyTuple_CheckExact(payload) && PyTuple_GET_SIZE(payload) == 2) {
            return call_star(function, PyTuple_GET_ITEM(payload, 0),
                             PyTuple_GET_ITEM(payload, 1));
        }
        break;
    case PYCONC_CALL_JOINT:
        if (PyTuple_CheckExact(payload) && PyTuple_GET_SIZE(payload) == 3) {
            return call_star(PyTuple_GET_ITEM(payload, 0),
                             PyTuple_GET_ITEM(payload, 1),
                             PyTuple_GET_ITEM(payload, 2));
        }
        break;
    case PYCONC_MAP_CHUNK: /* perform() has done these */
    case PYCONC_STAR_CHUNK:
    case PYCONC_RESULT:
    case PYCONC_ERROR:
    case PYCONC_NO_MEMORY:
        break;
    }
    return pyconc_raise_status(worker->state, CONC_CORRUPT, "reading a task",
                               NULL);
}

/* The arguments could not be decoded: say which. */
static void
raise_undecodable(struct pyconc_worker *worker, const struct conc_cell *cell)
{
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        return;
    }
    PyObject *error = pyconc_error_take();
    PyObject *data = encoded_payload(worker, cell);
    PyObject *better =
        PyObject_CallFunctionObjArgs(worker->undecodable, data, error, NULL);

    Py_DECREF(data);
    Py_DECREF(error);
    if (better != NULL) {
        pyconc_raise_object(better);
        Py_DECREF(better);
    }
}

static int
perform_chunk(struct pyconc_worker *worker, const struct conc_cell *cell,
              const struct payload *payload, PyObject *function, int star,
              struct pyconc_gathered *results)
{
    struct chunk chunk;

    if (open_chunk(worker, payload, &chunk) < 0) {
        raise_undecodable(worker, cell);
        return -1;
    }
    CONC_CRASH_POINT("worker.decoded");
    int status = call_chunk(function, &chunk, star, results);
    CONC_CRASH_POINT("worker.called");
    Py_XDECREF(chunk.sequence);
    return status;
}

static PyObject *
perform_one(struct pyconc_worker *worker, const struct conc_cell *cell,
            const struct payload *payload, uint8_t operation,
            PyObject *function)
{
    PyObject *arguments = decode_payload(worker, payload);

    if (arguments == NULL) {
        raise_undecodable(worker, cell);
        return NULL;
    }
    CONC_CRASH_POINT("worker.decoded");
    PyObject *result = call(worker, operation, function, arguments);
    CONC_CRASH_POINT("worker.called");
    Py_DECREF(arguments);
    return result;
}

/* Do what `cell` says.  0 with either *result or `results` (the results of a
 * chunk, all numbers) filled, or -1 with what was raised. */
static int
perform(struct pyconc_worker *worker, const struct conc_cell *cell,
        PyObject **result, struct pyconc_gathered *results)
{
    uint8_t operation = cell->operation;
    uint32_t index = conc_load_rlx(&cell->next); /* carried by the claim */
    PyObject *function = NULL;
    struct payload payload;

    if (operation != PYCONC_CALL_JOINT) {
        function = decode_function(worker, index);
        if (function == NULL) {
            raise_undecodable(worker, cell);
            return -1;
        }
    }
    if (find_payload(worker, cell, &payload) == 0) {
        if (operation != PYCONC_MAP_CHUNK && operation != PYCONC_STAR_CHUNK) {
            *result = perform_one(worker, cell, &payload, operation, function);
        }
        else if (perform_chunk(worker, cell, &payload, function,
                               operation == PYCONC_STAR_CHUNK, results) == 0) {
            *result = results->list;
            results->list = NULL;
        }
    }
    Py_XDECREF(function);
    return *result == NULL && results->values == NULL ? -1 : 0;
}

/* --- answering ----------------------------------------------------------- */

/* Where an answer of this size goes: into the cell, or into a block that the
 * cell then names.  After cell->flags has been set.  0, or -1 with an
 * exception. */
static int
make_place(struct pyconc_worker *worker, struct conc_cell *cell,
           uint64_t size_bytes, uint8_t **data)
{
    struct pyconc_block_ref reference = {.size_bytes = size_bytes};
    const char *limit = NULL;

    if (size_bytes <= sizeof(cell->payload)) {
        cell->length = (uint16_t)size_bytes;
        *data = cell->payload;
        return 0;
    }
    int status =
        conc_heap_alloc(worker->heap, size_bytes, &reference.offset, &limit);

    if (status != CONC_OK) {
        pyconc_raise_status(worker->state, status,
                            "storing the result of a task", limit);
        return -1;
    }
    *data = worker->region.base + reference.offset;
    memcpy(cell->payload, &reference, sizeof(reference));
    cell->length = sizeof(reference);
    cell->flags |= PYCONC_FLAG_BLOCK;
    return 0;
}

static int
answer_bytes(struct pyconc_worker *worker, struct conc_cell *cell,
             const uint8_t *bytes, size_t size)
{
    uint8_t *data;

    if (make_place(worker, cell, size, &data) < 0) {
        return -1;
    }
    memcpy(data, bytes, size);
    return 0;
}

/* The current exception is the answer. */
static void
answer_error(struct pyconc_worker *worker, struct conc_cell *cell)
{
    PyObject *error = pyconc_error_take();
    PyObject *bytes = PyObject_CallOneArg(worker->encode_error, error);

    Py_DECREF(error);
    cell->operation = PYCONC_ERROR;
    cell->flags = PYCONC_FORM_PICKLED;
    if (bytes == NULL || !PyBytes_CheckExact(bytes) ||
        answer_bytes(worker, cell, (const uint8_t *)PyBytes_AS_STRING(bytes),
                     (size_t)PyBytes_GET_SIZE(bytes)) < 0) {
        PyErr_Clear();
        cell->operation = PYCONC_NO_MEMORY;
        cell->length = 0;
        cell->flags = 0;
    }
    Py_XDECREF(bytes);
}

static int
answer_result(struct pyconc_worker *worker, struct conc_cell *cell,
              PyObject *result)
{
    uint8_t *data;
    enum pyconc_form form;

    cell->operation = PYCONC_RESULT;
    size_t size = pyconc_tagged_encode(result, &worker->classes, cell->payload,
                                       sizeof(cell->payload), &form);
    cell->flags = (uint8_t)form;
    if (CONC_LIKELY(size > 0)) {
        cell->length = (uint16_t)size;
        return 0;
    }
    if (form != PYCONC_FORM_PICKLED) {
        size = pyconc_tagged_size(result, &worker->classes, &form);
    }
    if (size > 0) {
        cell->flags = (uint8_t)form;
        if (make_place(worker, cell, size, &data) < 0) {
            return -1;
        }
        size_t written =
            pyconc_tagged_encode(result, &worker->classes, data, size, &form);
        CONC_ASSERT(written == size);
        (void)written;
        return 0;
    }

    struct pyconc_pickled pickled;
    if (pyconc_pickle(worker->state->codec, result,
                      (enum pyconc_by_value)worker->by_value, &pickled) < 0) {
        if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
            return -1;
        }
        PyObject *error = pyconc_error_take();
        PyObject *better = PyObject_CallFunctionObjArgs(worker->unsendable,
                                                        result, error, NULL);
        Py_DECREF(error);
        if (better != NULL) {
            pyconc_raise_object(better);
            Py_DECREF(better);
        }
        return -1;
    }
    cell->flags = (uint8_t)pickled.form;
    int status = make_place(worker, cell, pickled.size_bytes, &data);
    if (status == 0) {
        pyconc_pickled_write(&pickled, data);
    }
    pyconc_pickled_clear(&pickled);
    return status;
}

static int
answer_numbers(struct pyconc_worker *worker, struct conc_cell *cell,
               const struct pyconc_gathered *results)
{
    uint8_t *data;

    cell->operation = PYCONC_RESULT;
    cell->flags = PYCONC_FORM_TAGGED;
    if (make_place(worker, cell, pyconc_gathered_size(results), &data) < 0) {
        return -1;
    }
    pyconc_gathered_write(results, data);
    return 0;
}

static void
take_back_answer(struct pyconc_worker *worker, const struct conc_cell *cell)
{
    struct pyconc_block_ref reference;

    if (cell->flags & PYCONC_FLAG_BLOCK) {
        memcpy(&reference, cell->payload, sizeof(reference));
        conc_heap_release(worker->heap, reference.offset);
    }
}

static void
run_task(struct pyconc_worker *worker, uint32_t index)
{
    struct conc_cell *cell = &worker->board.cells[index];
    PyObject *result = NULL;
    struct pyconc_gathered results = {.values = NULL};

    /* A signal that came before this task is not its error. */
    if (PyErr_CheckSignals() < 0) {
        PyErr_WriteUnraisable((PyObject *)worker);
    }
    worker->state->in_task = 1;
    int failed = perform(worker, cell, &result, &results) < 0;
    /* A child that a task forked may come back from it; the answer is the
     * parent's to give. */
    if (worker->forks != conc_forks_count()) {
        _exit(1);
    }
    if (!failed) {
        failed = result != NULL ? answer_result(worker, cell, result) < 0
                                : answer_numbers(worker, cell, &results) < 0;
    }
    Py_XDECREF(result);
    pyconc_gathered_clear(&results);
    if (!failed && PyErr_CheckSignals() < 0) {
        failed = 1; /* a signal that came while the task still counted */
        take_back_answer(worker, cell);
    }
    worker->state->in_task = 0;
    if (failed) {
        answer_error(worker, cell);
    }
    CONC_CRASH_POINT("worker.answered");
}

/* --- the loop ------------------------------------------------------------ */

static int
has_news_nogil(const struct pyconc_worker *worker)
{
    return conc_board_backlog(&worker->board) > 0 ||
           conc_load_rlx(&worker->control->stop) != PYCONC_GO_ON;
}

/* Spin for a moment; 1 if there is something to look at. */
static int
spin(struct pyconc_worker *worker)
{
    for (int i = 0; i < ATTACHED_SPINS; i++) {
        if (has_news_nogil(worker)) {
            return 1;
        }
        conc_cpu_relax();
    }
    int found = 0;
    Py_BEGIN_ALLOW_THREADS
    int64_t end_ns = conc_clock_now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < 32 && !found; i++) {
            conc_cpu_relax();
            found = has_news_nogil(worker);
        }
    } while (!found && conc_clock_now_ns() < end_ns);
    Py_END_ALLOW_THREADS
    return found;
}

/* Nothing is queued: wait.  1 if the pool has stopped. */
static int
idle(struct pyconc_worker *worker, int spinning)
{
    /* S2, pairs with S1 in pyconc_process_settle */
    uint32_t stop = conc_load_sc(&worker->control->stop);
    if (stop != PYCONC_GO_ON && conc_board_backlog(&worker->board) == 0) {
        return 1;
    }
    if (!spinning) {
        spinning = conc_idlers_spin_begin(&worker->idlers, worker->slot);
    }
    if (spinning) {
        int found = spin(worker);
        conc_idlers_spin_end(&worker->idlers, worker->slot);
        if (found) {
            return 0;
        }
    }
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = conc_idlers_sleep(&worker->idlers, worker->slot,
                               &worker->control->stop,
                               conc_deadline_after(TRIM_AFTER_NS));
    Py_END_ALLOW_THREADS
    if (status == CONC_TIMEOUT) {
        /* Idle for good: memory goes back, and the sleep has no end. */
        (void)conc_heap_trim(worker->heap, 0);
        pyconc_codec_trim(worker->state->codec);
        Py_BEGIN_ALLOW_THREADS(void)
        conc_idlers_sleep(&worker->idlers, worker->slot,
                          &worker->control->stop, CONC_NEVER);
        Py_END_ALLOW_THREADS
    }
    if (PyErr_CheckSignals() < 0) {
        PyErr_WriteUnraisable((PyObject *)worker); /* nobody's task */
    }
    return 0;
}

int
pyconc_worker_run(struct pyconc_worker *worker, uint64_t max_tasks)
{
    uint64_t done = 0;
    int spinning = 0;

    CONC_CRASH_ROLE("worker");
    CONC_CRASH_POINT("worker.attached");
    conc_store_rel(&worker->slots[worker->slot].status, PYCONC_SLOT_READY);
    conc_idlers_attach(&worker->idlers, worker->slot);
    for (;;) {
        uint32_t cell;
        if (conc_load_rlx(&worker->control->stop) == PYCONC_STOP_NOW) {
            break;
        }
        int status = conc_board_claim(&worker->board, worker->slot, &cell);
        if (status == CONC_CORRUPT) {
            pyconc_raise_status(worker->state, status, "taking a task", NULL);
            return -1;
        }
        if (status != CONC_OK) {
            int stopped = idle(worker, spinning);
            spinning = 0;
            if (stopped) {
                break;
            }
            continue;
        }
        if (spinning) {
            conc_idlers_spin_end(&worker->idlers, worker->slot);
            spinning = 0;
        }
        (void)conc_idlers_claimed(&worker->idlers, worker->slot);
        run_task(worker, cell);
        if (conc_board_backlog(&worker->board) == 0 &&
            (max_tasks == 0 || done + 1 < max_tasks)) {
            spinning = conc_idlers_spin_begin(&worker->idlers, worker->slot);
        }
        int last = max_tasks != 0 && ++done == max_tasks;
        if (last) {
            conc_store_rel(&worker->slots[worker->slot].status,
                           PYCONC_SLOT_LEAVING);
        }
        conc_board_finish(&worker->board, worker->slot, cell);
        CONC_CRASH_POINT("worker.finished");
        (void)conc_eventcount_notify_shared(&worker->control->completions);
        if (last) {
            break;
        }
    }
    conc_idlers_detach(&worker->idlers, worker->slot);
    conc_store_rel(&worker->slots[worker->slot].status, PYCONC_SLOT_LEAVING);
    CONC_CRASH_POINT("worker.leaving");
    return 0;
}

int
pyconc_worker_fail(struct pyconc_worker *worker, PyObject *error)
{
    struct pyconc_slot *slot = &worker->slots[worker->slot];
    PyObject *bytes = PyObject_CallOneArg(worker->encode_error, error);
    conc_off block;

    if (bytes == NULL) {
        return -1;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(bytes);
    int status = conc_heap_alloc(worker->heap, size, &block, NULL);
    if (status != CONC_OK) {
        Py_DECREF(bytes);
        pyconc_raise_status(worker->state, status,
                            "storing the error of an initializer", NULL);
        return -1;
    }
    memcpy(worker->region.base + block, PyBytes_AS_STRING(bytes), size);
    Py_DECREF(bytes);
    conc_store_rlx(&slot->error_offset, block); /* carried by I1 */
    conc_store_rlx(&slot->error_bytes, size);
    /* I1, pairs with I2 in pyconc_process_slot_error */
    conc_store_rel(&slot->status, PYCONC_SLOT_INIT_FAILED);
    return 0;
}
