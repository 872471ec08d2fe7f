/* Snappy (the raw format, no stream), within bounds that the caller gives; no memory is taken.

First the size of what was compressed, seven bits a byte, lowest first. Then elements, by the lowest two bits of a tag:
0, literals, their count less 1 in the tag or (60 to 63 there) in one to four bytes; 1, a copy of 4 to 11 bytes from a
distance of 11 bits; 2 and 3, a copy of 1 to 64 bytes from a distance of two and four bytes. */
#ifndef SHOTOVER_SNAPPY_H
#define SHOTOVER_SNAPPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "shotover/_codec/lz4.h"

enum {
    SNAPPY_BLOCK = 65536,       /* matches are looked for within so many bytes, so that two bytes tell their distance */
    SNAPPY_HASH_BITS = 12,
    SNAPPY_TAIL = 15,           /* the last bytes of a block are not searched */
    SNAPPY_RATIO_MAX = 22       /* no byte stands for more than so many: three bytes for 64 */
};

static inline size_t snappy_bound(size_t size)
{
    return 32 + size + size / 6;
}

/* The size that the bytes claim to become. Returns how many bytes say so; 0: they do not, or it takes more than 32 bits. */
static inline size_t snappy_size(const uint8_t *in, size_t size, size_t *out_size)
{
    uint64_t claimed = 0;
    size_t at;
    for (at = 0; at < size && at < 5; at++) {
        claimed |= (uint64_t)(in[at] & 127) << (7 * at);
        if (in[at] < 128) {
            *out_size = (size_t)claimed;
            return claimed > UINT32_MAX ? 0 : at + 1;
        }
    }
    return 0;
}

/* Makes exactly `out_size` bytes of what follows the size; 0: done, -1: it is not Snappy. */
static int snappy_decompress(const uint8_t *in, size_t size, uint8_t *out, size_t out_size)
{
    const uint8_t *end = in + size;
    uint8_t *to = out;
    uint8_t *out_end = out + out_size;
    while (in < end) {
        uint8_t tag = *in++;
        size_t count = (size_t)(tag >> 2) + 1;
        size_t distance = 0;
        size_t bytes, index;
        switch (tag & 3) {
        case 0:
            if (count > 60) {
                bytes = count - 60;
                if ((size_t)(end - in) < bytes)
                    return -1;
                count = 1;
                for (index = 0; index < bytes; index++)
                    count += (size_t)in[index] << (8 * index);
                in += bytes;
            }
            if (count > (size_t)(end - in) || count > (size_t)(out_end - to))
                return -1;
            memcpy(to, in, count);
            in += count;
            to += count;
            continue;
        case 1:
            if (in == end)
                return -1;
            count = (size_t)(tag >> 2 & 7) + 4;
            distance = (size_t)(tag >> 5) << 8 | *in++;
            break;
        default:
            bytes = (tag & 3) == 2 ? 2 : 4;
            if ((size_t)(end - in) < bytes)
                return -1;
            for (index = 0; index < bytes; index++)
                distance |= (size_t)in[index] << (8 * index);
            in += bytes;
        }
        if (distance == 0 || distance > (size_t)(to - out) || count > (size_t)(out_end - to))
            return -1;
        lz_copy(to, distance, count, out_end);
        to += count;
    }
    return to == out_end ? 0 : -1;
}

static inline uint8_t *snappy_put_literals(uint8_t *to, const uint8_t *room_end, const uint8_t *literals, size_t count)
{
    size_t less = count - 1;
    if ((size_t)(room_end - to) < count + 5)
        return NULL;
    if (less < 60) {
        *to++ = (uint8_t)(less << 2);
    } else {
        uint8_t *tag = to++;
        int bytes = 0;
        for (; less; less >>= 8, bytes++)
            *to++ = (uint8_t)less;
        *tag = (uint8_t)((59 + bytes) << 2);
    }
    memcpy(to, literals, count);
    return to + count;
}

static inline uint8_t *snappy_put_copy(uint8_t *to, const uint8_t *room_end, size_t distance, size_t count)
{
    if ((size_t)(room_end - to) < 3 * (count / 64 + 2))
        return NULL;
    while (count >= 4) {
        /* what is left over must not be shorter than a copy of one byte of distance can tell */
        size_t now = count <= 64 ? count : count < 68 ? 60 : 64;
        if (now < 12 && distance < 2048) {
            *to++ = (uint8_t)(1 | (now - 4) << 2 | distance >> 8 << 5);
            *to++ = (uint8_t)distance;
        } else {
            *to++ = (uint8_t)(2 | (now - 1) << 2);
            *to++ = (uint8_t)distance;
            *to++ = (uint8_t)(distance >> 8);
        }
        count -= now;
    }
    return to;
}

static inline uint8_t *snappy_put_block(const uint8_t *in, size_t size, uint8_t *to, const uint8_t *room_end)
{
    uint16_t seen[1 << SNAPPY_HASH_BITS];
    int bits = lz_hash_bits(size, SNAPPY_HASH_BITS);
    const uint8_t *end = in + size;
    const uint8_t *literals = in;
    memset(seen, 0, sizeof(seen[0]) << bits);
    if (size > SNAPPY_TAIL) {
        const uint8_t *last = end - SNAPPY_TAIL;
        const uint8_t *at = in + 1;
        uint32_t misses = 0;
        while (at <= last) {
            uint32_t hash = lz4_word(at) * 0x1e35a7bdu >> (32 - bits);
            const uint8_t *before = in + seen[hash];
            seen[hash] = (uint16_t)(at - in);
            if (lz4_word(before) != lz4_word(at)) {
                at += 1 + (misses++ >> LZ4_SKIP);
                continue;
            }
            size_t match = 4 + lz_same(at + 4, before + 4, end);
            if (at > literals)
                to = snappy_put_literals(to, room_end, literals, (size_t)(at - literals));
            if (to != NULL)
                to = snappy_put_copy(to, room_end, (size_t)(at - before), match);
            if (to == NULL)
                return NULL;
            at += match;
            literals = at;
            misses = 0;
        }
    }
    return end > literals ? snappy_put_literals(to, room_end, literals, (size_t)(end - literals)) : to;
}

/* The size, then what it says; 0: it does not fit into `room`. `size` is at most 2^32 - 1. */
static size_t snappy_compress(const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
    uint8_t *to = out;
    const uint8_t *room_end = out + room;
    size_t left = size;
    if (room < 5)
        return 0;
    for (; left >= 128; left >>= 7)
        *to++ = (uint8_t)(left | 128);
    *to++ = (uint8_t)left;
    while (size) {
        size_t block = size < SNAPPY_BLOCK ? size : SNAPPY_BLOCK;
        to = snappy_put_block(in, block, to, room_end);
        if (to == NULL)
            return 0;
        in += block;
        size -= block;
    }
    return (size_t)(to - out);
}

#endif
