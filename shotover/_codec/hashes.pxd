"""Hashes of keys: twemproxy's twelve, bit for bit, and XXH64.

Twemproxy's are published functions, each made 32 bits wide, with habits of its own that decide where data lies:

    one_at_a_time, fnv1_64, fnv1_32, fnv1a_32, fnv1a_64    bytes of 0x80 and more are taken as negative numbers
    fnv1a_64     only ever 32 bits wide: the 64-bit constants are cut to their lower halves
    fnv1_64      64 bits wide; the lower half is the result
    crc16        is not cut to 16 bits: what was shifted out of them stays above
    crc32        is shifted right by 16 and cut to 15 bits; crc32a is the plain CRC-32
    hsieh        the third of three bytes left at the end is taken as a negative number, if it is one
    murmur       MurmurHash2 with the seed 0xdeadbeef * size
    jenkins      lookup3 (hashlittle) with the start value 13
    md5          the first four bytes, the lowest first

"Negative" holds for a twemproxy built where C's char is signed, as on x86. One built for ARM places keys with bytes of
0x80 and more elsewhere; it cannot be followed.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

ctypedef uint32_t (*hash_t)(const uint8_t *key, size_t size) noexcept nogil


cdef hash_t hash_named(str name) except NULL
cdef uint64_t xxh64(const uint8_t *data, size_t size, uint64_t seed) noexcept nogil


cdef inline uint64_t mix64(uint64_t x) noexcept nogil:
    """Spreads every bit over all 64 (the finish of splitmix64); a bijection."""
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)
