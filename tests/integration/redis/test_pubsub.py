"""Publish and subscribe, in RESP2 and in RESP3 with ordinary commands between."""

from __future__ import annotations

import threading

import pytest
import redis
from support.endpoint import Endpoint
from support.resp import Push, encode
from support.wait import wait_until_equal

pytestmark = pytest.mark.variants


def test_several_channels_and_patterns_in_resp2(endpoint: Endpoint) -> None:
    subscriber, publisher = endpoint.raw(), endpoint.raw()
    subscriber.send(encode("SUBSCRIBE", "a", "b", "c"))
    assert [subscriber.value() for _ in range(3)] == [
        [b"subscribe", name, number] for number, name in enumerate((b"a", b"b", b"c"), 1)
    ]
    assert subscriber.ask("PSUBSCRIBE", "a*") == [b"psubscribe", b"a*", 4]
    assert subscriber.ask("SSUBSCRIBE", "a") == [b"ssubscribe", b"a", 1]
    assert publisher.command("PUBLISH", "a", "hello\r\n") == b":2\r\n"
    assert subscriber.value() == [b"message", b"a", b"hello\r\n"]
    assert subscriber.value() == [b"pmessage", b"a*", b"a", b"hello\r\n"]
    assert publisher.command("SPUBLISH", "a", "sharded") == b":1\r\n"
    assert subscriber.value() == [b"smessage", b"a", b"sharded"]
    assert subscriber.ask("UNSUBSCRIBE", "b") == [b"unsubscribe", b"b", 3]
    assert publisher.command("PUBLISH", "b", "nobody") == b":0\r\n"
    assert subscriber.ask("PING") == [b"pong", b""]
    assert subscriber.ask("GET", "a").startswith("ERR Can't execute 'get'")
    assert subscriber.ask("PUNSUBSCRIBE") == [b"punsubscribe", b"a*", 2]
    subscriber.send(encode("UNSUBSCRIBE"))
    gone = [subscriber.value() for _ in range(2)]
    assert {each[1] for each in gone} == {b"a", b"c"}
    assert gone[-1][2] == 0
    assert subscriber.ask("SUNSUBSCRIBE") == [b"sunsubscribe", b"a", 0]
    assert subscriber.command("SET", "a", "1") == b"+OK\r\n"
    assert subscriber.command("GET", "a") == b"$1\r\n1\r\n"
    assert subscriber.command("PING") == b"+PONG\r\n"


def test_resp3_pushes_between_ordinary_replies(endpoint: Endpoint) -> None:
    subscriber, publisher = endpoint.raw(), endpoint.raw()
    subscriber.ask("HELLO", "3")
    assert subscriber.ask("SUBSCRIBE", "a") == Push([b"subscribe", b"a", 1])
    for number in range(200):
        publisher.command("PUBLISH", "a", number)
        subscriber.send(encode("SET", "k", number) + encode("GET", "k"))
        answers = [subscriber.value() for _ in range(3)]
        pushes = [answer for answer in answers if isinstance(answer, Push)]
        replies = [answer for answer in answers if not isinstance(answer, Push)]
        value = b"%d" % number
        assert pushes == [[b"message", b"a", value]]
        assert replies == [b"OK", value]
    assert subscriber.ask("PING") == b"PONG"
    assert subscriber.ask("UNSUBSCRIBE", "a") == [b"unsubscribe", b"a", 0]
    assert subscriber.command("GET", "k") == b"$3\r\n199\r\n"


def test_publishing_to_oneself_in_resp3(endpoint: Endpoint) -> None:
    """The push stands before the reply of the PUBLISH that made it, as with the server."""
    raw = endpoint.raw()
    raw.ask("HELLO", "3")
    raw.ask("SUBSCRIBE", "a")
    raw.send(encode("PUBLISH", "a", "x") + encode("PING"))
    frames = raw.frames(3)
    with endpoint.server.raw() as server:
        server.ask("HELLO", "3")
        server.ask("SUBSCRIBE", "b")
        server.send(encode("PUBLISH", "b", "x") + encode("PING"))
        expected = [frame.replace(b"\r\nb\r\n", b"\r\na\r\n") for frame in server.frames(3)]
    assert frames == expected


