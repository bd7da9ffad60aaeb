/* Copies of any size between objects and shared memory.
 *
 * GIL: held; released inside around copies of PYCONC_COPY_DETACHED_BYTES and
 * more.  So neither end may be reachable by code that could free, resize or
 * (the destination) read it: the source is immutable or pinned by a buffer,
 * the destination a fresh object or a block that the caller owns. */
#ifndef PYCONC_CODEC_COPY_H
#define PYCONC_CODEC_COPY_H

#include <stddef.h>
#include <string.h>

#define PYCONC_COPY_DETACHED_BYTES (1024 * 1024)

void pyconc_copy(void *destination, const void *source, size_t size_bytes);

/* The same into memory that was allocated just now: what is big goes to huge
 * pages first, as its page faults would cost more than the copy. */
void pyconc_copy_fresh(void *destination, const void *source,
                       size_t size_bytes);

/* For a few bytes of shared memory that are going to be checked: the
 * compiler may not read the source a second time after the check. */
static inline void
pyconc_copy_once(void *destination, const void *source, size_t size_bytes)
{
    memcpy(destination, source, size_bytes);
    __asm__ volatile("" : : : "memory");
}

#endif
