/* See parker.h.  The word's transitions:
 *
 *     AWAKE -> ASLEEP -> AWAKE      owner (sleeps; timeout or signal)
 *     AWAKE, ASLEEP -> WATCHING     whoever appoints
 *     WATCHING -> AWAKE             owner (resigns)
 *     any -> WOKEN                  whoever wakes
 *     WOKEN -> AWAKE                owner (reset) */
#include "ring/parker.h"

#include "platform/clock.h"
#include "platform/cpus.h"
#include "platform/futex.h"
#include "platform/relax.h"
#include "platform/status.h"

void
conc_parker_reset(struct conc_parker *parker)
{
    /* relaxed: nobody else looks at it now */
    conc_store_rlx(&parker->word, CONC_PARKER_AWAKE);
}

void
conc_parker_take_wake(struct conc_parker *parker)
{
    uint32_t woken = CONC_PARKER_WOKEN;

    (void)conc_cas_sc(&parker->word, &woken, CONC_PARKER_AWAKE); /* K2 */
}

int
conc_parker_wake(struct conc_parker *parker)
{
    /* K1, pairs with K2 */
    uint32_t old = conc_exchange_acqrel(&parker->word, CONC_PARKER_WOKEN);

    if (old == CONC_PARKER_ASLEEP || old == CONC_PARKER_WATCHING) {
        (void)conc_futex_wake_private(&parker->word, 1);
        return 1;
    }
    return 0;
}

int
conc_parker_appoint(struct conc_parker *parker)
{
    uint32_t old = CONC_PARKER_ASLEEP;

    do {
        if (conc_cas_sc(&parker->word, &old, CONC_PARKER_WATCHING)) { /* A1 */
            if (old == CONC_PARKER_ASLEEP) {
                (void)conc_futex_wake_private(&parker->word, 1);
            }
            return 1;
        }
    } while (old == CONC_PARKER_AWAKE || old == CONC_PARKER_ASLEEP);
    return old == CONC_PARKER_WATCHING;
}

int
conc_parker_resign(struct conc_parker *parker)
{
    uint32_t watching = CONC_PARKER_WATCHING;

    return conc_cas_sc(&parker->word, &watching, CONC_PARKER_AWAKE);
}

int
conc_parker_is_watching(const struct conc_parker *parker)
{
    return conc_load_sc(&parker->word) == CONC_PARKER_WATCHING;
}

int
conc_parker_is_woken(const struct conc_parker *parker)
{
    return conc_load_acq(&parker->word) == CONC_PARKER_WOKEN; /* K2 */
}

int
conc_parker_spin(struct conc_parker *parker, int64_t spin_ns)
{
    int64_t end_ns = conc_clock_now_ns() + spin_ns;

    do {
        for (int i = 0; i < 32; i++) {
            if (conc_load_acq(&parker->word) != CONC_PARKER_AWAKE) { /* K2 */
                return 1;
            }
            conc_cpu_relax();
        }
    } while (conc_clock_now_ns() < end_ns);
    return 0;
}

static int
outcome_of(const struct conc_parker *parker, int status)
{
    uint32_t now = conc_load_acq(&parker->word); /* K2 */

    if (now == CONC_PARKER_WOKEN) {
        return CONC_OK;
    }
    return status == CONC_OK ? CONC_AGAIN : status;
}

int
conc_parker_sleep(struct conc_parker *parker, int64_t deadline_ns)
{
    uint32_t expected = CONC_PARKER_AWAKE;

    /* K2, A2: who was appointed meanwhile must not sleep without limit */
    if (!conc_cas_sc(&parker->word, &expected, CONC_PARKER_ASLEEP)) {
        return outcome_of(parker, CONC_OK);
    }
    int status = conc_futex_wait_private(&parker->word, CONC_PARKER_ASLEEP,
                                         deadline_ns);
    expected = CONC_PARKER_ASLEEP;
    if (!conc_cas_sc(&parker->word, &expected, CONC_PARKER_AWAKE)) {
        return outcome_of(parker, CONC_OK); /* K2, A2 */
    }
    return status == CONC_OK ? CONC_AGAIN : status;
}

int
conc_parker_watch(struct conc_parker *parker, int64_t deadline_ns)
{
    int status = conc_futex_wait_private(&parker->word, CONC_PARKER_WATCHING,
                                         deadline_ns);

    return outcome_of(parker, status);
}

int64_t
conc_patience_spin_ns(struct conc_patience *patience)
{
    if (patience->skips > 0) {
        patience->skips--;
        return 0;
    }
    if (patience->waker == conc_cpu_now() + 1) {
        return 0;
    }
    return patience->lingers ? CONC_LINGER_NS : CONC_SPIN_NS;
}

void
conc_patience_waker(struct conc_patience *patience)
{
    patience->waker = conc_cpu_now() + 1;
}

void
conc_patience_hit(struct conc_patience *patience)
{
    patience->lingers = 0;
    patience->misses = 0;
}

void
conc_patience_miss(struct conc_patience *patience, int64_t slept_ns)
{
    if (patience->skips > 0) {
        return; /* it was not tried */
    }
    /* Not twice in a row: it was no use the last time. */
    patience->lingers = !patience->lingers && slept_ns < CONC_LINGER_NS;
    if (patience->misses < CONC_SPIN_MISSES + 4) {
        patience->misses++;
    }
    if (patience->misses >= CONC_SPIN_MISSES) {
        patience->skips =
            (uint8_t)((2u << (patience->misses - CONC_SPIN_MISSES)) - 1);
    }
}
