"""KeyRouter: where requests go, what is split, and that state, transactions and the like stay what they are."""

from __future__ import annotations

import pytest
from support.resp import Error, encode, parse
from support.servers import Server

from chain.bench import Bench, Silent, sink

RULES = [{"prefix": "b:", "to": "b"}, {"key": "special", "to": "b"}, {"glob": "*:c:*", "to": "c"}]


def router(default: int, *, rules=RULES, multi_key: str = "split", **ports: int) -> dict:
    return {
        "KeyRouter": {
            "name": "router",
            "chains": {name: [sink(port)] for name, port in ports.items()},
            "default": [sink(default)],
            "rules": rules,
            "multi_key": multi_key,
        }
    }


class Three:
    """Three servers, a router before them, and one of them alone to compare with."""

    def __init__(self, run, start_server, **fields) -> None:
        self.default, self.b, self.c, self.alone = (start_server() for _ in range(4))
        self.bench: Bench = run(router(self.default.port, b=self.b.port, c=self.c.port, **fields))

    @property
    def servers(self) -> list[Server]:
        return [self.default, self.b, self.c]

    def held(self) -> list[list[bytes]]:
        return [sorted(server.client().keys()) for server in self.servers]


@pytest.fixture
def three(run, start_server) -> Three:
    return Three(run, start_server)


# ---- by key ------------------------------------------------------------------------------------------------------


def test_each_key_goes_to_its_server(three) -> None:
    keys = ["a", "b:1", "x:c:1", "special", "b:c:d", "b"]
    replies = three.bench.play(
        *[f"SET {key} {key}" for key in keys], *[f"GET {key}" for key in keys]
    )
    assert replies[:6] == [b"+OK\r\n"] * 6
    assert [parse(reply) for reply in replies[6:]] == [key.encode() for key in keys]
    assert three.held() == [[b"a", b"b"], [b"b:1", b"b:c:d", b"special"], [b"x:c:1"]]


def test_keys_that_stand_elsewhere_in_the_request(three) -> None:
    client = three.bench.client()
    client.ask("SET", "b:1", "x")
    assert client.ask("OBJECT", "ENCODING", "b:1") == b"embstr"
    assert client.ask("EVAL", "return redis.call('GET', KEYS[1])", 1, "b:1") == b"x"
    client.ask("XADD", "b:s", "1-1", "f", "v")
    assert len(client.ask("XREAD", "STREAMS", "b:s", "0")) == 1
    assert client.ask("SUNIONSTORE", "b:u", "b:none", "b:other") == 0


def test_several_keys_are_split_and_joined(three) -> None:
    client, alone = three.bench.client(), three.alone.client()
    words = ["a", "1", "b:1", "2", "x:c:", "3", "a2", "4", "b:1", "5"]
    assert client.ask("MSET", *words) == b"OK"
    alone.execute_command("MSET", *words)
    keys = ["x:c:", "b:1", "none", "a", "b:none", "a2", "a"]
    assert client.ask("MGET", *keys) == [b"3", b"5", None, b"1", None, b"4", b"1"]
    assert client.ask("EXISTS", *keys) == alone.exists(*keys) == 5
    assert client.ask("TOUCH", *keys) == 5
    assert client.ask("DEL", "a", "a", "b:1", "none") == 2
    assert client.ask("UNLINK", "a2", "x:c:") == 2
    assert three.held() == [[], [], []]
    assert three.bench.sample("shotover_split_requests_count") == 6


def test_pipelines_keep_their_order(three) -> None:
    requests, wanted = [], []
    for number in range(300):
        keys = [f"a{number % 7}", f"b:{number % 5}", f":c:{number % 3}"]
        requests += [
            ("MSET", *[word for key in keys for word in (key, number)]),
            ("MGET", *keys),
            ("GET", keys[number % 3]),
        ]
        wanted += [b"OK", [b"%d" % number] * 3, b"%d" % number]
    assert [parse(reply) for reply in three.bench.play(*requests)] == wanted


def test_what_cannot_be_split_is_refused(three) -> None:
    for words in (
        "SINTER a b:1",
        "RENAME a b:1",
        "MSETNX a 1 b:1 2",
        "BLPOP a b:1 0",
        "LMOVE a b:1 LEFT LEFT",
    ):
        [reply] = three.bench.play(words)
        assert reply.startswith(b"-CROSSSLOT shotover: "), reply
    assert three.bench.sample("shotover_route_refusals_count") == 5


