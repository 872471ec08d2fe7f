"""The load generator against a real server: it counts right, times right and notices what is wrong."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import replace

import pytest

from shotover.benchmark.generator import (
    Generator,
    fill,
    get_command,
    mget_command,
    mset_command,
    ping_command,
    set_command,
    value_of,
)
from shotover.benchmark.processes import Address, ask, free_port

KEYS = 500
FIRST_KEY = b"key:000000000000"


def calls(address: Address, command: str) -> int:
    """How often the server itself says it ran a command."""
    text = ask(address, b"INFO", b"commandstats").decode()
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", text)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("use_poll", [False, True], ids=["epoll", "poll"])
@pytest.mark.parametrize(
    ("clients", "pipeline", "requests"), [(1, 1, 300), (50, 1, 5_000), (7, 16, 10_000), (3, 5, 7)]
)
def test_it_sends_as_many_requests_as_asked_and_the_server_saw_as_many(
    address: Address, clients: int, pipeline: int, requests: int, use_poll: bool
) -> None:
    fill(address, 64, KEYS)
    with Generator(
        address,
        [get_command(64)],
        clients=clients,
        pipeline=pipeline,
        key_count=KEYS,
        use_poll=use_poll,
    ) as generator:
        result = generator.run(30, requests=requests)
    assert (result.issued, result.replies, result.latency.total) == (requests, requests, requests)
    assert result.complaint() == ""
    assert calls(address, "get") == requests


def test_filling_sets_every_key_once_to_a_value_that_begins_with_it(address: Address) -> None:
    fill(address, 64, KEYS)
    assert ask(address, b"DBSIZE") == b":%d\r\n" % KEYS
    assert calls(address, "set") == KEYS
    assert ask(address, b"GET", b"key:%012d" % 123) == b"$64\r\n%s\r\n" % value_of(
        64, b"key:%012d" % 123
    )


def test_latencies_of_a_closed_loop_add_up_to_the_time_its_clients_spent_waiting(
    address: Address,
) -> None:
    fill(address, 64, KEYS)
    with Generator(address, [get_command(64)], clients=4, key_count=KEYS) as generator:
        result = generator.run(0.3)
    spent_ns = 4 * result.seconds * 1e9
    assert 0.5 * spent_ns < result.latency.sum_ns < 1.05 * spent_ns
    assert (
        0 < result.latency.percentile(50) <= result.latency.percentile(99) <= result.latency.most_ns
    )
    assert result.latency.percentile(100) == pytest.approx(result.latency.most_ns, rel=0.01)


def test_a_run_by_time_ends_in_time_and_the_connections_serve_the_next_run(
    address: Address,
) -> None:
    fill(address, 64, KEYS)
    with Generator(address, [get_command(64)], clients=5, pipeline=4, key_count=KEYS) as generator:
        first, second = generator.run(0.2), generator.run(0.1)
    assert 0.15 < first.seconds < 2
    assert second.replies > 0 and second.complaint() == ""
    assert calls(address, "get") == first.replies + second.replies


def test_a_constant_open_loop_keeps_its_rate(address: Address) -> None:
    fill(address, 64, KEYS)
    with Generator(
        address, [get_command(64)], clients=10, rate=2_000, poisson=False, key_count=KEYS
    ) as generator:
        result = generator.run(0.5)
    assert abs(result.issued - 1_000) <= 1
    assert result.replies == result.issued


def test_a_poisson_open_loop_keeps_its_rate_on_average(address: Address) -> None:
    fill(address, 64, KEYS)
    with Generator(
        address, [get_command(64)], clients=10, rate=4_000, key_count=KEYS, seed=5
    ) as generator:
        result = generator.run(0.5)
    assert (
        2_000 - 5 * 45 < result.issued < 2_000 + 5 * 45
    )  # 45 = the standard deviation of 2,000 arrivals
    assert result.replies == result.issued


def test_an_open_loop_charges_a_stall_to_every_request_it_delayed_and_a_closed_loop_to_one(
    address: Address,
) -> None:
    fill(address, 64, KEYS)

    def slow_ones(rate: float) -> tuple[int, int]:
        with Generator(
            address, [get_command(64)], clients=1, rate=rate, poisson=False, key_count=KEYS
        ) as generator:
            ask(address, b"CLIENT", b"PAUSE", b"300", b"ALL")
            result = generator.run(0.6)
        slow = sum(
            count for index, count in result.latency.counts.items() if index > 2_500
        )  # above 25 ms
        return slow, result.replies

    open_slow, open_all = slow_ones(rate=1_000)
    closed_slow, closed_all = slow_ones(rate=0)
    assert open_all == pytest.approx(600, abs=1)
    assert open_slow > 150
    assert closed_slow < 5 < closed_all


def test_a_mix_has_the_weights_asked_for(address: Address) -> None:
    fill(address, 64, KEYS)
    ask(address, b"CONFIG", b"RESETSTAT")
    with Generator(
        address, [get_command(64, 4), set_command(64, 1)], clients=5, pipeline=8, key_count=KEYS
    ) as generator:
        result = generator.run(30, requests=10_000)
    assert result.complaint() == ""
    assert calls(address, "get") + calls(address, "set") == 10_000
    assert 7_800 < calls(address, "get") < 8_200  # 40 = the standard deviation


@pytest.mark.parametrize("size", [1, 15, 16, 64, 5_000, 200_000, 1 << 20])
def test_values_of_any_size_come_back_whole(address: Address, size: int) -> None:
    fill(address, size, 4)
    for command in (get_command(size), set_command(size)):
        with Generator(address, [command], clients=3, key_count=4) as generator:
            result = generator.run(30, requests=40)
        assert result.replies == 40 and result.complaint() == ""


def test_commands_of_many_keys_are_checked_key_by_key(address: Address) -> None:
    with Generator(
        address, [mset_command(64, 100)], clients=2, pipeline=3, key_count=KEYS, sequential=True
    ) as generator:
        assert generator.run(30, requests=2 * KEYS).complaint() == ""
    assert ask(address, b"DBSIZE") == b":%d\r\n" % KEYS
    with Generator(
        address, [mget_command(64, 100)], clients=2, pipeline=3, key_count=KEYS
    ) as generator:
        assert generator.run(30, requests=100).complaint() == ""
        ask(address, b"SET", FIRST_KEY, value_of(64, b"key:%012d" % 1))
        assert generator.run(30, requests=100).wrong > 0


def test_error_replies_are_counted_and_the_first_is_told(address: Address) -> None:
    ask(address, b"LPUSH", FIRST_KEY, b"x")
    with Generator(address, [get_command(64)], clients=2, pipeline=2, key_count=1) as generator:
        result = generator.run(30, requests=50)
    assert (result.replies, result.errors, result.wrong) == (50, 50, 0)
    assert result.error_text.startswith("-WRONGTYPE Operation against a key")
    assert result.failures == 50


def test_missing_keys_are_counted(address: Address) -> None:
    with Generator(address, [get_command(64)], clients=2, key_count=KEYS) as generator:
        assert generator.run(30, requests=50).nils == 50
    with Generator(address, [mget_command(64, 10)], clients=2, key_count=KEYS) as generator:
        assert generator.run(30, requests=50).nils == 50


def test_values_of_the_wrong_size_are_counted(address: Address) -> None:
    fill(address, 32, KEYS)
    with Generator(address, [get_command(64)], clients=2, key_count=KEYS) as generator:
        assert generator.run(30, requests=50).wrong == 50


def test_a_value_of_another_key_is_noticed(address: Address) -> None:
    ask(address, b"SET", FIRST_KEY, value_of(64, b"key:%012d" % 7))
    with Generator(address, [get_command(64)], clients=1, key_count=1) as generator:
        assert generator.run(30, requests=50).wrong == 50


def test_a_reply_of_another_type_is_noticed(address: Address) -> None:
    ask(address, b"SET", FIRST_KEY, b"ok")
    with Generator(address, [ping_command()], clients=1) as generator:
        assert generator.run(30, requests=5).complaint() == ""
    with Generator(
        address, [replace(get_command(2), expects="ok")], clients=1, key_count=1
    ) as generator:
        assert generator.run(30, requests=5).wrong == 5


def test_connections_killed_by_the_server_are_counted_with_what_they_owed(address: Address) -> None:
    fill(address, 64, KEYS)
    with Generator(address, [get_command(64)], clients=3, key_count=KEYS) as generator:
        ask(address, b"CLIENT", b"PAUSE", b"400", b"ALL")
        result = generator.run(0.05, drain_seconds=0.05)
        assert (result.issued, result.replies, result.lost, result.closed) == (3, 0, 3, 3)
        assert generator.run(0.1).issued == 0


def test_a_signal_ends_a_run(address: Address) -> None:
    class Rung(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rung

    fill(address, 64, KEYS)
    before = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    try:
        with (
            Generator(address, [get_command(64)], clients=2, key_count=KEYS) as generator,
            pytest.raises(Rung),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            generator.run(30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "wrong", [{"pipeline": 0}, {"key_count": 0}, {"rate": -1.0}, {"clients": 0}]
)
def test_senseless_settings_are_refused(address: Address, wrong: dict) -> None:
    with pytest.raises(ValueError), Generator(address, [get_command(64)], **wrong):
        pass


def test_a_target_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError), Generator(("127.0.0.1", free_port()), [get_command(64)]):
        pass
