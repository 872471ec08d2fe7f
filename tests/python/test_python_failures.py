"""A hook that raises harms its request, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from support.resp import encode

from shotover import Transform


def failed(name: str) -> bytes:
    return b"-ERR shotover: transform py failed: %s\r\n" % name.encode()


def test_an_exception_answers_its_request_alone(serve: Any) -> None:
    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            if request.key == b"bad":
                raise LookupError("secret detail")

    served = serve(Fail)
    served.allow_log("Python transform py failed: LookupError: secret detail")
    client, other = served.raw(), served.raw()
    client.send(encode("SET", "a", "1") + encode("GET", "bad") + encode("GET", "a"))
    assert [client.frame() for _ in range(3)] == [b"+OK\r\n", failed("LookupError"), b"$1\r\n1\r\n"]
    assert other.ask("GET", "a") == b"1"
    assert served.sample("shotover_transform_failures_count", name="py") == 1
    assert served.sample("shotover_python_exceptions_count") == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError, StopIteration])
def test_no_exception_ends_the_worker(serve: Any, error: type) -> None:
    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            raise error

    served = serve(Fail)
    served.allow_log("Python transform py failed")
    client = served.raw()
    for _ in range(3):
        assert client.command("GET", "k") == failed(error.__name__)


def test_an_exception_whose_text_raises_is_logged_all_the_same(serve: Any) -> None:
    class Awful(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            raise Awful

    served = serve(Fail)
    served.allow_log("Python transform py failed: Awful")
    assert served.raw().command("GET", "k") == failed("Awful")
    assert served.log()


def test_a_failure_is_logged_once_with_its_traceback(serve: Any) -> None:
    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            if request.key == b"other":
                raise KeyError("other")
            raise ValueError("again and again")

    served = serve(Fail)
    served.allow_log("Python transform py failed")
    client = served.raw()
    client.send(encode("GET", "k") * 500 + encode("GET", "other"))
    for _ in range(501):
        client.frame()
    entries = [entry for entry in served.log() if "failed" in entry[1]]
    assert [text for _, text, _ in entries] == [
        "Python transform py failed: ValueError: again and again",
        "Python transform py failed: KeyError: 'other'",
    ]
    assert "in on_request" in entries[0][2]["traceback"]
    assert served.sample("shotover_python_exceptions_count") == 501


def test_failures_at_ever_new_places_do_not_flood_the_log(serve: Any) -> None:
    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            raise type(f"E{request.key.decode()}", (Exception,), {})

    served = serve(Fail)
    served.allow_log("Python transform py failed")
    client = served.raw()
    client.send(b"".join(encode("GET", index) for index in range(500)))
    for _ in range(500):
        client.frame()
    assert 60 <= len(served.log()) <= 70


def test_a_reply_hook_that_raises_answers_with_an_error(serve: Any, direct: Any) -> None:
    class Fail(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            if request.key == b"bad":
                raise RuntimeError

    served = serve(Fail)
    served.allow_log("Python transform py failed: RuntimeError")
    client = served.raw()
    client.send(encode("SET", "bad", "1") + encode("SET", "good", "1"))
    assert [client.frame(), client.frame()] == [failed("RuntimeError"), b"+OK\r\n"]
    assert direct.get("bad") == b"1"


@pytest.mark.parametrize("hook", ["on_requests", "on_replies"])
def test_a_batch_hook_that_raises_fails_what_it_had_not_decided(serve: Any, hook: str) -> None:
    def fail(self: Any, batch: Any) -> None:
        if hook == "on_requests":
            for request in batch:
                if request.key == b"k0":
                    request.answer(b"first")
        raise OSError

    served = serve(type("Fail", (Transform,), {hook: fail}))
    served.allow_log("Python transform py failed: OSError")
    client = served.raw()
    client.send(b"".join(encode("GET", f"k{index}") for index in range(5)))
    replies = [client.frame() for _ in range(5)]
    assert replies[1:] == [failed("OSError")] * 4
    assert replies[0] == (b"$5\r\nfirst\r\n" if hook == "on_requests" else failed("OSError"))


def test_a_hook_returns_nothing(serve: Any) -> None:
    class Wrong(Transform):
        def on_request(self, request: Any) -> Any:
            return request

    served = serve(Wrong)
    served.allow_log(
        "Python transform py failed: TypeError: a hook returns nothing, this one returned Request"
    )
    assert served.raw().command("GET", "k") == failed("TypeError")


def test_an_exception_after_a_decision_is_what_the_client_hears(serve: Any) -> None:
    class Fail(Transform):
        def on_request(self, request: Any) -> None:
            if request.key == b"hold":
                request.hold()
            else:
                request.answer(1)
            raise ArithmeticError

    served = serve(Fail)
    served.allow_log("Python transform py failed: ArithmeticError")
    client = served.raw()
    assert client.command("GET", "answer") == failed("ArithmeticError")
    assert client.command("GET", "hold") == failed("ArithmeticError")
    assert served.sample("shotover_python_held") == 0


def test_what_a_transform_logs_is_in_the_log(serve: Any) -> None:
    class Say(Transform):
        def on_request(self, request: Any) -> None:
            self.log("seen", level="warning", key=request.key.decode(), traceback="x")

    served = serve(Say)
    served.allow_log("seen")
    served.raw().ask("GET", "k")
    assert served.log() == [(30, "seen", {"transform": "py", "key": "k", "traceback": "x"})]


def test_close_is_called_once_when_the_worker_has_stopped(serve: Any) -> None:
    closed: list[str] = []

    class End(Transform):
        def on_request(self, request: Any) -> None:
            assert not closed

        def close(self) -> None:
            closed.append(self.name)

    served = serve(End)
    served.raw().ask("GET", "k")
    served._closing.close()
    served.worker.stop()
    served.thread.join(10)
    assert closed == ["py"]
