"""RedisProtocolConverter: a client in RESP3 sees through it what the server alone says in RESP3, though it is asked in RESP2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from integration.redis.test_every_command import FORMS, REST, begin, differences, form, replies
from support.conversations import CONVERSATIONS, normal, requests_of
from support.endpoint import driver_options
from support.proxy import Proxy
from support.resp import Error, RawClient, encode, parse
from support.servers import Cluster, Server
from support.toy_module import build as build_toy
from support.wait import wait_until

CONVERTER: dict[str, Any] = {"RedisProtocolConverter": {}}
SCRIPTED = "the types that a script chooses are seen by a server of RESP3 alone"
NOT_THE_SAME = {  # what a client is told, and why that cannot be the server's word
    b"CLIENT TRACKING": "refused: invalidations come to connections in RESP3 alone",
    b"CLIENT CACHING": "the server knows of no tracking",
    b"CLIENT GETREDIR": "neither here",
    b"CLIENT TRACKINGINFO": "nor here",
    b"EVAL redis.setresp(3)": "refused: " + SCRIPTED,
    b"EVAL return {double": SCRIPTED,
    b"EVAL return {1, false, true, {double": SCRIPTED,
    b"DEBUG PROTOCOL": "refused: a test of a connection in RESP3",
    b"ACL LOG": "what was refused by the proxy was never tried",
}


class Pair:
    """A server, and the proxy with a converter before it."""

    def __init__(
        self, *server_options: str, kind: str = "redis", converter: dict[str, Any] | None = None
    ) -> None:
        self.stack = contextlib.ExitStack()
        self.server = Server(kind, *server_options)
        self.stack.callback(self.server.stop)
        self.proxy = Proxy(self.server.port, chain=[{"RedisProtocolConverter": converter or {}}])
        self.stack.callback(self.proxy.stop)

    def clean(self) -> None:
        self.proxy.check_idle()
        self.server.clean()


@pytest.fixture(scope="module", params=["redis", "valkey"])
def shared_pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(kind=request.param)
    with pair.stack:
        yield pair


@pytest.fixture
def pair(shared_pair: Pair) -> Iterator[Pair]:
    yield shared_pair
    shared_pair.clean()


@pytest.fixture
def raw(pair: Pair) -> Iterator[RawClient]:
    """A client in RESP3."""
    with pair.proxy.raw() as raw:
        raw.command("HELLO", "3")
        yield raw


def excused(request: bytes, want: list[bytes], got: list[bytes]) -> bool:
    """A refusal in place of the server's own error, or one of those above."""
    line = b" ".join(parse(request))
    if line.upper().startswith((b"COMMAND INFO", b"COMMAND DOCS")):
        # the order of subcommands differs from one moment to the next; where there are none, Redis says a set, Valkey a list
        return sorted(want[0].replace(b"*0", b"~0")) == sorted(got[0].replace(b"*0", b"~0"))
    if got[0].startswith(b"-ERR Can't execute"):
        return True  # a server of RESP2 takes no other commands of a client that has subscribed
    if want[0].startswith(b"-") and got[0].startswith(b"-ERR shotover:"):
        return True
    return any(line.upper().startswith(name.upper()) for name in NOT_THE_SAME)


def compared(pair: Pair, requests: list[tuple[bytes, int]], protocol: str) -> list[Any]:
    """Where the server alone and the proxy differ, and must not."""
    with pair.server.raw() as server:
        expected = replies(begin(server, protocol), requests)
    pair.server.clean()
    with pair.proxy.raw() as proxied:
        begin(proxied, protocol)
        seen = []
        for (request, _), want in zip(requests, expected, strict=True):
            proxied.send(request)
            frames = [normal(proxied.frame())]
            while len(frames) < len(want) and not frames[0].startswith(b"-"):
                frames.append(normal(proxied.frame()))
            seen.append(frames)
    found = differences(requests, expected, seen)
    if protocol == "2":
        return found
    return [one for one in found if not excused(*one)]


