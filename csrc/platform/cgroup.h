/* The control groups that limit this process: its own and all ancestors, in
 * version 2 and in version 1. */
#ifndef CONC_PLATFORM_CGROUP_H
#define CONC_PLATFORM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called for one directory of a hierarchy of that version (1 or 2). */
typedef void (*conc_cgroup_visit)(int version, const char *directory,
                                  void *context);

/* Visit the process's group in the hierarchies that can limit `controller`
 * ("memory", "cpu"), then each ancestor up to the mount point.  Some of the
 * directories may not exist.  Allocates nothing and keeps nothing: a process
 * can be moved at any time. */
void conc_cgroup_walk(const char *controller, conc_cgroup_visit visit,
                      void *context);

/* Read a small file whole: directory/name, as a string of at most size - 1
 * bytes.  False if it cannot be read. */
bool conc_cgroup_read(const char *directory, const char *name, char *text,
                      size_t size);

/* The number that directory/name consists of; false if there is none (also
 * for "max" and "-1", which mean no limit). */
bool conc_cgroup_read_number(const char *directory, const char *name,
                             uint64_t *number);

#endif
