"""See _protect_rust.pxd."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from shotover._codec.cql.lexer cimport (
    TOKEN_BOOLEAN,
    TOKEN_FLOAT,
    TOKEN_HEX,
    TOKEN_INTEGER,
    TOKEN_STRING,
    TOKEN_UUID,
)
from shotover._codec.cql.wire cimport (
    wire_left,
    wire_put,
    wire_put_byte,
    wire_read,
    wire_reader_t,
    wire_skip,
    wire_slice,
)
from shotover._net.aead cimport AEAD_NONCE, AEAD_TAG

cdef extern from "<arpa/inet.h>" nogil:
    const char *inet_ntop(int family, const void *address, char *text, unsigned int size)
    enum:
        AF_INET
        AF_INET6

cdef enum:                      # kinds that a literal could become
    RUST_NULL = 0
    RUST_BYTES = 1
    RUST_ASCII = 2
    RUST_STRINGS = 3
    RUST_INTEGER = 4            # 64 bits, and a number for how many it had
    RUST_DOUBLE = 5
    RUST_FLOAT = 6
    RUST_BOOLEAN = 7
    RUST_INET = 8
    RUST_LIST = 9
    RUST_SET = 10
    RUST_MAP = 11
    RUST_TIMEUUID = 17
    RUST_VARCHAR = 18
    RUST_UUID = 19
    RUST_TUPLE = 22
    RUST_DEPTH_MAX = 16
    TEXT_MAX = 64               # of a number or an address


cdef uint32_t _number32(wire_reader_t *reader) noexcept nogil:
    cdef uint8_t *at = wire_skip(reader, 4)
    return 0 if at is NULL else at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24


cdef uint64_t _number64(wire_reader_t *reader) noexcept nogil:
    cdef uint64_t low = _number32(reader)
    return low | <uint64_t>_number32(reader) << 32


cdef slice_t _sized(wire_reader_t *reader) noexcept nogil:
    return wire_slice(reader, <size_t>_number64(reader))


cdef bint rust_value_read(slice_t cell, rust_value_t *out) noexcept nogil:
    """False: it does not look like one."""
    cdef wire_reader_t reader
    wire_read(&reader, cell.data, cell.size)
    out.cipher = _sized(&reader)
    out.nonce = wire_skip(&reader, AEAD_NONCE)
    out.wrapped = _sized(&reader)
    out.id = _sized(&reader)
    return (
        not reader.bad and wire_left(&reader) == 0 and out.cipher.size >= AEAD_TAG + 4 and 0 < out.wrapped.size < 65536
        and out.id.size < 256
    )


cdef void _put_text(slice_t text, wire_writer_t *writer) noexcept nogil:
    cdef size_t index
    wire_put_byte(writer, b"'")
    for index in range(text.size):
        if text.data[index] == 39:
            wire_put_byte(writer, 39)
        wire_put_byte(writer, text.data[index])
    wire_put_byte(writer, b"'")


cdef void _put_hex(slice_t data, wire_writer_t *writer, bint dashes) noexcept nogil:
    cdef:
        const char *digits = b"0123456789abcdef"
        size_t      index
    for index in range(data.size):
        if dashes and (index == 4 or index == 6 or index == 8 or index == 10):
            wire_put_byte(writer, b'-')
        wire_put_byte(writer, <uint8_t>digits[data.data[index] >> 4])
        wire_put_byte(writer, <uint8_t>digits[data.data[index] & 15])


cdef void _put_real(double value, int digits, wire_writer_t *writer) noexcept nogil:
    cdef char text[TEXT_MAX]
    if value != value:
        wire_put(writer, b"NaN", 3)
    elif value - value != 0:
        if value < 0:
            wire_put_byte(writer, b'-')
        wire_put(writer, b"Infinity", 8)
    else:
        wire_put(writer, text, <size_t>snprintf(text, TEXT_MAX, b"%.*g", digits, value))


cdef bint _put_several(wire_reader_t *reader, wire_writer_t *writer, uint32_t kind, int depth) noexcept nogil:
    cdef:
        uint64_t count = _number64(reader)
        uint64_t index
        uint8_t  ignored
        uint8_t  left = b'[' if kind == RUST_LIST else b'(' if kind == RUST_TUPLE else b'{'
    if reader.bad or count > wire_left(reader) // 4:    # each has at least its kind
        return False
    wire_put_byte(writer, left)
    for index in range(count):
        if index:
            wire_put_byte(writer, b',')
        if not _put(reader, writer, &ignored, depth + 1):
            return False
        if kind == RUST_MAP:
            wire_put_byte(writer, b':')
            if not _put(reader, writer, &ignored, depth + 1):
                return False
    wire_put_byte(writer, b']' if kind == RUST_LIST else b')' if kind == RUST_TUPLE else b'}')
    return True


cdef bint _put(wire_reader_t *reader, wire_writer_t *writer, uint8_t *literal, int depth) noexcept nogil:
    cdef:
        uint32_t kind = _number32(reader)
        uint64_t bits
        uint32_t half_bits
        double   real
        float    half
        slice_t  data
        char     text[TEXT_MAX]
    if reader.bad or depth > RUST_DEPTH_MAX:
        return False
    literal[0] = TOKEN_STRING
    if kind == RUST_NULL:
        wire_put(writer, b"null", 4)
    elif kind == RUST_BYTES:
        literal[0] = TOKEN_HEX
        wire_put(writer, b"0x", 2)
        _put_hex(_sized(reader), writer, False)
    elif kind == RUST_ASCII or kind == RUST_STRINGS or kind == RUST_VARCHAR:
        _put_text(_sized(reader), writer)
    elif kind == RUST_INTEGER:
        literal[0] = TOKEN_INTEGER
        bits = _number64(reader)
        _number32(reader)
        wire_put(writer, text, <size_t>snprintf(text, TEXT_MAX, b"%lld", <long long><int64_t>bits))
    elif kind == RUST_DOUBLE:
        literal[0] = TOKEN_FLOAT
        bits = _number64(reader)
        memcpy(&real, &bits, 8)
        _put_real(real, 17, writer)
    elif kind == RUST_FLOAT:
        literal[0] = TOKEN_FLOAT
        half_bits = _number32(reader)
        memcpy(&half, &half_bits, 4)
        _put_real(half, 9, writer)
    elif kind == RUST_BOOLEAN:
        literal[0] = TOKEN_BOOLEAN
        data = wire_slice(reader, 1)
        if reader.bad:
            return False
        wire_put(writer, b"true" if data.data[0] else b"false", 4 if data.data[0] else 5)
    elif kind == RUST_INET:
        half_bits = _number32(reader)
        data = wire_slice(reader, 16 if half_bits else 4)
        if reader.bad or half_bits > 1 or inet_ntop(AF_INET6 if half_bits else AF_INET, data.data, text, TEXT_MAX) is NULL:
            return False
        data.data = <uint8_t *>text
        data.size = 0
        while text[data.size]:
            data.size += 1
        _put_text(data, writer)
    elif kind == RUST_UUID or kind == RUST_TIMEUUID:
        literal[0] = TOKEN_UUID
        data = _sized(reader)
        if data.size != 16:
            return False
        _put_hex(data, writer, True)
    elif kind == RUST_LIST or kind == RUST_SET or kind == RUST_MAP or kind == RUST_TUPLE:
        return _put_several(reader, writer, kind, depth)
    else:
        return False
    return not reader.bad


cdef bint rust_literal_put(slice_t plain, wire_writer_t *writer, uint8_t *literal) noexcept nogil:
    """The value as a literal of CQL; literal: TOKEN_* of it. False: it is of a kind that no literal became."""
    cdef wire_reader_t reader
    wire_read(&reader, plain.data, plain.size)
    return _put(&reader, writer, literal, 0) and wire_left(&reader) == 0
