"""One run: a real Worker in a simulated world, between scripted clients and servers, until nothing is left to do.

Everything is drawn from the plan's seed: the same plan gives the same run, event by event (World.digest).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from shotover._sim.world import World

from shotover._proxy.worker import Worker
from shotover.config.source import parse
from shotover.runtime.assemble import build_source, load
from simulation import checks
from simulation.client import Client
from simulation.plan import Plan
from simulation.server import Server

PORT = 6379
SLACK_NS = 3_000_000_000  # a fault may show itself so much later
TURNS_MAX = 400_000
ENDED = 2 | 4 | 8
VIOLATIONS_MAX = 10


class Stuck(Exception):
    """The run does not come to an end."""


class Simulation:
    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.world: Any = World(plan.seed, **plan.world)
        topology = plan.topology
        if plan.tls:
            from simulation import secure

            self.world = secure.secured(plan, self.world)
            topology = secure.topology_with_tls(plan)
        if trace:
            self.world.trace()
        self.tracing = trace
        self.lines: list[tuple[int, int, str]] = []
        self.violations: list[str] = []
        self.faults: list[tuple[int, int, str]] = []
        self.asked: dict[
            bytes, tuple[bytes, ...]
        ] = {}  # by tag: the words of what clients have sent
        self.due: list[tuple[int, int, Callable[[], None]]] = []
        self.scheduled = 0
        self.turns = 0
        self.draining = False
        self.replaced = 0
        self.worker_done = False
        self.port = PORT
        self.servers = [
            self.make_server(f"server {name}", port) for name, port in plan.servers.items()
        ]
        self.answering = [server for server in self.servers if server.name[7:] in plan.answering]
        self.peers: dict[int, Any] = {}
        self.by_port = {server.port: server for server in self.servers}
        self.worker = Worker(0, poller=self.world.poller(), memory_bytes_max=plan.memory_bytes_max)
        self.topology = topology
        self.source = self.build()
        self.worker.open(self.source, f"127.0.0.1:{PORT}")
        for at_ns in plan.replaces:
            self.at(at_ns, self.replace)
        self.clients: list[Client] = []
        for index, client in enumerate(plan.clients):
            self.at(client.start_ns, self.starter(index, client.script))
        for event in plan.events:
            self.at(event.at_ns, self.performer(event))
        if plan.drain_at_ns:
            self.at(plan.drain_at_ns, self.drain)

    def build(self) -> Any:
        [model] = load(
            "topology.yaml", None, {}, tree_of=lambda file: parse(self.topology, file)
        ).topology.sources
        self.chain = build_source(self.worker, model, {})
        options = model.options()
        if self.plan.seed % 2:  # it changes nothing that anybody sees
            options["inside"] = {"chance": 0.3, "slow_ns": 2_000_000, "slow_keep": 3}
        return self.worker.source("s", self.chain, options)

    def replace(self) -> None:
        """As a change of the configuration does: between two turns."""
        if not self.draining:
            self.say("another source takes its place")
            self.replaced += any(not client.over for client in self.clients)
            before, self.source = self.source, self.build()
            self.worker.replace(before, self.source)

    def starter(self, index: int, script: list[Any]) -> Callable[[], None]:
        rng = random.Random(self.rng.random())
        return lambda: self.clients.append(self.make_client(index, script, rng))

    def make_server(self, name: str, port: int) -> Any:
        return Server(self, name, port, random.Random(self.rng.random()))

    def make_client(self, index: int, script: list[Any], rng: random.Random) -> Any:
        return Client(self, index, script, rng)

    def performer(self, event: Any) -> Callable[[], None]:
        target = next((server for server in self.servers if server.name[7:] == event.target), None)
        if target is None:
            return lambda: getattr(self, event.action)(*event.values)
        return lambda: getattr(target, event.action)(*event.values)

    # -- time

    def at(self, delay_ns: int, act: Callable[[], None]) -> None:
        self.scheduled += 1
        heapq.heappush(self.due, (self.world.now + delay_ns, self.scheduled, act))

    def say(self, text: str) -> None:
        if self.tracing:
            self.lines.append((self.world.now, len(self.lines), text))

    def violation(self, text: str) -> None:
        self.say("VIOLATION: " + text)
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(text)

    def fault(self, text: str, lasts_ns: int = 0) -> None:
        """A fault was made that may explain errors from now on, and for a while after it has ended."""
        self.say("fault: " + text)
        self.faults.append((self.world.now, self.world.now + lasts_ns, text))

    def explained(self, what: str, client: Client | None = None) -> bool:
        """Whether the proxy may close a connection now: `closed`, or in the middle of a reply: `half`."""
        if self.draining or self.plan.excuses & {"memory", "slow", "skips"}:
            return True
        if what != "half" and self.plan.excuses & {"limit", "idle", "fds", "closes"}:
            return True
        return any(until + SLACK_NS >= self.world.now for _at, until, _text in self.faults)

    def check_error(self, client: Client, sent: Any, frame: bytes) -> None:
        checks.check_error(self, client, sent, frame)

    def check_bytes(self, client: Client) -> None:
        """Whatever the worker sent has arrived; whatever arrived has been sent."""
        if self.plan.tls in ("clients", "both"):
            if not self.world.peers[client.conn].farewell and not self.explained("closed"):
                self.violation(f"{client} is closed without a farewell")
            return
        _read, sent = self.world.traffic(client.conn)
        if sent != client.got_bytes:
            self.violation(f"{client} got {client.got_bytes} bytes of {sent}")

    # -- the run

    def drain(self) -> None:
        if not self.draining:
            self.say("the worker drains")
            self.draining = True
            self.drain_at_ns = self.world.now
            self.worker.drain(self.plan.drain_ms)

    def fd_limit(self, most: int) -> None:
        self.world.fd_limit(most)

    def step(self) -> bool:
        """One turn of the worker, and what the peers make of it. False: nothing will happen any more."""
        busy = self.hear()
        while self.due and self.due[0][0] <= self.world.now:
            heapq.heappop(self.due)[2]()
            busy = True
        self.world.alarm(self.due[0][0] if self.due else None)
        if not self.worker.turn():
            self.worker_done = True
            return False
        self.turns += 1
        if self.plan.pending_max and self.turns % 16 == 0:
            checks.check_pending(self)
        if self.turns > TURNS_MAX:
            raise Stuck(f"after {self.turns} turns: {self.state()}")
        return busy or not self.world.idle or bool(self.due)

    def hear(self) -> bool:
        news = self.world.news()
        for conn in news:
            state = self.world.state(conn)
            peer = self.peers.get(conn)
            if peer is not None:
                peer.news(state)
            elif (server := self.by_port.get(self.world.port_of(conn))) is not None:
                server.news(conn, bool(state & ENDED))
        return bool(news)

    def run(self) -> None:
        """Plays the plan to its end; `violations` then says what was wrong."""
        try:
            while self.step() or self.lose_patience():
                pass
        except Stuck as stuck:
            self.violation(f"the run does not end: {stuck}")
            return
        if not self.worker_done:
            self.check_quiet()
            self.end_worker()
        self.check_after()

    def check_quiet(self) -> None:
        checks.check_quiet(self)

    def check_ended(self) -> None:
        checks.check_ended(self)

    def check_after(self) -> None:
        checks.check_after(self)

    def lose_patience(self) -> bool:
        """A blocking command may wait for ever when its server has fallen silent: its client leaves. True: one did."""
        silent = any(
            connection.silent
            for server in self.servers
            for connection in server.connections.values()
        )
        for client in self.clients:
            if silent and not client.over and any(sent.op.blocks for sent in client.expected):
                client.do_reset()
                return True
        return False

    def end_worker(self) -> None:
        self.drain()
        try:
            while self.step():
                pass
        except Stuck as stuck:
            self.violation(f"the worker does not drain: {stuck}")
        if not self.worker_done:
            self.violation(f"the worker does not drain: {self.state()}")
            self.worker.stop()
            self.worker.turn()
        self.check_ended()

    def state(self) -> str:
        waiting = [
            f"client {c.index}: {[s.op for s in c.expected][:3]}"
            for c in self.clients
            if not c.over
        ]
        return f"{self.worker.census()}, clients not done: {waiting[:5]}"

    def digest(self) -> str:
        return f"{self.world.digest:016x}"

    def sample(self, name: str) -> float:
        return sum(value for each, _labels, _kind, value in self.worker.samples() if each == name)

    def trace(self) -> list[str]:
        """Everything that happened, in order."""
        notes = enumerate(self.world.notes())
        lines = [
            (at, index, f"conn {conn:3} {what} {value}") for index, (at, conn, what, value) in notes
        ]
        lines += self.lines
        lines.sort(key=lambda line: line[0])
        begin = lines[0][0] if lines else 0
        return [f"{(at - begin) / 1000:12.1f} us  {text}" for at, _index, text in lines]


def play(plan: Plan, trace: bool = False) -> Simulation:
    kind: Any = Simulation
    if plan.cluster:
        from simulation.cluster import ClusterSimulation as kind  # it is a Simulation itself
    elif plan.cql.get("cache"):
        from simulation.cql_cache import CacheSimulation as kind  # it is a Simulation itself
    elif plan.cql.get("ring"):
        from simulation.cql_ring import RingSimulation as kind  # it is a Simulation itself
    elif plan.cql:
        from simulation.cql import CqlSimulation as kind  # it is a Simulation itself
    elif plan.sentinels:
        from simulation.sentinel import SentinelSimulation as kind  # it is a Simulation itself
    simulation = kind(plan, trace)
    simulation.run()
    return simulation
