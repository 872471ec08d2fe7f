"""The generator's CQL, before the scripted server and before servers that do wrong; and the suite as a user runs it."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from shotover.benchmark.cli import main
from shotover.benchmark.cql import (
    CommandMaker,
    CqlGenerator,
    answers_cql,
    batch_command,
    query_command,
    read_command,
    write_command,
)
from shotover.benchmark.cql_wire import (
    EXECUTE,
    HEAD_BYTES,
    IS_REPLY,
    PREPARE,
    STARTUP,
    Conversation,
    CqlError,
    crc24,
    frame,
    query,
    segment,
)
from shotover.benchmark.generator import KEY
from shotover.benchmark.processes import HOST, Address, free_port, start
from shotover.benchmark.scripted import answers_of

MAKERS = [read_command, query_command, write_command, batch_command]
ROW = 4  # its place in what answers_of returns


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    address = (HOST, free_port())
    command = [sys.executable, "-m", "shotover.benchmark.scripted", f"{HOST}:{address[1]}"]
    running = start("scripted", command, address, tmp_path_factory.mktemp("cql"), answers_cql)
    yield address
    running.stop()


# ---- the scripted server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_request_is_answered_once_with_what_it_asked_for(
    scripted: Address, version: int, maker: CommandMaker
) -> None:
    with CqlGenerator(
        scripted, makers=(maker,), clients=7, pipeline=33, version=version
    ) as generator:
        result = generator.run(30, requests=20_000)
    assert (result.issued, result.replies, result.latency.total) == (20_000, 20_000, 20_000)
    assert result.complaint() == ""


def test_an_open_loop_numbers_as_many_requests_as_are_under_way(scripted: Address) -> None:
    with CqlGenerator(scripted, clients=2, rate=5_000.0, version=5) as generator:
        result = generator.run(0.4)
    assert result.complaint() == ""
    assert result.issued > 500


def test_a_segment_that_is_full_is_followed_by_another(scripted: Address) -> None:
    """2,000 batches of 10 values go out in one write."""
    with CqlGenerator(
        scripted, makers=(batch_command,), clients=1, pipeline=2_000, version=5, value_bytes=64
    ) as generator:
        result = generator.run(30, requests=8_000)
    assert (result.replies, result.complaint()) == (8_000, "")


def test_a_driver_takes_the_scripted_server_for_a_cluster_of_one(scripted: Address) -> None:
    cluster = pytest.importorskip("cassandra.cluster")
    policies = pytest.importorskip("cassandra.policies")
    profile = cluster.ExecutionProfile(
        load_balancing_policy=policies.WhiteListRoundRobinPolicy([HOST])
    )
    with cluster.Cluster(
        [HOST],
        port=scripted[1],
        protocol_version=4,
        schema_metadata_enabled=False,
        execution_profiles={cluster.EXEC_PROFILE_DEFAULT: profile},
    ) as driver:
        session = driver.connect()
        read = session.prepare("SELECT value FROM bench.rows WHERE key = ?")
        key = KEY % 77
        [row] = session.execute(read, [key.decode()])
        assert row.value.startswith(key) and len(row.value) == 64


def test_what_is_no_cql_ends_the_connection(scripted: Address) -> None:
    with closing(socket.create_connection(scripted, timeout=5)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100) == b""


def test_a_statement_that_it_does_not_know_is_refused(scripted: Address) -> None:
    with closing(socket.create_connection(scripted, timeout=5)) as sock:
        conversation = Conversation(sock, 4)
        conversation.begin()
        with pytest.raises(CqlError, match="knows no such request"):
            conversation.ask(frame(4, EXECUTE, struct.pack(">H", 16) + b"x" * 16 + b"\0\1\0"))
        conversation.query("SELECT value FROM bench.rows WHERE key = 'a'")


def test_a_version_that_it_has_not_is_refused_and_another_may_be_tried(scripted: Address) -> None:
    with closing(socket.create_connection(scripted, timeout=5)) as sock:
        with pytest.raises(CqlError, match="unsupported protocol version"):
            Conversation(sock, 66).begin()
        Conversation(sock, 4).begin()


def test_a_segment_with_a_wrong_sum_ends_the_connection(scripted: Address) -> None:
    with closing(socket.create_connection(scripted, timeout=5)) as sock:
        Conversation(sock, 5).begin()
        wrong = bytearray(segment(query(5, "SELECT value FROM bench.rows")))
        wrong[-1] ^= 1
        sock.sendall(wrong)
        assert sock.recv(100) == b""


def test_the_sum_of_a_header_is_the_protocols() -> None:
    """What a driver writes before an empty payload that is whole."""
    segments = pytest.importorskip("cassandra.segment")
    head = bytes((0, 0, 2))
    assert crc24(head) == segments.compute_crc24(int.from_bytes(head, "little"), 3)


# ---- servers that do wrong ----------------------------------------------------------------------------------------------


@contextmanager
def wrong_server(spoil: Callable[[bytes, int], bytes], prepares: bool = True) -> Iterator[Address]:
    """Answers like the scripted one in version 4, but its answers to EXECUTE go through `spoil(answer, number of it)`."""
    listener = socket.create_server((HOST, 0))
    answers = [answer for answer, _ in answers_of(4, 0)]

    def serve(sock: socket.socket) -> None:
        count = 0
        with closing(sock), suppress(OSError), sock.makefile("rb") as stream:
            while head := stream.read(HEAD_BYTES):
                body = stream.read(int.from_bytes(head[5:], "big"))
                answer = bytearray(
                    answers[{STARTUP: 0, PREPARE: 2 if prepares else 0}.get(head[4], ROW)]
                )
                answer[2:4] = head[2:4]
                if head[4] == EXECUTE:
                    at = body.index(b"key:")
                    answer[-64:-48] = body[at : at + 16]
                    count += 1
                    answer = bytearray(spoil(bytes(answer), count))
                sock.sendall(answer)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def another_key(answer: bytes, number: int) -> bytes:
    return answer[:-64] + KEY % 999_999 + answer[-48:] if number == 5 else answer


def no_rows(answer: bytes, number: int) -> bytes:
    body = struct.pack(">iiii", 2, 4, 1, 0)
    return answer[:5] + struct.pack(">i", len(body)) + body if number == 5 else answer


def an_error(answer: bytes, number: int) -> bytes:
    text = b"\0\0\x10\x01\0\4busy"
    return answer[:4] + b"\0" + struct.pack(">i", len(text)) + text if number == 5 else answer


def another_kind(answer: bytes, number: int) -> bytes:
    body = struct.pack(">i", 1)
    return answer[:5] + struct.pack(">i", len(body)) + body if number == 5 else answer


def shorter(answer: bytes, number: int) -> bytes:
    return (
        answer[:5] + struct.pack(">i", len(answer) - 10) + answer[9:-1] if number == 5 else answer
    )


def with_warnings(answer: bytes, number: int) -> bytes:
    """Which are no mistake."""
    told = b"\0\1\0\4slow" + answer[9:]
    return answer[:1] + b"\x08" + answer[2:5] + struct.pack(">i", len(told)) + told


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (another_key, "1 wrong"),
        (another_kind, "1 wrong"),
        (shorter, "1 wrong"),
        (no_rows, "1 nils"),
        (an_error, "1 errors (busy)"),
        (with_warnings, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_answer_that_is_not_the_one_asked_for_is_counted(
    spoil: Callable[[bytes, int], bytes], complaint: str
) -> None:
    with (
        wrong_server(spoil) as address,
        CqlGenerator(address, clients=1, pipeline=4, key_count=1_000) as generator,
    ):
        result = generator.run(30, requests=20)
    assert (result.replies, result.complaint()) == (20, complaint)


def test_keys_in_order_are_asked_for_one_after_the_other() -> None:
    seen: list[bytes] = []

    def noted(answer: bytes, number: int) -> bytes:
        seen.append(answer[-64:-48])
        return answer

    with (
        wrong_server(noted) as address,
        CqlGenerator(address, clients=1, pipeline=4, key_count=20, sequential=True) as generator,
    ):
        result = generator.run(30, requests=25)
    assert result.complaint() == ""
    assert seen == [KEY % (number % 20) for number in range(25)]


def another_number(answer: bytes, number: int) -> bytes:
    return answer[:2] + b"\x70\x00" + answer[4:] if number == 5 else answer


def twice(answer: bytes, number: int) -> bytes:
    return answer * 2 if number == 20 else answer


def another_version(answer: bytes, number: int) -> bytes:
    return bytes((IS_REPLY | 3,)) + answer[1:] if number == 5 else answer


@pytest.mark.parametrize("spoil", [another_number, another_version, twice])
def test_an_answer_to_nothing_that_was_asked_ends_the_connection(
    spoil: Callable[[bytes, int], bytes],
) -> None:
    with (
        wrong_server(spoil) as address,
        CqlGenerator(address, clients=1, pipeline=4, key_count=1_000) as generator,
    ):
        result = generator.run(30, requests=30)
    assert (result.wrong, result.closed) == (1, 1)
    assert result.lost == result.issued - result.replies > 0


def test_a_server_that_does_not_prepare_is_an_error() -> None:
    with (
        wrong_server(lambda answer, number: answer, prepares=False) as address,
        pytest.raises(CqlError, match="PREPARE was answered with opcode 2"),
        CqlGenerator(address, clients=1),
    ):
        pass


# ---- the suite ----------------------------------------------------------------------------------------------------------


def test_the_suite_measures_the_proxy_beside_the_server_alone(tmp_path: Path) -> None:
    asked = "run --suite cassandra --cases x32-execute-v5,x32-batch --targets direct,shotover"
    asked += f" --rounds 1 --seconds 0.1 --json {tmp_path}/out.json"
    done = CliRunner().invoke(main, asked.split())
    assert done.exit_code == 0, done.output
    assert "EXECUTE" not in done.stdout.partition("[x32-batch]")[2]
    assert done.stdout.count("\n  direct ") == done.stdout.count("\n  shotover ") == 2
    assert "note:" not in done.stdout, done.stdout
    assert "scripted, answers at once" in done.stdout


def test_cases_are_those_of_the_suite() -> None:
    listed = CliRunner().invoke(main, ["cases", "--suite", "cassandra"]).stdout
    assert "x32-execute" in listed and "c50-get" not in listed
    refused = CliRunner().invoke(main, ["run", "--cases", "x32-execute"])
    assert refused.exit_code == 2 and "no case is called 'x32-execute'" in refused.stderr


@pytest.mark.parametrize("text", ["nowhere", "host:", ":9042", "a:b"])
def test_a_node_that_is_no_address_is_refused(text: str) -> None:
    refused = CliRunner().invoke(main, ["run", "--suite", "cassandra", "--node", text])
    assert refused.exit_code == 2
    assert "expected HOST:PORT" in refused.stderr
