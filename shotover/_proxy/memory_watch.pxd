"""MemoryWatch: keeps a worker within `memory_limit`, the process's and each source's.

After every turn it says in the process's ledger what the worker has from the system. While that is more than a part of
any limit it looks at the sessions, LOOK_NS apart: who takes more than a fair share of what has become scarce is not read.
Where that does not help within a second, and at once shortly before the limit, who takes most is disconnected; only where
nobody takes much are newcomers turned away. The limit of the process itself cannot be passed: the pool gives no chunk
beyond it.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.ledger cimport Share
from shotover._net.loop cimport Loop
from shotover._net.timers cimport timer_t
from shotover._proxy.session cimport Source, session_t
from shotover._proxy.step cimport Hub


cdef class MemoryWatch:
    cdef:
        Hub      hub
        Loop     loop
        list     sources        # the worker's
        readonly Share share    # of the process
        uint64_t published
        uint64_t bytes_max      # the pool's own bound, without a limit
        uint64_t trigger        # bytes from which on sessions are looked at; 0: nothing has a limit
        timer_t  timer
        bint     busy           # some session is not read, or newcomers are turned away
        uint32_t scarce_looks   # how often on end memory of the process was found scarce

    cdef uint64_t bytes(self) noexcept nogil
    cdef void look(self) noexcept nogil
    cdef void audit(self) noexcept nogil
    cdef uint64_t _weigh(self) noexcept nogil
    cdef uint64_t _excess(self, uint64_t used, uint64_t limit, uint32_t looks) noexcept nogil
    cdef session_t *_heaviest(self, void *source) noexcept nogil
    cdef uint64_t _shed(self, uint64_t bytes, void *source) noexcept nogil
