/* submit_native, run_range, map_range: C functions on a pool's threads, as
 * pyconc/native.py calls them. */
#include <limits.h>
#include <string.h>

#include "future/future.h"
#include "module/module.h"
#include "module/native_map.h"
#include "platform/call.h"
#include "py/arguments.h"
#include "py/compat.h"
#include "threads/native.h"

/* The executor's engine, if it is one of threads and takes tasks. */
static struct pyconc_thread_engine *
open_threads(struct pyconc_state *state, PyObject *executor)
{
    struct pyconc_engine *engine = NULL;

    if (PyObject_TypeCheck(executor, state->submitter_type)) {
        engine = pyconc_executor_open(executor);
        if (engine == NULL) {
            return NULL;
        }
    }
    if (engine == NULL || Py_TYPE(engine) != state->thread_engine_type) {
        PyErr_Format(PyExc_TypeError,
                     "native functions need a "
                     "pyconc.futures.ThreadPoolExecutor, not %.200s",
                     Py_TYPE(executor)->tp_name);
        return NULL;
    }
    return PYCONC_THREAD_ENGINE(engine);
}

int
pyconc_check_threads(struct pyconc_state *state, PyObject *executor)
{
    return open_threads(state, executor) == NULL ? -1 : 0;
}

/* --- one call ------------------------------------------------------------ */

/* What a parameter or a result is; after struct's format characters. */
enum code {
    CODE_VOID = 'v',
    CODE_POINTER = 'P',
    CODE_OTHER = 'O', /* a result that Python code makes an object of */
};

struct native_call {
    struct pyconc_native base;
    struct conc_call call;
    struct pyconc_state *state;
    PyObject *restype; /* owns */
    PyObject *kept;    /* owns; what pointers point to, or NULL */
    char result;
};

static void
native_call_run(struct pyconc_native *native)
{
    conc_call(&((struct native_call *)native)->call);
}

static void
native_call_free(struct pyconc_native *native)
{
    struct native_call *self = (struct native_call *)native;

    Py_XDECREF(self->kept);
    Py_XDECREF(self->restype);
    PyMem_Free(self);
}

/* Its low bits as an integer of this size. */
static PyObject *
integer_from_bits(char code, uint64_t bits)
{
    switch (code) {
    case 'b':
        return PyLong_FromLong((int8_t)bits);
    case 'B':
        return PyLong_FromLong((uint8_t)bits);
    case 'h':
        return PyLong_FromLong((int16_t)bits);
    case 'H':
        return PyLong_FromLong((uint16_t)bits);
    case 'i':
        return PyLong_FromLong((int32_t)bits);
    case 'I':
        return PyLong_FromUnsignedLong((uint32_t)bits);
    case 'q':
        return PyLong_FromLongLong((int64_t)bits);
    case '?':
        return PyBool_FromLong((uint8_t)bits);
    default:
        return PyLong_FromUnsignedLongLong(bits);
    }
}

static PyObject *
native_call_result(struct pyconc_native *native)
{
    const struct native_call *self = (struct native_call *)native;
    uint64_t bits = self->call.result;
    double real;
    float half;

    switch (self->result) {
    case CODE_VOID:
        Py_RETURN_NONE;
    case 'd':
        memcpy(&real, &bits, sizeof(real));
        return PyFloat_FromDouble(real);
    case 'f':
        memcpy(&half, &bits, sizeof(half));
        return PyFloat_FromDouble((double)half);
    case CODE_POINTER:
        if (bits == 0) {
            Py_RETURN_NONE;
        }
        return PyLong_FromUnsignedLongLong(bits);
    case CODE_OTHER:
        return PyObject_CallFunction(self->state->native_result, "OK",
                                     self->restype, bits);
    default:
        return integer_from_bits(self->result, bits);
    }
}

static const struct pyconc_native_ops native_call_ops = {
    .run = native_call_run,
    .result = native_call_result,
    .free = native_call_free,
};

