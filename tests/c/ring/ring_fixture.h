/* A pool without Python: one producer, and workers that are threads or
 * forked processes, on one region. */
#ifndef CONC_TEST_RING_FIXTURE_H
#define CONC_TEST_RING_FIXTURE_H

#include <sched.h>
#include <stdalign.h>

#include "conc_test.h"

#include "platform/check.h"
#include "platform/clock.h"
#include "platform/relax.h"
#include "platform/status.h"
#include "region/region.h"
#include "ring/board.h"
#include "ring/donestack.h"
#include "ring/eventcount.h"
#include "ring/idlers.h"

#define RING_TASKS_MAX 65536
#define RING_START CONC_REGION_HEADER_BYTES
#define RING_SPINS 200

struct ring_shared {
    struct conc_idlers_shared idlers;
    alignas(CONC_CACHELINE) struct conc_eventcount finished;
    alignas(CONC_CACHELINE) _Atomic uint32_t stop;
    _Atomic uint32_t runs[RING_TASKS_MAX]; /* how often each task was run */
};

struct ring {
    struct conc_region region;
    struct conc_board board;
    struct conc_idlers idlers;
    struct ring_shared *shared;
    uint32_t *links;
    uint64_t bytes; /* of board and ring_shared */
};

static inline void
ring_open(struct ring *ring, uint32_t cells, uint32_t workers, uint32_t cpus)
{
    uint64_t board_bytes = conc_board_bytes(cells);
    ring->bytes = board_bytes + sizeof(struct ring_shared);
    uint64_t size = RING_START + ((ring->bytes + 4095) & ~UINT64_C(4095));
    REQUIRE(conc_region_create(&ring->region, size, size, 1) == CONC_OK);
    REQUIRE(conc_region_commit(&ring->region, RING_START, size - RING_START,
                               NULL) == CONC_OK);
    REQUIRE(conc_board_init(&ring->board, &ring->region, RING_START, cells,
                            1) == CONC_OK);
    ring->shared = conc_region_at(&ring->region, RING_START + board_bytes,
                                  sizeof(struct ring_shared));
    REQUIRE(ring->shared != NULL);
    ring->idlers = (struct conc_idlers){
        .shared = &ring->shared->idlers,
        .board = &ring->board,
        .worker_count = workers,
        .cpu_count = cpus,
        .spin_limit = cpus - 1,
    };
    ring->links = calloc(cells, sizeof *ring->links);
    REQUIRE(ring->links != NULL);
}

static inline void
ring_close(struct ring *ring)
{
    free(ring->links);
    conc_board_fini(&ring->board);
    conc_region_close(&ring->region, 1);
}

/* The handle of a worker: nothing of what is the parent's own. */
static inline void
ring_attach(struct ring *own, const struct ring *ring)
{
    *own = (struct ring){.region = ring->region,
                         .idlers = ring->idlers,
                         .shared = ring->shared,
                         .bytes = ring->bytes};
    REQUIRE(conc_board_init(&own->board, &own->region, RING_START,
                            ring->board.cell_count, 0) == CONC_OK);
    own->idlers.board = &own->board;
}

/* Allocate and publish a task; its cell, or CONC_CELL_NONE. */
static inline uint32_t
ring_submit(struct ring *ring, uint32_t task)
{
    uint32_t cell = conc_board_alloc(&ring->board);
    if (cell == CONC_CELL_NONE) {
        return CONC_CELL_NONE;
    }
    memcpy(ring->board.cells[cell].payload, &task, sizeof task);
    int status = conc_board_publish(&ring->board, cell);
    if (status != CONC_OK) {
        CHECK(status == CONC_FULL);
        conc_board_abandon(&ring->board, cell);
        return CONC_CELL_NONE;
    }
    return cell;
}

static inline uint32_t
ring_task_of(const struct ring *ring, uint32_t cell)
{
    uint32_t task;
    memcpy(&task, ring->board.cells[cell].payload, sizeof task);
    return task;
}

/* What a worker does with a task that it has claimed. */
typedef void ring_run(struct ring *ring, uint32_t worker, uint32_t cell);

/* The loop of a worker, in the order that idlers.h demands. */
static inline void
ring_work(struct ring *ring, uint32_t worker, ring_run *run)
{
    struct conc_idlers *idlers = &ring->idlers;
    bool spinner = false;
    conc_idlers_attach(idlers, worker);
    while (atomic_load(&ring->shared->stop) == 0) {
        uint32_t cell;
        int status = conc_board_claim(&ring->board, worker, &cell);
        if (spinner) {
            for (int i = 0; i < RING_SPINS && status == CONC_AGAIN; i++) {
                conc_cpu_relax();
                status = conc_board_claim(&ring->board, worker, &cell);
            }
            conc_idlers_spin_end(idlers, worker);
            if (status == CONC_AGAIN) {
                status = conc_board_claim(&ring->board, worker, &cell);
            }
            spinner = false;
        }
        if (status == CONC_AGAIN) {
            status = conc_idlers_sleep(idlers, worker, &ring->shared->stop,
                                       CONC_NEVER);
            CHECK(status == CONC_OK || status == CONC_INTR);
            continue;
        }
        REQUIRE(status == CONC_OK);
        conc_idlers_claimed(idlers, worker);
        uint32_t task = ring_task_of(ring, cell);
        REQUIRE(task < RING_TASKS_MAX);
        atomic_fetch_add(&ring->shared->runs[task], 1);
        run(ring, worker, cell);
        spinner = conc_idlers_spin_begin(idlers, worker) != 0;
        conc_board_finish(&ring->board, worker, cell);
        conc_eventcount_notify_shared(&ring->shared->finished);
    }
    if (spinner) {
        conc_idlers_spin_end(idlers, worker);
    }
    conc_idlers_detach(idlers, worker);
}

static inline void
ring_stop(struct ring *ring)
{
    atomic_store(&ring->shared->stop, 1);
    conc_idlers_wake_all(&ring->idlers);
}

#endif