@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name != "pubsub"])
def test_a_conversation_in_resp3_reads_the_same(pair: Pair, name: str) -> None:
    assert compared(pair, requests_of(CONVERSATIONS[name]), "3") == []


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_in_resp2_passes_as_it_is(pair: Pair, name: str) -> None:
    requests = requests_of(CONVERSATIONS[name])
    if name == "resp3":
        requests = [one for one in requests if b"HELLO" not in one[0] and b"setresp" not in one[0]]
        requests = requests[: requests.index((encode("SUBSCRIBE", "a", "b"), 2))]
    assert compared(pair, requests, "2") == []


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_the_rest_reads_the_same(pair: Pair, protocol: str) -> None:
    requests = requests_of(REST)
    if protocol == "2":  # there, replies to HELLO 3 are compared by the other
        requests = [one for one in requests if not one[0].startswith(encode("HELLO", "3")[5:])]
    assert compared(pair, requests, protocol) == []


def test_what_changes_has_the_same_form(pair: Pair) -> None:
    requests = requests_of(FORMS)
    if (
        pair.server.kind == "valkey"
    ):  # built without jemalloc, it says that it has no statistics, in a bulk string
        requests = [one for one in requests if b"MALLOC-STATS" not in one[0]]
    sides = []
    for raw in (pair.server.raw(), pair.proxy.raw()):
        with raw:
            begin(raw, "3")
            frames = [frame for [frame] in replies(raw, requests)]
            sides.append([(frame[:1], form(parse(frame))) for frame in frames])
    assert differences(requests, sides[0], sides[1]) == []


# By the words of requests, by depth, and of what conversations leave out.
MORE = r"""
    ZADD one 2.5 a
    ZRANDMEMBER one 1 WITHSCORES
    ZRANDMEMBER one -2 WITHSCORES
    ZRANDMEMBER one 1
    ZADD z 1 a 2.5 b 3 c
    ZRANGE z 0 -1 WITHSCORES
    ZREVRANGE z 0 -1 withscores
    ZRANGE z 0 9 BYSCORE LIMIT 0 2 WITHSCORES
    ZREVRANGEBYSCORE z 9 0 WITHSCORES LIMIT 0 2
    ZDIFF 2 z missing WITHSCORES
    ZDIFF 1 withscores
    ZUNION 2 z withscores
    ZPOPMIN missing
    ZPOPMIN missing 2
    ZPOPMIN z 1
    ZADD z INCR 2 a
    ZADD z XX INCR 2 missing
    ZMPOP 1 z MAX COUNT 2
    ZMPOP 1 z MIN
    BZPOPMIN z 0.01
    HSET h a 1
    HRANDFIELD h 1 WITHVALUES
    HRANDFIELD h
    HRANDFIELD missing 2 WITHVALUES
    HRANDFIELD missing
    SADD s a
    SPOP s 0
    SPOP s 1
    SPOP s
    SRANDMEMBER s 2
    LPOP missing 2
    XADD x 1-1 f v
    XGROUP CREATE x g 0
    XREADGROUP GROUP g c STREAMS x >
    XDEL x 1-1
    XREADGROUP GROUP g c STREAMS x 0
    XREAD STREAMS x 9
    XADD x 1-2 f v
    XREADGROUP GROUP g d COUNT 5 STREAMS x >
    XINFO STREAM x
    XINFO HELP
    MSET a ohmytext b mynewtext
    LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
    LCS a b LEN
    LCS a b
    ACL SETUSER u on +@all (%R~a +get) (~b +@read)
    ACL GETUSER u
    ACL GETUSER nosuch
    COMMAND INFO
    COMMAND INFO config nosuch xgroup
    COMMAND DOCS
    COMMAND DOCS nosuch
    MODULE LIST
    FUNCTION LOAD "#!lua name=l\nredis.register_function{function_name='f', callback=print, flags={'no-writes'}}"
    FUNCTION LIST WITHCODE
    FUNCTION FLUSH
    CONFIG GET max*
    CONFIG GET nosuch
    MULTI
    ZADD z 1 a
    ZRANGE z 0 -1 WITHSCORES
    HGETALL h
    LPOP missing 2
    GET missing
    CONFIG GET maxmemory
    COMMAND INFO get
    WATCH a
    EXEC
    MULTI
    HGETALL h
    DISCARD
    MULTI
    NOSUCH
    GET a
    EXEC
    EXEC
    RESET
    HGETALL h
    HELLO 3 SETNAME me
    HGETALL h
    HELLO
    HELLO 2
    HGETALL h
    HELLO 3
    CLIENT GETNAME
"""


