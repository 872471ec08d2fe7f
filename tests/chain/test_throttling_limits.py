"""RequestThrottling with `limits`, on a worker of its own before a real server. Rates are so low that only bursts count."""

from __future__ import annotations

from typing import Any

import pytest

from chain.bench import Bench, sink

OK = b"+OK\r\n"
SLOW = 0.001  # a token in a quarter of an hour


def limit(name: str, burst: int, **fields: Any) -> dict[str, Any]:
    return {"name": name, "rate": SLOW, "burst": burst, **fields}


@pytest.fixture
def limited(run, start_server):
    """limited(*limits, weights=[...]) -> a Bench before a server that knows alice and bob."""

    def start(*limits: dict[str, Any], weights: Any = (), **fields: Any) -> Bench:
        server = start_server()
        for user in ("alice", "bob"):
            server.client().execute_command("ACL", "SETUSER", user, "on", f">{user}", "~*", "&*", "+@all")  # fmt: skip
        fields |= {"limits": list(limits)} | ({"weights": weights} if weights else {})
        bench = run({"RequestThrottling": fields}, sink(server.port))
        bench.server = server
        return bench

    return start


def over(replies: list[bytes], name: str) -> int:
    """How many were refused by that limit; all that follow the first must be."""
    start = b"-THROTTLED over the limit %s, try again in " % name.encode()
    refused = [reply.startswith(start) for reply in replies]
    assert not any(
        reply.startswith(b"-") for reply, was in zip(replies, refused, strict=True) if not was
    )
    assert sorted(refused) == refused
    return sum(refused)


def says_when(reply: bytes) -> int:
    return int(reply.partition(b"try again in ")[2].split()[0])


def test_the_error_names_the_limit_and_says_when(limited) -> None:
    bench = limited({"name": "all", "rate": 0.5, "burst": 2})
    replies = bench.play("GET a", "GET a", "GET a")
    assert over(replies, "all") == 1
    assert 1000 < says_when(replies[2]) <= 2001
    assert replies[2].endswith(b" ms (shotover: RequestThrottling)\r\n")


def test_a_run_is_cut_where_the_limit_is_reached(limited) -> None:
    bench = limited(limit("all", 30))
    replies = bench.play(*["GET a"] * 100)
    assert over(replies, "all") == 70
    assert bench.sample("shotover_limit_refusals_count", limit="all") == 70
    assert bench.sample("shotover_throttled_requests_count") == 70


def test_all_limits_that_match_must_allow_and_those_that_did_get_it_back(limited) -> None:
    bench = limited(
        limit("reads", 50, **{"class": "read"}),
        limit("prefix", 20, prefix="a:"),
        limit("all", 60),
    )
    assert over(bench.play(*["GET a:1"] * 40), "prefix") == 20
    assert over(bench.play(*["GET b:1"] * 40), "reads") == 10
    assert over(bench.play(*["SET b:1 x"] * 40), "all") == 30
    names = ("reads", "prefix", "all")
    refused = {name: bench.sample("shotover_limit_refusals_count", limit=name) for name in names}
    assert refused == {"reads": 10, "prefix": 20, "all": 30}


def test_a_run_gives_back_to_the_limits_before_the_one_that_cuts_it(limited) -> None:
    bench = limited(limit("wide", 50), limit("narrow", 10, command="GET"))
    assert over(bench.play(*["GET a"] * 30), "narrow") == 20
    assert over(bench.play(*["SET a x"] * 50), "wide") == 10


def test_per_user(limited) -> None:
    bench = limited(limit("each", 5, per="user"))
    client = bench.client()
    for _ in range(2):
        assert client.command("AUTH", "alice", "alice") == OK
        alice = [client.command("GET", "a") for _ in range(5)]
        assert client.command("AUTH", "bob", "bob") == OK
        bob = [client.command("GET", "a") for _ in range(5)]
    assert over(alice, "each") == over(bob, "each") == 5
    other = bench.client()
    assert other.command("HELLO", "3", "AUTH", "alice", "alice")[:1] == b"%"
    assert over([other.command("GET", "a")], "each") == 1
    assert other.command("RESET") == b"+RESET\r\n"
    assert over([other.command("GET", "a") for _ in range(6)], "each") == 1


