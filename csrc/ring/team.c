/* See team.h. */
#include "ring/team.h"

#include <stdlib.h>

#include "platform/clock.h"
#include "platform/forks.h"
#include "platform/status.h"

/* How long the calls for what is taken at a time should take together.  Long
 * beside the 50 ns of taking, short beside what a user waits for: a member
 * that runs out while another one has just begun waits that long, as does
 * Ctrl-C. */
#define TAKE_NS 50000

#define UNITS_MAX (INT64_C(1) << 31)

#define CLOSED UINT32_C(0x80000000)

#define CACHE_LINE 64

/* The units [begin, end) of one member, in one word: begin in the upper half.
 * The word says all there is to know, so it does no harm if it takes the same
 * value again. */
struct share {
    _Alignas(CACHE_LINE) _Atomic uint64_t span;
};

struct conc_team {
    conc_range_function function;
    void *context;
    int64_t n;
    int64_t grain;  /* indexes of a call at most; 0: no limit */
    int64_t unit;   /* indexes */
    uint32_t forks; /* of the process that works: a child leaves it alone */
    uint32_t seats;
    _Atomic uint32_t references;
    _Atomic uint32_t taken; /* seats, ever */
    /* Members inside, but for the host, and CLOSED. */
    _Alignas(CACHE_LINE) _Atomic uint32_t inside;
    _Atomic uint32_t stopped;
    struct conc_parker host;
    struct share shares[];
};

static uint64_t
pack(uint32_t begin, uint32_t end)
{
    return (uint64_t)begin << 32 | end;
}

static uint32_t
span_begin(uint64_t span)
{
    return (uint32_t)(span >> 32);
}

static uint32_t
span_end(uint64_t span)
{
    return (uint32_t)span;
}

static int64_t
divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

struct conc_team *
conc_team_new(conc_range_function function, void *context, int64_t n,
              int64_t grain, uint32_t seats)
{
    struct conc_team *team = aligned_alloc(
        CACHE_LINE, sizeof(*team) + seats * sizeof(struct share));

    if (team == NULL) {
        return NULL;
    }
    int64_t unit = divide_up(n, UNITS_MAX);
    if (grain > 0) {
        unit =
            grain >= n ? n : grain * divide_up(divide_up(n, grain), UNITS_MAX);
    }
    if (unit < 1) {
        unit = 1;
    }
    uint32_t units = (uint32_t)divide_up(n, unit);
    *team = (struct conc_team){
        .function = function,
        .context = context,
        .n = n,
        .grain = grain,
        .unit = unit,
        .forks = conc_forks_count(),
        .seats = seats,
        .references = 1,
        .taken = 1,
    };
    for (uint32_t i = 0; i < seats; i++) {
        /* E1 */
        conc_store_rlx(&team->shares[i].span,
                       pack((uint32_t)((uint64_t)units * i / seats),
                            (uint32_t)((uint64_t)units * (i + 1) / seats)));
    }
    return team;
}

void
conc_team_hold(struct conc_team *team)
{
    /* relaxed: whoever holds one can give another */
    (void)conc_fetch_add_rlx(&team->references, 1);
}

void
conc_team_drop(struct conc_team *team)
{
    /* Whatever was done with it comes before its end. */
    if (conc_fetch_add_sc(&team->references, UINT32_MAX) == 1) {
        free(team);
    }
}

static int
has_work(const struct conc_team *team)
{
    for (uint32_t i = 0; i < team->seats; i++) {
        uint64_t span = conc_load_rlx(&team->shares[i].span); /* a hint */
        if (span_begin(span) < span_end(span)) {
            return 1;
        }
    }
    return 0;
}

int
conc_team_is_open(const struct conc_team *team)
{
    return !conc_load_rlx(&team->stopped) &&
           conc_load_rlx(&team->taken) < team->seats && has_work(team);
}

int32_t
conc_team_enter(struct conc_team *team)
{
    uint32_t inside = conc_load_rlx(&team->inside);

    do {
        if ((inside & CLOSED) != 0 || !conc_team_is_open(team)) {
            return -1;
        }
    } while (!conc_cas_sc(&team->inside, &inside, inside + 1));
    uint32_t seat = conc_fetch_add_rlx(&team->taken, 1);
    if (seat >= team->seats) {
        conc_team_leave(team);
        return -1;
    }
    return (int32_t)seat;
}

void
conc_team_leave(struct conc_team *team)
{
    /* M1, pairs with M2 */
    if (conc_fetch_add_sc(&team->inside, UINT32_MAX) == (CLOSED | 1)) {
        (void)conc_parker_wake(&team->host);
    }
}

