/* A range of indexes that several threads work off together.
 *
 * The range is cut into units, and each member begins with a part of them that
 * is its own: a span, from whose front it takes.  Whose span is empty steals
 * the back half of another one's.  How many units a member takes at a time
 * follows from how long the last ones took.
 *
 * One thread, the host, makes the team, works as its first member and closes
 * it; others enter while there are seats.  Whoever holds a reference may try
 * to enter, however late. */
#ifndef CONC_RING_TEAM_H
#define CONC_RING_TEAM_H

#include <stdint.h>

#include "ring/parker.h"

/* What is called for a part of the range: begin <= index < end. */
typedef void (*conc_range_function)(int64_t begin, int64_t end, void *context);

/* More threads than that do not share one range. */
#define CONC_TEAM_SEATS_MAX 1024

/* Edges:
 *   E1 -> E2  what the host made the team of is seen by who enters: whoever
 *             hands a reference over does that.
 *   M1 -> M2  what a member's calls wrote is seen by the host, once nobody is
 *             inside. */
struct conc_team;

/* A team of at most `seats` threads, the host included, for [0, n).  grain:
 * how many indexes a call gets at most; 0: as many as take a fraction of a
 * millisecond.  One reference, which is the host's.  NULL: no memory. */
struct conc_team *conc_team_new(conc_range_function function, void *context,
                                int64_t n, int64_t grain, uint32_t seats);
void conc_team_hold(struct conc_team *team);
void conc_team_drop(struct conc_team *team);

/* Enter: a seat, or -1 if there is none, or nothing is left to be done. */
int32_t conc_team_enter(struct conc_team *team);
void conc_team_leave(struct conc_team *team);

/* Whether somebody who enters would find something to do. */
int conc_team_is_open(const struct conc_team *team);

/* Work in a seat (the host's is 0).  CONC_OK: nothing is left to be taken;
 * CONC_TIMEOUT: it is later than deadline_ns, and there may be more. */
int conc_team_work(struct conc_team *team, uint32_t seat, int64_t deadline_ns);

/* No further call begins. */
void conc_team_stop(struct conc_team *team);

/* By the host: nobody enters any more.  How many are inside; then the last of
 * them wakes the parker of the host. */
uint32_t conc_team_close(struct conc_team *team);
uint32_t conc_team_inside(const struct conc_team *team);
struct conc_parker *conc_team_host(struct conc_team *team);

#endif
