#include "region/region.h"

#include "platform/memfd.h"
#include "platform/status.h"

#include "conc_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#define MIB (UINT64_C(1) << 20)
#define FINGERPRINT 42

static struct conc_region
make_region(uint64_t size_bytes)
{
    struct conc_region region;
    REQUIRE(conc_region_create(&region, size_bytes, size_bytes, FINGERPRINT) ==
            CONC_OK);
    return region;
}

/* Bytes of the file that are allocated. */
static uint64_t
committed_bytes(const struct conc_region *region)
{
    struct stat status;
    REQUIRE(fstat(region->fd, &status) == 0);
    return (uint64_t)status.st_blocks * 512;
}

static int
descriptors_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void
test_new_region_costs_only_its_header(void)
{
    int before = descriptors_open();
    struct conc_region region = make_region(4096 * MIB);
    CHECK(region.size_bytes == 4096 * MIB);
    CHECK(region.fd >= 0);
    CHECK(committed_bytes(&region) == (uint64_t)sysconf(_SC_PAGESIZE));
    conc_region_close(&region, 0);
    CHECK(descriptors_open() == before);
}

static void
test_close_is_idempotent(void)
{
    int before = descriptors_open();
    struct conc_region region = make_region(MIB);
    conc_region_close(&region, 1);
    CHECK(region.base == NULL && region.fd == -1 && region.size_bytes == 0);
    conc_region_close(&region, 1);
    struct conc_region zeroed = {0};
    conc_region_close(&zeroed, 1); /* must not close descriptor 0 */
    CHECK(descriptors_open() == before);
}

static void
test_commit_allocates_and_release_gives_back(void)
{
    struct conc_region region = make_region(64 * MIB);
    uint64_t header = committed_bytes(&region);
    const char *limit = NULL;
    CHECK(conc_region_commit(&region, 8 * MIB, 5 * MIB, &limit) == CONC_OK);
    CHECK(committed_bytes(&region) == header + 5 * MIB);
    conc_region_populate(&region, 8 * MIB, 5 * MIB);
    memset(region.base + 8 * MIB, 1, 5 * MIB);
    CHECK(committed_bytes(&region) == header + 5 * MIB);
    /* Only whole pages can be given back. */
    conc_region_release(&region, 8 * MIB + 1, 2 * MIB);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    CHECK(committed_bytes(&region) == header + 3 * MIB + page);
    CHECK(region.base[8 * MIB] == 1);
    CHECK(region.base[10 * MIB] == 1);
    CHECK(region.base[8 * MIB + page] == 0);
    conc_region_close(&region, 0);
}

static void
test_commit_keeps_what_was_there(void)
{
    struct conc_region region = make_region(MIB);
    CHECK(conc_region_commit(&region, 8192, 100, NULL) == CONC_OK);
    memset(region.base + 8192, 7, 100);
    CHECK(conc_region_commit(&region, 4096, MIB - 4096, NULL) == CONC_OK);
    CHECK(region.base[8192] == 7 && region.base[8291] == 7);
    conc_region_close(&region, 0);
}

static void
test_range_outside_is_refused(void)
{
    struct conc_region region = make_region(MIB);
    CHECK(conc_region_commit(&region, MIB, 1, NULL) == CONC_SYSTEM);
    CHECK(errno == EINVAL);
    CHECK(conc_region_commit(&region, 4096, UINT64_MAX, NULL) == CONC_SYSTEM);
    CHECK(conc_region_commit(&region, UINT64_MAX, 2, NULL) == CONC_SYSTEM);
    conc_region_release(&region, UINT64_MAX, 4096);
    conc_region_release(&region, 4096, UINT64_MAX);
    CHECK(conc_region_at(&region, 0, 1) == NULL);
    CHECK(conc_region_at(&region, MIB, 0) == region.base + MIB);
    CHECK(conc_region_at(&region, MIB, 1) == NULL);
    CHECK(conc_region_at(&region, MIB + 1, 0) == NULL);
    CHECK(conc_region_at(&region, 64, MIB - 64) == region.base + 64);
    CHECK(conc_region_at(&region, 64, MIB - 63) == NULL);
    CHECK(conc_region_at(&region, 64, UINT64_MAX) == NULL);
    CHECK(conc_region_at(&region, UINT64_MAX, 1) == NULL);
    conc_region_close(&region, 0);
}

