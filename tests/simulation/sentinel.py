"""A master that moves, and the sentinels that tell of it, for the simulated world.

The master is one Server that answers on one port after the other, so nothing is lost that it acknowledged, and what holds
of a server must hold here. Where it was, a Replica stands, or nobody. Each sentinel hears of it in its own time.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from simulation.plan import Plan
from simulation.run import Simulation
from simulation.server import REPEATABLE, Server, View
from simulation.wire import Frames, request, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

SENTINELS = 3
SENTINEL_PORT = 26000
MASTER_PORTS = (7000, 7001, 7002)
REPLICA_ROLE = b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:7000\r\n$9\r\nconnected\r\n:0\r\n"
QUIET_TURNS = 200  # of nothing but the conversation with sentinels
TURNS_MAX = 100_000  # until that has come to what it must come to


class Master(Server):
    def note(self, tag: bytes, reply: bytes, view: View, conn: int) -> None:
        """What was on its way over a connection that the proxy has closed may come after its repetition."""
        if tag not in self.answers or conn > self.answers[tag].connection:
            super().note(tag, reply, view, conn)

    def may_repeat(self, tag: bytes) -> bool:
        """Also of a connection that the proxy has closed itself, for the sentinels named another master."""
        return self.sim.asked[tag][0].upper() in REPEATABLE


class Script:
    """A service whose connections are all alike."""

    def __init__(self, sim: Any, port: int) -> None:
        self.sim = sim
        self.port = port
        self.frames: dict[int, Frames] = {}

    def news(self, conn: int, ended: bool) -> None:
        frames = self.frames.setdefault(conn, Frames())
        data = self.sim.world.read(conn)
        if data:
            frames.feed(data)
            while conn in self.frames and (frame := frames.next()) is not None:
                self.answer(conn, words_of(frame))
        if ended:
            self.close(conn)

    def close(self, conn: int) -> None:
        if conn in self.frames:
            del self.frames[conn]
            self.sim.world.close(conn)

    def answer(self, conn: int, words: list[bytes]) -> None:
        raise NotImplementedError


class Replica(Script):
    """Where the master was: it says that it is none any more. What was on its way there breaks off."""

    def __init__(self, sim: Any, port: int) -> None:
        super().__init__(sim, port)
        self.asked: set[int] = set()  # connections that have been told so

    def news(self, conn: int, ended: bool) -> None:
        if conn not in self.sim.master.connections:  # of its time as the master
            super().news(conn, ended)

    def answer(self, conn: int, words: list[bytes]) -> None:
        if words == [b"ROLE"]:
            self.asked.add(conn)
            self.sim.world.send(conn, REPLICA_ROLE)
            return
        if conn in self.asked:
            self.sim.violation(f"a replica got {words[:3]} after it had said that it is one")
        if conn in self.frames:
            del self.frames[conn]
            self.sim.world.reset(conn)


class SentinelScript(Script):
    """One sentinel. `told` is what it knows: port and epoch."""

    def __init__(self, sim: Any, port: int) -> None:
        super().__init__(sim, port)
        self.told = (MASTER_PORTS[0], 0)
        self.listeners: set[int] = set()

    def answer(self, conn: int, words: list[bytes]) -> None:
        port, epoch = b"%d" % self.told[0], b"%d" % self.told[1]
        if words[0] == b"SUBSCRIBE":
            self.listeners.add(conn)
            self.sim.world.send(conn, b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n")
        elif words[1] == b"GET-MASTER-ADDR-BY-NAME":
            self.sim.world.send(conn, request(b"127.0.0.1", port))
        else:
            self.sim.world.send(
                conn, request(b"name", words[2], b"port", port, b"config-epoch", epoch)
            )

    def close(self, conn: int) -> None:
        self.listeners.discard(conn)
        super().close(conn)

    def learn(self, told: tuple[int, int]) -> None:
        if told[1] <= self.told[1]:
            return
        text = b"m 127.0.0.1 %d 127.0.0.1 %d" % (self.told[0], told[0])
        self.told = told
        for conn in sorted(self.listeners):
            self.sim.world.send(conn, request(b"message", b"+switch-master", text))

    def hang_up(self) -> None:
        for conn in sorted(self.frames):
            self.close(conn)


class SentinelSimulation(Simulation):
    """Quiet is when all clients have ended and only the conversation with sentinels goes on."""

    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.epoch = 0
        self.quiet_turns = 0
        super().__init__(plan, trace)
        self.master: Any = self.servers[0]
        self.sentinels = [SentinelScript(self, SENTINEL_PORT + n) for n in range(SENTINELS)]
        self.by_port |= {each.port: each for each in self.sentinels}
        for port in (*MASTER_PORTS[1:], *(each.port for each in self.sentinels)):
            self.world.serve(port)

    def make_server(self, name: str, port: int) -> Any:
        return Master(self, name, port, random.Random(self.rng.random()))

    def step(self) -> bool:
        busy = super().step()
        if self.draining or self.worker_done:
            return busy
        over = len(self.clients) == len(self.plan.clients) and all(c.over for c in self.clients)
        self.quiet_turns = self.quiet_turns + 1 if over and not self.due else 0
        if self.quiet_turns < QUIET_TURNS or (self.quiet_turns < TURNS_MAX and not self.settled()):
            return True
        return bool(self.worker.census()["sessions"])

    def settled(self) -> bool:
        return bool(self.sample("shotover_upstream_up")) and self.worker.census()["requests"] == 0

    # ---- events

    def fail_over(self, reset: bool, replica: bool, slowness_ns: int) -> None:
        """The master is somewhere else from now on; the sentinels hear of it one by one."""
        master = self.master
        old, new = (
            master.port,
            MASTER_PORTS[(MASTER_PORTS.index(master.port) + 1) % len(MASTER_PORTS)],
        )
        lasts = slowness_ns * 2 + 2_000_000_000
        self.fault(f"the master moves from {old} to {new}", lasts)
        for connection in master.alive():
            master.drop(connection)
            (self.world.reset if reset else self.world.close)(connection.conn)
        self.world.service_mode(old, 0 if replica else 1)
        self.world.service_mode(new, 0)
        self.by_port[old] = Replica(self, old)
        standing = self.by_port.get(new)
        if isinstance(standing, Script):
            for conn in sorted(standing.frames):
                standing.close(conn)
        master.port = new
        self.by_port[new] = master
        self.epoch += 1
        told = (new, self.epoch)
        for sentinel in self.sentinels:
            self.at(1 + self.rng.randrange(slowness_ns), self.teller(sentinel, told))

    def teller(self, sentinel: SentinelScript, told: tuple[int, int]) -> Callable[[], None]:
        return lambda: sentinel.learn(told)

    def lose_sentinel(self, index: int, delay_ns: int) -> None:
        """It is away for a while, and knows no more when it is back than before."""
        sentinel = self.sentinels[index]
        sentinel.hang_up()
        self.world.service_mode(sentinel.port, 1)
        self.at(delay_ns, lambda: self.world.service_mode(sentinel.port, 0))

    # ---- checks

    def check_quiet(self) -> None:
        for client in self.clients:
            if not client.over:
                self.violation(f"client {client.index} waits for ever")
        census = self.worker.census()
        if census["sessions"] or census["uploads"] or census["requests"]:
            self.violation(f"left when all is quiet: {census}")
        if held := int(self.sample("shotover_held_requests")):
            self.violation(f"{held} requests are held when all is quiet")
        if not self.sample("shotover_upstream_up"):
            self.violation("it has no master when all is quiet")

    def check_ended(self) -> None:
        census = self.worker.census()
        if census["sessions"] or census["uploads"]:
            self.violation(f"left after the drain: {census}")
