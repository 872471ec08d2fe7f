"""A server that does what the test says: late, never, twice, in any order, or not at all."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support.cassandra import (
    OPTIONS,
    QUERY,
    READY,
    RESULT,
    SERVER,
    STARTUP,
    SUPPORTED,
    CqlClient,
    frame,
    query,
    string_map,
)
from support.proxy import Proxy
from support.wait import wait_until, wait_until_equal

VOID = b"\0\0\0\1"


class Scripted:
    """Listens as a server that lets everybody in; queries go to `asked`, and are answered by `answer`."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.asked: list[tuple[socket.socket, int, bytes]] = []
        self.silent = False
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while len(head := stream.read(9)) == 9:
                _, _, number, opcode, size = struct.unpack(">BBhBi", head)
                body = stream.read(size)
                if self.silent:
                    continue
                if opcode == STARTUP:
                    connection.sendall(frame(READY, stream=number, version=0x84))
                elif opcode == OPTIONS:
                    connection.sendall(frame(SUPPORTED, b"\0\0", number, 0x84))
                else:
                    self.asked.append((connection, number, body[4 : 4 + size]))

    def answer(self, index: int, body: bytes = VOID) -> None:
        connection, number, _ = self.asked[index]
        connection.sendall(frame(RESULT, body, number, 0x84))

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.asked) >= count, f"{count} queries have come")

    def hang_up(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


def test_replies_in_any_order(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1})
    with CqlClient(proxy.port) as one, CqlClient(proxy.port) as two:
        one.open()
        two.open()
        for stream in range(5):
            one.send(frame(QUERY, query("a"), stream))
        two.send(frame(QUERY, query("b"), 3))
        server.wait_for(6)
        mine = [i for i, (_, _, body) in enumerate(server.asked) if body.startswith(b"a")]
        theirs = next(i for i, (_, _, body) in enumerate(server.asked) if body.startswith(b"b"))
        server.answer(theirs)  # it was sent last, and waits for nobody
        reply = two.read()
        assert reply is not None and (reply.stream, reply.opcode) == (3, RESULT)
        for index in reversed(mine):
            server.answer(index, VOID + str(index).encode())
        replies = [one.read() for _ in mine]
        assert sorted(reply.stream for reply in replies if reply) == list(range(5))
        assert [reply.body[4:] for reply in replies if reply] == [
            str(index).encode() for index in reversed(mine)
        ]


def test_a_late_reply_is_nobody_elses(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1, "read_timeout": 0.3})
    with CqlClient(proxy.port) as client:
        client.open()
        client.send(frame(QUERY, query("slow"), 1))
        server.wait_for(1)
        reply = client.read()
        assert reply is not None and (reply.code, reply.stream) == (SERVER, 1)
        assert "read_timeout" in reply.message
        client.send(frame(QUERY, query("next"), 1))
        server.wait_for(2)
        assert server.asked[0][1] != server.asked[1][1], "its number was taken still"
        server.answer(0, VOID + b"late")
        server.answer(1, VOID + b"right")
        reply = client.read()
        assert reply is not None and reply.body == VOID + b"right"


def test_for_a_silent_server_nobody_waits_after_so_many_time_outs(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(
        server.port, sink={"connection_count": 1, "read_timeout": 0.3, "breaker_timeouts": 2}
    )
    proxy.allow_log("the server of sink is silent")

    def ask(client: CqlClient) -> str:
        client.send(frame(QUERY, query("a"), 1))
        reply = client.read()
        assert reply is not None and (reply.code, reply.stream) == (SERVER, 1)
        return reply.message

    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as late:
        client.open()
        server.silent = True
        for _ in range(2):
            assert "read_timeout" in ask(client)
        assert proxy.metric("shotover_upstream_silent") == 1
        begun = time.monotonic()
        for _ in range(20):
            assert "breaker_timeouts" in ask(client)
        assert time.monotonic() - begun < 3  # of six that they would have waited
        late.open()  # the server has let in such a one before
        assert "breaker_timeouts" in ask(late)
        server.silent = False
        wait_until_equal(lambda: proxy.metric("shotover_upstream_silent"), 0.0, "it is heard")
        asked = len(server.asked)
        client.send(frame(QUERY, query("b"), 2))
        server.wait_for(asked + 1)
        server.answer(asked)
        reply = client.read()
        assert reply is not None and (reply.stream, reply.opcode) == (2, RESULT)
    assert proxy.metric("shotover_upstream_silences_count") == 1


def test_a_number_that_was_not_asked_is_dropped(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1})
    with CqlClient(proxy.port) as client:
        client.open()
        client.send(frame(QUERY, query("a"), 1))
        server.wait_for(1)
        connection, number, _ = server.asked[0]
        stray = frame(RESULT, b"x" * 100_000, number + 1, 0x84)
        connection.sendall(stray + frame(RESULT, VOID, 30_000, 0x84))
        server.answer(0)
        server.answer(0)
        reply = client.read()
        assert reply is not None and (reply.stream, reply.body) == (1, VOID)
        wait_until_equal(
            lambda: proxy.metric("shotover_upstream_garbage_count"), 3.0, "three were dropped"
        )


