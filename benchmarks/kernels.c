/* What bench_native.py calls; compiled with -fopenmp. */
#include <stdint.h>

double
add(double a, double b)
{
    return a + b;
}

void
nothing(int64_t begin, int64_t end, void *context)
{
    (void)begin;
    (void)end;
    (void)context;
}

static double
element(int64_t i)
{
    double x = (double)i;

    for (int k = 0; k < 8; k++) {
        x = x * 0.999 + 1;
    }
    return x;
}

/* Compute-bound: the context has a place for each of 1024 sums. */
void
compute(int64_t begin, int64_t end, void *context)
{
    double sum = 0;

    for (int64_t i = begin; i < end; i++) {
        sum += element(i);
    }
    ((double *)context)[begin % 1024] = sum;
}

double
compute_openmp(int64_t n, int threads)
{
    double sum = 0;

#pragma omp parallel for reduction(+ : sum) num_threads(threads)
    for (int64_t i = 0; i < n; i++) {
        sum += element(i);
    }
    return sum;
}

/* An element costs as much as its index says. */
void
uneven(int64_t begin, int64_t end, void *context)
{
    double *out = context;

    for (int64_t i = begin; i < end; i++) {
        double x = 0;
        for (int64_t k = 0; k < i; k++) {
            x = x * 0.999 + 1;
        }
        out[i] = x;
    }
}