def test_a_login_that_fails_changes_nothing(limited) -> None:
    bench = limited(limit("alice", 1, user="alice"))
    client = bench.client()
    for words in (("AUTH", "alice", "wrong"), ("HELLO", "3", "AUTH", "alice", "wrong")):
        assert client.command(*words).startswith(b"-WRONGPASS")
    assert over([client.command("GET", "a") for _ in range(4)], "alice") == 0
    assert client.command("AUTH", "alice", "alice") == OK
    assert over([client.command("GET", "a") for _ in range(4)], "alice") == 3


def test_user_and_database(limited) -> None:
    bench = limited(limit("one", 2, database=1), limit("bob", 3, user="bob", database=2))
    client = bench.client()
    assert over([client.command("SET", "a", "x") for _ in range(5)], "one") == 0
    assert client.command("SELECT", "1") == OK
    assert over([client.command("SET", "a", "x") for _ in range(5)], "one") == 3
    assert client.command("SELECT", "2") == OK
    assert over([client.command("SET", "a", "x") for _ in range(5)], "bob") == 0
    assert client.command("AUTH", "bob", "bob") == OK
    assert over([client.command("SET", "a", "x") for _ in range(5)], "bob") == 2


def test_per_client(limited) -> None:
    bench = limited(limit("each", 3, per="client"))
    for _ in range(5):
        assert over(bench.play(*["GET a"] * 10), "each") == 7


def test_per_command(limited) -> None:
    bench = limited(limit("each", 3, per="command", **{"class": ["read", "write"]}))
    assert over(bench.play(*["GET a"] * 10), "each") == 7
    assert over(bench.play(*["SET a x"] * 10), "each") == 7
    assert over(bench.play(*["GET a"] * 2), "each") == 2


def test_per_key(limited) -> None:
    bench = limited(limit("each", 3, per="key"))
    assert over(bench.play(*["GET a"] * 5), "each") == 2
    assert over(bench.play(*["GET b"] * 5), "each") == 2
    assert over(bench.play("MGET c d e", "MGET c d f", "MGET c g h", "MGET c i j"), "each") == 1
    assert over(bench.play(*["GET i"] * 3), "each") == 0, "what a refused MGET took is given back"
    assert over(bench.play(*["DBSIZE"] * 10), "each") == 0


def test_per_prefix(limited) -> None:
    bench = limited(limit("tenants", 4, prefix="tenant:", per="prefix"))
    assert over(bench.play(*[f"GET tenant:1:{number}" for number in range(10)]), "tenants") == 6
    assert over(bench.play("MGET tenant:2:a tenant:2:b x", "DEL tenant:2:c tenant:2:d"), "tenants") == 0  # fmt: skip
    assert over(bench.play("GET tenant:2:e"), "tenants") == 1
    assert over(bench.play(*[f"GET other:{number}" for number in range(10)]), "tenants") == 0
    assert over(bench.play(*["GET tenant:none"] * 6), "tenants") == 2


def test_the_delimiter_of_a_prefix(limited) -> None:
    bench = limited(limit("first", 2, per="prefix", delimiter="/"))
    assert over(bench.play("GET a/1", "GET a/2", "GET a/3/4"), "first") == 1
    assert over(bench.play("GET b/1", "GET b:1", "GET b:2"), "first") == 0


def test_globs_and_whole_keys(limited) -> None:
    bench = limited(limit("carts", 2, glob="user:*:cart"), limit("hot", 1, key="hot"))
    assert over(bench.play("GET user:1:cart", "GET user:1:name", "GET user:2:cart", "GET user:3:cart"), "carts") == 1  # fmt: skip
    assert over(bench.play("GET hot", "GET hotter", "GET hot"), "hot") == 1
    assert over(bench.play("MGET a b", "MGET a hot"), "hot") == 1
    assert over(bench.play("SUNION a hot"), "hot") == 1
    assert over(bench.play("OBJECT ENCODING hot"), "hot") == 1