def test_replies_by_options_by_depth_and_within_exec_read_the_same(pair: Pair) -> None:
    assert compared(pair, requests_of(MORE), "3") == []


def test_a_pipeline_around_hello_and_reset_is_answered_in_the_protocol_of_each_place(
    pair: Pair,
) -> None:
    whole = [
        ("HSET", "h", "f", "v"), ("HGETALL", "h"), ("HELLO", "3"), ("HGETALL", "h"), ("GET", "no"), ("GET", "no"),
        ("RESET",), ("HGETALL", "h"), ("HELLO", "3"), ("MULTI",), ("HGETALL", "h"), ("EXEC",), ("HELLO", "2"),
        ("GET", "no"), ("HELLO", "3", "AUTH", "default", "x", "SETNAME", "n"), ("CLIENT", "GETNAME"), ("QUIT",),
    ]  # fmt: skip
    sides = []
    for client in (pair.server.raw(), pair.proxy.raw()):
        with client:
            client.send(b"".join(encode(*words) for words in whole))
            sides.append([normal(frame) for frame in client.frames(len(whole))])
            assert client.rest() == b""
        pair.server.clean()
    assert sides[0] == sides[1]


def test_hello_and_reset_that_are_not_answered_count_all_the_same(pair: Pair) -> None:
    whole = [
        ("CLIENT", "REPLY", "SKIP"), ("HELLO", "3"), ("GET", "none"),
        ("CLIENT", "REPLY", "OFF"), ("RESET",), ("CLIENT", "REPLY", "ON"), ("GET", "none"),
    ]  # fmt: skip
    for client in (pair.server.raw(), pair.proxy.raw()):
        with client:
            client.send(b"".join(encode(*words) for words in whole[:3]))
            assert client.frame() == b"_\r\n"
            client.send(b"".join(encode(*words) for words in whole[3:]))
            assert client.frame() == b"+RESET\r\n"  # it ends the silence, too
            assert client.frames(2) == [b"+OK\r\n", b"$-1\r\n"]


def test_a_large_request_waits_for_hello_but_not_for_what_may_never_end(pair: Pair) -> None:
    large = encode("SET", "a", "x" * 1_000_000)
    with pair.proxy.raw() as client:
        client.send(encode("HELLO", 3) + large + encode("GET", "none"))
        assert client.frames(3)[1:] == [b"+OK\r\n", b"_\r\n"]
        client.send(encode("BLPOP", "none", 0) + encode("HELLO", 2) + large + encode("GET", "no"))
        with pair.server.raw() as other:
            other.send(encode("RPUSH", "none", "v"))
            other.frame()
        popped, hello, refused, null = client.frames(4)
        assert popped.startswith(b"*2") and hello.startswith(b"*14") and null == b"$-1\r\n"
        assert refused.startswith(b"-ERR shotover: a request this large cannot wait")
        client.send(encode("BLPOP", "gone", 0) + encode("HELLO", 3) + large)
    # it has left: the pair's end sees that nothing is kept of it


def test_messages_and_confirmations_are_pushes(pair: Pair, raw: RawClient) -> None:
    raw.send(
        encode("SUBSCRIBE", "a", "b")
        + encode("PSUBSCRIBE", "p*")
        + encode("PING")
        + encode("PING", "x")
    )
    assert raw.frames(5) == [
        b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", b">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
        b">3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:3\r\n", b"+PONG\r\n", b"$1\r\nx\r\n",
    ]  # fmt: skip
    with pair.server.raw() as other:
        other.command("PUBLISH", "a", "y" * 100_000)
        other.command("PUBLISH", "pq", "z")
    assert (
        raw.frame() == b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$100000\r\n" + b"y" * 100_000 + b"\r\n"
    )
    assert raw.frame() == b">4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$2\r\npq\r\n$1\r\nz\r\n"
    assert raw.command("GET", "a").startswith(b"-ERR Can't execute 'get'")  # of RESP2
    raw.send(encode("UNSUBSCRIBE") + encode("PUNSUBSCRIBE") + encode("UNSUBSCRIBE"))
    assert [frame[:4] for frame in raw.frames(4)] == [b">3\r\n"] * 4
    assert raw.command("GET", "a") == b"_\r\n"


