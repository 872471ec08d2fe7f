"""Replies of RESP2 written as RESP3: what becomes of them, wherever they are cut, and whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native import load
from support.resp import encode, parse

from codec.wires import TOKENS, split

probe = load("upgrade_probe")
codec = load("codec_probe")


def says(value: object) -> bytes:
    """A value as a server of RESP2 says it: text is a bulk string, a list an array, () a null array."""
    if value is None:
        return b"$-1\r\n"
    if value == ():
        return b"*-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n%b" % (len(value), b"".join(map(says, value)))
    assert isinstance(value, str)
    return b"$%d\r\n%b\r\n" % (len(value.encode()), value.encode())


def upgraded(request: str, reply: bytes) -> bytes:
    """What becomes of the reply to that request, cut everywhere and in one piece."""
    shape = probe.shape(encode(*request.split()))
    assert shape is not None, f"{request} is refused"
    crumbs, whole, used = probe.upgraded(shape, [bytes([byte]) for byte in reply])
    assert probe.upgraded(shape, [reply]) == (crumbs, True, len(reply))
    assert (whole, used) == (True, len(reply))
    return crumbs


# (request, reply in RESP2, reply in RESP3): what versions other than that of the tests' server say, and what it says rarely.
# The rest is compared with a real server: tests/integration/redis/test_protocol_converter.py.
PAIRS = [
    ("GET a", says("x"), says("x")),
    ("GET a", says(None), b"_\r\n"),
    ("LPOP a 2", says(()), b"_\r\n"),
    ("MGET a b", says(["x", None]), b"*2\r\n$1\r\nx\r\n_\r\n"),
    ("HGETALL h", says([]), b"%0\r\n"),
    ("HGETALL h", b"-WRONGTYPE x\r\n", b"-WRONGTYPE x\r\n"),
    ("HGETALL h", b"+QUEUED\r\n", b"+QUEUED\r\n"),
    ("HGETALL h", says(["f", "v"]), b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"),
    ("ZRANK z a WITHSCORE", says([0, "1.5"]), b"*2\r\n:0\r\n,1.5\r\n"),
    ("ZRANK z a WITHSCORE", says(()), b"_\r\n"),
    ("ZRANK z a", says(0), says(0)),
    ("ZADD z INCR 1 a", says("1"), b",1\r\n"),
    ("ZADD z XX CH INCR 1 a", says("1"), b",1\r\n"),
    ("ZADD z 1 INCR", says(1), says(1)),
    ("ZUNION 1 withscores", says(["a", "b"]), says(["a", "b"])),
    ("ZUNION 1 z WITHSCORES", says(["a", "1"]), b"*1\r\n*2\r\n$1\r\na\r\n,1\r\n"),
    ("ZRANGE z 0 -1 REV withscores", says(["a", "1"]), b"*1\r\n*2\r\n$1\r\na\r\n,1\r\n"),
    ("PING", b"+PONG\r\n", b"+PONG\r\n"),
    ("PING", says(["pong", ""]), b"+PONG\r\n"),
    ("PING hello", says(["pong", "hello"]), says("hello")),
    ("PING hello", says("hello"), says("hello")),
    ("XREAD STREAMS x 0", says([["x", [["1-1", ["f", "v"]]]]]),
     b"%1\r\n$1\r\nx\r\n" + says([["1-1", ["f", "v"]]])),
    ("INFO", says("# Server"), b"=12\r\ntxt:# Server\r\n"),
    ("CLUSTER SLOTS", says([[0, 1, ["h", 1, "id", ["hostname", "x"]], ["h", 2, "id", []]]]),
     b"*1\r\n*4\r\n:0\r\n:1\r\n*4\r\n$1\r\nh\r\n:1\r\n$2\r\nid\r\n%1\r\n$8\r\nhostname\r\n$1\r\nx\r\n"
     b"*4\r\n$1\r\nh\r\n:2\r\n$2\r\nid\r\n%0\r\n"),
    ("CLUSTER SHARDS", says([["slots", [0, 1], "nodes", [["id", "a"]]]]),
     b"*1\r\n%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:1\r\n$5\r\nnodes\r\n*1\r\n%1\r\n$2\r\nid\r\n$1\r\na\r\n"),
    ("LATENCY HISTOGRAM", says(["get", ["calls", 2, "histogram_usec", [1, 2]]]),
     b"%1\r\n$3\r\nget\r\n%2\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n%1\r\n:1\r\n:2\r\n"),
    ("FUNCTION STATS", says(["running_script", ["name", "f"], "engines", ["LUA", ["libraries_count", 1]]]),
     b"%2\r\n$14\r\nrunning_script\r\n%1\r\n$4\r\nname\r\n$1\r\nf\r\n"
     b"$7\r\nengines\r\n%1\r\n$3\r\nLUA\r\n%1\r\n$15\r\nlibraries_count\r\n:1\r\n"),
    ("HELLO", says(["proto", 2, "id", 7, "modules", [["name", "m", "ver", 1, "args", []]]]),
     b"%3\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n$7\r\nmodules\r\n*1\r\n"
     b"%3\r\n$4\r\nname\r\n$1\r\nm\r\n$3\r\nver\r\n:1\r\n$4\r\nargs\r\n*0\r\n"),
    ("MEMORY STATS", says(["a.count", 1, "b.ratio", "1.5", "db.0", ["overhead", 3]]),
     b"%3\r\n$7\r\na.count\r\n:1\r\n$7\r\nb.ratio\r\n,1.5\r\n$4\r\ndb.0\r\n%1\r\n$8\r\noverhead\r\n:3\r\n"),
    ("SUBSCRIBE a", says(["subscribe", "a", 1]), b">3\r\n" + says(["subscribe", "a", 1])[4:]),
    ("UNSUBSCRIBE", says(["unsubscribe", None, 0]), b">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "resp2", "resp3"), PAIRS)
def test_a_reply_of_resp2_becomes_that_of_resp3(request_: str, resp2: bytes, resp3: bytes) -> None:
    assert upgraded(request_, resp2) == resp3


def test_replies_to_exec_are_shaped_by_what_was_queued() -> None:
    queued = bytes(
        probe.shape(encode(*words.split()))
        for words in ("HGETALL h", "GET a", "ZPOPMIN z 1", "XREAD STREAMS x 0", "HGETALL h")
    )
    reply = says([["f", "v"], None, ["a", "1"], (), []]) + b"+NEXT\r\n"
    expected = b"*5\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n*1\r\n*2\r\n$1\r\na\r\n,1\r\n_\r\n%0\r\n"
    assert probe.upgraded(probe.EXEC, [reply], queued) == (expected, True, len(reply) - 7)
    crumbs = split(reply, 1)
    assert probe.upgraded(probe.EXEC, crumbs, queued) == (expected, True, len(reply) - 7)
    assert probe.upgraded(probe.EXEC, [says(())], queued)[0] == b"_\r\n"


def test_more_replies_to_exec_than_were_queued_stay_as_they_are() -> None:
    assert probe.upgraded(probe.EXEC, [says([["f", "v"]])], b"")[0] == says([["f", "v"]])


@pytest.mark.parametrize(
    "words",
    [
        "NOSUCH a", "SENTINEL MASTERS", "CLIENT TRACKING ON", "DEBUG PROTOCOL MAP",
        "SCRIPT LOAD redis.setresp(3)", "EVAL redis.setresp(3)return{} 0",
    ],
)  # fmt: skip
def test_what_cannot_be_converted_has_no_shape(words: str) -> None:
    assert probe.shape(encode(*words.split())) is None


def test_scores_that_are_asked_for_behind_many_keys_are_seen() -> None:
    keys = [f"k{number}" for number in range(100)]
    scores = probe.shape(encode("ZUNION", 1, "k", "WITHSCORES"))
    assert probe.shape(encode("ZUNION", 100, *keys, "withscores")) == scores
    assert probe.shape(encode("ZUNION", 100, *keys, "AGGREGATE", "MIN", "WITHSCORES")) == scores
    assert probe.shape(encode("ZUNION", 100, *keys)) == probe.shape(encode("GET", "a"))


# ---- whatever it is ----------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.just(()) | st.integers(-5, 5) | st.sampled_from(["", "flags", "groups", "nodes", "1.5", "é"]),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=30,
)  # fmt: skip
shapes = st.integers(0, probe.SHAPES - 1)


@given(value=values, shape=shapes, places=st.lists(st.integers(0, 400)))
def test_any_reply_is_one_reply_afterwards_wherever_it_is_cut(
    value: object, shape: int, places: list[int]
) -> None:
    reply = says(value)
    whole = probe.upgraded(shape, [reply])
    cuts = sorted({place for place in places if 0 < place < len(reply)})
    assert probe.upgraded(shape, split(reply, cuts)) == whole
    assert whole[1:] == (True, len(reply))
    if shape not in {
        *probe.INNER,
        *probe.HEADLESS,
    }:  # these leave heads out, and count on the server for what is in there
        scanner = codec.Scanner(framed=True)
        assert scanner.feed(whole[0]) == [whole[0]]


@given(shape=shapes, parts=st.lists(st.sampled_from(TOKENS) | st.binary(max_size=5), max_size=12))
def test_no_bytes_harm_it(shape: int, parts: list[bytes]) -> None:
    data = b"".join(parts)
    written, whole, used = probe.upgraded(shape, [data])
    assert probe.upgraded(shape, [bytes([byte]) for byte in data]) == (written, whole, used)
    assert used == len(data) or whole


def test_the_values_read_the_same() -> None:
    """As a driver of either protocol hands them out."""
    resp2 = says(["f", "1", "g", "2"])
    assert parse(upgraded("HGETALL h", resp2)) == {b"f": b"1", b"g": b"2"}