static void
test_more_than_the_machine_has_is_refused(void)
{
    uint64_t wanted = UINT64_C(1) << 45; /* 32 TiB */
    struct conc_region region;
    REQUIRE(conc_region_create(&region, wanted, MIB, FINGERPRINT) == CONC_OK);
    const char *name;
    uint64_t available = conc_memory_available(&name);
    if (available < region.size_bytes - MIB) {
        const char *limit = NULL;
        uint64_t header = committed_bytes(&region);
        CHECK(conc_region_commit(&region, MIB, region.size_bytes - MIB,
                                 &limit) == CONC_NOMEM);
        CHECK(errno == ENOMEM);
        CHECK(limit != NULL && strcmp(limit, name) == 0);
        CHECK(committed_bytes(&region) == header);
    }
    conc_region_close(&region, 0);
}

static void
test_two_mappings_show_the_same_memory(void)
{
    struct conc_region region = make_region(MIB);
    struct conc_region other;
    REQUIRE(conc_region_attach(&other, region.fd, FINGERPRINT) == CONC_OK);
    CHECK(other.base != region.base && other.fd != region.fd);
    CHECK(other.size_bytes == region.size_bytes);
    REQUIRE(conc_region_commit(&region, 8192, 64, NULL) == CONC_OK);
    region.base[8192] = 3;
    CHECK(other.base[8192] == 3);
    conc_region_close(&region, 0);
    CHECK(other.base[8192] == 3);
    conc_region_close(&other, 0);
}

static void
test_last_participant_frees_what_a_bystander_maps(void)
{
    struct conc_region region = make_region(MIB);
    struct conc_region bystander;
    REQUIRE(conc_region_attach(&bystander, region.fd, FINGERPRINT) == CONC_OK);
    REQUIRE(conc_region_commit(&region, 4096, MIB - 4096, NULL) == CONC_OK);
    conc_region_close(&region, 1);
    CHECK(committed_bytes(&bystander) == 0);
    conc_region_close(&bystander, 0);
}

static void
test_attach_refuses_strangers(void)
{
    struct conc_region other;
    int before = descriptors_open();
    struct conc_region region = make_region(MIB);
    CHECK(conc_region_attach(&other, region.fd, FINGERPRINT + 1) ==
          CONC_MISMATCH);
    CHECK(other.base == NULL && other.fd == -1);
    CHECK(conc_region_attach(&other, -1, FINGERPRINT) == CONC_SYSTEM);
    /* Each word of the header but the owner's identity counts. */
    for (size_t i = 0; i < 4; i++) {
        region.base[i * 8] ^= 1;
        CHECK(conc_region_attach(&other, region.fd, FINGERPRINT) ==
              CONC_MISMATCH);
        region.base[i * 8] ^= 1;
    }
    CHECK(conc_region_attach(&other, region.fd, FINGERPRINT) == CONC_OK);
    conc_region_close(&other, 0);
    conc_region_close(&region, 0);

    int fd;
    REQUIRE(conc_memfd_create("test", MIB, &fd) == CONC_OK);
    CHECK(conc_region_attach(&other, fd, FINGERPRINT) == CONC_MISMATCH);
    close(fd);
    REQUIRE(conc_memfd_create("test", 16, &fd) == CONC_OK);
    CHECK(conc_region_attach(&other, fd, FINGERPRINT) == CONC_MISMATCH);
    close(fd);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK(conc_region_attach(&other, fd, FINGERPRINT) == CONC_MISMATCH);
    close(fd);
    CHECK(descriptors_open() == before);
}

