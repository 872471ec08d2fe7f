"""Requests that are held, and decided later, from any thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
from support.resp import encode
from support.wait import wait_until, wait_until_equal

from shotover import HeldLimit, RequestGone, Transform

DECISIONS = {
    "release": (lambda held: held.release(), b"+OK\r\n"),
    "answer": (lambda held: held.answer([1, None]), b"*2\r\n:1\r\n$-1\r\n"),
    "raw answer": (lambda held: held.answer(reply_raw=b"+mine\r\n"), b"+mine\r\n"),
    "refuse": (lambda held: held.refuse("no", "DENIED"), b"-DENIED no\r\n"),
}


class Keeper(Transform):
    """Holds what is about keys that begin with `slow`."""

    def __init__(self, config: Any) -> None:
        self.held: dict[bytes, Any] = {}
        self.requests: dict[bytes, Any] = {}

    def on_request(self, request: Any) -> None:
        key = request.key or b""
        if key.startswith(b"slow"):
            self.held[key] = request.hold()
            self.requests[key] = request


def from_another_thread(call: Any) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(10)
    return results[0]


@pytest.mark.parametrize("name", DECISIONS)
def test_a_held_request_is_decided_from_another_thread(serve: Any, name: str) -> None:
    decide, expected = DECISIONS[name]
    served = serve(Keeper)
    client = served.raw()
    client.send(encode("SET", "slow", "v"))
    held = wait_until(lambda: served.transform.held.get(b"slow"), "the request is held")
    assert not held.done and served.sample("shotover_python_held") == 1
    assert from_another_thread(lambda: decide(held)) is True
    assert held.done and decide(held) is False
    assert client.frame() == expected


def test_many_threads_decide_once(serve: Any) -> None:
    served = serve(Keeper)
    client = served.raw()
    for index in range(50):
        client.send(encode("GET", f"slow{index}"))
        held = wait_until(
            lambda key=b"slow%d" % index: served.transform.held.get(key), "it is held"
        )
        start = threading.Barrier(8)
        decided: list[bool] = []

        def decide(
            number: int, held: Any = held, start: Any = start, decided: Any = decided
        ) -> None:
            start.wait()
            decided.append(held.answer(number))

        threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(decided) == [False] * 7 + [True]
        assert client.frame() in [b":%d\r\n" % number for number in range(8)]


def test_a_held_request_can_be_edited_until_it_is_released(serve: Any, direct: redis.Redis) -> None:
    served = serve(Keeper)
    client = served.raw()
    client.send(encode("SET", "slow", "v"))
    held = wait_until(lambda: served.transform.held.get(b"slow"), "the request is held")
    request = served.transform.requests[b"slow"]

    def edit() -> bool:
        assert (request.command, request.key, request.args[2]) == (b"SET", b"slow", b"v")
        request.args[2] = b"edited"
        return held.release()

    assert from_another_thread(edit)
    assert client.frame() == b"+OK\r\n"
    assert direct.get("slow") == b"edited"
    with pytest.raises(RequestGone):
        request.args[2] = b"late"


def test_what_a_client_sent_behind_a_held_request_waits_for_it(
    serve: Any, direct: redis.Redis
) -> None:
    served = serve(Keeper)
    client, other = served.raw(), served.raw()
    client.send(encode("RPUSH", "slow", "1") + encode("RPUSH", "x", "2") + encode("GET", "none"))
    wait_until(lambda: served.transform.held.get(b"slow"), "the request is held")
    assert other.ask("RPUSH", "x", "0") == 1
    assert direct.lrange("x", 0, -1) == [b"0"], "the second has overtaken the first"
    client.send(encode("RPUSH", "x", "3"))
    served.transform.held[b"slow"].release()
    assert [client.frame() for _ in range(4)] == [b":1\r\n", b":2\r\n", b"$-1\r\n", b":3\r\n"]
    assert direct.lrange("x", 0, -1) == [b"0", b"2", b"3"]


def test_held_requests_of_a_client_go_on_in_their_order_whatever_the_order_of_release(
    serve: Any, direct: redis.Redis
) -> None:
    class HoldAll(Keeper):
        def on_request(self, request: Any) -> None:
            self.held[bytes(request.args[2])] = request.hold()

    served = serve(HoldAll)
    client = served.raw()
    client.send(b"".join(encode("RPUSH", "x", index) for index in range(8)))
    held = served.transform.held
    wait_until(lambda: len(held) == 8, "all are held")
    held[b"3"].answer(b"not pushed")
    for index in (7, 2, 1, 0, 6, 4, 5):
        assert held[b"%d" % index].release()
    assert [client.frame() for _ in range(8)] == [
        b":1\r\n",
        b":2\r\n",
        b":3\r\n",
        b"$10\r\nnot pushed\r\n",
        b":4\r\n",
        b":5\r\n",
        b":6\r\n",
        b":7\r\n",
    ]
    assert direct.lrange("x", 0, -1) == [b"0", b"1", b"2", b"4", b"5", b"6", b"7"]


def test_commands_no_hook_wants_keep_their_place_behind_held_ones(
    serve: Any, direct: redis.Redis
) -> None:
    class HoldSets(Keeper):
        commands = ("SET",)

        def on_reply(self, request: Any, reply: Any) -> None:
            assert request.command == b"SET"

    served = serve(HoldSets)
    client = served.raw()
    client.send(
        encode("SET", "slow", "v")
        + encode("GET", "slow")
        + encode("SELECT", 3)
        + encode("GET", "slow")
    )
    held = wait_until(lambda: served.transform.held.get(b"slow"), "the request is held")
    held.release()
    assert [client.frame() for _ in range(4)] == [
        b"+OK\r\n",
        b"$1\r\nv\r\n",
        b"+OK\r\n",
        b"$-1\r\n",
    ]


def test_holds_beyond_the_limit_are_answered_with_an_error(serve: Any) -> None:
    served = serve(Keeper, max_held=3)
    served.allow_log("Python transform py reached max_held")
    client = served.raw()
    client.send(b"".join(encode("GET", f"slow{index}") for index in range(5)))
    held = served.transform.held
    wait_until(lambda: len(held) == 3, "three are held")
    for each in held.values():
        each.release()
    assert [client.frame() for _ in range(5)] == [b"$-1\r\n"] * 3 + [
        b"-ERR shotover: transform py holds too many requests (max_held)\r\n"
    ] * 2
    assert served.sample("shotover_python_held_refused_count") == 2


def test_a_transform_can_deal_with_the_limit_itself(serve: Any) -> None:
    class Polite(Keeper):
        def on_request(self, request: Any) -> None:
            try:
                self.held[request.key] = request.hold()
            except HeldLimit:
                request.answer("BUSY")

    served = serve(Polite, max_held=1)
    client, other = served.raw(), served.raw()
    client.send(encode("GET", "a"))
    held = wait_until(lambda: served.transform.held.get(b"a"), "the request is held")
    assert other.command("GET", "b") == b"+BUSY\r\n"
    held.release()
    assert client.frame() == b"$-1\r\n"


def test_a_held_request_is_answered_when_its_time_is_up(serve: Any) -> None:
    served = serve(Keeper, hold_timeout_ms=30)
    served.allow_log("Python transform py held a request for too long")
    client = served.raw()
    client.send(encode("SET", "slow", "v") + encode("GET", "k"))
    assert client.frame() == (
        b"-ERR shotover: transform py held the request for longer than 30 ms (hold_timeout_ms)\r\n"
    )
    assert client.frame() == b"$-1\r\n"
    held = served.transform.held[b"slow"]
    assert held.done and not held.release()
    assert served.sample("shotover_python_held_timeouts_count") == 1


@pytest.mark.parametrize("late", ["release", "nothing"])
def test_a_client_that_leaves_takes_its_held_requests_along(
    serve: Any, direct: redis.Redis, late: str
) -> None:
    served = serve(Keeper)
    client = served.raw()
    client.send(encode("SET", "slow", "v") + encode("SET", "x", "v") + encode("SET", "slow2", "v"))
    wait_until(lambda: len(served.transform.held) == 2, "the requests are held")
    assert served.sample("shotover_python_held") == 2
    client.reset()
    wait_until_equal(
        lambda: served.sample("shotover_python_held"), 0, "held after the client has gone"
    )
    wait_until_equal(lambda: served.left()["requests"], 0, "requests after the client has gone")
    if late == "release":
        assert [held.release() for held in served.transform.held.values()] == [False, False]
    assert all(held.done for held in served.transform.held.values())
    with pytest.raises(RequestGone):
        _ = served.transform.requests[b"slow"].key
    assert direct.exists("slow", "slow2", "x") == 0


def test_a_release_that_crosses_the_clients_end_harms_nothing(serve: Any) -> None:
    served = serve(Keeper)
    for index in range(40):
        client = served.raw()
        key = b"slow%d" % index
        client.send(encode("GET", key) + encode("GET", "k"))
        held = wait_until(lambda key=key: served.transform.held.get(key), "it is held")
        thread = threading.Thread(target=held.release)
        thread.start()
        client.reset()
        thread.join()
    wait_until_equal(lambda: served.sample("shotover_python_held"), 0, "held in the end")


def test_a_decision_inside_the_hook_counts_at_once(serve: Any) -> None:
    class AtOnce(Transform):
        def on_request(self, request: Any) -> None:
            held = request.hold()
            assert held.answer(b"at once") and held.done and not held.release()

    served = serve(AtOnce)
    assert served.raw().command("GET", "k") == b"$7\r\nat once\r\n"
    assert served.sample("shotover_python_held") == 0


def test_handles_outlive_their_worker(serve: Any) -> None:
    served = serve(Keeper)
    client = served.raw()
    client.send(encode("GET", "slow"))
    held = wait_until(lambda: served.transform.held.get(b"slow"), "the request is held")
    served.worker.stop()
    served.thread.join(10)
    assert not held.release() and held.done


def test_an_orderly_end_of_input_still_gets_its_held_reply(serve: Any) -> None:
    import socket

    served = serve(Keeper)
    client = served.raw()
    client.send(encode("GET", "slow"))
    client.socket.shutdown(socket.SHUT_WR)
    held = wait_until(lambda: served.transform.held.get(b"slow"), "the request is held")
    assert held.answer(b"late")
    assert client.frame() == b"$4\r\nlate\r\n"
