"""Bodies of responses of the native protocol, v3 to v5: RESULT, ERROR, EVENT and the small ones; read and written.

As messages.pxd: borrowed, whole, not compressed, and behind what cql_prefix_read takes off.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from shotover._codec.cql.wire cimport wire_reader_t, wire_writer_t
from shotover._core.slice cimport slice_t


cdef enum:                      # cql_result_t.kind
    RESULT_VOID = 1
    RESULT_ROWS = 2
    RESULT_SET_KEYSPACE = 3
    RESULT_PREPARED = 4
    RESULT_SCHEMA_CHANGE = 5

cdef enum:                      # cql_metadata_t.flags
    METADATA_GLOBAL = 0x01      # keyspace and table stand once, before the columns
    METADATA_MORE_PAGES = 0x02
    METADATA_NONE = 0x04        # of the columns only their number is told
    METADATA_CHANGED = 0x08     # v5 on

cdef enum:                      # ids of types
    TYPE_CUSTOM = 0x0000
    TYPE_ASCII = 0x0001
    TYPE_BIGINT = 0x0002
    TYPE_BLOB = 0x0003
    TYPE_BOOLEAN = 0x0004
    TYPE_COUNTER = 0x0005
    TYPE_DECIMAL = 0x0006
    TYPE_DOUBLE = 0x0007
    TYPE_FLOAT = 0x0008
    TYPE_INT = 0x0009
    TYPE_TIMESTAMP = 0x000B
    TYPE_UUID = 0x000C
    TYPE_VARCHAR = 0x000D
    TYPE_VARINT = 0x000E
    TYPE_TIMEUUID = 0x000F
    TYPE_INET = 0x0010
    TYPE_DATE = 0x0011
    TYPE_TIME = 0x0012
    TYPE_SMALLINT = 0x0013
    TYPE_TINYINT = 0x0014
    TYPE_DURATION = 0x0015
    TYPE_LIST = 0x0020
    TYPE_MAP = 0x0021
    TYPE_SET = 0x0022
    TYPE_UDT = 0x0030
    TYPE_TUPLE = 0x0031

cdef enum:                      # codes of errors
    ERROR_SERVER = 0x0000
    ERROR_PROTOCOL = 0x000A
    ERROR_CREDENTIALS = 0x0100
    ERROR_UNAVAILABLE = 0x1000
    ERROR_OVERLOADED = 0x1001
    ERROR_BOOTSTRAPPING = 0x1002
    ERROR_TRUNCATE = 0x1003
    ERROR_WRITE_TIMEOUT = 0x1100
    ERROR_READ_TIMEOUT = 0x1200
    ERROR_READ_FAILURE = 0x1300
    ERROR_FUNCTION_FAILURE = 0x1400
    ERROR_WRITE_FAILURE = 0x1500
    ERROR_CDC_WRITE_FAILURE = 0x1600
    ERROR_CAS_WRITE_UNKNOWN = 0x1700
    ERROR_SYNTAX = 0x2000
    ERROR_UNAUTHORIZED = 0x2100
    ERROR_INVALID = 0x2200
    ERROR_CONFIG = 0x2300
    ERROR_ALREADY_EXISTS = 0x2400
    ERROR_UNPREPARED = 0x2500

cdef enum:
    TYPE_DEPTH_MAX = 32         # of types within types

cdef struct cql_metadata_t:     # of the columns of a result, or of the bound values of a prepared statement
    uint32_t flags              # METADATA_*
    uint32_t column_count
    uint32_t key_count          # of a prepared statement, v4 on: values that make the partition key
    slice_t  keys               # their indexes, a [short] each
    slice_t  paging_state       # with METADATA_MORE_PAGES
    slice_t  new_id             # with METADATA_CHANGED
    slice_t  keyspace           # with METADATA_GLOBAL
    slice_t  table
    slice_t  columns            # see cql_column_next; empty with METADATA_NONE

cdef struct cql_column_t:
    slice_t  keyspace
    slice_t  table
    slice_t  name
    slice_t  type               # an [option]
    uint16_t type_id

cdef struct cql_change_t:       # of a schema
    slice_t  change             # CREATED, UPDATED, DROPPED
    slice_t  target             # KEYSPACE, TABLE, TYPE, FUNCTION, AGGREGATE
    slice_t  keyspace
    slice_t  name               # of all but a keyspace
    slice_t  arguments          # of functions and aggregates: `argument_count` [string]s
    uint32_t argument_count

cdef struct cql_result_t:
    int32_t        kind         # RESULT_*
    slice_t        keyspace     # RESULT_SET_KEYSPACE
    slice_t        id           # RESULT_PREPARED
    slice_t        metadata_id  # the same, v5 on
    cql_metadata_t bound        # the same: of its bound values
    cql_metadata_t metadata     # of the rows
    uint32_t       row_count    # RESULT_ROWS
    slice_t        rows         # row_count * column_count times [bytes]
    cql_change_t   change       # RESULT_SCHEMA_CHANGE

cdef struct cql_error_t:
    int32_t  code               # ERROR_*
    slice_t  message
    uint16_t consistency        # of the timeouts and failures
    int32_t  received           # or alive, of ERROR_UNAVAILABLE
    int32_t  required
    uint8_t  data_present       # of reads
    int32_t  failure_count      # of the failures
    slice_t  failures           # v5 on: `failure_count` times an address (its size in a byte before it) and a [short]
    slice_t  write_type         # of writes
    bint     has_contentions    # v5 on, of a CAS
    uint16_t contentions
    slice_t  keyspace           # ERROR_FUNCTION_FAILURE, ERROR_ALREADY_EXISTS
    slice_t  name               # its function or table
    slice_t  arguments          # ERROR_FUNCTION_FAILURE: `argument_count` [string]s
    uint32_t argument_count
    slice_t  id                 # ERROR_UNPREPARED

cdef struct cql_event_t:
    slice_t      type           # TOPOLOGY_CHANGE, STATUS_CHANGE, SCHEMA_CHANGE
    slice_t      change         # NEW_NODE, UP ...
    slice_t      address        # 4 or 16 bytes
    int32_t      port
    cql_change_t schema


cdef bint cql_result_read(const uint8_t *body, size_t size, int version, cql_result_t *out) noexcept nogil
cdef bint cql_column_next(wire_reader_t *columns, const cql_metadata_t *metadata, cql_column_t *column) noexcept nogil
cdef bint cql_type_skip(wire_reader_t *reader, int depth) noexcept nogil
cdef bint cql_rows_check(const cql_result_t *result) noexcept nogil
cdef bint cql_error_read(const uint8_t *body, size_t size, int version, cql_error_t *out) noexcept nogil
cdef bint cql_event_read(const uint8_t *body, size_t size, int version, cql_event_t *out) noexcept nogil
cdef bint cql_supported_read(const uint8_t *body, size_t size, uint32_t *count) noexcept nogil
cdef bint cql_supported_next(wire_reader_t *reader, slice_t *name, slice_t *values, uint32_t *value_count) noexcept nogil

cdef void cql_metadata_put(wire_writer_t *writer, const cql_metadata_t *metadata, bint prepared, int version) noexcept nogil
cdef void cql_column_put(wire_writer_t *writer, const cql_metadata_t *metadata, const cql_column_t *column) noexcept nogil
cdef void cql_result_put(wire_writer_t *writer, const cql_result_t *result, int version) noexcept nogil
cdef void cql_error_put(wire_writer_t *writer, const cql_error_t *error, int version) noexcept nogil
cdef void cql_event_put(wire_writer_t *writer, const cql_event_t *event, int version) noexcept nogil
