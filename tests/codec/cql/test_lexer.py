"""Tokens of CQL are cut as the servers cut them, whatever stands beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native import load

cql = load("cql_probe")
END, NAME, QUOTED, STRING, DOLLARS, INTEGER, FLOAT, BOOLEAN, DURATION, UUID, HEX = (
    0,
    *range(128, 138),
)
RANGE, LE, GE, NE, ADD, TAKE = range(138, 144)
BAD = 255
RESERVED, TYPE, BASIC, NOT_OF_FUNCTIONS = 1, 2, 3, 4
SOME_UUID = "6ab09bec-e68e-48d9-a5f8-97e6fb4c9b47"

ONE_TOKEN = {
    NAME: "a Z9_ selec selectt p P1 PT P1Y2MX e10 nano expr x0 a_b",
    QUOTED: '"a" "Select" "a""b" "" """"',
    STRING: "'' 'a' 'it''s' '''' '--' '/*' ';'",
    DOLLARS: "$$$$ $$a$$ $$it's$b$$",
    INTEGER: "0 -0 12 -98765432109876543210",
    FLOAT: "1. 1.5 -1.5 1e5 1E-5 -1.e+5 1.25e10 NaN -nan Infinity -INFINITY",
    BOOLEAN: "true FALSE True",
    DURATION: "1h 1H30m 1y2mo3w4d5h6m7s8ms9us10ns 1µs -2d PT5S P1Y2M3DT4H5M6S P2W -P1D P0001-02-03T04:05:06 P1M PT1H5S",
    UUID: f"{SOME_UUID} {SOME_UUID.upper()} 12345678-1234-1234-1234-123456789012 1e500000-0000-0000-0000-000000000000",
    HEX: "0x 0X0a 0xDEADBEEF",
    RANGE: "..", LE: "<=", GE: ">=", NE: "!=", ADD: "+=", TAKE: "-=",
    **{ord(sign): sign for sign in "()[]{},;:.=<>+-*/%?"},
}  # fmt: skip


@pytest.mark.parametrize(
    "kind, text", [(kind, text) for kind, texts in ONE_TOKEN.items() for text in texts.split()]
)
@pytest.mark.parametrize("around", ["{}", " {}\t", "/* */{} --\n", "\r\n// x\r{} /**/"])
def test_one_token(kind: int, text: str, around: str) -> None:
    found = cql.tokens(around.format(text).encode())
    assert [one[:2] for one in found] == [(kind, text.encode()), (END, b"")]


@pytest.mark.parametrize(
    "text, parts",
    [
        ("1..2", [(INTEGER, "1"), (RANGE, ".."), (INTEGER, "2")]),
        ("1...2", [(FLOAT, "1."), (RANGE, ".."), (INTEGER, "2")]),
        ("c-3", [(NAME, "c"), (INTEGER, "-3")]),
        ("c - 3", [(NAME, "c"), (45, "-"), (INTEGER, "3")]),
        ("00x1", [(INTEGER, "00"), (NAME, "x1")]),
        ("1d5", [(DURATION, "1d"), (INTEGER, "5")]),
        ("1e", [(INTEGER, "1"), (NAME, "e")]),
        ("1abc", [(INTEGER, "1"), (NAME, "abc")]),
        ('""a"b"', [(QUOTED, '""'), (NAME, "a"), (QUOTED, '"b"')]),
        ("'a''b'", [(STRING, "'a''b'")]),
        ("a.b", [(NAME, "a"), (46, "."), (NAME, "b")]),
        ("<=>=!=+=-=", [(LE, "<="), (GE, ">="), (NE, "!="), (ADD, "+="), (TAKE, "-=")]),
        ("a/*b*/c--d", [(NAME, "a"), (NAME, "c")]),
        ("-P1X", [(45, "-"), (NAME, "P1X")]),
        ("6ab09bec-e68e", [(INTEGER, "6"), (NAME, "ab09bec"), (45, "-"), (NAME, "e68e")]),
    ],
)
def test_tokens_side_by_side(text: str, parts: list[tuple[int, str]]) -> None:
    assert [(kind, raw.decode()) for kind, raw, _ in cql.tokens(text.encode())] == [
        *parts,
        (END, ""),
    ]


@pytest.mark.parametrize(
    "text", ["'a", '"a', "$$a", "$", "$$a$", "/* a", "/*/", "!", "_a", "a\0", "\f", "é", "#", "@"]
)
def test_what_is_no_token_ends_the_text(text: str) -> None:
    assert cql.tokens(text.encode())[-1][0] == BAD


@pytest.mark.parametrize(
    "word, klass",
    [("SELECT", RESERVED), ("from", RESERVED), ("Int", TYPE), ("key", NOT_OF_FUNCTIONS), ("ttl", NOT_OF_FUNCTIONS),
     ("values", BASIC), ("select_masked", BASIC), ("columnfamilies", BASIC), ("name", 0)],
)  # fmt: skip
def test_keywords_in_any_case(word: str, klass: int) -> None:
    for text in (word, word.upper(), word.title(), word.lower()):
        assert cql.tokens(text.encode())[0] == (NAME, text.encode(), klass)


@given(st.text("abz_09", min_size=1, max_size=20).filter(lambda text: text[0] in "abz"))
def test_names(text: str) -> None:
    assert cql.name(text.upper().encode()) == text.encode() == cql.name(f'"{text}"'.encode())
    assert cql.agree(text.upper().encode(), f'"{text}"'.encode())


@given(st.text(max_size=20), st.text(max_size=20))
def test_quotes_are_undone(one: str, other: str) -> None:
    quoted = ['"%s"' % text.replace('"', '""') for text in (one, other)]
    assert [cql.name(text.encode()) for text in quoted] == [one.encode(), other.encode()]
    assert cql.agree(quoted[0].encode(), quoted[1].encode()) == (one == other)
    text = "'%s'" % one.replace("'", "''")
    assert cql.tokens(text.encode()) == [(STRING, text.encode(), 0), (END, b"", 0)]
    assert cql.string(text.encode()) == one.encode()
    assert cql.string(f"$${one.replace('$', '')}$$".encode()) == one.replace("$", "").encode()


@given(st.binary(max_size=60) | st.text("'\"$-/*.0x1eP YTa\n", max_size=40).map(str.encode))
def test_any_bytes(text: bytes) -> None:
    for kind, raw, _ in cql.tokens(text)[:-1]:
        assert raw and raw in text and kind != BAD
