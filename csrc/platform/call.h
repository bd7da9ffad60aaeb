/* Call a C function whose parameters are known only at run time.
 *
 * Where the calling convention passes the first integers and pointers in one
 * set of registers and the first floating-point numbers in another, in order
 * and whatever comes in between (System V on x86-64, AAPCS64), a function of
 * up to so many of each can be called as one that takes them all: it does not
 * look at the registers that it has no parameters for. */
#ifndef CONC_PLATFORM_CALL_H
#define CONC_PLATFORM_CALL_H

#include <stdint.h>

#if defined(__linux__) && defined(__LP64__) &&                                \
    (defined(__x86_64__) || defined(__aarch64__))
#    define CONC_HAS_CALL 1
#else
#    define CONC_HAS_CALL 0
#endif

#define CONC_CALL_INTEGERS 6
#define CONC_CALL_REALS 8

enum conc_call_result {
    CONC_CALL_VOID,
    CONC_CALL_INTEGER, /* or a pointer; the bits beyond its size are garbage */
    CONC_CALL_DOUBLE,
    CONC_CALL_FLOAT,
};

struct conc_call {
    void (*function)(void);
    enum conc_call_result kind;
    /* Integers are extended to 64 bits, by sign or by zeros. */
    uint64_t integers[CONC_CALL_INTEGERS];
    /* The bits of a double, or of a float in the lower half. */
    uint64_t reals[CONC_CALL_REALS];
    uint64_t result; /* bits, as those */
};

/* Call it, and set the result. */
void conc_call(struct conc_call *call);

#endif
