/* The codec as functions of the module, for tests and for the Python layer:
 * form and bytes instead of a cell. */
#include "module/module.h"

#include "codec/classes.h"
#include "codec/codec.h"

/* The classes that a test names; their numbers are their places. */
static uint32_t
number_of(void *context, PyTypeObject *type)
{
    Py_ssize_t number =
        PySequence_Index((PyObject *)context, (PyObject *)type);

    if (number < 0) {
        PyErr_Clear();
        return PYCONC_CLASS_NONE;
    }
    return (uint32_t)number;
}

static PyTypeObject *
class_of(void *context, uint32_t number)
{
    PyObject *classes = context;

    if (number >= (size_t)PyTuple_GET_SIZE(classes)) {
        PyErr_SetString(PyExc_ValueError, "no class has this number");
        return NULL;
    }
    return (PyTypeObject *)Py_NewRef(PyTuple_GET_ITEM(classes, number));
}

/* Form and bytes, or None: it has no tagged form. */
static PyObject *
encode_tagged(PyObject *object, struct pyconc_classes *classes)
{
    enum pyconc_form form;
    size_t size = pyconc_tagged_size(object, classes, &form);

    if (size == 0) {
        Py_RETURN_NONE;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);

    if (bytes == NULL) {
        return NULL;
    }
    if (pyconc_tagged_encode(object, classes,
                             (uint8_t *)PyBytes_AS_STRING(bytes), size,
                             &form) != size) {
        Py_DECREF(bytes);
        PyErr_SetString(PyExc_RuntimeError,
                        "the object changed while it was encoded");
        return NULL;
    }
    return Py_BuildValue("(iN)", (int)form, bytes);
}

static PyObject *
encode_pickled(struct pyconc_codec *codec, PyObject *object, int by_value)
{
    struct pyconc_pickled pickled;
    PyObject *bytes;

    if (pyconc_pickle(codec, object, (enum pyconc_by_value)by_value,
                      &pickled) < 0) {
        return NULL;
    }
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)pickled.size_bytes);
    if (bytes == NULL) {
        pyconc_pickled_clear(&pickled);
        return NULL;
    }
    pyconc_pickled_write(&pickled, (uint8_t *)PyBytes_AS_STRING(bytes));

    int form = (int)pickled.form;

    pyconc_pickled_clear(&pickled);
    return Py_BuildValue("(iN)", form, bytes);
}

PyDoc_STRVAR(codec_encode_doc,
             "codec_encode($module, object, by_value=0, classes=(), /)\n"
             "--\n\n"
             "Encode an object; return its form and its bytes.\n\n"
             "by_value is 0 (as pickle does), 1 (cloudpickle takes what\n"
             "pickle refuses) or 2 (cloudpickle takes all without a tagged\n"
             "form).  classes is a tuple of those that may have instances\n"
             "in tagged form.  Raises what pickling raises.");

static PyObject *
codec_encode(PyObject *module, PyObject *args)
{
    PyObject *object, *named = NULL, *result = NULL;
    int by_value = PYCONC_BY_VALUE_NEVER;
    struct pyconc_classes classes = {.known = NULL};
    struct pyconc_state *state = pyconc_state_of_module(module);

    if (!PyArg_ParseTuple(args, "O|iO!:codec_encode", &object, &by_value,
                          &PyTuple_Type, &named) ||
        pyconc_state_complete(state) < 0) {
        return NULL;
    }
    if (named == NULL) {
        result = encode_tagged(object, NULL);
    }
    else if (pyconc_classes_init(&classes, state->is_plain, number_of,
                                 named) == 0) {
        result = encode_tagged(object, &classes);
    }
    pyconc_classes_fini(&classes);
    if (result == Py_None) {
        Py_SETREF(result, encode_pickled(state->codec, object, by_value));
    }
    return result;
}

PyDoc_STRVAR(codec_decode_doc,
             "codec_decode($module, form, data, classes=(), /)\n--\n\n"
             "Decode what codec_encode returned, given the same classes.\n\n"
             "Raises ValueError for damaged bytes, else what unpickling\n"
             "raises.");

static PyObject *
codec_decode(PyObject *module, PyObject *args)
{
    int form;
    Py_buffer data;
    PyObject *named = NULL;
    struct pyconc_state *state = pyconc_state_of_module(module);

    if (pyconc_state_complete(state) < 0) {
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iy*|O!:codec_decode", &form, &data,
                          &PyTuple_Type, &named)) {
        return NULL;
    }
    struct pyconc_class_lookup lookup = {class_of, named};
    PyObject *object = pyconc_decode(state->codec, (enum pyconc_form)form,
                                     named != NULL ? &lookup : NULL, data.buf,
                                     (uint64_t)data.len);
    PyBuffer_Release(&data);
    return object;
}

PyDoc_STRVAR(is_by_reference_doc,
             "is_by_reference($module, callable, /)\n--\n\n"
             "Return whether pickle writes a callable as a name that leads\n"
             "to it, and whether its module is __main__.");

static PyObject *
is_by_reference(PyObject *Py_UNUSED(module), PyObject *callable)
{
    int in_main;
    int is_reference = pyconc_is_by_reference(callable, &in_main);

    return Py_BuildValue("(NN)", PyBool_FromLong(is_reference),
                         PyBool_FromLong(in_main));
}

PyMethodDef pyconc_codec_methods[] = {
    {"codec_encode", codec_encode, METH_VARARGS, codec_encode_doc},
    {"codec_decode", codec_decode, METH_VARARGS, codec_decode_doc},
    {"is_by_reference", is_by_reference, METH_O, is_by_reference_doc},
    {NULL, NULL, 0, NULL},
};