def test_a_message_reaches_every_subscriber_once_and_nobody_else(endpoint: Endpoint) -> None:
    subscribers = [endpoint.raw() for _ in range(20)]
    bystanders = [endpoint.raw() for _ in range(5)]
    publisher = endpoint.raw()
    for index, raw in enumerate(subscribers):
        raw.ask("SUBSCRIBE", "all")
        raw.ask("SUBSCRIBE", f"only-{index}")
    for raw in bystanders:
        raw.command("PING")
    for number in range(50):
        assert publisher.command("PUBLISH", "all", number) == b":20\r\n"
    for index in range(20):
        assert publisher.command("PUBLISH", f"only-{index}", index) == b":1\r\n"
    for index, raw in enumerate(subscribers):
        values = [raw.value()[2] for _ in range(51)]
        assert values == [*(b"%d" % number for number in range(50)), b"%d" % index]
    assert all(raw.silent(0.01) for raw in bystanders)


def test_a_subscriber_that_leaves_is_unsubscribed(endpoint: Endpoint) -> None:
    publisher = endpoint.raw()
    for leave in ("close", "reset"):
        raw = endpoint.raw()
        raw.ask("SUBSCRIBE", "a")
        assert publisher.command("PUBLISH", "a", "x") == b":1\r\n"
        getattr(raw, leave)()
        wait_until_equal(
            lambda: publisher.command("PUBLISH", "a", "x"),
            b":0\r\n",
            f"nobody listens after {leave}",
        )


def test_a_connection_is_as_good_as_new_after_subscribing(endpoint: Endpoint) -> None:
    raw, publisher = endpoint.raw(), endpoint.raw()
    for number in range(20):
        raw.send(
            encode("SUBSCRIBE", "a", "b") + encode("UNSUBSCRIBE", "a", "b") + encode("INCR", "n")
        )
        frames = raw.frames(5)
        assert frames[-1] == b":%d\r\n" % (number + 1)
        assert publisher.command("PUBLISH", "a", "lost") == b":0\r\n"
    assert raw.silent()


def test_reset_ends_subscriptions(endpoint: Endpoint) -> None:
    raw, publisher = endpoint.raw(), endpoint.raw()
    raw.ask("SUBSCRIBE", "a")
    raw.ask("PSUBSCRIBE", "*")
    assert raw.command("RESET") == b"+RESET\r\n"
    assert publisher.command("PUBLISH", "a", "x") == b":0\r\n"
    assert raw.command("GET", "a") == b"$-1\r\n"


def test_subscribing_twice_counts_once(endpoint: Endpoint) -> None:
    raw, publisher = endpoint.raw(), endpoint.raw()
    raw.send(encode("SUBSCRIBE", "a", "a") + encode("SUBSCRIBE", "a"))
    assert [raw.value()[2] for _ in range(3)] == [1, 1, 1]
    assert publisher.command("PUBLISH", "a", "x") == b":1\r\n"
    assert raw.value() == [b"message", b"a", b"x"]
    assert raw.silent()


def test_big_and_many_messages(endpoint: Endpoint) -> None:
    raw, publisher = endpoint.raw(), endpoint.raw()
    raw.ask("SUBSCRIBE", "a")
    sizes = [0, 1, 70_000, 1 << 20, *range(0, 20_000, 97)]
    publisher.send(b"".join(encode("PUBLISH", "a", b"x" * size) for size in sizes))
    assert publisher.frames(len(sizes)) == [b":1\r\n"] * len(sizes)
    assert [len(raw.value()[2]) for _ in sizes] == sizes


def test_keyspace_notifications(endpoint: Endpoint) -> None:
    with endpoint.server.client() as server:
        server.config_set("notify-keyspace-events", "KEA")
        try:
            raw, other = endpoint.raw(), endpoint.raw()
            raw.ask("PSUBSCRIBE", "__key*__:*")
            other.command("SET", "a", "1")
            assert raw.value() == [b"pmessage", b"__key*__:*", b"__keyspace@0__:a", b"set"]
            assert raw.value() == [b"pmessage", b"__key*__:*", b"__keyevent@0__:set", b"a"]
        finally:
            server.config_set("notify-keyspace-events", "")


