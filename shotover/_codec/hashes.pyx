"""See hashes.pxd."""

from libc.stdint cimport int8_t, uint16_t
from libc.string cimport memcpy

from shotover._codec.md5 cimport md5

cdef extern from "shotover/_codec/crc.h" nogil:
    const uint16_t crc16_table[8][256]
    const uint32_t crc32_table[256]

cdef extern from *:
    """
    #include "shotover/_codec/commands.h"                   /* SHOTOVER_LITTLE32, SHOTOVER_LITTLE64 */
    #define HASH_FORGET(x) __asm__ volatile("" : "+r"(x))   /* what the compiler knew of x; for measuring */
    #define FNV32_START 2166136261u
    #define FNV32_PRIME 16777619u
    #define MURMUR_M 0x5bd1e995u
    #define XXH_1 0x9E3779B185EBCA87u
    #define XXH_2 0xC2B2AE3D27D4EB4Fu
    #define XXH_3 0x165667B19E3779F9u
    #define XXH_4 0x85EBCA77C2B2AE63u
    #define XXH_5 0x27D4EB2F165667C5u
    """
    const uint32_t FNV32_START, FNV32_PRIME, MURMUR_M
    const uint64_t XXH_1, XXH_2, XXH_3, XXH_4, XXH_5
    uint32_t SHOTOVER_LITTLE32(uint32_t) noexcept nogil
    uint64_t SHOTOVER_LITTLE64(uint64_t) noexcept nogil
    void HASH_FORGET(const uint8_t *) noexcept nogil


# ---- reading ----------------------------------------------------------------------------------------------------------

cdef inline uint32_t extended(uint8_t byte) noexcept nogil:
    """As C extends a signed char."""
    return <uint32_t><int8_t>byte


cdef inline uint32_t read16(const uint8_t *p) noexcept nogil:
    return p[0] | <uint32_t>p[1] << 8


cdef inline uint32_t read32(const uint8_t *p) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, p, 4)
    return SHOTOVER_LITTLE32(value)


cdef inline uint64_t read64(const uint8_t *p) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, p, 8)
    return SHOTOVER_LITTLE64(value)


cdef inline uint32_t rotate32(uint32_t x, int bits) noexcept nogil:
    return x << bits | x >> (32 - bits)


cdef inline uint64_t rotate64(uint64_t x, int bits) noexcept nogil:
    return x << bits | x >> (64 - bits)


# ---- a byte at a time -------------------------------------------------------------------------------------------------

