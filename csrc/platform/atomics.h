/* The only file that names a memory order.
 *
 * The suffix of each operation is its order: rlx, acq, rel, acqrel, sc.  An
 * operation other than rlx names its partner where it is used (STYLE: edges).
 * Objects are `_Atomic` integers of 32 or 64 bits, lock-free on every machine
 * that we support, which makes them usable between processes. */
#ifndef CONC_PLATFORM_ATOMICS_H
#define CONC_PLATFORM_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "platform/compiler.h"

CONC_STATIC_ASSERT(ATOMIC_INT_LOCK_FREE == 2);
CONC_STATIC_ASSERT(ATOMIC_LLONG_LOCK_FREE == 2);

#define conc_load_rlx(p) atomic_load_explicit((p), memory_order_relaxed)
#define conc_load_acq(p) atomic_load_explicit((p), memory_order_acquire)
#define conc_load_sc(p) atomic_load_explicit((p), memory_order_seq_cst)

#define conc_store_rlx(p, v)                                                  \
    atomic_store_explicit((p), (v), memory_order_relaxed)
#define conc_store_rel(p, v)                                                  \
    atomic_store_explicit((p), (v), memory_order_release)
#define conc_store_sc(p, v)                                                   \
    atomic_store_explicit((p), (v), memory_order_seq_cst)

/* Strong compare-and-swap; *expected is updated on failure, with acquire
 * order so that the caller may act upon what it found. */
#define conc_cas_acqrel(p, expected, desired)                                 \
    atomic_compare_exchange_strong_explicit((p), (expected), (desired),       \
                                            memory_order_acq_rel,             \
                                            memory_order_acquire)
#define conc_cas_sc(p, expected, desired)                                     \
    atomic_compare_exchange_strong_explicit((p), (expected), (desired),       \
                                            memory_order_seq_cst,             \
                                            memory_order_seq_cst)
#define conc_cas_rlx(p, expected, desired)                                    \
    atomic_compare_exchange_strong_explicit((p), (expected), (desired),       \
                                            memory_order_relaxed,             \
                                            memory_order_relaxed)

#define conc_exchange_acqrel(p, v)                                            \
    atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define conc_exchange_sc(p, v)                                                \
    atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define conc_fetch_add_rlx(p, v)                                              \
    atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define conc_fetch_add_sc(p, v)                                               \
    atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define conc_fetch_or_sc(p, v)                                                \
    atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define conc_fetch_and_sc(p, v)                                               \
    atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)

#endif
