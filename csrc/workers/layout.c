#include "workers/layout.h"

#include "platform/status.h"

#define PAGE_BYTES 4096ull
#define HEAP_ALIGNMENT (2ull << 20)
#define HEAP_LEAST_BYTES (4ull << 20)

static conc_off
round_up(conc_off offset, uint64_t alignment)
{
    return (offset + alignment - 1) / alignment * alignment;
}

int
pyconc_layout_compute(const struct pyconc_geometry *geometry,
                      struct pyconc_layout *layout)
{
    uint64_t workers = geometry->worker_count;

    layout->control = CONC_REGION_HEADER_BYTES;
    layout->idlers =
        round_up(layout->control + sizeof(struct pyconc_control), PAGE_BYTES);
    layout->slots = round_up(
        layout->idlers + sizeof(struct conc_idlers_shared), PAGE_BYTES);
    layout->heaps_shared = round_up(
        layout->slots + workers * sizeof(struct pyconc_slot), PAGE_BYTES);
    layout->functions = round_up(
        layout->heaps_shared + (workers + 1) * sizeof(struct conc_heap_shared),
        PAGE_BYTES);
    layout->board =
        round_up(layout->functions + PYCONC_FUNCTIONS_MAX *
                                         sizeof(struct pyconc_function_entry),
                 PAGE_BYTES);
    layout->fixed_end = layout->board + conc_board_bytes(geometry->cell_count);
    layout->heaps = round_up(layout->fixed_end, HEAP_ALIGNMENT);
    if (layout->heaps >= geometry->region_bytes) {
        return CONC_NOMEM;
    }
    layout->heap_bytes = (geometry->region_bytes - layout->heaps) /
                         (workers + 1) / HEAP_ALIGNMENT * HEAP_ALIGNMENT;
    return layout->heap_bytes < HEAP_LEAST_BYTES ? CONC_NOMEM : CONC_OK;
}

uint64_t
pyconc_layout_fingerprint(void)
{
    const uint64_t facts[] = {
        1, /* version of the meaning of the fields */
        CONC_CACHELINE,
        sizeof(struct pyconc_control),
        sizeof(struct conc_idlers_shared),
        sizeof(struct pyconc_slot),
        sizeof(struct conc_heap_shared),
        sizeof(struct pyconc_function_entry),
        sizeof(struct conc_cell),
        sizeof(struct conc_board_shared),
        offsetof(struct conc_cell, payload),
        PYCONC_FUNCTIONS_MAX,
        CONC_WORKERS_MAX,
    };
    uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a, by words */

    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        hash = (hash ^ facts[i]) * 0x100000001b3ull;
    }
    return hash;
}
