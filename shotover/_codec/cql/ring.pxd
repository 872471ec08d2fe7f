"""The ring of a cluster: who has which token, and which servers have the copies of a row.

Both are made once from what the cluster says of itself, never change, and are replaced as a whole. Making them needs the GIL,
asking them does not. Servers are numbers here.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from shotover._codec.cql.partition cimport wide_t
from shotover._core.slice cimport slice_t


cdef enum:
    NO_SERVER = 0xffff
    COPIES_MAX = 64             # of one row that are told apart

cdef class Ring:
    cdef:
        readonly uint8_t  partitioner       # PARTITIONER_*
        readonly uint32_t count             # tokens
        int64_t  *murmur3                   # sorted, by the partitioner one of these;
        wide_t   *random
        slice_t  *ordered                   # ... which lie in `kept`
        uint16_t *owners                    # of each token
        list      kept
        readonly dict racks                 # number of a server -> (data center, rack)

    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil

cdef class Placement:
    cdef:
        readonly Ring ring
        readonly uint32_t width             # copies of a row at most
        uint16_t *copies                    # for each token `width` servers in the order of the ring; NO_SERVER: no more

    cdef const uint16_t *copies_at(self, uint32_t place) noexcept nogil
