/* Offsets into a region: memory that several processes map, each at an
 * address of its own, so that links are offsets and never pointers. */
#ifndef CONC_REGION_LAYOUT_H
#define CONC_REGION_LAYOUT_H

#include <stdint.h>

#include "platform/compiler.h"

typedef uint64_t conc_off; /* bytes from the region's start; 0: none */

#endif
