"""RequestThrottling by the simulator's clock: what passes in which second is known beforehand."""

from __future__ import annotations

import random

import pytest

from simulation.ops import Draw
from simulation.plan import MS, ClientPlan, Plan, sink, topology
from simulation.run import Simulation, play

SECOND = 1000 * MS


def throttled(fields: str, *scripts: list[tuple[str, ...] | int]) -> Simulation:
    """Plays clients that each send lists of requests, waiting for the replies; a number is a sleep in ns."""
    plan = Plan(1, "by hand", topology=topology("RequestThrottling: {%s}" % fields, sink()))
    plan.excuses.add("throttle")
    for index, steps in enumerate(scripts):
        draw = Draw(random.Random(index), index, 0)
        script: list[tuple] = []
        for step in steps:
            if isinstance(step, int):
                script.append(("sleep", step))
            else:
                ops = [draw.tagged(*words.split()) for words in step]
                script += [("send", ops, 1), ("await",)]
        plan.clients.append(ClientPlan(0, script))
    simulation = play(plan)
    assert simulation.violations == []
    return simulation


def passed(simulation: Simulation, client: int = 0) -> list[int]:
    """How many of the requests of each name a client got through, by the second of its life."""
    begin = simulation.clients[client].history[0].at_ns
    seconds: dict[int, int] = {}
    for sent in simulation.clients[client].history:
        second = (sent.at_ns - begin) // SECOND
        seconds.setdefault(second, 0)
        seconds[second] += b"RequestThrottling" not in sent.reply
    return [seconds[second] for second in sorted(seconds)]


GETS = ("GET k:0:1",) * 40


def test_a_bucket_fills_with_time() -> None:
    played = throttled(
        "limits: [{name: all, rate: 10, burst: 20}]",
        [GETS, SECOND, GETS, SECOND, GETS, 3 * SECOND, GETS],
    )
    assert passed(played) == [20, 10, 10, 20]
    assert played.sample("shotover_limit_refusals_count") == 4 * 40 - 60


def test_clients_share_a_bucket_or_have_their_own() -> None:
    scripts = [[GETS, SECOND, GETS]] * 3
    shared = throttled("limits: [{name: all, rate: 10, burst: 20}]", *scripts)
    totals = [
        sum(each) for each in zip(*(passed(shared, index) for index in range(3)), strict=True)
    ]
    assert totals == [20, 10]
    own = throttled("limits: [{name: own, rate: 10, burst: 20, per: client}]", *scripts)
    assert [passed(own, index) for index in range(3)] == [[20, 10]] * 3


def test_weights_slow_it_down() -> None:
    played = throttled(
        "limits: [{name: all, rate: 10, burst: 20}], weights: [{command: GET, weight: 5}]",
        [GETS, SECOND, GETS, SECOND, GETS],
    )
    assert passed(played) == [4, 2, 2]


@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (7, 3), (250, 10)])
def test_who_waits_as_long_as_the_error_says_is_let_in(rate: int, burst: int) -> None:
    fields = f"limits: [{{name: all, rate: {rate}, burst: {burst}}}]"
    first = throttled(fields, [("GET k:0:1",) * (burst + 1)])
    refused = first.clients[0].history[-1].reply
    assert b"over the limit all, try again in " in refused
    wait = int(refused.partition(b"try again in ")[2].split()[0])
    assert 1000 / rate - 10 < wait <= 1000 / rate + 1
    script = [("GET k:0:1",) * (burst + 1), wait * MS, ("GET k:0:1",)]
    again = throttled(fields, script)
    assert b"RequestThrottling" not in again.clients[0].history[-1].reply


def test_keys_are_metered_apart_in_time() -> None:
    played = throttled(
        "limits: [{name: owner, rate: 1, burst: 2, per: prefix, prefix: 'k:'}]",
        [("GET k:0:1", "GET k:0:2", "GET k:1:1", "GET k:0:3"), SECOND, ("GET k:0:1", "GET k:0:1")],
    )
    replies = [b"RequestThrottling" in sent.reply for sent in played.clients[0].history]
    assert replies == [False, False, False, True, False, True]
