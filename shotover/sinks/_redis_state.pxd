"""What a Redis server remembers of a connection and can be told again on another: the key under which connections are shared."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._core.slice cimport slice_t
from shotover._proxy.upstream cimport upstream_t


cdef enum:
    FIELD_PROTOCOL = 0      # "3" after HELLO 3, else empty
    FIELD_AUTH = 1          # the words after AUTH, each behind its size (uint16, little-endian)
    FIELD_NAME = 2          # CLIENT SETNAME
    FIELD_LIB_NAME = 3      # CLIENT SETINFO
    FIELD_LIB_VERSION = 4
    FIELD_DB = 5            # SELECT; empty for 0
    FIELD_COUNT = 6
    FIELD_SIZE_MAX = 2048   # larger ones are not replayed: such a client gets a connection of its own
    SHARED_MAX = 64         # connection_count at most

cdef struct redis_state_t:
    redis_state_t *next             # of the sink's states
    uint32_t       users            # sessions in this state, and connections on lease
    uint16_t       sizes[FIELD_COUNT]
    uint8_t       *fields[FIELD_COUNT]  # into the memory behind this struct
    size_t         greeting_size    # requests that bring a fresh connection here
    uint8_t       *greeting
    uint32_t       greeting_count
    uint64_t       hash
    upstream_t    *idle             # connections that a lease gave back
    uint32_t       idle_count
    upstream_t    *shared[SHARED_MAX]


cdef redis_state_t *state_new(slice_t *fields) noexcept nogil
cdef bint state_is(redis_state_t *state, slice_t *fields, uint64_t hash) noexcept nogil
cdef uint64_t state_hash(slice_t *fields) noexcept nogil
cdef void state_fields(redis_state_t *state, slice_t *fields) noexcept nogil
cdef bint state_apply(slice_t *words, uint32_t count, slice_t *fields, uint8_t *auth) noexcept nogil
