#include "platform/memfd.h"

#include "platform/cgroup.h"
#include "platform/check.h"
#include "platform/status.h"
#include "platform/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#    define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

#define MEMFD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int
conc_memfd_create(const char *name, uint64_t size_bytes, int *fd)
{
    *fd = -1;
    /* ftruncate beyond the limit raises SIGXFSZ, which kills a process that
     * does not ignore it. */
    struct rlimit limit;
    if (size_bytes > INT64_MAX ||
        (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
         limit.rlim_cur != RLIM_INFINITY && size_bytes > limit.rlim_cur)) {
        errno = EFBIG;
        return CONC_SYSTEM;
    }
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int made = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (made < 0 && errno == EINVAL) {
        made = memfd_create(name, flags);
    }
    if (made < 0) {
        return CONC_SYSTEM;
    }
    int result;
    do {
        result = ftruncate(made, (off_t)size_bytes);
    } while (result < 0 && errno == EINTR);
    CONC_CRASH_POINT("memfd.made");
    if (result < 0 || fcntl(made, F_ADD_SEALS, MEMFD_SEALS) < 0) {
        int error = errno;
        close(made);
        errno = error;
        return CONC_SYSTEM;
    }
    *fd = made;
    return CONC_OK;
}

int
conc_memfd_check(int fd, uint64_t *size_bytes)
{
    *size_bytes = 0;
    struct stat status;
    if (fstat(fd, &status) < 0) {
        return CONC_SYSTEM;
    }
    int seals = fcntl(fd, F_GET_SEALS); /* -1: a file that has none */
    if (seals < 0 || (seals & MEMFD_SEALS) != MEMFD_SEALS ||
        !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        status.st_size < 0) {
        return CONC_MISMATCH;
    }
    *size_bytes = (uint64_t)status.st_size;
    return CONC_OK;
}

/* Version 1 says "no limit" by a number: the largest multiple of the page. */
#define NO_LIMIT_BYTES (UINT64_C(1) << 62)

struct available {
    uint64_t bytes;
    const char *limit;
};

/* The value of "key NUMBER" at the start of a line, 0 if there is none. */
static uint64_t
find_value(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            return strtoull(line + length, NULL, 10);
        }
    }
    return 0;
}

static void
visit_memory(int version, const char *directory, void *context)
{
    struct available *best = context;
    bool v2 = version == 2;
    const char *name = v2 ? "memory.max" : "memory.limit_in_bytes";
    uint64_t limit;
    uint64_t used;
    if (!conc_cgroup_read_number(directory, name, &limit) ||
        limit >= NO_LIMIT_BYTES ||
        !conc_cgroup_read_number(
            directory, v2 ? "memory.current" : "memory.usage_in_bytes",
            &used)) {
        return;
    }
    uint64_t left = limit > used ? limit - used : 0;
    if (left >= best->bytes) {
        return;
    }
    /* Cached file pages count as used but are given up on demand: without
     * them a container that has read many files would look full.  This
     * file is dear, so it is read only where the group could decide. */
    char text[8192];
    if (conc_cgroup_read(directory, "memory.stat", text, sizeof text)) {
        uint64_t cached = v2 ? find_value(text, "active_file") +
                                   find_value(text, "inactive_file")
                             : find_value(text, "total_active_file") +
                                   find_value(text, "total_inactive_file");
        used -= cached < used ? cached : used;
        left = limit > used ? limit - used : 0;
    }
    if (left < best->bytes) {
        best->bytes = left;
        best->limit = name;
    }
}

uint64_t
conc_memory_available(const char **limit)
{
    struct available best = {.bytes = UINT64_MAX, .limit = "unknown"};
    char text[512]; /* MemAvailable is the third line */
    if (conc_textfile_read("/proc/meminfo", text, sizeof text)) {
        uint64_t kib = find_value(text, "MemAvailable:");
        if (kib != 0) {
            best.bytes = kib * 1024;
            best.limit = "MemAvailable";
        }
    }
    conc_cgroup_walk("memory", visit_memory, &best);
    if (limit != NULL) {
        *limit = best.limit;
    }
    return best.bytes;
}
