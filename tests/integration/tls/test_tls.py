"""TLS as clients, servers and operators meet it: redis-py and raw sockets, a real server, files that change."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from support.certificates import DAY, Authority, Issued, usual
from support.proxy import Proxy
from support.resp import RawClient
from support.servers import Server
from support.wait import wait_until, wait_until_equal

LOCAL: dict[str, Any] = {"dns": ["localhost"], "addresses": ["127.0.0.1"]}
HANDSHAKES = "shotover_tls_handshakes_count"
WHO = """
from shotover import Transform
class Who(Transform):
    def on_request(self, request):
        if request.command == b"ECHO":
            request.answer(request.client_identity)
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def local(authority: Authority) -> Issued:
    return authority.issue("server", **LOCAL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis", tls=True)
    yield server
    server.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., Proxy]]:
    """start(server, tls of the source, tls of the sink): all of them end well, with clean logs."""
    started: list[Proxy] = []

    def begin(
        server: Server,
        inwards: dict[str, Any] | None = None,
        outwards: dict[str, Any] | None = None,
        **options: Any,
    ) -> Proxy:
        port = server.port if outwards is None else server.tls_port
        if inwards is not None:
            options["source"] = {"tls": inwards, **options.get("source", {})}
        if outwards is not None:
            options["sink"] = {"tls": outwards, **options.get("sink", {})}
        started.append(Proxy(port, **options))
        return started[-1]

    with contextlib.ExitStack() as closing:
        yield begin
        for proxy in started:
            closing.callback(proxy.stop)


def connect(proxy: Proxy, context: ssl.SSLContext, **options: Any) -> RawClient:
    return RawClient(proxy.port, tls=context, **options)


def peer(raw: RawClient) -> ssl.SSLSocket:
    assert isinstance(raw.socket, ssl.SSLSocket)
    return raw.socket


def shown_to(proxy: Proxy, context: ssl.SSLContext, name: str = "localhost") -> str:
    """The common name of the certificate that a client which asks for `name` is shown."""
    context.check_hostname = False
    with connect(proxy, context, server_name=name) as raw:
        assert raw.command("PING") == b"+PONG\r\n"
        subject: Any = peer(raw).getpeercert()
        return dict(pair[0] for pair in subject["subject"])["commonName"]


# ---- versions, ciphers, keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken(server, authority, local, start, version) -> None:
    proxy = start(server, local.fields())
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    with connect(proxy, context) as raw:
        assert peer(raw).version() == version.name.replace("_", ".")
        assert raw.command("SET", "k", "v" * 100_000) == b"+OK\r\n"
        assert raw.command("GET", "k") == b"$100000\r\n" + b"v" * 100_000 + b"\r\n"


def test_an_old_version_is_refused_where_it_is_not_wanted(server, authority, local, start) -> None:
    proxy = start(server, {**local.fields(), "min_version": "1.3"})
    proxy.allow_log("was not let in: TLS: unsupported protocol")
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        connect(proxy, context)
    wait_until_equal(lambda: proxy.metric(HANDSHAKES, result="failed"), 1.0, "it is counted")
    with connect(proxy, authority.client_context()) as raw:
        assert raw.command("PING") == b"+PONG\r\n"


def test_ciphers_are_those_that_were_named(server, authority, local, start) -> None:
    named = {
        "ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ciphersuites": "TLS_CHACHA20_POLY1305_SHA256",
    }
    proxy = start(server, {**local.fields(), **named})
    found = set()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.client_context()
        context.minimum_version = context.maximum_version = version
        with connect(proxy, context) as raw:
            cipher = peer(raw).cipher()
            assert cipher is not None
            found.add(cipher[0])
    assert found == set(named.values())


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("rsa", PrivateFormat.PKCS8),
        ("rsa", PrivateFormat.TraditionalOpenSSL),  # PKCS#1
        ("ec", PrivateFormat.PKCS8),
        ("ec", PrivateFormat.TraditionalOpenSSL),  # SEC1
    ],
)
@pytest.mark.parametrize("password", [None, b"open sesame"])
def test_keys_of_every_form(server, authority, start, tmp_path, kind, form, password) -> None:
    issued = authority.issue("server", kind=kind, form=form, password=password, **LOCAL)
    fields = issued.fields()
    if password is not None:
        (tmp_path / "password").write_bytes(password + b"\n")
        fields["private_key_password_path"] = str(tmp_path / "password")
    proxy = start(server, fields)
    assert shown_to(proxy, authority.client_context()) == "server"


