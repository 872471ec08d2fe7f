"""Cases with a Redis Cluster of three masters: RedisSinkCluster beside other proxies (--peer), and before one server.

Peers get a node of the cluster as {upstream}. In the case of MGET the driver redis-py does the same work by itself, too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from shotover.benchmark.cases import Case
from shotover.benchmark.figures import Turn
from shotover.benchmark.generator import fill
from shotover.benchmark.processes import Address, Running, StartError, ask, free_port, start_server
from shotover.benchmark.runner import Session, load_turn, told

MASTERS = 3
SLOTS = 16384
FORMING_SECONDS = 20.0
DRIVER = """
import sys, time, redis
port, keys, depth, seconds = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
client = redis.RedisCluster(host="127.0.0.1", port=port, protocol=2)
count, turn, begun, used = 0, 0, time.monotonic(), time.process_time()
while time.monotonic() - begun < seconds:
    for _ in range(depth):
        turn += 1
        names = ["key:%012d" % ((turn * 7919 + index) % keys) for index in range(100)]
        found = client.mget_nonatomic(names)
        assert len(found) == 100 and None not in found
        count += 1
taken = time.monotonic() - begun
print(count / taken, (time.process_time() - used) / count * 1e6)
"""


@contextmanager
def cluster(session: Session) -> Iterator[list[Running]]:
    """Three masters that share all slots. Raises StartError."""
    with ExitStack() as ending:
        nodes = []
        for index in range(MASTERS):
            folder = session.place / f"node-{index + 1}"
            folder.mkdir(exist_ok=True)
            for old in folder.glob("nodes*.conf"):
                old.unlink()
            bus = free_port()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
            node = start_server(folder, session.descriptors, session.plan.server, options=options)
            ending.callback(node.stop)
            first, last = SLOTS * index // MASTERS, SLOTS * (index + 1) // MASTERS - 1
            ask(node.address, b"CLUSTER", b"ADDSLOTSRANGE", b"%d" % first, b"%d" % last)
            if index == 0:
                meeting = [b"127.0.0.1", b"%d" % node.address[1], b"%d" % bus]
            else:
                ask(node.address, b"CLUSTER", b"MEET", *meeting)
            nodes.append(node)
        wait_formed(nodes)
        yield nodes


def wait_formed(nodes: list[Running]) -> None:
    """Raises StartError when they do not find each other in time."""
    end = time.monotonic() + FORMING_SECONDS
    while not all(formed(node.address) for node in nodes):
        if time.monotonic() > end:
            raise StartError(f"the cluster has not formed within {FORMING_SECONDS:g} s")
        time.sleep(0.05)


def formed(address: Address) -> bool:
    told = ask(address, b"CLUSTER", b"INFO")
    return b"cluster_state:ok" in told and b"cluster_known_nodes:%d" % MASTERS in told


def run_cluster(session: Session, case: Case) -> None:
    """Shotover and every peer named by --peer before the cluster, Shotover before one server, under the case's load."""
    with cluster(session) as nodes:
        addresses = tuple(node.address for node in nodes)
        targets = []
        for target in session.plan.targets:
            if target.kind == "shotover":
                targets.append(replace(target, cluster=addresses))
            elif target.kind == "template":
                targets.append(replace(target, instead=addresses[0]))
        single = next((each for each in session.plan.targets if each.kind == "shotover"), None)
        if single is None:
            session.note(f"{case.name} was left out: it needs Shotover")
            return
        targets.append(replace(single, name="one server"))
        session.others = nodes
        try:
            with session.running(case, targets) as up:
                session.prepare(case)
                for target, running in up:
                    if target.cluster:
                        fill(running.address, case.value_bytes, case.key_count)
                        break
                for number, target, running in session.rounds(up):
                    turn = load_turn(session, case, target.name, running, number)
                    session.add(turn)
                    session.plan.tell("  " + told(turn))
                    if case.beside_driver and target is up[0][0]:
                        turn = driver_turn(session, case, addresses[0], number)
                        session.add(turn)
                        session.plan.tell("  " + told(turn))
        finally:
            session.others = []


def driver_turn(session: Session, case: Case, node: Address, number: int) -> Turn:
    """redis-py's own cluster client in a process of its own: its requests/s, and its CPU time as theirs."""
    words = [str(node[1]), str(case.key_count), str(case.pipeline), str(session.plan.seconds)]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *words], capture_output=True, text=True, check=False
    )
    turn = Turn(case.name, "redis-py", number, {})
    if done.returncode == 0:
        rps, cpu = map(float, done.stdout.split())
        turn.values.update(rps=rps, cpu_us=cpu)
    else:
        turn.complaint = done.stderr.strip().splitlines()[-1][:200] if done.stderr else "no figures"
    return turn
