"""The PROXY protocol as load balancers speak it: HAProxy itself, and headers by hand, cut anywhere or bad."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.certificates import usual
from support.proxy import Proxy
from support.resp import Closed, RawClient, encode
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
TRUSTED: dict[str, Any] = {"trusted": ["127.0.0.1"]}
REFUSALS = "shotover_refusals_count"


def v1(source: str = "192.0.2.7", port: int = 4711, kind: str = "TCP4") -> bytes:
    to = "::1" if kind == "TCP6" else "127.0.0.1"
    return f"PROXY {kind} {source} {to} {port} 6380\r\n".encode()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def v2(
    source: str = "192.0.2.7",
    port: int = 4711,
    *,
    command: int = 0x21,
    family: int | None = None,
    tlvs: bytes = b"",
    checksum: bool = False,
) -> bytes:
    wide = ":" in source
    version = socket.AF_INET6 if wide else socket.AF_INET
    body = socket.inet_pton(version, source) * 2 + struct.pack("!HH", port, 6380) + tlvs
    kind = (0x21 if wide else 0x11) if family is None else family
    if checksum:
        body += b"\x03\0\4" + bytes(4)
    header = SIGNATURE + bytes([command, kind]) + struct.pack("!H", len(body)) + body
    return header[:-4] + struct.pack("!I", crc32c(header)) if checksum else header


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """start(fields of proxy_protocol, fields of the source): ECHO says by which address the client is known."""
    script = tmp_path / "who.py"
    script.write_text(WHO)
    with contextlib.ExitStack() as closing:

        def begin(fields: dict[str, Any] = TRUSTED, **source: Any) -> Proxy:
            chain = [{"Python": {"path": str(script), "class": "Who"}}]
            proxy = Proxy(server.port, source={"proxy_protocol": fields, **source}, chain=chain)
            closing.callback(proxy.stop)
            return proxy

        yield begin


def told(proxy: Proxy, header: bytes, **options: Any) -> bytes:
    with proxy.raw(**options) as raw:
        raw.send(header + ECHO)
        return raw.frame()


def line(text: str) -> bytes:
    return b"+%b\r\n" % text.encode()


NAMED = {
    "v1": (v1(), "192.0.2.7:4711"),
    "v1 over IPv6": (v1("2001:db8::7", kind="TCP6"), "[2001:db8::7]:4711"),
    "v2": (v2(), "192.0.2.7:4711"),
    "v2 over IPv6": (v2("2001:db8::7"), "[2001:db8::7]:4711"),
    "v2 with IPv4 in IPv6": (v2("::ffff:192.0.2.7"), "192.0.2.7:4711"),
    "v2 with more in it": (v2(tlvs=b"\x02\0\x0bexample.org\x04\0\2xx"), "192.0.2.7:4711"),
    "v2 with a checksum": (v2(tlvs=b"\x02\0\1a", checksum=True), "192.0.2.7:4711"),
}


def test_a_header_names_the_client_wherever_it_is_cut(start) -> None:
    proxy = start()
    for name, (header, address) in NAMED.items():
        assert told(proxy, header) == line(address), name
        for cut in range(1, len(header) + 1):
            with proxy.raw() as raw:
                raw.send(header[:cut])
                raw.send(header[cut:] + ECHO)
                assert raw.frame() == line(address), (name, cut)
    with proxy.raw() as raw:
        for byte in v2(checksum=True) + ECHO:
            raw.send(bytes([byte]))
        assert raw.frame() == line("192.0.2.7:4711")
    for version in ("v1", "v2"):
        asked = sum(len(header) + 1 for name, (header, _) in NAMED.items() if name[:2] == version)
        counted = proxy.metric("shotover_proxy_protocol_headers_count", header=version)
        assert counted == asked + (version == "v2")


OWN = {
    "UNKNOWN": b"PROXY UNKNOWN\r\n",
    "UNKNOWN with addresses": b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    "LOCAL": v2(command=0x20),
    "LOCAL with nothing": SIGNATURE + b"\x20\0\0\0",
    "unspecified": v2(family=0),
    "UDP": v2(family=0x12),
}


@pytest.mark.parametrize("name", OWN)
def test_headers_that_name_nobody_leave_the_address_of_the_socket(start, name) -> None:
    proxy = start()
    with proxy.raw() as raw:
        raw.send(OWN[name] + ECHO)
        assert raw.frame() == line(f"127.0.0.1:{raw.port}")
    assert proxy.metric("shotover_proxy_protocol_headers_count", header="unknown") == 1


BAD = {
    "none": ECHO,
    "lower case": v1().lower(),
    "no carriage return": v1().replace(b"\r", b""),
    "never ends": b"PROXY TCP4 " + b"1" * 200,
    "two blanks": v1().replace(b" 192", b"  192"),
    "a field too many": v1().replace(b"\r\n", b" 1\r\n"),
    "a name": v1("example.org"),
    "of the other family": v1("2001:db8::7"),
    "a port too high": v1(port=65_536),
    "a port with a zero before it": v1().replace(b"4711", b"04711"),
    "another protocol": v1(kind="TCP5"),
    "a zero byte": v1().replace(b"192", b"1\x002"),
    "version 3": v2(command=0x31),
    "an unknown command": v2(command=0x22),
    "too short for its addresses": SIGNATURE + b"\x21\x11\0\4" + bytes(4),
    "too long": SIGNATURE + b"\x21\x11\xff\xff" + bytes(12),
    "a field that is cut": v2(tlvs=b"\x02\0\x09ab"),
    "a wrong checksum": v2(tlvs=b"\x03\0\4abcd"),
    "a checksum of two bytes": v2(tlvs=b"\x03\0\2ab"),
}


def test_bad_headers_are_closed_counted_and_logged(start) -> None:
    proxy = start()
    proxy.allow_log("was not let in: PROXY protocol")
    for name, header in BAD.items():
        with pytest.raises((Closed, ConnectionError)):
            print(name, told(proxy, header))
    assert proxy.metric(REFUSALS, reason="proxy_protocol_header") == len(BAD)
    lines = [line for line in proxy.log_lines() if "was not let in" in line.message]
    assert 1 <= len(lines) < len(BAD)  # once a second at most
    assert told(proxy, v1()) == line("192.0.2.7:4711")


def test_who_is_not_trusted_is_closed_or_let_in_as_it_comes(start) -> None:
    other = {"trusted": ["192.0.2.0/24"]}
    strict = start(other)
    strict.allow_log("is none of proxy_protocol.trusted")
    with pytest.raises((Closed, ConnectionError)):
        told(strict, v1())
    assert strict.metric(REFUSALS, reason="proxy_protocol_untrusted") == 1
    open_to_all = start({**other, "required": False})
    with open_to_all.raw() as raw:
        raw.send(ECHO)
        assert raw.frame() == line(f"127.0.0.1:{raw.port}")
    with open_to_all.raw() as raw:
        raw.send(v1())
        assert raw.frame().startswith(b"-ERR unknown command")


def test_where_no_header_is_required_one_is_taken_and_none_is_missed(start) -> None:
    proxy = start({**TRUSTED, "required": False, "timeout": 0.2})
    assert told(proxy, v2()) == line("192.0.2.7:4711")
    for first in (ECHO, b"PING\r\n", b"\r\n" + ECHO):
        for cut in range(1, len(first)):
            with proxy.raw() as raw:
                raw.send(first[:cut])
                raw.send(first[cut:])
                expected = b"+PONG\r\n" if first == b"PING\r\n" else line(f"127.0.0.1:{raw.port}")
                assert raw.frame() == expected, (first, cut)
    with proxy.raw() as raw:
        wait_until_equal(proxy.sessions, 1.0, "the silent client is there")
        raw.send(b"P")  # too late for a header, or in time: no header either way
        raw.send(b"ING\r\n")
        assert raw.frame() == b"+PONG\r\n"


def test_a_header_has_its_time(start) -> None:
    proxy = start({**TRUSTED, "timeout": 0.1})
    proxy.allow_log("no header came in time")
    for begun in (b"", v2()[:20], b"PROXY "):
        with proxy.raw() as raw, pytest.raises((Closed, ConnectionError)):
            raw.send(begun)
            raw.frame()
    assert proxy.metric(REFUSALS, reason="proxy_protocol_timeout") == 3


def test_a_look_whether_somebody_listens_is_no_fault(start) -> None:
    proxy = start()
    proxy.raw().close()
    wait_until_equal(proxy.sessions, 0.0, "it has gone")
    assert proxy.metric(REFUSALS, reason="proxy_protocol_header") == 0


def test_the_header_comes_before_tls(start) -> None:
    proxy = start(tls=usual().source())
    context = usual().authority.client_context()
    for cut in (0, 5, len(v2()) - 1):
        plain = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        with plain:
            plain.sendall(v2()[:cut])
            plain.sendall(v2()[cut:])
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(ECHO)
                assert secure.recv(100) == line("192.0.2.7:4711")


def test_conditions_see_the_client(server, start) -> None:
    chain = [
        {
            "FaultInjection": {
                "faults": [{"error": "ERR not you", "percent": 100, "clients": ["192.0.2.0/24"]}]
            }
        }
    ]
    proxy = Proxy(server.port, source={"proxy_protocol": TRUSTED}, chain=chain)
    try:
        with proxy.raw() as raw:
            raw.send(v1() + encode("PING"))
            assert b"not you" in raw.frame()
        with proxy.raw() as raw:
            raw.send(v1("198.51.100.1") + encode("PING"))
            assert raw.frame() == b"+PONG\r\n"
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    "option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"]
)
def test_haproxy_in_front(start, tmp_path, option) -> None:
    proxy = start()
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
        f"listen redis\n  bind 127.0.0.1:{port}\n  server one 127.0.0.1:{proxy.port} {option}\n"
    )
    balancer = subprocess.Popen(["haproxy", "-db", "-f", str(config)])
    try:
        wait_until(lambda: can_connect(port), "HAProxy listens")
        with RawClient(port) as raw:
            raw.send(ECHO)
            assert raw.frame() == line(f"127.0.0.1:{raw.port}")
            assert raw.ask("SET", "k", "v") == b"OK"
    finally:
        balancer.kill()
        balancer.wait()
