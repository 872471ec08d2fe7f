"""What a transform sees of replies, and what it can make of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.resp import encode
from support.wait import wait_until

from shotover import ReplyError, RequestGone, Transform


def test_a_reply_hook_sees_each_reply_with_its_request(serve: Any) -> None:
    seen: list[Any] = []

    class Look(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            seen.append(
                (request.command, request.key, list(request.args)[2:], reply.value, reply.raw)
            )

    client = serve(Look).raw()
    client.send(
        encode("SET", "k", "v")
        + encode("GET", "k")
        + encode("GET", "none")
        + encode("LPUSH", "k", "x")
    )
    for _ in range(4):
        client.frame()
    assert [each[:4] for each in seen[:3]] == [
        (b"SET", b"k", [b"v"], "OK"),
        (b"GET", b"k", [], b"v"),
        (b"GET", b"none", [], None),
    ]
    error = seen[3][3]
    assert isinstance(error, ReplyError) and error.code == "WRONGTYPE"
    assert seen[3][4].startswith(b"-WRONGTYPE")


@pytest.mark.parametrize("protocol", [2, 3])
def test_values_of_every_type_are_read(serve: Any, protocol: int) -> None:
    seen: list[Any] = []

    class Look(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            seen.append(reply.value)

    client = serve(Look).raw()
    client.ask("HELLO", protocol)
    for words in (
        ("HSET", "h", "f", "v"),
        ("HGETALL", "h"),
        ("SADD", "s", "m"),
        ("SMEMBERS", "s"),
        ("ZADD", "z", "1.5", "m"),
        ("ZSCORE", "z", "m"),
        ("EVAL", "return {1,{2,'x'},false}", "0"),
        ("DEBUG", "PROTOCOL", "true") if protocol == 3 else ("PING",),
    ):
        client.command(*words)
    hello, _, every, _, members, _, score, nested, last = seen
    if protocol == 3:
        assert hello[b"proto"] == 3 and every == {b"f": b"v"} and members == {b"m"} and score == 1.5
    else:
        assert hello[4:6] == [b"proto", 2] and every == [b"f", b"v"] and members == [b"m"]
        assert score == b"1.5" and last == "PONG"
    assert nested == [1, [2, b"x"], None]


def test_a_reply_can_be_replaced(serve: Any) -> None:
    class Edit(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            if request.command == b"GET":
                reply.value = [reply.value, request.key]
                assert (
                    reply.value == [b"v", b"k"] and reply.raw.startswith(b"*2") and reply.size == 18
                )
            elif request.command == b"DEL":
                reply.raw = b"+gone\r\n"
            elif request.command == b"EXISTS":
                reply.value = PermissionError("NOPERM not that")
                assert reply.is_error

    client = serve(Edit).raw()
    assert client.command("SET", "k", "v") == b"+OK\r\n"
    assert client.command("GET", "k") == b"*2\r\n$1\r\nv\r\n$1\r\nk\r\n"
    assert client.command("EXISTS", "k") == b"-NOPERM not that\r\n"
    assert client.command("DEL", "k") == b"+gone\r\n"


def test_large_replies_can_be_replaced_and_passed(serve: Any) -> None:
    class Edit(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            if request.key == b"upper":
                reply.value = reply.value.upper()

    client = serve(Edit).raw()
    value = b"abcdefgh" * 50_000
    for key in ("upper", "same"):
        client.command("SET", key, value) if key == "same" else client.command("MSET", key, value)
    assert client.ask("GET", "same") == value


def test_what_on_request_notes_is_there_in_on_reply(serve: Any) -> None:
    class Note(Transform):
        def on_request(self, request: Any) -> None:
            request.note = (bytes(request.key), len(request.args))
            request.args[1] = b"other"

        def on_reply(self, request: Any, reply: Any) -> None:
            key, words = request.note
            reply.value = [key, words, request.key, list(request.args)]

    client = serve(Note).raw()
    client.send(encode("GET", "a") + encode("MGET", "b", "c"))
    assert (
        client.frame()
        == b"*4\r\n$1\r\na\r\n:2\r\n$5\r\nother\r\n*2\r\n$3\r\nGET\r\n$5\r\nother\r\n"
    )
    assert b"$1\r\nb\r\n:3\r\n" in client.frame()


def test_a_sent_request_can_be_read_but_not_changed(serve: Any) -> None:
    class Change(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            with pytest.raises(RuntimeError, match="sent already"):
                request.args[1] = b"x"
            with pytest.raises(RuntimeError, match=r"reply\.value"):
                request.answer(1)

    assert serve(Change).raw().command("GET", "k") == b"$-1\r\n"


def test_reply_batches_bring_requests_with_replies(serve: Any) -> None:
    sizes: list[int] = []

    class Batch(Transform):
        def on_replies(self, batch: Any) -> None:
            sizes.append(len(batch))
            for request in batch:
                request.reply.value = [request.key, request.reply.value]

    client = serve(Batch).raw()
    client.send(b"".join(encode("GET", f"k{index}") for index in range(20)))
    assert [client.frame() for _ in range(20)] == [
        b"*2\r\n$%d\r\nk%d\r\n$-1\r\n" % (len(f"k{index}"), index) for index in range(20)
    ]
    assert sum(sizes) == 20 and max(sizes) > 1


def test_kept_replies_are_closed(serve: Any) -> None:
    kept: list[Any] = []

    class Keep(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            kept.append((request, reply))

    client = serve(Keep).raw()
    for _ in range(20):
        client.ask("GET", "k")
    for request, reply in kept:
        for look in (lambda r=reply: r.value, lambda r=reply: r.raw, lambda r=request: r.key):
            with pytest.raises(RequestGone):
                look()


def test_errors_of_the_proxy_pass_the_reply_hook_too(serve: Any) -> None:
    seen: list[bool] = []

    class Look(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            seen.append(reply.is_error)

    client = serve(Look).raw()
    assert client.command("PSYNC", "?", "-1").startswith(b"-ERR shotover:")
    assert seen == [True]


def test_answers_of_a_lower_transform_pass_the_hooks_above(serve: Any) -> None:
    class Above(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            reply.value = [b"above", reply.value]

    class Below(Transform):
        def on_request(self, request: Any) -> None:
            request.answer(b"below")

        def on_reply(self, request: Any, reply: Any) -> None:
            raise AssertionError("an answer goes up from the transform that made it")

    assert serve(Above, Below).raw().ask("GET", "k") == [b"above", b"below"]


def test_a_reply_can_be_held(serve: Any) -> None:
    held: list[Any] = []

    class Hold(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            if request.key == b"slow":
                held.append(request.hold())

    client = serve(Hold).raw()
    client.send(encode("GET", "slow") + encode("GET", "fast") + encode("GET", "slow"))
    wait_until(lambda: len(held) == 2, "both replies are held")
    assert held[1].answer(b"second") and held[0].release()
    assert not held[0].release() and not held[1].refuse("late")
    assert [client.frame() for _ in range(3)] == [b"$-1\r\n", b"$-1\r\n", b"$6\r\nsecond\r\n"]


def test_pushes_do_not_overtake_replies_that_came_before_them(serve: Any, direct: Any) -> None:
    """An invalidation before the value it is about would leave that value in a client's cache for ever."""

    class Watch(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            pass

    client = serve(Watch).raw()
    client.ask("HELLO", "3")
    client.ask("CLIENT", "TRACKING", "ON")
    for index in range(50):
        client.send(encode("GET", f"k{index}") + encode("SET", f"k{index}", "v"))
        frames = [client.frame() for _ in range(3)]
        assert frames[0] == b"_\r\n", frames
        assert sorted(frames[1:]) == [
            b"+OK\r\n",
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\nk%d\r\n" % (len(f"k{index}"), index),
        ], frames


def test_subscriptions_pass_by_the_reply_hook(serve: Any, direct: Any) -> None:
    class Look(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            assert request.command == b"PUBLISH" or b"SUBSCRIBE" not in request.command

    served = serve(Look)
    client, other = served.raw(), served.raw()
    client.send(encode("SUBSCRIBE", "a", "b"))
    assert b"subscribe" in client.frame() and b"subscribe" in client.frame()
    assert other.ask("PUBLISH", "a", "hello") == 1
    assert client.frame() == b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"


def test_transactions_pass_the_reply_hook(serve: Any) -> None:
    seen: list[Any] = []

    class Look(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            seen.append(reply.value)

    client = serve(Look).raw()
    client.send(encode("MULTI") + encode("INCR", "n") + encode("INCR", "n") + encode("EXEC"))
    for _ in range(4):
        client.frame()
    assert seen == ["OK", "QUEUED", "QUEUED", [1, 2]]


def test_clients_that_change_their_state_side_by_side_wait_for_each_other_once(serve: Any) -> None:
    class Look(Transform):
        def on_reply(self, request: Any, reply: Any) -> None:
            assert reply.value in ("OK", b"x")

    served = serve(Look)
    for _ in range(10):
        clients = [served.raw() for _ in range(3)]
        for client in clients:
            client.send(encode("ECHO", "x") + encode("SELECT", "1") + encode("ECHO", "x"))
        for client in clients:
            assert [client.frame() for _ in range(3)] == [
                b"$1\r\nx\r\n",
                b"+OK\r\n",
                b"$1\r\nx\r\n",
            ]


def test_a_client_that_leaves_before_its_reply_harms_nothing(serve: Any, direct: Any) -> None:
    called = threading.Event()

    class Look(Transform):
        def on_request(self, request: Any) -> None:
            request.note = object()

        def on_reply(self, request: Any, reply: Any) -> None:
            called.set()

    served = serve(Look)
    direct.execute_command("CLIENT", "PAUSE", "200", "ALL")
    client = served.raw()
    client.send(encode("GET", "k") * 10)
    wait_until(lambda: served.worker.census()["requests"] == 10, "the requests are under way")
    client.reset()
    wait_until(
        lambda: served.worker.census()["requests"] == 0, "their replies have come to nothing"
    )
    assert not called.is_set()
