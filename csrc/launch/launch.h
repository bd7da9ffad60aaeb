/* pyconc._launch: what runs a program whose imports pyconc answers.
 *
 * A module of its own, and without state: it has to be there before the
 * program starts, and pyconc._core imports much of the standard library.
 * Written in C so that nothing of it is seen in a program's tracebacks. */
#ifndef PYCONC_LAUNCH_LAUNCH_H
#define PYCONC_LAUNCH_LAUNCH_H

#include "py/compat.h"

/* importing.c */
extern PyMethodDef pyconc_importing_methods[];
/* program.c */
extern PyMethodDef pyconc_program_methods[];

#endif
