/* The two sums of a segment of CQL version 5, for the load generator and the scripted server alone.
 *
 * Written apart from the codec's on purpose: an instrument that shares code with what it measures shares its faults.
 */
#ifndef SHOTOVER_BENCHMARK_CQL_SUMS_H
#define SHOTOVER_BENCHMARK_CQL_SUMS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t by_byte[8][256];             /* CRC-32 of a byte that is followed by so many zeros */
} cql_sums_t;

static void cql_sums_make(cql_sums_t *sums) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        sums->by_byte[0][byte] = crc;
    }
    for (int zeros = 1; zeros < 8; zeros++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = sums->by_byte[zeros - 1][byte];
            sums->by_byte[zeros][byte] = crc >> 8 ^ sums->by_byte[0][crc & 255];
        }
}

static uint32_t cql_sum_go_on(const cql_sums_t *sums, uint32_t crc, const uint8_t *data, size_t size) {
    for (; size >= 8; data += 8, size -= 8) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = sums->by_byte[7][crc & 255] ^ sums->by_byte[6][crc >> 8 & 255] ^ sums->by_byte[5][crc >> 16 & 255]
            ^ sums->by_byte[4][crc >> 24] ^ sums->by_byte[3][data[4]] ^ sums->by_byte[2][data[5]]
            ^ sums->by_byte[1][data[6]] ^ sums->by_byte[0][data[7]];
    }
    for (; size; data++, size--) crc = crc >> 8 ^ sums->by_byte[0][(crc ^ *data) & 255];
    return crc;
}

/* Of a payload: CRC-32 with four bytes of the protocol's before it. */
static uint32_t cql_sum_32(const cql_sums_t *sums, const uint8_t *payload, size_t size) {
    static const uint8_t before[4] = {0xfa, 0x2d, 0x55, 0xca};
    return ~cql_sum_go_on(sums, cql_sum_go_on(sums, 0xffffffffu, before, 4), payload, size);
}

/* Of a header: 24 bits, and no table: it is three bytes. */
static uint32_t cql_sum_24(const uint8_t *header, size_t size) {
    uint32_t crc = 0x875060;
    for (size_t at = 0; at < size; at++) {
        crc ^= (uint32_t)header[at] << 16;
        for (int bit = 0; bit < 8; bit++) {
            crc <<= 1;
            if (crc & 0x1000000) crc ^= 0x1974f0b;
        }
    }
    return crc;
}

#endif
