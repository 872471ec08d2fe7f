"""Users that change while their clients are connected."""

from __future__ import annotations

import pytest
from support.endpoint import Endpoint
from support.resp import RawClient, encode

pytestmark = pytest.mark.variants


def logged_in(endpoint: Endpoint, password: str = "pw") -> RawClient:
    raw = endpoint.raw()
    assert raw.command("AUTH", "u", password) == b"+OK\r\n"
    return raw


@pytest.fixture
def control(endpoint: Endpoint) -> RawClient:
    """The operator, past the proxy. User u exists, with password pw."""
    if endpoint.proxy is not None:
        endpoint.proxy.allow_log("upstream|connect")
    raw = RawClient(endpoint.server.port)
    raw.command("ACL", "SETUSER", "u", "on", ">pw", "~*", "&*", "+@all")
    raw.command("SET", "a", "1")
    return raw


def test_a_deleted_user_is_served_no_more(endpoint: Endpoint, control: RawClient) -> None:
    with control:
        clients = [logged_in(endpoint) for _ in range(5)]
        in_multi, subscribed, plain, idle, other = clients
        in_multi.command("MULTI")
        subscribed.command("SUBSCRIBE", "news")
        assert plain.command("GET", "a") == b"$1\r\n1\r\n"
        neighbour = endpoint.raw()
        neighbour.command("PING")
        assert control.command("ACL", "DELUSER", "u") == b":1\r\n"
        assert subscribed.rest() == b""
        assert in_multi.rest() == b""
        for raw in (plain, idle, other):  # through shared connections they hear of it when they ask
            for frame in raw.rest_or_frames(1, encode("GET", "a")):
                assert not endpoint.direct
                assert frame.startswith(b"-ERR shotover: upstream"), frame
        assert neighbour.command("GET", "a") == b"$1\r\n1\r\n"
        assert endpoint.raw().command("AUTH", "u", "pw").startswith(b"-WRONGPASS")
        assert b"user=u" not in control.ask("CLIENT", "LIST")


def test_a_changed_password_shuts_out_newcomers_only(
    endpoint: Endpoint, control: RawClient
) -> None:
    with control:
        old = logged_in(endpoint)
        assert old.command("GET", "a") == b"$1\r\n1\r\n"
        control.command("ACL", "SETUSER", "u", ">new", "<pw")
        assert old.command("GET", "a") == b"$1\r\n1\r\n"
        assert old.ask("ACL", "WHOAMI") == b"u"
        assert endpoint.raw().command("AUTH", "u", "pw").startswith(b"-WRONGPASS")
        assert logged_in(endpoint, "new").command("GET", "a") == b"$1\r\n1\r\n"


def test_a_failed_auth_changes_nothing(endpoint: Endpoint, control: RawClient) -> None:
    with control:
        raw = logged_in(endpoint)
        raw.command("SELECT", "2")
        raw.send(encode("AUTH", "u", "wrong") + encode("ACL", "WHOAMI") + encode("DBSIZE"))
        refused, name, size = raw.frames(3)
        assert refused.startswith(b"-WRONGPASS")
        assert (name, size) == (b"$1\r\nu\r\n", b":0\r\n")
        assert raw.command("AUTH", "wrong").startswith(b"-ERR AUTH <password> called without any")
        assert raw.ask("ACL", "WHOAMI") == b"u"
        assert endpoint.raw().ask("ACL", "WHOAMI") == b"default"


def test_after_a_changed_password_what_needs_a_lease_is_refused_and_the_client_sent_away(
    endpoint: Endpoint, control: RawClient
) -> None:
    """A new connection cannot be logged in for it; the server alone would still serve it."""
    with control:
        old = logged_in(endpoint)
        old.command("GET", "a")
        control.command("CLIENT", "KILL", "USER", "u", "SKIPME", "yes")
        control.command("ACL", "SETUSER", "u", ">new", "<pw")
        for frame in old.rest_or_frames(1, encode("GET", "a")):
            assert not endpoint.direct
            assert frame.startswith(b"-ERR shotover: upstream"), frame
