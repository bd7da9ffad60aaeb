#include "platform/memfd.h"

#include "platform/status.h"

#include "conc_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void
test_new_file_is_sparse_sealed_and_private(void)
{
    uint64_t size = UINT64_C(1) << 33;
    int fd;
    REQUIRE(conc_memfd_create("test", size, &fd) == CONC_OK);
    struct stat status;
    REQUIRE(fstat(fd, &status) == 0);
    CHECK((uint64_t)status.st_size == size);
    CHECK(status.st_blocks == 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(ftruncate(fd, 4096) < 0 && errno == EPERM);
    CHECK(ftruncate(fd, (off_t)size * 2) < 0 && errno == EPERM);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
    uint64_t seen;
    CHECK(conc_memfd_check(fd, &seen) == CONC_OK);
    CHECK(seen == size);
    close(fd);
}

static void
test_check_refuses_what_could_be_truncated(void)
{
    uint64_t size;
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    REQUIRE(fd >= 0);
    CHECK(conc_memfd_check(fd, &size) == CONC_MISMATCH);
    REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    CHECK(conc_memfd_check(fd, &size) == CONC_MISMATCH);
    CHECK(size == 0);
    close(fd);
}

static void
test_check_refuses_other_files(void)
{
    uint64_t size;
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(conc_memfd_check(ends[0], &size) == CONC_MISMATCH);
    close(ends[0]);
    close(ends[1]);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK(conc_memfd_check(fd, &size) == CONC_MISMATCH);
    close(fd);
    CHECK(conc_memfd_check(-1, &size) == CONC_SYSTEM && errno == EBADF);
}

static void
test_limit_on_file_size_is_an_error_and_no_signal(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        signal(SIGXFSZ, SIG_DFL);
        struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        int fd;
        CHECK(conc_memfd_create("test", 65537, &fd) == CONC_SYSTEM);
        CHECK(errno == EFBIG);
        CHECK(fd == -1);
        CHECK(conc_memfd_create("test", 65536, &fd) == CONC_OK);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

static void
test_lack_of_descriptors_is_an_error(void)
{
    pid_t pid = conc_test_fork();
    if (pid == 0) {
        struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
        REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        int fd;
        CHECK(conc_memfd_create("test", 4096, &fd) == CONC_SYSTEM);
        CHECK(errno == EMFILE);
        CHECK(fd == -1);
        conc_test_child_exit();
    }
    CHECK(conc_test_child_passed(pid));
}

static void
test_available_memory_names_its_limit(void)
{
    const char *limit = NULL;
    uint64_t bytes = conc_memory_available(&limit);
    uint64_t machine =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    REQUIRE(limit != NULL);
    printf("%" PRIu64 " MiB available by %s\n", bytes >> 20, limit);
    CHECK(bytes > 0 && bytes <= machine);
    CHECK(strcmp(limit, "MemAvailable") == 0 ||
          strcmp(limit, "memory.max") == 0 ||
          strcmp(limit, "memory.limit_in_bytes") == 0);
    CHECK(conc_memory_available(NULL) > 0);
}

CONC_TEST_MAIN(CONC_TEST(test_new_file_is_sparse_sealed_and_private),
               CONC_TEST(test_check_refuses_what_could_be_truncated),
               CONC_TEST(test_check_refuses_other_files),
               CONC_TEST(test_limit_on_file_size_is_an_error_and_no_signal),
               CONC_TEST(test_lack_of_descriptors_is_an_error),
               CONC_TEST(test_available_memory_names_its_limit))
