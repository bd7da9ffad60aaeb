/* What pyconc.h offers to other extensions. */
#include <pyconc.h>

#include "module/module.h"
#include "py/compat.h"
#include "threads/native.h"

/* The executor, or the shared one: a new reference, or NULL. */
static PyObject *
executor_or_shared(PyObject *executor)
{
    if (executor != NULL) {
        return Py_NewRef(executor);
    }
    PyObject *native = PyImport_ImportModule("pyconc.native");
    PyObject *shared =
        native == NULL
            ? NULL
            : PyObject_CallMethod(native, "_executor", "O", Py_None);
    Py_XDECREF(native);
    return shared;
}

/* Of the interpreter that calls. */
static struct pyconc_state *
find_state(void)
{
    PyObject *module = PyImport_ImportModule("pyconc._core");

    if (module == NULL) {
        return NULL;
    }
    struct pyconc_state *state = pyconc_state_of_module(module);
    Py_DECREF(module); /* sys.modules and the caller's executor hold it */
    return state;
}

static int
api_parallel_for(PyObject *executor, pyconc_range_function function,
                 void *context, int64_t n, int64_t grain)
{
    struct pyconc_state *state = find_state();
    PyObject *used = state == NULL ? NULL : executor_or_shared(executor);

    if (used == NULL) {
        return -1;
    }
    int status = pyconc_run_range(state, used, function, context, n, grain);
    Py_DECREF(used);
    return status;
}

struct api_call {
    struct pyconc_native base;
    void (*run)(void *context);
    PyObject *(*result)(void *context);
    void (*release)(void *context);
    void *context;
};

static void
api_call_run(struct pyconc_native *native)
{
    struct api_call *call = (struct api_call *)native;

    call->run(call->context);
}

static PyObject *
api_call_result(struct pyconc_native *native)
{
    struct api_call *call = (struct api_call *)native;

    if (call->result == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *value = call->result(call->context);
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError,
                        "a native task's result() returned NULL without an "
                        "exception");
    }
    return value;
}

static void
api_call_free(struct pyconc_native *native)
{
    struct api_call *call = (struct api_call *)native;

    if (call->release != NULL) {
        PyObject *error = PyErr_Occurred() ? pyconc_error_take() : NULL;
        call->release(call->context);
        if (error != NULL) {
            pyconc_error_restore(error);
        }
    }
    PyMem_Free(call);
}

static const struct pyconc_native_ops api_call_ops = {
    .run = api_call_run,
    .result = api_call_result,
    .free = api_call_free,
};

static PyObject *
api_submit(PyObject *executor, void (*run)(void *context),
           PyObject *(*result)(void *context), void (*release)(void *context),
           void *context)
{
    struct api_call *call = PyMem_Calloc(1, sizeof(*call));

    if (call == NULL) {
        if (release != NULL) {
            release(context);
        }
        PyErr_NoMemory();
        return NULL;
    }
    call->base.ops = &api_call_ops;
    call->run = run;
    call->result = result;
    call->release = release;
    call->context = context;
    struct pyconc_state *state = find_state();
    PyObject *used = state == NULL ? NULL : executor_or_shared(executor);
    PyObject *nothing = used == NULL ? NULL : PyTuple_New(0);
    PyObject *future = NULL;
    if (nothing == NULL || pyconc_check_threads(state, used) < 0) {
        api_call_free(&call->base);
    }
    else {
        future =
            pyconc_executor_submit(used, Py_None, nothing, NULL, &call->base);
    }
    Py_XDECREF(nothing);
    Py_XDECREF(used);
    return future;
}

static const struct pyconc_api api = {
    .version = PYCONC_API_VERSION,
    .size = sizeof(struct pyconc_api),
    .parallel_for = api_parallel_for,
    .submit = api_submit,
};

int
pyconc_add_c_api(PyObject *module)
{
    PyObject *capsule =
        PyCapsule_New((void *)(uintptr_t)&api, PYCONC_API_CAPSULE, NULL);
    int status = PyModule_AddObjectRef(module, "_C_API", capsule);

    Py_XDECREF(capsule);
    return status;
}
