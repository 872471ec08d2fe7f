/* What a process may give up for good. Each returns 0, or errno; where a system does not know it, ENOSYS. */
#ifndef SHOTOVER_HARDENING_H
#define SHOTOVER_HARDENING_H

#include <errno.h>

#ifdef __linux__
#include <sys/prctl.h>

static inline int shotover_set_dumpable(int yes)
{
    return prctl(PR_SET_DUMPABLE, yes, 0, 0, 0) == 0 ? 0 : errno;
}

static inline int shotover_get_dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static inline int shotover_no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}
#else
static inline int shotover_set_dumpable(int yes)
{
    (void)yes;
    return ENOSYS;
}

static inline int shotover_get_dumpable(void)
{
    return -1;
}

static inline int shotover_no_new_privileges(void)
{
    return ENOSYS;
}
#endif

#endif