def test_refuse_refuses_all(run, start_server) -> None:
    three = Three(run, start_server, multi_key="refuse")
    assert three.bench.play("MGET a b:1")[0].startswith(b"-CROSSSLOT shotover: ")
    assert three.bench.play("MGET b:2 b:1")[0] == b"*2\r\n$-1\r\n$-1\r\n"


def test_the_servers_own_complaints(three) -> None:
    for words in (
        ("MSET", "a", "1", "b:1"),
        ("MGET",),
        ("GET",),
        ("NOSUCH", "x"),
        ("SUBSCRIBE",),
        ("SELECT",),
    ):
        client = three.bench.client()
        assert client.ask(*words) == str(error_of(three.alone, *words))


def error_of(server: Server, *words: str) -> Error:
    from support.resp import RawClient

    with RawClient(server.port) as client:
        return client.ask(*words)


def test_a_server_that_is_down_fails_its_own_keys_only(three) -> None:
    three.b.kill()
    client = three.bench.client()
    client.send(
        encode("SET", "a", 1)
        + encode("GET", "b:1")
        + encode("GET", "a")
        + encode("MGET", "a", "b:1")
    )
    replies = [client.value() for _ in range(4)]
    assert replies[0] == b"OK" and replies[2] == b"1"
    assert isinstance(replies[1], Error) and isinstance(replies[3], Error)


def test_a_server_that_says_nothing_holds_up_no_other(run, start_server) -> None:
    server, silent = start_server(), Silent(reads=False)
    bench = run(router(server.port, b=silent.port, c=server.port))
    stuck, other = bench.client(), bench.client()
    stuck.send(encode("GET", "b:1") + encode("GET", "a"))
    assert other.ask("SET", "a", 1) == b"OK"
    assert stuck.silent()
    stuck.close()
    silent.close()


# ---- no key ------------------------------------------------------------------------------------------------------


def test_what_concerns_all_servers_goes_to_all(three) -> None:
    client = three.bench.client()
    keys = ["a", "b:1", "x:c:", "b:2"]
    client.ask("MSET", *[word for key in keys for word in (key, "v")])
    assert client.ask("DBSIZE") == 4
    assert sorted(client.ask("KEYS", "*")) == sorted(key.encode() for key in keys)
    digest = client.ask("SCRIPT", "LOAD", "return KEYS[1]")
    assert client.ask("EVALSHA", digest, 1, "b:1") == b"b:1"
    assert client.ask("SCRIPT", "EXISTS", digest) == [1]
    three.c.client().script_flush()
    assert client.ask("SCRIPT", "EXISTS", digest) == [0]
    assert client.ask("RANDOMKEY").decode() in keys
    assert client.ask("WAIT", 0, 0) == 0
    assert client.ask("FLUSHALL") == b"OK"
    assert three.held() == [[], [], []]
    assert client.ask("RANDOMKEY") is None
    assert client.ask("PING") == b"PONG"


def test_scan_goes_through_all(three) -> None:
    client = three.bench.client()
    keys = {f"{start}{number}".encode() for start in ("a", "b:", ":c:") for number in range(100)}
    for key in keys:
        client.send(encode("SET", key, "x"))
    client.frames(len(keys))
    found, cursor, rounds = [], b"0", 0
    while True:
        cursor, some = client.ask("SCAN", cursor, "COUNT", 10)
        found += some
        rounds += 1
        if cursor == b"0":
            break
    assert sorted(found) == sorted(keys)
    assert rounds > 3
    assert client.ask("SCAN", "x") == "ERR invalid cursor"
    assert isinstance(client.ask("SCAN", 0, "COUNT", "x"), Error)


def test_a_command_rule(run, start_server) -> None:
    rules = [
        {"command": ["PUBLISH", "SUBSCRIBE"], "to": "b"},
        {"command": "CONFIG GET", "to": "c"},
        {"command": "GET", "prefix": "r:", "to": "c"},
    ]
    three = Three(run, start_server, rules=rules)
    client, subscriber = three.bench.client(), three.b.client().pubsub()
    subscriber.subscribe("news")
    subscriber.get_message(timeout=5)
    assert client.ask("PUBLISH", "news", "x") == 1
    three.c.client().config_set("maxmemory-samples", 7)
    assert client.ask("CONFIG", "GET", "maxmemory-samples") == [b"maxmemory-samples", b"7"]
    client.ask("SET", "r:1", "default")
    three.c.client().set("r:1", "c")
    assert client.ask("GET", "r:1") == b"c"
    subscriber.close()


