/* kqueue's declarations, and enough of its behaviour over epoll, so that Linux can compile and run poller_kqueue.h.
 *
 * Kept: filters are separate events, EV_CLEAR is an edge, EV_EOF, NOTE_TRIGGER, a closed fd takes its filters along.
 * Not kept: everything else, above all macOS's own moods.
 */
#ifndef KQUEUE_ON_LINUX_H
#define KQUEUE_ON_LINUX_H

#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_USER (-10)
#define EV_ADD 0x0001
#define EV_CLEAR 0x0020
#define EV_EOF 0x8000
#define NOTE_TRIGGER 0x01000000

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    intptr_t data;
    void *udata;
};

#define EV_SET(at, id, kind, bits, more, number, pointer) \
    (*(at) = (struct kevent){ (id), (kind), (bits), (more), (number), (pointer) })

enum { KQUEUE_FDS = 8192 };

static struct {
    void *udata[KQUEUE_FDS];
    void *user_udata;
    int user_fd;
} kqueue_fake;

static inline int kqueue(void)
{
    return epoll_create1(0);
}

static inline int kevent_change(int kq, const struct kevent *change)
{
    struct epoll_event event;
    const uint64_t one = 1;
    int fd = (int)change->ident;

    memset(&event, 0, sizeof event);
    if (change->fflags & NOTE_TRIGGER)
        return write(kqueue_fake.user_fd, &one, sizeof one) == sizeof one ? 0 : -1;
    if (change->filter == EVFILT_USER) {
        fd = kqueue_fake.user_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        kqueue_fake.user_udata = change->udata;
    }
    if (fd >= KQUEUE_FDS) {
        errno = EMFILE;
        return -1;
    }
    kqueue_fake.udata[fd] = change->udata;
    event.data.fd = fd;
    event.events = EPOLLIN | EPOLLET | (change->filter == EVFILT_WRITE ? EPOLLOUT | EPOLLRDHUP : 0);
    return epoll_ctl(kq, change->filter == EVFILT_WRITE ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

static inline int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *events, int count,
                         const struct timespec *timeout)
{
    struct epoll_event said[128];
    uint16_t end;
    int got, i, made = 0;

    for (i = 0; i < change_count; i++)
        if (kevent_change(kq, &changes[i]) < 0)
            return -1;
    if (count == 0)
        return 0;
    got = epoll_pwait2(kq, said, count / 2 < 128 ? count / 2 : 128, timeout, NULL);
    if (got < 0)
        return -1;
    for (i = 0; i < got; i++) {
        int fd = said[i].data.fd;
        void *udata = kqueue_fake.udata[fd];

        end = said[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? EV_EOF : 0;
        if (udata == kqueue_fake.user_udata) {
            EV_SET(&events[made++], 0, EVFILT_USER, 0, 0, 0, udata);
            continue;
        }
        if (said[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            EV_SET(&events[made++], (uintptr_t)fd, EVFILT_READ, end, 0, 0, udata);
        if (said[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            EV_SET(&events[made++], (uintptr_t)fd, EVFILT_WRITE, said[i].events & (EPOLLHUP | EPOLLERR) ? end : 0, 0, 0, udata);
    }
    return made;
}

#endif