cdef uint32_t hash_one_at_a_time(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint32_t h = 0
        size_t   i
    for i in range(size):
        h += extended(key[i])
        h += h << 10
        h ^= h >> 6
    h += h << 3
    h ^= h >> 11
    return h + (h << 15)


cdef uint32_t hash_fnv1_64(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint64_t h = 0xcbf29ce484222325
        size_t   i
    for i in range(size):
        h = h * <uint64_t>0x100000001b3 ^ <uint64_t><int8_t>key[i]
    return <uint32_t>h


cdef uint32_t hash_fnv1a_64(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint32_t h = 0x84222325
        size_t   i
    for i in range(size):
        h = (h ^ extended(key[i])) * <uint32_t>0x1b3
    return h


cdef uint32_t hash_fnv1_32(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint32_t h = FNV32_START
        size_t   i
    for i in range(size):
        h = h * FNV32_PRIME ^ extended(key[i])
    return h


cdef uint32_t hash_fnv1a_32(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint32_t h = FNV32_START
        size_t   i
    for i in range(size):
        h = (h ^ extended(key[i])) * FNV32_PRIME
    return h


cdef uint32_t hash_crc16(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint32_t h = 0
        size_t   i
    for i in range(size):
        h = h << 8 ^ crc16_table[0][(h >> 8 ^ key[i]) & 0xff]
    return h


cdef uint32_t hash_crc32a(const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        uint32_t h = 0xffffffff
        size_t   i
    for i in range(size):
        h = h >> 8 ^ crc32_table[(h ^ key[i]) & 0xff]
    return ~h


cdef uint32_t hash_crc32(const uint8_t *key, size_t size) noexcept nogil:
    return hash_crc32a(key, size) >> 16 & 0x7fff


cdef uint32_t hash_md5(const uint8_t *key, size_t size) noexcept nogil:
    cdef uint32_t words[4]
    md5(key, size, words)
    return words[0]


# ---- words at a time --------------------------------------------------------------------------------------------------

cdef uint32_t hash_hsieh(const uint8_t *key, size_t size) noexcept nogil:
    """SuperFastHash."""
    cdef uint32_t h = 0
    if size == 0:
        return 0
    while size >= 4:
        h += read16(key)
        h = h << 16 ^ (read16(key + 2) << 11 ^ h)
        h += h >> 11
        key += 4
        size -= 4
    if size == 3:
        h += read16(key)
        h ^= h << 16
        h ^= extended(key[2]) << 18
        h += h >> 11
    elif size == 2:
        h += read16(key)
        h ^= h << 11
        h += h >> 17
    elif size == 1:
        h += key[0]
        h ^= h << 10
        h += h >> 1
    h ^= h << 3
    h += h >> 5
    h ^= h << 4
    h += h >> 17
    h ^= h << 25
    return h + (h >> 6)


cdef uint32_t hash_murmur(const uint8_t *key, size_t size) noexcept nogil:
    """MurmurHash2."""
    cdef uint32_t k, h = <uint32_t>0xdeadbeef * <uint32_t>size ^ <uint32_t>size
    while size >= 4:
        k = read32(key) * MURMUR_M
        k = (k ^ k >> 24) * MURMUR_M
        h = h * MURMUR_M ^ k
        key += 4
        size -= 4
    if size == 3:
        h ^= <uint32_t>key[2] << 16
    if size >= 2:
        h ^= <uint32_t>key[1] << 8
    if size:
        h = (h ^ key[0]) * MURMUR_M
    h = (h ^ h >> 13) * MURMUR_M
    return h ^ h >> 15


cdef inline uint32_t last_word(const uint8_t *p, size_t size) noexcept nogil:
    """Up to four bytes as a number, the lowest first; those that are not there are zero."""
    cdef uint32_t value = 0
    if size >= 4:
        return read32(p)
    if size >= 3:
        value = <uint32_t>p[2] << 16
    if size >= 2:
        value |= <uint32_t>p[1] << 8
    if size >= 1:
        value |= p[0]
    return value


cdef uint32_t hash_jenkins(const uint8_t *key, size_t size) noexcept nogil:
    """lookup3, hashlittle."""
    cdef uint32_t a = <uint32_t>0xdeadbeef + 13 + <uint32_t>size, b = a, c = a
    while size > 12:
        a += read32(key)
        b += read32(key + 4)
        c += read32(key + 8)
        a = (a - c) ^ rotate32(c, 4)
        c += b
        b = (b - a) ^ rotate32(a, 6)
        a += c
        c = (c - b) ^ rotate32(b, 8)
        b += a
        a = (a - c) ^ rotate32(c, 16)
        c += b
        b = (b - a) ^ rotate32(a, 19)
        a += c
        c = (c - b) ^ rotate32(b, 4)
        b += a
        key += 12
        size -= 12
    if size == 0:
        return c
    a += last_word(key, size)
    if size > 4:
        b += last_word(key + 4, size - 4)
    if size > 8:
        c += last_word(key + 8, size - 8)
    c = (c ^ b) - rotate32(b, 14)
    a = (a ^ c) - rotate32(c, 11)
    b = (b ^ a) - rotate32(a, 25)
    c = (c ^ b) - rotate32(b, 16)
    a = (a ^ c) - rotate32(c, 4)
    b = (b ^ a) - rotate32(a, 14)
    return (c ^ b) - rotate32(b, 24)


# ---- XXH64 ------------------------------------------------------------------------------------------------------------

cdef inline uint64_t xxh_round(uint64_t state, uint64_t lane) noexcept nogil:
    return rotate64(state + lane * XXH_2, 31) * XXH_1


cdef inline uint64_t xxh_merge(uint64_t h, uint64_t state) noexcept nogil:
    return (h ^ xxh_round(0, state)) * XXH_1 + XXH_4


cdef uint64_t xxh64(const uint8_t *data, size_t size, uint64_t seed) noexcept nogil:
    cdef uint64_t h = seed + XXH_5, total = size, s1, s2, s3, s4
    if size >= 32:
        s1 = seed + XXH_1 + XXH_2
        s2 = seed + XXH_2
        s3 = seed
        s4 = seed - XXH_1
        while size >= 32:
            s1 = xxh_round(s1, read64(data))
            s2 = xxh_round(s2, read64(data + 8))
            s3 = xxh_round(s3, read64(data + 16))
            s4 = xxh_round(s4, read64(data + 24))
            data += 32
            size -= 32
        h = rotate64(s1, 1) + rotate64(s2, 7) + rotate64(s3, 12) + rotate64(s4, 18)
        h = xxh_merge(xxh_merge(xxh_merge(xxh_merge(h, s1), s2), s3), s4)
    h += total
    while size >= 8:
        h = rotate64(h ^ xxh_round(0, read64(data)), 27) * XXH_1 + XXH_4
        data += 8
        size -= 8
    if size >= 4:
        h = rotate64(h ^ read32(data) * XXH_1, 23) * XXH_2 + XXH_3
        data += 4
        size -= 4
    while size:
        h = rotate64(h ^ data[0] * XXH_5, 11) * XXH_1
        data += 1
        size -= 1
    h = (h ^ h >> 33) * XXH_2
    h = (h ^ h >> 29) * XXH_3
    return h ^ h >> 32


# ---- by name ----------------------------------------------------------------------------------------------------------

cdef hash_t hash_named(str name) except NULL:
    """The function of that name, as nutcracker.yml spells it."""
    if name == "fnv1a_64":
        return hash_fnv1a_64
    if name == "one_at_a_time":
        return hash_one_at_a_time
    if name == "md5":
        return hash_md5
    if name == "crc16":
        return hash_crc16
    if name == "crc32":
        return hash_crc32
    if name == "crc32a":
        return hash_crc32a
    if name == "fnv1_64":
        return hash_fnv1_64
    if name == "fnv1_32":
        return hash_fnv1_32
    if name == "fnv1a_32":
        return hash_fnv1a_32
    if name == "hsieh":
        return hash_hsieh
    if name == "murmur":
        return hash_murmur
    if name == "jenkins":
        return hash_jenkins
    raise ValueError(f"no hash is named {name!r}")


def hash_of(str name not None, bytes key not None):
    """What the hash `name` makes of `key`; "xxh64" too, with the seed 0."""
    cdef const uint8_t *data = <const uint8_t *><const char *>key
    if name == "xxh64":
        return xxh64(data, <size_t>len(key), 0)
    return hash_named(name)(data, <size_t>len(key))


def hash_often(str name not None, bytes key not None, uint32_t rounds):
    """Hashes `key` `rounds` times, for benchmarks."""
    cdef:
        const uint8_t *data = <const uint8_t *><const char *>key
        size_t   size = len(key)
        hash_t   function = hash_named("md5" if name == "xxh64" else name)
        bint     wide = name == "xxh64"
        uint64_t total = 0
        uint32_t _
    with nogil:
        for _ in range(rounds):
            HASH_FORGET(data)
            total += xxh64(data, size, 0) if wide else function(data, size)
    return total
