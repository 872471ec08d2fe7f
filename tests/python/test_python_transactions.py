"""Transactions of which a transform refuses a command are not carried out without it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import redis
from support.inprocess import Served, inline, sink
from support.resp import encode
from support.wait import wait_until

from shotover import Transform

REFUSED = b"-ERR no\r\n"
ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
OK, QUEUED = b"+OK\r\n", b"+QUEUED\r\n"


class RefuseBad(Transform):
    def on_request(self, request: Any) -> None:
        if request.key == b"bad":
            request.refuse("no")


class RefuseBadBatch(Transform):
    def on_requests(self, batch: list[Any]) -> None:
        for request in batch:
            if request.key == b"bad":
                request.refuse("no")


class RefuseBadSlowly(Transform):
    async def on_request(self, request: Any) -> None:
        if request.key == b"bad":
            await asyncio.sleep(0.01)
            request.refuse("no")


class RefuseFromAThread(Transform):
    def on_request(self, request: Any) -> None:
        if request.key == b"bad":
            threading.Thread(target=request.hold().refuse, args=("no",)).start()


class RefuseNamed(RefuseBad):
    commands = ("SET",)


class RefuseWithReplies(RefuseBad):
    def on_reply(self, request: Any, reply: Any) -> None:
        assert reply.raw


KINDS = [
    RefuseBad,
    RefuseBadBatch,
    RefuseBadSlowly,
    RefuseFromAThread,
    RefuseNamed,
    RefuseWithReplies,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pipelined", [True, False])
def test_it_is_discarded_whole_and_the_next_one_is_not(
    serve: Any, direct: redis.Redis, kind: type, pipelined: bool
) -> None:
    client = serve(kind).raw()
    sound = [("MULTI",), ("SET", "c", "1"), ("EXEC",)]
    words = [
        ("MULTI",),
        ("SET", "a", "1"),
        ("SET", "bad", "1"),
        ("SET", "b", "1"),
        ("EXEC",),
        *sound,
        ("GET", "a"),
    ]
    if pipelined:
        client.send(b"".join(encode(*each) for each in words))
        replies = [client.frame() for _ in words]
    else:
        replies = [client.command(*each) for each in words]
    assert replies == [
        OK,
        QUEUED,
        REFUSED,
        QUEUED,
        ABORTED,
        OK,
        QUEUED,
        b"*1\r\n+OK\r\n",
        b"$-1\r\n",
    ]
    assert direct.keys() == [b"c"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_in_a_second_transaction_leaves_the_first(
    serve: Any, direct: redis.Redis, kind: type
) -> None:
    client = serve(kind).raw()
    words = [("MULTI",), ("SET", "a", "1"), ("EXEC",), ("MULTI",), ("SET", "bad", "1"), ("EXEC",)]
    client.send(b"".join(encode(*each) for each in words))
    assert [client.frame() for _ in words] == [OK, QUEUED, b"*1\r\n+OK\r\n", OK, REFUSED, ABORTED]
    assert direct.keys() == [b"a"]


@pytest.mark.parametrize("ending", ["DISCARD", "RESET"])
def test_a_transaction_given_up_is_forgotten(serve: Any, ending: str) -> None:
    client = serve(RefuseBad).raw()
    for words, reply in [
        (("MULTI",), OK),
        (("SET", "bad", "1"), REFUSED),
        ((ending,), None),
        (("MULTI",), OK),
        (("SET", "a", "1"), QUEUED),
        (("EXEC",), b"*1\r\n+OK\r\n"),
    ]:
        assert client.command(*words) == reply or reply is None


def test_a_hook_that_raises_breaks_a_transaction_too(serve: Any, direct: redis.Redis) -> None:
    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            if request.key == b"bad":
                raise ValueError

    served = serve(Fail)
    served.allow_log("Python transform py failed")
    client = served.raw()
    assert [
        client.command(*words)
        for words in (("MULTI",), ("SET", "a", "1"), ("GET", "bad"), ("EXEC",))
    ] == [OK, QUEUED, b"-ERR shotover: transform py failed: ValueError\r\n", ABORTED]
    assert direct.keys() == []


def test_exec_without_multi_says_so_though_multi_was_refused(serve: Any) -> None:
    class RefuseMulti(Transform):
        def on_request(self, request: Any) -> None:
            if request.command == b"MULTI":
                request.refuse("no")

    client = serve(RefuseMulti).raw()
    assert client.command("MULTI") == REFUSED
    assert client.command("EXEC") == b"-ERR EXEC without MULTI\r\n"


def test_a_request_knows_that_it_is_in_a_transaction(serve: Any) -> None:
    seen = []

    class Look(Transform):
        def on_request(self, request: Any) -> None:
            seen.append((request.command, request.in_transaction))

    client = serve(Look).raw()
    words = ["PING", "MULTI", "PING", "MULTI", "PING", "EXEC", "PING", "MULTI", "DISCARD", "PING"]
    client.send(b"".join(map(encode, words)))
    for _ in words:
        client.frame()
    inside = [False, False, True, False, True, False, False, False, False, False]
    assert seen == [
        (word.encode(), is_inside) for word, is_inside in zip(words, inside, strict=True)
    ]


def test_clients_that_leave_amid_transactions_leave_nothing(serve: Any) -> None:
    served = serve(RefuseBad)
    for _ in range(5):
        client = served.raw()
        assert client.command("MULTI") == OK
        assert client.command("SET", "bad", "1") == REFUSED
        client.close()
    wait_until(lambda: served.left()["sessions"] == 0, "they have gone")
    client = served.raw()
    assert client.command("MULTI") == OK
    assert client.command("EXEC") == b"*0\r\n"


def test_a_held_request_can_be_sent_into_a_named_chain_from_a_thread(
    server: Any, second: Any, direct: redis.Redis
) -> None:
    direct.flushall()
    problems: list[str] = []

    class Send(Transform):
        def on_request(self, request: Any) -> None:
            if request.key is not None:
                threading.Thread(target=self.later, args=(request.hold(),)).start()

        def later(self, held: Any) -> None:
            try:
                held.send("c")
            except ValueError as error:
                problems.append(str(error))
            assert held.send("b")
            assert held.done
            assert not held.send("b")

    served = Served([inline(Send, chains={"b": [sink(second.port, "sink-b")]}), sink(server.port)])
    try:
        client = served.raw()
        assert client.command("SET", "k", "v") == OK
        assert client.command("PING") == b"+PONG\r\n"
    finally:
        served.end()
    assert problems == ["transform py has no chain 'c' (b)"]
    assert (direct.keys(), second.client().keys()) == ([], [b"k"])
