/* Assertions, invariants and crash points.
 *
 * CONC_ASSERT states what cannot be otherwise; it costs nothing in a release
 * build.  What another process may have written is never asserted but
 * checked, with CONC_CORRUPT as the answer.
 *
 * CONC_CRASH_POINT("layer.step") marks a step at which a process may die.
 * Builds with CONC_DEBUG compile it in: the N-th pass through the point that
 * PYCONC_CRASH=name:N names sends SIGKILL to the process itself, and
 * name:N:stop sends SIGSTOP.  PYCONC_CRASH_ROLE=parent|worker|any restricts
 * it to processes that called conc_crash_role with that word.
 * PYCONC_CRASH_ONCE=path leaves it to the one process that can make that
 * file; the others go on.  PYCONC_CRASH_LOG=path names a file to which each
 * process adds its pid, a line, before the signal. */
#ifndef CONC_PLATFORM_CHECK_H
#define CONC_PLATFORM_CHECK_H

#include <assert.h>

#define CONC_ASSERT(condition) assert(condition)

#ifdef CONC_DEBUG
void conc_crash_point(const char *name);
void conc_crash_role(const char *role); /* role: a literal, kept */
#    define CONC_CRASH_POINT(name) conc_crash_point(name)
#    define CONC_CRASH_ROLE(role) conc_crash_role(role)
#else
#    define CONC_CRASH_POINT(name) ((void)0)
#    define CONC_CRASH_ROLE(role) ((void)0)
#endif

#endif