# ---- who is who --------------------------------------------------------------------------------------------------


def test_a_client_without_a_certificate_is_not_let_in(server, authority, local, start) -> None:
    proxy = start(
        server, {**local.fields(), "certificate_authority_path": str(authority.certificate)}
    )
    proxy.allow_log("was not let in: TLS: ")
    stranger = Authority(authority.directory, "another authority").issue("mallory")
    for context in (authority.client_context(), authority.client_context(stranger)):
        with pytest.raises((ssl.SSLError, OSError)), connect(proxy, context) as raw:
            raw.socket.sendall(b"PING\r\n")
            assert raw.socket.recv(100) == b"", "TLS 1.3 says so only now"
            raise OSError
    wait_until_equal(lambda: proxy.metric(HANDSHAKES, result="failed"), 2.0, "both are counted")
    with connect(proxy, authority.client_context(authority.issue("alice"))) as raw:
        assert raw.command("PING") == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("names", "identity"),
    [
        ({}, b"alice"),
        ({"dns": ["alice.example.org"]}, b"alice"),
        ({"dns": ["x"], "uris": ["spiffe://example.org/alice"]}, b"spiffe://example.org/alice"),
    ],
)
def test_a_transform_knows_whom_it_serves(
    server, authority, local, start, tmp_path, names, identity
) -> None:
    (tmp_path / "who.py").write_text(WHO)
    tls = {**local.fields(), "certificate_authority_path": str(authority.certificate)}
    who = {"Python": {"path": str(tmp_path / "who.py"), "class": "Who"}}
    proxy = start(server, tls, chain=[who])
    with connect(proxy, authority.client_context(authority.issue("alice", **names))) as raw:
        assert raw.ask("ECHO", "me") == identity


def test_an_audit_says_whom_the_certificate_names(
    server, authority, local, start, tmp_path
) -> None:
    tls = {**local.fields(), "certificate_authority_path": str(authority.certificate)}
    proxy = start(server, tls, chain=[{"Audit": {"file": str(tmp_path / "trail")}}])
    with connect(proxy, authority.client_context(authority.issue("alice"))) as raw:
        assert raw.command("PING") == b"+PONG\r\n"
    wait_until(lambda: '"certificate":"alice"' in (tmp_path / "trail").read_text(), "it is written")


def test_a_client_gets_the_certificate_of_the_name_it_asks_for(
    server, authority, local, start
) -> None:
    more = [
        authority.issue("one", dns=["one.example.org", "uno.example.org"]).fields(),
        authority.issue("many", dns=["*.many.example.org"]).fields(),
    ]
    proxy = start(server, {**local.fields(), "more_certificates": more})
    context = authority.client_context()
    asked = {
        "localhost": "server",
        "ONE.example.org": "one",
        "uno.example.org": "one",
        "a.many.example.org": "many",
        "a.b.many.example.org": "server",
        "many.example.org": "server",
    }
    assert {name: shown_to(proxy, context, name) for name in asked} == asked


def test_protocols_are_agreed_on_by_name(server, authority, local, start) -> None:
    proxy = start(server, {**local.fields(), "alpn": ["redis", "resp"]})
    proxy.allow_log("no application protocol")
    for offered, agreed in ((["resp", "redis"], "redis"), (["x", "resp"], "resp"), ([], None)):
        context = authority.client_context()
        context.set_alpn_protocols(offered)
        with connect(proxy, context) as raw:
            assert peer(raw).selected_alpn_protocol() == agreed
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        connect(proxy, context)


