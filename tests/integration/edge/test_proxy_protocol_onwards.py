"""The PROXY protocol towards servers: what is sent byte by byte, and what HAProxy and another Shotover make of it."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.certificates import usual
from support.proxy import Proxy
from support.resp import RawClient, encode
from support.servers import Server
from support.wait import can_connect, free_port, wait_until, wait_until_equal

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ECHO = encode("ECHO", "x")
WHO = """
from shotover import Transform
class Who(Transform):
    def on_request(self, request):
        if request.command == b"ECHO":
            request.answer(request.client_address)
"""
VERSIONS = ("v1", "v2", "v2-crc32c")


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def look(proxy: Proxy) -> None:
    """Asked whether it is ready, a sink without connections tries to connect."""
    with contextlib.suppress(urllib.error.HTTPError):  # 503: it does not know yet
        proxy.http("/readyz")


def line(text: str) -> bytes:
    return b"+%b\r\n" % text.encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def first(closing) -> Callable[..., Proxy]:
    """first(port of what comes next, version, fields of the source, fields of the sink): who meets the clients."""

    def begin(port: int, version: str, source: dict[str, Any] | None = None, **sink: Any) -> Proxy:
        fields = {"connection": "per_client", "proxy_protocol": version, **sink}
        proxy = Proxy(port, source=source, sink=fields)
        closing.callback(proxy.stop)
        return proxy

    return begin


@pytest.fixture
def second(closing, server, tmp_path) -> Callable[..., Proxy]:
    """The proxy behind it, which answers ECHO by whom it takes the client for."""
    script = tmp_path / "who.py"
    script.write_text(WHO)

    def begin(**source: Any) -> Proxy:
        chain = [{"Python": {"path": str(script), "class": "Who"}}]
        fields = {"proxy_protocol": {"trusted": ["127.0.0.1"]}, **source}
        proxy = Proxy(server.port, source=fields, chain=chain)
        closing.callback(proxy.stop)
        return proxy

    return begin


def exchange(host: str, port: int, data: bytes) -> tuple[bytes, int]:
    """One answer, and our own port."""
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(data)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = client.recv(1000)
            assert piece, answer
            answer += piece
        return answer, client.getsockname()[1]


# --- another Shotover behind it


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chain_of_two_knows_the_client_at_both(first, second, version) -> None:
    inner = second()
    outer = first(inner.port, version)
    with outer.raw() as one, outer.raw() as other:
        for client in (one, other, one):
            client.send(ECHO)
            assert client.frame() == line(f"127.0.0.1:{client.port}")
        assert one.ask("SET", "key", "v" * 100_000) == b"OK"
        assert other.ask("GET", "key") == b"v" * 100_000
    named = inner.metric("shotover_proxy_protocol_headers_count", header=version[:2])
    assert named == 2
    assert outer.metric("shotover_upstream_connects_count", name="sink") == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_what_looks_whether_the_server_is_there_speaks_for_nobody(first, second, version) -> None:
    inner = second()
    outer = first(inner.port, version)
    look(outer)
    wait_until_equal(
        lambda: inner.metric("shotover_proxy_protocol_headers_count", header="unknown"),
        1.0,
        "the header of a connection of the proxy's own",
    )
    with outer.raw() as client:
        client.send(ECHO)  # over a connection of its own, though one is idle
        assert client.frame() == line(f"127.0.0.1:{client.port}")
    assert outer.metric("shotover_upstream_connects_count", name="sink") == 2


def test_no_connection_is_given_to_a_second_client(first, second) -> None:
    outer = first(second().port, "v2")
    for _ in range(20):
        with outer.raw() as client:
            assert client.ask("MULTI") == b"OK"
            client.send(encode("RESET"))
            assert client.frame() == b"+RESET\r\n"
            client.send(ECHO)
            assert client.frame() == line(f"127.0.0.1:{client.port}")


@pytest.mark.parametrize("version", VERSIONS)
def test_ipv6(first, second, version) -> None:
    inner = second()
    port = free_port()
    first(inner.port, version, {"listen_addr": f"[::1]:{port}"})
    answer, own = exchange("::1", port, ECHO)
    assert answer == line(f"[::1]:{own}")


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_on_unix_sockets_have_no_address(first, second, version, tmp_path) -> None:
    inner = second()
    first(inner.port, version, {"listen_addr": f"unix:{tmp_path}/door"})
    with RawClient(tmp_path / "door") as client:
        client.send(ECHO)
        assert client.frame().startswith(b"+127.0.0.1:")  # of the connection: nobody was named
        assert client.ask("PING") == b"PONG"


def test_whom_a_header_in_front_names_is_named_again(first, second) -> None:
    """Of another family than the door it came in by, too."""
    inner = second()
    for version in VERSIONS:
        trusted = {"proxy_protocol": {"trusted": ["127.0.0.1"]}}
        outer = first(inner.port, version, trusted)
        for header, named in (
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 6379\r\n", "192.0.2.7:4711"),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 6379\r\n", "[2001:db8::7]:4711"),
        ):
            assert exchange("127.0.0.1", outer.port, header + ECHO)[0] == line(named), version


def test_the_header_comes_before_the_handshake(first, second) -> None:
    inner = second(tls=usual().source())
    for version in VERSIONS:
        outer = first(inner.port, version, tls=usual().sink(verify_hostname=False))
        with outer.raw() as client:
            client.send(ECHO)
            assert client.frame() == line(f"127.0.0.1:{client.port}")
            assert client.ask("SET", "key", "value") == b"OK"


# --- byte by byte


class Listener:
    """A server that keeps what the clients of one connection send, and answers PONG to it."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.socket.settimeout(10)

    def heard(self) -> bytes:
        """What comes first on the next connection of a client; those on which nothing but a header comes are skipped."""
        while True:
            connection, _ = self.socket.accept()
            with connection:
                connection.settimeout(10)
                data = b""
                while not data.endswith(b"PING\r\n"):
                    piece = connection.recv(1000)
                    if not piece:
                        break
                    data += piece
                else:
                    connection.sendall(b"+PONG\r\n")
                    return data


