/* Small text files of the kernel, as in /proc and /sys. */
#ifndef CONC_PLATFORM_TEXTFILE_H
#define CONC_PLATFORM_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>

/* Read a file into `text` as a string, at most its first size - 1 bytes.
 * False if it cannot be read; `text` is then not valid. */
bool conc_textfile_read(const char *path, char *text, size_t size);

#endif
