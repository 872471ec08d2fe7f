"""The parsers that meet the network, and what must hold of them whatever the bytes.

    of clients     requests, inline; splitting (keys of one request, over several servers)
    of servers     replies; joining, merging (several replies, of which one is made); learned (COMMAND); cluster (the map), ports
                   peers-*: a whole worker among servers that answer anything
    of both, CQL   cql-segments, cql-bodies (compressed ones)
                   cql-servers, cql-clients: a whole worker among peers of whom one says anything
                   cql-tokens, cql-statements, cql-types (and literals), cql-requests, cql-responses
    of proxies     proxied
    of the admin   http

TLS records and certificates are OpenSSL's to read.

A target takes any bytes and raises when something does not hold: the same result wherever the bytes are cut, nothing
left alive, sizes within bounds, what is written can be read. That no byte beyond the input is touched is the sanitizer's
to see: every piece lies in memory of exactly its size.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.cql.statements import UNKNOWN, corpus, lines
from codec.wires import TOKENS, feed, split
from support.native import load

from fuzz import cql_peers, peers, proxied, segments
from shotover._codec import commands, learned, resp_value
from shotover.observability import httpwire
from shotover.sinks import redis_cluster_view

codec = load("codec_probe")
probe = load("fuzz_probe")
fans = load("fan_probe")
upgrades = load("upgrade_probe")
cql = load("cql_probe")

CORPUS = Path(__file__).parents[1] / "codec" / "corpus"
COMPARISONS = 3  # COMPARE_* of compare.pxd
WORDS_MAX = 256  # that the Python view of the tables takes
LOOKED_AT_MAX = 8  # requests or replies of one input
ROOMS = (16, 17, 24, 80, 232)  # for a rendered line


@dataclass(frozen=True)
class Target:
    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    tokens: Sequence[bytes]
    compiled: bool = True  # so that trace.c hears where its code goes
    inputs: int = 1500  # that `make test` tries: as many as take a second or two


def cut(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Into bytes (many of them: into crumbs), and at a few places that the data themselves decide."""
    number = zlib.crc32(data)
    places = [(number >> shift) % (len(data) + 1) for shift in (0, 7, 13)]
    return split(data, 1 + len(data) // 100), split(data, [place for place in places if place])


# ---- requests ----------------------------------------------------------------------------------------------------


def requests(data: bytes) -> None:
    whole = codec.Decoder(merge=0, hold=True)
    seen = whole.feed(data)
    for merge, pieces in enumerate(cut(data), 1):
        decoder = codec.Decoder(merge=merge, hold=True)
        found = feed(decoder, pieces)
        assert b"".join(run[0] for run in found) == b"".join(one[0] for one in seen)
        assert (sum(run[1] for run in found), decoder.state, decoder.error) == (
            len(seen),
            whole.state,
            whole.error,
        )
        assert decoder.release() == found
        gone(decoder)
    assert whole.release() == seen
    gone(whole)
    limited(data)
    for one in seen[:LOOKED_AT_MAX]:
        request(*one)
    codec.words(data)
    probe.render(data, False, ROOMS[len(data) % len(ROOMS)])


def gone(decoder: Any) -> None:
    decoder.drop()
    assert decoder.live == (0, 0, 0)


def limited(data: bytes) -> None:
    """With limits this small most inputs go beyond one. Where bytes are cut decides which is met first."""
    number = zlib.crc32(data)
    for pieces in cut(data):
        decoder = codec.Decoder(
            frame_bytes_max=number % 70, arguments_max=1 + number % 5, inline_bytes_max=number % 40,
            memory_bytes_max=(number % 9) * 4096,
        )  # fmt: skip
        for wire, count, *_ in feed(decoder, pieces):
            assert count > 1 or len(codec.words(wire)) <= 1 + number % 5
        gone(decoder)


def request(wire: bytes, count: int, argc: int, *facts: Any) -> None:
    """One whole request."""
    words = codec.words(wire)
    assert (count, argc) == (1, len(words))
    assert probe.facts(wire) == (argc, *facts)
    again = probe.rebuilt(words)
    assert codec.words(again) == words and probe.facts(again) == (argc, *facts)
    if argc <= WORDS_MAX:
        keys = commands.keys(words) or []
        assert all(0 < index < argc for index in keys)
        assert commands.first_key(words) == (keys[0] if keys else 0)
        for index in commands.keys(words, slot_words=True) or []:
            assert 0 < index < argc
        commands.blocks(words)
    for room in ROOMS:
        text = probe.render(wire, False, room)
        assert text.isascii() and text.decode().isprintable()


def request_seeds() -> list[bytes]:
    return [path.read_bytes()[:4096] for path in sorted((CORPUS / "requests").glob("*.resp"))]


COMMAND_TOKENS = (
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n",
    b"*4\r\n$4\r\nEVAL\r\n$0\r\n\r\n$1\r\n1\r\n$1\r\nk\r\n", b"$7\r\nSTREAMS\r\n", b"$5\r\nXREAD\r\n", b"$4\r\nSORT\r\n",
    b"$5\r\nSTORE\r\n", b"$7\r\nMIGRATE\r\n", b"$4\r\nKEYS\r\n", b"$9\r\nGEORADIUS\r\n", b"$5\r\nBLOCK\r\n", b"$6\r\nLMPOP2\r\n",
    b"$11\r\nZUNIONSTORE\r\n", b"$4\r\nAUTH\r\n", b"$5\r\nHELLO\r\n", b"$6\r\nCONFIG\r\n", b"$3\r\nSET\r\n",
)  # fmt: skip
INLINE_TOKENS = (
    b"GET k\r\n", b"\\x41", b"\\xg1", b"\\n", b"\\\"", b"\\'", b"\"", b"'", b"\"a b\"", b"'a b'", b" ", b"\t", b"\v", b"\r\n",
    b"\n", b"\0", b"client id\n", b"POST /\r\n", b"Host: x\r\n", b"*1\r\n$4\r\nPING\r\n",
)  # fmt: skip


# ---- replies -----------------------------------------------------------------------------------------------------


def replies(data: bytes) -> None:
    frames = []
    for framed in (True, False):
        whole = codec.Scanner(framed=framed)
        seen = whole.feed(data)
        for pieces in cut(data):
            scanner = codec.Scanner(framed=framed)
            assert feed(scanner, pieces) == seen
            assert (scanner.broken, scanner.pushed) == (whole.broken, whole.pushed)
        if framed:
            frames = seen
        assert b"".join(seen) == data[: sum(map(len, seen))]
    first = probe.frame_size(data)
    assert first == (len(frames[0]) if frames and not data.startswith(b">") else 0)
    anything(data)
    for frame in frames[:LOOKED_AT_MAX]:
        anything(frame)
        for how in range(COMPARISONS):
            assert probe.agree(frame, frame, how)
            assert probe.agree(frame, frames[0], how) == probe.agree(frames[0], frame, how)
        if not probe.agree(frame, frames[0], 2):
            assert not probe.agree(frame, frames[0], 0)
        value(frame)


def anything(data: bytes) -> None:
    """What is only asked of whole replies must not be harmed by others either."""
    probe.integer(data)
    probe.bulk(data)
    for room in ROOMS:
        text = probe.render(data, True, room)
        assert text.isascii() and text.decode().isprintable()
    for how in range(COMPARISONS):
        probe.agree(data, data[: len(data) // 2], how)
    with suppress(ValueError):
        resp_value.decode(data)


def value(frame: bytes) -> None:
    """A reply that has a value: what says it again has the same."""
    try:
        said = resp_value.decode(frame)
        again = resp_value.encode(said, 3)
    except ValueError:
        return
    assert probe.frame_size(again) == len(again)
    assert plain(resp_value.decode(again)) == plain(said)
    older = resp_value.encode(said, 2)
    assert probe.frame_size(older) == len(older)


def plain(said: Any) -> Any:
    """As something that can be compared."""
    if isinstance(said, Exception):
        return "error", resp_value.encode(said, 3)
    if isinstance(said, dict):
        return {plain(key): plain(item) for key, item in said.items()}
    if isinstance(said, (list, tuple)):
        return [plain(item) for item in said]
    if isinstance(said, set):
        return sorted(map(repr, map(plain, said)))
    return repr(said)


def reply_seeds() -> list[bytes]:
    return [path.read_bytes()[:4096] for path in sorted((CORPUS / "replies").glob("*.resp"))]


REPLY_TOKENS = (
    b"+OK\r\n", b"-ERR x\r\n", b":1\r\n", b":-9223372036854775808\r\n", b"$1\r\nx\r\n", b"$0\r\n\r\n", b"$-1\r\n", b"*-1\r\n",
    b"*0\r\n", b"*1\r\n", b"*2\r\n", b"%1\r\n", b"~2\r\n", b">2\r\n", b"|1\r\n", b"_\r\n", b"#t\r\n", b"#f\r\n", b",1.5\r\n",
    b",inf\r\n", b",nan\r\n", b"(123456789012345678901\r\n", b"=5\r\ntxt:x\r\n", b"!3\r\nERR\r\n", b"$?\r\n", b"*?\r\n",
    b";1\r\n", b".\r\n", b"\r\n", b"\n",
)  # fmt: skip


# ---- replies of RESP2 in RESP3 -----------------------------------------------------------------------------------


def upgrading(data: bytes) -> None:
    """By every shape there is: the same wherever it is cut, and one reply again if it was one."""
    crumbs, pieces = cut(data)
    size = probe.frame_size(data) if OLDER.fullmatch(data) else 0
    queued = bytes(shape for shape in range(upgrades.SHAPES) if shape != upgrades.EXEC)
    for shape in range(upgrades.SHAPES):
        written = upgrades.upgraded(shape, [data], queued)
        assert upgrades.upgraded(shape, crumbs, queued) == written
        assert upgrades.upgraded(shape, pieces, queued) == written
        said, whole, used = written
        assert whole or used == len(data)
        if whole and used == size and shape not in LEAVE_OUT:
            assert probe.frame_size(said) == len(said) > 0
    upgrades.shape(data)


def upgrading_seeds() -> list[bytes]:
    return [
        *reply_seeds(),
        *command_seeds(),
        *(b"".join(UPGRADE_TOKENS[:count]) for count in (3, 9)),
    ]


OLDER = re.compile(rb"(?:[*:]-?\d+\r\n|\$-1\r\n|[+-][^\r\n]*\r\n|\$\d+\r\n[^\r\n]*\r\n)*")
"""RESP2, and nothing in its strings that could not be in a number."""
LEAVE_OUT = {*upgrades.INNER, upgrades.EXEC, upgrades.PUSH, *upgrades.HEADLESS}
UPGRADE_TOKENS = (
    b"*2\r\n", b"*4\r\n$5\r\nflags\r\n*1\r\n", b"$8\r\nfunctions\r\n", b"$6\r\ngroups\r\n", b"$9\r\nconsumers\r\n",
    b"$9\r\narguments\r\n", b"$11\r\nsubcommands\r\n", b"$14\r\nhistogram_usec\r\n", b"$5\r\nnodes\r\n", b"$5\r\nproto\r\n",
    b"$7\r\nhistory\r\n", b"*1\r\n", b"*3\r\n", b"*0\r\n", b"*10\r\n", b"$-1\r\n", b"*-1\r\n", b":1\r\n", b"$3\r\n1.5\r\n",
    b"$4\r\npong\r\n$0\r\n\r\n", b"+OK\r\n", b"-ERR x\r\n", b"$999999999999999\r\n", b"*999999999999999\r\n",
)  # fmt: skip


# ---- one request for several servers -----------------------------------------------------------------------------


def splitting(data: bytes) -> None:
    """A request in parts: each of them one whole request, and all of its keys in them."""
    pool, number = fans.Pool(), zlib.crc32(data)
    for targets, homes in ((1, 0), (2 + number % 300, 0), (2 + number % 70, 1 + number % 5)):
        try:
            fan = fans.Fan(data, targets=targets, homes=homes, pool=pool)
        except ValueError:
            return  # no command that is known
        if fan.said == "SPLIT":
            assert targets > 1 and len(fan.parts) > 1
            assert sum(count for _, count, _ in fan.parts) == len(fan.places)
            for _, _, wire in fan.parts:
                assert codec.words(wire) or not codec.words(data)
            assert sum(len(leg[2]) for leg in fan.legs()) == sum(len(part[2]) for part in fan.parts)
        fan.free()
        assert pool.live == 0


def joining(data: bytes) -> None:
    """Three replies, cut out of the bytes: what comes of them is one reply, by every policy."""
    number = zlib.crc32(data)
    some = sorted((number >> shift) % (len(data) + 1) for shift in (0, 9))
    pieces = [data[: some[0]], data[some[0] : some[1]], data[some[1] :]]
    size = probe.frame_size(data)
    for parts in (pieces, [data] * 3, [data[:size], data[size:], b":1\r\n"]):
        for policy in range(FAN_POLICIES):
            joined(fans.Fan(b"*1\r\n$4\r\nPING\r\n", everywhere=3, policy=policy), parts)
            joined(fans.Fan(MGET, targets=3, policy=policy), parts)
    pool = fans.Pool()
    fan = fans.Fan(MGET, targets=6, homes=2, pool=pool)
    fan.take(0, data)
    fan.take(1, data[some[0] :], owned=False)
    said = fan.join()[1]
    assert probe.frame_size(said) == len(said) > 0
    fan.free()
    assert pool.live == 0


def joined(fan: Any, parts: Sequence[bytes]) -> None:
    for index, part in enumerate(parts):
        fan.reply(index, part)
    outcome, said = fan.join()
    if outcome == "SPECIAL":
        return
    assert probe.frame_size(said) == len(said) > 0
    assert (outcome == "ERROR") == (said[:1] in b"-!")


FAN_POLICIES = 12  # POLICY_* of commands.h
MGET = b"*7\r\n$4\r\nMGET\r\n" + b"".join(b"$1\r\n%c\r\n" % letter for letter in b"abcdef")
FAN_TOKENS = (
    b"*5\r\n$4\r\nMGET\r\n", b"*5\r\n$4\r\nMSET\r\n", b"*3\r\n$3\r\nDEL\r\n", b"*6\r\n$6\r\nMSETEX\r\n$1\r\n2\r\n",
    b"$2\r\nNX\r\n", b"*4\r\n$6\r\nSINTER\r\n", b"*5\r\n$4\r\nEVAL\r\n$0\r\n\r\n$1\r\n2\r\n", b"$1\r\na\r\n", b"$1\r\nb\r\n",
    b"$0\r\n\r\n", b"$2\r\n-1\r\n", b"$000000", b"$12\r\n",
)  # fmt: skip


def splitting_seeds() -> list[bytes]:
    return [MGET, *FAN_TOKENS, *request_seeds()]


# ---- several replies, of which one is the client's -----------------------------------------------------------------


def merging(data: bytes) -> None:
    """What is asked of a reply before one of several is chosen, whole or not; and the choice."""
    number = zlib.crc32(data)
    some = sorted((number >> shift) % (len(data) + 1) for shift in (0, 9))
    size = probe.frame_size(data)
    for replies in (
        [data],
        [data[: some[0]], data[some[0] : some[1]], data[some[1] :]],
        [data[:size], data[size:], data[:size]],
    ):
        facts, chosen = probe.merged(replies)
        assert 0 <= chosen < len(replies)
        most = max(replies.count(reply) for reply in replies)
        assert replies.count(replies[chosen]) == most
        for is_error, is_null, excuse, away, _number, _elements in facts:
            assert not (is_null and is_error)
            assert is_error or not (excuse or away)
            assert excuse or not away


EXCUSE_TOKENS = (
    b"-LOADING x\r\n", b"-OOM x\r\n", b"-BUSY x\r\n", b"-CLUSTERDOWN x\r\n", b"-ERR max number of clients\r\n",
    b"!5\r\nERR x\r\n",
)  # fmt: skip


# ---- what nodes of a cluster say of themselves ---------------------------------------------------------------------

PORT_FORMS = 5  # PORTS_* of resp_ports.pxd
PORT_OF_ERRORS = 4


def ports(data: bytes) -> None:
    """Ports replaced in a reply: it stays one reply, and once more changes nothing."""
    size = probe.frame_size(data)
    for reply in {data, data[:size], data[: len(data) // 2]}:
        for form in range(PORT_FORMS):
            for port in (7, 65535):
                said = codec.new_ports(form, reply, port)
                if said is None:
                    continue
                assert codec.new_ports(form, said, port) in (said, None)
                if size == len(reply) and form != PORT_OF_ERRORS:
                    assert probe.frame_size(said) == len(said)


def cluster(data: bytes) -> None:
    """A node's map of its cluster: nothing but a ValueError, and what is read can be served and shown."""
    try:
        view = redis_cluster_view.parse(data, "127.0.0.1", 7000)
    except ValueError:
        return
    for member in (*view.masters, *view.replicas):
        assert 0 <= member.port <= 65535
        redis_cluster_view.is_literal(member.host)
        for name in member.names:
            redis_cluster_view.is_literal(name)
        for first, last in member.slots:
            assert 0 <= first <= last < redis_cluster_view.SLOT_COUNT
    assert all(master.slots for master in view.masters)
    for name in (b"INFO", b"SLOTS", b"NODES", b"SHARDS", data[:80]):
        for resp3 in (False, True):
            said = redis_cluster_view.answer([b"CLUSTER", name], "127.0.0.1:6380", view, resp3)
            assert probe.frame_size(said) == len(said) or b"\r" in name or b"\n" in name


NODE = b"0123456789012345678901234567890123456789"


def cluster_seeds() -> list[bytes]:
    """CLUSTER NODES as servers of several versions say it, SLOTS, SHARDS, and redirects."""
    lines = (
        NODE
        + b" 127.0.0.1:7000@17000 myself,master - 0 1700000000000 3 connected 0-5460 5462 [93->-"
        + NODE
        + b"]\n",
        NODE + b" ::1:7001@17001,host.example slave " + NODE + b" 0 1700000000000 3 connected\n",
        NODE
        + b" :0@0,,tls-port=6380,shard-id="
        + NODE
        + b" master,fail,noaddr - 0 0 0 disconnected\n",
        NODE + b" 10.0.0.1:7002 handshake - 0 0 0 connected\n",
    )
    text = b"".join(lines)
    node = b"*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*0\r\n"
    return [
        b"$%d\r\n%b\r\n" % (len(text), text),
        b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text),
        b"*1\r\n$%d\r\n%b\r\n" % (len(lines[1]), lines[1]),
        b"*1\r\n*4\r\n:0\r\n:5460\r\n" + node + node,
        encoded([[b"slots", [0, 5460], b"nodes", [[b"id", b"x", b"port", 7000, b"tls-port", 7001, b"ip", b"::1"]]]], b"*"),
        b"%2\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*1\r\n%1\r\n$4\r\nport\r\n:7000\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n+OK\r\n-ASK 1 ::1:7000\r\n-MOVED 1 :1\r\n",
    ]  # fmt: skip


CLUSTER_TOKENS = (
    b"*1\r\n", b"*2\r\n", b":7000\r\n", b"$4\r\nport\r\n", b"$8\r\ntls-port\r\n", b"$5\r\nnodes\r\n", b"%1\r\n", NODE, b" ",
    b"127.0.0.1:7000@17000", b"[::1]:7000@17000", b",host", b",tls-port=1", b" master - 0 0 0 connected 0-16383\n", b"0-16383",
    b" slave " + NODE + b" 0 0 0 connected\n", b"fail", b"noaddr", b"[1->-x]", b"-MOVED 1 h:1\r\n", b"-ASK 1 h:1\r\n", b"\0",
    b"\xff", b"-", b"16384", b"65536", b"\n", b"\r\n", b"?", b"@", b":",
)  # fmt: skip


# ---- replies to COMMAND ------------------------------------------------------------------------------------------


def learn(data: bytes) -> None:
    try:
        table = learned.Learned(data)
    except ValueError:
        return
    names = table.names()
    assert len(names) == len(table)
    for name in names:
        container, bar, second = name.partition(b"|")
        parts = (container, second) if bar and container else (name,)
        facts = table.find(*parts)
        assert facts is None or isinstance(facts, dict)
        for words in (
            [*parts],
            [*parts, b"k"],
            [*parts, b"2", b"a", b"b", b"KEYS", b"c", b"STREAMS", b"d"],
        ):
            for index in table.keys(words) or []:
                assert 0 < index < len(words)


def command_seeds() -> list[bytes]:
    """What a server says of a few commands: RESP2 and RESP3, each as long as versions 5, 6 and 7 of it tell."""
    spec = [
        b"flags", [b"RO", b"access"],
        b"begin_search", [b"type", b"index", b"spec", [b"index", 1]],
        b"find_keys", [b"type", b"range", b"spec", [b"lastkey", 0, b"keystep", 1, b"limit", 0]],
    ]  # fmt: skip
    by_word = [
        b"flags", [b"RW", b"update", b"not_key"],
        b"begin_search", [b"type", b"keyword", b"spec", [b"keyword", b"KEYS", b"startfrom", -2]],
        b"find_keys", [b"type", b"keynum", b"spec", [b"keynumidx", 0, b"firstkey", 1, b"keystep", 1]],
    ]  # fmt: skip
    nothing = [b"type", b"unknown", b"spec", []]
    unknown = [b"flags", [], b"begin_search", nothing, b"find_keys", nothing]
    tips = [b"request_policy:all_shards", b"response_policy:agg_sum", b"nondeterministic_output"]
    old = [b"ft.old", -2, [b"readonly", b"movablekeys"], 1, -1, 1]
    sub = [b"ft.info|of", 3, [b"admin"], 0, 0, 0, [b"@admin"], [], [spec], []]
    found = []
    for specs in ([spec], [by_word], [unknown, spec], [spec] * 6):
        new = [
            b"ft.search",
            -3,
            [b"readonly", b"module"],
            1,
            1,
            1,
            [b"@read", b"@slow"],
            tips,
            specs,
            [sub],
        ]
        found.append(encoded([new, old, [*old, [b"@write"]]], b"*"))
        found.append(encoded([new], b"%"))
    return [*found, encoded([[b"client|sneeze", 2, [], 0, 0, 0, [], [], [], []]], b"*"), b"*0\r\n"]


def encoded(said: Any, maps: bytes) -> bytes:
    """As RESP; lists that are of names and values by turns become maps if `maps` is %."""
    if isinstance(said, bytes):
        return b"$%d\r\n%b\r\n" % (len(said), said)
    if isinstance(said, int):
        return b":%d\r\n" % said
    inner = b"".join(encoded(item, maps) for item in said)
    if (
        maps == b"%"
        and said
        and said[0] in (b"flags", b"type", b"index", b"lastkey", b"keyword", b"keynumidx")
    ):
        return b"%%%d\r\n%b" % (len(said) // 2, inner)
    return b"*%d\r\n%b" % (len(said), inner)


LEARNED_TOKENS = (
    b"*1\r\n", b"*6\r\n", b"*10\r\n", b"*0\r\n", b"*-1\r\n", b"$-1\r\n", b"_\r\n", b":1\r\n", b":-1\r\n", b":32768\r\n",
    b"$4\r\ntype\r\n", b"$4\r\nspec\r\n", b"$5\r\nindex\r\n", b"$7\r\nkeyword\r\n", b"$5\r\nrange\r\n",
    b"$6\r\nkeynum\r\n", b"$7\r\nlastkey\r\n",
    b"$7\r\nkeystep\r\n", b"$5\r\nlimit\r\n", b"$8\r\nblocking\r\n", b"$1\r\n|\r\n", b"$3\r\na|b\r\n", b"+x\r\n", b"%1\r\n",
)  # fmt: skip


# ---- HTTP --------------------------------------------------------------------------------------------------------


def http(data: bytes) -> None:
    whole = parsed([data])
    for pieces in cut(data):
        assert parsed(pieces) == whole


def parsed(pieces: Sequence[bytes]) -> list[Any]:
    """All requests that a connection makes of the pieces, and the refusal that ends it."""
    inbox, found = bytearray(), []
    try:
        for piece in pieces:
            inbox += piece
            while (one := httpwire.parse_request(inbox, continued=True)) is not None:
                assert one.path.startswith("/") and len(one.body) <= httpwire.BODY_BYTES_MAX
                found.append(
                    (one.method, one.path, sorted(one.headers.items()), one.keep_alive, one.body)
                )
    except httpwire.Bad as refused:
        found.append(refused.status)
    return found


def http_seeds() -> list[bytes]:
    return [
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /filter HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\ninfo\r\nGET / HTTP/1.0\r\n\r\n",
        b"GET http://x/topology?a#b HTTP/1.1\r\nhost:x\r\nConnection: keep-alive, close\r\nAuthorization: Bearer y\r\n\r\n",
    ]


HTTP_TOKENS = (
    b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Expect: 100-continue\r\n", b"\r\n\r\n", b"\r\n", b"\n", b" ", b":", b"\t", b"HTTP/1.0", b"?", b"#", b"%00", b"\x80",
)  # fmt: skip

# ---- CQL: statements -----------------------------------------------------------------------------------------------


def cql_tokens(data: bytes) -> None:
    """Tokens stand side by side, and are the same ones with white space between them."""
    found = cql.tokens(data)
    if found[-1][0] == 0:
        again = cql.tokens(b" ".join(raw for _, raw, _ in found[:-1]))
        assert again == found


def cql_statements(data: bytes) -> None:
    """What is said of a statement does not hang on the room for its items."""
    found = cql.parse(data)
    for room in (0, 1, 2, 5):
        short = cql.parse(data, room)
        for name in set(found) - {"items", "truncated"}:
            assert short[name] == found[name]
    cql.use_keyspace(data)


def cql_statement_seeds() -> list[bytes]:
    return [text.encode() for *_, text in corpus()] + [text.encode() for text in lines(UNKNOWN)]


CQL_TOKENS = (
    b"SELECT ", b" FROM ", b" WHERE ", b" AND ", b" IN ", b"token(", b"(", b")", b"[", b"]", b"{", b"}", b",", b";", b":",
    b"?", b":n",
    b"'", b"''", b"\"", b"$$", b"--", b"//", b"/*", b"*/", b"0x", b"1h", b"P1Y", b"1.5e3", b"..", b"+=", b"-=", b" AS ",
    b"null", b"*", b"-",
    b"CAST(a AS int)", b"(int)", b"map<text, frozen<list<int>>>", b"vector<float, 3>", b" IF EXISTS", b" IF NOT EXISTS",
    b"BEGIN BATCH ",
    b" APPLY BATCH", b"JSON ", b"DISTINCT ", b" USING TTL 1", b"NaN", b"6ab09bec-e68e-48d9-a5f8-97e6fb4c9b47", b"\xc2\xb5s",
    b"key", b"expr(",
)  # fmt: skip


def cql_types(data: bytes) -> None:
    """A type in three notations; the rest of the input as a literal of it."""
    for how in ("option", "text", "class"):
        for room in (1, 64):
            cql.type_of(data, how, room)
    kind, _, value = data.partition(b"|")
    cql.literal(kind, value)


def cql_type_seeds() -> list[bytes]:
    return [
        b"int|-5", b"map<text, frozen<list<int>>>|{'a': [1, 2]}", b"vector<float, 2>|[1, 2.5]", b"tuple<int, text>|(null, 'x')",
        b"timestamp|'2024-02-29 12:34:56.789+01:00'", b"date|'2024-12-31'", b"time|'01:02:03.000000004'",
        b"inet|'::ffff:1.2.3.4'",
        b"varint|-32769", b"double|-1.5e-3", b"blob|0xcafe", b"uuid|6ab09bec-e68e-48d9-a5f8-97e6fb4c9b47", b"text|$$a'b$$",
        b"org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)",
        b"org.apache.cassandra.db.marshal.UserType(ks,75,61:org.apache.cassandra.db.marshal.Int32Type)",
        b"\0\x21\0\x0d\0\x22\0\x09", b"\0\x30\0\2ks\0\1u\0\1\0\1f\0\x09", b"\0\x31\0\2\0\x09\0\x0d", b"\0\0\0\4a(b)",
    ]  # fmt: skip


# ---- CQL: bodies of messages -------------------------------------------------------------------------------------


def cql_requests(data: bytes) -> None:
    """What is read is written, and read again the same."""
    for version in (3, 4, 5):
        for read in (cql.query, cql.execute, cql.prepare):
            found = read(data, version)
            assert found is None or read(found[-1], version) == found
        cql.batch(data, version)
    cql.options(data)
    cql.registered(data)
    cql.token_of(data)
    for flags in (0x00, 0x04, 0x0E):
        cql.prefix(data, flags, True)


def cql_responses(data: bytes) -> None:
    for version in (3, 4, 5):
        for read in (cql.result, cql.error, cql.event):
            found = read(data, version)
            assert found is None or read(found[-1], version) == found
    cql.supported(data)


CQL_REQUESTS = (
    b"\0\0\0\1x\0\1\0", b"\0\0\0\1x\0\1\x7f\0\1\0\1a\0\0\0\1v\0\0\0\5\0\0\0\1p\0\x08\0\0\0\0\0\0\0\1",
    b"\0\0\0\1x\0\1\0\0\1\xb1\0\1\xff\xff\xff\xfe\0\x08\0\0\0\0\0\0\0\1\0\1k\0\0\0\1", b"\0\2id\0\4meta\0\1\0\0\0\0",
    b"\1\0\2\0\0\0\0\1x\0\1\0\0\0\1v\1\0\2id\0\0\0\1\0", b"\0\1\0\1a\0\1b",
)  # fmt: skip
CQL_RESPONSES = (
    b"\0\0\0\1", b"\0\0\0\2\0\0\0\1\0\0\0\1\0\2ks\0\1t\0\1c\0\x21\0\x0d\0\x22\0\x09\0\0\0\1\xff\xff\xff\xff",
    b"\0\0\0\2\0\0\0\x0e\0\0\0\1\0\0\0\1p\0\1n\0\0\0\0", b"\0\0\0\3\0\2ks",
    b"\0\0\0\4\0\2id\0\1m\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\2ks\0\1t\0\1c\0\x09\0\0\0\4\0\0\0\0",
    b"\0\0\0\5\0\7CREATED\0\x08FUNCTION\0\2ks\0\1f\0\1\0\3int", b"\0\0\x11\0\0\1m\0\4\0\0\0\1\0\0\0\2\0\3CAS\0\7",
    b"\0\0\x15\0\0\1m\0\4\0\0\0\1\0\0\0\2\0\0\0\1\4\x7f\0\0\1\0\1\0\6SIMPLE", b"\0\0\x25\0\0\1m\0\2id",
    b"\0\x0dSTATUS_CHANGE\0\2UP\4\x7f\0\0\1\0\0\x23\x52", b"\0\1\0\1a\0\1\0\1b",
)  # fmt: skip
CQL_PARTS = (b"\0\0\0\1", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe", b"\x7f\xff\xff\xff", b"\0\1", b"\xff\xff", b"\0\x20",
    b"\0\x30", b"\0\x31\0\2", b"\0\0")  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target("requests", requests, request_seeds, (*TOKENS, *COMMAND_TOKENS)),
        Target("inline", requests, lambda: INLINE_TOKENS, INLINE_TOKENS),
        Target("replies", replies, reply_seeds, REPLY_TOKENS),
        Target("upgrading", upgrading, upgrading_seeds, UPGRADE_TOKENS),
        Target("splitting", splitting, splitting_seeds, (*FAN_TOKENS, *COMMAND_TOKENS)),
        Target("joining", joining, reply_seeds, REPLY_TOKENS),
        Target("merging", merging, reply_seeds, (*REPLY_TOKENS, *EXCUSE_TOKENS)),
        Target("ports", ports, cluster_seeds, CLUSTER_TOKENS),
        Target("cluster", cluster, cluster_seeds, CLUSTER_TOKENS, compiled=False),
        Target("learned", learn, command_seeds, LEARNED_TOKENS),
        Target("peers-single", peers.single, peers.seeds, peers.TOKENS, inputs=150),
        Target("peers-sentinel", peers.sentinel, peers.seeds, peers.TOKENS, inputs=150),
        Target("peers-cluster", peers.cluster, peers.seeds, peers.TOKENS, inputs=150),
        Target(
            "cql-servers", cql_peers.servers, cql_peers.server_seeds, cql_peers.TOKENS, inputs=150
        ),
        Target(
            "cql-clients", cql_peers.clients, cql_peers.client_seeds, cql_peers.TOKENS, inputs=150
        ),
        Target("cql-segments", segments.segments, segments.seeds, segments.TOKENS),
        Target("cql-bodies", segments.bodies, segments.seeds, segments.TOKENS),
        Target("proxied", proxied.headers, proxied.seeds, proxied.TOKENS),
        Target("cql-tokens", cql_tokens, cql_statement_seeds, CQL_TOKENS),
        Target("cql-statements", cql_statements, cql_statement_seeds, CQL_TOKENS),
        Target("cql-types", cql_types, cql_type_seeds, CQL_TOKENS),
        Target("cql-requests", cql_requests, lambda: CQL_REQUESTS, CQL_PARTS),
        Target("cql-responses", cql_responses, lambda: CQL_RESPONSES, CQL_PARTS),
        Target("http", http, http_seeds, HTTP_TOKENS, compiled=False),
    )
}
