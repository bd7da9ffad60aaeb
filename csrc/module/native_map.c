/* See native_map.h: a loop for each type, and for each pair of types. */
#include "module/native_map.h"

#include <stddef.h>

/* X(name, type), or X(..., name, type) with what was given before. */
#define TYPES(X)                                                              \
    X(b, int8_t)                                                              \
    X(B, uint8_t)                                                             \
    X(h, int16_t)                                                             \
    X(H, uint16_t)                                                            \
    X(i, int32_t)                                                             \
    X(I, uint32_t)                                                            \
    X(q, int64_t)                                                             \
    X(Q, uint64_t)                                                            \
    X(f, float)                                                               \
    X(d, double)

#define PAIRS(X, name, type)                                                  \
    X(name, type, b, int8_t)                                                  \
    X(name, type, B, uint8_t)                                                 \
    X(name, type, h, int16_t)                                                 \
    X(name, type, H, uint16_t)                                                \
    X(name, type, i, int32_t)                                                 \
    X(name, type, I, uint32_t)                                                \
    X(name, type, q, int64_t)                                                 \
    X(name, type, Q, uint64_t)                                                \
    X(name, type, f, float)                                                   \
    X(name, type, d, double)

#define DEFINE_ONE(name, type)                                                \
    static void map_##name(int64_t begin, int64_t end, void *context)         \
    {                                                                         \
        const struct pyconc_native_map *map = context;                        \
        type (*function)(type) = (type(*)(type))map->function;                \
        const type *first = map->first;                                       \
        type *output = map->output;                                           \
        for (int64_t i = begin; i < end; i++) {                               \
            output[i] = function(first[i]);                                   \
        }                                                                     \
    }

#define DEFINE_TWO(name, type, other_name, other_type)                        \
    static void map_##name##_##other_name(int64_t begin, int64_t end,         \
                                          void *context)                      \
    {                                                                         \
        const struct pyconc_native_map *map = context;                        \
        type (*function)(type, other_type) =                                  \
            (type(*)(type, other_type))map->function;                         \
        const type *first = map->first;                                       \
        const other_type *second = map->second;                               \
        type *output = map->output;                                           \
        for (int64_t i = begin; i < end; i++) {                               \
            output[i] = function(first[i], second[i]);                        \
        }                                                                     \
    }

#define DEFINE_ALL(name, type)                                                \
    DEFINE_ONE(name, type)                                                    \
    PAIRS(DEFINE_TWO, name, type)

TYPES(DEFINE_ALL)

#define LIST_ONE(name, type) {#name[0], 0, map_##name},
#define LIST_TWO(name, type, other_name, other_type)                          \
    {#name[0], #other_name[0], map_##name##_##other_name},
#define LIST_ALL(name, type)                                                  \
    LIST_ONE(name, type)                                                      \
    PAIRS(LIST_TWO, name, type)

conc_range_function
pyconc_native_map_function(char first, char second)
{
    static const struct {
        char first;
        char second;
        conc_range_function function;
    } all[] = {TYPES(LIST_ALL)};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].first == first && all[i].second == second) {
            return all[i].function;
        }
    }
    return NULL;
}
