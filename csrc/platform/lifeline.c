/* A pidfd would need somebody who polls it, and PR_SET_PDEATHSIG follows the
 * thread that forked, which may end long before its process does.  Settings
 * of signal-driven I/O belong to the open file description, which forked
 * processes share: hence the way through /proc, the only one to a
 * description of one's own on an anonymous pipe. */
#include "platform/lifeline.h"

#include "platform/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int
conc_lifeline_open(int *read_fd, int *write_fd)
{
    int ends[2];
    *read_fd = -1;
    *write_fd = -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return CONC_SYSTEM;
    }
    *read_fd = ends[0];
    *write_fd = ends[1];
    return CONC_OK;
}

int
conc_lifeline_arm(int read_fd, int *armed_fd)
{
    char path[64];
    *armed_fd = -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", read_fd);
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return CONC_SYSTEM;
    }
    if (fcntl(fd, F_SETOWN, getpid()) < 0 ||
        fcntl(fd, F_SETSIG, SIGKILL) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return CONC_SYSTEM;
    }
    /* An end before the arming sent no signal. */
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&watch, 1, 0);
    } while (ready < 0 && errno == EINTR);
    if (ready > 0 && (watch.revents & POLLHUP) != 0) {
        kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    }
    *armed_fd = fd;
    return CONC_OK;
}
