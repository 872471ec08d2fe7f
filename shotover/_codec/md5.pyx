"""See md5.pxd."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include "shotover/_codec/commands.h"       /* SHOTOVER_LITTLE32, SHOTOVER_LITTLE64 */
    static const uint32_t MD5_SINES[64] = {     /* floor(2**32 * abs(sin(i + 1))) */
        0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
        0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
        0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
        0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
        0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
        0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
        0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
        0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
    static const int MD5_SHIFTS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    """
    const uint32_t MD5_SINES[64]
    const int MD5_SHIFTS[4][4]
    uint32_t SHOTOVER_LITTLE32(uint32_t) noexcept nogil
    uint64_t SHOTOVER_LITTLE64(uint64_t) noexcept nogil

cdef enum:
    BLOCK_SIZE = 64
    LENGTH_AT = 56      # in the last block: the number of bits


cdef inline void step(uint32_t *s, uint32_t f, uint32_t word, int round, int i) noexcept nogil:
    """One of 64: turns the four words of the state round by one place."""
    cdef:
        uint32_t x = s[0] + f + word + MD5_SINES[round * 16 + i]
        int      bits = MD5_SHIFTS[round][i & 3]
    s[0] = s[3]
    s[3] = s[2]
    s[2] = s[1]
    s[1] = s[1] + (x << bits | x >> (32 - bits))


cdef void take_block(uint32_t *state, const uint8_t *data) noexcept nogil:
    cdef:
        uint32_t words[16]
        uint32_t s[4]
        int      i
    memcpy(words, data, BLOCK_SIZE)
    memcpy(s, state, 16)
    for i in range(16):
        words[i] = SHOTOVER_LITTLE32(words[i])
    for i in range(16):
        step(s, s[3] ^ (s[1] & (s[2] ^ s[3])), words[i], 0, i)
    for i in range(16):
        step(s, s[2] ^ (s[3] & (s[1] ^ s[2])), words[(5 * i + 1) & 15], 1, i)
    for i in range(16):
        step(s, s[1] ^ s[2] ^ s[3], words[(3 * i + 5) & 15], 2, i)
    for i in range(16):
        step(s, s[2] ^ (s[1] | ~s[3]), words[(7 * i) & 15], 3, i)
    for i in range(4):
        state[i] += s[i]


cdef void md5(const uint8_t *data, size_t size, uint32_t *words) noexcept nogil:
    """The digest as four numbers, each of which stands for four bytes, the lowest first."""
    cdef:
        uint8_t  last[BLOCK_SIZE]
        uint64_t bits = <uint64_t>size * 8
    words[0] = 0x67452301
    words[1] = 0xefcdab89
    words[2] = 0x98badcfe
    words[3] = 0x10325476
    while size >= BLOCK_SIZE:
        take_block(words, data)
        data += BLOCK_SIZE
        size -= BLOCK_SIZE
    memset(last, 0, BLOCK_SIZE)
    memcpy(last, data, size)
    last[size] = 0x80
    if size >= LENGTH_AT:
        take_block(words, last)
        memset(last, 0, BLOCK_SIZE)
    bits = SHOTOVER_LITTLE64(bits)
    memcpy(last + LENGTH_AT, &bits, 8)
    take_block(words, last)
