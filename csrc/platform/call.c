/* See call.h. */
#include "platform/call.h"

#include <string.h>

#if CONC_HAS_CALL

#    define INTEGERS uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t
#    define REALS                                                             \
        double, double, double, double, double, double, double, double

typedef uint64_t (*integer_function)(INTEGERS, REALS);
typedef double (*double_function)(INTEGERS, REALS);
typedef float (*float_function)(INTEGERS, REALS);

#    define CALL(type)                                                        \
        ((type)call->function)(i[0], i[1], i[2], i[3], i[4], i[5], r[0],      \
                               r[1], r[2], r[3], r[4], r[5], r[6], r[7])

void
conc_call(struct conc_call *call)
{
    const uint64_t *i = call->integers;
    double r[CONC_CALL_REALS];

    memcpy(r, call->reals, sizeof(r));
    switch (call->kind) {
    case CONC_CALL_VOID:
    case CONC_CALL_INTEGER:
        call->result = CALL(integer_function);
        break;
    case CONC_CALL_DOUBLE: {
        double result = CALL(double_function);
        memcpy(&call->result, &result, sizeof(result));
        break;
    }
    case CONC_CALL_FLOAT: {
        float result = CALL(float_function);
        call->result = 0;
        memcpy(&call->result, &result, sizeof(result));
        break;
    }
    }
}

#else

void
conc_call(struct conc_call *call)
{
    call->result = 0; /* never called: CONC_HAS_CALL says so */
}

#endif
