"""TuneableConsistencyScatter with all servers well: what clients see is one server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.conversations import CONVERSATIONS, normal, requests_of
from support.resp import Error, encode, parse
from support.wait import wait_until, wait_until_equal

from chain.multi import NAMES, Multi

Make = Callable[..., Multi]

UNLIKE = {
    "pubsub": "its commands that a subscribed client may not send are refused by its home alone",
}


def converse(raw: Any, requests: list[tuple[bytes, int]]) -> list[bytes]:
    replies = []
    for sent, count in requests:
        raw.send(sent)
        replies += raw.frames(count)
    return replies


def unordered(frame: bytes) -> Any:
    """Lists in an order that does not depend on a server's seed."""
    try:
        value = parse(normal(frame))
    except ValueError:  # a number that `normal` has taken out
        return normal(frame)
    return sorted(map(repr, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("name", sorted(set(CONVERSATIONS) - set(UNLIKE)))
def test_a_conversation_is_that_of_a_single_server(multi: Make, name: str) -> None:
    """Byte for byte that of the preferred server; afterwards the others hold the same."""
    three = multi()
    requests = requests_of(CONVERSATIONS[name])
    first = three.servers[NAMES[0]]
    with first.raw() as direct:
        expected = converse(direct, requests)
    first.clean()
    found = converse(three.raw(), requests)
    assert [unordered(each) for each in found] == [unordered(each) for each in expected]
    assert three.metric("missed_count") == 0


MIXED = [
    command
    for number in range(10)
    for command in (
        ("SET", f"k{number}", f"v{number}"),
        ("GET", f"k{number}"),
        ("INCR", "counter"),
        ("LPUSH", f"k{number}", "x"),  # an error in the middle
        ("PING", f"p{number}"),
        ("RPUSH", "list", str(number)),
        ("LRANGE", "list", "0", "-1"),
        ("MGET", "k0", f"k{number}", "missing"),
        ("DEL", f"k{number - 1}", "nothing"),
        ("NOSUCHCOMMAND", "a b"),
    )
]


def test_a_pipeline_of_100_mixed_commands_keeps_its_order(multi: Make) -> None:
    three = multi()
    with three.servers["one"].raw() as direct:
        direct.send(b"".join(encode(*command) for command in MIXED))
        expected = direct.frames(len(MIXED))
    three.servers["one"].clean()
    client = three.raw()
    for _ in range(3):
        client.send(b"".join(encode(*command) for command in MIXED))
        assert client.frames(len(MIXED)) == expected
        assert client.ask("FLUSHALL") == b"OK"
    three.same()


def test_arguments_of_any_bytes(multi: Make) -> None:
    """Quotes, backslashes, control bytes before digits, empty words: in keys and values, read and written."""
    three = multi()
    client = three.raw()
    for word in (b"a 1", b"\x001", b"\x0b9", b"'", b"\\", b"\\'1", b"\r\n$3\r\n", b"\xff7", b""):
        assert client.ask("SET", b"k" + word, word) == b"OK"
        assert client.ask("GET", b"k" + word) == word
        assert client.ask("HSET", b"h" + word, word, word) == 1
        assert client.ask("HGETALL", b"h" + word) == [word, word]
    three.same()


def written(multi: Multi, key: str, **values: tuple[str, int]) -> None:
    """Gives each named server a value that has not been used for so many seconds; the others have none."""
    for name, server in multi.servers.items():
        with server.raw() as raw:
            raw.command("DEL", key)
            if name in values:
                value, idle = values[name]
                raw.command("SET", "source", value)
                dump = raw.ask("DUMP", "source")
                assert raw.ask("RESTORE", key, 0, dump, "IDLETIME", idle) == b"OK"
                raw.command("DEL", "source")


def test_a_read_returns_the_newest_of_all(multi: Make) -> None:
    three = multi(read_consistency=3)
    for newest in NAMES:
        values = {name: (name, 5 if name == newest else 100) for name in NAMES}
        written(three, "key", **values)
        assert three.raw().ask("GET", "key") == newest.encode()
        written(three, "key", **values)
        assert three.raw().ask("MGET", "key", "none") == [newest.encode(), None]


def test_a_missing_key_is_not_newest(multi: Make) -> None:
    three = multi(read_consistency=3)
    written(three, "key", two=("kept", 50))
    assert three.raw().ask("GET", "key") == b"kept"
    assert three.raw().ask("GET", "nowhere") is None


def test_equally_new_ones_are_put_to_the_vote(multi: Make) -> None:
    three = multi(read_consistency=3)
    written(three, "key", one=("old", 11), two=("new", 10), three=("new", 10))
    assert three.raw().ask("GET", "key") == b"new"


def test_no_clock_no_stamp(multi: Make) -> None:
    """A server that evicts by frequency has no idle times: then the vote decides."""
    three = multi("--maxmemory-policy", "allkeys-lfu", "--maxmemory", "100mb", read_consistency=3)
    for name, server in three.servers.items():
        server.client().set("key", "odd" if name == "one" else "even")
    assert three.raw().ask("GET", "key") == b"even"
    assert three.bench.sample("shotover_tagged_reads_count") == 0


def test_what_concerns_all_servers(multi: Make) -> None:
    three = multi()
    client = three.raw()
    for server, count in zip(three.servers.values(), (1, 3, 2), strict=True):
        for number in range(count):
            server.client().set(f"k{number}", "")
    assert client.ask("DBSIZE") == 3
    assert sorted(client.ask("KEYS", "*")) == [b"k0", b"k1", b"k2"]
    assert client.ask("FLUSHALL") == b"OK"
    assert [server.client().dbsize() for server in three.servers.values()] == [0, 0, 0]


@pytest.mark.parametrize(("command", "key"), [("SCAN", ()), ("HSCAN", ("h",)), ("SSCAN", ("s",))])
def test_a_scan_stays_on_its_route(multi: Make, command: str, key: tuple[str, ...]) -> None:
    three = multi()
    client = three.raw()
    for number in range(500):
        client.send(encode("SET", f"k{number}", "") + encode("HSET", "h", f"{number:050}", "v" * 70)
                    + encode("SADD", "s", f"m{number}"))  # fmt: skip
        client.frames(3)
    seen: set[bytes] = set()
    cursor, cursors = b"0", []
    while True:
        cursor, found = three.raw().ask(command, *key, cursor, "COUNT", 20)
        seen.update(found)
        if cursor == b"0":
            break
        cursors.append(cursor)
    assert len(seen) == (502 if command == "SCAN" else 1000 - (499 if command == "HSCAN" else 500))
    assert len(cursors) > 5
    three.servers["one"].kill()
    assert client.ask("SET", "k", "v") == b"OK"  # by which it is seen to be away
    error = three.raw().ask(command, *key, cursors[2])
    assert isinstance(error, Error)
    assert "begin the scan anew" in error
    assert client.ask(command, *key, 0)[0] != b"0"


def test_an_error_reply_is_no_answer(multi: Make) -> None:
    """Two servers have another type there: theirs is no answer, and the one that is is not enough."""
    three = multi()
    client = three.raw()
    three.servers["one"].client().rpush("key", "x")
    assert client.ask("GET", "key") is None  # two say so
    three.servers["two"].client().rpush("key", "x")
    error = client.ask("INCR", "key")
    assert error.startswith("WRONGTYPE")  # as many as are needed give it
    assert client.ask("SET", "all", "v") == b"OK"
    assert client.ask("LPUSH", "all", "v").startswith("WRONGTYPE")
    assert three.metric("missed_count") == 0


def test_a_transaction(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.send(encode("MULTI") + encode("SET", "a", "1") + encode("GET", "a") + encode("EXEC"))
    assert [parse(frame) for frame in client.frames(4)] == [
        b"OK", b"QUEUED", b"QUEUED", [b"OK", b"1"],
    ]  # fmt: skip
    assert client.ask("MULTI") == b"OK"
    assert client.ask("NOSUCH").startswith("ERR unknown command")
    assert client.ask("EXEC").startswith("EXECABORT")
    assert client.ask("EXEC").startswith("ERR EXEC without MULTI")
    assert client.ask("WATCH", "a") == b"OK"
    three.raw().command("SET", "a", "2")
    three.same()  # every server has it, so that every one of them aborts
    assert client.ask("MULTI") == b"OK"
    assert client.ask("INCR", "a") == b"QUEUED"
    assert client.ask("EXEC") is None
    assert client.ask("GET", "a") == b"2"
    three.same()


def test_a_subscription_cannot_stand_in_a_transaction(multi: Make) -> None:
    client = multi().raw()
    client.command("MULTI")
    assert client.ask("SET", "a", "1") == b"QUEUED"
    assert "cannot stand in a transaction" in client.ask("SUBSCRIBE", "c")
    assert client.ask("EXEC").startswith("EXECABORT")
    assert client.ask("GET", "a") is None


@pytest.mark.parametrize("protocol", [2, 3])
def test_subscriptions_come_once(multi: Make, protocol: int) -> None:
    three = multi()
    listener, speaker = three.raw(), three.raw()
    listener.command("HELLO", protocol)
    assert listener.ask("SUBSCRIBE", "c")[:2] == [b"subscribe", b"c"]
    assert speaker.ask("PUBLISH", "c", "hello") == 1
    assert listener.value() == [b"message", b"c", b"hello"]
    assert listener.silent()
    assert listener.ask("UNSUBSCRIBE", "c")[0] == b"unsubscribe"
    assert listener.ask("GET", "nothing") is None
    assert speaker.ask("PUBLISH", "c", "hello") == 0


def test_blocking_commands(multi: Make) -> None:
    three = multi(timeout_ms=1000)
    waiting, other = three.raw(), three.raw()
    waiting.send(encode("BLPOP", "list", 0) + encode("PING"))
    assert waiting.silent(1.5)  # for longer than timeout_ms
    assert other.ask("RPUSH", "list", "x") == 1
    assert waiting.frames(2) == [encode("list", "x"), b"+PONG\r\n"]
    assert waiting.ask("BLPOP", "list", 0.05) is None
    three.same()
    assert three.metric("timeouts_count") == 0


def test_a_blocked_client_that_leaves_is_forgotten(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.send(encode("BLPOP", "list", 0))
    servers = three.servers.values()
    for server in servers:
        wait_until(
            lambda server=server: b"blocked_clients:1" in server.raw().ask("INFO"), "it blocks"
        )
    client.close()
    for server in servers:
        wait_until(
            lambda server=server: b"blocked_clients:0" in server.raw().ask("INFO"), "it does not"
        )
    assert three.raw().ask("RPUSH", "list", "x") == 1


def test_state_is_told_to_every_route(multi: Make) -> None:
    three = multi()
    client = three.raw()
    assert client.ask("SELECT", 5) == b"OK"
    assert client.ask("CLIENT", "SETNAME", "somebody") == b"OK"
    assert client.ask("SET", "k", "v") == b"OK"
    assert client.ask("CLIENT", "GETNAME") == b"somebody"
    assert all(server.client(db=5).get("k") == b"v" for server in three.servers.values())
    assert client.ask("RESET") == b"RESET"
    assert client.ask("GET", "k") is None
    assert client.ask("QUIT") == b"OK"
    assert client.rest() == b""


def test_a_password(multi: Make) -> None:
    three = multi("--requirepass", "secret")
    client = three.raw()
    assert client.ask("GET", "k").startswith("NOAUTH")
    assert client.ask("AUTH", "wrong").startswith("WRONGPASS")
    assert client.ask("AUTH", "secret") == b"OK"
    assert client.ask("SET", "k", "v") == b"OK"
    assert three.raw().ask("SET", "k", "w").startswith("NOAUTH")
    assert client.ask("GET", "k") == b"v"
    assert three.metric("missed_count") == 0


def test_users_that_differ_are_seen_at_once(multi: Make) -> None:
    """One server does not know the user: its error is the answer, and the client must not go on in two minds."""
    three = multi()
    for name in ("one", "two"):
        three.servers[name].client().acl_setuser("u", enabled=True, nopass=True, commands=["+@all"])
    client = three.raw()
    assert client.ask("AUTH", "u", "x").startswith("WRONGPASS")
    assert client.rest() == b""


def test_client_reply_is_refused(multi: Make) -> None:
    client = multi().raw()
    assert "cannot pass" in client.ask("CLIENT", "REPLY", "OFF")
    assert client.ask("CLIENT", "REPLY", "ON") == b"OK"
    assert client.ask("PING") == b"PONG"


def test_what_a_driver_does_every_day(multi: Make) -> None:
    three = multi()
    client = three.client(decode_responses=True, client_name="everyday")
    assert client.ping()
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).incr("a").hset("h", mapping={"x": 1, "y": 2}).hgetall("h")
        assert pipe.execute() == [True, 2, 2, {"x": "1", "y": "2"}]
    with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set(f"k{number}", number).get(f"k{number}")
        assert pipe.execute()[1::2] == [str(number) for number in range(100)]
    assert sorted(client.scan_iter("k*", count=7)) == sorted(f"k{number}" for number in range(100))
    assert client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")(["a"], [5]) == 7
    with client.lock("lock", timeout=5):
        assert client.exists("lock")
    assert client.transaction(lambda pipe: (pipe.multi(), pipe.incr("a")), "a") == [8]
    listener = client.pubsub()
    listener.subscribe("news")
    wait_until(lambda: client.publish("news", "hello") == 1, "somebody listens")
    wait_until_equal(
        lambda: (listener.get_message(timeout=1) or {}).get("data"), "hello", "it is heard"
    )
    listener.close()
    client.close()
    three.same()
