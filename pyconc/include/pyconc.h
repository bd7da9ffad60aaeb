/* The C API of pyconc: C and Cython extensions on the threads of its pools.
 *
 * Compile with the directory that pyconc.get_include() returns; there is
 * nothing to link with.  Call pyconc_import() once, in the module's
 * initialization, in each C file that uses the rest.
 *
 * A function that runs in a pool must not touch Python objects nor call
 * Python's API.  One that crashes takes the process with it. */
#ifndef PYCONC_H
#define PYCONC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Later versions keep what earlier ones have, in its place, and add. */
#define PYCONC_API_VERSION 1
#define PYCONC_API_CAPSULE "pyconc._core._C_API"

/* A capsule of this name around a pyconc_range_function can be given to
 * pyconc.native.parallel_for(); its context, if any, is the function's. */
#define PYCONC_RANGE_CAPSULE "pyconc.range_function"

/* Called for begin <= index < end. */
typedef void (*pyconc_range_function)(int64_t begin, int64_t end,
                                      void *context);

struct pyconc_api {
    uint32_t version; /* of the pyconc that runs */
    uint32_t size;    /* of this structure there, in bytes */

    /* Call function(begin, end, context) for parts that make up [0, n), on
     * several threads, this one included; return when all calls have returned.
     *
     * executor: a pyconc.futures.ThreadPoolExecutor, or NULL: the threads that
     * all calls without one share.  grain: how many indexes a call gets at
     * most; 0: as many as take some 50 microseconds.
     *
     * 0, or -1 with an exception: RuntimeError after shutdown, ValueError or
     * OverflowError for n (2**62 at most) or grain, or what a signal handler
     * raised; then no call is still running.  The GIL must be held; it is
     * released inside. */
    int (*parallel_for)(PyObject *executor, pyconc_range_function function,
                        void *context, int64_t n, int64_t grain);

    /* Call run(context) in a thread of the executor (as above), without the
     * GIL.  Returns its Future, or NULL with an exception.
     *
     * result(context), with the GIL, makes the future's result, or returns
     * NULL with an exception, which is the future's then; NULL: the result is
     * None.  release(context), with the GIL, is the last call, in any case and
     * exactly once, also if the task was cancelled or this function fails;
     * NULL: there is nothing to release. */
    PyObject *(*submit)(PyObject *executor, void (*run)(void *context),
                        PyObject *(*result)(void *context),
                        void (*release)(void *context), void *context);
};

static const struct pyconc_api *pyconc_api;

/* 0, or -1 with ImportError, or with RuntimeError if the pyconc that is
 * installed is too old. */
static inline int
pyconc_import(void)
{
    PyObject *module = PyImport_ImportModule("pyconc._core");

    if (module == NULL) {
        return -1;
    }
    Py_DECREF(module);
    pyconc_api =
        (const struct pyconc_api *)PyCapsule_Import(PYCONC_API_CAPSULE, 0);
    if (pyconc_api == NULL) {
        return -1;
    }
    if (pyconc_api->version < PYCONC_API_VERSION) {
        PyErr_Format(PyExc_RuntimeError,
                     "this extension needs version %d of pyconc's C API, but "
                     "the installed pyconc has version %d",
                     PYCONC_API_VERSION, (int)pyconc_api->version);
        return -1;
    }
    return 0;
}

static inline int
pyconc_parallel_for(PyObject *executor, pyconc_range_function function,
                    void *context, int64_t n, int64_t grain)
{
    return pyconc_api->parallel_for(executor, function, context, n, grain);
}

static inline PyObject *
pyconc_submit(PyObject *executor, void (*run)(void *context),
              PyObject *(*result)(void *context),
              void (*release)(void *context), void *context)
{
    return pyconc_api->submit(executor, run, result, release, context);
}

#ifdef __cplusplus
}
#endif

#endif
