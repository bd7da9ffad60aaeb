#include "platform/call.h"

#include "conc_test.h"

static uint64_t
bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof(word));
    return word;
}

static uint64_t
bits_of_float(float value)
{
    uint64_t word = 0;
    memcpy(&word, &value, sizeof(value));
    return word;
}

static int64_t last;

static void
none(void)
{
    last = 7;
}

static int8_t
narrow(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f)
{
    return (int8_t)(a + b + c + d + e + (int32_t)f);
}

static uint64_t
wide(uint64_t a, int64_t b, const char *c)
{
    return a + (uint64_t)b + (uint64_t)*c;
}

static double
mixed(int32_t a, double b, float c, int64_t d, double e, float f, double g,
      double h, double i, double j)
{
    return a + b + (double)c + (double)d + e + (double)f + g + h + i + j;
}

static float
halves(float a, double b)
{
    return a / 2 + (float)b;
}

static void
test_calls_of_every_kind(void)
{
    if (!CONC_HAS_CALL) {
        return;
    }
    struct conc_call call = {.function = none, .kind = CONC_CALL_VOID};
    conc_call(&call);
    CHECK(last == 7);

    call = (struct conc_call){
        .function = (void (*)(void))narrow,
        .kind = CONC_CALL_INTEGER,
        .integers = {(uint64_t)-1, 200, (uint64_t)-300, 400, (uint64_t)-500,
                     100},
    };
    conc_call(&call);
    CHECK((int8_t)call.result == (int8_t)(-1 + 200 - 300 + 400 - 500 + 100));

    const char text[] = "A";
    call = (struct conc_call){
        .function = (void (*)(void))wide,
        .kind = CONC_CALL_INTEGER,
        .integers = {UINT64_MAX, (uint64_t)-2, (uint64_t)(uintptr_t)text},
    };
    conc_call(&call);
    CHECK(call.result == UINT64_MAX - 2 + 'A');

    call = (struct conc_call){
        .function = (void (*)(void))mixed,
        .kind = CONC_CALL_DOUBLE,
        .integers = {(uint64_t)-3, 1000},
        .reals = {bits(0.5), bits_of_float(0.25f), bits(2), bits_of_float(4),
                  bits(8), bits(16), bits(32), bits(64)},
    };
    conc_call(&call);
    CHECK(call.result == bits(-3 + 1000 + 0.75 + 2 + 4 + 8 + 16 + 32 + 64));

    call = (struct conc_call){
        .function = (void (*)(void))halves,
        .kind = CONC_CALL_FLOAT,
        .reals = {bits_of_float(3), bits(0.125)},
    };
    conc_call(&call);
    CHECK(call.result == bits_of_float(1.625f));
}

CONC_TEST_MAIN(CONC_TEST(test_calls_of_every_kind))
