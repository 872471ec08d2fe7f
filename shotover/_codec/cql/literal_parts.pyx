"""See literal_parts.pxd."""

from libc.stdint cimport INT32_MAX, INT64_MAX, int64_t, uint16_t, uint64_t
from libc.string cimport memcmp, memset

from shotover._codec.cql.results cimport (
    TYPE_ASCII,
    TYPE_BIGINT,
    TYPE_BLOB,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DOUBLE,
    TYPE_FLOAT,
    TYPE_INET,
    TYPE_INT,
    TYPE_SMALLINT,
    TYPE_TIME,
    TYPE_TIMESTAMP,
    TYPE_TIMEUUID,
    TYPE_TINYINT,
    TYPE_UUID,
    TYPE_VARCHAR,
    TYPE_VARINT,
)
from shotover._codec.cql.wire cimport wire_put_byte, wire_put_int

cdef enum:
    LIMBS = 16                  # 512 bits: more than NUMBER_DIGITS_MAX digits take
    EXPONENT_MAX = 100000


# ---- numbers -------------------------------------------------------------------------------------------------------


cdef void _times_ten(uint32_t *limbs, uint32_t plus) noexcept nogil:
    """limbs[0] is the least significant."""
    cdef:
        uint64_t carry = plus
        int      index
    for index in range(LIMBS):
        carry += <uint64_t>limbs[index] * 10
        limbs[index] = <uint32_t>carry
        carry >>= 32


cdef void _put_limbs(uint32_t *limbs, bint negative, wire_writer_t *writer) noexcept nogil:
    """As few bytes as hold it with its sign, the most significant first."""
    cdef:
        uint64_t carry = 1
        uint8_t  filler = 0
        int      index, size = 4 * LIMBS
    if negative:
        for index in range(LIMBS):
            carry += <uint32_t>~limbs[index]
            limbs[index] = <uint32_t>carry
            carry >>= 32
        filler = <uint8_t>(limbs[LIMBS - 1] >> 24)     # 0 of a negative nothing
    while size > 1 and _byte(limbs, size - 1) == filler and (_byte(limbs, size - 2) ^ filler) < 0x80:
        size -= 1
    for index in range(size):
        wire_put_byte(writer, _byte(limbs, size - 1 - index))


cdef inline uint8_t _byte(const uint32_t *limbs, int index) noexcept nogil:
    return <uint8_t>(limbs[index >> 2] >> (8 * (index & 3)))


cdef bint literal_put_varint(const uint8_t *at, size_t size, wire_writer_t *writer) noexcept nogil:
    """False: too many digits, or something else."""
    cdef:
        uint32_t limbs[LIMBS]
        bint     negative = size > 0 and at[0] == b'-'
        size_t   index
    if size > NUMBER_DIGITS_MAX:
        return False
    memset(limbs, 0, sizeof(limbs))
    for index in range(negative, size):
        if not b'0' <= at[index] <= b'9':
            return False
        _times_ten(limbs, at[index] - 48)
    _put_limbs(limbs, negative, writer)
    return True


cdef bint literal_put_decimal(const uint8_t *at, size_t size, wire_writer_t *writer) noexcept nogil:
    """Digits with a point among them, and an exponent: the scale, then all digits as one number. False: as above."""
    cdef:
        uint32_t limbs[LIMBS]
        bint     negative = size > 0 and at[0] == b'-'
        bint     point = False, minus = False
        int64_t  scale = 0, exponent = 0
        size_t   index = negative
    if size > NUMBER_DIGITS_MAX:
        return False
    memset(limbs, 0, sizeof(limbs))
    while index < size and at[index] | 0x20 != b'e':
        if at[index] == b'.' and not point:
            point = True
        elif b'0' <= at[index] <= b'9':
            _times_ten(limbs, at[index] - 48)
            scale += point
        else:
            return False
        index += 1
    if index < size:
        index += 1
        if index < size and (at[index] == b'-' or at[index] == b'+'):
            minus = at[index] == b'-'
            index += 1
        if index == size:
            return False
        while index < size:
            if not b'0' <= at[index] <= b'9' or exponent > EXPONENT_MAX:
                return False
            exponent = exponent * 10 + (at[index] - 48)
            index += 1
    wire_put_int(writer, scale + exponent if minus else scale - exponent)
    _put_limbs(limbs, negative, writer)
    return True


# ---- durations -----------------------------------------------------------------------------------------------------


cdef struct duration_t:
    int64_t months
    int64_t days
    int64_t ns
    int     last                # rank of the unit before: each comes once, the larger first