def test_clients_of_both_protocols_share_one_connection(pair: Pair, raw: RawClient) -> None:
    with pair.proxy.raw() as older:
        for client in (older, raw):
            client.command("SET", "a", "1")
        assert older.command("GET", "none") == b"$-1\r\n"
        assert raw.command("GET", "none") == b"_\r\n"
        with pair.server.client() as server:

            def names() -> list[str]:
                return [one["cmd"] for one in server.client_list() if one["cmd"] != "client|list"]

            wait_until(lambda: names() == ["get"] or "hello" in names(), "the lease lies idle")
            assert names().count("get") == 1


@pytest.mark.measures
def test_large_replies_are_written_as_they_come(pair: Pair, raw: RawClient) -> None:
    """40 MB: the proxy neither gathers nor doubles them."""
    value = b"v" * 20_000
    with pair.server.client() as server, server.pipeline(transaction=False) as pipe:
        for number in range(2000):
            pipe.hset("h", f"f{number}", value)
        pipe.execute()
    raw.command("GET", "h")
    before = pair.proxy.resident_size()
    grown = 0
    for _ in range(3):
        assert len(parse(raw.command("HGETALL", "h"))) == 2000
        grown = max(grown, pair.proxy.resident_size() - before)
    assert grown < 30_000_000
    raw.send(encode("HGETALL", "h") + encode("GET", "none"))
    assert raw.frames(2)[1] == b"_\r\n"


def test_a_long_pipeline_of_one_command_with_different_options(pair: Pair, raw: RawClient) -> None:
    raw.command("ZADD", "z", "1.5", "a")
    plain, scores = b"*1\r\n$1\r\na\r\n", b"*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n"
    requests = [("ZRANGE", "z", 0, -1, *(["WITHSCORES"] * (n % 3 == 0))) for n in range(1000)]
    raw.send(b"".join(encode(*words) for words in requests))
    assert raw.frames(1000) == [plain if n % 3 else scores for n in range(1000)]


def test_a_server_that_hangs_up_in_the_middle_of_a_reply_costs_that_client_its_connection(
    pair: Pair,
) -> None:
    server = Server("redis")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        proxy = Proxy(server.port, chain=[CONVERTER])
        stack.callback(proxy.stop)
        proxy.allow_log("upstream|connect")
        with server.client() as direct:
            direct.set("big", b"x" * 50_000_000)
        with proxy.raw() as client:
            client.command("HELLO", "3")
            client.send(encode("GET", "big"))
            assert client.exactly(11) == b"$50000000\r\n"
            server.kill()
            assert len(client.rest()) < 50_000_000
        with proxy.raw() as client:
            assert client.command("GET", "a").startswith(b"-ERR shotover: upstream")


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("CLIENT", "TRACKING", "ON"), b"-ERR shotover: CLIENT TRACKING needs a connection in RESP3"),
        (("EVAL", "redis.setresp(3); return {map={a=1}}", 0), b"-ERR shotover: redis.setresp in a script"),
        (("TOY.NOTHING", "a"), b"-ERR shotover: what this command replies in RESP3 is not known"),
        (("DEBUG", "PROTOCOL", "MAP"), b"-ERR shotover: the reply to this cannot be converted"),
    ],
)  # fmt: skip
def test_what_cannot_be_faithful_is_refused(raw: RawClient, words: Any, told: bytes) -> None:
    assert raw.command(*words).startswith(told)
    raw.send(
        encode("MULTI")
        + encode("SET", "a", 1)
        + encode(*words)
        + encode("EXEC")
        + encode("GET", "a")
    )
    ok, queued, refused, aborted, missing = raw.frames(5)
    assert (ok, queued, missing) == (b"+OK\r\n", b"+QUEUED\r\n", b"_\r\n")
    assert refused.startswith(told) and aborted.startswith(b"-EXECABORT")


