/* MapResult: the answers of one map, in the order of its items. */
#include "pool/results.h"
#include "py/compat.h"

#define AS_MAP(object) ((struct pyconc_map *)(object))

static void
finish(struct pyconc_map *map)
{
    if (map->error != NULL) {
        PyObject *error = map->error;
        map->error = NULL;
        pyconc_outcome_arrive(&map->apply.outcome, error, map->error_kind, 0);
    }
    else {
        pyconc_outcome_arrive(&map->apply.outcome, Py_NewRef(Py_None),
                              PYCONC_VALUE_RESULT, 0);
    }
}

void
pyconc_map_arrive(PyObject *self, Py_ssize_t index, PyObject *value,
                  uint8_t kind, uint8_t form)
{
    struct pyconc_map *map = AS_MAP(self);

    if (pyconc_kind_is_error(kind)) {
        if (map->error == NULL) {
            map->error = value;
            map->error_kind = kind;
        }
        else {
            Py_DECREF(value);
        }
    }
    else {
        if (kind == PYCONC_VALUE_RAW_RESULT) {
            map->forms[index] = (uint8_t)(1 + form);
            map->any_raw = 1;
        }
        PyList_SET_ITEM(map->answers, index, value);
    }
    if (--map->remaining == 0) {
        finish(map);
    }
}

void
pyconc_map_fail(PyObject *self, Py_ssize_t index)
{
    pyconc_map_arrive(self, index, pyconc_error_take(), PYCONC_VALUE_EXCEPTION,
                      0);
}

static int
decode_answers(struct pyconc_state *state, struct pyconc_map *map,
               PyObject *answers)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(answers); i++) {
        if (map->forms[i] == 0) {
            continue;
        }
        uint8_t kind = PYCONC_VALUE_RAW_RESULT;
        PyObject *raw = Py_NewRef(PyList_GET_ITEM(answers, i));
        PyObject *value = pyconc_value_decode(state, raw, &kind,
                                              (uint8_t)(map->forms[i] - 1));
        Py_DECREF(raw);
        if (value == NULL) {
            return -1;
        }
        if (kind == PYCONC_VALUE_EXCEPTION) {
            struct pyconc_outcome *outcome = &map->apply.outcome;
            if (map->answers != answers) { /* another thread was quicker */
                Py_DECREF(value);
                return 1;
            }
            outcome->kind = PYCONC_VALUE_EXCEPTION;
            pyconc_outcome_set_value(outcome, value);
            return 1;
        }
        if (map->forms[i] == 0) { /* another thread was quicker */
            Py_DECREF(value);
            continue;
        }
        map->forms[i] = 0;
        PyList_SET_ITEM(answers, i, value);
        Py_DECREF(raw);
    }
    return 0;
}

/* The items of all chunks in one list.  The chunks are ours alone, so their
 * items move over. */
static PyObject *
flatten(PyObject *chunks)
{
    Py_ssize_t total = 0, position = 0;

    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(chunks); i++) {
        PyObject *chunk = PyList_GET_ITEM(chunks, i);
        if (!PyList_CheckExact(chunk)) {
            PyErr_SetString(PyExc_SystemError,
                            "a worker answered a chunk with something that "
                            "is not a list");
            return NULL;
        }
        total += PyList_GET_SIZE(chunk);
    }
    PyObject *result = PyList_New(total);
    if (result == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(chunks); i++) {
        PyObject *chunk = PyList_GET_ITEM(chunks, i);
        for (Py_ssize_t j = 0; j < PyList_GET_SIZE(chunk); j++) {
            PyList_SET_ITEM(result, position++, PyList_GET_ITEM(chunk, j));
        }
        Py_SET_SIZE(chunk, 0); /* its items have moved */
    }
    return result;
}

int
pyconc_apply_resolve(struct pyconc_state *state, struct pyconc_apply *apply)
{
    struct pyconc_outcome *outcome = &apply->outcome;

    if (!PyObject_TypeCheck((PyObject *)apply, state->map_type)) {
        return pyconc_outcome_decode(state, outcome);
    }
    struct pyconc_map *map = AS_MAP(apply);
    if (outcome->kind != PYCONC_VALUE_RESULT) {
        return pyconc_outcome_decode(state, outcome);
    }
    /* Decoding runs user code, so the answers are taken out first; a second
     * thread that asks meanwhile waits for nothing and finds them gone only
     * together with a value. */
    PyObject *answers = map->answers;
    if (answers == NULL) {
        return 0;
    }
    Py_INCREF(answers);
    if (map->any_raw) {
        int status = decode_answers(state, map, answers);
        if (status != 0) {
            Py_DECREF(answers);
            if (status > 0) {
                Py_CLEAR(map->answers);
                return 0;
            }
            return -1;
        }
    }
    PyObject *value = map->chunked ? flatten(answers) : Py_NewRef(answers);
    Py_DECREF(answers);
    if (value == NULL) {
        return -1;
    }
    if (map->answers == NULL) { /* another thread was quicker */
        Py_DECREF(value);
        return 0;
    }
    if (value == map->answers) {
        PyObject_GC_Track(value);
    }
    Py_CLEAR(map->answers);
    pyconc_outcome_set_value(outcome, value);
    return 0;
}

static int
map_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(AS_MAP(self)->apply.outcome.value);
    Py_VISIT(AS_MAP(self)->apply.outcome.attributes);
    Py_VISIT(AS_MAP(self)->apply.callback);
    Py_VISIT(AS_MAP(self)->apply.error_callback);
    /* Not the list itself: gc.get_referents would hand it out, half-filled. */
    PyObject *answers = AS_MAP(self)->answers;
    for (Py_ssize_t i = 0; answers && i < PyList_GET_SIZE(answers); i++) {
        Py_VISIT(PyList_GET_ITEM(answers, i));
    }
    Py_VISIT(AS_MAP(self)->error);
    return 0;
}

static int
map_clear(PyObject *self)
{
    struct pyconc_map *map = AS_MAP(self);

    pyconc_outcome_clear(&map->apply.outcome);
    Py_CLEAR(map->apply.callback);
    Py_CLEAR(map->apply.error_callback);
    Py_CLEAR(map->answers);
    Py_CLEAR(map->error);
    return 0;
}

static void
map_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)map_clear(self);
    PyMem_Free(AS_MAP(self)->forms);
    type->tp_free(self);
    Py_DECREF(type);
}

static char map_doc[] = PyDoc_STR("The C half of MapResult; made by a Pool.");

static PyType_Slot map_slots[] = {
    {Py_tp_doc, map_doc},
    {Py_tp_dealloc, (void *)map_dealloc},
    {Py_tp_traverse, (void *)map_traverse},
    {Py_tp_clear, (void *)map_clear},
    {0, NULL},
};

PyType_Spec pyconc_map_spec = {
    .name = "pyconc._core.MapResultBase",
    .basicsize = sizeof(struct pyconc_map),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = map_slots,
};
