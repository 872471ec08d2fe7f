"""Makes cql_keywords.h: the words that CQL gives a meaning to, found by one multiplication.

    make_cql_keywords.py > cql_keywords.h

To add one: write it into the list of its class below and run the line above. Which class a word is of stands in the
grammar of Cassandra: names may be spelled like all words but the reserved ones.
"""

from __future__ import annotations

import random

RESERVED = """
    add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries execute
    from full grant if in index insert into is keyspace limit materialized modify norecursive not null of on or order
    primary rename revoke schema select set table to token truncate unlogged update use using view where with
    false infinity nan true
""".split()
TYPES = """
    ascii bigint blob boolean counter date decimal double duration float inet int smallint text time timestamp timeuuid
    tinyint uuid varchar varint
""".split()
BASIC = """
    access aggregate aggregates all ann as between called check cidrs cluster clustering columnfamilies compact contains
    custom datacenters default exists filtering finalfunc frozen function functions generated group hashed identity indexes
    initcond input internals keys keyspaces language like list login map masked mbean mbeans nologin nosuperuser only
    options partition password per permission permissions replace returns role roles select_masked sfunc static storage
    stype superuser superusers tables trigger tuple type types unmask unset user users values vector
""".split()
NOT_OF_FUNCTIONS = "cast count distinct json key maxwritetime ttl writetime".split()
CLASSES = {
    "RESERVED": RESERVED,
    "TYPE": TYPES,
    "BASIC": BASIC,
    "NOT_OF_FUNCTIONS": NOT_OF_FUNCTIONS,
}
SLOTS_BITS = 11
WORD_SIZE_MAX = 16  # two numbers of 8 bytes hold it
MASK = (1 << 64) - 1


def halves(word: str) -> tuple[int, int]:
    """The first 8 bytes as a number, and the last 8 if there are more; each byte with its bit 0x20 set."""
    raw = bytes(byte | 0x20 for byte in word.encode())
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[-8:], "little") if len(
        raw
    ) > 8 else 0


def slots(words: list[str]) -> tuple[int, int, list[int]]:
    """Two factors with which no two words fall on one place; and the places: the word's number, or 0."""
    chance = random.Random(1)
    while True:
        low_by, high_by = (chance.getrandbits(64) | 1 for _ in range(2))
        places = [0] * (1 << SLOTS_BITS)
        for number, word in enumerate(words, 1):
            low, high = halves(word)
            place = ((low * low_by + high * high_by) & MASK) >> (64 - SLOTS_BITS)
            if places[place]:
                break
            places[place] = number
        else:
            return low_by, high_by, places


def main() -> None:
    classes = {word: name for name, words in CLASSES.items() for word in words}
    words = sorted(classes)
    assert len(words) == sum(map(len, CLASSES.values())) < 256
    assert max(map(len, words)) <= WORD_SIZE_MAX
    low_by, high_by, places = slots(words)
    print("/* Made by make_cql_keywords.py. Do not edit. */")
    print(
        "#ifndef SHOTOVER_CQL_KEYWORDS_H\n#define SHOTOVER_CQL_KEYWORDS_H\n\n#include <stdint.h>\n"
    )
    print("enum {\n    WORD_NONE,      /* no keyword: a name */")
    print("".join(f"    WORD_{word.upper()},\n" for word in words) + "    WORDS_END\n};\n")
    print("enum { CLASS_NONE, " + ", ".join(f"CLASS_{name}" for name in CLASSES) + " };\n")
    print(f"#define CQL_SLOTS_LOW_BY {low_by:#x}ull\n#define CQL_SLOTS_HIGH_BY {high_by:#x}ull")
    print(f"#define CQL_SLOTS_SHIFT {64 - SLOTS_BITS}\n")
    print(
        "static const struct { uint64_t low, high; uint8_t size, klass; } CQL_KEYWORDS[WORDS_END] = {"
    )
    print("    {0, 0, 0, CLASS_NONE},")
    for word in words:
        low, high = halves(word)
        print(
            f"    {{{low:#x}ull, {high:#x}ull, {len(word)}, CLASS_{classes[word]}}},    /* {word} */"
        )
    print("};\n\nstatic const uint8_t CQL_SLOTS[] = {")
    for at in range(0, len(places), 32):
        print("    " + ", ".join(map(str, places[at : at + 32])) + ",")
    print("};\n\n#endif")


if __name__ == "__main__":
    main()