static int
is_real(char code)
{
    return code == 'd' || code == 'f';
}

/* An argument's number as an int or float object: most are one already. */
static PyObject *
number_of(struct pyconc_state *state, PyObject *type, PyObject *argument,
          char code)
{
    if (PyLong_Check(argument) || (is_real(code) && PyFloat_Check(argument))) {
        return Py_NewRef(argument);
    }
    return PyObject_CallFunction(state->native_number, "OOi", type, argument,
                                 is_real(code));
}

static int
out_of_range(Py_ssize_t index, PyObject *type, PyObject *number)
{
    PyErr_Clear();
    PyErr_Format(PyExc_OverflowError, "argument %zd: %R is out of range of %s",
                 index + 1, number, ((PyTypeObject *)type)->tp_name);
    return -1;
}

static const struct {
    char code;
    int64_t least;
    uint64_t most;
} ranges[] = {
    {'b', INT8_MIN, INT8_MAX},   {'B', 0, UINT8_MAX},
    {'h', INT16_MIN, INT16_MAX}, {'H', 0, UINT16_MAX},
    {'i', INT32_MIN, INT32_MAX}, {'I', 0, UINT32_MAX},
    {'q', INT64_MIN, INT64_MAX}, {'Q', 0, UINT64_MAX},
};

static int
integer_to_bits(Py_ssize_t index, PyObject *type, PyObject *number, char code,
                uint64_t *bits)
{
    size_t i = 0;
    int overflow;

    if (code == '?') {
        int is_true = PyObject_IsTrue(number);
        *bits = (uint64_t)is_true;
        return is_true < 0 ? -1 : 0;
    }
    while (ranges[i].code != code) {
        i++;
    }
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow > 0 && code == 'Q') {
        *bits = PyLong_AsUnsignedLongLong(number);
        return PyErr_Occurred() ? out_of_range(index, type, number) : 0;
    }
    if (overflow != 0 || value < ranges[i].least ||
        (value > 0 && (uint64_t)value > ranges[i].most)) {
        return out_of_range(index, type, number);
    }
    *bits = (uint64_t)value;
    return 0;
}

