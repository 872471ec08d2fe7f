"""Frames of the Cassandra native protocol, versions 3 to 5: the header, ERROR bodies, maps of strings.

https://cassandra.apache.org/doc/latest/cassandra/reference/native-protocol.html
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from shotover._core.slice cimport slice_t


cdef enum:
    HEADER_SIZE = 9             # version, flags, stream (2), opcode, length (4)
    HEADER_SIZE_OLD = 8         # of versions 1 and 2, whose stream has one byte
    VERSION_MIN = 3
    VERSION_MAX = 5
    SEGMENTS_FROM = 5           # the version from which on frames travel in segments
    IS_REPLY = 0x80             # in the byte of the version
    FRAME_SIZE_MAX = 0x10000000     # the protocol's own bound on a body, 256 MiB

cdef enum:                      # flags
    FLAG_COMPRESSED = 0x01
    FLAG_TRACING = 0x02
    FLAG_PAYLOAD = 0x04
    FLAG_WARNING = 0x08

cdef enum:                      # opcodes
    OP_ERROR = 0x00
    OP_STARTUP = 0x01
    OP_READY = 0x02
    OP_AUTHENTICATE = 0x03
    OP_OPTIONS = 0x05
    OP_SUPPORTED = 0x06
    OP_QUERY = 0x07
    OP_RESULT = 0x08
    OP_PREPARE = 0x09
    OP_EXECUTE = 0x0a
    OP_REGISTER = 0x0b
    OP_EVENT = 0x0c
    OP_BATCH = 0x0d
    OP_AUTH_CHALLENGE = 0x0e
    OP_AUTH_RESPONSE = 0x0f
    OP_AUTH_SUCCESS = 0x10

cdef enum:                      # error codes made here
    ERROR_SERVER = 0x0000
    ERROR_PROTOCOL = 0x000a
    ERROR_CREDENTIALS = 0x0100
    ERROR_OVERLOADED = 0x1001
    ERROR_BOOTSTRAPPING = 0x1002
    ERROR_TRUNCATE = 0x1003
    ERROR_SYNTAX = 0x2000
    ERROR_UNAUTHORIZED = 0x2100
    ERROR_INVALID = 0x2200
    ERROR_CONFIG = 0x2300
    ERROR_UNPREPARED = 0x2500

cdef enum:
    RESULT_SET_KEYSPACE = 0x0003


cdef inline uint16_t read_short(const uint8_t *at) noexcept nogil:
    return <uint16_t>(at[0] << 8 | at[1])

cdef inline uint32_t read_int(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]

cdef inline void put_short(uint8_t *out, uint32_t value) noexcept nogil:
    out[0] = <uint8_t>(value >> 8)
    out[1] = <uint8_t>value

cdef inline void put_int(uint8_t *out, uint32_t value) noexcept nogil:
    out[0] = <uint8_t>(value >> 24)
    out[1] = <uint8_t>(value >> 16)
    out[2] = <uint8_t>(value >> 8)
    out[3] = <uint8_t>value

cdef size_t frame_head(uint8_t *out, uint8_t version, uint16_t stream, uint8_t opcode, size_t body_size) noexcept nogil
cdef size_t frame_error(
    uint8_t *out, size_t room, uint8_t version, uint16_t stream, uint32_t code, const char *text, size_t text_size
) noexcept nogil
cdef const uint8_t *read_string(const uint8_t *at, const uint8_t *end, slice_t *string) noexcept nogil
cdef uint8_t *put_string(uint8_t *out, const void *text, size_t size) noexcept nogil
cdef bint slice_is(const slice_t *slice, const char *text) noexcept nogil
