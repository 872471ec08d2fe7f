/* What a byte may be in CQL, and which keyword a word is. */
#ifndef SHOTOVER_CQL_LEXER_H
#define SHOTOVER_CQL_LEXER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shotover/_codec/commands.h"       /* SHOTOVER_LITTLE64 */
#include "shotover/_codec/generated/cql_keywords.h"

enum { IS_LETTER = 1, IS_DIGIT = 2, IS_HEX = 4, IS_SPACE = 8, IS_WORD = 16, IS_ALONE = 32 };

#define CQL_HEX_LETTER (IS_LETTER | IS_HEX | IS_WORD)
#define CQL_LETTER (IS_LETTER | IS_WORD)
static const uint8_t CQL_BYTES[256] = {
    ['0'] = IS_DIGIT | IS_HEX | IS_WORD, ['1'] = IS_DIGIT | IS_HEX | IS_WORD, ['2'] = IS_DIGIT | IS_HEX | IS_WORD,
    ['3'] = IS_DIGIT | IS_HEX | IS_WORD, ['4'] = IS_DIGIT | IS_HEX | IS_WORD, ['5'] = IS_DIGIT | IS_HEX | IS_WORD,
    ['6'] = IS_DIGIT | IS_HEX | IS_WORD, ['7'] = IS_DIGIT | IS_HEX | IS_WORD, ['8'] = IS_DIGIT | IS_HEX | IS_WORD,
    ['9'] = IS_DIGIT | IS_HEX | IS_WORD,
    ['A'] = CQL_HEX_LETTER, ['B'] = CQL_HEX_LETTER, ['C'] = CQL_HEX_LETTER, ['D'] = CQL_HEX_LETTER, ['E'] = CQL_HEX_LETTER,
    ['F'] = CQL_HEX_LETTER, ['G'] = CQL_LETTER, ['H'] = CQL_LETTER, ['I'] = CQL_LETTER, ['J'] = CQL_LETTER, ['K'] = CQL_LETTER,
    ['L'] = CQL_LETTER, ['M'] = CQL_LETTER, ['N'] = CQL_LETTER, ['O'] = CQL_LETTER, ['P'] = CQL_LETTER, ['Q'] = CQL_LETTER,
    ['R'] = CQL_LETTER, ['S'] = CQL_LETTER, ['T'] = CQL_LETTER, ['U'] = CQL_LETTER, ['V'] = CQL_LETTER, ['W'] = CQL_LETTER,
    ['X'] = CQL_LETTER, ['Y'] = CQL_LETTER, ['Z'] = CQL_LETTER,
    ['a'] = CQL_HEX_LETTER, ['b'] = CQL_HEX_LETTER, ['c'] = CQL_HEX_LETTER, ['d'] = CQL_HEX_LETTER, ['e'] = CQL_HEX_LETTER,
    ['f'] = CQL_HEX_LETTER, ['g'] = CQL_LETTER, ['h'] = CQL_LETTER, ['i'] = CQL_LETTER, ['j'] = CQL_LETTER, ['k'] = CQL_LETTER,
    ['l'] = CQL_LETTER, ['m'] = CQL_LETTER, ['n'] = CQL_LETTER, ['o'] = CQL_LETTER, ['p'] = CQL_LETTER, ['q'] = CQL_LETTER,
    ['r'] = CQL_LETTER, ['s'] = CQL_LETTER, ['t'] = CQL_LETTER, ['u'] = CQL_LETTER, ['v'] = CQL_LETTER, ['w'] = CQL_LETTER,
    ['x'] = CQL_LETTER, ['y'] = CQL_LETTER, ['z'] = CQL_LETTER,
    ['_'] = IS_WORD, [' '] = IS_SPACE, ['\t'] = IS_SPACE, ['\n'] = IS_SPACE, ['\r'] = IS_SPACE,
    ['('] = IS_ALONE, [')'] = IS_ALONE, ['['] = IS_ALONE, [']'] = IS_ALONE, ['{'] = IS_ALONE, ['}'] = IS_ALONE,
    [','] = IS_ALONE, [';'] = IS_ALONE, [':'] = IS_ALONE, ['='] = IS_ALONE, ['*'] = IS_ALONE, ['/'] = IS_ALONE,
    ['%'] = IS_ALONE, ['?'] = IS_ALONE,
};

/* WORD_* of a word of letters, digits and _; `room` bytes may be read from it. */
static inline uint8_t cql_word(const uint8_t *at, size_t size, size_t room)
{
    uint64_t low = 0, high = 0;
    if (size < 2 || size > 16)
        return WORD_NONE;
    if (room >= 8)
        memcpy(&low, at, 8);
    else
        memcpy(&low, at, size);
    low = SHOTOVER_LITTLE64(low) | 0x2020202020202020ull;
    if (size < 8)
        low &= ~0ull >> (64 - 8 * size);
    if (size > 8) {
        memcpy(&high, at + size - 8, 8);
        high = SHOTOVER_LITTLE64(high) | 0x2020202020202020ull;
    }
    uint8_t word = CQL_SLOTS[(low * CQL_SLOTS_LOW_BY + high * CQL_SLOTS_HIGH_BY) >> CQL_SLOTS_SHIFT];
    return CQL_KEYWORDS[word].low == low && CQL_KEYWORDS[word].high == high && CQL_KEYWORDS[word].size == size ? word : WORD_NONE;
}

static inline uint8_t cql_class(uint8_t word) { return CQL_KEYWORDS[word].klass; }

#endif
