/* Sleep on a 32-bit word, and wake its sleepers.  `shared` words lie in
 * memory that several processes map; `private` words are seen by threads of
 * one process, which the kernel finds faster. */
#ifndef CONC_PLATFORM_FUTEX_H
#define CONC_PLATFORM_FUTEX_H

#include <stdint.h>

#include "platform/atomics.h"

/* Sleep while *word == expected, until deadline_ns (CONC_NEVER: no limit).
 * CONC_OK: woken, or the word differed (spurious wakes are possible: look
 * again); CONC_TIMEOUT; CONC_INTR: a signal handler ran (one without
 * SA_RESTART, as Python's are; after others the kernel may go on by itself).
 * May block. */
int conc_futex_wait_shared(_Atomic uint32_t *word, uint32_t expected,
                           int64_t deadline_ns);
int conc_futex_wait_private(_Atomic uint32_t *word, uint32_t expected,
                            int64_t deadline_ns);

/* Wake up to `count` sleepers; returns how many were woken.  Never blocks. */
int conc_futex_wake_shared(_Atomic uint32_t *word, int count);
int conc_futex_wake_private(_Atomic uint32_t *word, int count);

#endif