def test_classes_are_those_of_acl(limited) -> None:
    bench = limited(limit("heavy", 2, **{"class": ["@dangerous", "SCRIPTING"]}))
    assert over(bench.play("GET a", "KEYS *", "EVAL return 0", "GET a"), "heavy") == 0
    assert over(bench.play("FLUSHALL", "KEYS *", "INFO"), "heavy") == 3


def test_commands_and_their_subcommands(limited) -> None:
    bench = limited(limit("config", 1, command=["config", "client id"]))
    assert over(bench.play("CONFIG GET port", "CLIENT GETNAME", "CONFIG GET port"), "config") == 1
    assert over(bench.play("CLIENT ID"), "config") == 1


def test_weights(limited) -> None:
    weights = [
        {"command": "FLUSHALL", "weight": 50},
        {"command": ["MGET", "DEL"], "weight": 2, "each_key": True},
        {"class": "write", "weight": 5},
        {"command": ["STRLEN", "DBSIZE"], "weight": 0},
    ]
    bench = limited(limit("all", 100), limit("keys", 100, per="key"), weights=weights)
    assert over(bench.play(*["STRLEN a", "DBSIZE"] * 200), "all") == 0
    assert over(bench.play("FLUSHALL", "SET a x", "MGET a b c", "DEL a b", *["GET a"] * 40), "all") == 5  # fmt: skip
    bench = limited(limit("all", 100), weights=weights)
    assert over(bench.play(*["SET a x"] * 25), "all") == 5
    refused = bench.play("MGET " + " ".join(f"k{number}" for number in range(60)))
    assert refused == [
        b"-THROTTLED this request weighs more than the limit all ever lets pass at once "
        b"(shotover: RequestThrottling)\r\n"
    ]


def test_keys_that_fit_are_counted_where_each_key_is(limited) -> None:
    bench = limited(
        limit("a", 10, prefix="a:"), weights=[{"command": "MGET", "weight": 3, "each_key": True}]
    )
    assert over(bench.play("MGET a:1 b:1 b:2 a:2", "MGET a:1 b:1", "MGET a:1"), "a") == 1


def test_the_connections_own_business_passes_unless_a_limit_asks_for_it(limited) -> None:
    bench = limited(limit("all", 1, per="client"))
    words = ["PING", "AUTH alice alice", "SELECT 2", "CLIENT SETNAME x", "HELLO 2", "ECHO x", "READONLY"]  # fmt: skip
    replies = bench.play("GET a", *words * 3)
    assert not any(b"THROTTLED" in reply for reply in replies)
    bench = limited(limit("logins", 2, per="client", command=["AUTH", "HELLO"]))
    assert over(bench.play(*["AUTH alice alice"] * 3), "logins") == 1
    bench = limited(limit("business", 2, **{"class": "connection"}))
    assert over(bench.play(*["PING"] * 3), "business") == 1


def test_what_ends_something_always_passes(limited) -> None:
    bench = limited(limit("all", 1), limit("ends", 1, **{"class": ["transaction", "pubsub", "connection"]}))  # fmt: skip
    client = bench.client()
    assert client.command("SUBSCRIBE", "c")[:1] == b"*"
    assert client.command("SUBSCRIBE", "d").startswith(b"-THROTTLED")
    assert client.command("UNSUBSCRIBE", "c")[:1] == b"*"
    for words in ("MULTI", "DISCARD", "MULTI", "EXEC", "UNWATCH", "RESET", "QUIT"):
        assert client.command(words)[:1] in b"+*"