static int
real_to_bits(PyObject *number, char code, uint64_t *bits)
{
    double value = PyFloat_AsDouble(number);
    float half = (float)value;

    if (value == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    *bits = 0;
    if (code == 'd') {
        memcpy(bits, &value, sizeof(value));
    }
    else {
        memcpy(bits, &half, sizeof(half));
    }
    return 0;
}

static int
pointer_to_bits(struct native_call *self, PyObject *type, PyObject *argument,
                uint64_t *bits)
{
    PyObject *pair = PyObject_CallFunctionObjArgs(self->state->native_pointer,
                                                  type, argument, NULL);
    unsigned long long address;
    PyObject *kept;

    if (pair == NULL) {
        return -1;
    }
    int status = PyArg_ParseTuple(pair, "KO", &address, &kept) ? 0 : -1;
    if (status == 0 && self->kept == NULL) {
        self->kept = PyList_New(0);
    }
    if (status == 0 &&
        (self->kept == NULL || PyList_Append(self->kept, kept) < 0)) {
        status = -1;
    }
    Py_DECREF(pair);
    *bits = address;
    return status;
}

/* Put the arguments where the function takes them. */
static int
convert(struct native_call *self, const char *codes, PyObject *types,
        PyObject *arguments)
{
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    int integers = 0, reals = 0;

    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *type = PyTuple_GET_ITEM(types, i);
        PyObject *argument = PyTuple_GET_ITEM(arguments, i);
        char code = codes[i];
        if (code == CODE_POINTER) {
            if (pointer_to_bits(self, type, argument,
                                &self->call.integers[integers++]) < 0) {
                return -1;
            }
            continue;
        }
        PyObject *number = number_of(self->state, type, argument, code);
        if (number == NULL) {
            return -1;
        }
        int status =
            is_real(code)
                ? real_to_bits(number, code, &self->call.reals[reals++])
                : integer_to_bits(i, type, number, code,
                                  &self->call.integers[integers++]);
        Py_DECREF(number);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

static int
import_hooks(struct pyconc_state *state)
{
    if (state->native_plans != NULL) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("pyconc._signatures");
    if (module == NULL) {
        return -1;
    }
    const struct {
        PyObject **where;
        const char *name;
    } wanted[] = {
        {&state->native_function, "CFuncPtr"},
        {&state->native_plan, "plan"},
        {&state->native_number, "number"},
        {&state->native_pointer, "pointer"},
        {&state->native_result, "result"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        Py_XSETREF(*wanted[i].where,
                   PyObject_GetAttrString(module, wanted[i].name));
        if (*wanted[i].where == NULL) {
            Py_DECREF(module);
            return -1;
        }
    }
    Py_DECREF(module);
    PyObject *plans = PyDict_New();
    Py_XSETREF(state->native_plans, plans);
    return plans == NULL ? -1 : 0;
}

/* What a ctypes function says of itself, read once: it may say something else
 * the next time. */
struct declared {
    PyObject *argtypes; /* owns; a tuple, or None */
    PyObject *restype;  /* owns */
    PyObject *plan;     /* owns; how it is called: bytes, the result's code and
                         * those of the parameters, or nothing if only ctypes
                         * can call it */
};

static void
declared_clear(struct declared *declared)
{
    Py_CLEAR(declared->argtypes);
    Py_CLEAR(declared->restype);
    Py_CLEAR(declared->plan);
}

static PyObject *
find_plan(struct pyconc_state *state, PyObject *key)
{
    PyObject *plan =
        Py_XNewRef(PyDict_GetItemWithError(state->native_plans, key));

    if (plan != NULL || PyErr_Occurred()) {
        return plan;
    }
    plan = PyObject_CallObject(state->native_plan, key);
    if (plan != NULL && !PyBytes_Check(plan)) {
        PyErr_SetString(PyExc_TypeError, "plan() must return bytes");
        Py_CLEAR(plan);
    }
    if (plan != NULL && PyDict_SetItem(state->native_plans, key, plan) < 0) {
        Py_CLEAR(plan);
    }
    return plan;
}

static int
read_declared(struct pyconc_state *state, PyObject *function,
              struct declared *declared)
{
    *declared = (struct declared){.argtypes = NULL};
    PyObject *check = PyObject_GetAttr(function, state->str_errcheck);
    PyObject *flags = PyObject_GetAttr(function, state->str_flags);
    declared->restype = PyObject_GetAttr(function, state->str_restype);
    declared->argtypes = PyObject_GetAttr(function, state->str_argtypes);
    if (declared->argtypes != NULL && declared->argtypes != Py_None &&
        !PyTuple_CheckExact(declared->argtypes)) {
        Py_SETREF(declared->argtypes, PySequence_Tuple(declared->argtypes));
    }
    PyObject *key = check == NULL || flags == NULL ||
                            declared->restype == NULL ||
                            declared->argtypes == NULL
                        ? NULL
                        : PyTuple_Pack(4, flags, declared->argtypes,
                                       declared->restype, check);
    Py_XDECREF(check);
    Py_XDECREF(flags);
    if (key != NULL) {
        declared->plan = find_plan(state, key);
        Py_DECREF(key);
    }
    if (declared->plan == NULL) {
        declared_clear(declared);
        return -1;
    }
    return 0;
}

static int
address_of(PyObject *function, void (**address)(void))
{
    Py_buffer view;

    if (PyObject_GetBuffer(function, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    *address = NULL;
    if (view.len == sizeof(*address)) {
        memcpy(address, view.buf, sizeof(*address));
    }
    PyBuffer_Release(&view);
    if (*address == NULL) {
        PyErr_SetString(PyExc_ValueError, "the function pointer is NULL");
        return -1;
    }
    return 0;
}

/* Whether conc_call can pass it all, and the codes say what becomes of the
 * result; otherwise only ctypes can call this. */
static int
can_call(const struct declared *declared)
{
    const char *codes = PyBytes_AS_STRING(declared->plan);
    int reals = 0, integers = 0;

    if (!CONC_HAS_CALL || codes[0] == '\0') {
        return 0;
    }
    while (*++codes != '\0') {
        if (is_real(*codes)) {
            reals++;
        }
        else {
            integers++;
        }
    }
    return reals <= CONC_CALL_REALS && integers <= CONC_CALL_INTEGERS;
}

static struct native_call *
native_call_new(struct pyconc_state *state, PyObject *function,
                const struct declared *declared, PyObject *arguments)
{
    const char *codes = PyBytes_AS_STRING(declared->plan);
    struct native_call *self = PyMem_Calloc(1, sizeof(*self));

    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    self->base.ops = &native_call_ops;
    self->state = state;
    self->restype = Py_NewRef(declared->restype);
    self->result = codes[0];
    self->call.kind = codes[0] == CODE_VOID ? CONC_CALL_VOID
                      : codes[0] == 'd'     ? CONC_CALL_DOUBLE
                      : codes[0] == 'f'     ? CONC_CALL_FLOAT
                                            : CONC_CALL_INTEGER;
    if (address_of(function, &self->call.function) < 0 ||
        convert(self, codes + 1, declared->argtypes, arguments) < 0) {
        native_call_free(&self->base);
        return NULL;
    }
    return self;
}

static int
check_function(const struct pyconc_state *state, PyObject *function)
{
    if (PyObject_TypeCheck(function, (PyTypeObject *)state->native_function)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "submit_native() needs a ctypes function pointer, not %.200s",
                 Py_TYPE(function)->tp_name);
    return -1;
}

static int
check_count(const struct declared *declared, PyObject *arguments)
{
    Py_ssize_t wanted = PyTuple_GET_SIZE(declared->argtypes);

    if (wanted == PyTuple_GET_SIZE(arguments)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "this function takes %zd argument(s) (%zd given)", wanted,
                 PyTuple_GET_SIZE(arguments));
    return -1;
}

static PyObject *
submit_native(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    struct pyconc_state *state = pyconc_state_of_module(module);
    struct declared declared;

    if (count != 3 || !PyTuple_CheckExact(given[2])) {
        PyErr_SetString(PyExc_TypeError,
                        "submit_native(executor, function, arguments)");
        return NULL;
    }
    PyObject *executor = given[0], *function = given[1], *arguments = given[2];
    if (pyconc_check_threads(state, executor) < 0 || import_hooks(state) < 0 ||
        check_function(state, function) < 0 ||
        read_declared(state, function, &declared) < 0) {
        return NULL;
    }
    PyObject *future = NULL;
    if (check_count(&declared, arguments) == 0) {
        if (!can_call(&declared)) {
            future = pyconc_executor_submit(executor, function, arguments,
                                            NULL, NULL);
        }
        else {
            struct native_call *call =
                native_call_new(state, function, &declared, arguments);
            if (call != NULL) {
                future = pyconc_executor_submit(executor, function, arguments,
                                                NULL, &call->base);
            }
        }
    }
    declared_clear(&declared);
    return future;
}

/* signature(function) -> (address, plan): of a ctypes function. */
static PyObject *
signature(PyObject *module, PyObject *function)
{
    struct pyconc_state *state = pyconc_state_of_module(module);
    struct declared declared;
    PyObject *pair = NULL;
    void (*address)(void);

    if (import_hooks(state) < 0 || check_function(state, function) < 0 ||
        read_declared(state, function, &declared) < 0) {
        return NULL;
    }
    if (address_of(function, &address) == 0) {
        pair = Py_BuildValue("(KO)", (unsigned long long)(uintptr_t)address,
                             declared.plan);
    }
    declared_clear(&declared);
    return pair;
}

/* --- ranges -------------------------------------------------------------- */

static int
check_range(long long n, long long grain)
{
    if (n < 0) {
        PyErr_SetString(PyExc_ValueError, "n must be >= 0");
        return -1;
    }
    if (n > INT64_C(1) << 62) {
        PyErr_SetString(PyExc_OverflowError, "n must be <= 2**62");
        return -1;
    }
    if (grain < 0) {
        PyErr_SetString(PyExc_ValueError, "grain must be >= 1");
        return -1;
    }
    return 0;
}

int
pyconc_run_range(struct pyconc_state *state, PyObject *executor,
                 conc_range_function function, void *context, int64_t n,
                 int64_t grain)
{
    struct pyconc_thread_engine *engine = open_threads(state, executor);

    if (engine == NULL || check_range(n, grain) < 0) {
        return -1;
    }
    if (n == 0) {
        return 0;
    }
    Py_ssize_t threads = engine->worker_limit < (Py_ssize_t)state->cpu_count
                             ? engine->worker_limit
                             : (Py_ssize_t)state->cpu_count;
    threads = threads < CONC_TEAM_SEATS_MAX ? threads : CONC_TEAM_SEATS_MAX;
    threads = threads < n ? threads : (Py_ssize_t)n;
    /* No more than are missing now: an initializer may fail each time. */
    Py_INCREF(engine);
    int status = 0;
    for (Py_ssize_t i = engine->worker_count; status == 0 && i < threads - 1;
         i++) {
        status = pyconc_executor_grow(executor) < 0
                     ? -1
                     : pyconc_check_threads(state, executor);
    }
    if (status == 0) {
        status = pyconc_thread_range(engine, function, context, n, grain,
                                     (uint32_t)threads);
    }
    Py_DECREF(engine);
    return status;
}

static PyObject *
run_range(PyObject *module, PyObject *arguments)
{
    PyObject *executor, *context;
    unsigned long long address;
    long long n, grain;
    struct pyconc_state *state = pyconc_state_of_module(module);
    Py_buffer view = {.obj = NULL};
    void *pointer = NULL;

    if (!PyArg_ParseTuple(arguments, "OKLOL:run_range", &executor, &address,
                          &n, &context, &grain)) {
        return NULL;
    }
    if (PyLong_Check(context)) {
        pointer = PyLong_AsVoidPtr(context);
        if (PyErr_Occurred()) {
            return NULL;
        }
    }
    else if (PyObject_GetBuffer(context, &view, PyBUF_SIMPLE) < 0) {
        if (!PyObject_CheckBuffer(context)) {
            PyErr_Format(PyExc_TypeError,
                         "context must be None, an address, a buffer, or a "
                         "ctypes or cffi object, not %.200s",
                         Py_TYPE(context)->tp_name);
        }
        return NULL;
    }
    else {
        pointer = view.buf;
    }
    int status = pyconc_run_range(state, executor,
                                  (conc_range_function)(uintptr_t)address,
                                  pointer, n, grain);
    if (view.obj != NULL) {
        PyBuffer_Release(&view);
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* A buffer's format as one of the codes, 0 if it is none. */
static char
code_of_format(const char *format)
{
    if (format == NULL) {
        return 'B';
    }
    if (*format == '@' || *format == '=' ||
        *format == (PY_LITTLE_ENDIAN ? '<' : '>')) {
        format++;
    }
    if (format[0] == '\0' || format[1] != '\0') {
        return 0;
    }
    switch (format[0]) {
    case 'l':
    case 'n':
        return 'q'; /* of 8 bytes: see take_array */
    case 'L':
    case 'N':
        return 'Q';
    default:
        return format[0];
    }
}

static int
take_array(PyObject *object, const char *name, char code, int writable,
           Py_buffer *view)
{
    if (PyObject_GetBuffer(object, view,
                           PyBUF_C_CONTIGUOUS | PyBUF_FORMAT |
                               (writable ? PyBUF_WRITABLE : 0)) < 0) {
        return -1;
    }
    static const char sizes[] = "bBhHiIqQfd";
    const char *found = strchr(sizes, code);
    Py_ssize_t size = (Py_ssize_t)1 << ((found - sizes) / 2);
    if (code == 'f') {
        size = sizeof(float);
    }
    else if (code == 'd') {
        size = sizeof(double);
    }
    if (code_of_format(view->format) != code || view->itemsize != size) {
        PyErr_Format(PyExc_TypeError,
                     "%s: items have the format '%s', but the function's type "
                     "has '%c'",
                     name, view->format == NULL ? "B" : view->format, code);
    }
    else if (view->len > 0 && (uintptr_t)view->buf % (size_t)size != 0) {
        PyErr_Format(PyExc_ValueError, "%s: items are not aligned", name);
    }
    else {
        return 0;
    }
    PyBuffer_Release(view);
    view->obj = NULL;
    return -1;
}

static int
check_shape(const Py_buffer *view, const char *name, const Py_buffer *first)
{
    int equal = view->ndim == first->ndim;

    for (int i = 0; equal && i < view->ndim; i++) {
        equal = view->shape[i] == first->shape[i];
    }
    if (!equal) {
        PyErr_Format(PyExc_ValueError,
                     "%s: the shape differs from that of the first input",
                     name);
        return -1;
    }
    return 0;
}

static PyObject *
map_range(PyObject *module, PyObject *arguments)
{
    PyObject *executor, *first, *second, *output;
    unsigned long long address;
    int first_code, second_code;
    struct pyconc_state *state = pyconc_state_of_module(module);
    long long grain;

    if (!PyArg_ParseTuple(arguments, "OKCCOOOL:map_range", &executor, &address,
                          &first_code, &second_code, &first, &second, &output,
                          &grain)) {
        return NULL;
    }
    conc_range_function function = pyconc_native_map_function(
        (char)first_code, second == Py_None ? '\0' : (char)second_code);
    if (function == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "the function's types must be integers of 1 to 8 "
                        "bytes, float or double");
        return NULL;
    }
    Py_buffer views[3] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}};
    int status = -1;
    if (take_array(first, "first input", (char)first_code, 0, &views[0]) < 0 ||
        (second != Py_None &&
         (take_array(second, "second input", (char)second_code, 0, &views[1]) <
              0 ||
          check_shape(&views[1], "second input", &views[0]) < 0)) ||
        take_array(output, "output", (char)first_code, 1, &views[2]) < 0 ||
        check_shape(&views[2], "output", &views[0]) < 0) {
        goto done;
    }
    struct pyconc_native_map map = {
        .function = (void (*)(void))(uintptr_t)address,
        .first = views[0].buf,
        .second = views[1].buf,
        .output = views[2].buf,
    };
    status = pyconc_run_range(state, executor, function, &map,
                              views[0].len / views[0].itemsize, grain);
done:
    for (int i = 0; i < 3; i++) {
        if (views[i].obj != NULL) {
            PyBuffer_Release(&views[i]);
        }
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyMethodDef pyconc_native_methods[] = {
    {"submit_native", PYCONC_FAST_METHOD(submit_native), METH_FASTCALL,
     PyDoc_STR("submit_native($module, executor, function, arguments, /)\n"
               "--\n\nCall a ctypes function in a thread of the executor.")},
    {"signature", signature, METH_O,
     PyDoc_STR(
         "signature($module, function, /)\n--\n\n"
         "Return the address of a ctypes function and its codes: of the\n"
         "result, then of the parameters.")},
    {"run_range", run_range, METH_VARARGS,
     PyDoc_STR("run_range($module, executor, address, n, context, grain, /)\n"
               "--\n\nCall void f(int64_t, int64_t, void *) for parts of\n"
               "range(n).")},
    {"map_range", map_range, METH_VARARGS,
     PyDoc_STR("map_range($module, executor, address, first_code,\n"
               "          second_code, first, second, output, grain, /)\n"
               "--\n\nCall T f(T) or T f(T, U) for each item.")},
    {NULL, NULL, 0, NULL},
};
