/* What the compiler offers under one set of names. */
#ifndef CONC_PLATFORM_COMPILER_H
#define CONC_PLATFORM_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__linux__)
#    error "pyconc needs Linux: it is built on futexes, memfds and pidfds"
#endif

/* The unit in which cores hand memory to each other.  A layout that is
 * shared between processes is built on it, so it is part of the region's
 * fingerprint. */
#define CONC_CACHELINE 64

#define CONC_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#define CONC_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define CONC_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define CONC_NODISCARD __attribute__((warn_unused_result))

#endif
