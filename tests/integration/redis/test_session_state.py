"""What a connection remembers:

Database, user, protocol, name. It is the client's own, whoever shares the upstream.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import redis
from support.endpoint import Endpoint
from support.resp import Error, encode

pytestmark = pytest.mark.variants
PASSWORD = "secret-of-the-test"


@pytest.fixture
def guarded(make_endpoint: Callable[..., Endpoint]) -> Endpoint:
    """A server that asks for a password."""
    return make_endpoint("--requirepass", PASSWORD)


def test_select_is_private(endpoint: Endpoint) -> None:
    raws = [endpoint.raw() for _ in range(16)]
    for database, raw in enumerate(raws):
        assert raw.command("SELECT", database) == b"+OK\r\n"
    for turn in range(5):
        for database, raw in enumerate(raws):
            assert raw.command("SET", "k", f"{database}-{turn}") == b"+OK\r\n"
        for database, raw in enumerate(raws):
            assert raw.ask("GET", "k") == f"{database}-{turn}".encode()
            assert raw.ask("DBSIZE") == 1


def test_select_in_a_pipeline_moves_what_follows_only(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    words = (
        ("SET", "k", "zero"),
        ("SELECT", "3"),
        ("SET", "k", "three"),
        ("SELECT", "99"),
        ("GET", "k"),
        ("SELECT", "0"),
        ("GET", "k"),
    )
    raw.send(b"".join(encode(*each) for each in words))
    values = [raw.value() for _ in words]
    assert values[:3] == [b"OK"] * 3
    assert isinstance(values[3], Error)
    assert values[4:] == [b"three", b"OK", b"zero"]


def test_the_driver_selects(endpoint: Endpoint, driver: str) -> None:
    zero, seven = endpoint.client(driver=driver), endpoint.client(driver=driver, db=7)
    zero.set("k", "zero")
    assert seven.get("k") is None
    seven.set("k", "seven")
    assert (zero.get("k"), seven.get("k")) == (b"zero", b"seven")
    assert zero.move("k", 8) in (True, 1)


def test_hello_changes_the_protocol_of_one_connection(endpoint: Endpoint) -> None:
    two, three = endpoint.raw(), endpoint.raw()
    two.command("HSET", "h", "f", "v")
    hello = three.ask("HELLO", "3")
    assert hello[b"proto"] == 3
    assert hello[b"server"] in (b"redis", b"valkey")
    assert isinstance(hello[b"id"], int)
    for _ in range(10):
        assert three.command("HGETALL", "h") == b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
        assert two.command("HGETALL", "h") == b"*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
        assert three.command("GET", "missing") == b"_\r\n"
        assert two.command("GET", "missing") == b"$-1\r\n"
    assert b"$5\r\nproto\r\n:2\r\n" in three.command("HELLO", "2")
    assert three.command("HGETALL", "h") == b"*2\r\n$1\r\nf\r\n$1\r\nv\r\n"


def test_hello_with_every_option(guarded: Endpoint) -> None:
    raw = guarded.raw()
    assert raw.ask("HELLO", "3").startswith("NOAUTH")
    assert raw.ask("HELLO", "3", "AUTH", "default", "wrong").startswith("WRONGPASS")
    assert raw.ask("GET", "a").startswith("NOAUTH")
    assert raw.ask("HELLO", "3", "AUTH", "default", PASSWORD, "SETNAME", "mine")[b"proto"] == 3
    assert raw.ask("CLIENT", "GETNAME") == b"mine"
    assert raw.ask("ACL", "WHOAMI") == b"default"
    assert raw.ask("HELLO", "4").startswith("NOPROTO")
    assert raw.command("GET", "missing") == b"_\r\n"


def test_auth_with_a_password(guarded: Endpoint) -> None:
    raw, stranger = guarded.raw(), guarded.raw()
    assert raw.ask("SET", "a", "1").startswith("NOAUTH")
    assert raw.ask("AUTH", "wrong").startswith("WRONGPASS")
    assert raw.command("AUTH", PASSWORD) == b"+OK\r\n"
    assert raw.command("SET", "a", "1") == b"+OK\r\n"
    assert stranger.ask("GET", "a").startswith("NOAUTH")
    assert raw.ask("AUTH", "wrong again").startswith("WRONGPASS")
    assert raw.ask("GET", "a") == b"1"  # a failed AUTH leaves the user as it was
    assert stranger.ask("GET", "a").startswith("NOAUTH")
    assert raw.command("RESET") == b"+RESET\r\n"
    assert raw.ask("GET", "a").startswith("NOAUTH")


def test_auth_in_a_pipeline(guarded: Endpoint) -> None:
    raw = guarded.raw()
    words = (
        ("GET", "a"),
        ("AUTH", "no"),
        ("GET", "a"),
        ("AUTH", PASSWORD),
        ("SET", "a", "1"),
        ("GET", "a"),
    )
    raw.send(b"".join(encode(*each) for each in words))
    values = [raw.value() for _ in words]
    assert [str(value).split()[0] for value in values[:3]] == ["NOAUTH", "WRONGPASS", "NOAUTH"]
    assert values[3:] == [b"OK", b"OK", b"1"]


def test_before_auth_long_requests_are_refused(guarded: Endpoint) -> None:
    """The server refuses at the announcement, the proxy (which learns of it later) at the end."""
    raw = guarded.raw()
    keys = ["k" * 100] * 1000
    with contextlib.suppress(ConnectionError):
        raw.send(encode("MGET", *keys) + encode("ECHO", "x" * 100_000))
    if guarded.direct:
        assert raw.rest() == b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    else:
        assert all(frame.startswith(b"-") for frame in raw.rest_or_frames(2))


def test_the_driver_authenticates(guarded: Endpoint, driver: str) -> None:
    with pytest.raises(redis.AuthenticationError):
        guarded.client(driver=driver).get("a")
    with pytest.raises(redis.AuthenticationError):
        guarded.client(driver=driver, password="wrong").get("a")
    assert guarded.client(driver=driver, password=PASSWORD).set("a", 1) is True


def test_a_hundred_users_each_see_their_own_keys_only(endpoint: Endpoint) -> None:
    count = 100
    with endpoint.server.client() as server, server.pipeline(transaction=False) as pipe:
        for number in range(count):
            pipe.execute_command(
                "ACL",
                "SETUSER",
                f"user{number}",
                "on",
                f">pass{number}",
                f"~own{number}:*",
                "+@all",
                "-@dangerous",
            )
        assert all(pipe.execute())
    raws = [endpoint.raw() for _ in range(count)]
    for number, raw in enumerate(raws):
        if number % 2:
            assert raw.command("AUTH", f"user{number}", f"pass{number}") == b"+OK\r\n"
        else:
            assert raw.ask("HELLO", "3", "AUTH", f"user{number}", f"pass{number}")[b"proto"] == 3
    for number, raw in enumerate(raws):
        assert raw.command("SET", f"own{number}:k", number) == b"+OK\r\n"
    for number, raw in enumerate(raws):
        other = (number + 37) % count
        assert raw.ask("ACL", "WHOAMI") == f"user{number}".encode()
        assert raw.ask("GET", f"own{number}:k") == b"%d" % number
        assert raw.ask("GET", f"own{other}:k").startswith("NOPERM")
        assert raw.ask("CONFIG", "GET", "*").startswith("NOPERM")
    stranger = endpoint.raw()
    assert stranger.ask("ACL", "WHOAMI") == b"default"


def test_a_user_whose_rights_change_feels_it_at_once(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    with endpoint.server.client() as server:
        server.acl_setuser(
            "alice", enabled=True, passwords=["+pw"], keys=["*"], commands=["+get", "+set"]
        )
        assert raw.command("AUTH", "alice", "pw") == b"+OK\r\n"
        assert raw.command("SET", "a", "1") == b"+OK\r\n"
        server.execute_command("ACL", "SETUSER", "alice", "-set")
        assert raw.ask("SET", "a", "2").startswith("NOPERM")
        assert raw.ask("GET", "a") == b"1"
        server.acl_deluser("alice")
    # The server closes the connections of a deleted user; through the proxy the client may
    # learn of it at its next request.
    assert all(frame.startswith(b"-") for frame in raw.rest_or_frames(1, encode("GET", "a")))


def test_a_change_of_user_in_mid_connection(endpoint: Endpoint) -> None:
    with endpoint.server.client() as server:
        for name in ("ann", "bob"):
            server.acl_setuser(
                name, enabled=True, passwords=[f"+{name}"], keys=[f"{name}:*"], commands=["+@all"]
            )
    raw = endpoint.raw()
    for name, foreign in (("ann", "bob"), ("bob", "ann"), ("ann", "bob")):
        raw.send(
            encode("AUTH", name, name)
            + encode("SET", f"{name}:k", "1")
            + encode("GET", f"{foreign}:k")
        )
        values = [raw.value() for _ in range(3)]
        assert values[:2] == [b"OK", b"OK"]
        assert values[2].startswith("NOPERM")


def test_reset_forgets_everything(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    raw.ask("HELLO", "3", "SETNAME", "named")
    raw.command("SELECT", "4")
    raw.command("SET", "k", "four")
    raw.command("MULTI")
    assert raw.command("RESET") == b"+RESET\r\n"
    assert raw.command("CLIENT", "GETNAME") == b"$-1\r\n"
    assert raw.command("GET", "k") == b"$-1\r\n"
    assert raw.ask("EXEC") == "ERR EXEC without MULTI"


def test_quit_answers_then_closes(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    raw.command("SET", "a", "1")
    raw.send(encode("GET", "a") + encode("QUIT"))
    assert raw.rest() == b"$1\r\n1\r\n+OK\r\n"


def test_names_are_private_and_last(endpoint: Endpoint) -> None:
    raws = [endpoint.raw() for _ in range(10)]
    for number, raw in enumerate(raws):
        assert raw.command("CLIENT", "SETNAME", f"name{number}") == b"+OK\r\n"
    for _ in range(3):
        for number, raw in enumerate(raws):
            raw.command("SET", "k", number)
            assert raw.ask("CLIENT", "GETNAME") == f"name{number}".encode()
    assert endpoint.raw().ask("CLIENT", "GETNAME") is None


def test_the_driver_sets_its_name(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver, client_name="driver")
    assert client.client_getname() in ("driver", b"driver")


def test_readonly_and_replication_commands_are_refused_with_a_reason(endpoint: Endpoint) -> None:
    """Through the proxy nobody may become the server's replica; the server alone may say yes."""
    if endpoint.direct:
        raw = endpoint.raw()
        raw.send(encode("PSYNC", "?", "-1"))
        assert raw.exactly(11) == b"+FULLRESYNC"
        return
    for words in (("PSYNC", "?", "-1"), ("SYNC",), ("REPLCONF", "listening-port", "1")):
        raw = endpoint.raw()
        answer = raw.ask(*words)
        assert isinstance(answer, Error)
        assert "shotover" in answer.lower()
        assert words[0].lower() in answer.lower()
        assert raw.command("PING") == b"+PONG\r\n"
