/* Apply a scalar C function to the items of arrays. */
#ifndef PYCONC_MODULE_NATIVE_MAP_H
#define PYCONC_MODULE_NATIVE_MAP_H

#include "ring/team.h"

/* What the range functions work on. */
struct pyconc_native_map {
    void (*function)(void);
    const void *first;
    const void *second; /* NULL: the function takes one */
    void *output;
};

/* The range function for T f(T) (second 0) or T f(T, U), by the types' format
 * characters, out of bBhHiIqQfd; NULL for others. */
conc_range_function pyconc_native_map_function(char first, char second);

#endif
