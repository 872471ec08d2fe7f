"""waiting_t: sockets that were accepted and cannot be served yet, first come first served."""

from libc.stdint cimport uint32_t


cdef enum:
    WAITING_MAX = 65536         # a kernel's queue, and what refills it meanwhile

cdef struct waiting_t:          # zeroed by its owner before first use
    int      *fds               # a ring
    uint32_t  first             # index of the one that came first
    uint32_t  count
    uint32_t  room              # of `fds`: 0 or a power of two


cdef bint waiting_push(waiting_t *waiting, int fd) noexcept nogil
cdef int waiting_pop(waiting_t *waiting) noexcept nogil
cdef void waiting_close(waiting_t *waiting) noexcept nogil