def test_what_is_written(first, closing) -> None:
    """Each header as the specification has it, and the request right behind it."""
    ping = encode("PING")
    for version in VERSIONS:
        listener = Listener()
        closing.callback(listener.socket.close)
        outer = first(listener.port, version)
        look(outer)
        own, _ = listener.socket.accept()
        with own, outer.raw() as client:
            own.settimeout(10)
            local = own.recv(1000)
            client.send(ping)
            data = listener.heard()
            assert client.frame() == b"+PONG\r\n"
            assert data.endswith(ping)
            header = data[: -len(ping)]
            if version == "v1":
                assert local == b"PROXY UNKNOWN\r\n"
                assert header == (
                    f"PROXY TCP4 127.0.0.1 127.0.0.1 {client.port} {outer.port}\r\n".encode()
                )
                continue
            address = socket.inet_aton("127.0.0.1") * 2 + struct.pack(
                "!HH", client.port, outer.port
            )
            checked = version == "v2-crc32c"
            for got, command, family, body in (
                (local, 0x20, 0, b""),
                (header, 0x21, 0x11, address),
            ):
                size = len(body) + 7 * checked
                plain = SIGNATURE + bytes([command, family]) + struct.pack("!H", size) + body
                if checked:
                    plain += b"\x03\0\4" + bytes(4)
                    plain = plain[:-4] + struct.pack("!I", crc32c(plain))
                assert got == plain


# --- HAProxy


@pytest.fixture
def haproxy(closing, tmp_path) -> Callable[..., int]:
    """haproxy(port behind it, options of that server): it takes headers, and says its port."""

    def begin(port: int, options: str = "", bind: str = "") -> int:
        listens = free_port()
        config: Path = tmp_path / f"haproxy-{listens}.cfg"
        config.write_text(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
            f"listen redis\n  bind 127.0.0.1:{listens} accept-proxy {bind}\n  server one 127.0.0.1:{port} {options}\n"
        )
        balancer = subprocess.Popen(["haproxy", "-db", "-f", str(config)])
        closing.callback(balancer.wait)
        closing.callback(balancer.kill)
        wait_until(lambda: can_connect(listens), "HAProxy listens")
        return listens

    return begin


@pytest.mark.parametrize("version", VERSIONS)
def test_haproxy_takes_it_and_passes_it_on(first, second, haproxy, server, version) -> None:
    plain = first(haproxy(server.port), version)
    with plain.raw() as client:
        assert client.ask("SET", "key", "value") == b"OK"
        assert client.ask("GET", "key") == b"value"
    told = first(haproxy(second().port, "send-proxy-v2"), version)
    with told.raw() as client:
        client.send(ECHO)
        assert client.frame() == line(f"127.0.0.1:{client.port}")


@pytest.mark.parametrize("version", VERSIONS)
def test_haproxy_takes_ipv6_and_unix_clients_too(first, second, haproxy, version, tmp_path) -> None:
    between = haproxy(second().port, "send-proxy-v2")
    port = free_port()
    first(between, version, {"listen_addr": f"[::1]:{port}"})
    answer, own = exchange("::1", port, ECHO)
    assert answer == line(f"[::1]:{own}")
    first(between, version, {"listen_addr": f"unix:{tmp_path}/door"})
    with RawClient(tmp_path / "door") as client:
        client.send(ECHO)
        assert client.frame().startswith(b"+127.0.0.1:")


def test_haproxy_takes_it_before_tls(first, haproxy, server, tmp_path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(usual().server.certificate.read_bytes() + usual().server.key.read_bytes())
    outer = first(
        haproxy(server.port, bind=f"ssl crt {both}"),
        "v2-crc32c",
        tls=usual().sink(verify_hostname=False),
    )
    with outer.raw() as client:
        assert client.ask("SET", "key", "value") == b"OK"
