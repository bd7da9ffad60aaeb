#include "platform/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool
conc_textfile_read(const char *path, char *text, size_t size)
{
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return false;
    }
    /* /proc may hand over a file in pieces. */
    size_t length = 0;
    ssize_t got = 1;
    while (length < size - 1 && got != 0) {
        got = read(fd, text + length, size - 1 - length);
        if (got > 0) {
            length += (size_t)got;
        }
        else if (got < 0 && errno != EINTR) {
            break;
        }
    }
    close(fd);
    text[length] = '\0';
    return got >= 0;
}
