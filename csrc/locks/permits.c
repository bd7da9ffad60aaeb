/* See permits.h. */
#include "locks/permits.h"

int
pyconc_permits_wait(struct pyconc_permits *permits, int64_t deadline_ns)
{
    struct pyconc_place *place = pyconc_place_new();
    int status;

    if (place == NULL) {
        return -1;
    }
    pyconc_waitlist_join(&permits->waiting, place, NULL);
    while ((status = pyconc_waitlist_wait_chance(&permits->waiting, place,
                                                 permits->available,
                                                 deadline_ns)) == 0 &&
           permits->available <= 0) {
        pyconc_waitlist_rejoin(&permits->waiting, place);
    }
    pyconc_waitlist_done(&permits->waiting, place);
    pyconc_place_free(place);
    if (status >= 0) {
        status = pyconc_permits_try(permits);
    }
    pyconc_permits_give(permits, 0);
    return status;
}
