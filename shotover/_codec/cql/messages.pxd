"""Bodies of requests of the native protocol, v3 to v5: what the drivers send. A body begins behind the frame's header, is
whole and not compressed. All that is found is borrowed from it.

`cql_*_read` return False for a body that is not what its opcode says, and leave no half-read result to be used.
Counts are looked at against the bytes that are there before anything is done so often.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t

from shotover._codec.cql.wire cimport wire_reader_t, wire_writer_t
from shotover._core.slice cimport slice_t


cdef enum:                      # flags of a frame
    FRAME_COMPRESSED = 0x01
    FRAME_TRACING = 0x02
    FRAME_PAYLOAD = 0x04
    FRAME_WARNING = 0x08
    FRAME_BETA = 0x10

cdef enum:                      # cql_params_t.flags
    PARAM_VALUES = 0x01
    PARAM_SKIP_METADATA = 0x02
    PARAM_PAGE_SIZE = 0x04
    PARAM_PAGING_STATE = 0x08
    PARAM_SERIAL = 0x10
    PARAM_TIMESTAMP = 0x20
    PARAM_NAMES = 0x40
    PARAM_KEYSPACE = 0x80       # v5 on, as the next
    PARAM_NOW = 0x100

cdef enum:                      # cql_prepare_t.flags
    PREPARE_KEYSPACE = 0x01

cdef struct cql_prefix_t:       # what stands before a body, as the frame's flags say
    slice_t  tracing            # of a response: 16 bytes; data NULL: none
    slice_t  warnings           # of a response: `warning_count` [string]s
    slice_t  payload            # `payload_count` times a [string] and [bytes]
    uint32_t warning_count
    uint32_t payload_count
    slice_t  body               # what follows

cdef struct cql_params_t:       # of a QUERY or EXECUTE
    uint32_t flags              # PARAM_*
    uint16_t consistency
    uint16_t serial             # with PARAM_SERIAL, and so on
    uint32_t value_count
    slice_t  values             # `value_count` times a [value], before each its name if PARAM_NAMES
    int32_t  page_size
    int32_t  now
    slice_t  paging_state
    int64_t  timestamp
    slice_t  keyspace

cdef struct cql_query_t:
    slice_t      text
    cql_params_t params

cdef struct cql_prepare_t:
    slice_t  text
    uint32_t flags              # 0 before v5
    slice_t  keyspace

cdef struct cql_execute_t:
    slice_t      id
    slice_t      metadata_id    # v5 on
    cql_params_t params

cdef struct cql_batch_item_t:
    bint     prepared
    slice_t  text               # or the id of a prepared statement
    uint32_t value_count
    slice_t  values

cdef struct cql_batch_t:
    uint8_t      type           # 0 logged, 1 unlogged, 2 counter
    uint32_t     count
    slice_t      items          # see cql_batch_next
    cql_params_t params         # without values

cdef struct cql_value_t:
    slice_t name                # of a named one
    slice_t value               # data NULL: null or unset
    bint    unset


cdef bint cql_prefix_read(const uint8_t *body, size_t size, uint8_t flags, bint response, cql_prefix_t *out) noexcept nogil
cdef bint cql_query_read(const uint8_t *body, size_t size, int version, cql_query_t *out) noexcept nogil
cdef bint cql_prepare_read(const uint8_t *body, size_t size, int version, cql_prepare_t *out) noexcept nogil
cdef bint cql_execute_read(const uint8_t *body, size_t size, int version, cql_execute_t *out) noexcept nogil
cdef bint cql_batch_read(const uint8_t *body, size_t size, int version, cql_batch_t *out) noexcept nogil
cdef bint cql_batch_next(wire_reader_t *items, cql_batch_item_t *item) noexcept nogil
cdef bint cql_value_next(wire_reader_t *values, const cql_params_t *params, cql_value_t *value) noexcept nogil
cdef bint cql_options_read(const uint8_t *body, size_t size, uint32_t *count) noexcept nogil
cdef bint cql_option_next(wire_reader_t *options, slice_t *name, slice_t *value) noexcept nogil
cdef bint cql_register_read(const uint8_t *body, size_t size, uint32_t *count) noexcept nogil
cdef bint cql_token_read(const uint8_t *body, size_t size, slice_t *token) noexcept nogil

cdef void cql_params_put(wire_writer_t *writer, const cql_params_t *params, int version) noexcept nogil
cdef void cql_query_put(wire_writer_t *writer, const cql_query_t *query, int version) noexcept nogil
cdef void cql_prepare_put(wire_writer_t *writer, const cql_prepare_t *prepare, int version) noexcept nogil
cdef void cql_execute_put(wire_writer_t *writer, const cql_execute_t *execute, int version) noexcept nogil
