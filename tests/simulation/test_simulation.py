"""Seeds: a fixed set in every run of the tests; a swarm, by count, in the long ones (SIM_SEEDS, SIM_FIRST)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import cluster_workloads as _cluster_workloads  # noqa: F401  they register themselves
from simulation import cql_cache as _cql_cache  # noqa: F401
from simulation import cql_ring_workloads as _cql_ring_workloads  # noqa: F401
from simulation import cql_workloads as _cql_workloads  # noqa: F401
from simulation import mutants
from simulation.ops import Draw
from simulation.plan import ClientPlan, Plan, sink, topology
from simulation.run import Simulation, play
from simulation.workloads import WORKLOADS, plan_for, with_replaces

FIXED = range(30)
"""Seeds that every workload is run with."""
REPLACED = range(12)
"""... while its source is replaced."""
FOUND = {
    # a client that left while a command blocked and max_pending_requests was reached stayed for ever
    ("leaving", 4),
    ("leaving", 26),
    ("leaving", 48),
    # half a reply that had come while a step held the one before it went out behind its other half
    ("storm", 252),
    # a half-closed client lost replies that were already there when what it waited for blocked
    ("leases", 122),
    ("states", 222),
    ("pipelines", 374),
    # ... or stayed for ever, when its lease was still being greeted, or a Tee's copy blocked
    ("states", 563),
    ("storm", 208),
    # a published message overtook replies that a Tee held
    ("storm", 241),
    ("storm", 329),
    # SUBSCRIBE to two channels was answered with two errors
    ("broken_upstream", 126),
    # CLIENT REPLY SKIP was refused, and the client went on without knowing which replies would come
    ("small_limits", 866),
    ("small_limits", 195),
    # when a request that had waited was refused, the next one (a Tee's) overtook those that still waited
    ("tee", 2657),
    # a client that sent what is no request behind a blocking command, and left, stayed for ever
    ("storm", 2760),
    # a client about to be closed was still sent the reply to a request behind the one it would get none for
    ("fan_out", 10721),
    # a client that finished in the middle of a big request lost the replies to what it had sent ahead of it on its lease
    ("uploads", 13),
    ("uploads", 114),
    # a big request waited for its rest, its client, who had enough requests under way, to be read: for ever
    ("leaving", 20192),
    ("leaving", 46022),
    ("small_limits", 45356),
    # a client left in the middle of a big request whose lease was still being opened: half of it was sent, and waited for
    ("pipelines", 44674),
    # the second MOVED of a slot made its new node its own predecessor: younger requests overtook older ones
    ("cluster_failover", 260),
    ("cluster_forming", 340),
    # a part of a split request whose connection hung up in its greeting was never answered
    ("cluster_storm", 89),
    # what has no keys overtook a login; a lease kept the state that its client had left
    ("cluster_forming", 178),
    ("cluster_storm", 461),
    # a part that was sent on overtook an older request that had been refused for now
    ("cluster_moving", 5053),
    # a client that left with SUBSCRIBE on its way was never freed
    ("cluster_broken", 117),
    # a request that waited behind MULTI expired out of the transaction, which ran without it
    ("cluster_forming", 10),
}
"""Workload and seed of what was found and mended."""
LONG_SEEDS = int(os.environ.get("SIM_SEEDS", "3000"))
LONG_FIRST = int(os.environ.get("SIM_FIRST", "10000"))
ROOT = Path(__file__).resolve().parents[2]


def hold(workload: str, seed: int) -> Simulation:
    """Plays a seed; a violation fails with the command that replays it."""
    plan = plan_for(seed, workload)
    simulation = play(plan)
    if simulation.violations:
        replay = f".venv/bin/python tests/simulation {seed} {workload} --trace"
        lines = [plan.sentence(), plan.topology, *simulation.violations, f"replay: {replay}"]
        pytest.fail("\n".join(lines), pytrace=False)
    return simulation


@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_must_hold_holds(workload: str) -> None:
    answered = 0
    for seed in FIXED:
        simulation = hold(workload, seed)
        answered += sum(
            sent.reply is not None for client in simulation.clients for sent in client.history
        )
    assert answered > 100, "the seeds are too tame to say anything"


@pytest.mark.parametrize("workload, seed", sorted(FOUND))
def test_what_was_found_once_stays_mended(workload: str, seed: int) -> None:
    hold(workload, seed)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_sources_are_replaced_in_the_midst_of_it(workload: str) -> None:
    """What must hold holds, and of what was replaced nothing is left in the end."""
    replaced = 0
    for seed in REPLACED:
        plan = with_replaces(seed, workload)
        simulation = play(plan)
        replaced += simulation.replaced
        replay = f".venv/bin/python tests/simulation {seed} {workload} --replace --trace"
        lines = [plan.sentence(), plan.topology, *simulation.violations, f"replay: {replay}"]
        assert not simulation.violations, "\n".join(lines)
    # Clients of these rings come when the ring is known, long after sources are replaced.
    assert replaced > 4 or workload in ("cql_ring_slow", "cql_ring_moves")


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_seed_plays_the_same_twice(workload: str) -> None:
    first, second = (play(plan_for(7, workload)) for _ in range(2))
    assert (first.digest(), first.turns) == (second.digest(), second.turns)
    assert first.digest() != play(plan_for(8, workload)).digest()


def test_tracing_changes_nothing() -> None:
    quiet = play(plan_for(3, "storm"))
    traced = play(plan_for(3, "storm"), trace=True)
    assert quiet.digest() == traced.digest()
    assert any("worker sends" in line for line in traced.trace())


def test_both_shapes_of_poller_are_played() -> None:
    shapes = {
        plan_for(seed, workload).world["completion"] for workload in WORKLOADS for seed in FIXED
    }
    assert shapes == {0, 1}


def test_big_requests_are_streamed() -> None:
    """By both shapes of poller; some are left, refused or lost in the middle."""
    streamed = [0, 0]
    cut_short = 0
    for seed in FIXED:
        simulation = hold("uploads", seed)
        completion = simulation.plan.world["completion"]
        streamed[completion] += int(simulation.sample("shotover_streamed_requests_count"))
        cut_short += sum(client.cut_short for client in simulation.clients)
    assert min(streamed) > 20
    assert cut_short > 0


def test_a_broken_promise_fails_with_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that does not write down what it answers makes every reply one that no server has given."""
    monkeypatch.setattr("simulation.server.Server.note", lambda *_: None)
    with pytest.raises(
        pytest.fail.Exception, match=r"replay: .*tests/simulation 1 pipelines --trace"
    ):
        hold("pipelines", 1)