cdef bint _grow(int64_t *sum, uint64_t count, int64_t unit, int64_t most) noexcept nogil:
    if count > <uint64_t>(most - sum[0]) // <uint64_t>unit:
        return False
    sum[0] += <int64_t>count * unit
    return True


cdef bint _unit(duration_t *duration, uint64_t count, int rank) noexcept nogil:
    """Adds so many: of years (1), months, weeks, days, hours, minutes, seconds, ms, us, ns (10). False: it is out of place, or
    too much."""
    if rank <= duration.last:
        return False
    duration.last = rank
    if rank <= 2:
        return _grow(&duration.months, count, 12 if rank == 1 else 1, INT32_MAX)
    if rank <= 4:
        return _grow(&duration.days, count, 7 if rank == 3 else 1, INT32_MAX)
    if rank == 5:
        return _grow(&duration.ns, count, 3600000000000, INT64_MAX)
    if rank == 6:
        return _grow(&duration.ns, count, 60000000000, INT64_MAX)
    if rank == 7:
        return _grow(&duration.ns, count, 1000000000, INT64_MAX)
    return _grow(&duration.ns, count, 1000000 if rank == 8 else 1000 if rank == 9 else 1, INT64_MAX)


cdef const uint8_t *_digits(const uint8_t *at, const uint8_t *end, uint64_t *count) noexcept nogil:
    """NULL: there are none, or too many."""
    cdef const uint8_t *start = at
    count[0] = 0
    while at < end and b'0' <= at[0] <= b'9':
        if at - start == 18:
            return NULL
        count[0] = count[0] * 10 + (at[0] - 48)
        at += 1
    return at if at > start else NULL


cdef int _rank(const uint8_t **at, const uint8_t *end) noexcept nogil:
    """Of the unit at `at`, which moves behind it; 0: there is none. m is a minute unless an o or s follows."""
    cdef:
        uint8_t first = at[0][0] | 0x20 if at[0] < end else 0
        uint8_t second = at[0][1] | 0x20 if end - at[0] >= 2 else 0
    if end - at[0] >= 3 and at[0][0] == 0xc2 and at[0][1] == 0xb5 and at[0][2] | 0x20 == b's':
        at[0] += 3
        return 9
    at[0] += 1
    if first == b'm' and second == b'o':
        at[0] += 1
        return 2
    if second == b's' and (first == b'm' or first == b'u' or first == b'n'):
        at[0] += 1
        return 8 if first == b'm' else 9 if first == b'u' else 10
    if first == b'y':
        return 1
    if first == b'w':
        return 3
    if first == b'd':
        return 4
    if first == b'h':
        return 5
    if first == b'm':
        return 6
    return 7 if first == b's' else 0


cdef bint _iso(const uint8_t *at, const uint8_t *end, duration_t *duration) noexcept nogil:
    """Behind the P: 1Y2M3DT4H5M6S, or 2W. The form with dashes and colons is for the server."""
    cdef:
        uint64_t count
        uint8_t  unit
        bint     clock = False
        int      rank
    while at < end:
        if at[0] == b'T' and not clock:
            clock = True
            at += 1
            continue
        at = _digits(at, end, &count)
        if at is NULL or at == end:
            return False
        unit = at[0]
        at += 1
        if clock:
            rank = 5 if unit == b'H' else 6 if unit == b'M' else 7 if unit == b'S' else 0
        else:
            rank = 1 if unit == b'Y' else 2 if unit == b'M' else 3 if unit == b'W' else 4 if unit == b'D' else 0
        if not _unit(duration, count, rank) or (rank == 3 and (at < end or duration.months)):
            return False
    return True


cdef void _put_vint(int64_t value, wire_writer_t *writer) noexcept nogil:
    """With its sign in the last bit; how many bytes follow the first stands there in ones."""
    cdef:
        uint64_t folded = <uint64_t>value << 1 ^ <uint64_t>(value >> 63)
        uint64_t rest = folded >> 7
        int      extra = 0
    while rest and extra < 8:
        extra += 1
        rest >>= 7
    if extra == 8:
        wire_put_byte(writer, 0xff)
    else:
        wire_put_byte(writer, <uint8_t>(~(0xff >> extra) & 0xff | folded >> (8 * extra)))
    while extra:
        extra -= 1
        wire_put_byte(writer, <uint8_t>(folded >> (8 * extra)))


