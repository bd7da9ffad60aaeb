/* pyconc._launch: slots, nothing else. */
#include "launch/launch.h"

static int
launch_exec(PyObject *module)
{
    return PyModule_AddFunctions(module, pyconc_importing_methods) < 0 ||
                   PyModule_AddFunctions(module, pyconc_program_methods) < 0
               ? -1
               : 0;
}

static PyModuleDef_Slot launch_slots[] = {
    {Py_mod_exec, (void *)launch_exec},
    {0, NULL},
};

static struct PyModuleDef launch_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pyconc._launch",
    .m_doc = PyDoc_STR("Running programs whose imports pyconc answers."),
    .m_slots = launch_slots,
};

PyMODINIT_FUNC PyInit__launch(void);

PyMODINIT_FUNC
PyInit__launch(void)
{
    return PyModuleDef_Init(&launch_module);
}
