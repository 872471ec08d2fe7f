"""The small HTTP server over real sockets: ordinary clients, and those that mean harm."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotover.observability import http as server_module
from shotover.observability.http import (
    CONNECTIONS_MAX,
    AddressError,
    BindError,
    HttpServer,
    parse_address,
    turn,
)
from shotover.observability.httpwire import (
    BODY_BYTES_MAX,
    HEAD_BYTES_MAX,
    Bad,
    Request,
    Response,
    parse_request,
)
from tests.observability.conftest import PipeLog, eventually


class Running:
    """A server stepped by a thread, as the supervisor would step it."""

    def __init__(self, handler: Callable[[Request], Response], address: str) -> None:
        self.seen: list[Request] = []
        self.server = HttpServer(address, self._record(handler))
        self.turns = 0
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _record(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def recorded(request: Request) -> Response:
            self.seen.append(request)
            return handler(request)

        return recorded

    def _run(self) -> None:
        while not turn([self.server], 5.0, [self._wake]):
            self.turns += 1

    def stop(self) -> None:
        os.write(self._waker, b"x")
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.server.close()
        os.close(self._wake)
        os.close(self._waker)

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        sock.settimeout(10)
        return sock

    def send(self, data: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        with self.connect() as sock:
            sock.sendall(data)
            return drain(sock)

    def open_count(self) -> int:
        return len(self.server._connections)


def drain(sock: socket.socket) -> bytes:
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


def one_response(sock: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next response, leaving what follows it unread."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    size = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
    body = b""
    while len(body) < size:
        body += sock.recv(size - len(body))
    return int(head.split()[1]), body


def echo(request: Request) -> Response:
    if request.path == "/big":
        return Response(200, b"x" * 8_000_000)
    if request.path == "/pieces":
        return Response(200, iter([b"a", b"b", b"c"]))
    if request.path == "/broken":
        raise RuntimeError("a bug")
    return Response(200, f"{request.method} {request.path} {request.body.decode('latin-1')}")


@pytest.fixture
def running() -> Iterator[Running]:
    found = Running(echo, "127.0.0.1:0")
    yield found
    found.stop()


GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_an_ordinary_client_keeps_its_connection(running: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    for number in range(5):
        client.request("PUT", f"/thing?q={number}#f", body=f"body {number}")
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, f"PUT /thing body {number}".encode())
        assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
        assert answer.getheader("Connection") == "keep-alive"
        date = answer.getheader("Date")
        assert date and time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")
    assert running.open_count() == 1
    client.close()
    eventually(lambda: running.open_count() == 0)
    assert running.seen[0].peer == "127.0.0.1"


def test_head_has_the_length_and_no_body(running: Running) -> None:
    answer = running.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n") and b"Content-Length: 8\r\n" in answer


def test_pieces_are_one_body(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(GET % b"pieces")
        assert one_response(sock) == (200, b"abc")


def test_http_1_0_closes_unless_asked_to_keep(running: Running) -> None:
    assert running.send(b"GET /a HTTP/1.0\r\n\r\n").endswith(b"GET /a ")
    with running.connect() as sock:
        for _ in range(2):
            sock.sendall(b"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            assert one_response(sock)[0] == 200


def test_the_absolute_form_and_a_stray_line_are_understood(running: Running) -> None:
    answer = running.send(
        b"\r\nGET http://x:1/a HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n"
    )
    assert answer.endswith(b"\r\n\r\nGET /a ")


def test_pipelined_requests_are_answered_in_order_one_a_turn(running: Running) -> None:
    before = running.turns
    answer = running.send(b"".join(GET % b"%d" % n for n in range(100)) + LAST)
    assert re.findall(rb"\r\n\r\nGET /(\w+) ", answer) == [
        *(b"%d" % n for n in range(100)),
        b"last",
    ]
    assert running.turns - before >= 100


def test_a_flood_of_pipelined_requests_stays_bounded_in_memory(running: Running) -> None:
    count, largest = 20_000, 0
    with running.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=((GET % b"a") * count + LAST,))
        sender.start()
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
            held = [len(connection.inbox) for connection in running.server._connections.values()]
            largest = max([largest, *held])
        sender.join(10)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == count + 1
    assert 0 < largest <= HEAD_BYTES_MAX + BODY_BYTES_MAX + server_module.READ_BYTES


def test_pipelining_behind_a_body_does_not_shift_bytes(running: Running) -> None:
    with running.connect() as sock:
        body = GET % b"evil"
        sock.sendall(
            b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s%s"
            % (len(body), body, GET % b"b")
        )
        assert one_response(sock) == (200, b"PUT /a " + body)
        assert one_response(sock) == (200, b"GET /b ")


@pytest.mark.parametrize("size", [1, 7])
def test_requests_may_come_in_crumbs(running: Running, size: int) -> None:
    data = b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    with running.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
        assert drain(sock).endswith(b"PUT /a hello")


def test_a_client_that_waits_for_leave_gets_it_once(running: Running) -> None:
    with running.connect() as sock:
        for _ in range(2):
            sock.sendall(
                b"PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n"
            )
            leave = b"HTTP/1.1 100 Continue\r\n\r\n"
            assert sock.recv(len(leave)) == leave
            sock.sendall(b"he")
            sock.sendall(b"llo")
            assert one_response(sock) == (200, b"PUT /a hello")


H = b"\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /a HTTP/1.1\n\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\n\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a\r\n\r\n", 400),
        (b"GET  /a HTTP/1.1" + H + b"\r\n", 400),
        (b"GET a HTTP/1.1" + H + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1" + H + b"\r\n", 400),
        (b"G\x00T / HTTP/1.1" + H + b"\r\n", 400),
        (b"GET / HTTP/2.0" + H + b"\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / RTSP/1.0\r\n\r\n", 400),
        (b"*1\r\n$4\r\nPING\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: 1, 1\r\n\r\n", 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: -1\r\n\r\n", 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: +1\r\n\r\n", 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: \xb2\r\n\r\n", 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: %s\r\n\r\n" % (b"9" * 400), 400),
        (b"PUT / HTTP/1.1" + H + b"Content-Length: 1048577\r\n\r\n", 413),
        (b"PUT / HTTP/1.1" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"PUT / HTTP/1.1" + H + b"Transfer-Encoding: x\r\nContent-Length: 3\r\n\r\nabc", 501),
        (b"PUT / HTTP/1.1" + H + b"Expect: 200\r\nContent-Length: 3\r\n\r\n", 417),
        (b"GET / HTTP/1.1" + H + b"X: y\r\n" * 64 + b"\r\n", 431),
        (b"GET / HTTP/1.1" + H + b"X: " + b"y" * HEAD_BYTES_MAX, 431),
        (b"x" * HEAD_BYTES_MAX, 431),
    ],
)
def test_what_is_not_understood_is_refused_and_ends_the_connection(
    running: Running, data: bytes, status: int
) -> None:
    answer = running.send(data + GET % b"after")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close\r\n" in answer
    assert answer.count(b"\r\n\r\n") == 1
    assert running.seen == []
    eventually(lambda: running.open_count() == 0)


def test_an_error_reaches_a_client_that_is_still_sending(running: Running) -> None:
    answer = running.send(b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_bug_in_a_handler_is_a_500_and_a_line_in_the_log(
    running: Running, pipe_log: PipeLog
) -> None:
    with running.connect() as sock:
        for _ in range(50):
            sock.sendall(GET % b"broken")
            assert one_response(sock) == (500, b"internal error; the log says more\n")
        sock.sendall(GET % b"fine")
        assert one_response(sock)[0] == 200
    text = pipe_log.text()
    assert "RuntimeError: a bug file=" in text and "path=/broken" in text
    assert 1 <= text.count("ERROR") <= 6


def test_the_largest_head_and_body_that_are_allowed(running: Running) -> None:
    start = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX: " % BODY_BYTES_MAX
    head = start + b"y" * (HEAD_BYTES_MAX - len(start) - 4) + b"\r\n\r\n"
    with running.connect() as sock:
        sock.sendall(head + b"z" * BODY_BYTES_MAX)
        assert one_response(sock) == (200, b"PUT / " + b"z" * BODY_BYTES_MAX)


def test_slow_clients_do_not_keep_the_scraper_away(running: Running) -> None:
    slow = [running.connect() for _ in range(CONNECTIONS_MAX * 3)]
    for sock in slow:
        sock.sendall(b"GET /a HT")
    for _ in range(5):
        with running.connect() as sock:
            sock.sendall(LAST)
            assert drain(sock).endswith(b"GET /last ")
    assert running.open_count() <= CONNECTIONS_MAX
    for sock in slow:
        sock.close()


def test_clients_that_do_not_read_do_not_keep_the_scraper_away(running: Running) -> None:
    greedy = [running.connect() for _ in range(CONNECTIONS_MAX)]
    for sock in greedy:
        sock.sendall(GET % b"big")
    eventually(lambda: len(running.seen) == CONNECTIONS_MAX)
    with running.connect() as sock:
        sock.sendall(LAST)
        assert drain(sock).endswith(b"GET /last ")
    for sock in greedy:
        sock.close()
    eventually(lambda: running.open_count() == 0)


def test_a_big_response_arrives_whole(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(GET % b"big")
        assert one_response(sock) == (200, b"x" * 8_000_000)
        sock.sendall(GET % b"after")
        assert one_response(sock) == (200, b"GET /after ")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("REQUEST_SECONDS", b""),
        ("REQUEST_SECONDS", b"GET /a HTTP/1.1\r\n"),
        ("REQUEST_SECONDS", b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"),
        ("IDLE_SECONDS", GET % b"a"),
        ("WRITE_SECONDS", GET % b"big"),
    ],
)
def test_each_state_has_its_time_limit(
    running: Running, monkeypatch: pytest.MonkeyPatch, name: str, sent: bytes
) -> None:
    monkeypatch.setattr(server_module, name, 0.3)
    with running.connect() as sock:
        sock.sendall(sent)
        start = time.monotonic()
        eventually(lambda: running.open_count() == 1)
        eventually(lambda: running.open_count() == 0)
        assert 0.1 < time.monotonic() - start < 4
    assert running.turns < 5_000  # it waited, it did not spin


def test_dripping_bytes_does_not_extend_the_time_for_a_request(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.3)
    with running.connect() as sock:
        start = time.monotonic()
        sock.sendall(b"GET /")
        with pytest.raises(OSError):
            while time.monotonic() - start < 5:
                sock.sendall(b"a")
                if select.select([sock], [], [], 0.01)[0] and not sock.recv(100):
                    raise ConnectionResetError
        assert time.monotonic() - start < 3


def test_running_out_of_descriptors_neither_spins_nor_kills(
    running: Running, monkeypatch: pytest.MonkeyPatch, pipe_log: PipeLog
) -> None:
    import resource

    monkeypatch.setattr(server_module, "ACCEPT_PAUSE_SECONDS", 0.05)
    first = running.connect()
    first.sendall(GET % b"a")
    assert one_response(first)[0] == 200
    second = socket.socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    turns = running.turns
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, highest), hard))
        fillers = []
        with pytest.raises(OSError):
            while True:
                fillers.append(os.dup(0))
        second.connect(("127.0.0.1", running.port))
        second.sendall(GET % b"b")
        text = ""
        deadline = time.monotonic() + 5
        while "cannot accept" not in text and time.monotonic() < deadline:
            text += pipe_log.text()
        assert "Too many open files" in text
        first.sendall(GET % b"c")
        assert one_response(first) == (200, b"GET /c ")  # who is in is still served
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    second.settimeout(10)
    assert one_response(second) == (200, b"GET /b ")
    assert running.turns - turns < 2_000
    first.close()
    second.close()


def test_descriptors_above_1023_are_served() -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2000:
        pytest.skip("the hard limit of descriptors is too low")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 4096), limits[1]))
    fillers = [os.dup(0) for _ in range(1100)]
    found = Running(echo, "127.0.0.1:0")
    try:
        assert found.send(LAST).endswith(b"GET /last ")
    finally:
        found.stop()
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_ipv6_works_and_the_bound_port_is_told() -> None:
    try:
        found = Running(echo, "[::1]:0")
    except BindError:
        pytest.skip("no IPv6 here")
    try:
        assert re.fullmatch(r"\[::1\]:\d+", found.server.address)
        with socket.create_connection(("::1", found.port), 10) as sock:
            sock.sendall(LAST)
            assert drain(sock).endswith(b"GET /last ")
    finally:
        found.stop()


def test_a_taken_port_is_an_error_that_names_it() -> None:
    first = HttpServer("127.0.0.1:0", echo)
    with pytest.raises(BindError) as caught:
        HttpServer(first.address, echo, purpose="the switch of Tee")
    assert caught.value.args[1] == (
        f"cannot listen on {first.address} for the switch of Tee: Address already in use"
    )
    first.close()
    HttpServer(first.address, echo).close()  # and is free again


@pytest.mark.parametrize(
    "address",
    ["", "9001", ":9001", "localhost:9001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "::1:9001",
     "127.0.0.1:65536", "127.0.0.1:-1", "[127.0.0.1]:1", "[::1]", "1.2.3:4", "127.0.0.1:²",
     "[::1:1", "127.0.0.1\0:1"],
)  # fmt: skip
def test_other_addresses_are_refused_with_the_form_expected(address: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(address)
    assert str(caught.value) == (
        f"{address!r} is not an address: expected ip:port or [ipv6]:port, such as 127.0.0.1:9001"
    )


def test_several_servers_and_a_descriptor_share_one_wait() -> None:
    servers = [HttpServer("127.0.0.1:0", lambda r, n=n: Response(200, f"{n}")) for n in range(3)]
    reader, writer = os.pipe()
    clients = [
        socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), 10)
        for server in servers
    ]
    for client in clients:
        client.settimeout(0)
        client.sendall(LAST)
    answers = dict.fromkeys(clients, b"")

    def all_answered() -> bool:
        assert turn(servers, 0.01, [reader]) == []
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                answers[client] += client.recv(1000)
        return all(answer[-1:].isdigit() and b"\r\n\r\n" in answer for answer in answers.values())

    eventually(all_answered)
    assert [answers[client][-1:] for client in clients] == [b"0", b"1", b"2"]
    os.write(writer, b"x")
    assert turn(servers, 5.0, [reader]) == [reader]
    for thing in (*servers, *clients):
        thing.close()
    os.close(reader)
    os.close(writer)


def test_an_idle_turn_waits_its_time_and_no_longer() -> None:
    server = HttpServer("127.0.0.1:0", echo)
    start = time.monotonic()
    assert turn([server], 0.05) == []
    assert 0.05 <= time.monotonic() - start < 2
    server.close()


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for inbox in (
        bytearray(data),
        bytearray(b"PUT / HTTP/1.1\r\nHost: x\r\n" + data + b"\r\n\r\n"),
    ):
        size = len(inbox)
        try:
            request = parse_request(inbox)
        except Bad as bad:
            assert 400 <= bad.status <= 505
        else:
            assert request is None or len(inbox) < size


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=5),
    st.lists(st.integers(min_value=1, max_value=200), max_size=20),
)
def test_the_parser_does_not_care_where_bytes_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(
        b"PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (n, len(body), body)
        for n, body in enumerate(bodies)
    )
    inbox, found, at = bytearray(), [], 0
    for cut in [*cuts, len(wire)]:
        inbox += wire[at : at + cut]
        at += cut
        while (request := parse_request(inbox)) is not None:
            found.append((request.path, request.body))
    assert found == [(f"/{n}", body) for n, body in enumerate(bodies)]
    assert not inbox
