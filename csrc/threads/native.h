/* C functions on a pool's threads, without the GIL.
 *
 * One call is a task like any other.  If a worker is idle when it is
 * submitted, the worker is sent to run it and does not take the GIL; the
 * thread that waits for the result completes the task, or if there is none the
 * worker does.
 *
 * A range is worked off by the thread that asks for it, together with idle
 * workers and those that become idle (ring/team.h). */
#ifndef PYCONC_THREADS_NATIVE_H
#define PYCONC_THREADS_NATIVE_H

#include "ring/team.h"
#include "threads/engine.h"

struct pyconc_native_ops {
    /* GIL: not held. */
    void (*run)(struct pyconc_native *native);
    /* Afterwards: the value, or NULL with an exception.  May run Python code.
     */
    PyObject *(*result)(struct pyconc_native *native);
    /* GIL: held. */
    void (*free)(struct pyconc_native *native);
};

/* What the layer above embeds in a structure of its own. */
struct pyconc_native {
    struct pyconc_errand errand;
    const struct pyconc_native_ops *ops;
    struct pyconc_thread_worker *worker; /* that was sent, or NULL */
    struct pyconc_single *attendant;     /* who will complete it, or NULL */
    /* 0; the attendant's address; or DONE.  D1 -> D2, native.c */
    _Atomic uintptr_t state;
};

/* Call function(begin, end, context) for parts that make up [0, n), in this
 * thread and in workers, `threads` at most; return when all calls have
 * returned.  0, or -1 with the exception of a signal handler: then no further
 * call was begun.  grain as for conc_team_new.  GIL: released inside. */
int pyconc_thread_range(struct pyconc_thread_engine *engine,
                        conc_range_function function, void *context, int64_t n,
                        int64_t grain, uint32_t threads);

#endif
