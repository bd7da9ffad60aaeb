#include "platform/status.h"

const char *
conc_status_name(int status)
{
    switch (status) {
    case CONC_OK:
        return "ok";
    case CONC_AGAIN:
        return "again";
    case CONC_TIMEOUT:
        return "timeout";
    case CONC_INTR:
        return "interrupted";
    case CONC_FULL:
        return "full";
    case CONC_NOMEM:
        return "out of memory";
    case CONC_CORRUPT:
        return "corrupt";
    case CONC_SYSTEM:
        return "system call failed";
    case CONC_MISMATCH:
        return "mismatch";
    default:
        return "unknown";
    }
}
