/* pyconc._core: slots, state, nothing else. */
#include "module/module.h"

#include "codec/codec.h"
#include "future/block.h"
#include "future/future.h"
#include "locks/types.h"
#include "platform/cpus.h"
#include "platform/forks.h"
#include "platform/memfd.h"
#include "platform/status.h"
#include "pool/results.h"
#include "threads/timers.h"

static struct PyModuleDef pyconc_module;

struct pyconc_state *
pyconc_state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

struct pyconc_state *
pyconc_state_of(PyTypeObject *type)
{
    /* Never fails: every type with this question derives from one of ours. */
    return PyModule_GetState(PyType_GetModuleByDef(type, &pyconc_module));
}

struct imported {
    PyObject **where;
    const char *module;
    const char *name;
};

/* Where another thread has been quicker, what it found stays. */
static int
import_attribute(const struct imported *wanted)
{
    PyObject *module = PyImport_ImportModule(wanted->module);

    if (module == NULL) {
        return -1;
    }
    PyObject *found = PyObject_GetAttrString(module, wanted->name);
    Py_DECREF(module);
    if (*wanted->where == NULL) {
        *wanted->where = found;
    }
    else {
        Py_XDECREF(found);
    }
    return found == NULL ? -1 : 0;
}

static int
import_all(const struct imported *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (import_attribute(&wanted[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What locks and queues need. */
static int
import_first(struct pyconc_state *state)
{
    const struct imported wanted[] = {
        {&state->condition_class, "threading", "Condition"},
        {&state->broken_barrier_error, "threading", "BrokenBarrierError"},
        {&state->allocate_lock, "_thread", "allocate_lock"},
        {(PyObject **)&state->builtin_lock_type, "_thread", "LockType"},
        {(PyObject **)&state->builtin_rlock_type, "_thread", "RLock"},
        {&state->queue_empty, "queue", "Empty"},
        {&state->queue_full, "queue", "Full"},
        {&state->queue_shutdown, "pyconc._sync_errors", "ShutDown"},
        {(PyObject **)&state->deque_type, "collections", "deque"},
    };

    if (import_all(wanted, sizeof(wanted) / sizeof(wanted[0])) < 0) {
        return -1;
    }
    PyObject *deque = (PyObject *)state->deque_type;
    state->deque_append = PyObject_GetAttrString(deque, "append");
    state->deque_popleft = PyObject_GetAttrString(deque, "popleft");
    return state->deque_append == NULL || state->deque_popleft == NULL ? -1
                                                                       : 0;
}

int
pyconc_state_complete(struct pyconc_state *state)
{
    const struct imported wanted[] = {
        {&state->cancelled_error, "concurrent.futures", "CancelledError"},
        {&state->invalid_state_error, "concurrent.futures",
         "InvalidStateError"},
        {&state->futures_timeout_error, "concurrent.futures", "TimeoutError"},
        {&state->logger, "concurrent.futures._base", "LOGGER"},
        {&state->pool_timeout_error, "multiprocessing", "TimeoutError"},
        {&state->corruption_error, "pyconc.errors", "CorruptionError"},
        {&state->decode_error, "pyconc._wire", "decode_error"},
        {&state->result_error, "pyconc._wire", "result_error"},
        {&state->is_plain, "pyconc._wire", "is_plain_class"},
        {&state->dump_main, "pyconc._wire", "dump_main"},
        {&state->load_main, "pyconc._wire", "load_main"},
        {&state->report_error, "pyconc._wire", "report_callback_error"},
    };

    if (state->codec != NULL) {
        return 0;
    }
    if (import_all(wanted, sizeof(wanted) / sizeof(wanted[0])) < 0) {
        return -1;
    }
    struct pyconc_codec *codec = pyconc_codec_new();
    if (codec == NULL) {
        return -1;
    }
    if (state->codec == NULL) {
        state->codec = codec;
    }
    else {
        pyconc_codec_free(codec);
    }
    return 0;
}

static int
intern_all(struct pyconc_state *state)
{
    const struct {
        PyObject **where;
        const char *text;
    } wanted[] = {
        {&state->str_add_result, "add_result"},
        {&state->str_add_exception, "add_exception"},
        {&state->str_add_cancelled, "add_cancelled"},
        {&state->str_argtypes, "argtypes"},
        {&state->str_restype, "restype"},
        {&state->str_errcheck, "errcheck"},
        {&state->str_flags, "_flags_"},
        {&state->str_notify_all, "notify_all"},
        {&state->str_notify, "notify"},
        {&state->str_init, "_init"},
        {&state->str_qsize, "_qsize"},
        {&state->str_put_hook, "_put"},
        {&state->str_get_hook, "_get"},
        {&state->str_enter, "__enter__"},
        {&state->str_exit, "__exit__"},
        {&state->str_release, "release"},
        {&state->str_release_save, "_release_save"},
        {&state->str_acquire_restore, "_acquire_restore"},
        {&state->str_is_owned, "_is_owned"},
        {&state->str_wait, "wait"},
        {&state->str_put, "put"},
        {&state->str_get, "get"},
        {&state->str_clear, "clear"},
        {&state->str_open_put, "_pyconc_open_put"},
        {&state->str_open_get, "_pyconc_open_get"},
        {&state->str_open_task_done, "_pyconc_open_task_done"},
        {&state->str_open_join, "_pyconc_open_join"},
        {&state->str_open_shutdown, "_pyconc_open_shutdown"},
        {&state->str_open_qsize, "_pyconc_open_qsize"},
        {&state->str_make_conditions, "_pyconc_make_conditions"},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].where = PyUnicode_InternFromString(wanted[i].text);
        if (*wanted[i].where == NULL) {
            return -1;
        }
    }
    state->names_block = Py_BuildValue("(s)", "block");
    state->names_block_timeout = Py_BuildValue("(ss)", "block", "timeout");
    return state->names_block == NULL || state->names_block_timeout == NULL
               ? -1
               : 0;
}

static int
add_types(PyObject *module, struct pyconc_state *state)
{
    const struct {
        PyTypeObject **where;
        PyType_Spec *spec;
        PyTypeObject **base; /* made before */
    } wanted[] = {
        {&state->future_type, &pyconc_future_spec, NULL},
        {&state->completions_type, &pyconc_completions_spec, NULL},
        {&state->block_type, &pyconc_block_spec, NULL},
        {&state->engine_type, &pyconc_engine_spec, NULL},
        {&state->process_engine_type, &pyconc_process_engine_spec,
         &state->engine_type},
        {&state->thread_engine_type, &pyconc_thread_engine_spec,
         &state->engine_type},
        {&state->worker_type, &pyconc_worker_spec, NULL},
        {&state->submitter_type, &pyconc_submitter_spec, NULL},
        {&state->scheduling_type, &pyconc_scheduling_spec,
         &state->submitter_type},
        {&state->periodic_type, &pyconc_periodic_spec, NULL},
        {&state->apply_type, &pyconc_apply_spec, NULL},
        {&state->map_type, &pyconc_map_spec, &state->apply_type},
        {&state->imap_type, &pyconc_imap_spec, NULL},
        {&state->event_type, &pyconc_event_spec, NULL},
        {&state->lock_type, &pyconc_lock_spec, NULL},
        {&state->rlock_type, &pyconc_rlock_spec, NULL},
        {&state->semaphore_type, &pyconc_semaphore_spec, NULL},
        {&state->condition_type, &pyconc_condition_spec, NULL},
        {&state->barrier_type, &pyconc_barrier_spec, NULL},
        {&state->counter_type, &pyconc_counter_spec, NULL},
        {&state->queue_type, &pyconc_queue_spec, NULL},
        {&state->awaiter_type, &pyconc_awaiter_spec, NULL},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        PyObject *base =
            wanted[i].base == NULL ? NULL : (PyObject *)*wanted[i].base;
        PyObject *type =
            PyType_FromModuleAndSpec(module, wanted[i].spec, base);
        if (type == NULL) {
            return -1;
        }
        *wanted[i].where = (PyTypeObject *)type;
        if (PyModule_AddType(module, (PyTypeObject *)type) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether crash points and assertions are compiled in; tests/crash looks. */
static int
add_debug_build(PyObject *module)
{
#ifdef CONC_DEBUG
    PyObject *value = Py_True;
#else
    PyObject *value = Py_False;
#endif
    return PyModule_AddObjectRef(module, "debug_build", value);
}

static int
module_exec(PyObject *module)
{
    struct pyconc_state *state = pyconc_state_of_module(module);

    if (conc_forks_watch() != CONC_OK) {
        PyErr_NoMemory();
        return -1;
    }
    if (intern_all(state) < 0 || import_first(state) < 0 ||
        add_types(module, state) < 0 || add_debug_build(module) < 0 ||
        pyconc_add_c_api(module) < 0 ||
        PyModule_AddFunctions(module, pyconc_codec_methods) < 0 ||
        PyModule_AddFunctions(module, pyconc_native_methods) < 0 ||
        PyModule_AddFunctions(module, pyconc_probe_methods) < 0 ||
        PyModule_AddFunctions(module, pyconc_worker_methods) < 0) {
        return -1;
    }
    return 0;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct pyconc_state *state = pyconc_state_of_module(module);

    Py_VISIT(state->future_type);
    Py_VISIT(state->completions_type);
    Py_VISIT(state->block_type);
    Py_VISIT(state->engine_type);
    Py_VISIT(state->process_engine_type);
    Py_VISIT(state->thread_engine_type);
    Py_VISIT(state->worker_type);
    Py_VISIT(state->submitter_type);
    Py_VISIT(state->scheduling_type);
    Py_VISIT(state->periodic_type);
    Py_VISIT(state->apply_type);
    Py_VISIT(state->map_type);
    Py_VISIT(state->imap_type);
    Py_VISIT(state->event_type);
    Py_VISIT(state->semaphore_type);
    Py_VISIT(state->condition_type);
    Py_VISIT(state->barrier_type);
    Py_VISIT(state->counter_type);
    Py_VISIT(state->queue_type);
    Py_VISIT(state->awaiter_type);
    Py_VISIT(state->allocate_lock);
    Py_VISIT(state->broken_barrier_error);
    Py_VISIT(state->builtin_lock_type);
    Py_VISIT(state->builtin_rlock_type);
    Py_VISIT(state->lock_type);
    Py_VISIT(state->rlock_type);
    Py_VISIT(state->queue_empty);
    Py_VISIT(state->queue_full);
    Py_VISIT(state->queue_shutdown);
    Py_VISIT(state->deque_type);
    Py_VISIT(state->deque_append);
    Py_VISIT(state->deque_popleft);
    Py_VISIT(state->cancelled_error);
    Py_VISIT(state->invalid_state_error);
    Py_VISIT(state->futures_timeout_error);
    Py_VISIT(state->pool_timeout_error);
    Py_VISIT(state->condition_class);
    Py_VISIT(state->logger);
    Py_VISIT(state->decode_error);
    Py_VISIT(state->result_error);
    Py_VISIT(state->is_plain);
    Py_VISIT(state->dump_main);
    Py_VISIT(state->load_main);
    Py_VISIT(state->report_error);
    Py_VISIT(state->corruption_error);
    Py_VISIT(state->native_function);
    Py_VISIT(state->native_plan);
    Py_VISIT(state->native_number);
    Py_VISIT(state->native_pointer);
    Py_VISIT(state->native_result);
    Py_VISIT(state->native_plans);
    return state->codec == NULL
               ? 0
               : pyconc_codec_traverse(state->codec, visit, arg);
}

static int
module_clear(PyObject *module)
{
    struct pyconc_state *state = pyconc_state_of_module(module);

    Py_CLEAR(state->future_type);
    Py_CLEAR(state->completions_type);
    Py_CLEAR(state->block_type);
    Py_CLEAR(state->engine_type);
    Py_CLEAR(state->process_engine_type);
    Py_CLEAR(state->thread_engine_type);
    Py_CLEAR(state->worker_type);
    Py_CLEAR(state->submitter_type);
    Py_CLEAR(state->scheduling_type);
    Py_CLEAR(state->periodic_type);
    Py_CLEAR(state->apply_type);
    Py_CLEAR(state->map_type);
    Py_CLEAR(state->imap_type);
    Py_CLEAR(state->event_type);
    Py_CLEAR(state->semaphore_type);
    Py_CLEAR(state->condition_type);
    Py_CLEAR(state->barrier_type);
    Py_CLEAR(state->counter_type);
    Py_CLEAR(state->queue_type);
    Py_CLEAR(state->awaiter_type);
    Py_CLEAR(state->allocate_lock);
    Py_CLEAR(state->broken_barrier_error);
    Py_CLEAR(state->builtin_lock_type);
    Py_CLEAR(state->builtin_rlock_type);
    Py_CLEAR(state->lock_type);
    Py_CLEAR(state->rlock_type);
    Py_CLEAR(state->queue_empty);
    Py_CLEAR(state->queue_full);
    Py_CLEAR(state->queue_shutdown);
    Py_CLEAR(state->deque_type);
    Py_CLEAR(state->deque_append);
    Py_CLEAR(state->deque_popleft);
    Py_CLEAR(state->cancelled_error);
    Py_CLEAR(state->invalid_state_error);
    Py_CLEAR(state->futures_timeout_error);
    Py_CLEAR(state->pool_timeout_error);
    Py_CLEAR(state->condition_class);
    Py_CLEAR(state->logger);
    Py_CLEAR(state->decode_error);
    Py_CLEAR(state->result_error);
    Py_CLEAR(state->is_plain);
    Py_CLEAR(state->dump_main);
    Py_CLEAR(state->load_main);
    Py_CLEAR(state->report_error);
    Py_CLEAR(state->corruption_error);
    Py_CLEAR(state->native_function);
    Py_CLEAR(state->native_plan);
    Py_CLEAR(state->native_number);
    Py_CLEAR(state->native_pointer);
    Py_CLEAR(state->native_result);
    Py_CLEAR(state->native_plans);
    Py_CLEAR(state->str_add_result);
    Py_CLEAR(state->str_add_exception);
    Py_CLEAR(state->str_add_cancelled);
    Py_CLEAR(state->str_argtypes);
    Py_CLEAR(state->str_restype);
    Py_CLEAR(state->str_errcheck);
    Py_CLEAR(state->str_flags);
    Py_CLEAR(state->str_notify_all);
    Py_CLEAR(state->str_notify);
    Py_CLEAR(state->str_init);
    Py_CLEAR(state->str_qsize);
    Py_CLEAR(state->str_put_hook);
    Py_CLEAR(state->str_get_hook);
    Py_CLEAR(state->str_enter);
    Py_CLEAR(state->str_exit);
    Py_CLEAR(state->names_block);
    Py_CLEAR(state->names_block_timeout);
    Py_CLEAR(state->str_release);
    Py_CLEAR(state->str_release_save);
    Py_CLEAR(state->str_acquire_restore);
    Py_CLEAR(state->str_is_owned);
    Py_CLEAR(state->str_wait);
    Py_CLEAR(state->str_put);
    Py_CLEAR(state->str_get);
    Py_CLEAR(state->str_clear);
    Py_CLEAR(state->str_open_put);
    Py_CLEAR(state->str_open_get);
    Py_CLEAR(state->str_open_task_done);
    Py_CLEAR(state->str_open_join);
    Py_CLEAR(state->str_open_shutdown);
    Py_CLEAR(state->str_open_qsize);
    Py_CLEAR(state->str_make_conditions);
    return 0;
}

static void
module_free(void *module)
{
    struct pyconc_state *state = pyconc_state_of_module(module);

    (void)module_clear(module);
    if (state->codec != NULL) {
        pyconc_codec_free(state->codec);
        state->codec = NULL;
    }
}

static PyObject *
cpus_usable(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(conc_cpus_usable());
}

static PyObject *
memory_available(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    const char *limit = "";
    uint64_t bytes = conc_memory_available(&limit);

    return Py_BuildValue("(Ks)", (unsigned long long)bytes, limit);
}

static PyMethodDef module_methods[] = {
    {"allocate_lock", pyconc_allocate_lock, METH_NOARGS,
     PyDoc_STR("allocate_lock($module, /)\n--\n\nMake a Lock.")},
    {"cpus_usable", cpus_usable, METH_NOARGS,
     PyDoc_STR("cpus_usable($module, /)\n--\n\n"
               "Return how many CPUs this process may really use.")},
    {"memory_available", memory_available, METH_NOARGS,
     PyDoc_STR("memory_available($module, /)\n--\n\n"
               "Return how many bytes this process can still get, and what\n"
               "limits that.")},
    {NULL, NULL, 0, NULL},
};

/* The cautious values: subinterpreters share one GIL, free-threaded builds
 * turn the GIL on, until the stress tests pass there. */
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef pyconc_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pyconc._core",
    .m_doc = PyDoc_STR("The engines of pyconc."),
    .m_size = sizeof(struct pyconc_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&pyconc_module);
}
