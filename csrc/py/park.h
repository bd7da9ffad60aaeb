/* Letting go of the GIL to wait for another thread: what all waits of threads
 * of one process share.  docs/internals/gil.md has the measurements. */
#ifndef PYCONC_PY_PARK_H
#define PYCONC_PY_PARK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#include "ring/parker.h"

/* Moved by each thread that lets go of the GIL to wait.  Who is woken by a
 * thread that holds the GIL, and asks for it at once, falls asleep; so it
 * waits a moment for this to move.  A hint: relaxed everywhere. */
extern _Atomic uint32_t pyconc_let_go;

/* As the waiting side: wait for that moment.  GIL: not held. */
void pyconc_park_politely_nogil(uint32_t let_go_seen);

/* Whether this thread runs Python's signal handlers. */
int pyconc_is_main_thread(void);

/* Until when a thread may sleep without looking at signals: the main thread
 * looks every 250 ms, for one that lands between the last look and the futex
 * call does not interrupt the sleep. */
int64_t pyconc_sleep_limit_ns(int64_t deadline_ns);

/* Let go of the GIL and wait until the parker is woken, a signal comes or the
 * deadline passes; the caller looks which.  Spins at first as the patience
 * allows (NULL: never).  If that was enough it waits a moment for whoever woke
 * it to let go of the GIL: while *leaving is not zero, or if `leaving` is NULL
 * until pyconc_let_go is no longer *let_go_seen, which the waker noted. */
void pyconc_park(struct conc_parker *parker, struct conc_patience *patience,
                 const _Atomic uint32_t *leaving, const uint32_t *let_go_seen,
                 int64_t deadline_ns);

#endif
