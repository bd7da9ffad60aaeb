/* A region: one sealed memfd, mapped once per process.
 *
 * Reserved big and sparse, committed piece by piece: conc_region_commit
 * allocates the pages before anybody touches them, so that a lack of memory
 * is an error at that call and never a SIGBUS.  The handle is private to the
 * process; its geometry is taken at attach time and never read again from
 * shared memory.
 *
 * The first page is the region's header {magic, version, layout fingerprint,
 * size, owner's pid and start time}, written once by the creator.  The
 * fingerprint is the caller's: a hash over sizes and offsets of everything
 * that it lays out. */
#ifndef CONC_REGION_REGION_H
#define CONC_REGION_REGION_H

#include <stdint.h>

#include "region/layout.h"

#define CONC_REGION_HEADER_BYTES 4096

struct conc_region {
    uint8_t *base;       /* owns the mapping; NULL when closed */
    uint64_t size_bytes; /* of the mapping, fixed */
    int fd;              /* owns; -1: inherited memory without a file */
};

/* Make and map a region of at most wanted_bytes, halved until the address
 * space allows it but not below least_bytes (both multiples of the page).
 * Only the header is committed.  With RLIMIT_FSIZE in the way the memory is
 * anonymous (fd -1): it can be inherited by fork and not be attached.
 * CONC_OK; CONC_NOMEM or CONC_SYSTEM with errno, and nothing left behind. */
int conc_region_create(struct conc_region *region, uint64_t wanted_bytes,
                       uint64_t least_bytes, uint64_t fingerprint);

/* Map an existing region: takes a duplicate of fd.  CONC_MISMATCH if the
 * file is not one of ours, or of another version or layout. */
int conc_region_attach(struct conc_region *region, int fd,
                       uint64_t fingerprint);

/* Unmap and close.  `last`: the caller is the last registered participant
 * and gives back all pages even if a forked bystander still maps them.
 * Idempotent. */
void conc_region_close(struct conc_region *region, int last);

/* Allocate the pages of [offset, offset + length).  CONC_NOMEM: more than
 * the machine or the cgroup has left; *limit (may be NULL) then names which.
 * CONC_SYSTEM with errno.  After a failure some of the pages may stay
 * allocated.  May block for as long as the kernel clears memory. */
int conc_region_commit(const struct conc_region *region, conc_off offset,
                       uint64_t length, const char **limit);

/* Map committed pages into this process at once, for memory that it is about
 * to fill: much cheaper than a fault per page.  A hint; cannot fail. */
void conc_region_populate(const struct conc_region *region, conc_off offset,
                          uint64_t length);

/* Give the pages that lie whole within the range back; they read as zero
 * afterwards and must be committed anew before use. */
void conc_region_release(const struct conc_region *region, conc_off offset,
                         uint64_t length);

/* The address of [offset, offset + length), or NULL if that does not lie
 * within the region.  For offsets that came from shared memory. */
static inline void *
conc_region_at(const struct conc_region *region, conc_off offset,
               uint64_t length)
{
    if (CONC_UNLIKELY(offset == 0 || offset > region->size_bytes ||
                      length > region->size_bytes - offset)) {
        return NULL;
    }
    return region->base + offset;
}

#endif
