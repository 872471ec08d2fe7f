"""Pipelines and transactions through redis-py."""

from __future__ import annotations

import threading

import pytest
import redis
from support.endpoint import Endpoint
from support.resp import RawClient, encode

pytestmark = pytest.mark.variants


def test_a_pipeline_answers_in_order(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"k{number}", number).get(f"k{number}").incr(f"k{number}")
        replies = pipe.execute()
    assert replies == [
        each for number in range(1000) for each in (True, b"%d" % number, number + 1)
    ]


def test_an_error_in_the_middle_shifts_no_other_reply(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    pipe = client.pipeline(transaction=False)
    pipe.set("a", 1).lpush("a", 2).get("a").execute_command("NOSUCH").get("a")
    replies = pipe.execute(raise_on_error=False)
    assert [type(reply) for reply in replies] == [
        bool, redis.ResponseError, bytes, redis.ResponseError, bytes,
    ]  # fmt: skip
    assert client.pipeline(transaction=False).execute() == []


def test_a_transaction_is_all_or_nothing(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    assert client.pipeline().set("a", 1).incr("a").hset("h", "f", "v").hgetall("h").execute() == [
        True, 2, 1, {b"f": b"v"},
    ]  # fmt: skip
    with pytest.raises(redis.ResponseError):
        client.pipeline().set("a", 99).execute_command("NOSUCH").execute()
    assert client.get("a") == b"2"
    replies = client.pipeline().incr("a").lpush("a", 1).incr("a").execute(raise_on_error=False)
    assert (replies[0], replies[2]) == (3, 4)
    assert "WRONGTYPE" in str(replies[1])


def test_a_watched_key_that_changed_aborts(endpoint: Endpoint, driver: str) -> None:
    client, other = endpoint.client(driver=driver), endpoint.client(driver=driver)
    client.set("a", 1)
    with client.pipeline() as pipe:
        pipe.watch("a")
        assert pipe.get("a") == b"1"
        other.set("a", 2)
        pipe.multi()
        pipe.set("a", 3)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.get("a") == b"2"
    with client.pipeline() as pipe:
        pipe.watch("a")
        pipe.unwatch()
        other.set("a", 3)
        pipe.multi()
        pipe.get("a")
        assert pipe.execute() == [b"3"]


def test_the_retry_loop_of_transaction_counts_right_among_rivals(endpoint: Endpoint) -> None:
    rivals, rounds = 6, 15

    def count(client: redis.Redis) -> None:
        def step(pipe: redis.client.Pipeline) -> None:
            value = int(pipe.get("n") or 0)
            pipe.multi()
            pipe.set("n", value + 1)

        for _ in range(rounds):
            client.transaction(step, "n")

    threads = [threading.Thread(target=count, args=(endpoint.client(),)) for _ in range(rivals)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert endpoint.client().get("n") == b"%d" % (rivals * rounds)


def test_nobody_gets_between_multi_and_exec(endpoint: Endpoint) -> None:
    """A neighbour's commands, sent while a transaction is being queued, are not part of it."""
    one, other = endpoint.raw(), endpoint.raw()
    assert one.command("MULTI") == b"+OK\r\n"
    for number in range(50):
        assert one.command("RPUSH", "l", number) == b"+QUEUED\r\n"
        assert other.command("LLEN", "l") == b":0\r\n"
        assert other.command("SET", "k", number) == b"+OK\r\n"
    assert len(one.ask("EXEC")) == 50
    assert other.command("LLEN", "l") == b":50\r\n"


def test_two_transactions_interleave_without_mixing(endpoint: Endpoint) -> None:
    one, other = endpoint.raw(), endpoint.raw()
    assert one.command("MULTI") == other.command("MULTI") == b"+OK\r\n"
    for number in range(10):
        assert one.command("RPUSH", "one", number) == b"+QUEUED\r\n"
        assert other.command("RPUSH", "other", number) == b"+QUEUED\r\n"
    assert one.command("DISCARD") == b"+OK\r\n"
    assert len(other.ask("EXEC")) == 10
    assert one.command("EXISTS", "one") == b":0\r\n"
    assert one.command("EXISTS", "other") == b":1\r\n"


def test_watch_sees_a_change_by_its_own_connection_too(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    raw.command("WATCH", "a")
    raw.command("SET", "a", "1")
    raw.command("MULTI")
    raw.command("GET", "a")
    assert raw.command("EXEC") == b"*-1\r\n"


def test_a_whole_transaction_in_one_segment(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    words = (("MULTI",), ("INCR", "a"), ("INCR", "a"), ("EXEC",), ("GET", "a"))
    raw.send(b"".join(encode(*each) for each in words))
    assert b"".join(raw.frames(5)) == b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n$1\r\n2\r\n"


def test_a_pipeline_deeper_than_any_buffer(endpoint: Endpoint) -> None:
    """100,000 requests whose replies are read only as they come:

    Nothing lost, nothing reordered.
    """
    raw = endpoint.raw()
    total = 100_000
    wire = b"".join(encode("ECHO", number) for number in range(total))
    expected = b"".join(b"$%d\r\n%d\r\n" % (len(str(number)), number) for number in range(total))
    assert raw.exchange(wire, len(expected)) == expected
    assert raw.silent()


def test_many_clients_at_once_each_get_their_own(endpoint: Endpoint) -> None:
    raws = [endpoint.raw() for _ in range(100)]
    for turn in range(20):
        for index, raw in enumerate(raws):
            raw.send(
                encode("SET", f"k{index}", f"{index}-{turn}")
                + encode("GET", f"k{index}")
                + encode("ECHO", index)
            )
        for index, raw in enumerate(raws):
            value = f"{index}-{turn}".encode()
            assert raw.frames(3) == [
                b"+OK\r\n",
                b"$%d\r\n%b\r\n" % (len(value), value),
                b"$%d\r\n%d\r\n" % (len(str(index)), index),
            ]


# What begins behind the end of a transaction, in the same segment.
RESTARTS = {
    "MULTI after EXEC": (("MULTI",), ("EXEC",), ("MULTI",)),
    "MULTI after DISCARD": (("MULTI",), ("DISCARD",), ("MULTI",)),
    "MULTI after a wrong EXEC": (("WATCH", "z"), ("EXEC",), ("MULTI",)),
    "MULTI after UNWATCH": (("WATCH", "z"), ("UNWATCH",), ("MULTI",)),
    "MULTI twice": (("MULTI",), ("MULTI",)),
}


@pytest.mark.parametrize("name", RESTARTS)
def test_a_transaction_begun_behind_another_is_still_open(endpoint: Endpoint, name: str) -> None:
    opening = b"".join(encode(*words) for words in RESTARTS[name])
    count = len(RESTARTS[name])

    def talk(raw: RawClient, other: RawClient) -> list[bytes]:
        raw.send(opening)
        replies = raw.frames(count)
        for _ in range(3):
            replies += [raw.command("INCR", "n"), other.command("GET", "n"), other.command("EXEC")]
        return [*replies, raw.command("EXEC"), raw.command("GET", "n")]

    with endpoint.server.raw() as raw, endpoint.server.raw() as other:
        expected = talk(raw, other)
    endpoint.server.clean()
    assert expected.count(b"+QUEUED\r\n") == 3
    assert talk(endpoint.raw(), endpoint.raw()) == expected


@pytest.mark.parametrize("before", [("EXEC",), ("DISCARD",), ("UNWATCH",)])
def test_a_watch_behind_the_end_of_another_still_watches(
    endpoint: Endpoint, before: tuple[str]
) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    opening = (("WATCH", "a"),) if before == ("UNWATCH",) else (("MULTI",),)
    raw.send(b"".join(encode(*each) for each in (*opening, before, ("WATCH", "a"))))
    raw.frames(3)
    other.command("SET", "a", "changed")
    raw.command("MULTI")
    raw.command("SET", "a", "mine")
    assert raw.command("EXEC") == b"*-1\r\n"
