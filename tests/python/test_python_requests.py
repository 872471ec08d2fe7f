"""What a transform sees of a request, and what it can make of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.resp import encode

from shotover import RequestGone, Transform


def test_a_request_shows_what_the_server_would_be_asked(serve: Any) -> None:
    seen: list[Any] = []

    class Look(Transform):
        def on_request(self, request: Any) -> None:
            seen.append(
                (request.command, request.key, list(request.args), request.kind, request.size)
            )

    client = serve(Look).raw()
    client.ask("set", "k", "v")
    client.ask("GET", "k")
    client.ask("Ping")
    client.ask("object", "encoding", "k")
    client.ask("eval", "return 1", "2", "a", "b")
    client.ask("nosuch", "x")
    assert seen == [
        (b"SET", b"k", [b"set", b"k", b"v"], "write", 27),
        (b"GET", b"k", [b"GET", b"k"], "read", 20),
        (b"PING", None, [b"Ping"], "session", 14),
        (b"OBJECT", b"k", [b"object", b"encoding", b"k"], "read", 37),
        (b"EVAL", b"a", [b"eval", b"return 1", b"2", b"a", b"b"], "write", 49),
        (b"NOSUCH", None, [b"nosuch", b"x"], "unknown", 23),
    ]


def test_all_keys_are_found_wherever_they_stand(serve: Any) -> None:
    seen: list[Any] = []

    class Look(Transform):
        def on_request(self, request: Any) -> None:
            seen.append((request.keys, request.key_indexes))

    client = serve(Look).raw()
    client.ask("mset", "a", "1", "b", "2")
    client.ask("xread", "streams", "s", "t", "0", "0")
    client.ask("ping")
    assert seen == [([b"a", b"b"], [1, 3]), ([b"s", b"t"], [2, 3]), ([], [])]


def test_the_client_is_known(serve: Any) -> None:
    seen: list[Any] = []

    class Look(Transform):
        def on_request(self, request: Any) -> None:
            seen.append((request.client_address, request.client_id))

    served = serve(Look)
    one, two = served.raw(), served.raw()
    for client in (one, two, one):
        client.ask("PING")
    assert [address for address, _ in seen] == [
        f"127.0.0.1:{client.port}" for client in (one, two, one)
    ]
    assert seen[0][1] == seen[2][1] != seen[1][1]


EDITS = {
    "a word": (lambda args: args.__setitem__(2, b"new"), [b"RPUSH", b"k", b"new", b"c"]),
    "a word from the end": (
        lambda args: args.__setitem__(-1, "é"),
        [b"RPUSH", b"k", b"b", "é".encode()],
    ),
    "a number": (lambda args: args.__setitem__(2, 7), [b"RPUSH", b"k", b"7", b"c"]),
    "a slice": (lambda args: args.__setitem__(slice(2, 4), [b"x"]), [b"RPUSH", b"k", b"x"]),
    "append": (lambda args: args.append(b"d"), [b"RPUSH", b"k", b"b", b"c", b"d"]),
    "insert": (lambda args: args.insert(2, b"0"), [b"RPUSH", b"k", b"0", b"b", b"c"]),
    "extend": (lambda args: args.extend([b"d", "e"]), [b"RPUSH", b"k", b"b", b"c", b"d", b"e"]),
    "delete": (lambda args: args.__delitem__(2), [b"RPUSH", b"k", b"c"]),
    "delete a slice": (lambda args: args.__delitem__(slice(3, None)), [b"RPUSH", b"k", b"b"]),
    "pop": (lambda args: args.pop(), [b"RPUSH", b"k", b"b"]),
    "remove": (lambda args: args.remove(b"b"), [b"RPUSH", b"k", b"c"]),
    "a long word": (
        lambda args: args.__setitem__(2, b"x" * 100_000),
        [b"RPUSH", b"k", b"x" * 100_000, b"c"],
    ),
    "many words": (
        lambda args: args.extend([b"w"] * 3000),
        [b"RPUSH", b"k", b"b", b"c"] + [b"w"] * 3000,
    ),
    "the command": (lambda args: args.__setitem__(0, b"LPUSH"), [b"LPUSH", b"k", b"b", b"c"]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reaches_the_server(serve: Any, direct: Any, name: str) -> None:
    edit, expected = EDITS[name]

    class Edit(Transform):
        commands = ("RPUSH",)

        def on_request(self, request: Any) -> None:
            edit(request.args)

    client = serve(Edit).raw()
    assert client.ask("RPUSH", "k", "b", "c") == len(expected) - 2
    values = expected[2:] if expected[0] == b"RPUSH" else expected[:1:-1]
    assert direct.lrange("k", 0, -1) == values


def test_args_can_be_assigned_as_a_whole(serve: Any, direct: Any) -> None:
    class Edit(Transform):
        def on_request(self, request: Any) -> None:
            request.args = ["SET", request.key + b"!", 1.5]
            assert (request.command, request.key) == (b"SET", b"k!")

    client = serve(Edit).raw()
    assert client.command("GET", "k") == b"+OK\r\n"
    assert direct.get("k!") == b"1.5"


def test_an_edited_request_is_what_its_new_words_say(serve: Any) -> None:
    """SELECT changes the session: were it sent as the GET that it was, other clients would be moved."""

    class Edit(Transform):
        def on_request(self, request: Any) -> None:
            if request.key == b"go":
                request.args = [b"SELECT", b"5"]

    served = serve(Edit)
    moved, other = served.raw(), served.raw()
    assert moved.command("GET", "go") == b"+OK\r\n"
    moved.ask("SET", "k", "five")
    other.ask("SET", "k", "zero")
    assert (moved.ask("GET", "k"), other.ask("GET", "k")) == (b"five", b"zero")


def test_an_edit_that_cannot_be_sent_is_an_error_of_that_request(serve: Any) -> None:
    class Edit(Transform):
        def on_request(self, request: Any) -> None:
            request.args[1] = {}

    served = serve(Edit)
    served.allow_log("Python transform py failed: TypeError")
    assert served.raw().command("GET", "k") == b"-ERR shotover: transform py failed: TypeError\r\n"


def test_reading_args_changes_nothing(serve: Any, direct: Any) -> None:
    class Read(Transform):
        def on_request(self, request: Any) -> None:
            args = request.args
            assert len(args) == 4 and args[-1] == b"c" and b"b" in args and args.index(b"b") == 2
            assert args == [b"RPUSH", b"k", b"b", b"c"] and list(args)[1:] == args[1:]
            assert args.size(3) == 1
            with pytest.raises(IndexError):
                args[4]

    client = serve(Read).raw()
    assert client.ask("RPUSH", "k", "b", "c") == 2


@pytest.mark.parametrize(
    ("value", "resp2", "resp3"),
    [
        (b"x\r\ny", b"$4\r\nx\r\ny\r\n", None),
        ("OK", b"+OK\r\n", None),
        (7, b":7\r\n", None),
        (1 << 70, b"$22\r\n1180591620717411303424\r\n", b"(1180591620717411303424\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (
            [1, [b"a", None]],
            b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n",
            b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n",
        ),
        ({b"k": 1}, b"*2\r\n$1\r\nk\r\n:1\r\n", b"%1\r\n$1\r\nk\r\n:1\r\n"),
        ({b"m"}, b"*1\r\n$1\r\nm\r\n", b"~1\r\n$1\r\nm\r\n"),
        (ValueError("bad\nthing"), b"-ERR bad thing\r\n", None),
        (ValueError("WRONGTYPE no"), b"-WRONGTYPE no\r\n", None),
    ],
)
def test_an_answer_is_said_in_the_clients_protocol(
    serve: Any, value: Any, resp2: bytes, resp3: bytes | None
) -> None:
    class Answer(Transform):
        commands = ("GET",)

        def on_request(self, request: Any) -> None:
            request.answer(value)

    served = serve(Answer)
    old, new = served.raw(), served.raw()
    assert old.command("GET", "k") == resp2
    new.ask("HELLO", "3")
    assert new.command("GET", "k") == (resp3 or resp2)


def test_raw_answers_and_refusals(serve: Any) -> None:
    class Answer(Transform):
        def on_request(self, request: Any) -> None:
            if request.command == b"GET":
                request.answer(reply_raw=b"*1\r\n+x\r\n")
            elif request.command == b"SET":
                request.refuse("not\r\nnow")
            elif request.command == b"DEL":
                request.refuse("me neither", code="DENIED")

    client = serve(Answer).raw()
    assert client.command("GET", "k") == b"*1\r\n+x\r\n"
    assert client.command("SET", "k", "v") == b"-ERR not  now\r\n"
    assert client.command("DEL", "k") == b"-DENIED me neither\r\n"
    assert client.command("EXISTS", "k") == b":0\r\n"


@pytest.mark.parametrize("raw", [b"", b"+OK", b"+OK\r\n+OK\r\n", b"$5\r\nabc\r\n", b"hello\r\n"])
def test_raw_bytes_that_are_not_one_reply_never_reach_the_client(serve: Any, raw: bytes) -> None:
    class Answer(Transform):
        def on_request(self, request: Any) -> None:
            request.answer(reply_raw=raw)

    served = serve(Answer)
    served.allow_log("Python transform py failed: ValueError")
    assert served.raw().command("GET", "k") == b"-ERR shotover: transform py failed: ValueError\r\n"


def test_a_request_is_decided_once(serve: Any) -> None:
    class Twice(Transform):
        def on_request(self, request: Any) -> None:
            request.answer(1)
            with pytest.raises(RuntimeError, match="already"):
                request.refuse("no")
            with pytest.raises(RuntimeError, match="already"):
                request.hold()

    assert serve(Twice).raw().command("GET", "k") == b":1\r\n"


def test_answers_keep_their_place_in_a_pipeline(serve: Any) -> None:
    class Odd(Transform):
        def on_request(self, request: Any) -> None:
            if request.command == b"GET" and int(request.key) % 2:
                request.answer(int(request.key))

    client = serve(Odd).raw()
    for index in range(0, 50, 2):
        client.ask("SET", index, f"v{index}")
    client.send(b"".join(encode("GET", index) for index in range(50)))
    replies = [client.frame() for _ in range(50)]
    assert replies == [
        b":%d\r\n" % index if index % 2 else b"$%d\r\nv%d\r\n" % (len(str(index)) + 1, index)
        for index in range(50)
    ]


def test_state_belongs_to_a_connection_and_goes_with_it(serve: Any) -> None:
    import weakref

    class Thing:
        pass

    alive: weakref.WeakSet[Thing] = weakref.WeakSet()

    class Count(Transform):
        def on_request(self, request: Any) -> None:
            if "thing" not in request.state:
                request.state["thing"] = Thing()
                alive.add(request.state["thing"])
            request.state["n"] = request.state.get("n", 0) + 1
            request.answer(request.state["n"])

    from support.wait import wait_until

    served = serve(Count)
    one, two = served.raw(), served.raw()
    assert [client.ask("GET", "k") for client in (one, one, two, one)] == [1, 2, 1, 3]
    assert len(alive) == 2
    one.close()
    wait_until(lambda: len(alive) == 1, "the state of the closed connection is freed")
    assert two.ask("GET", "k") == 2


def test_the_user_is_whom_the_server_has_let_in(serve: Any, direct: Any) -> None:
    class Who(Transform):
        def on_request(self, request: Any) -> None:
            if request.command == b"GET":
                request.answer(request.user.encode())

    served = serve(Who)
    direct.acl_setuser("ann", enabled=True, passwords=["+pw"], commands=["+@all"], keys=["*"])
    try:
        client = served.raw()
        assert client.ask("GET", "k") == b"default"
        assert client.command("AUTH", "ann", "wrong").startswith(b"-WRONGPASS")
        assert client.ask("GET", "k") == b"default"
        client.ask("AUTH", "ann", "pw")
        assert client.ask("GET", "k") == b"ann"
        assert served.raw().ask("GET", "k") == b"default"
        client.ask("RESET")
        assert client.ask("GET", "k") == b"default"
        client.ask("HELLO", "3", "AUTH", "ann", "pw")
        assert client.ask("GET", "k") == b"ann"
    finally:
        direct.acl_deluser("ann")


def test_what_is_kept_of_a_request_is_closed_not_dangerous(serve: Any) -> None:
    kept: list[Any] = []

    class Keep(Transform):
        def on_request(self, request: Any) -> None:
            kept.append((request, request.args))

    client = serve(Keep).raw()
    for index in range(100):
        client.ask("SET", f"k{index}", "v" * index)
    assert len({id(request) for request, _ in kept}) == 100
    for request, args in kept:
        for look in (
            "command",
            "key",
            "kind",
            "args",
            "raw",
            "size",
            "user",
            "state",
            "client_address",
            "client_identity",
            "reply",
        ):
            with pytest.raises(RequestGone):
                getattr(request, look)
        for call in (
            lambda r=request: r.answer(1),
            lambda r=request: r.hold(),
            lambda r=request: r.refuse("x"),
            lambda a=args: a[0],
            lambda a=args: a.append(b"x"),
        ):
            with pytest.raises(RequestGone):
                call()
        assert "gone" in repr(request)


def test_hooks_see_only_the_commands_they_name(serve: Any) -> None:
    seen: list[bytes] = []

    class Some(Transform):
        commands = ("get", b"CLIENT|ID", "mymodule.do")

        def on_request(self, request: Any) -> None:
            seen.append(bytes(request.args[0]))

        def on_reply(self, request: Any, reply: Any) -> None:
            seen.append(b"reply")

    client = serve(Some).raw()
    for words in (
        ("GET", "k"),
        ("SET", "k", "v"),
        ("CLIENT", "ID"),
        ("CLIENT", "GETNAME"),
        ("MyModule.do", "x"),
        ("other.do", "x"),
    ):
        client.command(*words)
    assert seen == [b"GET", b"reply", b"CLIENT", b"reply", b"MyModule.do", b"reply"]


def test_batches_bring_all_requests_of_a_turn(serve: Any) -> None:
    sizes: list[int] = []

    class Batch(Transform):
        def on_requests(self, batch: Any) -> None:
            sizes.append(len(batch))
            for request in batch:
                if request.key == b"k3":
                    request.answer(3)
                elif request.key == b"k4":
                    request.args[1] = b"k5"

    client = serve(Batch).raw()
    client.send(encode("SET", "k5", "five"))
    client.frame()
    client.send(b"".join(encode("GET", f"k{index}") for index in range(6)))
    assert [client.frame() for _ in range(6)] == [b"$-1\r\n"] * 3 + [b":3\r\n"] + [
        b"$4\r\nfive\r\n"
    ] * 2
    assert sum(sizes) == 7 and max(sizes) > 1


def test_two_transforms_see_each_others_edits(serve: Any, direct: Any) -> None:
    class First(Transform):
        def on_request(self, request: Any) -> None:
            request.args[1] += b"1"

    class Second(Transform):
        def on_request(self, request: Any) -> None:
            request.args[1] += b"2"
            assert request.key == b"k12" and request.raw.endswith(b"k1\r\n$1\r\nv\r\n")

    client = serve(First, Second).raw()
    assert client.command("SET", "k", "v") == b"+OK\r\n"
    assert direct.get("k12") == b"v"
