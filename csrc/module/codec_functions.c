/* The codec as functions of the module, for tests and for the Python layer:
 * form and bytes instead of a cell. */
#include "module/module.h"

#include "codec/codec.h"

static PyObject *
encode_tagged(PyObject *object, size_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);

    if (bytes == NULL) {
        return NULL;
    }
    if (pyconc_tagged_encode(object, (uint8_t *)PyBytes_AS_STRING(bytes),
                             size) != size) {
        Py_DECREF(bytes);
        PyErr_SetString(PyExc_RuntimeError,
                        "the object changed while it was encoded");
        return NULL;
    }
    return Py_BuildValue("(iN)", (int)PYCONC_FORM_TAGGED, bytes);
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
             "codec_encode($module, object, by_value=0, /)\n--\n\n"
             "Encode an object; return its form and its bytes.\n\n"
             "by_value is 0 (as pickle does), 1 (cloudpickle takes what\n"
             "pickle refuses) or 2 (cloudpickle takes all without a tagged\n"
             "form).  Raises what pickling raises.");

static PyObject *
codec_encode(PyObject *module, PyObject *args)
{
    PyObject *object;
    int by_value = PYCONC_BY_VALUE_NEVER;

    if (!PyArg_ParseTuple(args, "O|i:codec_encode", &object, &by_value)) {
        return NULL;
    }
    size_t size = pyconc_tagged_size(object);

    if (size > 0) {
        return encode_tagged(object, size);
    }
    return encode_pickled(pyconc_module_codec(module), object, by_value);
}

PyDoc_STRVAR(codec_decode_doc,
             "codec_decode($module, form, data, /)\n--\n\n"
             "Decode what codec_encode returned.\n\n"
             "Raises ValueError for damaged bytes, else what unpickling\n"
             "raises.");

static PyObject *
codec_decode(PyObject *module, PyObject *args)
{
    int form;
    Py_buffer data;
    PyObject *object;

    if (!PyArg_ParseTuple(args, "iy*:codec_decode", &form, &data)) {
        return NULL;
    }
    if (form == PYCONC_FORM_TAGGED) {
        object = pyconc_tagged_decode(data.buf, (size_t)data.len);
    }
    else {
        object = pyconc_unpickle(pyconc_module_codec(module),
                                 (enum pyconc_form)form, data.buf,
                                 (uint64_t)data.len);
    }
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
