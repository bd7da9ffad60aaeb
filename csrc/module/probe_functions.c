/* What benchmarks print beside their figures. */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "module/module.h"
#include "platform/atomics.h"
#include "platform/clock.h"
#include "platform/relax.h"

struct rally {
    _Alignas(CONC_CACHELINE) _Atomic uint32_t ball;
};

static void
pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

/* Each side waits for its parity and adds one; the children never outlive
 * the parent's wait. */
static void
play(struct rally *rally, uint32_t side, int64_t end_ns)
{
    while (conc_clock_now_ns() < end_ns) {
        for (int i = 0; i < 1000; i++) {
            uint32_t ball = conc_load_acq(&rally->ball); /* B2 */
            if (ball % 2 == side) {
                conc_store_rel(&rally->ball, ball + 1); /* B1 */
            }
            else {
                conc_cpu_relax();
            }
        }
    }
    _exit(0);
}

/* The first two CPUs that this process may use: 0, or -1 if there is one. */
static int
two_cpus(int cpus[2])
{
    cpu_set_t set;
    int found = 0;

    if (sched_getaffinity(0, sizeof(set), &set) < 0) {
        return -1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set)) {
            cpus[found++] = cpu;
        }
    }
    return found == 2 ? 0 : -1;
}

/* B1 -> B2: nothing but the ball itself; how long it takes is the point. */
static PyObject *
spin_ping_pong(PyObject *Py_UNUSED(module), PyObject *argument)
{
    double seconds = PyFloat_AsDouble(argument);
    int cpus[2];

    if (seconds == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (!(seconds > 0 && seconds <= 60)) {
        PyErr_SetString(PyExc_ValueError, "seconds must be in (0, 60]");
        return NULL;
    }
    if (two_cpus(cpus) < 0) {
        return PyFloat_FromDouble(Py_NAN);
    }
    struct rally *rally = mmap(NULL, sizeof(*rally), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rally == MAP_FAILED) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    int64_t start_ns = conc_clock_now_ns();
    int64_t end_ns = start_ns + (int64_t)(seconds * 1e9);
    pid_t players[2] = {-1, -1};
    int failed = 0;
    for (uint32_t side = 0; side < 2 && !failed; side++) {
        players[side] = fork();
        if (players[side] == 0) {
            pin(cpus[side]);
            play(rally, side, end_ns);
        }
        failed = players[side] < 0;
    }
    Py_BEGIN_ALLOW_THREADS
    for (int side = 0; side < 2; side++) {
        if (players[side] > 0) {
            if (failed) {
                (void)kill(players[side], SIGKILL);
            }
            (void)waitpid(players[side], NULL, 0);
        }
    }
    Py_END_ALLOW_THREADS
    uint32_t hits = conc_load_rlx(&rally->ball); /* both have ended */
    (void)munmap(rally, sizeof(*rally));
    if (failed) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyFloat_FromDouble(hits == 0 ? Py_NAN : seconds * 1e9 / hits);
}

PyMethodDef pyconc_probe_methods[] = {
    {"spin_ping_pong", spin_ping_pong, METH_O,
     PyDoc_STR("spin_ping_pong($module, seconds, /)\n--\n\n"
               "Return how many nanoseconds a cache line takes from one CPU\n"
               "to another, NaN on one CPU.  For benchmarks.")},
    {NULL, NULL, 0, NULL},
};