def test_slots_divide_the_keys(run, start_server) -> None:
    rules = [{"hash": "0-8191", "to": "b"}, {"hash": "8192-16383", "to": "c"}]
    three = Three(run, start_server, rules=rules)
    client = three.bench.client()
    for number in range(100):
        client.ask("SET", f"k{number}", "x")
    default, b, c = map(len, three.held())
    assert (default, b + c) == (0, 100) and b > 20 and c > 20
    assert client.ask("MSET", "{t}1", 1, "{t}2", 2) == b"OK"
    assert three.bench.sample("shotover_split_requests_count") == 0


# ---- state -------------------------------------------------------------------------------------------------------


def test_state_reaches_every_chain_before_its_first_request(three) -> None:
    replies = three.bench.play(
        "SELECT 3",
        "CLIENT SETNAME me",
        "SET a 1",
        "SET b:1 2",
        "MSET a2 1 :c:2 2",
        "DBSIZE",
        "SELECT 0",
        "DBSIZE",
        "GET b:1",
    )
    assert [parse(reply) for reply in replies] == [
        b"OK",
        b"OK",
        b"OK",
        b"OK",
        b"OK",
        4,
        b"OK",
        0,
        None,
    ]
    assert [server.client(db=3).dbsize() for server in three.servers] == [2, 1, 1]


def test_protocol_3_everywhere(three) -> None:
    client = three.bench.client()
    client.command("HELLO", 3)
    client.ask("HSET", "b:h", "f", "v")
    assert client.command("HGETALL", "b:h")[:1] == b"%"
    assert client.command("MGET", "a", "b:1") == b"*2\r\n_\r\n_\r\n"
    assert client.command("RESET") == b"+RESET\r\n"
    assert client.command("HGETALL", "b:h")[:1] == b"*"
    assert client.command("GET", ":c:") == b"$-1\r\n"


def test_state_that_a_chain_does_not_take_fails_what_it_was_for(run, start_server) -> None:
    default, few = start_server(), start_server("--databases", "2")
    bench = run(router(default.port, b=few.port, c=default.port))
    client = bench.client()
    assert client.ask("SELECT", 5) == b"OK"
    assert client.ask("SET", "b:1", 1) == "ERR DB index is out of range"
    assert isinstance(client.ask("MGET", "a", "b:1"), Error)
    assert client.ask("SET", "a", 1) == b"OK"
    assert client.ask("SELECT", 1) == b"OK"
    assert client.ask("SET", "b:1", 1) == b"OK"
    assert few.client(db=1).get("b:1") == b"1"


def test_users_have_chains_of_their_own(run, start_server) -> None:
    """Each user is known to his own server only: it is the one that is asked to let him in."""
    three = Three(
        run, start_server, rules=[{"user": "alice", "to": "b"}, {"user": "bob", "to": "c"}]
    )
    three.b.client().acl_setuser(
        "alice", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all"]
    )
    three.c.client().acl_setuser(
        "bob", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all"]
    )
    alice, bob, nobody = (three.bench.client() for _ in range(3))
    assert alice.ask("AUTH", "alice", "x") == b"OK"
    assert bob.command("HELLO", 3, "AUTH", "bob", "x")[:1] == b"%"
    assert str(alice.ask("AUTH", "alice", "wrong")).startswith("WRONGPASS")
    for client in (alice, bob, nobody):
        assert client.ask("SET", "k", "x") == b"OK"
        assert client.ask("DBSIZE") == 1
    assert three.held() == [[b"k"]] * 3
    assert alice.ask("ACL", "WHOAMI") == b"alice"
    assert bob.ask("FLUSHALL") == b"OK"
    assert three.held() == [[b"k"], [b"k"], []]


def test_a_client_may_become_another_user(run, start_server) -> None:
    """Neither server knows the other's user, and one has few databases: nothing that is replaced is told."""
    default, b, c = start_server(), start_server("--databases", "2"), start_server()
    rules = [{"user": "alice", "to": "b"}, {"user": "bob", "to": "c"}]
    bench = run(router(default.port, b=b.port, c=c.port, rules=rules))
    for server, name in ((b, "alice"), (c, "bob")):
        server.client().acl_setuser(
            name, enabled=True, passwords=["+x"], keys=["*"], commands=["+@all"]
        )
    client = bench.client()
    assert client.ask("SELECT", 5) == b"OK"
    assert client.ask("AUTH", "alice", "x") == b"OK"
    assert (
        client.ask("GET", "k") == "ERR DB index is out of range"
    )  # as alice, in a database that b has not
    assert client.ask("SELECT", 1) == b"OK"
    assert client.ask("SET", "k", "alice's") == b"OK"
    assert client.command("HELLO", 3, "AUTH", "bob", "x", "SETNAME", "me")[:1] == b"%"
    assert client.ask("SET", "k", "bob's") == b"OK"
    assert client.ask("CLIENT", "GETNAME") == b"me"
    assert client.command("GET", "none") == b"_\r\n"
    assert client.ask("AUTH", "alice", "x") == b"OK"
    assert client.ask("GET", "k") == b"alice's"
    assert client.ask("CLIENT", "GETNAME") == b"me"
    assert str(client.ask("AUTH", "bob", "wrong")).startswith("WRONGPASS")
    assert client.ask("ACL", "WHOAMI") == b"alice"
    assert (b.client(db=1).get("k"), c.client(db=1).get("k")) == (b"alice's", b"bob's")


