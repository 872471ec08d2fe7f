/* Tables of CRCs, made by the compiler: an entry is the sum (XOR) of what each of its index's bits gives.

CRC-16/XMODEM is that of Redis Cluster: polynomial 0x1021, most significant bit first, start 0. Table t, entry i is what
byte i adds when t bytes follow it, so that eight bytes are taken in by eight look-ups that do not wait for each other.
CRC-32 is that of zip and Ethernet: polynomial 0x04C11DB7, least significant bit first. */
#ifndef SHOTOVER_CRC_H
#define SHOTOVER_CRC_H

#include <stdint.h>

#define CRC_IF(i, bit, value) (((i) & (bit)) ? (value) : 0)
#define CRC_4(M, t, i) M(t, (i)), M(t, (i) + 1), M(t, (i) + 2), M(t, (i) + 3)
#define CRC_16(M, t, i) CRC_4(M, t, (i)), CRC_4(M, t, (i) + 4), CRC_4(M, t, (i) + 8), CRC_4(M, t, (i) + 12)
#define CRC_64(M, t, i) CRC_16(M, t, (i)), CRC_16(M, t, (i) + 16), CRC_16(M, t, (i) + 32), CRC_16(M, t, (i) + 48)
#define CRC_256(M, t) CRC_64(M, t, 0), CRC_64(M, t, 64), CRC_64(M, t, 128), CRC_64(M, t, 192)

/* CRC16_BIT_tb: one bit, followed by t bytes and b bits. Each is the one before it, shifted by one more bit. */
#define CRC16_SHIFT(c) ((((c) << 1) ^ (((c) & 0x8000) ? 0x1021 : 0)) & 0xffff)
#define CRC16_BITS(t, before) \
    CRC16_BIT_##t##0 = CRC16_SHIFT(before), CRC16_BIT_##t##1 = CRC16_SHIFT(CRC16_BIT_##t##0), \
    CRC16_BIT_##t##2 = CRC16_SHIFT(CRC16_BIT_##t##1), CRC16_BIT_##t##3 = CRC16_SHIFT(CRC16_BIT_##t##2), \
    CRC16_BIT_##t##4 = CRC16_SHIFT(CRC16_BIT_##t##3), CRC16_BIT_##t##5 = CRC16_SHIFT(CRC16_BIT_##t##4), \
    CRC16_BIT_##t##6 = CRC16_SHIFT(CRC16_BIT_##t##5), CRC16_BIT_##t##7 = CRC16_SHIFT(CRC16_BIT_##t##6)
enum {
    CRC16_BITS(0, 0x8000), CRC16_BITS(1, CRC16_BIT_07), CRC16_BITS(2, CRC16_BIT_17), CRC16_BITS(3, CRC16_BIT_27),
    CRC16_BITS(4, CRC16_BIT_37), CRC16_BITS(5, CRC16_BIT_47), CRC16_BITS(6, CRC16_BIT_57), CRC16_BITS(7, CRC16_BIT_67)
};
#define CRC16_ENTRY(t, i) (uint16_t)( \
    CRC_IF(i, 1, CRC16_BIT_##t##0) ^ CRC_IF(i, 2, CRC16_BIT_##t##1) ^ CRC_IF(i, 4, CRC16_BIT_##t##2) ^ \
    CRC_IF(i, 8, CRC16_BIT_##t##3) ^ CRC_IF(i, 16, CRC16_BIT_##t##4) ^ CRC_IF(i, 32, CRC16_BIT_##t##5) ^ \
    CRC_IF(i, 64, CRC16_BIT_##t##6) ^ CRC_IF(i, 128, CRC16_BIT_##t##7))

static const uint16_t crc16_table[8][256] = {
    {CRC_256(CRC16_ENTRY, 0)}, {CRC_256(CRC16_ENTRY, 1)}, {CRC_256(CRC16_ENTRY, 2)}, {CRC_256(CRC16_ENTRY, 3)},
    {CRC_256(CRC16_ENTRY, 4)}, {CRC_256(CRC16_ENTRY, 5)}, {CRC_256(CRC16_ENTRY, 6)}, {CRC_256(CRC16_ENTRY, 7)}
};

#define CRC32_ENTRY(t, i) (uint32_t)( \
    CRC_IF(i, 1, 0x77073096u) ^ CRC_IF(i, 2, 0xEE0E612Cu) ^ CRC_IF(i, 4, 0x076DC419u) ^ CRC_IF(i, 8, 0x0EDB8832u) ^ \
    CRC_IF(i, 16, 0x1DB71064u) ^ CRC_IF(i, 32, 0x3B6E20C8u) ^ CRC_IF(i, 64, 0x76DC4190u) ^ CRC_IF(i, 128, 0xEDB88320u))

static const uint32_t crc32_table[256] = {CRC_256(CRC32_ENTRY, 0)};

#endif