def test_pubsub_introspection(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    raw.ask("SUBSCRIBE", "seen")
    raw.ask("PSUBSCRIBE", "p*")
    assert other.ask("PUBSUB", "CHANNELS") == [b"seen"]
    assert other.ask("PUBSUB", "NUMSUB", "seen", "unseen") == [b"seen", 1, b"unseen", 0]
    assert other.ask("PUBSUB", "NUMPAT") == 1


def test_the_driver_subscribes(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    with client.pubsub() as pubsub:
        pubsub.subscribe("a", "b")
        pubsub.psubscribe("p*")
        confirmations = [pubsub.get_message(timeout=5) for _ in range(3)]
        assert [each["type"] for each in confirmations] == ["subscribe", "subscribe", "psubscribe"]
        assert client.publish("a", "one") == 1
        assert client.publish("pattern", "two") == 1
        messages = [pubsub.get_message(timeout=5) for _ in range(2)]
        assert [(each["type"], each["channel"], each["data"]) for each in messages] == [
            ("message", b"a", b"one"),
            ("pmessage", b"pattern", b"two"),
        ]
        pubsub.unsubscribe("a", "b")
        pubsub.punsubscribe()
        kinds = [pubsub.get_message(timeout=5)["type"] for _ in range(3)]
        assert kinds == ["unsubscribe", "unsubscribe", "punsubscribe"]
        assert client.publish("a", "nobody") == 0
    assert client.ping() is True


def test_a_pubsub_thread_of_the_driver(endpoint: Endpoint) -> None:
    client = endpoint.client()
    arrived = threading.Event()
    got: list[bytes] = []

    def handle(message: dict[str, bytes]) -> None:
        got.append(message["data"])
        if len(got) == 100:
            arrived.set()

    pubsub = client.pubsub()
    pubsub.subscribe(a=handle)
    thread = pubsub.run_in_thread(sleep_time=0.01)
    try:
        wait_until_equal(
            lambda: client.pubsub_numsub("a"), [(b"a", 1)], "the thread has subscribed"
        )
        for number in range(100):
            client.publish("a", number)
        assert arrived.wait(10)
    finally:
        thread.stop()
        thread.join()
        pubsub.close()
    assert got == [b"%d" % number for number in range(100)]


def test_monitor_shows_what_others_do_until_reset(endpoint: Endpoint) -> None:
    monitor, other = endpoint.raw(), endpoint.raw()
    other.command("PING")
    assert monitor.command("MONITOR") == b"+OK\r\n"
    for number in range(20):
        other.command("SET", "watched-key", number)
    seen: list[bytes] = []
    while len(seen) < 20:
        line = monitor.frame()
        assert line.startswith(b"+")
        if b"watched-key" in line:
            seen.append(line)
    assert [line.split()[-1] for line in seen] == [b'"%d"' % number for number in range(20)]
    monitor.send(encode("RESET"))
    while monitor.frame() != b"+RESET\r\n":
        pass
    other.command("SET", "watched-key", "unseen")
    assert monitor.command("GET", "watched-key") == b"$6\r\nunseen\r\n"


def test_monitor_of_the_driver_delays_nobody(endpoint: Endpoint) -> None:
    client, other = endpoint.client(), endpoint.client()
    with client.monitor() as monitor:
        other.set("monitored", 1)
        commands = iter(monitor.next_command, None)
        assert any("monitored" in command["command"] for command in commands)
    assert client.get("monitored") == b"1"


def test_pubsub_survives_errors_of_the_same_connection(endpoint: Endpoint) -> None:
    client = endpoint.client(protocol=3)
    with pytest.raises(redis.ResponseError):
        client.execute_command("SUBSCRIBE")
    assert client.ping() is True


def test_refused_words_among_subscriptions_shift_nothing(endpoint: Endpoint) -> None:
    """RESP2: a subscriber may not say MULTI; the confirmations after it are still confirmations."""
    raw = endpoint.raw()
    words = (("SUBSCRIBE", "a"), ("MULTI",), ("GET", "k"), ("UNSUBSCRIBE",), ("PING",))
    raw.send(b"".join(encode(*each) for each in words))
    values = [raw.value() for _ in words]
    assert values[0] == [b"subscribe", b"a", 1]
    assert str(values[1]).startswith("ERR Can't execute 'multi'")
    assert str(values[2]).startswith("ERR Can't execute 'get'")
    assert values[3:] == [[b"unsubscribe", b"a", 0], b"PONG"]
