#include "platform/procid.h"

#include "platform/status.h"
#include "platform/textfile.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STAT_START_TIME 22 /* the field's number in /proc/PID/stat */

int
conc_pidfd_open(pid_t pid, int *fd)
{
    *fd = (int)syscall(SYS_pidfd_open, pid, 0); /* always close-on-exec */
    return *fd >= 0 ? CONC_OK : CONC_SYSTEM;
}

bool
conc_pidfd_ended(int fd)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&watch, 1, 0);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 && (watch.revents & (POLLIN | POLLHUP)) != 0;
}

int
conc_pidfd_signal(int fd, int signal_number)
{
    long result = syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0);
    return result == 0 ? CONC_OK : CONC_SYSTEM;
}

uint64_t
conc_process_start_time(pid_t pid)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!conc_textfile_read(path, text, sizeof text)) {
        return 0;
    }
    /* Field 2 is the name in brackets and may contain anything, brackets
     * too; the last one is its end. */
    char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < STAT_START_TIME; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}
