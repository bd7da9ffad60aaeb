#include "codec/classes.h"

/* Classes that are made at run time would otherwise be kept for ever. */
#define KNOWN_MAX 1024

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

int
pyconc_class_is_simple(PyTypeObject *type)
{
    size_t size = sizeof(PyObject);

    size += type->tp_dictoffset > 0 ? sizeof(PyObject *) : 0;
    size += type->tp_weaklistoffset > 0 ? sizeof(PyObject *) : 0;
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) &&
           Py_IS_TYPE((PyObject *)type, &PyType_Type) &&
           type->tp_new == PyBaseObject_Type.tp_new &&
           type->tp_dictoffset != 0 && type->tp_itemsize == 0 &&
           (size_t)type->tp_basicsize <= size;
}

/* Ask about a class that is new or has changed. */
static uint32_t
ask(struct pyconc_classes *classes, PyTypeObject *type)
{
    uint32_t number = PYCONC_CLASS_NONE;

    classes->asked++;
    /* To look something up gives the class a version, if it has none. */
    PyObject *found = PyObject_GetAttrString((PyObject *)type, "__init__");
    unsigned int version = type->tp_version_tag;
    Py_XDECREF(found);
    PyObject *plain = PyObject_CallOneArg(classes->is_plain, (PyObject *)type);
    if (plain == Py_True) {
        number = classes->number_of(classes->context, type);
    }
    Py_XDECREF(plain);
    PyErr_Clear(); /* pickle will say what is wrong with it */
    if (version == 0 || type->tp_version_tag != version ||
        has_reducer(classes, type)) {
        /* No version to recognize it by, or it has changed meanwhile. */
        return PYCONC_CLASS_NONE;
    }
    unsigned long long entry = ((unsigned long long)version << 32) | number;
    PyObject *value = PyLong_FromUnsignedLongLong(entry);
    if (PyDict_GET_SIZE(classes->known) >= KNOWN_MAX) {
        classes->last = NULL;
        PyDict_Clear(classes->known);
    }
    if (value == NULL ||
        PyDict_SetItem(classes->known, (PyObject *)type, value) < 0) {
        PyErr_Clear();
        number = PYCONC_CLASS_NONE;
    }
    else {
        classes->last = type;
        classes->last_version = version;
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

    if (!pyconc_class_is_simple(type)) {
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
            /* The code that runs may change the class of the object. */
            Py_INCREF(type);
            number = ask(classes, type);
            Py_DECREF(type);
            return number;
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
