"""Connection limits, idle time-outs and file descriptors:

What the proxy does when it has no more to give.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from support.proxy import Proxy
from support.resp import Closed, RawClient, encode
from support.servers import Server
from support.wait import can_connect, wait_until, wait_until_equal

StartProxy = Callable[..., Proxy]


@pytest.fixture(scope="module")
def server(server_kind: str) -> Iterator[Server]:
    server = Server(server_kind)
    yield server
    server.stop()


def accepted(port: int) -> RawClient | None:
    """A connection that is being served, or None."""
    try:
        raw = RawClient(port, deadline_s=2)
    except OSError:
        return None
    try:
        assert raw.command("PING") == b"+PONG\r\n"
    except (AssertionError, OSError):
        raw.close()
        return None
    return raw


def test_the_soft_limit_makes_newcomers_wait(server: Server, start_proxy: StartProxy) -> None:
    proxy = start_proxy(server.port, source={"connection_limit": 3})
    served = [proxy.raw() for _ in range(3)]
    for raw in served:
        assert raw.command("PING") == b"+PONG\r\n"
    waiting = [proxy.raw() for _ in range(2)]
    for raw in waiting:
        raw.send(encode("PING"))
    assert all(raw.silent(0.1) for raw in waiting)
    assert proxy.sessions() == 3
    for raw in served:
        assert raw.command("PING") == b"+PONG\r\n"
    served[0].close()
    served[1].reset()
    for raw in waiting:
        assert raw.frame() == b"+PONG\r\n"
    for raw in [served[2], *waiting]:
        raw.close()


def test_the_hard_limit_refuses_newcomers(server: Server, start_proxy: StartProxy) -> None:
    proxy = start_proxy(server.port, source={"connection_limit": 3, "hard_connection_limit": True})
    served = [proxy.raw() for _ in range(3)]
    for raw in served:
        assert raw.command("PING") == b"+PONG\r\n"
    wait_until(lambda: not can_connect(proxy.port), "newcomers are refused")
    for raw in served:
        assert raw.command("PING") == b"+PONG\r\n"
    served.pop().close()
    newcomer = wait_until(lambda: accepted(proxy.port), "a place is free again")
    served.append(newcomer)
    for raw in served:
        assert raw.command("PING") == b"+PONG\r\n"
        raw.close()


def test_the_limit_counts_again_after_many_comings_and_goings(
    server: Server, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(server.port, source={"connection_limit": 2})
    for turn in range(100):
        with proxy.raw() as raw:
            assert raw.command("ECHO", turn) == b"$%d\r\n%d\r\n" % (len(str(turn)), turn)
            if turn % 3 == 0:
                raw.reset()


@pytest.mark.parametrize("timeout_s", [1, 2])
def test_the_idle_time_out_is_exact(
    server: Server, start_proxy: StartProxy, timeout_s: int
) -> None:
    proxy = start_proxy(server.port, source={"timeout": timeout_s})
    with proxy.raw() as fresh, proxy.raw() as used, proxy.raw() as half:
        opened = time.monotonic()
        used.command("PING")
        half.send(b"*1\r\n$4\r\nPI")
        assert fresh.rest() == b""
        assert timeout_s * 0.95 < time.monotonic() - opened < timeout_s * 1.5
        assert used.rest() == half.rest() == b""
        assert time.monotonic() - opened < timeout_s * 1.5


def test_activity_keeps_a_connection(server: Server, start_proxy: StartProxy) -> None:
    proxy = start_proxy(server.port, source={"timeout": 1})
    with proxy.raw() as raw:
        begin = time.monotonic()
        while time.monotonic() - begin < 2.5:
            assert raw.command("PING") == b"+PONG\r\n"
            assert raw.silent(0.3)
        last = time.monotonic()
        assert raw.rest() == b""
        assert 0.65 < time.monotonic() - last < 1.3  # 0.3 s of the second had gone by


@pytest.mark.timeout(60)
def test_descriptors_running_out_harms_no_one_who_is_in(
    server: Server, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(server.port)
    proxy.allow_log("descriptor|EMFILE|too many open files|accept")
    inside = [proxy.raw() for _ in range(3)]
    for raw in inside:
        raw.command("PING")
    process = psutil.Process(proxy.process.pid)
    _, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(
        proxy.process.pid, resource.RLIMIT_NOFILE, (proxy.descriptor_count() + 8, hard)
    )
    crowd = [RawClient(proxy.port, deadline_s=2) for _ in range(60)]
    for raw in crowd:
        with contextlib.suppress(OSError):
            raw.send(encode("PING"))
    for number, raw in enumerate(inside * 20):
        assert raw.command("ECHO", number) == b"$%d\r\n%d\r\n" % (len(str(number)), number)
    before, begin = sum(process.cpu_times()[:2]), time.monotonic()
    assert inside[0].silent(0.5)
    assert sum(process.cpu_times()[:2]) - before < 0.5 * (time.monotonic() - begin), "it spins"
    for raw in crowd:
        raw.close()
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (4096, hard))
    fresh = wait_until(lambda: accepted(proxy.port), "newcomers are served again")
    for raw in [*inside, fresh]:
        assert raw.command("PING") == b"+PONG\r\n"
        raw.close()
    wait_until_equal(proxy.sessions, 0.0, "all have gone")


def test_descriptors_running_out_for_a_lease(server: Server, start_proxy: StartProxy) -> None:
    """No descriptor for the connection that MULTI needs:

    An error or a close, and shared traffic goes on.
    """
    proxy = start_proxy(server.port)
    proxy.allow_log("descriptor|EMFILE|too many open files|upstream|connect")
    raws = [proxy.raw() for _ in range(5)]
    for raw in raws:
        raw.command("PING")
    _, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (proxy.descriptor_count(), hard))
    try:
        assert raws[0].command("MULTI").startswith(b"-ERR shotover")
    except Closed as closed:
        assert closed.partial == b""
    for raw in raws[1:]:
        assert raw.command("PING") == b"+PONG\r\n"
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (4096, hard))
    wait_until(lambda: raws[1].command("MULTI") == b"+OK\r\n", "a lease is to be had again")
    assert raws[1].command("EXEC") == b"*0\r\n"
    for raw in raws:
        raw.close()


def test_a_thousand_connections_come_and_go_without_a_trace(
    server: Server, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(server.port, source={"connection_limit": 2000})
    with proxy.raw() as raw:
        raw.command("PING")
    wait_until_equal(proxy.sessions, 0.0, "the first has gone")
    before = proxy.descriptor_count()
    for turn in range(2):
        raws = [proxy.raw() for _ in range(500)]
        for raw in raws:
            raw.send(encode("SET", "a", turn) + encode("GET", "a"))
        for raw in raws:
            assert raw.frames(2) == [b"+OK\r\n", b"$1\r\n%d\r\n" % turn]
        assert proxy.sessions() == 500
        for index, raw in enumerate(raws):
            (raw.reset if index % 2 else raw.close)()
        wait_until_equal(proxy.sessions, 0.0, "all have gone")
    wait_until(lambda: proxy.descriptor_count() <= before + 1, "the descriptors of the proxy")