cdef bint literal_put_duration(const uint8_t *at, size_t size, wire_writer_t *writer) noexcept nogil:
    """False: only the server can tell."""
    cdef:
        const uint8_t *end = at + size
        duration_t     duration
        uint64_t       count
        bint           negative = size > 0 and at[0] == b'-'
    memset(&duration, 0, sizeof(duration))
    at += negative
    if at < end and at[0] == b'P':
        if not _iso(at + 1, end, &duration):
            return False
    else:
        while at < end:
            at = _digits(at, end, &count)
            if at is NULL or not _unit(&duration, count, _rank(&at, end)):
                return False
    _put_vint(-duration.months if negative else duration.months, writer)
    _put_vint(-duration.days if negative else duration.days, writer)
    _put_vint(-duration.ns if negative else duration.ns, writer)
    return True


# ---- order ---------------------------------------------------------------------------------------------------------


cdef int _bytes_order(const uint8_t *one, size_t size, const uint8_t *other, size_t other_size) noexcept nogil:
    cdef int order = memcmp(one, other, min(size, other_size))
    if order == 0:
        return (size > other_size) - (size < other_size)
    return 1 if order > 0 else -1


cdef int _signed_order(slice_t one, slice_t other) noexcept nogil:
    """Two's complement of the same size."""
    if (one.data[0] ^ other.data[0]) >= 0x80:
        return -1 if one.data[0] >= 0x80 else 1
    return _bytes_order(one.data, one.size, other.data, other.size)


cdef int _varint_order(slice_t one, slice_t other) noexcept nogil:
    """Two's complement of as few bytes as hold it."""
    cdef bint negative = one.data[0] >= 0x80
    if negative != (other.data[0] >= 0x80):
        return -1 if negative else 1
    if one.size != other.size:
        return -1 if (one.size < other.size) != negative else 1
    return _bytes_order(one.data, one.size, other.data, other.size)


cdef int _float_order(slice_t one, slice_t other) noexcept nogil:
    """A sign before the rest, which is ordered like a number; not-a-number, of which there is one here, is the greatest."""
    cdef int order
    if (one.data[0] ^ other.data[0]) >= 0x80:
        return -1 if one.data[0] >= 0x80 else 1
    order = _bytes_order(one.data, one.size, other.data, other.size)
    return -order if one.data[0] >= 0x80 else order


cdef int _uuid_order(slice_t one, slice_t other, bint of_time) noexcept nogil:
    """By version; those of time by their time. Where times are the same the versions of the servers differ."""
    cdef:
        uint8_t version = one.data[6] >> 4, other_version = other.data[6] >> 4
        int     order
    if version != other_version:
        return ORDER_UNKNOWN if of_time else 1 if version > other_version else -1
    if version != 1:
        return ORDER_UNKNOWN if of_time else _bytes_order(one.data, 16, other.data, 16)
    order = _bytes_order(one.data + 6, 2, other.data + 6, 2)
    if order == 0:
        order = _bytes_order(one.data + 4, 2, other.data + 4, 2)
    if order == 0:
        order = _bytes_order(one.data, 4, other.data, 4)
    if order == 0 and memcmp(one.data + 8, other.data + 8, 8) != 0:
        return ORDER_UNKNOWN
    return order


cdef int literal_order(const cql_type_t *type, slice_t one, slice_t other) noexcept nogil:
    """How two values stand to each other in a set, or as keys of a map: -1, 0, 1, or ORDER_UNKNOWN."""
    cdef uint16_t id = type.id
    if id == TYPE_VARCHAR or id == TYPE_ASCII or id == TYPE_BLOB or id == TYPE_INET or id == TYPE_DATE or id == TYPE_TIME \
            or id == TYPE_BOOLEAN:
        return _bytes_order(one.data, one.size, other.data, other.size)
    if one.size == 0 or other.size == 0:
        return ORDER_UNKNOWN
    if id == TYPE_INT or id == TYPE_BIGINT or id == TYPE_SMALLINT or id == TYPE_TINYINT or id == TYPE_TIMESTAMP:
        return _signed_order(one, other)
    if id == TYPE_FLOAT or id == TYPE_DOUBLE:
        return _float_order(one, other)
    if id == TYPE_VARINT:
        return _varint_order(one, other)
    if id == TYPE_UUID or id == TYPE_TIMEUUID:
        return _uuid_order(one, other, id == TYPE_TIMEUUID)
    return ORDER_UNKNOWN                    # decimals that are equal and look different; values within values


cdef void _reverse(uint8_t *at, uint8_t *end) noexcept nogil:
    cdef uint8_t byte
    while at < end - 1:
        end -= 1
        byte = at[0]
        at[0] = end[0]
        end[0] = byte
        at += 1


cdef void literal_turn(uint8_t *at, size_t left, size_t right) noexcept nogil:
    """Two neighbours, of so many bytes, change places."""
    _reverse(at, at + left)
    _reverse(at + left, at + left + right)
    _reverse(at, at + left + right)
