/* Outcomes of the plain layers: 0 or one of these.  Waiting has named
 * outcomes, and every caller handles each. */
#ifndef CONC_PLATFORM_STATUS_H
#define CONC_PLATFORM_STATUS_H

enum conc_status {
    CONC_OK = 0,
    CONC_AGAIN = -1,    /* nothing there right now: look again, or wait */
    CONC_TIMEOUT = -2,  /* the deadline passed */
    CONC_INTR = -3,     /* a signal arrived: run the handlers, then go on */
    CONC_FULL = -4,     /* a fixed number of places is taken */
    CONC_NOMEM = -5,    /* malloc, or a limit on memory; see errno */
    CONC_CORRUPT = -6,  /* shared memory holds what nobody may write */
    CONC_SYSTEM = -7,   /* a system call failed; errno says why */
    CONC_MISMATCH = -8, /* another version or layout: refuse to attach */
};

/* A short English name, never NULL. */
const char *conc_status_name(int status);

#endif
