"""Requests and replies as hypothesis makes them, and ways of cutting bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from support.resp import encode

NAMES = (
    b"GET", b"set", b"Mget", b"PING", b"ECHO", b"DEL", b"LPUSH", b"XADD", b"EVAL", b"SUBSCRIBE", b"MULTI", b"EXEC", b"SELECT",
    b"CLIENT", b"CONFIG", b"OBJECT", b"NOSUCH", b"GETRANGE", b"ZUNIONSTORE", b"INFO", b"HELLO", b"BLPOP", b"WAIT", b"",
)  # fmt: skip
WORDS = (
    b"",
    b"k",
    b"ID",
    b"ENCODING",
    b"0",
    b"-1",
    b"\r\n",
    b"$5\r\n",
    b"*1\r\n",
    b"\x00",
    b"x" * 300,
)

names = st.sampled_from(NAMES) | st.binary(max_size=40)
words = st.sampled_from(WORDS) | st.binary(max_size=30)
commands = st.builds(lambda name, rest: [name, *rest], names, st.lists(words, max_size=6)).filter(
    lambda command: command[0].lower() not in (b"post", b"host:")  # the server hangs up on them
)
cut_points = st.lists(st.integers(0, 400), max_size=12) | st.integers(1, 5)


def split(wire: bytes, cuts: list[int] | int) -> list[bytes]:
    """`wire` in pieces: cut at these offsets, or into pieces of that size."""
    points = (
        range(cuts, len(wire), cuts)
        if isinstance(cuts, int)
        else {cut for cut in cuts if cut < len(wire)}
    )
    edges = [0, *sorted(points), len(wire)]
    return [wire[start:end] for start, end in pairwise(edges)]


def feed(side: Any, pieces: Iterable[bytes]) -> list[Any]:
    """All that `side` (a Decoder or a Scanner) finds in the pieces."""
    return [found for piece in pieces for found in side.feed(piece)]


# ---- replies -----------------------------------------------------------------------------------------------------

line = st.binary(max_size=20).map(lambda raw: raw.replace(b"\r", b"r").replace(b"\n", b"n"))


def bulk(kind: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: b"%b%d\r\n%b\r\n" % (kind, len(raw), raw)


leaves = st.one_of(
    line.map(lambda text: b"+%b\r\n" % text),
    line.map(lambda text: b"-ERR %b\r\n" % text),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b":%d\r\n" % number),
    st.integers().map(lambda number: b"(%d\r\n" % number),
    st.floats().map(lambda number: b",%b\r\n" % repr(number).encode()),
    st.sampled_from(
        (b"#t\r\n", b"#f\r\n", b"_\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"%0\r\n", b"~0\r\n")
    ),
    st.binary(max_size=60).map(bulk(b"$")),
    st.binary(max_size=60).map(bulk(b"!")),
    st.binary(max_size=60).map(lambda raw: bulk(b"=")(b"txt:" + raw)),
)


def _aggregates(items: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    some = st.lists(items, max_size=5)
    even = st.lists(st.tuples(items, items).map(b"".join), max_size=3)
    attribute = st.tuples(even, items).map(
        lambda pair: b"|%d\r\n" % len(pair[0]) + b"".join(pair[0]) + pair[1]
    )
    return st.one_of(
        some.map(lambda parts: b"*%d\r\n" % len(parts) + b"".join(parts)),
        some.map(lambda parts: b"~%d\r\n" % len(parts) + b"".join(parts)),
        even.map(lambda parts: b"%%%d\r\n" % len(parts) + b"".join(parts)),
        attribute,
    )


replies = st.recursive(leaves, _aggregates, max_leaves=12)
pushes = st.lists(replies, min_size=1, max_size=4).map(
    lambda parts: b">%d\r\n" % len(parts) + b"".join(parts)
)


# ---- broken bytes ------------------------------------------------------------------------------------------------

TOKENS = (
    b"*", b"$", b"\r\n", b"\n", b"\r", b"*0\r\n", b"*-1\r\n", b"*1\r\n", b"*2\r\n", b"*-0\r\n", b"*01\r\n", b"$0\r\n", b"$-1\r\n",
    b"$1\r\n", b"$3\r\n", b"*99999999999999999999\r\n", b"$9223372036854775807\r\n", b"*-9223372036854775808\r\n",
    b"*-2147483647\r\n",
    b"$536870913\r\n", b"GET", b"x", b"\x00", b"\"", b"'", b"\\x4", b" ", b"*+1\r\n", b"$ 1\r\n", b"*1\rX", b"\xff",
    b"POST / HTTP/1.1\r\n",
    b"*1\r\n$4\r\nPING\r\n", b"PING\r\n", b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n",
)  # fmt: skip
broken = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join),
    st.binary(max_size=100),
    st.tuples(
        commands.map(lambda words: encode(*words)), st.integers(0, 200), st.sampled_from(TOKENS)
    ).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]),
)
