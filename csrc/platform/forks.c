#include "platform/forks.h"

#include <pthread.h>

#include "platform/atomics.h"
#include "platform/status.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int outcome;
/* Relaxed: written only in a new child, which has one thread. */
static _Atomic uint32_t count;
static _Atomic unsigned long survivor;

static void
in_child(void)
{
    (void)conc_fetch_add_rlx(&count, 1);
    conc_store_rlx(&survivor, (unsigned long)pthread_self());
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

unsigned long
conc_forks_survivor(void)
{
    return conc_load_rlx(&survivor);
}
