/* A C extension that works on the threads of pyconc's pools.
 *
 *     damp(buffer, factor, executor=None)   multiplies doubles, on all CPUs
 *     energy(buffer, executor)              a Future of the sum of squares
 */
#include <pyconc.h>

struct damping {
    double *values;
    double factor;
};

/* In several threads at a time, without the GIL. */
static void
damp_range(int64_t begin, int64_t end, void *context)
{
    const struct damping *damping = context;

    for (int64_t i = begin; i < end; i++) {
        damping->values[i] *= damping->factor;
    }
}

static int
take_doubles(PyObject *object, Py_buffer *view, int flags)
{
    if (PyObject_GetBuffer(object, view,
                           PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0) {
        return -1;
    }
    if (view->format == NULL || strcmp(view->format, "d") != 0) {
        PyErr_SetString(PyExc_TypeError, "a buffer of doubles is needed");
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

static PyObject *
damp(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *object, *executor = NULL;
    struct damping damping;
    Py_buffer view;

    if (!PyArg_ParseTuple(arguments, "Od|O:damp", &object, &damping.factor,
                          &executor) ||
        take_doubles(object, &view, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    damping.values = view.buf;
    int status =
        pyconc_parallel_for(executor == Py_None ? NULL : executor, damp_range,
                            &damping, view.len / view.itemsize, 0);
    PyBuffer_Release(&view);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

struct summing {
    Py_buffer view;
    double sum;
};

/* In a thread of the pool, without the GIL. */
static void
sum_squares(void *context)
{
    struct summing *summing = context;
    const double *values = summing->view.buf;

    for (Py_ssize_t i = 0; i < summing->view.len / summing->view.itemsize;
         i++) {
        summing->sum += values[i] * values[i];
    }
}

static PyObject *
summing_result(void *context)
{
    return PyFloat_FromDouble(((struct summing *)context)->sum);
}

static void
summing_release(void *context)
{
    PyBuffer_Release(&((struct summing *)context)->view);
    PyMem_Free(context);
}

static PyObject *
energy(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *object, *executor;

    if (!PyArg_ParseTuple(arguments, "OO:energy", &object, &executor)) {
        return NULL;
    }
    struct summing *summing = PyMem_Calloc(1, sizeof(*summing));
    if (summing == NULL) {
        return PyErr_NoMemory();
    }
    if (take_doubles(object, &summing->view, 0) < 0) {
        PyMem_Free(summing);
        return NULL;
    }
    return pyconc_submit(executor, sum_squares, summing_result,
                         summing_release, summing);
}

static PyMethodDef methods[] = {
    {"damp", damp, METH_VARARGS, "Multiply doubles, on all CPUs."},
    {"energy", energy, METH_VARARGS, "A Future of the sum of squares."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "waves",
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_waves(void)
{
    if (pyconc_import() < 0) {
        return NULL;
    }
    return PyModule_Create(&definition);
}
