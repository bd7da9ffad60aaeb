#include "platform/forks.h"

#include <pthread.h>

#include "platform/atomics.h"
#include "platform/status.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int outcome;
/* Relaxed: written only in a new child, which has one thread. */
static _Atomic uint32_t count;
static _Atomic uint64_t survivor;

static _Atomic uint64_t serials; /* relaxed: each is handed out once */
static _Thread_local uint64_t serial;

static void
in_child(void)
{
    (void)conc_fetch_add_rlx(&count, 1);
    conc_store_rlx(&survivor, conc_thread_serial());
}

static void
watch(void)
{
    outcome = pthread_atfork(NULL, NULL, in_child) == 0 ? CONC_OK : CONC_NOMEM;
}

int
conc_forks_watch(void)
{
    (void)pthread_once(&once, watch);
    return outcome;
}

uint32_t
conc_forks_count(void)
{
    return conc_load_rlx(&count);
}

uint64_t
conc_thread_serial(void)
{
    if (serial == 0) {
        serial = conc_fetch_add_rlx(&serials, 1) + 1;
    }
    return serial;
}

uint64_t
conc_forks_survivor(void)
{
    return conc_load_rlx(&survivor);
}