def test_hello_3_within_multi_is_refused_and_its_transaction_is_not_carried_out(pair: Pair) -> None:
    with pair.proxy.raw() as client:
        client.send(encode("MULTI") + encode("HELLO", 3) + encode("EXEC") + encode("GET", "a"))
        assert client.frame() == b"+OK\r\n"
        refused, aborted, missing = client.frames(3)
        assert refused.startswith(b"-ERR shotover: HELLO cannot") and aborted.startswith(
            b"-EXECABORT"
        )
        assert missing == b"$-1\r\n"


def test_refused_resp3_leaves_clients_in_resp2() -> None:
    pair = Pair(converter={"resp3": "refuse"})
    with pair.stack:
        with pair.proxy.raw() as client:
            assert client.command("HELLO", 3) == b"-NOPROTO unsupported protocol version\r\n"
            assert client.command("GET", "a") == b"$-1\r\n"
            assert client.command("HELLO", 2).startswith(b"*14\r\n")
        pair.clean()


def test_commands_of_modules_pass_if_told_so(tmp_path: Path) -> None:
    pair = Pair("--loadmodule", str(build_toy(tmp_path)), converter={"unknown_commands": "pass"})
    with pair.stack:
        with pair.server.raw() as server, pair.proxy.raw() as client:
            client.command("HELLO", 3)
            assert client.command("TOY.READ", "a") == server.command("TOY.READ", "a") == b":2\r\n"
            assert client.command("NOSUCH").startswith(b"-ERR unknown command")
        pair.clean()


# ---- HELLO -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def old() -> Iterator[Pair]:
    """A server that has no HELLO, as before version 6."""
    pair = Pair("--rename-command", "HELLO", "", "--requirepass", "secret")
    with pair.stack:
        yield pair