def test_the_command_replays_a_seed() -> None:
    done = subprocess.run(
        [sys.executable, "tests/simulation", "5", "leases"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert play(plan_for(5, "leases")).digest() in done.stdout


def test_an_answer_for_another_client_is_noticed() -> None:
    """The harness itself: a reply with the right form and the wrong origin."""
    plan = Plan(1, "by hand", topology=topology(sink()))
    draw = Draw(random.Random(1), 0, 0)
    plan.clients = [ClientPlan(0, [("send", [draw.tagged("ECHO", "mine")], 1), ("await",)])]
    simulation = Simulation(plan)
    simulation.servers[0].send = lambda connection, data: simulation.world.send(  # type: ignore[method-assign]
        connection.conn, data.replace(b"mine", b"hers")
    )
    simulation.run()
    assert "hers" in simulation.violations[0]


@pytest.mark.long
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_swarm_of_seeds(workload: str) -> None:
    for seed in range(LONG_FIRST, LONG_FIRST + LONG_SEEDS // len(WORKLOADS)):
        hold(workload, seed)


def test_every_mutant_has_its_place() -> None:
    """The code that the mutants break is still there, and each breaks something of its own."""
    found = mutants.read()
    assert len({mutant.name for mutant in found}) == len(found) >= 20


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_known_ways_to_break_the_code_are_noticed() -> None:
    fates = list(mutants.all_fates())
    print("\n".join(map(mutants.row, fates)))
    assert not [fate.mutant.name for fate in fates if not fate.caught]
