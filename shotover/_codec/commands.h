/* What is known of a Redis command: the types of generated/redis_commands.h, and of commands learned at run time. */
#ifndef SHOTOVER_COMMANDS_H
#define SHOTOVER_COMMANDS_H

#include <stdint.h>
#include <string.h>

#include "shotover/_codec/generated/redis_enums.h"

/* The first bytes of a name as one number whose value does not depend on the machine's byte order. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SHOTOVER_LITTLE64(x) __builtin_bswap64(x)
#define SHOTOVER_LITTLE32(x) __builtin_bswap32(x)
#else
#define SHOTOVER_LITTLE64(x) (x)
#define SHOTOVER_LITTLE32(x) (x)
#endif

#define KEY_WORD_SIZE_MAX 15

enum {                      /* how a key spec finds where its keys begin, and how many there are */
    BEGIN_UNKNOWN, BEGIN_INDEX, BEGIN_KEYWORD,
    FIND_UNKNOWN = 0, FIND_RANGE, FIND_KEYNUM
};

typedef struct keyspec_t {  /* as published by COMMAND; see commands.pyx for the reading of each field */
    int16_t  begin_at;      /* BEGIN_INDEX: argument index; BEGIN_KEYWORD: where to search from (< 0: the end) */
    int16_t  last;          /* FIND_RANGE: last key, counted from the first, or from the end when negative */
    int16_t  limit;         /* FIND_RANGE with last -1: only 1/limit of the rest are keys */
    int16_t  keynum_at;     /* FIND_KEYNUM: where the number of keys stands, counted from begin_at */
    int16_t  first_at;      /* FIND_KEYNUM: where the first key stands, counted from begin_at */
    int16_t  step;
    uint8_t  begin;
    uint8_t  find;
    uint8_t  access;        /* ACCESS_* bits */
    uint8_t  word_size;     /* BEGIN_KEYWORD */
    char     word[KEY_WORD_SIZE_MAX + 1];
} keyspec_t;

typedef struct command_t {
    uint64_t    word_low;       /* first 8 bytes of the (sub)command's own word, upper case, zero padded */
    uint64_t    word_high;      /* its last 8 bytes when it has more than 8, else 0 */
    const char *name;           /* upper case, NUL ended; "CLIENT|ID" for a subcommand */
    const keyspec_t *specs;     /* spec_count of them */
    uint32_t    flags;          /* COMMAND_* bits, as published */
    uint32_t    categories;     /* CATEGORY_* bits, as published */
    uint16_t    id;             /* dense: its index among all commands; learned ones follow the static ones */
    uint16_t    parent;         /* id of its container; its own id when it has none */
    int16_t     arity;          /* words, container's and own included; negative: at least */
    int16_t     first_key;      /* 0: none at a fixed place; the plain range as published, for the simple cases */
    int16_t     last_key;       /* negative: counted from the end */
    int16_t     key_step;
    int16_t     keynum_at;      /* index of the numkeys argument, 0: none */
    uint8_t     name_size;      /* bytes in name */
    uint8_t     word_size;      /* bytes in its own word */
    uint8_t     kind;           /* KIND_* */
    uint8_t     conduct;        /* CONDUCT_* */
    uint8_t     key_rule;       /* KEYS_* */
    uint8_t     spec_count;
    uint8_t     request_policy; /* POLICY_*; no tip given: POLICY_DEFAULT */
    uint8_t     response_policy;
    uint8_t     tips;           /* TIP_* bits */
    uint8_t     has_subcommands;
    uint8_t     blocks_by_keyword;  /* conduct BLOCK, but only with its BLOCK argument */
    uint8_t     incomplete_keys;    /* may touch keys that no argument names plainly (SORT ... BY) */
    uint8_t     word_at;        /* where its own word starts in name: behind "CLIENT|" */
} command_t;

#endif
