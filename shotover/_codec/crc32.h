/* CRC-32 of zip and Ethernet (polynomial 0x04C11DB7, least significant bit first), as fast as the machine can.

Three ways to the same sum: carry-less multiplication (x86-64 with PCLMULQDQ, known when the process runs), the CRC
instructions of ARM (known to the compiler), and eight tables at a time. Table t, entry i is what byte i adds when t bytes
follow it; each bit's share is the one of the next higher bit, taken through one more step of the polynomial. */
#ifndef SHOTOVER_CRC32_H
#define SHOTOVER_CRC32_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "shotover/_codec/crc.h"

#define CRC32_SHIFT(c) (((c) >> 1) ^ (((c) & 1) ? 0xEDB88320u : 0))
#define CRC32_BITS(t, before) \
    CRC32_BIT_##t##7 = CRC32_SHIFT(before), CRC32_BIT_##t##6 = CRC32_SHIFT(CRC32_BIT_##t##7), \
    CRC32_BIT_##t##5 = CRC32_SHIFT(CRC32_BIT_##t##6), CRC32_BIT_##t##4 = CRC32_SHIFT(CRC32_BIT_##t##5), \
    CRC32_BIT_##t##3 = CRC32_SHIFT(CRC32_BIT_##t##4), CRC32_BIT_##t##2 = CRC32_SHIFT(CRC32_BIT_##t##3), \
    CRC32_BIT_##t##1 = CRC32_SHIFT(CRC32_BIT_##t##2), CRC32_BIT_##t##0 = CRC32_SHIFT(CRC32_BIT_##t##1)
enum {
    CRC32_BITS(0, 1u), CRC32_BITS(1, CRC32_BIT_00), CRC32_BITS(2, CRC32_BIT_10), CRC32_BITS(3, CRC32_BIT_20),
    CRC32_BITS(4, CRC32_BIT_30), CRC32_BITS(5, CRC32_BIT_40), CRC32_BITS(6, CRC32_BIT_50), CRC32_BITS(7, CRC32_BIT_60)
};
#define CRC32_EIGHT(t, i) (uint32_t)( \
    CRC_IF(i, 1, CRC32_BIT_##t##0) ^ CRC_IF(i, 2, CRC32_BIT_##t##1) ^ CRC_IF(i, 4, CRC32_BIT_##t##2) ^ \
    CRC_IF(i, 8, CRC32_BIT_##t##3) ^ CRC_IF(i, 16, CRC32_BIT_##t##4) ^ CRC_IF(i, 32, CRC32_BIT_##t##5) ^ \
    CRC_IF(i, 64, CRC32_BIT_##t##6) ^ CRC_IF(i, 128, CRC32_BIT_##t##7))

static const uint32_t crc32_tables[8][256] = {
    {CRC_256(CRC32_EIGHT, 0)}, {CRC_256(CRC32_EIGHT, 1)}, {CRC_256(CRC32_EIGHT, 2)}, {CRC_256(CRC32_EIGHT, 3)},
    {CRC_256(CRC32_EIGHT, 4)}, {CRC_256(CRC32_EIGHT, 5)}, {CRC_256(CRC32_EIGHT, 6)}, {CRC_256(CRC32_EIGHT, 7)}
};

/* All of these take and give the sum as it stands inside: inverted at both ends by whoever begins and ends it. */
static inline uint32_t crc32_by_tables(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size >= 8; data += 8, size -= 8) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = crc32_tables[7][crc & 0xff] ^ crc32_tables[6][crc >> 8 & 0xff] ^ crc32_tables[5][crc >> 16 & 0xff] ^
            crc32_tables[4][crc >> 24] ^ crc32_tables[3][data[4]] ^ crc32_tables[2][data[5]] ^ crc32_tables[1][data[6]] ^
            crc32_tables[0][data[7]];
    }
    for (; size; data++, size--)
        crc = crc >> 8 ^ crc32_tables[0][(crc ^ *data) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { CRC32_WIDE_MIN = 64 };

/* Folds four times 128 bits at a time, as in Intel's "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ":
multiplying by x^n modulo the polynomial moves what lies n bits ahead to where it can be added. `size` is a multiple of 16,
and at least 64. */
__attribute__((target("pclmul,sse4.1")))
static uint32_t crc32_by_folding(uint32_t crc, const uint8_t *data, size_t size)
{
    const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);      /* x^(512-32), x^(512+32), reflected */
    const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);      /* x^(128-32), x^(128+32) */
    const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);                  /* x^64 */
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);     /* the quotient of x^64, the polynomial */
    const __m128i low = _mm_set_epi32(0, -1, 0, -1);
    __m128i lanes[4], sum, high;
    int lane;

    for (lane = 0; lane < 4; lane++)
        lanes[lane] = _mm_loadu_si128((const __m128i *)data + lane);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)crc));
    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64)
        for (lane = 0; lane < 4; lane++)
            lanes[lane] = _mm_xor_si128(
                _mm_xor_si128(_mm_clmulepi64_si128(lanes[lane], by_512, 0x00), _mm_clmulepi64_si128(lanes[lane], by_512, 0x11)),
                _mm_loadu_si128((const __m128i *)data + lane));
    sum = lanes[0];
    for (lane = 1; lane < 4; lane++)
        sum = _mm_xor_si128(
            _mm_xor_si128(_mm_clmulepi64_si128(sum, by_128, 0x00), _mm_clmulepi64_si128(sum, by_128, 0x11)), lanes[lane]);
    for (; size >= 16; data += 16, size -= 16)
        sum = _mm_xor_si128(
            _mm_xor_si128(_mm_clmulepi64_si128(sum, by_128, 0x00), _mm_clmulepi64_si128(sum, by_128, 0x11)),
            _mm_loadu_si128((const __m128i *)data));
    sum = _mm_xor_si128(_mm_clmulepi64_si128(sum, by_128, 0x10), _mm_srli_si128(sum, 8));       /* 128 bits to 96 */
    high = _mm_srli_si128(sum, 4);
    sum = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(sum, low), by_64, 0x00), high);      /* 96 to 64 */
    high = _mm_clmulepi64_si128(_mm_and_si128(sum, low), barrett, 0x10);
    high = _mm_clmulepi64_si128(_mm_and_si128(high, low), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(sum, high), 1);
}

static inline uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
{
    if (size >= CRC32_WIDE_MIN && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        size_t wide = size & ~(size_t)15;
        crc = crc32_by_folding(crc, data, wide);
        data += wide;
        size -= wide;
    }
    return crc32_by_tables(crc, data, size);
}

#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

static inline uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t word;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        crc = __crc32d(crc, word);
    }
    for (; size; data++, size--)
        crc = __crc32b(crc, *data);
    return crc;
}

#else

static inline uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
{
    return crc32_by_tables(crc, data, size);
}

#endif
#endif
