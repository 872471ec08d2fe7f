"""Big requests, streamed: whatever happens in the middle of one, it costs its own client alone, and nothing is left."""

from __future__ import annotations

import random
import socket
import threading
import time

import pytest
from support.chaos import DOWN, Link
from support.resp import RawClient, encode
from support.wait import can_connect, wait_until, wait_until_equal, wait_until_still

from chain.bench import Bench, sink

KIB, MIB = 1 << 10, 1 << 20
STREAM_MIN = 64 * KIB
POLLERS = pytest.mark.parametrize(
    "poller", ["epoll", "auto"]
)  # auto: io_uring where the kernel allows it
BIG = bytes(range(256)) * 1200  # 300 KiB


def received(bench: Bench) -> int:
    return int(bench.sample("shotover_client_bytes_received_count"))


def streamed(bench: Bench) -> int:
    return int(bench.sample("shotover_streamed_requests_count"))


def leases(bench: Bench) -> int:
    return int(bench.sample("shotover_leases"))


def send_part(bench: Bench, client: RawClient, raw: bytes) -> None:
    """Sends, and waits until the proxy has read it: what follows is another read."""
    before = received(bench)
    client.send(raw)
    wait_until_equal(lambda: received(bench) - before, len(raw), "bytes read by the proxy")


