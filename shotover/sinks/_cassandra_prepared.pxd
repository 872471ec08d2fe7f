"""PreparedCache: what clients have had prepared, by id: enough to find the servers of an EXECUTE, and to have a statement
prepared again where a server has forgotten it, or has never heard of it. Bounded; who was not asked for longest goes first.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.cql.results cimport cql_result_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_route cimport aim_t
from shotover.sinks._cassandra_schema cimport KEYS_MAX


cdef enum:
    ID_MAX = 32
    TEXT_MAX = 65536            # longer statements are not kept
    BYTES_MAX = 67108864        # of all texts together

cdef struct prepared_t:
    prepared_t *chain           # of those with the same hash
    prepared_t *newer
    prepared_t *older
    uint8_t     id[ID_MAX]
    uint8_t     id_size
    aim_t     aim
    uint32_t    key_count       # 0: its key is not among its values, or nobody has told
    uint16_t    keys[KEYS_MAX]
    uint32_t    value_count
    slice_t     text            # into the memory behind this struct, as all slices here
    slice_t     session_keyspace    # in which it was prepared
    slice_t     keyspace        # of its table
    slice_t     table
    slice_t     names           # of its values: a [string] each
    size_t      size

cdef class PreparedCache:
    cdef:
        prepared_t **places
        uint32_t     room
        uint32_t     count_max
        readonly uint32_t count
        readonly uint64_t evicted
        size_t       bytes
        prepared_t  *newest
        prepared_t  *oldest

    cdef prepared_t *find(self, const uint8_t *id, size_t size) noexcept nogil
    cdef prepared_t *add(self, const cql_result_t *result, slice_t text, slice_t session_keyspace, aim_t *aim,
                         int version) noexcept nogil
    cdef void _drop(self, prepared_t *prepared) noexcept nogil
    cdef void _unlink(self, prepared_t *prepared) noexcept nogil
    cdef void _push(self, prepared_t *prepared) noexcept nogil

cdef bint prepared_name(const prepared_t *prepared, uint32_t number, slice_t *name) noexcept nogil
