#include "codec/instance.h"

#include <string.h>

#include "py/compat.h"

static PyObject *
attribute(const char *module, const char *owner, const char *name)
{
    PyObject *object = PyImport_ImportModule(module);

    if (object != NULL && owner != NULL) {
        Py_SETREF(object, PyObject_GetAttrString(object, owner));
    }
    if (object != NULL) {
        Py_SETREF(object, PyObject_GetAttrString(object, name));
    }
    return object;
}

int
pyconc_classes_init(struct pyconc_classes *classes, PyObject *is_plain,
                    uint32_t (*number_of)(void *, PyTypeObject *),
                    void *context)
{
    classes->number_of = number_of;
    classes->context = context;
    classes->is_plain = Py_NewRef(is_plain);
    classes->known = PyDict_New();
    classes->copyreg_table = attribute("copyreg", NULL, "dispatch_table");
    classes->forking_table = attribute("multiprocessing.reduction",
                                       "ForkingPickler", "_extra_reducers");
    if (classes->known == NULL || classes->copyreg_table == NULL ||
        classes->forking_table == NULL) {
        return -1;
    }
    return 0;
}

void
pyconc_classes_fini(struct pyconc_classes *classes)
{
    classes->last = NULL;
    Py_CLEAR(classes->known);
    Py_CLEAR(classes->is_plain);
    Py_CLEAR(classes->copyreg_table);
    Py_CLEAR(classes->forking_table);
}

static int
has_reducer(const struct pyconc_classes *classes, PyTypeObject *type)
{
    if (!PyDict_Check(classes->copyreg_table) ||
        !PyDict_Check(classes->forking_table)) {
        return 1;
    }
    int found = PyDict_Contains(classes->forking_table, (PyObject *)type);
    if (found == 0) {
        found = PyDict_Contains(classes->copyreg_table, (PyObject *)type);
    }
    if (found < 0) {
        PyErr_Clear();
    }
    return found != 0;
}

/* Ask about a class that is new or has changed. */
static uint32_t
ask(struct pyconc_classes *classes, PyTypeObject *type)
{
    uint32_t number = PYCONC_CLASS_NONE;
    PyObject *plain = PyObject_CallOneArg(classes->is_plain, (PyObject *)type);

    if (plain == Py_True) {
        number = classes->number_of(classes->context, type);
    }
    Py_XDECREF(plain);
    PyErr_Clear(); /* pickle will say what is wrong with it */
    if (type->tp_version_tag == 0) {
        return number; /* no version to recognize it by: ask again */
    }
    unsigned long long entry =
        ((unsigned long long)type->tp_version_tag << 32) | number;
    PyObject *value = PyLong_FromUnsignedLongLong(entry);
    if (value == NULL ||
        PyDict_SetItem(classes->known, (PyObject *)type, value) < 0) {
        PyErr_Clear();
    }
    else {
        classes->last = type;
        classes->last_version = type->tp_version_tag;
        classes->last_number = number;
    }
    Py_XDECREF(value);
    return number;
}

uint32_t
pyconc_class_number(struct pyconc_classes *classes, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    unsigned int version = type->tp_version_tag;
    uint32_t number;

    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ||
        !Py_IS_TYPE((PyObject *)type, &PyType_Type)) {
        return PYCONC_CLASS_NONE;
    }
    if (type == classes->last && version == classes->last_version &&
        version != 0) {
        number = classes->last_number;
    }
    else {
        PyObject *known =
            PyDict_GetItemWithError(classes->known, (PyObject *)type);
        unsigned long long entry =
            known == NULL ? 0 : PyLong_AsUnsignedLongLong(known);
        if (version != 0 && entry >> 32 == version) {
            number = (uint32_t)entry;
            classes->last = type;
            classes->last_version = version;
            classes->last_number = number;
        }
        else {
            PyErr_Clear();
            number = ask(classes, type);
        }
    }
    if (number != PYCONC_CLASS_NONE && has_reducer(classes, type)) {
        return PYCONC_CLASS_NONE;
    }
    return number;
}

void
pyconc_class_forget(struct pyconc_classes *classes, PyTypeObject *type)
{
    classes->last = NULL;
    if (PyDict_Contains(classes->known, (PyObject *)type) != 1 ||
        PyDict_DelItem(classes->known, (PyObject *)type) < 0) {
        PyErr_Clear();
    }
}

/* The instance's __dict__: new reference, or NULL without an exception. */
static PyObject *
attributes_of(PyObject *object)
{
    PyObject *attributes = PyObject_GenericGetDict(object, NULL);

    if (attributes == NULL) {
        PyErr_Clear();
    }
    return attributes;
}

size_t
pyconc_instance_encode(PyObject *object, uint32_t number, uint8_t *out,
                       size_t capacity)
{
    PyObject *attributes = attributes_of(object);
    size_t size = 0;

    if (attributes != NULL && capacity > sizeof(number)) {
        size = pyconc_tagged_encode(attributes, out + sizeof(number),
                                    capacity - sizeof(number));
    }
    Py_XDECREF(attributes);
    if (size == 0) {
        return 0;
    }
    memcpy(out, &number, sizeof(number));
    return size + sizeof(number);
}

size_t
pyconc_instance_size(PyObject *object)
{
    PyObject *attributes = attributes_of(object);
    size_t size = attributes == NULL ? 0 : pyconc_tagged_size(attributes);

    Py_XDECREF(attributes);
    size = size == 0 ? 0 : size + sizeof(uint32_t);
    return size <= PYCONC_INSTANCE_BYTES_MAX ? size : 0;
}

uint32_t
pyconc_instance_number(const uint8_t *data, size_t length)
{
    uint32_t number;

    if (length < sizeof(number)) {
        return PYCONC_CLASS_NONE;
    }
    memcpy(&number, data, sizeof(number));
    return number;
}

/* As pickle does it: with interned names, so that lookups compare pointers,
 * and into the dict that the object makes for itself.  (Given another one, an
 * object of 3.13.0 still looks for its attributes outside of it.) */
static int
set_attributes(PyObject *object, PyObject *attributes)
{
    PyObject *own = PyObject_GenericGetDict(object, NULL);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int status = own == NULL ? -1 : 0;

    while (status == 0 && PyDict_Next(attributes, &position, &key, &value)) {
        Py_INCREF(key);
        if (PyUnicode_CheckExact(key)) {
            PyUnicode_InternInPlace(&key);
        }
        status = PyDict_SetItem(own, key, value);
        Py_DECREF(key);
    }
    Py_XDECREF(own);
    return status;
}

PyObject *
pyconc_instance_decode(PyTypeObject *type, const uint8_t *data, size_t length)
{
    PyObject *object = NULL;
    PyObject *attributes = pyconc_tagged_decode(data + sizeof(uint32_t),
                                                length - sizeof(uint32_t));

    if (attributes == NULL) {
        return NULL;
    }
    if (!PyDict_CheckExact(attributes)) {
        PyErr_SetString(PyExc_ValueError,
                        "a message between processes is damaged");
        goto done;
    }
    object = type->tp_alloc(type, 0);
    if (object != NULL && set_attributes(object, attributes) < 0) {
        Py_CLEAR(object);
    }
done:
    Py_DECREF(attributes);
    return object;
}
