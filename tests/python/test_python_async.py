"""Hooks that are coroutines: they run on an asyncio loop beside the worker, their requests are held."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import redis
from support.resp import encode
from support.wait import wait_until, wait_until_equal

from shotover import RequestGone, Transform


class Gate(Transform):
    """Waits for `open` before it lets requests with the key `slow` go on; counts what is inside."""

    def __init__(self, config: Any) -> None:
        self.inside = 0
        self.cancelled = 0
        self.loop: Any = None
        self.gate: Any = None

    async def on_request(self, request: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.gate = self.gate or asyncio.Event()
        if request.key == b"slow":
            self.inside += 1
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.inside -= 1

    def open(self) -> None:
        self.loop.call_soon_threadsafe(self.gate.set)


def test_a_coroutine_can_do_what_a_hook_can(serve: Any, direct: redis.Redis) -> None:
    threads: set[str] = set()

    class Ask(Transform):
        async def on_request(self, request: Any) -> None:
            await asyncio.sleep(0)
            threads.add(threading.current_thread().name)
            request.state["n"] = request.state.get("n", 0) + 1
            if request.key == b"answer":
                request.answer(request.state["n"])
            elif request.key == b"refuse":
                request.refuse("no", "NOPE")
            elif request.command == b"SET":
                request.args[2] = b"edited"

    client = serve(Ask).raw()
    assert client.command("SET", "k", "v") == b"+OK\r\n"
    assert client.command("GET", "answer") == b":2\r\n"
    assert client.command("GET", "refuse") == b"-NOPE no\r\n"
    assert client.ask("GET", "k") == b"edited"
    assert threads == {"async py"}


def test_coroutines_of_a_pipeline_run_side_by_side_and_keep_their_order(
    serve: Any, direct: redis.Redis
) -> None:
    class Meet(Transform):
        arrived = 0

        async def on_request(self, request: Any) -> None:
            type(self).arrived += 1
            while self.arrived < 10:  # nobody would pass if they came one after the other
                await asyncio.sleep(0)

    client = serve(Meet).raw()
    client.send(b"".join(encode("RPUSH", "x", index) for index in range(10)))
    assert [client.frame() for _ in range(10)] == [b":%d\r\n" % (index + 1) for index in range(10)]
    assert direct.lrange("x", 0, -1) == [b"%d" % index for index in range(10)]


def test_a_waiting_coroutine_holds_up_nobody_else(serve: Any) -> None:
    served = serve(Gate)
    slow, fast = served.raw(), served.raw()
    slow.send(encode("GET", "slow"))
    wait_until(lambda: served.transform.inside == 1, "the coroutine waits")
    for _ in range(20):
        assert fast.command("GET", "k") == b"$-1\r\n"
    served.transform.open()
    assert slow.frame() == b"$-1\r\n"


def test_reply_hooks_can_be_coroutines(serve: Any) -> None:
    class Later(Transform):
        async def on_reply(self, request: Any, reply: Any) -> None:
            await asyncio.sleep(0.01 if request.key == b"a" else 0)
            reply.value = [request.key, reply.value]

    client = serve(Later).raw()
    client.send(encode("GET", "a") + encode("GET", "b"))
    assert [client.frame() for _ in range(2)] == [
        b"*2\r\n$1\r\na\r\n$-1\r\n",
        b"*2\r\n$1\r\nb\r\n$-1\r\n",
    ]


def test_batch_hooks_can_be_coroutines(serve: Any) -> None:
    sizes: list[int] = []

    class Batches(Transform):
        async def on_requests(self, batch: Any) -> None:
            await asyncio.sleep(0)
            sizes.append(len(batch))
            for request in batch:
                if request.key == b"k1":
                    request.answer(1)

        async def on_replies(self, batch: Any) -> None:
            await asyncio.sleep(0)
            for request in batch:
                request.reply.value = b"seen"

    client = serve(Batches).raw()
    client.send(b"".join(encode("GET", f"k{index}") for index in range(5)))
    assert [client.frame() for _ in range(5)] == [
        b":1\r\n" if index == 1 else b"$4\r\nseen\r\n" for index in range(5)
    ]
    assert sum(sizes) == 5


def test_an_exception_of_a_coroutine_answers_its_request(serve: Any) -> None:
    class Fail(Transform):
        async def on_request(self, request: Any) -> None:
            await asyncio.sleep(0)
            if request.key == b"bad":
                raise ConnectionError("inside")

    served = serve(Fail)
    served.allow_log("Python transform py failed: ConnectionError: inside")
    client = served.raw()
    client.send(encode("GET", "bad") + encode("GET", "good"))
    assert client.frame() == b"-ERR shotover: transform py failed: ConnectionError\r\n"
    assert client.frame() == b"$-1\r\n"
    assert "in on_request" in served.log()[0][2]["traceback"]


def test_coroutines_beyond_the_limit_are_refused(serve: Any) -> None:
    served = serve(Gate, max_held=4)
    served.allow_log("Python transform py reached max_held")
    client = served.raw()
    client.send(encode("GET", "slow") * 6)
    wait_until(lambda: served.transform.inside == 4, "four coroutines wait")
    served.transform.open()
    replies = [client.frame() for _ in range(6)]
    assert replies[:4] == [b"$-1\r\n"] * 4
    assert all(b"max_held" in reply for reply in replies[4:])


def test_a_coroutine_that_takes_too_long_is_cancelled(serve: Any) -> None:
    served = serve(Gate, hold_timeout_ms=30)
    served.allow_log("Python transform py held a request for too long")
    assert b"longer than 30 ms" in served.raw().command("GET", "slow")
    wait_until(lambda: served.transform.cancelled == 1, "the coroutine is cancelled")


def test_a_client_that_leaves_cancels_its_coroutines(serve: Any) -> None:
    served = serve(Gate)
    client = served.raw()
    client.send(encode("GET", "slow") * 3)
    wait_until(lambda: served.transform.inside == 3, "the coroutines wait")
    client.reset()
    wait_until(lambda: served.transform.cancelled == 3, "the coroutines are cancelled")
    wait_until_equal(
        lambda: served.sample("shotover_python_held"), 0, "held after the client has gone"
    )


def test_coroutines_that_do_not_end_count_even_when_their_clients_have_gone(serve: Any) -> None:
    class Stubborn(Gate):
        async def on_request(self, request: Any) -> None:
            try:
                await super().on_request(request)
            except asyncio.CancelledError:
                with_gone.append(request)
                await self.gate.wait()

    with_gone: list[Any] = []
    served = serve(Stubborn, max_held=2)
    served.allow_log("Python transform py reached max_held")
    client = served.raw()
    client.send(encode("GET", "slow") * 2)
    wait_until(lambda: served.transform.inside == 2, "the coroutines wait")
    client.reset()
    wait_until(lambda: len(with_gone) == 2, "they were cancelled, and do not end")
    assert b"max_held" in served.raw().command("GET", "k")
    for request in with_gone:
        try:
            request.key  # noqa: B018
        except RequestGone:
            continue
        raise AssertionError("the request of a client that has gone is open")
    served.transform.open()
    wait_until(lambda: served.raw().command("GET", "k") == b"$-1\r\n", "there is room again")


def test_a_coroutine_has_its_request_held_already(serve: Any) -> None:
    class Hold(Transform):
        async def on_request(self, request: Any) -> None:
            request.hold()

    served = serve(Hold)
    served.allow_log(
        "Python transform py failed: RuntimeError: a request of an async hook is held already"
    )
    assert b"RuntimeError" in served.raw().command("GET", "k")


def test_the_worker_stops_while_coroutines_wait(serve: Any) -> None:
    served = serve(Gate)
    client = served.raw()
    client.send(encode("GET", "slow"))
    wait_until(lambda: served.transform.inside == 1, "the coroutine waits")
    served.worker.stop()
    served.thread.join(10)
    assert not served.thread.is_alive()
    wait_until(lambda: served.transform.inside == 0, "the coroutine has ended")
