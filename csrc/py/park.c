/* See park.h. */
#include "py/park.h"

#include <unistd.h>

#include "platform/clock.h"
#include "platform/cpus.h"
#include "platform/forks.h"
#include "platform/relax.h"

#define SIGNAL_CHECK_NS 250000000

/* A thread that was woken waits so many turns, of 10 to 60 ns, for its waker
 * to let go of the GIL.  A round trip through an engine gets there in 0.3 us,
 * notify() and the next wait() of a Condition in 0.9; who goes on with
 * something else is asked for the GIL in the usual way. */
#define POLITE_SPINS 250

/* A worker that has completed what somebody waits for and finds nothing else
 * to do lets go of the GIL after some 0.2 us. */
#define LEAVING_SPINS 40

_Atomic uint32_t pyconc_let_go;

/* Threads that spin here; no more than there are CPUs.  Two that answer each
 * other both do for a moment.  Relaxed: a hint. */
static _Atomic uint32_t spinners;
static _Atomic uint32_t spin_limit; /* 0: not asked yet */
static _Atomic uint32_t forks;      /* of the process that counted */

/* GIL: held. */
static int
may_spin(void)
{
    uint32_t limit = conc_load_rlx(&spin_limit);

    if (limit == 0) {
        limit = (uint32_t)conc_cpus_usable();
        conc_store_rlx(&spin_limit, limit);
    }
    if (conc_load_rlx(&forks) != conc_forks_count()) {
        conc_store_rlx(&forks, conc_forks_count());
        conc_store_rlx(&spinners, 0);
    }
    return limit > 1 && conc_load_rlx(&spinners) < limit;
}

void
pyconc_park_politely_nogil(uint32_t let_go_seen)
{
    for (int i = 0; i < POLITE_SPINS && conc_load_rlx(&pyconc_let_go) ==
                                            let_go_seen; /* relaxed: a hint */
         i++) {
        conc_cpu_relax();
    }
}

/* Signal handlers run in the main thread only.  After a fork the forking
 * thread is the child's main thread, for the kernel as for Python. */
int
pyconc_is_main_thread(void)
{
    static _Thread_local uint32_t asked_after; /* so many forks, and one */
    static _Thread_local int is_main;

    if (asked_after != conc_forks_count() + 1) {
        is_main = gettid() == getpid();
        asked_after = conc_forks_count() + 1;
    }
    return is_main;
}

int64_t
pyconc_sleep_limit_ns(int64_t deadline_ns)
{
    if (!pyconc_is_main_thread()) {
        return deadline_ns;
    }
    int64_t check_ns = conc_deadline_after(SIGNAL_CHECK_NS);
    return check_ns < deadline_ns ? check_ns : deadline_ns;
}

void
pyconc_park(struct conc_parker *parker, struct conc_patience *patience,
            const _Atomic uint32_t *leaving, const uint32_t *let_go_seen,
            int64_t deadline_ns)
{
    int64_t spin_ns =
        patience != NULL && may_spin() ? conc_patience_spin_ns(patience) : 0;
    int64_t slept_ns = 0;
    int found = 0;

    Py_BEGIN_ALLOW_THREADS
    conc_fetch_add_rlx(&pyconc_let_go, 1); /* relaxed: a hint */
    if (spin_ns > 0) {
        conc_fetch_add_rlx(&spinners, 1);
        found = conc_parker_spin(parker, spin_ns);
        conc_fetch_add_rlx(&spinners, UINT32_MAX);
    }
    if (!found) {
        int64_t limit_ns = pyconc_sleep_limit_ns(deadline_ns);
        int64_t asleep_ns = conc_clock_now_ns();
        (void)conc_parker_sleep(parker, limit_ns);
        slept_ns = conc_clock_now_ns() - asleep_ns;
    }
    else if (leaving == NULL) {
        pyconc_park_politely_nogil(*let_go_seen);
    }
    else {
        /* relaxed: a hint */
        for (int i = 0; i < LEAVING_SPINS && conc_load_rlx(leaving) != 0;
             i++) {
            conc_cpu_relax();
        }
    }
    Py_END_ALLOW_THREADS
    if (found) {
        conc_patience_hit(patience);
    }
    else if (spin_ns > 0) {
        conc_patience_miss(patience, slept_ns);
    }
}