# ---- towards the server ------------------------------------------------------------------------------------------


def usual_sink(server: Server, **more: Any) -> dict[str, Any]:
    from support.certificates import usual

    return usual().sink(**more)


def test_the_server_must_be_who_it_should_be(server, authority, start) -> None:
    other = Authority(authority.directory, "unknown authority")
    proxy = start(server, None, {"certificate_authority_path": str(other.certificate)})
    proxy.allow_log("cannot connect to the upstream of sink: TLS: ")
    with proxy.raw() as raw:
        reply = raw.command("PING")
        assert reply.startswith(b"-ERR shotover: upstream unavailable: TLS: "), reply
        assert b"certificate" in reply


@pytest.mark.parametrize("verify", [True, False])
def test_the_certificate_must_name_the_host(authority, start, start_server, verify) -> None:
    issued = authority.issue("elsewhere", dns=["elsewhere.example.org"])
    options = ["--tls-cert-file", str(issued.certificate), "--tls-key-file", str(issued.key)]
    server = Server("redis", *options, tls=True)
    try:
        sink = {
            "certificate_authority_path": str(authority.certificate),
            "verify_hostname": verify,
        }
        proxy = start(server, None, sink)
        with proxy.raw() as raw:
            reply = raw.command("PING")
            if verify:
                proxy.allow_log("cannot connect to the upstream of sink: TLS: IP address mismatch")
                assert reply.startswith(b"-ERR shotover: upstream unavailable: TLS: IP address mis")
            else:
                assert reply == b"+PONG\r\n"
    finally:
        server.stop()


def test_an_expired_certificate_is_told(authority, start) -> None:
    issued = authority.issue("server", lasts=-DAY / 24, **LOCAL)
    options = ["--tls-cert-file", str(issued.certificate), "--tls-key-file", str(issued.key)]
    server = Server("redis", *options, tls=True)
    try:
        proxy = start(server, None, {"certificate_authority_path": str(authority.certificate)})
        proxy.allow_log("certificate has expired")
        with proxy.raw() as raw:
            assert b"TLS: certificate has expired" in raw.command("PING")
    finally:
        server.stop()


