#include "platform/cgroup.h"

#include "platform/cpus.h"
#include "platform/memfd.h"

#include "conc_test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct walk {
    int visits;
    char last[4096];
};

static void
visit(int version, const char *directory, void *context)
{
    struct walk *walk = context;
    CHECK(version == 1 || version == 2);
    CHECK(strncmp(directory, "/sys/fs/cgroup", 14) == 0);
    size_t length = strlen(directory);
    CHECK(directory[length - 1] != '/');
    /* Up to the mount point each visited directory is the parent of the one
     * before. */
    if (walk->visits > 0 && strlen(walk->last) > length) {
        CHECK(strncmp(walk->last, directory, length) == 0);
        CHECK(strchr(walk->last + length + 1, '/') == NULL);
    }
    REQUIRE(length < sizeof walk->last);
    memcpy(walk->last, directory, length + 1);
    walk->visits++;
}

static void
test_walk_climbs_to_the_mount_point(void)
{
    static const char *const controllers[] = {"memory", "cpu"};
    for (int i = 0; i < 2; i++) {
        struct walk walk = {0};
        conc_cgroup_walk(controllers[i], visit, &walk);
        printf("%s: %d directories, the last is %s\n", controllers[i],
               walk.visits, walk.last);
    }
}

static void
count(int version, const char *directory, void *context)
{
    (void)directory;
    int *of_version = context;
    of_version[version]++;
}

static void
test_unknown_controller_has_no_first_version(void)
{
    int of_version[3] = {0};
    conc_cgroup_walk("mem", count, of_version);
    CHECK(of_version[1] == 0);
}

static void
write_file(const char *directory, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void
test_numbers_are_read_and_words_are_not(void)
{
    char directory[] = "/tmp/conc_cgroup_XXXXXX";
    REQUIRE(mkdtemp(directory) != NULL);
    uint64_t number = 1;
    char text[4];
    write_file(directory, "number", "123456789012\n");
    write_file(directory, "word", "max\n");
    write_file(directory, "negative", "-1\n");
    CHECK(conc_cgroup_read_number(directory, "number", &number));
    CHECK(number == UINT64_C(123456789012));
    CHECK(!conc_cgroup_read_number(directory, "word", &number));
    CHECK(!conc_cgroup_read_number(directory, "negative", &number));
    CHECK(!conc_cgroup_read_number(directory, "absent", &number));
    CHECK(conc_cgroup_read(directory, "number", text, sizeof text));
    CHECK(strcmp(text, "123") == 0);
    static const char *const names[] = {"number", "word", "negative"};
    for (int i = 0; i < 3; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        CHECK(remove(path) == 0);
    }
    CHECK(rmdir(directory) == 0);
}

/* In a mount namespace of our own an empty file system takes the place of
 * /sys/fs/cgroup.  False where that is not allowed. */
static bool
hide_cgroups(void)
{
    return (unshare(CLONE_NEWNS) == 0 ||
            unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("conc_test", "/sys/fs/cgroup", "tmpfs", 0, NULL) == 0;
}

static void
check_version_2(void)
{
    static const char *const mount_point = "/sys/fs/cgroup";
    const char *limit;
    write_file(mount_point, "cgroup.controllers", "cpu memory\n");
    write_file(mount_point, "memory.max", "max\n");
    write_file(mount_point, "memory.current", "1000000\n");
    write_file(mount_point, "cpu.max", "max 100000\n");
    conc_memory_available(&limit);
    CHECK(strcmp(limit, "memory.max") != 0);
    CHECK(conc_cpus_usable() >= 1);

    write_file(mount_point, "memory.max", "3000000\n");
    write_file(mount_point, "cpu.max", "50000 100000\n");
    CHECK(conc_memory_available(&limit) == 2000000);
    CHECK(strcmp(limit, "memory.max") == 0);
    CHECK(conc_cpus_usable() == 1);

    /* The cache of files does not count as used. */
    write_file(mount_point, "memory.stat",
               "anon 5\ninactive_file 200000\nactive_file 100000\n");
    CHECK(conc_memory_available(&limit) == 2300000);
    write_file(mount_point, "memory.current", "4000000\n");
    CHECK(conc_memory_available(&limit) == 0);
}

static void
check_version_1(void)
{
    static const char *const memory = "/sys/fs/cgroup/memory";
    static const char *const cpu = "/sys/fs/cgroup/cpu";
    const char *limit;
    REQUIRE(mkdir(memory, 0700) == 0 && mkdir(cpu, 0700) == 0);
    write_file(memory, "memory.limit_in_bytes", "9223372036854771712\n");
    write_file(memory, "memory.usage_in_bytes", "1000000\n");
    write_file(cpu, "cpu.cfs_quota_us", "-1\n");
    write_file(cpu, "cpu.cfs_period_us", "100000\n");
    conc_memory_available(&limit);
    CHECK(strcmp(limit, "memory.limit_in_bytes") != 0);
    CHECK(conc_cpus_usable() >= 1);

    write_file(memory, "memory.limit_in_bytes", "3000000\n");
    write_file(memory, "memory.stat",
               "inactive_file 7\ntotal_inactive_file 200000\n");
    write_file(cpu, "cpu.cfs_quota_us", "90000\n");
    CHECK(conc_memory_available(&limit) == 2200000);
    CHECK(strcmp(limit, "memory.limit_in_bytes") == 0);
    CHECK(conc_cpus_usable() == 1);
}

static void
check_limits(int version, void (*check)(void))
{
    int of_version[3] = {0};
    conc_cgroup_walk("memory", count, of_version);
    if (of_version[version] == 0) {
        printf("skipped: no memory group of version %d\n", version);
        return;
    }
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        if (hide_cgroups()) {
            check();
        }
        else {
            printf("skipped: no mount namespace of our own\n");
        }
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

static void
test_limits_of_version_2_count(void)
{
    check_limits(2, check_version_2);
}

static void
test_limits_of_version_1_count(void)
{
    check_limits(1, check_version_1);
}

CONC_TEST_MAIN(CONC_TEST(test_walk_climbs_to_the_mount_point),
               CONC_TEST(test_unknown_controller_has_no_first_version),
               CONC_TEST(test_numbers_are_read_and_words_are_not),
               CONC_TEST(test_limits_of_version_2_count),
               CONC_TEST(test_limits_of_version_1_count))