/* Sanitizers need the address space that this test takes away. */
static void
test_small_address_space_makes_a_small_region(void)
{
    if (CONC_TEST_ASAN || CONC_TEST_TSAN) {
        return;
    }
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        struct rlimit limit = {.rlim_cur = 512 * MIB, .rlim_max = 512 * MIB};
        REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
        int before = descriptors_open();
        struct conc_region region;
        CHECK(conc_region_create(&region, 4096 * MIB, MIB, FINGERPRINT) ==
              CONC_OK);
        CHECK(region.size_bytes == 256 * MIB);
        conc_region_close(&region, 1);
        CHECK(conc_region_create(&region, 4096 * MIB, 1024 * MIB,
                                 FINGERPRINT) == CONC_NOMEM);
        CHECK(errno == ENOMEM);
        CHECK(region.base == NULL && region.fd == -1);
        CHECK(descriptors_open() == before);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

/* With the signal's default action, which is death. */
static void
test_limit_on_file_size_makes_an_inherited_region(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        signal(SIGXFSZ, SIG_DFL);
        struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        struct conc_region region = make_region(16 * MIB);
        CHECK(region.fd == -1);
        CHECK(conc_region_commit(&region, 4096, 8 * MIB, NULL) == CONC_OK);
        conc_region_populate(&region, 4096, 8 * MIB);
        region.base[MIB] = 5;
        pid_t child = conc_test_fork();
        if (child == 0) {
            CHECK(region.base[MIB] == 5);
            region.base[MIB] = 6;
            conc_test_child_exit();
        }
        CHECK(conc_test_child_passed(child));
        CHECK(region.base[MIB] == 6);
        conc_region_release(&region, MIB, MIB);
        CHECK(region.base[MIB] == 0);
        struct conc_region other;
        CHECK(conc_region_attach(&other, region.fd, FINGERPRINT) ==
              CONC_SYSTEM);
        conc_region_close(&region, 1);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

static void
test_lack_of_descriptors_leaves_nothing_behind(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        struct conc_region region = make_region(MIB);
        struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
        REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        struct conc_region other;
        CHECK(conc_region_attach(&other, region.fd, FINGERPRINT) ==
              CONC_SYSTEM);
        CHECK(conc_region_create(&other, MIB, MIB, FINGERPRINT) ==
              CONC_SYSTEM);
        CHECK(errno == EMFILE);
        CHECK(other.base == NULL && other.fd == -1);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

static _Atomic int signals_seen;

static void
count_signal(int signal_number)
{
    (void)signal_number;
    atomic_fetch_add(&signals_seen, 1);
}

/* As under a profiler: a signal every millisecond, and a commit that takes
 * longer than that. */
static void
test_commit_ends_under_a_timer(void)
{
    struct sigaction action = {.sa_handler = count_signal};
    REQUIRE(sigaction(SIGPROF, &action, NULL) == 0);
    struct itimerval timer = {.it_interval = {.tv_usec = 1000},
                              .it_value = {.tv_usec = 1000}};
    REQUIRE(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    atomic_store(&signals_seen, 0);
    while (atomic_load(&signals_seen) < 5) {
        struct conc_region region = make_region(65 * MIB);
        CHECK(conc_region_commit(&region, MIB, 64 * MIB, NULL) == CONC_OK);
        conc_region_close(&region, 1);
    }
    timer = (struct itimerval){0};
    setitimer(ITIMER_PROF, &timer, NULL);
}

CONC_TEST_MAIN(CONC_TEST(test_new_region_costs_only_its_header),
               CONC_TEST(test_close_is_idempotent),
               CONC_TEST(test_commit_allocates_and_release_gives_back),
               CONC_TEST(test_commit_keeps_what_was_there),
               CONC_TEST(test_range_outside_is_refused),
               CONC_TEST(test_more_than_the_machine_has_is_refused),
               CONC_TEST(test_two_mappings_show_the_same_memory),
               CONC_TEST(test_last_participant_frees_what_a_bystander_maps),
               CONC_TEST(test_attach_refuses_strangers),
               CONC_TEST(test_small_address_space_makes_a_small_region),
               CONC_TEST(test_limit_on_file_size_makes_an_inherited_region),
               CONC_TEST(test_lack_of_descriptors_leaves_nothing_behind),
               CONC_TEST(test_commit_ends_under_a_timer))
