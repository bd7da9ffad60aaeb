/* Where the hierarchies are mounted is taken from custom, not from
 * /proc/self/mountinfo, which is long and would be read at every commit of
 * memory.  In a container without a cgroup namespace /proc/self/cgroup shows
 * the host's path while the mount begins at the container's own group: then
 * the path's directories do not exist, and the walk's last step, the mount
 * point itself, is the group that counts. */
#include "platform/cgroup.h"

#include "platform/textfile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_MOUNT "/sys/fs/cgroup"

bool
conc_cgroup_read(const char *directory, const char *name, char *text,
                 size_t size)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length > 0 && (size_t)length < sizeof path &&
           conc_textfile_read(path, text, size);
}

bool
conc_cgroup_read_number(const char *directory, const char *name,
                        uint64_t *number)
{
    char text[32];
    if (!conc_cgroup_read(directory, name, text, sizeof text) ||
        text[0] < '0' || text[0] > '9') {
        return false;
    }
    *number = strtoull(text, NULL, 10);
    return true;
}

/* Whether a list such as "cpu,cpuacct" contains the word. */
static bool
list_contains(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 &&
            (at[length] == '\0' || at[length] == ',')) {
            return true;
        }
    }
    return false;
}

/* Visit mount + group, and up to the mount. */
static void
walk_up(int version, const char *mount, const char *group,
        conc_cgroup_visit visit, void *context)
{
    char directory[PATH_MAX];
    size_t least = strlen(mount);
    int length = snprintf(directory, sizeof directory, "%s%s", mount, group);
    /* A group outside of our cgroup namespace is shown as "/..": nothing of
     * it can be reached through the mount. */
    if (length < 0 || (size_t)length >= sizeof directory ||
        strstr(group, "/..") != NULL) {
        snprintf(directory, sizeof directory, "%s", mount);
    }
    for (;;) {
        size_t end = strlen(directory);
        if (end > least && directory[end - 1] == '/') {
            directory[end - 1] = '\0';
            continue;
        }
        visit(version, directory, context);
        if (end <= least) {
            return;
        }
        *strrchr(directory, '/') = '\0';
    }
}

void
conc_cgroup_walk(const char *controller, conc_cgroup_visit visit,
                 void *context)
{
    char groups[8192];
    char mount[64];
    if (!conc_textfile_read("/proc/self/cgroup", groups, sizeof groups)) {
        return;
    }
    /* Lines are ID:CONTROLLERS:PATH; version 2 has the ID 0 and no list. */
    char *rest = groups;
    char *end;
    while ((end = strchr(rest, '\n')) != NULL) {
        *end = '\0';
        char *list = strchr(rest, ':');
        char *group = list != NULL ? strchr(list + 1, ':') : NULL;
        rest = end + 1;
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        list++;
        if (*list == '\0') {
            bool unified =
                access(CGROUP_MOUNT "/cgroup.controllers", F_OK) == 0;
            walk_up(2, unified ? CGROUP_MOUNT : CGROUP_MOUNT "/unified", group,
                    visit, context);
        }
        else if (list_contains(list, controller)) {
            snprintf(mount, sizeof mount, CGROUP_MOUNT "/%s", controller);
            walk_up(1, mount, group, visit, context);
        }
    }
}
