/* Worker: the worker side of a process pool, as Python sees it. */
#include <string.h>

#include "module/module.h"
#include "platform/check.h"
#include "platform/forks.h"
#include "platform/lifeline.h"
#include "platform/status.h"
#include "py/compat.h"
#include "workers/engine.h"
#include "workers/worker.h"

#define AS_WORKER(object) ((struct pyconc_worker *)(object))

static PyObject *
worker_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {
        "engine",     "fd",          "geometry", "slot", "encode_error",
        "unsendable", "undecodable", "by_value", NULL};
    PyObject *engine, *encode_error, *unsendable, *undecodable;
    unsigned long long region_bytes;
    unsigned int cell_count, worker_count, slot;
    int fd, by_value;

    if (!PyArg_ParseTupleAndKeywords(
            arguments, keywords, "Oi(KII)IOOOp", pyconc_keywords(names),
            &engine, &fd, &region_bytes, &cell_count, &worker_count, &slot,
            &encode_error, &unsendable, &undecodable, &by_value)) {
        return NULL;
    }
    struct pyconc_state *state = pyconc_state_of(type);
    if (slot >= worker_count || worker_count > CONC_WORKERS_MAX) {
        PyErr_SetString(PyExc_ValueError, "no such slot");
        return NULL;
    }
    if (pyconc_state_complete(state) < 0) {
        return NULL;
    }
    struct pyconc_worker *worker =
        (struct pyconc_worker *)type->tp_alloc(type, 0);
    if (worker == NULL) {
        return NULL;
    }
    worker->state = state;
    worker->slot = slot;
    worker->by_value =
        by_value ? PYCONC_BY_VALUE_NEEDED : PYCONC_BY_VALUE_NEVER;
    worker->forks = conc_forks_count();
    worker->geometry = (struct pyconc_geometry){
        .region_bytes = region_bytes,
        .cell_count = cell_count,
        .worker_count = worker_count,
    };
    worker->encode_error = Py_NewRef(encode_error);
    worker->unsendable = Py_NewRef(unsendable);
    worker->undecodable = Py_NewRef(undecodable);
    worker->region.fd = -1;
    if (PyObject_TypeCheck(engine, state->process_engine_type)) {
        worker->engine = Py_NewRef(engine);
        worker->region = PYCONC_PROCESS_ENGINE(engine)->region;
    }
    if (pyconc_worker_attach(worker, fd) < 0) {
        Py_DECREF(worker);
        return NULL;
    }
    return (PyObject *)worker;
}

static PyObject *
worker_run(PyObject *self, PyObject *argument)
{
    unsigned long long max_tasks = PyLong_AsUnsignedLongLong(argument);

    if (max_tasks == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    if (pyconc_worker_run(AS_WORKER(self), max_tasks) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_fail(PyObject *self, PyObject *error)
{
    if (pyconc_worker_fail(AS_WORKER(self), error) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
worker_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pyconc_worker *worker = AS_WORKER(self);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(worker->encode_error);
    Py_VISIT(worker->unsendable);
    Py_VISIT(worker->undecodable);
    Py_VISIT(worker->engine);
    for (size_t i = 0; worker->functions != NULL && i < PYCONC_FUNCTIONS_MAX;
         i++) {
        Py_VISIT(worker->functions[i]);
    }
    return 0;
}

static int
worker_clear(PyObject *self)
{
    struct pyconc_worker *worker = AS_WORKER(self);

    for (size_t i = 0; worker->functions != NULL && i < PYCONC_FUNCTIONS_MAX;
         i++) {
        Py_CLEAR(worker->functions[i]);
    }
    Py_CLEAR(worker->encode_error);
    Py_CLEAR(worker->unsendable);
    Py_CLEAR(worker->undecodable);
    return 0;
}

static void
worker_dealloc(PyObject *self)
{
    struct pyconc_worker *worker = AS_WORKER(self);
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    (void)worker_clear(self);
    pyconc_classes_fini(&worker->classes);
    Py_CLEAR(worker->class_numbers);
    PyMem_Free(worker->functions);
    PyMem_Free(worker->generations);
    if (worker->heap != NULL) {
        conc_heap_free(worker->heap);
    }
    conc_board_fini(&worker->board);
    if (worker->engine == NULL) {
        conc_region_close(&worker->region, 0);
    }
    Py_CLEAR(worker->engine);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef worker_type_methods[] = {
    {"run", worker_run, METH_O,
     PyDoc_STR("run($self, max_tasks, /)\n--\n\n"
               "Run tasks until the pool stops, at most max_tasks (0: any\n"
               "number).")},
    {"fail", worker_fail, METH_O,
     PyDoc_STR("fail($self, error, /)\n--\n\n"
               "Leave the initializer's error for the parent.")},
    {NULL, NULL, 0, NULL},
};

static char worker_doc[] = PyDoc_STR("The worker side of a process pool.");

static PyType_Slot worker_slots[] = {
    {Py_tp_doc, worker_doc},
    {Py_tp_new, (void *)worker_new},
    {Py_tp_dealloc, (void *)worker_dealloc},
    {Py_tp_traverse, (void *)worker_traverse},
    {Py_tp_clear, (void *)worker_clear},
    {Py_tp_methods, worker_type_methods},
    {0, NULL},
};

PyType_Spec pyconc_worker_spec = {
    .name = "pyconc._core.Worker",
    .basicsize = sizeof(struct pyconc_worker),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = worker_slots,
};

/* --- functions ----------------------------------------------------------- */

static PyObject *
in_task(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(pyconc_state_of_module(module)->in_task);
}

static PyObject *
lifeline_open(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    int read_fd, write_fd;
    int status = conc_lifeline_open(&read_fd, &write_fd);

    if (status != CONC_OK) {
        return pyconc_raise_status(pyconc_state_of_module(module), status,
                                   "making a pipe", NULL);
    }
    return Py_BuildValue("(ii)", read_fd, write_fd);
}

static PyObject *
lifeline_arm(PyObject *module, PyObject *argument)
{
    int fd = (int)PyLong_AsLong(argument);
    int armed;

    if (fd == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int status = conc_lifeline_arm(fd, &armed);
    if (status != CONC_OK) {
        return pyconc_raise_status(pyconc_state_of_module(module), status,
                                   "watching the parent process", NULL);
    }
    return PyLong_FromLong(armed);
}

static PyObject *
crash_role(PyObject *Py_UNUSED(module), PyObject *argument)
{
    const char *role = PyUnicode_AsUTF8(argument);

    if (role == NULL) {
        return NULL;
    }
    if (strcmp(role, "parent") == 0) {
        CONC_CRASH_ROLE("parent");
    }
    else if (strcmp(role, "worker") == 0) {
        CONC_CRASH_ROLE("worker");
    }
    Py_RETURN_NONE;
}

PyMethodDef pyconc_worker_methods[] = {
    {"in_task", in_task, METH_NOARGS,
     PyDoc_STR("in_task($module, /)\n--\n\n"
               "Return True while this process runs a task.")},
    {"lifeline_open", lifeline_open, METH_NOARGS,
     PyDoc_STR("lifeline_open($module, /)\n--\n\n"
               "Return (read, write) descriptors of a new lifeline.")},
    {"lifeline_arm", lifeline_arm, METH_O,
     PyDoc_STR("lifeline_arm($module, read_fd, /)\n--\n\n"
               "Have the kernel kill this process when the write end goes.")},
    {"crash_role", crash_role, METH_O,
     PyDoc_STR("crash_role($module, role, /)\n--\n\n"
               "For crash tests: what this process is.")},
    {NULL, NULL, 0, NULL},
};
