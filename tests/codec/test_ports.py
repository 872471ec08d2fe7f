"""Ports of a cluster's nodes, replaced in replies: every form of every reply, in RESP2 and RESP3."""

from __future__ import annotations

from typing import Any

import pytest
from support.native import load
from support.resp import Error, parse

SLOTS, NODES, LINES, SHARDS, ERRORS = range(5)  # resp_ports.pxd
PORT = 12345


def replaced(form: int, reply: bytes, port: int = PORT) -> bytes | None:
    return load("codec_probe").new_ports(form, reply, port)


def bulk(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def array(*frames: bytes, sign: bytes = b"*") -> bytes:
    count = len(frames) // 2 if sign == b"%" else len(frames)
    return sign + b"%d\r\n" % count + b"".join(frames)


def integer(number: int) -> bytes:
    return b":%d\r\n" % number


def node_line(address: str) -> str:
    return f"{'a' * 40} {address} master - 0 1700000000000 3 connected 0-5460\n"


LINE_CASES = {  # address field before, after
    "127.0.0.1:6379@16379": f"127.0.0.1:{PORT}@16379",
    "127.0.0.1:6379@16379,host.example": f"127.0.0.1:{PORT}@16379,host.example",
    "10.0.0.1:1@10001,,shard-id=69bc": f"10.0.0.1:{PORT}@10001,,shard-id=69bc",
    "::1:6379@16379": f"::1:{PORT}@16379",
    "2001:db8::7:6379@16379,h": f"2001:db8::7:{PORT}@16379,h",
    "redis-1.example:6379@16379": f"redis-1.example:{PORT}@16379",
    ":6379@16379": f":{PORT}@16379",
    ":0@0": ":0@0",
    "127.0.0.1:6379": f"127.0.0.1:{PORT}",
    "127.0.0.1:6379@16379,,tls-port=6380,tcp-port=6379": (
        f"127.0.0.1:{PORT}@16379,,tls-port={PORT},tcp-port={PORT}"
    ),
    "127.0.0.1@16379": "127.0.0.1@16379",
    "nothing": "nothing",
}


@pytest.mark.parametrize("before", LINE_CASES)
@pytest.mark.parametrize("sign", ["$", "="])
def test_a_line_of_nodes(before: str, sign: str) -> None:
    prefix = "txt:" if sign == "=" else ""
    text = prefix + node_line(before) + node_line("1.2.3.4:7000@17000")
    expected = prefix + node_line(LINE_CASES[before]) + node_line(f"1.2.3.4:{PORT}@17000")
    reply = replaced(NODES, sign.encode() + bulk(text)[1:])
    assert reply == sign.encode() + bulk(expected)[1:]


@pytest.mark.parametrize("port", [1, 99, 65535])
def test_the_length_of_the_text_follows(port: int) -> None:
    text = "".join(node_line(f"127.0.0.1:{each}@1{each}") for each in range(6995, 7005))
    expected = "".join(node_line(f"127.0.0.1:{port}@1{each}") for each in range(6995, 7005))
    assert replaced(NODES, bulk(text), port) == bulk(expected)


def test_every_line_of_a_list() -> None:
    lines = [node_line(f"127.0.0.1:{each}@1{each}").rstrip() for each in (7001, 7002, 7003)]
    expected = [line.replace(line[51:55], str(PORT), 1) for line in lines]
    reply = replaced(LINES, array(*map(bulk, lines)))
    assert reply is not None
    assert parse(reply) == [line.encode() for line in expected]
    assert replaced(LINES, array()) == array()


@pytest.mark.parametrize("meta", [array(), array(bulk("hostname"), bulk("h"), sign=b"%")])
@pytest.mark.parametrize("host", [bulk("127.0.0.1"), bulk("::1"), bulk(""), b"$-1\r\n", b"_\r\n"])
def test_slots(host: bytes, meta: bytes) -> None:
    def reply(first: int, second: int) -> bytes:
        nodes = [array(host, integer(each), bulk("id"), meta) for each in (first, second)]
        return array(array(integer(0), integer(5460), *nodes), array(integer(1), integer(2)))

    assert replaced(SLOTS, reply(6379, 7)) == reply(PORT, PORT)


@pytest.mark.parametrize("sign", [b"*", b"%"])
def test_shards(sign: bytes) -> None:
    def node(*ports: tuple[str, int]) -> bytes:
        pairs = [each for name, port in ports for each in (bulk(name), integer(port))]
        others = [bulk("id"), bulk("port"), bulk("ip"), bulk("127.0.0.1")]
        return array(*others, *pairs, bulk("replication-offset"), integer(6379), sign=sign)

    def reply(*ports: int) -> bytes:
        nodes = array(node(("port", ports[0])), node(("tls-port", ports[1]), ("port", ports[2])))
        slots = array(integer(0), integer(5460))
        return array(array(bulk("slots"), slots, bulk("nodes"), nodes, sign=sign))

    assert replaced(SHARDS, reply(6379, 6380, 6381)) == reply(PORT, PORT, PORT)


ERROR_CASES = {
    "MOVED 3999 127.0.0.1:6381": f"MOVED 3999 127.0.0.1:{PORT}",
    "ASK 3999 127.0.0.1:6381": f"ASK 3999 127.0.0.1:{PORT}",
    "MOVED 3999 2001:db8::1:6381": f"MOVED 3999 2001:db8::1:{PORT}",
    "MOVED 3999 host.example:6381": f"MOVED 3999 host.example:{PORT}",
    "MOVED 3999 :6381": f"MOVED 3999 :{PORT}",
    "ERR MOVED 3999 127.0.0.1:6381": "ERR MOVED 3999 127.0.0.1:6381",
    "MOVED nowhere": "MOVED nowhere",
    "NOAUTH Authentication required.": "NOAUTH Authentication required.",
}


@pytest.mark.parametrize("before", ERROR_CASES)
def test_errors_among_other_replies(before: str) -> None:
    def reply(error: str) -> bytes:
        return b"+OK\r\n-%b\r\n" % error.encode() + bulk("-MOVED 1 h:1\r\n") + b"-ERR no\r\n"

    assert replaced(ERRORS, reply(before)) == reply(ERROR_CASES[before])


NO_FORM = (b"-NOAUTH Authentication required.\r\n", b"+QUEUED\r\n", b":1\r\n", b"*1\r\n:1\r\n")


@pytest.mark.parametrize("form", [SLOTS, NODES, SHARDS])
@pytest.mark.parametrize("reply", NO_FORM)
def test_other_replies_are_left_alone(form: int, reply: bytes) -> None:
    assert replaced(form, reply) is None


def test_no_byte_beyond_a_reply_that_is_cut() -> None:
    whole: dict[int, Any] = {
        SLOTS: array(array(integer(0), integer(9), array(bulk("h"), integer(1), bulk("id")))),
        NODES: bulk(node_line("127.0.0.1:6379@16379")),
        LINES: array(bulk(node_line("127.0.0.1:6379@16379"))),
        SHARDS: array(array(bulk("nodes"), array(array(bulk("port"), integer(1))))),
        ERRORS: b"-MOVED 1 h:1\r\n",
    }
    for form, reply in whole.items():
        assert replaced(form, reply) is not None
        for size in range(1, len(reply)):
            assert replaced(form, reply[:size]) is None
    assert isinstance(parse(replaced(ERRORS, whole[ERRORS]) or b""), Error)