def test_the_server_sees_our_certificate(authority, local, start) -> None:
    options = [
        *("--tls-cert-file", str(local.certificate), "--tls-key-file", str(local.key)),
        *("--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "yes"),
    ]
    server = Server("redis", *options, tls=True)
    trusted = {"certificate_authority_path": str(authority.certificate)}
    try:
        with start(server, None, {**trusted, **authority.issue("us").fields()}).raw() as raw:
            assert raw.command("PING") == b"+PONG\r\n"
        proxy = start(server, None, trusted)
        proxy.allow_log("upstream of sink|upstream connection lost")
        with proxy.raw() as raw:
            assert raw.command("PING").startswith(b"-ERR shotover: upstream")
    finally:
        server.stop()


def test_a_server_without_tls_is_told_from_one_with_it(server, authority, start) -> None:
    tls = {"certificate_authority_path": str(authority.certificate)}
    proxy = start(server, sink={"tls": tls, "connect_timeout_ms": 100})
    proxy.allow_log("cannot connect to the upstream of sink: TLS: ")
    with proxy.raw() as raw:
        assert b"TLS: no answer to the handshake: is this the port for TLS" in raw.command("PING")


# ---- sessions are taken up again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_takes_its_session_up_again(server, authority, local, start, version) -> None:
    proxy = start(server, local.fields())
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    with connect(proxy, context) as raw:
        raw.command("PING")
        session = peer(raw).session
    with connect(proxy, context, session=session) as again:
        assert again.command("PING") == b"+PONG\r\n"
        assert peer(again).session_reused
    assert proxy.metric(HANDSHAKES, source="redis", result="resumed") == 1


def test_connections_to_the_server_take_the_session_up_again(server, start) -> None:
    proxy = start(server, None, usual_sink(server), sink={"connection": "per_client"})
    for _ in range(5):
        with proxy.raw() as raw:
            raw.command("PING")
    assert proxy.metric(HANDSHAKES, transform="RedisSinkSingle", result="resumed") == 4


# ---- files that change -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["seen", "told"])
def test_a_new_certificate_holds_without_a_restart(server, authority, start, way) -> None:
    issued = authority.issue("old", file="server", **LOCAL)
    proxy = start(server, issued.fields())
    context = authority.client_context()
    with connect(proxy, context) as before:
        assert before.command("PING") == b"+PONG\r\n"
        session = peer(before).session
        assert shown_to(proxy, authority.client_context()) == "old"
        authority.issue("new", file="server", lasts=2 * DAY, **LOCAL)
        if way == "told":
            proxy.signal(signal.SIGHUP)
        wait_until(lambda: "is in force" in proxy.log(), "the new certificate is read")
        assert shown_to(proxy, authority.client_context()) == "new"
        assert before.command("PING") == b"+PONG\r\n", "who was here does not notice"
        with connect(proxy, context, session=session) as again:
            assert peer(again).session_reused, "tickets that were given stay good"
    left = proxy.metric("shotover_tls_certificate_expires_in_seconds", source="redis")
    assert 86_400 < left <= 2 * 86_400


def test_what_did_not_change_is_not_logged_as_changed(server, authority, start) -> None:
    issued = authority.issue("first", file="server", **LOCAL)
    proxy = start(server, issued.fields(), usual().sink())
    proxy.allow_log(
        "cannot be used", "is not the key of"
    )  # a signal may come between the two files

    def changes() -> int:
        return sum("is in force" in line.message for line in proxy.log_lines())

    for count, name in enumerate(("second", "third"), 1):
        authority.issue(name, file="server", **LOCAL)
        proxy.signal(signal.SIGHUP)
        wait_until(lambda count=count: changes() >= count, "the new certificate is read")  # type: ignore[misc]
        proxy.signal(signal.SIGHUP)  # nothing has changed now
    assert shown_to(proxy, authority.client_context()) == "third"
    assert changes() == 2, proxy.log()  # neither for the sink's files, nor for the signals between


def test_a_bad_certificate_changes_nothing(server, authority, start) -> None:
    issued = authority.issue("old", file="server", **LOCAL)
    proxy = start(server, issued.fields())
    proxy.allow_log("cannot be used", "is not the key of")
    key = issued.key.read_bytes()
    authority.issue("new", file="server", **LOCAL)
    issued.key.write_bytes(key)
    proxy.signal(signal.SIGHUP)
    wait_until(lambda: "is not the key of the certificate" in proxy.log(), "it is told")
    assert shown_to(proxy, authority.client_context()) == "old"


# ---- those who do not behave -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [b"PING\r\n", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 8, b"\x16\x03\x01"]
)
def test_who_does_not_speak_tls_is_closed(server, authority, local, start, said) -> None:
    proxy = start(server, local.fields())
    proxy.allow_log("a client of redis was not let in: TLS: ")
    for _ in range(20):
        with proxy.raw() as raw:
            raw.send(said)
            raw.half_close()
            raw.rest()
    wait_until_equal(lambda: proxy.metric(HANDSHAKES, result="failed"), 20.0, "all are counted")
    assert proxy.log().count("was not let in") <= 2, "the log is not flooded"
    proxy.check_idle()


def test_a_handshake_that_takes_too_long(server, authority, local, start) -> None:
    proxy = start(server, {**local.fields(), "handshake_timeout": 0.05})
    proxy.allow_log("handshake took too long")
    with proxy.raw() as raw:
        raw.send(b"\x16\x03\x01\x00\xff")
        assert raw.rest() == b""
    assert proxy.metric(HANDSHAKES, result="timeout") == 1
    proxy.check_idle()