def test_passwords_are_told_to_others(run, start_server) -> None:
    default, second = (start_server("--requirepass", "secret") for _ in range(2))
    bench = run(router(default.port, b=second.port, c=default.port))
    client = bench.client()
    assert str(client.ask("GET", "b:1")).startswith("NOAUTH")
    client.send(
        encode("HELLO", 3, "AUTH", "default", "secret")
        + encode("AUTH", "secret")
        + encode("SET", "b:1", "x")
    )
    assert [client.frame()[:1] for _ in range(3)] == [b"%", b"+", b"+"]
    assert client.ask("MGET", "a", "b:1") == [None, b"x"]


def test_databases_have_chains_of_their_own(run, start_server) -> None:
    three = Three(run, start_server, rules=[{"database": 1, "to": "b"}, {"database": 2, "to": "c"}])
    replies = three.bench.play(
        "SET k 0", "SELECT 1", "SET k 1", "SELECT 2", "SET k 2", "SELECT 0", "GET k"
    )
    assert replies[-1] == b"$1\r\n0\r\n"
    assert three.default.client().get("k") == b"0"
    assert three.b.client(db=1).get("k") == b"1"
    assert three.c.client(db=2).get("k") == b"2"


def test_reset_is_for_all(three) -> None:
    client = three.bench.client()
    for words in (
        ["SELECT", 4],
        ["SET", "b:1", "x"],
        ["WATCH", "b:1"],
        ["MULTI"],
        ["SET", "b:1", "y"],
    ):
        assert not isinstance(client.ask(*words), Error)
    assert client.ask("RESET") == b"RESET"
    assert client.ask("GET", "b:1") is None
    assert client.ask("EXEC") == "ERR EXEC without MULTI"
    assert three.b.client(db=4).get("b:1") == b"x"


def test_replies_can_be_switched_off(three) -> None:
    client = three.bench.client()
    client.send(
        encode("CLIENT", "REPLY", "OFF") + encode("SET", "a", 1) + encode("MSET", "a", 1, "b:1", 2) + encode("SINTER", "a", "b:1")
        + encode("SELECT", 1) + encode("SET", "b:1", 3) + encode("CLIENT", "REPLY", "ON") + encode("GET", "b:1")
        + encode("CLIENT", "REPLY", "SKIP") + encode("GET", "b:1") + encode("PING")
    )  # fmt: skip
    assert client.frames(3) == [b"+OK\r\n", b"$1\r\n3\r\n", b"+PONG\r\n"]
    assert client.silent()


# ---- transactions ------------------------------------------------------------------------------------------------


def test_a_transaction_goes_where_its_keys_are(three) -> None:
    replies = three.bench.play(
        "MULTI", "SET b:1 1", "INCR b:1", "PING", "EXEC", "GET b:1", "MULTI", "INCR a", "EXEC"
    )
    assert [parse(reply) for reply in replies] == [
        b"OK", b"QUEUED", b"QUEUED", b"QUEUED", [b"OK", 2, b"PONG"], b"2", b"OK", b"QUEUED", [1],
    ]  # fmt: skip


def test_a_key_of_another_chain_breaks_it(three) -> None:
    for wrong in ("SET a 1", "MGET a b:1", "SELECT 1", "FLUSHALL", "SUBSCRIBE x"):
        replies = three.bench.play("MULTI", "SET b:1 1", wrong, "SET b:2 1", "EXEC", "GET b:1")
        said = [parse(reply) for reply in replies]
        assert isinstance(said[2], Error), wrong
        assert (str(said[4])[:9], said[5]) == ("EXECABORT", None)


def test_an_empty_transaction(three) -> None:
    client, alone = three.bench.client(), three.bench.client()
    for words in (
        ["MULTI"],
        ["EXEC"],
        ["EXEC"],
        ["MULTI"],
        ["MULTI"],
        ["WATCH", "a"],
        ["DISCARD"],
        ["DISCARD"],
        ["UNWATCH"],
    ):
        assert client.ask(*words) == alone.ask(*words)
    assert client.ask("EXEC") == "ERR EXEC without MULTI"
    replies = three.bench.play("MULTI", "SINTER a b:1", "EXEC", "PING")
    assert str(parse(replies[2])).startswith("EXECABORT")
    assert replies[3] == b"+PONG\r\n"


