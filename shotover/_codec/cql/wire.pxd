"""The notations of the native protocol ([short], [string], [bytes] ...), read and written within bounds.

A reader that has met the end in the middle of something is `bad` and stays where it was; what it gives from then on is
zero or empty, so a run of reads needs one look at the end. A writer without room counts on: `size` is what would have been
written, `full` says that it was not.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from shotover._core.slice cimport slice_t


cdef enum:                  # what wire_bytes and wire_value say of what has no bytes, in place of a size
    WIRE_NULL = -1
    WIRE_UNSET = -2         # v4 on, of bound values

cdef struct wire_reader_t:
    uint8_t *at
    uint8_t *end
    bint     bad

cdef struct wire_writer_t:
    uint8_t *at
    uint8_t *end
    size_t   size           # so far, written or not
    bint     full


# ---- reading -------------------------------------------------------------------------------------------------------


cdef inline void wire_read(wire_reader_t *reader, const uint8_t *data, size_t size) noexcept nogil:
    """Borrows the bytes."""
    reader.at = <uint8_t *>data
    reader.end = reader.at + size
    reader.bad = False

cdef inline size_t wire_left(const wire_reader_t *reader) noexcept nogil:
    return 0 if reader.bad else <size_t>(reader.end - reader.at)

cdef inline uint8_t *wire_skip(wire_reader_t *reader, size_t size) noexcept nogil:
    """The next `size` bytes. NULL: there are not so many."""
    cdef uint8_t *at = reader.at
    if reader.bad or <size_t>(reader.end - at) < size:
        reader.bad = True
        return NULL
    reader.at = at + size
    return at

cdef inline uint8_t wire_byte(wire_reader_t *reader) noexcept nogil:
    cdef uint8_t *at = wire_skip(reader, 1)
    return 0 if at is NULL else at[0]

cdef inline uint16_t wire_short(wire_reader_t *reader) noexcept nogil:
    cdef uint8_t *at = wire_skip(reader, 2)
    return 0 if at is NULL else <uint16_t>(at[0] << 8 | at[1])

cdef inline uint32_t wire_uint_at(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]

cdef inline int32_t wire_int(wire_reader_t *reader) noexcept nogil:
    cdef uint8_t *at = wire_skip(reader, 4)
    return 0 if at is NULL else <int32_t>wire_uint_at(at)

cdef inline int64_t wire_long(wire_reader_t *reader) noexcept nogil:
    cdef uint8_t *at = wire_skip(reader, 8)
    return 0 if at is NULL else <int64_t>(<uint64_t>wire_uint_at(at) << 32 | wire_uint_at(at + 4))

cdef inline slice_t wire_slice(wire_reader_t *reader, size_t size) noexcept nogil:
    cdef slice_t found
    found.data = wire_skip(reader, size)
    found.size = 0 if found.data is NULL else size
    return found

cdef inline slice_t wire_string(wire_reader_t *reader) noexcept nogil:
    """[string], and [short bytes] as well."""
    return wire_slice(reader, wire_short(reader))

cdef inline slice_t wire_long_string(wire_reader_t *reader) noexcept nogil:
    cdef int32_t size = wire_int(reader)
    if size < 0:
        reader.bad = True
    return wire_slice(reader, <size_t>max(size, 0))

cdef inline int32_t wire_bytes(wire_reader_t *reader, slice_t *found) noexcept nogil:
    """[bytes]: its size; WIRE_NULL for any below zero; `found.data` is NULL then."""
    cdef int32_t size = wire_int(reader)
    if size < 0 or reader.bad:
        found.data = NULL
        found.size = 0
        return WIRE_NULL
    found[0] = wire_slice(reader, <size_t>size)
    return size

cdef inline int32_t wire_value(wire_reader_t *reader, slice_t *found) noexcept nogil:
    """[value]: its size, WIRE_NULL or WIRE_UNSET; below that it is bad."""
    cdef int32_t size = wire_int(reader)
    found.data = NULL
    found.size = 0
    if size < WIRE_UNSET:
        reader.bad = True
    if size < 0 or reader.bad:
        return size if size == WIRE_UNSET else WIRE_NULL
    found[0] = wire_slice(reader, <size_t>size)
    return size

cdef inline uint32_t wire_count(wire_reader_t *reader, int64_t count, size_t least) noexcept nogil:
    """`count` things of at least so many bytes each follow: bad, and 0, if they cannot."""
    if count < 0 or <uint64_t>count > wire_left(reader) // least:
        reader.bad = True
        return 0
    return <uint32_t>count

cdef inline slice_t wire_since(const wire_reader_t *reader, uint8_t *start) noexcept nogil:
    """What was read since it stood at `start`."""
    cdef slice_t found
    found.data = start
    found.size = 0 if reader.bad else <size_t>(reader.at - start)
    return found


# ---- writing -------------------------------------------------------------------------------------------------------


cdef inline void wire_write(wire_writer_t *writer, uint8_t *room, size_t size) noexcept nogil:
    """Into `room`, which is the caller's; NULL and 0 only to measure."""
    writer.at = room
    writer.end = room + size
    writer.size = 0
    writer.full = False

cdef inline void wire_put(wire_writer_t *writer, const void *data, size_t size) noexcept nogil:
    writer.size += size
    if writer.full or <size_t>(writer.end - writer.at) < size:
        writer.full = True
    elif size:
        memcpy(writer.at, data, size)
        writer.at += size

cdef inline void wire_put_byte(wire_writer_t *writer, uint8_t value) noexcept nogil:
    wire_put(writer, &value, 1)

cdef inline void wire_put_short(wire_writer_t *writer, uint32_t value) noexcept nogil:
    cdef uint8_t raw[2]
    raw[0] = <uint8_t>(value >> 8)
    raw[1] = <uint8_t>value
    wire_put(writer, raw, 2)

cdef inline void wire_put_int(wire_writer_t *writer, int64_t value) noexcept nogil:
    cdef uint8_t raw[4]
    raw[0] = <uint8_t>(value >> 24)
    raw[1] = <uint8_t>(value >> 16)
    raw[2] = <uint8_t>(value >> 8)
    raw[3] = <uint8_t>value
    wire_put(writer, raw, 4)

cdef inline void wire_put_long(wire_writer_t *writer, int64_t value) noexcept nogil:
    wire_put_int(writer, value >> 32)
    wire_put_int(writer, value)

cdef inline void wire_put_string(wire_writer_t *writer, slice_t text) noexcept nogil:
    """[string] or [short bytes]; what does not fit its length is left off."""
    cdef size_t size = min(text.size, <size_t>0xffff)
    wire_put_short(writer, <uint32_t>size)
    wire_put(writer, text.data, size)

cdef inline void wire_put_text(wire_writer_t *writer, const char *text, size_t size) noexcept nogil:
    wire_put_short(writer, <uint32_t>size)
    wire_put(writer, text, size)

cdef inline void wire_put_bytes(wire_writer_t *writer, slice_t data) noexcept nogil:
    """[bytes] or [long string]; a null where data is NULL."""
    wire_put_int(writer, WIRE_NULL if data.data is NULL else <int64_t>data.size)
    wire_put(writer, data.data, data.size)
