/* LZ4 blocks (the block format alone, no frames), within bounds that the caller gives; no memory is taken.

A block is a row of sequences: a token (four bits of literals' length, four of the match's less 4, each going on in bytes
of 255), the literals, then two bytes of distance back, lowest first. The last sequence ends with its literals. Writers owe
readers that the last five bytes are literals and that no match begins in the last twelve. */
#ifndef SHOTOVER_LZ4_H
#define SHOTOVER_LZ4_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    LZ4_MATCH_MIN = 4,
    LZ4_DISTANCE_MAX = 65535,
    LZ4_TAIL_LITERALS = 5,
    LZ4_TAIL_NO_MATCH = 12,
    LZ4_HASH_BITS = 12,
    LZ4_RATIO_MAX = 255,        /* no byte of a block stands for more than so many */
    LZ4_SKIP = 6                /* after so many bits' worth of misses the search takes longer steps */
};

/* The most that `size` bytes can become, when nothing repeats. */
static inline size_t lz4_bound(size_t size)
{
    return size + size / 255 + 16;
}

static inline uint32_t lz4_word(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

/* Copies a match that may overlap what it makes. `room_end` is how far writing does no harm. */
static inline void lz_copy(uint8_t *to, size_t distance, size_t size, const uint8_t *room_end)
{
    const uint8_t *from = to - distance;
    uint8_t *end = to + size;
    if (distance >= 16 && room_end - end >= 16) {
        do {
            memcpy(to, from, 16);
            to += 16;
            from += 16;
        } while (to < end);
    } else if (distance >= 8 && room_end - end >= 8) {
        do {
            memcpy(to, from, 8);
            to += 8;
            from += 8;
        } while (to < end);
    } else {
        while (to < end)
            *to++ = *from++;
    }
}

/* The length that goes on in bytes of 255. SIZE_MAX: the block ends within it, or it passes `most`. */
static inline size_t lz4_length(const uint8_t **at, const uint8_t *end, size_t length, size_t most)
{
    uint8_t more;
    do {
        if (*at == end || length > most)
            return SIZE_MAX;
        more = *(*at)++;
        length += more;
    } while (more == 255);
    return length;
}

/* Makes exactly `out_size` bytes of a block; 0: done, -1: it is not such a block. */
static int lz4_decompress(const uint8_t *in, size_t size, uint8_t *out, size_t out_size)
{
    const uint8_t *end = in + size;
    uint8_t *to = out;
    uint8_t *out_end = out + out_size;
    while (in < end) {
        uint8_t token = *in++;
        size_t literals = token >> 4;
        size_t match = token & 15;
        size_t distance;
        if (literals == 15)
            literals = lz4_length(&in, end, literals, out_size);
        if (literals > (size_t)(end - in) || literals > (size_t)(out_end - to))
            return -1;
        memcpy(to, in, literals);
        to += literals;
        in += literals;
        if (in == end)
            return to == out_end ? 0 : -1;
        if (end - in < 2)
            return -1;
        distance = in[0] | (size_t)in[1] << 8;
        in += 2;
        if (match == 15)
            match = lz4_length(&in, end, match, out_size);
        if (match == SIZE_MAX || match + LZ4_MATCH_MIN > (size_t)(out_end - to))
            return -1;
        match += LZ4_MATCH_MIN;
        if (distance == 0 || distance > (size_t)(to - out))
            return -1;
        lz_copy(to, distance, match, out_end);
        to += match;
    }
    return -1;
}

static inline uint8_t *lz4_put_length(uint8_t *to, size_t length)
{
    for (; length >= 255; length -= 255)
        *to++ = 255;
    *to++ = (uint8_t)length;
    return to;
}

/* One sequence; match 0: the last one, which has none. NULL: no room. */
static inline uint8_t *lz4_put(
    uint8_t *to, const uint8_t *room_end, const uint8_t *literals, size_t count, size_t distance, size_t match)
{
    uint8_t *token = to;
    if ((size_t)(room_end - to) < 1 + count + count / 255 + 1 + 2 + match / 255 + 1)
        return NULL;
    to++;
    if (count >= 15) {
        *token = 15 << 4;
        to = lz4_put_length(to, count - 15);
    } else {
        *token = (uint8_t)(count << 4);
    }
    memcpy(to, literals, count);
    to += count;
    if (match) {
        *to++ = (uint8_t)distance;
        *to++ = (uint8_t)(distance >> 8);
        match -= LZ4_MATCH_MIN;
        if (match >= 15) {
            *token |= 15;
            to = lz4_put_length(to, match - 15);
        } else {
            *token |= (uint8_t)match;
        }
    }
    return to;
}

/* How many bytes at `at` are as those `distance` before them, before `end`. */
static inline size_t lz_same(const uint8_t *at, const uint8_t *before, const uint8_t *end)
{
    const uint8_t *start = at;
    while (end - at >= 8) {
        uint64_t one, other;
        memcpy(&one, at, 8);
        memcpy(&other, before, 8);
        if (one != other) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return (size_t)(at - start) + (size_t)(__builtin_ctzll(one ^ other) >> 3);
#else
            return (size_t)(at - start) + (size_t)(__builtin_clzll(one ^ other) >> 3);
#endif
        }
        at += 8;
        before += 8;
    }
    while (at < end && *at == *before) {
        at++;
        before++;
    }
    return (size_t)(at - start);
}

/* Few bits for few bytes: clearing the table is most of what a small block costs. */
static inline int lz_hash_bits(size_t size, int most)
{
    int bits = 6;
    while (bits < most && ((size_t)1 << bits) < size)
        bits++;
    return bits;
}

/* The block's size; 0: it does not fit into `room`. `size` is at most 2^32 - 1. */
static size_t lz4_compress(const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
    uint32_t seen[1 << LZ4_HASH_BITS];      /* where bytes of that hash lay last, from `in` on */
    int bits = lz_hash_bits(size, LZ4_HASH_BITS);
    const uint8_t *end = in + size;
    const uint8_t *literals = in;
    const uint8_t *room_end = out + room;
    uint8_t *to = out;
    memset(seen, 0, sizeof(seen[0]) << bits);
    if (size > LZ4_TAIL_NO_MATCH) {
        const uint8_t *last = end - LZ4_TAIL_NO_MATCH;      /* where a match may begin at the latest */
        const uint8_t *at = in + 1;
        uint32_t misses = 0;
        while (at <= last) {
            uint32_t hash = lz4_word(at) * 2654435761u >> (32 - bits);
            const uint8_t *before = in + seen[hash];
            seen[hash] = (uint32_t)(at - in);
            if (lz4_word(before) != lz4_word(at) || at - before > LZ4_DISTANCE_MAX) {
                at += 1 + (misses++ >> LZ4_SKIP);
                continue;
            }
            size_t match = LZ4_MATCH_MIN + lz_same(at + 4, before + 4, end - LZ4_TAIL_LITERALS);
            to = lz4_put(to, room_end, literals, (size_t)(at - literals), (size_t)(at - before), match);
            if (to == NULL)
                return 0;
            at += match;
            literals = at;
            misses = 0;
        }
    }
    to = lz4_put(to, room_end, literals, (size_t)(end - literals), 0, 0);
    return to == NULL ? 0 : (size_t)(to - out);
}

#endif