/* Take up to `count` units from the front of one's own span.  How many. */
static uint32_t
take(struct share *own, uint32_t count, uint32_t *begin)
{
    uint64_t span = conc_load_rlx(&own->span);

    for (;;) {
        uint32_t first = span_begin(span), end = span_end(span);
        if (first >= end) {
            return 0;
        }
        uint32_t taken = count < end - first ? count : end - first;
        /* relaxed: the word itself is all that changes hands */
        if (conc_cas_rlx(&own->span, &span, pack(first + taken, end))) {
            *begin = first;
            return taken;
        }
    }
}

/* Steal the back half of somebody's span into one's own, which is empty; all
 * of it if it is no more than one would take at a time. */
static int
steal(struct conc_team *team, uint32_t seat, uint32_t count)
{
    for (uint32_t i = 1; i < team->seats; i++) {
        struct share *victim = &team->shares[(seat + i) % team->seats];
        uint64_t span = conc_load_rlx(&victim->span);
        for (;;) {
            uint32_t begin = span_begin(span), end = span_end(span);
            if (begin >= end) {
                break;
            }
            uint32_t middle =
                end - begin <= count ? begin : begin + (end - begin) / 2;
            /* relaxed: as in take() */
            if (conc_cas_rlx(&victim->span, &span, pack(begin, middle))) {
                conc_store_rlx(&team->shares[seat].span, pack(middle, end));
                return 1;
            }
        }
    }
    return 0;
}

/* Call for one unit, in grains if it has more than one. */
static void
call_unit(const struct conc_team *team, int64_t first, int64_t end)
{
    while (first < end && !conc_load_rlx(&team->stopped)) { /* soon enough */
        int64_t next = end - first > team->grain ? first + team->grain : end;
        team->function(first, next, team->context);
        first = next;
    }
}

/* Call for these units; how many it came to.  With a grain it gives up when
 * they take long, which the ones before them had not: others can steal the
 * rest, and signals are looked at. */
static uint32_t
call(const struct conc_team *team, uint32_t begin, uint32_t count)
{
    int64_t first = begin * team->unit;
    int64_t end = team->n - first <= count * team->unit
                      ? team->n
                      : first + count * team->unit;

    if (team->grain == 0) {
        team->function(first, end, team->context);
        return count;
    }
    int64_t tick_ns = conc_clock_coarse_ns();
    uint32_t done = 0;
    do {
        int64_t next = end - first > team->unit ? first + team->unit : end;
        call_unit(team, first, next);
        first = next;
        done++;
    } while (done < count && conc_clock_coarse_ns() == tick_ns &&
             !conc_load_rlx(&team->stopped));
    return done;
}

/* Put units back that were taken last: before those that are there. */
static void
put_back(struct share *own, uint32_t begin)
{
    uint64_t span = conc_load_rlx(&own->span);

    /* relaxed: as in take() */
    while (!conc_cas_rlx(&own->span, &span, pack(begin, span_end(span)))) {
    }
}

int
conc_team_work(struct conc_team *team, uint32_t seat, int64_t deadline_ns)
{
    uint32_t count = 1, begin;
    int64_t before_ns = conc_clock_now_ns();

    while (!conc_load_rlx(&team->stopped) && /* soon enough */
           team->forks == conc_forks_count()) {
        uint32_t taken = take(&team->shares[seat], count, &begin);
        if (taken == 0) {
            if (!steal(team, seat, count)) {
                return CONC_OK;
            }
            continue;
        }
        uint32_t done = call(team, begin, taken);
        if (done < taken) {
            put_back(&team->shares[seat], begin + done);
            taken = done;
        }
        int64_t now_ns = conc_clock_now_ns();
        int64_t took_ns = now_ns - before_ns;
        before_ns = now_ns;
        if (now_ns >= deadline_ns) {
            return CONC_TIMEOUT;
        }
        if (took_ns < TAKE_NS / 2) {
            count = count < UINT32_MAX / 2 ? 2 * count : count;
        }
        else if (took_ns > TAKE_NS && count > 1) {
            count = (uint32_t)((int64_t)taken * TAKE_NS / took_ns);
            count = count < 1 ? 1 : count;
        }
    }
    return CONC_OK;
}

void
conc_team_stop(struct conc_team *team)
{
    conc_store_rlx(&team->stopped, 1);
}

uint32_t
conc_team_close(struct conc_team *team)
{
    return conc_fetch_or_sc(&team->inside, CLOSED) & ~CLOSED;
}

uint32_t
conc_team_inside(const struct conc_team *team)
{
    return conc_load_sc(&team->inside) & ~CLOSED; /* M2, pairs with M1 */
}

struct conc_parker *
conc_team_host(struct conc_team *team)
{
    return &team->host;
}
