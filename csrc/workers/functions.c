/* The function table, parent side.
 *
 * A callable that pickle writes as a name is sent once per pool and then as
 * a number; the table holds it strongly, so the number cannot come to mean
 * something else.  Any other callable is encoded each time it is acquired -
 * once per submit, once per map - and its bytes are the key: while tasks
 * with the same bytes are under way they share one entry, so a closure over
 * a megabyte crosses once, however many tasks use it. */
#include <string.h>

#include "platform/status.h"
#include "workers/engine.h"

/* So that references cannot fill the table; more callables than this travel
 * by value. */
#define REFERENCES_MAX (PYCONC_FUNCTIONS_MAX / 2)

static PyObject *
name_of(PyObject *callable)
{
    PyObject *name = PyObject_GetAttrString(callable, "__qualname__");

    if (name == NULL || !PyUnicode_Check(name)) {
        PyErr_Clear();
        Py_XDECREF(name);
        name = PyObject_GetAttrString((PyObject *)Py_TYPE(callable),
                                      "__qualname__");
    }
    return name;
}

/* A free index: 0, or 1 if there is none. */
static int
find_free(struct pyconc_process_engine *engine, uint32_t *function)
{
    if (engine->free_function != PYCONC_FUNCTION_NONE) {
        *function = engine->free_function;
        engine->free_function = engine->functions[*function].next_free;
        return 0;
    }
    if (engine->function_count == PYCONC_FUNCTIONS_MAX) {
        return 1;
    }
    *function = engine->function_count++;
    return 0;
}

static void
put_free(struct pyconc_process_engine *engine, uint32_t function)
{
    engine->functions[function].next_free = engine->free_function;
    engine->free_function = function;
}

/* Store the pickled form of `callable` under a free index. */
static int
store(struct pyconc_process_engine *engine, PyObject *callable, PyObject *key,
      const uint8_t *data, uint64_t size_bytes, enum pyconc_form form,
      enum pyconc_travel travel, uint32_t *function)
{
    int full = find_free(engine, function);
    if (full) {
        return full;
    }
    struct pyconc_function *record = &engine->functions[*function];
    const char *limit = NULL;
    conc_off block;
    PyObject *index = PyLong_FromUnsignedLong(*function);
    PyObject *name = name_of(callable);

    if (index == NULL || name == NULL) {
        goto fail;
    }
    int status = conc_heap_alloc(engine->heap, size_bytes, &block, &limit);
    if (status != CONC_OK) {
        pyconc_raise_status(engine->base.state, status, "storing a function",
                            limit);
        goto fail;
    }
    if (PyDict_SetItem(engine->function_index, key, index) < 0) {
        conc_heap_release(engine->heap, block);
        goto fail;
    }
    memcpy(engine->region.base + block, data, size_bytes);
    record->key = Py_NewRef(key);
    record->name = name;
    record->tasks = 1;
    record->block = block;
    struct pyconc_function_entry *entry = &engine->entries[*function];
    entry->offset = block;
    entry->size_bytes = size_bytes;
    entry->form = (uint8_t)form;
    entry->travel = (uint8_t)travel;
    entry->generation++; /* private to the parent; workers only compare */
    Py_DECREF(index);
    return 0;

fail:
    put_free(engine, *function);
    Py_XDECREF(index);
    Py_XDECREF(name);
    return -1;
}

static int
find(struct pyconc_process_engine *engine, PyObject *key, uint32_t *function)
{
    PyObject *index = PyDict_GetItemWithError(engine->function_index, key);

    if (index == NULL) {
        return PyErr_Occurred() ? -1 : 1;
    }
    *function = (uint32_t)PyLong_AsUnsignedLong(index);
    engine->functions[*function].tasks++;
    return 0;
}

/* Only these compare by identity, and only they can be references. */
static int
may_be_reference(PyObject *callable)
{
    return PyFunction_Check(callable) || PyCFunction_Check(callable) ||
           Py_IS_TYPE(callable, &PyType_Type);
}

