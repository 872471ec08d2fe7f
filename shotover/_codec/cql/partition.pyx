"""See partition.pxd."""

from libc.string cimport memcmp, memcpy

from shotover._codec.md5 cimport md5

cdef extern from "shotover/_codec/commands.h" nogil:
    uint64_t SHOTOVER_LITTLE64(uint64_t)

cdef enum:
    BLOCK_SIZE = 16
    PART_SIZE_MAX = 0xffff


cdef uint8_t partitioner_of(const uint8_t *name, size_t size) noexcept nogil:
    """Of a class name as system.local has it, with or without its package."""
    if size >= 17 and memcmp(name + size - 17, b"RandomPartitioner", 17) == 0:
        return PARTITIONER_RANDOM
    if size >= 18 and memcmp(name + size - 18, b"Murmur3Partitioner", 18) == 0:
        return PARTITIONER_MURMUR3
    if size >= 22 and memcmp(name + size - 22, b"ByteOrderedPartitioner", 22) == 0:
        return PARTITIONER_BYTE_ORDERED
    return PARTITIONER_UNKNOWN


cdef inline uint64_t _turn(uint64_t value, int bits) noexcept nogil:
    return value << bits | value >> (64 - bits)


cdef inline uint64_t _mix(uint64_t value) noexcept nogil:
    value ^= value >> 33
    value *= 0xff51afd7ed558ccdu
    value ^= value >> 33
    value *= 0xc4ceb9fe1a85ec53u
    return value ^ value >> 33


cdef inline uint64_t _first(uint64_t value) noexcept nogil:
    return _turn(value * <uint64_t>0x87c37b91114253d5u, 31) * <uint64_t>0x4cf5ad432745937fu


cdef inline uint64_t _second(uint64_t value) noexcept nogil:
    return _turn(value * <uint64_t>0x4cf5ad432745937fu, 33) * <uint64_t>0x87c37b91114253d5u


cdef int64_t token_murmur3(const uint8_t *key, size_t size) noexcept nogil:
    """The first half of MurmurHash3 (x64, 128 bits, seed 0), but bytes of the tail are signed there, as the servers' are."""
    cdef:
        const uint8_t *at = key
        const uint8_t *tail = key + (size & ~<size_t>15)
        size_t   left = size & 15, index
        uint64_t one = 0, two = 0, low, high
    if size == 0:
        return <int64_t>(<uint64_t>1 << 63)
    while at < tail:
        memcpy(&low, at, 8)
        memcpy(&high, at + 8, 8)
        one = (_turn(one ^ _first(SHOTOVER_LITTLE64(low)), 27) + two) * 5 + 0x52dce729
        two = (_turn(two ^ _second(SHOTOVER_LITTLE64(high)), 31) + one) * 5 + 0x38495ab5
        at += BLOCK_SIZE
    low = high = 0
    for index in range(left):
        if index < 8:
            low ^= <uint64_t><int64_t><signed char>tail[index] << (8 * index)
        else:
            high ^= <uint64_t><int64_t><signed char>tail[index] << (8 * (index - 8))
    if left > 8:
        two ^= _second(high)
    if left > 0:
        one ^= _first(low)
    one ^= size
    two ^= size
    one += two
    two += one
    one = _mix(one) + _mix(two)
    if one == <uint64_t>1 << 63:            # that one stands for "before all"
        one -= 1
    return <int64_t>one


cdef inline uint64_t _big(const uint32_t *words) noexcept nogil:
    """Eight bytes of a digest, the first the most significant."""
    cdef uint64_t value = 0
    cdef int      index
    for index in range(8):
        value = value << 8 | (words[index >> 2] >> (8 * (index & 3)) & 0xff)
    return value


cdef wide_t token_random(const uint8_t *key, size_t size) noexcept nogil:
    """The MD5 of the key as a signed number of 128 bits, without its sign."""
    cdef:
        uint32_t words[4]
        wide_t   token
    md5(key, size, words)
    token.high = _big(words)
    token.low = _big(words + 2)
    if token.high >> 63:
        token.low = ~token.low + 1
        token.high = ~token.high + (token.low == 0)
    return token


cdef int token_compare_bytes(slice_t one, slice_t other) noexcept nogil:
    """How two keys stand to each other in the order of the byte-ordered partitioner: below 0, 0, above 0."""
    cdef int order = memcmp(one.data, other.data, min(one.size, other.size))
    if order:
        return order
    return -1 if one.size < other.size else one.size > other.size


cdef size_t partition_key_size(const slice_t *parts, uint32_t count) noexcept nogil:
    """Bytes of the key that these values make. 0: they make none (null or empty alone, or too long)."""
    cdef:
        size_t   size = 0
        uint32_t index
    if count == 1:
        return parts[0].size if parts[0].data is not NULL else 0
    for index in range(count):
        if parts[index].data is NULL or parts[index].size > PART_SIZE_MAX:
            return 0
        size += parts[index].size + 3
    return size


cdef size_t partition_key_put(uint8_t *out, const slice_t *parts, uint32_t count) noexcept nogil:
    """Writes it into `out`, which has partition_key_size bytes: one value as it is, of several each with its size before and
    a zero behind it."""
    cdef:
        uint8_t *at = out
        uint32_t index
    if count == 1:
        memcpy(out, parts[0].data, parts[0].size)
        return parts[0].size
    for index in range(count):
        at[0] = <uint8_t>(parts[index].size >> 8)
        at[1] = <uint8_t>parts[index].size
        if parts[index].size:
            memcpy(at + 2, parts[index].data, parts[index].size)
        at += 2 + parts[index].size
        at[0] = 0
        at += 1
    return <size_t>(at - out)
