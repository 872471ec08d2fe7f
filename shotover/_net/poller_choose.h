/* Which back end: the one asked for, or the best that opens here. */
#ifndef SHOTOVER_POLLER_CHOOSE_H
#define SHOTOVER_POLLER_CHOOSE_H

#include "poller.h"
#include "socket_system.h"
#include <stdio.h>

/* SHOTOVER_KQUEUE: the tests build the kqueue back end on Linux, over an imitation of kqueue. */
#if defined(__linux__) && !defined(SHOTOVER_KQUEUE)
#define POLLER_LINUX 1
#include "poller_epoll.h"
#include "poller_uring.h"
#define POLLER_NAMES "auto, io_uring, epoll"
#else
#include "poller_kqueue.h"
#define POLLER_NAMES "auto, kqueue"
#endif

/* Make and open one back end; NULL, *err and *reason if it does not open. */
static poller_t *poller_try(poller_t *p, int *err, const char **reason)
{
    *err = -ENOMEM;
    *reason = "no memory";
    if (p == NULL)
        return NULL;
    p->system = &socket_system;
    *err = p->ops->open(p, reason);
    if (*err == 0)
        return p;
    p->ops->close(p);
    return NULL;
}

/* Open the back end `name` ("auto", or one of POLLER_NAMES; NULL is "auto"). `why` gets a sentence for the start-up log, on
 * failure one for the error; it is always terminated. Returns NULL and *err (-errno) on failure: -EINVAL for a name that
 * does not exist here. Under "auto" only the last resort can fail. */
static poller_t *poller_choose(const char *name, int *err, char *why, size_t why_size)
{
    const char *reason = "";
    poller_t *p = NULL;
    int automatic = name == NULL || strcmp(name, "auto") == 0;

    *err = -EINVAL;
#ifdef POLLER_LINUX
    if (automatic || strcmp(name, "io_uring") == 0) {
        p = poller_try(poller_new_uring(), err, &reason);
        if (p != NULL) {
            snprintf(why, why_size, automatic ? "io_uring: this kernel has all it needs" : "io_uring: asked for");
            return p;
        }
        snprintf(why, why_size, "io_uring cannot be used: %s (%s)", reason, strerror(-*err));
        if (!automatic)
            return NULL;
    }
    if (automatic || strcmp(name, "epoll") == 0) {
        size_t used = automatic ? strlen(why) : 0;

        p = poller_try(poller_new_epoll(), err, &reason);
        if (p != NULL && automatic)
            snprintf(why + used, why_size - used, "; using epoll");
        else if (p != NULL)
            snprintf(why, why_size, "epoll: asked for");
        else
            snprintf(why, why_size, "epoll cannot be used: %s (%s)", reason, strerror(-*err));
        return p;
    }
#else
    if (automatic || strcmp(name, "kqueue") == 0) {
        p = poller_try(poller_new_kqueue(), err, &reason);
        if (p != NULL)
            snprintf(why, why_size, automatic ? "kqueue: what this system has" : "kqueue: asked for");
        else
            snprintf(why, why_size, "kqueue cannot be used: %s (%s)", reason, strerror(-*err));
        return p;
    }
#endif
    snprintf(why, why_size, "there is no poller '%s' here; there are: " POLLER_NAMES, name);
    return p;
}

#endif
