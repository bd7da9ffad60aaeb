/* Leading and following, spinning and sleeping; see wait.h and, for threads,
 * docs/internals/gil.md. */
#include "future/wait.h"

#include "platform/clock.h"
#include "platform/relax.h"
#include "platform/status.h"
#include "py/park.h"

/* Spins with the GIL held at first: a round trip takes about a microsecond,
 * and letting go of the GIL and taking it back costs a tenth of that, more
 * if another thread wants it. */
#define ATTACHED_SPINS 40

/* Completions between two looks at signals: a millisecond or so. */
#define DRAIN_ENOUGH 1024

void
pyconc_waiter_init(struct pyconc_waiter *waiter, Py_ssize_t missing)
{
    *waiter = (struct pyconc_waiter){.missing = missing};
}

struct pyconc_single *
pyconc_single_new(void)
{
    struct pyconc_single *single = PyMem_RawMalloc(sizeof(*single));

    if (single == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    pyconc_waiter_init(&single->waiter, 1);
    single->link = (struct pyconc_link){.waiter = &single->waiter};
    conc_store_rlx(&single->references, 1); /* nobody else has it */
    return single;
}

void
pyconc_single_drop(struct pyconc_single *single)
{
    /* Whatever was done with it comes before its end. */
    if (conc_fetch_add_sc(&single->references, UINT32_MAX) == 1) {
        PyMem_RawFree(single);
    }
}

void
pyconc_waiter_wake(struct pyconc_waiter *waiter)
{
    struct pyconc_source *source = waiter->source;

    /* What satisfied the waiter is seen under the GIL; the parker only ends
     * its sleep. */
    if (waiter->patience != NULL) {
        conc_patience_waker(waiter->patience);
    }
    (void)conc_parker_wake(&waiter->parker);
    if (source != NULL && source->leader == waiter) {
        source->ops->rouse(source);
    }
}

static void
follow(struct pyconc_source *source, struct pyconc_waiter *waiter)
{
    struct pyconc_waiter *first = source->followers;

    if (first == NULL) {
        waiter->next = waiter->previous = waiter;
        source->followers = waiter;
        return;
    }
    waiter->next = first;
    waiter->previous = first->previous;
    first->previous->next = waiter;
    first->previous = waiter;
}

static void
unfollow(struct pyconc_source *source, struct pyconc_waiter *waiter)
{
    if (waiter->next == waiter) {
        source->followers = NULL;
    }
    else {
        waiter->previous->next = waiter->next;
        waiter->next->previous = waiter->previous;
        if (source->followers == waiter) {
            source->followers = waiter->next;
        }
    }
    waiter->next = waiter->previous = NULL;
}

/* Keeps invariant W1 when the lead has become free. */
static void
pass_lead(struct pyconc_source *source)
{
    if (source->leader != NULL) {
        return;
    }
    if (source->followers != NULL) {
        pyconc_waiter_wake(source->followers);
    }
    else if (source->collector != NULL) {
        pyconc_waiter_wake(source->collector);
    }
}

/* One sleep: as leader if nobody leads, else on the waiter's own word.
 * Returns a status. */
static int
sleep_once(struct pyconc_waiter *waiter, struct pyconc_source *source,
           int64_t deadline_ns)
{
    int64_t limit_ns = pyconc_sleep_limit_ns(deadline_ns);
    int status;

    if (source->leader == NULL || source->leader == source->collector) {
        /* If the collector leads it makes way: a thread that waits for its
         * own result is then woken directly. */
        if (source->leader != NULL && source->leader != waiter) {
            source->ops->rouse(source);
        }
        source->leader = waiter;
        uint32_t ticket = source->ops->announce(source);
        if (source->ops->ready_nogil(source) ||
            conc_parker_is_woken(&waiter->parker)) {
            status = CONC_OK;
        }
        else {
            Py_BEGIN_ALLOW_THREADS
            status = source->ops->sleep_nogil(source, ticket, limit_ns);
            Py_END_ALLOW_THREADS
        }
        if (source->leader == waiter) {
            source->leader = NULL;
        }
    }
    else {
        Py_BEGIN_ALLOW_THREADS
        status = conc_parker_sleep(&waiter->parker, limit_ns);
        Py_END_ALLOW_THREADS
    }
    if (status == CONC_TIMEOUT && limit_ns < deadline_ns) {
        return CONC_INTR;
    }
    return status;
}

/* Spin for a moment; 1 if there is something to look at. */
static int
spin(struct pyconc_waiter *waiter, struct pyconc_source *source)
{
    for (int i = 0; i < ATTACHED_SPINS; i++) {
        if (source->ops->ready_nogil(source)) {
            return 1;
        }
        conc_cpu_relax();
    }

    int found = 0;
    Py_BEGIN_ALLOW_THREADS
    int64_t end_ns = conc_clock_now_ns() + CONC_SPIN_NS;
    do {
        for (int i = 0; i < 32 && !found; i++) {
            conc_cpu_relax();
            found = source->ops->ready_nogil(source) ||
                    conc_parker_is_woken(&waiter->parker);
        }
    } while (!found && conc_clock_now_ns() < end_ns);
    Py_END_ALLOW_THREADS
    return found;
}

/* As pyconc_wait, where nobody has to be drained. */
static int
wait_to_be_woken(struct pyconc_waiter *waiter, struct pyconc_source *source,
                 int64_t deadline_ns)
{
    PyObject *engine = source != NULL ? Py_NewRef(source->engine) : NULL;
    int attends =
        waiter->alone != NULL && source != NULL && source->ops->attend != NULL;
    int outcome = 0;

    waiter->source = NULL;
    waiter->patience = source != NULL ? &source->patience : NULL;
    for (;;) {
        conc_parker_take_wake(&waiter->parker);
        if (waiter->attended != NULL) {
            source->ops->look(source, waiter->attended);
        }
        if (waiter->missing <= 0) {
            break;
        }
        if (waiter->attended != NULL) {
            /* A handler may want the same result, or the worker. */
            source->ops->desert(source, (struct pyconc_single *)waiter);
        }
        if (PyErr_CheckSignals() < 0) {
            outcome = -1;
            break;
        }
        if (waiter->missing <= 0) {
            break;
        }
        if (deadline_ns != CONC_NEVER && conc_clock_now_ns() >= deadline_ns) {
            outcome = 1;
            break;
        }
        if (attends) {
            source->ops->attend(source, waiter->alone,
                                (struct pyconc_single *)waiter);
            if (waiter->missing <= 0) {
                break;
            }
        }
        pyconc_park(&waiter->parker, waiter->patience,
                    source == NULL ? NULL : &source->leaving, NULL,
                    deadline_ns);
    }
    if (waiter->attended != NULL) {
        source->ops->desert(source, (struct pyconc_single *)waiter);
    }
    waiter->patience = NULL; /* ends with the engine */
    Py_XDECREF(engine);
    return outcome;
}

int
pyconc_wait(struct pyconc_waiter *waiter, struct pyconc_source *source,
            int64_t deadline_ns)
{
    int outcome;

    if (waiter->missing <= 0) {
        return 0;
    }
    if (source != NULL && source->ops->check(source) < 0) {
        return -1;
    }
    if (source == NULL || source->ops->announce == NULL) {
        return wait_to_be_woken(waiter, source, deadline_ns);
    }
    source->ops->drain(source, DRAIN_ENOUGH);
    if (waiter->missing <= 0) {
        return 0;
    }
    if (deadline_ns != CONC_NEVER && conc_clock_now_ns() >= deadline_ns) {
        return 1;
    }
    follow(source, waiter);
    waiter->source = source;
    PyObject *engine = Py_NewRef(source->engine);

    for (;;) {
        conc_parker_reset(&waiter->parker); /* looks again below */
        source->ops->drain(source, DRAIN_ENOUGH);
        if (waiter->missing <= 0) {
            outcome = 0;
            break;
        }
        /* In each turn, whatever ended the last one: completions that keep
         * coming must not keep a signal waiting. */
        if (PyErr_CheckSignals() < 0) {
            outcome = -1;
            break;
        }
        if (spin(waiter, source)) {
            continue;
        }
        if (waiter->missing <= 0) {
            outcome = 0;
            break;
        }
        int status = sleep_once(waiter, source, deadline_ns);
        if (status == CONC_TIMEOUT) {
            source->ops->drain(source, PY_SSIZE_T_MAX);
            outcome = waiter->missing <= 0 ? 0 : 1;
            break;
        }
    }
    waiter->source = NULL;
    unfollow(source, waiter);
    pass_lead(source);
    Py_DECREF(engine);
    return outcome;
}

void
pyconc_wait_collector(struct pyconc_waiter *waiter,
                      struct pyconc_source *source, int64_t nap_ns)
{
    /* Leads only while no other thread is there to do it, and not for a
     * nap: announced, it would be woken by each completion. */
    if (nap_ns == 0 && source->ops->announce != NULL &&
        source->leader == NULL && source->followers == NULL) {
        (void)sleep_once(waiter, source, CONC_NEVER);
    }
    else {
        int64_t deadline_ns =
            nap_ns == 0 ? CONC_NEVER : conc_deadline_after(nap_ns);
        Py_BEGIN_ALLOW_THREADS(void)
        conc_parker_sleep(&waiter->parker, deadline_ns);
        Py_END_ALLOW_THREADS
    }
    conc_parker_reset(&waiter->parker); /* the caller looks at everything */
}