@pytest.mark.parametrize("cut", [b"", b"\x84\0", frame(RESULT, VOID, 0, 0x84)[:-1]])
def test_a_server_that_hangs_up(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy], cut: bytes
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1})
    with CqlClient(proxy.port) as client:
        client.open()
        for stream in range(10):
            client.send(frame(QUERY, query("a"), stream))
        server.wait_for(10)
        server.asked[0][0].sendall(cut)
        server.hang_up()
        replies = [client.read() for _ in range(10)]
        assert {reply.code for reply in replies if reply} == {SERVER}
        assert sorted(reply.stream for reply in replies if reply) == list(range(10))
        client.send(frame(QUERY, query("again"), 77))
        server.wait_for(11)
        server.answer(10)
        reply = client.read()
        assert reply is not None and (reply.stream, reply.opcode) == (77, RESULT)


def test_half_of_a_large_reply_cannot_be_mended(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1})
    with CqlClient(proxy.port) as client:
        client.open()
        client.send(frame(QUERY, query("a"), 1))
        server.wait_for(1)
        connection, number, _ = server.asked[0]
        whole = frame(RESULT, b"x" * 1_000_000, number, 0x84)
        connection.sendall(whole[:500_000])
        head = client._read(9)
        assert head is not None
        server.hang_up()
        assert client._read(1_000_000) is None


def test_what_comes_meanwhile_does_not_get_into_a_large_reply(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 2})
    with CqlClient(proxy.port) as first, CqlClient(proxy.port) as second:
        first.open()
        second.open()
        for client, text in ((first, "a"), (second, "b")):
            client.send(frame(QUERY, query(text), 1))
        first.send(frame(QUERY, query("c"), 2))
        server.wait_for(3)
        large = next(i for i, (_, _, body) in enumerate(server.asked) if body.startswith(b"a"))
        connection, number, _ = server.asked[large]
        whole = frame(RESULT, b"x" * 1_000_000, number, 0x84)
        connection.sendall(whole[:500_000])
        other = next(i for i, (_, _, body) in enumerate(server.asked) if body.startswith(b"b"))
        if server.asked[other][0] is not connection:
            server.answer(other)
            reply = second.read()
            assert reply is not None and reply.body == VOID
        connection.sendall(whole[500_000:])
        server.answer(next(i for i, a in enumerate(server.asked) if a[2].startswith(b"c")))
        reply = first.read()
        assert reply is not None and (reply.stream, len(reply.body)) == (1, 1_000_000)
        reply = first.read()
        assert reply is not None and (reply.stream, reply.body) == (2, VOID)


def test_a_reply_that_stops_in_the_middle_is_waited_for_no_longer_than_any_other(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    """A large one has begun to go to its client: that is closed, and what else waits there is answered with an error."""
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1, "read_timeout": 0.3})
    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as other:
        client.open()
        other.open()
        client.send(frame(QUERY, query("a"), 1))
        server.wait_for(1)
        connection, number, _ = server.asked[0]
        connection.sendall(frame(RESULT, b"x" * 1_000_000, number, 0x84)[:500_000])
        assert client._read(9) is not None
        other.send(frame(QUERY, query("b"), 2))
        assert client._read(1_000_000) is None
        reply = other.read()
        assert reply is not None and (reply.stream, reply.code) == (2, SERVER)


def test_every_number_of_a_client_under_way_at_once(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    """32,768 requests of one client; the server answers none before it has them all, and then the last one first."""
    count = 32_768
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1})
    with CqlClient(proxy.port, timeout=60) as client:
        client.open()
        asking = threading.Thread(
            target=lambda: [
                client.send(b"".join(frame(QUERY, query(f"q{n}"), n) for n in range(at, at + 1024)))
                for at in range(0, count, 1024)
            ]
        )
        asking.start()
        server.wait_for(count)
        asking.join(10)
        asked = list(server.asked)
        assert len({number for _, number, _ in asked}) == count
        assert sorted(body for *_, body in asked) == sorted(
            query(f"q{n}")[4:] for n in range(count)
        )
        answers = threading.Thread(
            target=lambda: [
                connection.sendall(frame(RESULT, VOID + body, number, 0x84))
                for connection, number, body in reversed(asked)
            ]
        )
        answers.start()
        for _ in range(count):
            reply = client.read()
            assert reply is not None and reply.body == VOID + query(f"q{reply.stream}")[4:]
        answers.join(10)


def test_garbage_from_the_server(
    server: Scripted, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(server.port, sink={"connection_count": 1})
    for garbage in (b"HTTP/1.1 400 Bad Request", struct.pack(">BBhBi", 0x84, 0, 0, RESULT, -1)):
        with CqlClient(proxy.port) as client:
            count = len(server.asked)
            reply = client.ask(STARTUP, string_map(CQL_VERSION="3.0.0"))
            assert reply.opcode == READY
            client.send(frame(QUERY, query("a"), 5))
            server.wait_for(count + 1)
            server.asked[count][0].sendall(garbage)
            reply_after = client.read()
            assert reply_after is not None and (reply_after.code, reply_after.stream) == (SERVER, 5)