/* The bytes of a callable, as a new reference. */
static PyObject *
pickle_callable(struct pyconc_process_engine *engine, PyObject *callable,
                enum pyconc_travel travel, enum pyconc_form *form)
{
    struct pyconc_pickled pickled;

    if (travel == PYCONC_BY_MAIN) {
        *form = PYCONC_FORM_PICKLED;
        return PyObject_CallOneArg(engine->base.state->dump_main, callable);
    }
    if (pyconc_pickle(engine->base.state->codec, callable,
                      travel == PYCONC_BY_VALUE ? PYCONC_BY_VALUE_NEEDED
                                                : PYCONC_BY_VALUE_NEVER,
                      &pickled) < 0) {
        return NULL;
    }
    PyObject *bytes =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)pickled.size_bytes);
    if (bytes != NULL) {
        pyconc_pickled_write(&pickled, (uint8_t *)PyBytes_AS_STRING(bytes));
    }
    *form = pickled.form;
    pyconc_pickled_clear(&pickled);
    return bytes;
}

int
pyconc_function_acquire(struct pyconc_process_engine *engine,
                        PyObject *callable, uint32_t *function)
{
    if (callable == engine->last_callable) {
        *function = engine->last_function;
        engine->functions[*function].tasks++;
        return 0;
    }

    enum pyconc_travel travel = PYCONC_BY_VALUE;
    if (may_be_reference(callable)) {
        int found = find(engine, callable, function);
        if (found == 0) {
            engine->last_callable = callable;
            engine->last_function = *function;
        }
        if (found <= 0) {
            return found;
        }
        int in_main = 0;
        if (engine->reference_count < REFERENCES_MAX &&
            pyconc_is_by_reference(callable, &in_main)) {
            travel = in_main && engine->main_travels != PYCONC_MAIN_SHARED
                         ? PYCONC_BY_MAIN
                         : PYCONC_BY_REFERENCE;
        }
    }

    enum pyconc_form form;
    PyObject *bytes = pickle_callable(engine, callable, travel, &form);
    if (bytes == NULL) {
        return -1;
    }
    PyObject *key = travel == PYCONC_BY_VALUE ? bytes : callable;
    int status = find(engine, key, function);
    if (status == 1) {
        status = store(
            engine, callable, key, (const uint8_t *)PyBytes_AS_STRING(bytes),
            (uint64_t)PyBytes_GET_SIZE(bytes), form, travel, function);
        if (status == 0 && travel != PYCONC_BY_VALUE) {
            engine->functions[*function].tasks++; /* never let go of */
            engine->reference_count++;
        }
    }
    Py_DECREF(bytes);
    return status;
}

void
pyconc_function_release(struct pyconc_process_engine *engine,
                        uint32_t function)
{
    struct pyconc_function *record = &engine->functions[function];

    if (--record->tasks > 0) {
        return;
    }
    PyObject *key = record->key;
    PyObject *name = record->name;
    record->key = NULL;
    record->name = NULL;
    conc_heap_release(engine->heap, record->block);
    put_free(engine, function);
    if (PyDict_DelItem(engine->function_index, key) < 0) {
        PyErr_WriteUnraisable(key);
    }
    Py_DECREF(key);
    Py_DECREF(name);
}

uint32_t
pyconc_function_class_number(void *context, PyTypeObject *type)
{
    struct pyconc_process_engine *engine = context;
    uint32_t function;
    int in_main = 0;

    if (engine->reference_count >= REFERENCES_MAX ||
        !pyconc_is_by_reference((PyObject *)type, &in_main) ||
        (in_main && engine->main_travels == PYCONC_MAIN_MISSING) ||
        pyconc_function_acquire(engine, (PyObject *)type, &function) != 0) {
        PyErr_Clear();
        return PYCONC_CLASS_NONE;
    }
    pyconc_function_release(engine, function);
    return function;
}
