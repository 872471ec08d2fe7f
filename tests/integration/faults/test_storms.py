"""Everybody comes at once: each connection is served, with TLS and without; those who only wait cost nobody else."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support.certificates import usual
from support.proxy import Proxy
from support.resp import encode
from support.servers import Server
from support.wait import wait_until_equal

StartProxy = Callable[..., Proxy]
FEW, MANY = 400, 5000
STORM_S = 120.0  # a bound against waiting without end, not a measure of speed
HANDSHAKES_MAX = 32
CONNECTED, SHAKING, ASKING, DONE = "connected", "shaking hands", "asking", "done"


@pytest.fixture(scope="module")
def server(server_kind: str) -> Iterator[Server]:
    server = Server(server_kind)
    yield server
    server.stop()


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as may be, here and in what is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY + 1000:
        pytest.skip(f"only {hard} descriptors may be open (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Comer:
    """Connects, shakes hands if it has to, asks one thing that only it asks; never blocks."""

    def __init__(self, port: int, number: int, tls: ssl.SSLContext | None) -> None:
        self.token = b"comer %d" % number
        self.tls = tls
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.state = CONNECTED
        self.got = b""

    def step(self) -> int:
        """Goes as far as it can. Returns what to wait for. Raises OSError, AssertionError."""
        try:
            if self.state == CONNECTED:
                if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, "not connected")
                if self.tls is not None:
                    self.socket = self.tls.wrap_socket(
                        self.socket, server_hostname="localhost", do_handshake_on_connect=False
                    )
                self.state = SHAKING
            if self.state == SHAKING:
                if isinstance(self.socket, ssl.SSLSocket):
                    self.socket.do_handshake()
                self.socket.send(encode(b"ECHO", self.token))
                self.state = ASKING
            expected = b"$%d\r\n%b\r\n" % (len(self.token), self.token)
            while len(self.got) < len(expected):
                piece = self.socket.recv(len(expected) - len(self.got))
                assert piece, f"closed after {self.got!r}"
                self.got += piece
            assert self.got == expected
            self.state = DONE
        except (BlockingIOError, ssl.SSLWantReadError):
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        return 0


def storm(
    port: int, count: int, tls: ssl.SSLContext | None = None, *, leaving: bool = False
) -> None:
    """All at once. Nobody leaves before all have been answered, unless `leaving`."""
    comers = [Comer(port, number, tls) for number in range(count)]
    end = time.monotonic() + STORM_S
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as closing:
        for comer in comers:
            closing.callback(lambda comer=comer: comer.socket.close())
            selector.register(comer.socket.fileno(), selectors.EVENT_WRITE, comer)
        while selector.get_map() and time.monotonic() < end:
            for key, _ in selector.select(1.0):
                wanted = key.data.step()
                if wanted:
                    selector.modify(key.fd, wanted, key.data)
                else:
                    selector.unregister(key.fd)
                    if leaving:
                        key.data.socket.close()
        left = [comer.state for comer in comers if comer.state != DONE]
        assert not left, f"{len(left)} of {count} were not served: {sorted(set(left))}"


COUNTS = [FEW, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(300)])]


@pytest.mark.parametrize("poller", ["auto", "epoll"])
@pytest.mark.parametrize("count", COUNTS)
def test_an_accept_storm_loses_nobody(
    server: Server, start_proxy: StartProxy, descriptors: None, count: int, poller: str
) -> None:
    proxy = start_proxy(
        server.port, source={"connection_limit": MANY + 100}, arguments=("--poller", poller)
    )
    storm(proxy.port, count)
    wait_until_equal(proxy.sessions, 0.0, "all have gone")
    assert proxy.metric("connections_opened") == count
    assert proxy.metric("shotover_connections_accept_failures_count") == 0


@pytest.mark.parametrize("count", COUNTS)
def test_a_storm_of_handshakes_loses_nobody(
    server: Server, start_proxy: StartProxy, descriptors: None, count: int
) -> None:
    """More than may be under way at once wait their turn."""
    tls = usual().source(max_handshakes=HANDSHAKES_MAX, handshake_timeout=STORM_S)
    proxy = start_proxy(server.port, source={"connection_limit": MANY + 100, "tls": tls})
    storm(proxy.port, count, usual().authority.client_context())
    wait_until_equal(proxy.sessions, 0.0, "all have gone")
    assert proxy.metric("shotover_tls_handshakes_count", result="full") == count
    assert proxy.metric("shotover_tls_handshakes_under_way") == 0


@pytest.mark.parametrize("poller", ["auto", "epoll"])
def test_a_storm_at_a_soft_limit_loses_nobody(
    server: Server, start_proxy: StartProxy, descriptors: None, poller: str
) -> None:
    """Ten may be there at once; the others wait until somebody leaves, however many come in one turn of the loop."""
    proxy = start_proxy(
        server.port, source={"connection_limit": 10}, arguments=("--poller", poller)
    )
    storm(proxy.port, FEW, leaving=True)
    wait_until_equal(proxy.sessions, 0.0, "all have gone")
    assert proxy.metric("connections_opened") == FEW


def test_who_waits_is_there_when_it_asks(
    server: Server, start_proxy: StartProxy, descriptors: None
) -> None:
    """Idle clients beside busy ones: both get their own replies and nothing else."""
    proxy = start_proxy(server.port, source={"connection_limit": MANY})
    with contextlib.ExitStack() as closing:
        idle = [closing.enter_context(proxy.raw()) for _ in range(FEW)]
        wrong: list[str] = []

        def ask(number: int) -> None:
            with proxy.raw() as raw:
                for turn in range(200):
                    token = b"%d.%d" % (number, turn)
                    if (got := raw.ask("ECHO", token)) != token:
                        wrong.append(f"{got!r} in place of {token!r}")

        busy = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in busy:
            thread.start()
        for thread in busy:
            thread.join(60)
        assert not any(thread.is_alive() for thread in busy) and not wrong, wrong[:5]
        wait_until_equal(proxy.sessions, float(FEW), "only the idle ones are left")
        for number, raw in enumerate(idle):
            assert raw.ask("ECHO", number) == b"%d" % number
    wait_until_equal(proxy.sessions, 0.0, "all have gone")