def test_many_that_never_finish_do_not_keep_others_out(server, authority, local, start) -> None:
    tls = {**local.fields(), "handshake_timeout": 0.2, "max_handshakes": 4}
    proxy = start(server, tls, source={"connection_limit": 10_000})
    proxy.allow_log("handshake took too long")
    idlers = [proxy.raw() for _ in range(16)]
    with connect(proxy, authority.client_context()) as raw:
        assert raw.command("PING") == b"+PONG\r\n"
    assert proxy.metric("shotover_tls_handshakes_under_way", source="redis") <= 4
    for idler in idlers:
        idler.close()
    proxy.check_idle()


def test_records_cut_anywhere(server, authority, local, start) -> None:
    """A client whose records come one byte at a time."""
    proxy = start(server, local.fields())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with proxy.raw() as raw:

        def until_done(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    raw.send_byte_by_byte(outgoing.read())
                    incoming.write(raw.socket.recv(65_536))
                finally:
                    raw.send_byte_by_byte(outgoing.read())

        until_done(client.do_handshake)
        client.write(b"SET k " + b"v" * 300 + b"\r\nGET k\r\n")
        got = b""
        while len(got) < 5 + 307 + 1:
            got += until_done(lambda: client.read(1000))
        assert got == b"+OK\r\n$300\r\n" + b"v" * 300 + b"\r\n"


# ---- the end -----------------------------------------------------------------------------------------------------


def test_a_connection_ends_with_a_farewell(server, authority, local, start) -> None:
    """So that a client can tell that nothing was cut off (RFC 8446, 6.1)."""
    proxy = start(server, local.fields(), source={"timeout": 1})
    context = authority.client_context()
    with socket.create_connection(("127.0.0.1", proxy.port)) as plain:
        client = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        client.settimeout(10)
        client.sendall(b"QUIT\r\n")
        assert client.recv(100) == b"+OK\r\n"
        assert client.recv(100) == b"", "else it raises SSLEOFError"
    with socket.create_connection(("127.0.0.1", proxy.port)) as plain:
        client = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        client.settimeout(10)
        assert client.recv(100) == b"", "it was idle for too long"


def test_who_says_farewell_still_gets_its_replies(server, authority, local, start) -> None:
    proxy = start(server, local.fields())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with proxy.raw() as raw:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            raw.send(outgoing.read())
            incoming.write(raw.socket.recv(65_536))
        client.write(b"PING\r\nSET a b\r\nGET a\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        raw.send(outgoing.read())
        incoming.write(raw.rest())
        assert client.read(1000) == b"+PONG\r\n+OK\r\n$1\r\nb\r\n"
    proxy.check_idle()


def test_much_at_once_both_ways(server, authority, local, start) -> None:
    proxy = start(server, local.fields(), usual_sink(server))
    value = bytes(range(256)) * 65_536  # 16 MiB
    with connect(proxy, authority.client_context(), deadline_s=30) as raw:
        assert raw.command("SET", "big", value) == b"+OK\r\n"
        assert raw.ask("GET", "big") == value
        count = 20_000
        raw.send(b"".join(b"SET k%d %d\r\nGET k%d\r\n" % (n, n, n) for n in range(count)))
        got = raw.frames(2 * count)
        assert got[1::2] == [b"$%d\r\n%d\r\n" % (len(str(n)), n) for n in range(count)]


def test_a_slow_reader_costs_only_itself(server, authority, local, start) -> None:
    proxy = start(server, local.fields(), usual_sink(server))
    with connect(proxy, authority.client_context()) as quick:
        quick.command("SET", "big", b"x" * 1_000_000)
        with connect(proxy, authority.client_context(), receive_buffer_size=4096) as slow:
            slow.send(b"GET big\r\n" * 20)
            begun = time.monotonic()
            for _ in range(100):
                assert quick.command("PING") == b"+PONG\r\n"
            assert time.monotonic() - begun < 5
            assert all(len(frame) == 1_000_012 for frame in slow.frames(20))
    proxy.check_idle()
