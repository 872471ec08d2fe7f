"""See waiting.pxd. io_uring brings all that the kernel has in one turn, so there may be thousands."""

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from shotover._core.debug cimport invariant

cdef enum:
    ROOM_FIRST = 64


cdef bint waiting_push(waiting_t *waiting, int fd) noexcept nogil:
    """Behind those that wait. False: no memory, or too many; the socket is still the caller's."""
    cdef:
        uint32_t room = waiting.room * 2 if waiting.room else ROOM_FIRST
        uint32_t index
        int     *grown
    if waiting.count == waiting.room:
        grown = <int *>malloc(room * sizeof(int)) if room <= WAITING_MAX else NULL
        if grown is NULL:
            return False
        for index in range(waiting.count):
            grown[index] = waiting.fds[(waiting.first + index) & (waiting.room - 1)]
        free(waiting.fds)
        waiting.fds = grown
        waiting.first = 0
        waiting.room = room
    waiting.fds[(waiting.first + waiting.count) & (waiting.room - 1)] = fd
    waiting.count += 1
    return True


cdef int waiting_pop(waiting_t *waiting) noexcept nogil:
    """The one that came first; there must be one."""
    cdef int fd
    invariant(waiting.count > 0)
    fd = waiting.fds[waiting.first]
    waiting.first = (waiting.first + 1) & (waiting.room - 1)
    waiting.count -= 1
    return fd


cdef void waiting_close(waiting_t *waiting) noexcept nogil:
    """Gives back its memory. Sockets that are in it stay open."""
    free(waiting.fds)
    memset(waiting, 0, sizeof(waiting_t))
