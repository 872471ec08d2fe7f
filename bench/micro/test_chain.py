"""What a chain costs by itself, and each step in it: compiled ones, and a guest in Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.inprocess import Inline, inline
from support.native import load
from support.resp import encode

from shotover import Transform
from shotover._codec.key_rules import KeyRules
from shotover.config.steps import SinkConfig
from shotover.runtime.assemble import BuildContext
from shotover.transforms.key_router import KeyRouterConfig
from shotover.transforms.query_counter import QueryCounterConfig
from shotover.transforms.request_throttling import Limit, RequestThrottlingConfig

REQUESTS = 32_000


def wide(name: str, **fields: Any) -> Limit:
    """A limit that refuses nothing."""
    return Limit(name=name, rate=1e9, burst=2**32 - 1, **fields)


THROTTLES: dict[str, dict[str, Any]] = {
    "max_requests_per_second": {"max_requests_per_second": 2**32 - 1},
    "a limit for all": {"limits": (wide("all"),)},
    "a limit per user": {"limits": (wide("users", per="user"),)},
    "a limit per client": {"limits": (wide("clients", per="client"),)},
    "a limit per prefix": {"limits": (wide("prefixes", prefix="key:", per="prefix"),)},
    "a limit by class, one per user, one per key": {
        "limits": (
            wide("reads", classes=("read",)),
            wide("users", per="user"),
            wide("keys", per="key"),
        )
    },
    "30 limits by prefixes, none of them the key's": {
        "limits": tuple(wide(f"p{number}", prefix=f"other:{number}:") for number in range(30))
    },
}
PAIRS = 25
GET = encode("GET", "key:000000012345")


class BottomConfig(SinkConfig, tag="Bottom"):
    """Where a sink would be."""

    def build(self, context: BuildContext) -> Any:
        return load("chain_probe").Bottom(context)


class Looks(Transform):
    """The guest of the demand: it looks at command and key of each request."""

    def on_request(self, request: Any) -> None:
        if request.command == b"FLUSHALL" or request.key == b"secret":
            request.refuse("no")


class LooksAtBatches(Transform):
    def on_requests(self, batch: Any) -> None:
        for request in batch:
            if request.command == b"FLUSHALL" or request.key == b"secret":
                request.refuse("no")


class Edits(Transform):
    def on_request(self, request: Any) -> None:
        request.args[1] = b"tenant:12345"


class SeesReplies(Transform):
    commands = ("PING",)

    def on_request(self, request: Any) -> None:
        raise AssertionError("nobody asks for PING")


def counters(count: int) -> list[Any]:
    return [QueryCounterConfig(name=f"counter{index}") for index in range(count)]


def bottom_of(worker: Any, steps: Sequence[Any]) -> Any:
    """The last step of a chain of `steps`, which runs batches down it: see chain_probe."""
    context = BuildContext(worker, "redis", "redis", "redis", {})
    chain = context.chain("redis", [*steps, BottomConfig(name="bottom")], root=True)
    return chain.steps[-1]


@pytest.mark.parametrize("hops", [0, 1, 32])
@pytest.mark.parametrize("batch", [1, 16])
def test_chain(cost: Any, worker: Any, batch: int, hops: int) -> None:
    bottom = bottom_of(worker, counters(hops))
    rounds = REQUESTS // batch
    what = f"a request through {hops} QueryCounters, in batches of {batch}"
    cost(what, REQUESTS, lambda: bottom.laps(GET, batch, rounds))


@pytest.mark.parametrize("count", [1, 10_000])
@pytest.mark.parametrize("batch", [1, 16])
def test_key_router(noted: Any, worker: Any, batch: int, count: int) -> None:
    """What it adds to a chain, with `count` prefixes of which the last one is the request's."""
    rules = [RowOf(f"tenant:{number:06}:") for number in range(count)]
    model = KeyRouterConfig(
        name="router", chains={"one": [BottomConfig(name="b")]}, default=[BottomConfig(name="d")]
    )
    model.__dict__["compiled"] = KeyRules([rule.row for rule in rules])
    model.__dict__["type_name"] = "KeyRouter"
    top = BuildContext(worker, "redis", "redis", "redis", {}).chain("redis", [model], root=True)
    bottom, alone = top.steps[0].chains[1].steps[0], bottom_of(worker, [])
    wire = encode("GET", f"tenant:{count - 1:06}:name")
    rounds = REQUESTS // batch
    ns = []
    for _ in range(PAIRS):
        start = time.thread_time_ns()
        assert alone.laps(wire, batch, rounds) == REQUESTS
        middle = time.thread_time_ns()
        assert bottom.laps(wire, batch, rounds, top) == REQUESTS
        ns.append((time.thread_time_ns() - middle - (middle - start)) / REQUESTS)
    noted(f"a request through a KeyRouter of {count} rules, in batches of {batch}", ns)


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("what", THROTTLES)
def test_throttling(noted: Any, worker: Any, what: str, batch: int) -> None:
    """The difference that a RequestThrottling makes that refuses nothing, measured turn by turn."""
    model = RequestThrottlingConfig(name="throttling", **THROTTLES[what])
    none, one = bottom_of(worker, []), bottom_of(worker, [model])
    noted(f"RequestThrottling with {what}, in batches of {batch}", differences(none, one, batch))


class RowOf:
    """A rule for a prefix, as the compiled table takes it."""

    def __init__(self, prefix: str) -> None:
        self.row = (1, "prefix", prefix.encode(), 0, 0, None, None, ())


@pytest.mark.parametrize("batch", [1, 16])
def test_each_further_compiled_hop(noted: Any, worker: Any, batch: int) -> None:
    """The difference between 32 hops and none, measured turn by turn."""
    none, many = bottom_of(worker, []), bottom_of(worker, counters(32))
    noted(f"each further compiled step, in batches of {batch}",
          [difference / 32 for difference in differences(none, many, batch)])  # fmt: skip


GUESTS: dict[str, Callable[[], Inline]] = {
    "looks at command and key": lambda: inline(Looks),
    "looks at command and key, a batch at a time": lambda: inline(LooksAtBatches),
    "edits a word": lambda: inline(Edits),
    "wants other commands": lambda: inline(SeesReplies),
}


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("guest", GUESTS)
def test_python_hop(noted: Any, worker: Any, guest: str, batch: int) -> None:
    """The difference that one transform in Python makes, measured turn by turn."""
    none, one = bottom_of(worker, []), bottom_of(worker, [GUESTS[guest]()])
    noted(
        f"a transform in Python that {guest}, in batches of {batch}", differences(none, one, batch)
    )


def differences(plain: Any, other: Any, batch: int) -> list[float]:
    """Nanoseconds a request by which `other` takes longer, in each of many pairs of turns."""

    def turn(bottom: Any) -> float:
        start = time.thread_time_ns()
        assert bottom.laps(GET, batch, REQUESTS // batch) == REQUESTS
        return (time.thread_time_ns() - start) / REQUESTS

    for _ in range(3):
        turn(plain), turn(other)
    return [turn(other) - turn(plain) for _ in range(PAIRS)]
