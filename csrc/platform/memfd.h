/* Anonymous files of a fixed size: memory with no name that somebody could
 * guess, leak or truncate. */
#ifndef CONC_PLATFORM_MEMFD_H
#define CONC_PLATFORM_MEMFD_H

#include <stdint.h>

/* Make a sparse file of size_bytes: close-on-exec, not executable where the
 * kernel knows that flag, sealed against SHRINK, GROW and SEAL.
 * CONC_OK with *fd (owns), else CONC_SYSTEM with errno and *fd = -1. */
int conc_memfd_create(const char *name, uint64_t size_bytes, int *fd);

/* What a receiver checks before it maps: a regular file of our uid with the
 * seals above; *size_bytes receives its size.  CONC_OK, CONC_MISMATCH,
 * CONC_SYSTEM. */
int conc_memfd_check(int fd, uint64_t *size_bytes);

/* Bytes that the machine and our cgroup (v1, v2, all ancestors) can still
 * give, by MemAvailable and the limits.  *limit names the tightest one, a
 * literal such as "MemAvailable" or "memory.max".  UINT64_MAX if unknown. */
uint64_t conc_memory_available(const char **limit);

#endif