def test_a_refusal_in_a_transaction_discards_it(limited) -> None:
    bench = limited(limit("writes", 3, **{"class": "write"}, per="user"))
    client = bench.client()
    assert client.command("AUTH", "alice", "alice") == OK
    client.send(b"MULTI\r\nINCR a\r\nINCR a\r\nINCR a\r\nINCR a\r\nEXEC\r\n")
    replies = client.frames(6)
    assert replies[4].startswith(b"-THROTTLED over the limit writes")
    assert replies[5].startswith(b"-EXECABORT")
    assert client.command("GET", "a") == b"$-1\r\n"
    assert client.command("INCR", "a").startswith(b"-THROTTLED"), "it is still alice"


def test_with_max_requests_per_second_too(limited) -> None:
    bench = limited(limit("writes", 3, **{"class": "write"}), max_requests_per_second=50)
    replies = bench.play(*["SET a x"] * 5, *["GET a"] * 100)
    assert over(replies[:5], "writes") == 2
    assert 40 <= over(replies[5:], "max_requests_per_second") <= 53


def test_commands_that_no_table_has(limited) -> None:
    bench = limited(limit("mine", 2, command=["NO.SUCH"]), limit("unknown", 3, per="command"))
    replies = bench.play(*["no.such a", "No.Such b", "NO.SUCH c"], *["OTHER.ONE x"] * 5)
    assert [reply[:10] for reply in replies[:2]] == [b"-ERR unkno"] * 2
    assert replies[2].startswith(b"-THROTTLED over the limit mine")
    assert [reply.startswith(b"-THROTTLED over the limit unknown") for reply in replies[3:]] == [False] + [True] * 4  # fmt: skip


def test_a_big_request_is_gathered_where_keys_are_looked_at_and_refused_whole(limited) -> None:
    bench = limited(limit("big", 2, prefix="big"))
    client = bench.client()
    for _ in range(2):
        assert client.command("SET", "big", "x" * 300_000) == OK
    assert client.command("SET", "big", "x" * 300_000).startswith(b"-THROTTLED")
    many = [word for number in range(6000) for word in (f"k{number}", "v")]
    assert client.command("MSET", *many) == OK
    assert client.command("MSET", *many, "big", "v").startswith(b"-THROTTLED")


@pytest.mark.parametrize("simple", [False, True])
def test_a_client_that_wants_no_replies_is_told_of_no_refusal(
    limited, run, start_server, simple
) -> None:
    if simple:
        server = start_server()
        bench = run({"RequestThrottling": {"max_requests_per_second": 50}}, sink(server.port))
    else:
        bench = limited(limit("all", 50))
        server = bench.server
    client = bench.client()
    client.send(b"CLIENT REPLY OFF\r\n" + b"INCR n\r\n" * 400 + b"CLIENT REPLY ON\r\n")
    assert client.frame() == OK, "the reply to CLIENT REPLY ON"
    assert 49 <= int(server.client().get("n")) < 300
    assert client.command("PING") == b"+PONG\r\n" or simple
    bench.settle()


def test_a_client_that_has_skipped_a_reply_is_let_go_when_it_is_refused(limited) -> None:
    bench = limited(limit("all", 2))
    client = bench.client()
    assert client.command("GET", "a") == b"$-1\r\n"
    client.send(b"CLIENT REPLY SKIP\r\nGET a\r\nGET b\r\n")
    assert client.rest() == b"", "rather than take the refusal for the reply to another"


def test_clients_that_leave_are_forgotten(limited) -> None:
    bench = limited(limit("each", 5, per="user"), limit("all", 50))
    for number in range(30):
        client = bench.client()
        client.send(b"AUTH alice alice\r\nSELECT 3\r\n" + b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n" * 20)
        if number % 2:
            client.frames(2)
        client.close()
    bench.settle()
    bench.gone()


def test_copies_share_their_buckets(run) -> None:
    throttling = {"RequestThrottling": {"limits": [limit("each", 50, per="key")]}}
    returner = {"DebugReturner": {"Redis": "42"}}
    chain = {"ParallelMap": {"parallelism": 4, "ordered_results": True, "chain": [throttling, returner]}}  # fmt: skip
    bench = run(chain)
    replies = bench.play(*["GET a"] * 200)
    assert len([reply for reply in replies if b"THROTTLED" in reply]) == 150
