"""InBand: the command SHOTOVER, which the proxy answers itself, for clients that have the right.

It stands before all other steps of a Redis source that says who may. A question is held; the main thread is woken, takes the
words of what is held (`take`) and gives the replies (`give`), both called on the worker's thread between two turns. So the
worker waits for nobody, and what an answer costs is the main thread's. Others of that client wait behind it, as behind any.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.request cimport batch_t, request_t
from shotover._proxy.selecting cimport SelectingStep


cdef enum:
    HELD_MAX = 64               # questions at once, a worker
    WORDS_MAX = 8               # of a question

cdef class InBand(SelectingStep):
    cdef:
        public int wake_fd      # a byte written here wakes the main thread; -1: it looks from time to time
        batch_t  held           # owned
        batch_t  taken          # ... of which the main thread knows: it will give that many replies
        bint     draining

    cdef bint _is_question(self, request_t *request) noexcept nogil
    cdef void _ask(self, request_t *request) noexcept nogil
    cdef void _refuse_all(self, batch_t *batch) noexcept nogil