def test_hello_is_made_up_for_a_server_that_has_none(old: Pair) -> None:
    with old.proxy.raw() as client:
        client.send(
            encode("HELLO", 3) + encode("HELLO", 3, "AUTH", "default", "wrong")
            + encode("HELLO", 3, "AUTH", "default", "secret", "SETNAME", "me")
            + encode("CLIENT", "GETNAME") + encode("GET", "none") + encode("HELLO", 2) + encode("GET", "none")
        )  # fmt: skip
        no_auth, wrong, hello, name, null, hello2, null2 = client.frames(7)
        assert no_auth.startswith(b"-NOAUTH") and wrong.startswith(b"-WRONGPASS")
        said = parse(hello)
        assert list(said) == [b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"]
        assert (said[b"server"], said[b"proto"], said[b"mode"], said[b"role"], said[b"modules"]) == (
            b"redis", 3, b"standalone", b"master", []
        )  # fmt: skip
        with old.server.raw() as server:
            server.command("AUTH", "secret")
            assert b"redis_version:" + said[b"version"] in server.ask("INFO", "server")
        assert (name, null) == (b"$2\r\nme\r\n", b"_\r\n")
        assert (hello2[:5], null2) == (b"*14\r\n", b"$-1\r\n")


def test_hello_3_never_reaches_the_server_however_it_is_said(pair: Pair) -> None:
    for words in (
        ["HELLO", 3, *["AUTH", "default", "x"] * 9],
        ["hello", 3, "SETNAME", "n"],
        ["HELLO", 3, "SETNAME"],
        ["HELLO", 3, "NOSUCH"],
        ["HELLO", "03"],
        ["HELLO", "4"],
    ):
        with pair.server.raw() as server, pair.proxy.raw() as client:
            assert normal(client.command(*words)) == normal(server.command(*words))
            assert client.command("GET", "none") == server.command("GET", "none")
            assert b" resp=2" in parse(client.command("CLIENT", "INFO"))


def test_a_driver_in_resp3_works_with_a_server_that_has_no_hello(old: Pair) -> None:
    with redis.Redis(port=old.proxy.port, protocol=3, password="secret") as client:
        client.hset("h", mapping={"f": "v"})
        assert client.hgetall("h") == {b"f": b"v"}
        client.zadd("z", {"a": 1.5})
        assert client.zrange("z", 0, -1, withscores=True) == [[b"a", 1.5]]
        client.delete("h", "z")


def test_clients_that_leave_while_hello_is_under_way_leave_nothing_behind(pair: Pair) -> None:
    for _ in range(20):
        with pair.proxy.raw() as client:
            client.send(encode("HELLO", 3) + encode("GET", "a") * 50 + encode("HGETALL", "a"))
    with pair.proxy.raw() as client:
        client.send(encode("HELLO", 3) + encode("GET", "a"))
        client.half_close()
        assert client.frames(2)[1] == b"_\r\n"


# ---- drivers and other sinks -------------------------------------------------------------------------------------


def work(client: redis.Redis) -> list[Any]:
    """What applications do; what it says depends on the protocol that the driver speaks."""
    client.flushall()
    with client.pipeline() as pipe:
        pipe.hset("{t}h", mapping={"a": "1", "b": "2"}).hgetall("{t}h").zadd(
            "{t}z", {"m": 1.5}
        ).sadd("{t}s", "x", "y")
        pipe.zrange("{t}z", 0, -1, withscores=True).get("{t}none")
        said: list[Any] = pipe.execute()
    said += [
        client.smembers("{t}s"), client.zpopmin("{t}z", 2), client.config_get("maxmemory"),
        client.xadd("{t}x", {"f": "v"}, "1-1"),
        client.xread({"{t}x": 0}), client.xinfo_stream("{t}x"), client.geoadd("{t}g", (13.361389, 38.115556, "Palermo")),
        client.geopos("{t}g", "Palermo", "none"), client.command_getkeysandflags("SET", "a", "b"), client.acl_getuser("default"),
        client.blpop(["{t}none"], timeout=0.01),
    ]  # fmt: skip
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("news")
        wait_until(lambda: client.pubsub_numsub("news")[0][1] == 1, "subscribed")
        client.publish("news", "hello")
        found: list[Any] = []
        wait_until(lambda: found.append(pubsub.get_message(timeout=0.1)) or found[-1], "a message")
        said.append(found[-1])
    return said


def test_a_driver_does_its_work(pair: Pair, driver: str) -> None:
    sides = []
    for port in (pair.server.port, pair.proxy.port):
        pool = redis.ConnectionPool(port=port, socket_timeout=10, **driver_options(driver))
        with contextlib.closing(redis.Redis(connection_pool=pool)) as client:
            sides.append(work(client))
        pool.disconnect()
    assert sides[0] == sides[1]


def test_before_a_cluster() -> None:
    with contextlib.ExitStack() as stack:
        cluster = Cluster(3)
        stack.callback(cluster.stop)
        end = {"RedisSinkCluster": {"first_contact_points": [f"127.0.0.1:{cluster.ports[0]}"]}}
        proxy = Proxy(cluster.ports[0], chain=[CONVERTER], end=end)
        stack.callback(proxy.stop)
        with proxy.raw() as client:
            assert parse(client.command("HELLO", 3))[b"proto"] == 3
            client.send(b"".join(encode("HSET", f"h{n}", "f", n) for n in range(100)))
            client.frames(100)
            client.send(
                b"".join(encode("HGETALL", f"h{n}") for n in range(100)) + encode("MGET", *"abcdef")
            )
            *maps, nulls = client.frames(101)
            assert maps == [
                b"%%1\r\n$1\r\nf\r\n$%d\r\n%d\r\n" % (len(str(n)), n) for n in range(100)
            ]
            assert nulls == b"*6\r\n" + b"_\r\n" * 6
            client.send(encode("MULTI") + encode("HGETALL", "h1") + encode("EXEC"))
            assert client.frames(3)[2] == b"*1\r\n%1\r\n$1\r\nf\r\n$1\r\n1\r\n"
            assert isinstance(parse(client.command("CLUSTER", "SHARDS")), (list, Error))
