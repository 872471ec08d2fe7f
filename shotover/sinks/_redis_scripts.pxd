"""ScriptBook: the Lua scripts that have passed by, so that one which a server has lost can be sent again."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef enum:
    SEEN_SLOTS = 4096

cdef class ScriptBook:
    cdef:
        uint64_t  seen[SEEN_SLOTS]      # hashes of scripts that are known; open addressing
        uint32_t  count
        dict      scripts               # SHA-1 in hex -> script

    cdef void note(self, const slice_t *script) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef bint restore(self, pool_t *pool, request_t *request, const slice_t *words, uint32_t count) noexcept nogil
    cdef bint _restore(self, pool_t *pool, request_t *request, const slice_t *words, uint32_t count) noexcept
