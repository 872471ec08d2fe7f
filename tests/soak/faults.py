"""What is done to the servers and to the proxy's certificate while clients ask."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator

from support.resp import RawClient
from support.servers import Server
from support.wait import wait_until

from soak.world import World

ELECTION_S = 30.0
PAUSE_S = (1.0, 3.0)  # between two faults
STOPPED_S = (
    0.2,
    4.0,
)  # shorter and longer than the read_timeout; shorter than the time-out of the cluster's nodes
SLOTS_MOVED = 12


class Faults:
    """One after the other, as `seed` has it: every kind once before one comes again."""

    def __init__(self, world: World) -> None:
        self.world, self.journal = world, world.journal
        self.random = random.Random(f"{world.seed}.faults")
        self.wrong: list[str] = []
        self.order = self._order()
        self.kinds: dict[str, tuple[str, Callable[[str], None]]] = {}
        for target in ("plain", "tls", "shards"):
            self.kinds[f"{target}: killed, restarted"] = target, self.restart
            self.kinds[f"{target}: stopped, continued"] = target, self.stop
        self.kinds["cluster: stopped, continued"] = "cluster", self.stop
        self.kinds["cluster: killed, restarted"] = "cluster", self.restart
        self.kinds["cluster: master killed, replica elected"] = "cluster", self.elect
        self.kinds["cluster: replica takes over"] = "cluster", self.take_over
        self.kinds["cluster: slots moved"] = "cluster", self.move_slots
        self.kinds["tls: certificate renewed"] = "tls", self.renew

    def _order(self) -> Iterator[str]:
        while True:
            names = list(self.kinds)
            self.random.shuffle(names)
            yield from names

    def one(self) -> str:
        """The next. Returns its name once it is over, though clients may still feel it."""
        name = next(self.order)
        target, deed = self.kinds[name]
        try:
            deed(target)
        except (AssertionError, OSError) as error:
            self.wrong.append(f"{name}: {error}")
        return name

    def pause(self, least_s: float, most_s: float) -> None:
        self.world.ending.wait(self.random.uniform(least_s, most_s))

    def server(self, target: str) -> Server:
        return self.random.choice(self.world.servers[target])

    # --- one server

    def restart(self, target: str) -> None:
        """Killed, and started again with its data; in a cluster a replica may take over meanwhile."""
        server = self.server(target)
        with self.journal.fault(target, "restart", lossy=target == "cluster"):
            server.kill()
            self.pause(0.0, 1.0)
            start_again(server)
            self.settle(target)

    def stop(self, target: str) -> None:
        server = self.server(target)
        with self.journal.fault(target, "stop", lossy=target == "cluster"):
            server.pause()
            try:
                self.pause(*STOPPED_S)
            finally:
                server.resume()
            self.settle(target)

    # --- the cluster

    def settle(self, target: str) -> None:
        """A fault of the cluster is over when all its nodes agree and every replica follows."""
        if target == "cluster":
            assert self.world.cluster is not None
            self.world.cluster.wait_ok(ELECTION_S)
            wait_until(self.all_follow, "every replica follows", deadline_s=ELECTION_S)

    def all_follow(self) -> bool:
        """Whether there are three masters again, and three replicas that hear from them."""
        roles = []
        for server in self.world.servers["cluster"]:
            with server.raw() as raw:
                roles.append(raw.ask("ROLE"))
        replicas = [role for role in roles if role[0] == b"slave"]
        return len(replicas) == 3 and all(role[3] == b"connected" for role in replicas)

    def masters(self) -> list[int]:
        assert self.world.cluster is not None
        return [index for index in range(6) if self.world.cluster.role(index) == "master"]

    def replica_of(self, master: int) -> int:
        cluster = self.world.cluster
        assert cluster is not None
        name = cluster.id(master)
        with cluster.raw(master) as raw:
            for line in raw.ask("CLUSTER", "NODES").decode().splitlines():
                words = line.split()
                if words[3] == name and "slave" in words[2] and "fail" not in words[2]:
                    return cluster.ports.index(int(words[1].split("@")[0].split(":")[1]))
        raise AssertionError(f"node {master} has no replica")

    def elect(self, target: str) -> None:
        """A crash: what the replica had not got is lost, though it was acknowledged."""
        cluster = self.world.cluster
        assert cluster is not None
        master = self.random.choice(self.masters())
        replica = self.replica_of(master)
        with self.journal.fault(target, "elect", lossy=True):
            cluster.kill(master)
            try:
                wait_until(
                    lambda: cluster.role(replica) == "master", "elected", deadline_s=ELECTION_S
                )
            finally:
                start_again(cluster.servers[master])
            self.settle(target)

    def take_over(self, target: str) -> None:
        """In agreement with the master: nothing may be lost."""
        cluster = self.world.cluster
        assert cluster is not None
        replica = self.replica_of(self.random.choice(self.masters()))
        with self.journal.fault(target, "take over"):
            with cluster.raw(replica) as raw:
                assert raw.ask("CLUSTER", "FAILOVER") == b"OK"
            wait_until(lambda: cluster.role(replica) == "master", "it is", deadline_s=ELECTION_S)
            self.settle(target)

    def move_slots(self, target: str) -> None:
        """From one master to another, key by key: nothing may be lost."""
        cluster = self.world.cluster
        assert cluster is not None
        source, destination = self.random.sample(self.masters(), 2)
        with cluster.raw(source) as raw:
            ranges = raw.ask("CLUSTER", "SLOTS")
        owned = [
            slot
            for first, last, node, *_ in ranges
            if node[1] == cluster.ports[source]
            for slot in range(first, last + 1)
        ]
        with self.journal.fault(target, "slots moved"):
            for slot in self.random.sample(self.with_keys(source, owned), SLOTS_MOVED):
                if self.world.ending.is_set():
                    break
                cluster.move_slot(slot, destination)
            self.settle(target)

    def with_keys(self, node: int, slots: list[int]) -> list[int]:
        """Those that have keys come first to be chosen from; enough others if there are few."""
        assert self.world.cluster is not None
        with self.world.cluster.raw(node) as raw:
            asked = self.random.sample(slots, min(len(slots), 600))
            counts = [raw.ask("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in asked]
        full = [slot for slot, count in zip(asked, counts, strict=True) if count]
        return full if len(full) >= SLOTS_MOVED else asked

    # --- the proxy

    def renew(self, target: str) -> None:
        """A new certificate, SIGHUP: newcomers see it, and who is there stays. No error of a client is its doing."""
        with self.world.connect("tls") as old:
            before = shown(old)
            self.world.issue()
            self.world.proxy.signal(signal.SIGHUP)

            def renewed() -> bool:
                with self.world.connect("tls") as new:
                    return shown(new) != before

            wait_until(renewed, "the new certificate is shown")
            wait_until(lambda: old.ask("ECHO", "here") == b"here", "who was there is served still")


def shown(raw: RawClient) -> bytes | None:
    """The certificate that the proxy has shown."""
    return raw.socket.getpeercert(binary_form=True)  # type: ignore[attr-defined]


def start_again(server: Server) -> None:
    """On its port, with its data."""
    server.start(server.port)
    wait_until(lambda: loaded(server), "it has read its data", deadline_s=ELECTION_S)


def loaded(server: Server) -> bool:
    with server.raw() as raw:
        return raw.command("PING") == b"+PONG\r\n"
