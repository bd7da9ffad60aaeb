/* Crash points.  The environment is read at every pass, so that a test may
 * name a point at any moment; this costs nothing where it matters, since
 * release builds leave all of this out. */
#include "platform/check.h"

#ifdef CONC_DEBUG

#    include "platform/atomics.h"

#    include <fcntl.h>
#    include <signal.h>
#    include <stdint.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <unistd.h>

static const char *_Atomic crash_role; /* borrowed literal; NULL: none yet */

/* High half: the pid that counted; low half: its passes.  One word, so that
 * a forked child starts from zero whatever its parent's threads did. */
static _Atomic uint64_t crash_passes;

void
conc_crash_role(const char *role)
{
    /* Relaxed: the literal it points to was there before the process. */
    conc_store_rlx(&crash_role, role);
}

static uint32_t
count_pass(void)
{
    uint64_t self = (uint64_t)getpid() << 32;
    uint64_t seen = conc_load_rlx(&crash_passes);
    uint64_t next;
    do {
        next = (seen >> 32 << 32) == self ? seen + 1 : self + 1;
    } while (!conc_cas_rlx(&crash_passes, &seen, next));
    return (uint32_t)next;
}

static int
role_matches(void)
{
    const char *wanted = getenv("PYCONC_CRASH_ROLE");
    if (wanted == NULL || strcmp(wanted, "any") == 0) {
        return 1;
    }
    const char *role = conc_load_rlx(&crash_role);
    return role != NULL && strcmp(wanted, role) == 0;
}

/* Many processes come to the point; without a path each is the one. */
static int
is_the_one(void)
{
    const char *path = getenv("PYCONC_CRASH_ONCE");
    if (path == NULL) {
        return 1;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return 0;
    }
    close(fd);
    return 1;
}

static void
leave_pid(void)
{
    const char *path = getenv("PYCONC_CRASH_LOG");
    if (path == NULL) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        dprintf(fd, "%ld\n", (long)getpid());
        close(fd);
    }
}

void
conc_crash_point(const char *name)
{
    const char *plan = getenv("PYCONC_CRASH");
    size_t length = strlen(name);
    if (plan == NULL || strncmp(plan, name, length) != 0 ||
        plan[length] != ':' || !role_matches()) {
        return;
    }
    char *rest;
    unsigned long wanted = strtoul(plan + length + 1, &rest, 10);
    if (count_pass() != wanted || !is_the_one()) {
        return;
    }
    leave_pid();
    if (strcmp(rest, ":stop") == 0) {
        kill(getpid(), SIGSTOP);
        return;
    }
    kill(getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

#else

typedef int conc_check_is_empty; /* ISO C wants a declaration per file */

#endif