def test_watch(three) -> None:
    client, other = three.bench.client(), three.bench.client()
    for change, wanted in ((False, [b"OK"]), (True, None)):
        assert client.ask("WATCH", "b:1") == b"OK"
        if change:
            other.ask("SET", "b:1", "other")
        assert client.ask("MULTI") == b"OK"
        assert client.ask("SET", "b:1", "mine") == b"QUEUED"
        assert client.ask("EXEC") == wanted
    assert client.ask("WATCH", "a") == b"OK"
    assert str(client.ask("WATCH", "b:1")).startswith("CROSSSLOT")
    assert str(client.ask("WATCH", "a2", "b:2")).startswith("CROSSSLOT")
    assert client.ask("UNWATCH") == b"OK"
    assert client.ask("WATCH", "b:1") == b"OK"
    assert client.ask("UNWATCH") == b"OK"


def test_a_transaction_that_cannot_be_opened_is_not_carried_out_in_pieces(three) -> None:
    client = three.bench.client()
    three.b.kill()
    replies = [client.ask(*words) for words in (["MULTI"], ["SET", "b:1", 1], ["EXEC"], ["PING"])]
    assert replies[0] == b"OK"
    assert isinstance(replies[1], Error)
    assert str(replies[2]).startswith("EXECABORT")
    assert replies[3] == b"PONG"


# ---- blocking, subscriptions -------------------------------------------------------------------------------------


def test_what_comes_behind_a_blocking_command_waits(three) -> None:
    client, other = three.bench.client(), three.bench.client()
    client.send(encode("BLPOP", "b:q", 0) + encode("SET", "a", "after") + encode("GET", "a"))
    assert client.silent()
    assert other.ask("GET", "a") is None
    assert other.ask("RPUSH", "b:q", "x") == 1
    assert [client.value() for _ in range(3)] == [[b"b:q", b"x"], b"OK", b"after"]


def test_a_client_that_leaves_what_it_waits_for(three) -> None:
    client = three.bench.client()
    client.send(encode("BLPOP", "b:q", 0) + encode("SET", "a", "after"))
    assert client.silent()
    client.close()
    three.bench.gone()
    assert three.held()[0] == []


@pytest.mark.parametrize("resp", [2, 3])
def test_subscriptions(three, resp) -> None:
    client, other = three.bench.client(), three.bench.client()
    client.command("HELLO", resp)
    assert client.ask("SUBSCRIBE", "news", "more")[0] == b"subscribe"
    client.frame()
    assert other.ask("PUBLISH", "news", "x") == 1
    assert client.value() == [b"message", b"news", b"x"]
    if resp == 2:
        assert "context" in client.ask("GET", "b:1")
    else:
        assert client.ask("SET", "b:1", "x") == b"OK"
    client.send(encode("UNSUBSCRIBE") + encode("SET", "b:1", "y") + encode("GET", "b:1"))
    assert [frame[:1] for frame in client.frames(2)] == [b"*" if resp == 2 else b">"] * 2
    assert [client.value() for _ in range(2)] == [b"OK", b"y"]
    assert three.held()[1] == [b"b:1"]


def test_tracking_is_refused_where_it_would_miss_keys(three) -> None:
    client = three.bench.client()
    client.command("HELLO", 3)
    assert "CLIENT TRACKING would miss" in client.ask("CLIENT", "TRACKING", "ON")
    assert isinstance(client.ask("CLIENT", "ID"), int)


# ---- rules that change -------------------------------------------------------------------------------------------


def test_new_rules_hold_for_what_comes_then(three) -> None:
    from shotover._codec.key_rules import KeyRules

    client, settled = three.bench.client(), three.bench.client()
    settled.ask("CLIENT", "SETNAME", "x")
    assert client.ask("SET", "b:1", "b") == b"OK"
    step = three.bench.step("KeyRouter")
    for target, wanted in ((2, 1), (0, 2), (1, 3)):
        step.set_rules(KeyRules([(target, "prefix", b"b:", 0, 0, None, None, ())]))
        for each in (client, settled):
            each.ask("SET", f"b:{target}", "x")
        assert sum(f"b:{target}".encode() in keys for keys in three.held()) == 1
        assert f"b:{target}".encode() in three.held()[target], wanted
    assert three.bench.sample("shotover_route_rules") == 1
