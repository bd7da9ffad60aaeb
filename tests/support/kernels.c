/* C functions for tests of pyconc.native. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double
add(double a, double b)
{
    return a + b;
}
float
halve(float a)
{
    return a / 2;
}
int8_t
narrow(int8_t a)
{
    return (int8_t)(a + 1);
}
uint8_t
wrap(uint8_t a)
{
    return (uint8_t)(a + 1);
}
int32_t
subtract(int32_t a, int32_t b)
{
    return a - b;
}
uint64_t
largest(void)
{
    return UINT64_MAX;
}
_Bool
flip(_Bool a)
{
    return !a;
}
double
mixed(int32_t a, double b, float c, int64_t d, uint8_t e, double f)
{
    return a + b + c + d + e + f;
}
int64_t
many(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f,
     int64_t g, int64_t h)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
static int64_t noted;
void
note(int64_t a)
{
    noted = a;
}
int64_t
get_noted(void)
{
    return noted;
}
size_t
length(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}
const char *
hello(void)
{
    return "hello";
}
double *
null(void)
{
    return NULL;
}
double
total(const double *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += x[i];
    return s;
}
double *
same(double *x)
{
    return x;
}
unsigned long
thread(void)
{
    return (unsigned long)pthread_self();
}
int64_t
nap(int64_t us)
{
    usleep((useconds_t)us);
    return us;
}

/* Sleeps until *gate is not 0, having noted that it runs. */
int
wait_at(int *gate)
{
    __atomic_add_fetch(&gate[1], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&gate[0], __ATOMIC_SEQ_CST) == 0)
        usleep(200);
    __atomic_sub_fetch(&gate[1], 1, __ATOMIC_SEQ_CST);
    return gate[0];
}

double
square(double x)
{
    return x * x;
}
int64_t
weigh(int64_t x, double w)
{
    return (int64_t)(x * w);
}
float
scale32(float x, uint16_t by)
{
    return x * by;
}
uint8_t
invert(uint8_t x)
{
    return (uint8_t)~x;
}

void
twice(int64_t begin, int64_t end, void *context)
{
    double *x = context;
    for (int64_t i = begin; i < end; i++)
        x[i] = 2 * x[i] + 1;
}
void
count(int64_t begin, int64_t end, void *context)
{
    uint8_t *seen = context;
    for (int64_t i = begin; i < end; i++)
        __atomic_add_fetch(&seen[i], 1, __ATOMIC_RELAXED);
}
void
tally(int64_t begin, int64_t end, void *context)
{
    int64_t *sums = context;
    __atomic_add_fetch(&sums[0], end - begin, __ATOMIC_RELAXED);
    __atomic_add_fetch(&sums[1], 1, __ATOMIC_RELAXED);
    int64_t longest = __atomic_load_n(&sums[2], __ATOMIC_RELAXED);
    while (end - begin > longest &&
           !__atomic_compare_exchange_n(&sums[2], &longest, end - begin, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
void
slow(int64_t begin, int64_t end, void *context)
{
    int64_t *sums = context;
    for (int64_t i = begin; i < end; i++) {
        usleep(1000);
        __atomic_add_fetch(&sums[0], 1, __ATOMIC_SEQ_CST);
    }
}

/* A thread waits in its first part until another thread has come, or long. */
struct meeting {
    int64_t threads;
    unsigned long first;
};
void
meet(int64_t begin, int64_t end, void *context)
{
    struct meeting *m = context;
    unsigned long me = (unsigned long)pthread_self(), none = 0;
    (void)begin;
    (void)end;
    if (__atomic_compare_exchange_n(&m->first, &none, me, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        int64_t nobody = 0; /* else the other was quicker */
        __atomic_compare_exchange_n(&m->threads, &nobody, 1, 0,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        for (int i = 0;
             i < 30000 && __atomic_load_n(&m->threads, __ATOMIC_SEQ_CST) < 2;
             i++)
            usleep(1000);
    }
    else if (none != me) {
        __atomic_store_n(&m->threads, 2, __ATOMIC_SEQ_CST);
    }
}