def half_sent(bench: Bench, wire: bytes = encode("SET", "big", BIG)) -> tuple[RawClient, bytes]:
    """A client in the middle of an upload that the server has on a lease, and what is still to be sent."""
    client = bench.client()
    before = streamed(bench)
    send_part(bench, client, wire[: len(wire) // 2])
    wait_until_equal(lambda: streamed(bench) - before, 1, "uploads begun")
    return client, wire[len(wire) // 2 :]


@POLLERS
def test_cut_anywhere_in_its_head(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    wire = encode("SET", "key", BIG)
    client = bench.client()
    for cut in [*range(1, 48), len(wire) - 3, len(wire) - 2, len(wire) - 1]:
        send_part(bench, client, wire[:cut])
        client.send(wire[cut:] + encode("STRLEN", "key") + encode("DEL", "key"))
        assert client.frames(3) == [b"+OK\r\n", b":%d\r\n" % len(BIG), b":1\r\n"], cut
    assert streamed(bench) > 0


@POLLERS
def test_several_big_words_cut_anywhere(run, start_server, poller) -> None:
    """MSET of words big and small, of which the second length line is cut at each of its bytes."""
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    words = ["a", BIG, "b", BIG[:100_000], "c", b"", "d", BIG]
    wire = encode("MSET", *words)
    second = len(encode("MSET", "a", BIG))
    client = bench.client()
    for cut in range(second - 4, second + 30):
        send_part(bench, client, wire[:100_000])
        send_part(bench, client, wire[100_000:cut])
        client.send(wire[cut:] + encode("MGET", "a", "b", "c", "d"))
        assert client.frame() == b"+OK\r\n", cut
        assert client.value() == [words[1], words[3], words[5], words[7]], cut
    assert streamed(bench) == 34


@POLLERS
@pytest.mark.parametrize("connection", ["shared", "per_client"])
def test_pipelines_of_big_and_small(run, start_server, poller, connection) -> None:
    server = start_server()
    bench = run(sink(server.port, connection=connection), poller=poller)
    chance = random.Random(7)
    size_of = [chance.choice([10, 1000, 70_000, 300_000, 1_500_000]) for _ in range(40)]

    def play(client: RawClient, name: str) -> None:
        wire = b"".join(
            encode("SET", f"{name}-{index}", BIG[:1] * size) + encode("STRLEN", f"{name}-{index}")
            for index, size in enumerate(size_of)
        )
        sender = threading.Thread(target=client.send, args=(wire,))
        sender.start()
        try:
            for size in size_of:
                assert client.frames(2) == [b"+OK\r\n", b":%d\r\n" % size]
        except AssertionError as error:
            failures.append(error)
        sender.join()

    failures: list[AssertionError] = []
    threads = [threading.Thread(target=play, args=(bench.client(), f"c{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert streamed(bench) > 0


@POLLERS
def test_a_slow_upload_holds_up_nobody(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port, read_timeout=1), poller=poller)
    client, rest = half_sent(bench)
    neighbour = bench.client()
    end = time.monotonic() + 2
    while time.monotonic() < end:  # longer than read_timeout: it is not the server that is slow
        assert neighbour.command("INCR", "n").startswith(b":")
    assert leases(bench) == 1
    client.send(rest)
    assert client.frame() == b"+OK\r\n"
    wait_until_equal(lambda: leases(bench), 0, "leases")
    assert server.client().get("big") == BIG


@POLLERS
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves(run, start_server, poller, how) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    neighbour = bench.client()
    for _ in range(5):
        client, _ = half_sent(bench)
        getattr(client, how)()
        assert neighbour.command("INCR", "n").startswith(b":")
    wait_until_equal(lambda: leases(bench), 0, "leases")
    wait_until_equal(lambda: bench.worker.census()["uploads"], 0, "uploads")
    assert neighbour.command("EXISTS", "big") == b":0\r\n"


@POLLERS
def test_a_client_that_finishes_in_the_middle(run, start_server, poller) -> None:
    """What came before is answered, then the cut request, then the connection ends."""
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    client = bench.client()
    client.command("SET", "a", "1")
    client.send(encode("GET", "a") + encode("SET", "big", BIG)[:200_000])
    wait_until_equal(lambda: streamed(bench), 1, "uploads begun")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b"$1\r\n1\r\n-ERR shotover: the request was cut short\r\n"


@POLLERS
def test_a_connection_lost_in_the_middle(run, start_server, start_link, poller) -> None:
    """The client gets its error, may send the rest in peace, and goes on."""
    server = start_server()
    link: Link = start_link(server.port)
    bench = run(sink(link.port), poller=poller)
    client, rest = half_sent(bench)
    wait_until(lambda: link.passed[DOWN] > 100_000, "half of it has reached the server")
    link.reset()
    assert client.frame().startswith(b"-ERR shotover: upstream connection lost")
    client.send(rest + encode("SET", "small", "1"))
    assert client.frame() == b"+OK\r\n"
    assert server.client().exists("big") == 0


@POLLERS
def test_a_server_that_is_away(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    server.stop()
    client = bench.client()
    for _ in range(3):
        client.send(encode("SET", "big", BIG) + encode("PING"))
        assert [frame[:14] for frame in client.frames(2)] == [b"-ERR shotover:"] * 2


@POLLERS
def test_a_server_that_does_not_read_is_felt_by_its_client_alone(
    run, start_server, start_link, poller
) -> None:
    server = start_server()
    link: Link = start_link(server.port)
    bench = run(sink(link.port), poller=poller)
    neighbour = bench.client()
    neighbour.command("SET", "a", "1")
    size = 64 * MIB
    client = bench.client()
    wire = encode("SET", "big", b"x" * size)
    client.send(wire[:100_000])
    wait_until(lambda: link.passed[DOWN] > 90_000, "the upload has begun")
    link.stall(DOWN)
    sender = threading.Thread(target=client.send, args=(wire[100_000:],))
    sender.start()

    def read_so_far() -> int:
        assert bench.sample("shotover_memory_bytes") < 2 * MIB
        return received(bench)

    assert wait_until_still(read_so_far, "the client is not read any more") < size
    link.resume()
    client.deadline_s = 60
    assert client.frame() == b"+OK\r\n"
    sender.join()
    assert neighbour.command("STRLEN", "big") == b":%d\r\n" % size


class Hasty:
    """A server that answers each connection before it has read all of it, and then goes on reading."""

    def __init__(self, answer: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(1000)
                connection.sendall(self.answer)
                while connection.recv(65536):
                    pass
            except OSError:
                pass

    def close(self) -> None:
        self.listener.close()


@POLLERS
def test_a_reply_that_comes_too_early(run, poller) -> None:
    """It is passed on, and the connection, on which half a request was sent, serves nobody else."""
    server = Hasty(b"-OOM not today\r\n")
    bench = run(sink(server.port), poller=poller)
    client, rest = half_sent(bench)
    assert client.frame() == b"-OOM not today\r\n"
    client.send(rest + encode("GET", "a"))
    assert client.frame() == b"-OOM not today\r\n"  # of another connection
    server.close()


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        (b"$x\r\n", b"Protocol error: invalid bulk length"),
        (b"$-1\r\n", b"Protocol error: invalid bulk length"),
        (b"$200001\r\n", b"Protocol error: invalid bulk length"),
        (b"$" + b"1" * 40, b"Protocol error: invalid bulk length"),
        (b":1\r\n", b"Protocol error: expected '$', got ':'"),
        (b"\r\n\r\n", b"Protocol error: expected '$', got ' '"),
        (
            b"$1\r\nb\r\n$200000\r\n" + b"y" * 200_000 + b"\r\n$1\r\nc\r\n$200000\r\n",
            b"Protocol error: request too large (shotover: max_frame_bytes)",
        ),
    ],
)
@POLLERS
def test_limits_and_lengths_hold_in_the_middle(run, start_server, poller, rest, error) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller, source={"max_frame_bytes": 200_000})
    neighbour = bench.client()
    client = bench.client()
    send_part(bench, client, b"*9\r\n$4\r\nMSET\r\n$1\r\na\r\n$200000\r\n" + b"x" * 100_000)
    client.send(b"x" * 100_000 + b"\r\n" + rest)
    assert client.rest() == b"-ERR " + error + b"\r\n"
    assert streamed(bench) == 1
    assert neighbour.command("EXISTS", "a") == b":0\r\n"
    wait_until_equal(lambda: leases(bench), 0, "leases")


@POLLERS
def test_in_transactions_and_silence(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    client, other = bench.client(), bench.client()
    client.send(encode("MULTI"))
    client.send(encode("SET", "big", BIG) + encode("STRLEN", "big") + encode("EXEC"))
    assert client.frames(4) == [
        b"+OK\r\n",
        b"+QUEUED\r\n",
        b"+QUEUED\r\n",
        b"*2\r\n+OK\r\n:%d\r\n" % len(BIG),
    ]
    other.send(
        encode("CLIENT", "REPLY", "SKIP")
        + encode("SET", "skipped", BIG)
        + encode("STRLEN", "skipped")
    )
    assert other.frame() == b":%d\r\n" % len(BIG)
    other.send(
        encode("CLIENT", "REPLY", "OFF")
        + encode("SET", "off", BIG)
        + encode("CLIENT", "REPLY", "ON")
    )
    assert other.frame() == b"+OK\r\n"
    assert other.command("STRLEN", "off") == b":%d\r\n" % len(BIG)
    assert streamed(bench) > 0


@POLLERS
def test_a_mute_upload_left_in_the_middle(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    client = bench.client()
    client.send(encode("CLIENT", "REPLY", "OFF") + encode("SET", "off", BIG)[:200_000])
    wait_until_equal(lambda: streamed(bench), 1, "uploads begun")
    client.close()
    wait_until_equal(lambda: leases(bench), 0, "leases")
    assert server.client().exists("off") == 0


@POLLERS
def test_without_leases_it_is_gathered(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port, max_leases=0), poller=poller)
    client = bench.client()
    send_part(bench, client, encode("SET", "big", BIG)[:100_000])
    client.send(encode("SET", "big", BIG)[100_000:] + encode("STRLEN", "big"))
    assert client.frames(2) == [b"+OK\r\n", b":%d\r\n" % len(BIG)]
    assert streamed(bench) == 0


@POLLERS
def test_the_last_lease_is_left_to_those_who_cannot_do_without(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port, max_leases=2), poller=poller)
    first, rest = half_sent(bench)
    wait_until_equal(lambda: leases(bench), 1, "leases")
    second = bench.client()
    send_part(bench, second, encode("SET", "other", BIG)[:100_000])
    second.send(encode("SET", "other", BIG)[100_000:])
    assert second.frame() == b"+OK\r\n"
    assert bench.client().command("MULTI") == b"+OK\r\n"
    first.send(rest)
    assert first.frame() == b"+OK\r\n"
    assert streamed(bench) == 1


def test_steps_that_look_on_leave_it_streamed(run, start_server) -> None:
    server = start_server()
    throttling = {"RequestThrottling": {"max_requests_per_second": 1000}}
    bench = run({"QueryCounter": {"name": "q"}}, throttling, sink(server.port))
    client, rest = half_sent(bench)
    client.send(rest)
    assert client.frame() == b"+OK\r\n"
    assert bench.sample("shotover_query_count", query="SET") == 1
    assert server.client().get("big") == BIG


@POLLERS
def test_a_step_that_refuses_it(run, start_server, poller) -> None:
    """The refusal comes at once; the rest is swallowed and nothing of it reaches the server."""
    server = start_server()
    bench = run({"QueryTypeFilter": {"DenyList": ["Write"]}}, sink(server.port), poller=poller)
    client, rest = half_sent(bench)
    assert client.frame().startswith(b"-ERR")
    client.send(rest + encode("EXISTS", "big"))
    assert client.frame() == b":0\r\n"


@pytest.mark.parametrize(
    "step", ["DebugPrinter", {"Coalesce": {"flush_when_buffered_message_count": 1}}]
)
def test_steps_that_need_the_body_have_it_gathered(run, start_server, step) -> None:
    server = start_server()
    bench = run(step, sink(server.port))
    client = bench.client()
    send_part(bench, client, encode("SET", "big", BIG)[:100_000])
    client.send(encode("SET", "big", BIG)[100_000:])
    assert client.frame() == b"+OK\r\n"
    assert streamed(bench) == 0
    assert server.client().get("big") == BIG


@POLLERS
def test_an_upload_may_end_while_the_worker_drains(run, start_server, poller) -> None:
    server = start_server()
    bench = run(sink(server.port), poller=poller)
    client, rest = half_sent(bench)
    bench.worker.drain(8000)
    wait_until(lambda: not can_connect(bench.port), "the worker drains")
    client.send(rest + encode("PING"))
    assert client.frame() == b"+OK\r\n"
    bench.thread.join(8)
    assert not bench.thread.is_alive(), "it waits for more than that"
    assert not client.buffer
    assert server.client().get("big") == BIG


def test_an_upload_that_stands_still_is_idle(run, start_server) -> None:
    server = start_server()
    bench = run(sink(server.port), source={"timeout": 1})
    client, _ = half_sent(bench)
    assert client.rest() == b""
    wait_until_equal(lambda: leases(bench), 0, "leases")


def storm(bench: Bench, name: str, seed: int) -> None:
    """One client after the other, each with keys of its own: pipelines cut anywhere, and leaving in the middle."""
    chance = random.Random(seed)
    for turn in range(12):
        client = bench.client()
        wire, expected = b"", []
        for index in range(chance.randint(1, 6)):
            key, value = (
                f"{name}-{turn}-{index}",
                BIG[:1] * chance.choice([5, 60_000, 66_000, 250_000, 900_000]),
            )
            wire += encode("SET", key, value)
            expected.append(b"+OK\r\n")
            if chance.random() < 0.3:
                wire += encode("MULTI") + encode("APPEND", key, BIG) + encode("EXEC")
                expected += [b"+OK\r\n", b"+QUEUED\r\n", b"*1\r\n:%d\r\n" % (len(value) + len(BIG))]
            elif chance.random() < 0.5:
                wire += encode("MSET", key, value, f"{key}-2", value) + encode("STRLEN", f"{key}-2")
                expected += [b"+OK\r\n", b":%d\r\n" % len(value)]
        leaves = chance.random() < 0.3
        stop = chance.randrange(len(wire)) if leaves else len(wire)
        at = 0
        while at < stop:
            step = min(chance.choice([1, 100, 5000, 70_000, 400_000]), stop - at)
            client.send(wire[at : at + step])
            at += step
        if leaves:
            chance.choice([client.close, client.reset])()
        else:
            assert client.frames(len(expected)) == expected, (seed, turn)


@POLLERS
@pytest.mark.parametrize("options", [{}, {"connection_count": 3}, {"connection": "per_client"}])
def test_a_storm(run, start_server, poller, options) -> None:
    server = start_server()
    bench = run(sink(server.port, **options), poller=poller)
    failures: list[AssertionError | OSError] = []

    def play(number: int) -> None:
        try:
            storm(bench, f"c{number}", number)
        except (AssertionError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=play, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert streamed(bench) > 20
