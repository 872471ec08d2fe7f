"""Sinks whose servers answer anything: what they make of it must be a reply, or the end of the connection.

A whole worker in a simulated world (shotover/_sim), drawn from the input itself. The input is cut at SEPARATOR; each time
the worker has sent something over one of its connections, the next piece is what comes back there. So it meets what sinks
read themselves: the map of a cluster, MOVED and ASK, the words of sentinels, ROLE, refusals of logins.
"""

from __future__ import annotations

import zlib
from typing import Any

from support.native import load

from shotover.config.source import parse
from shotover.runtime.assemble import build_source
from shotover.runtime.assemble import load as load_topology

probe = load("fuzz_probe")

SEPARATOR = b"\0|"
LISTEN = 6379
PORTS = (7000, 7001, 7002)
TURNS_MAX = 20_000
TALK_TURNS = 400  # in which clients wait; then they leave
SENDS_MAX = 60  # of all servers together; then they say no more
CONNECTED, OVER = 1, 2 | 4 | 8  # states of a peer's connection
TAKES = "connect_timeout_ms: 50, read_timeout: 0.2"
SINKS = {
    "single": f'RedisSinkSingle: {{remote_address: "127.0.0.1:7000", {TAKES}}}',
    "sentinel": 'RedisSinkSentinel: {sentinels: ["127.0.0.1:7000", "127.0.0.1:7001"], master_name: main, '
    f"sentinel_password: secret, password: secret, {TAKES}}}",
    "cluster": 'RedisSinkCluster: {first_contact_points: ["127.0.0.1:7000"], username: me, password: secret, '
    f"retry_timeout: 0.3, {TAKES}}}",
}
REQUESTS = (
    b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    b"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*3\r\n$7\r\nEVALSHA\r\n$1\r\n0\r\n$1\r\n0\r\n",
    b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n",
    b"*2\r\n$4\r\nSCAN\r\n$1\r\n0\r\n",
    b"*1\r\n$6\r\nDBSIZE\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n",
)


class Play:
    """One run."""

    def __init__(self, sink: str, data: bytes) -> None:
        from shotover._sim.world import World

        from shotover._proxy.worker import Worker

        number = zlib.crc32(data)
        self.pieces = data.split(SEPARATOR)
        self.world: Any = World(number, completion=number & 1, cut=1 + number % 4)
        for port in PORTS:
            self.world.serve(port)
        self.worker = Worker(0, poller=self.world.poller(), memory_bytes_max=64 << 20)
        text = f'sources:\n- Redis: {{name: s, listen_addr: "127.0.0.1:{LISTEN}", chain: [{SINKS[sink]}]}}\n'
        found = load_topology("t.yaml", None, {}, tree_of=lambda file: parse(text, file))
        [source] = found.topology.sources
        chain = build_source(self.worker, source, {})
        self.worker.listen("s", "redis", f"127.0.0.1:{LISTEN}", chain, **source.options())
        self.client = self.world.connect(LISTEN)
        self.asked = self.over = False
        self.got = b""
        self.sent = 0
        self.turns = 0

    def run(self) -> None:
        while self.turns < TALK_TURNS and not self.over and self.turn():
            pass
        if not self.over:
            self.world.close(self.client)
        self.worker.drain(50)
        while self.turn():
            pass
        census = self.worker.census()
        assert not census["sessions"] and not census["uploads"], census
        self.check_replies()

    def turn(self) -> bool:
        self.turns += 1
        assert self.turns < TURNS_MAX, f"it does not end: {self.worker.census()}"
        for conn in self.world.news():
            if conn == self.client:
                self.hear_proxy()
            elif self.world.port_of(conn) in PORTS:
                self.answer(conn)
        self.world.alarm(self.world.now + 10_000_000)
        return bool(self.worker.turn())

    def hear_proxy(self) -> None:
        state = self.world.state(self.client)
        if state & CONNECTED and not self.asked:
            self.asked = True
            self.world.send(self.client, b"".join(REQUESTS))
        self.got += self.world.read(self.client)
        self.over = bool(state & OVER)

    def answer(self, conn: int) -> None:
        said = self.world.read(conn)
        if self.world.state(conn) & OVER:
            self.world.close(conn)
        elif said and self.sent < SENDS_MAX:
            self.world.send(conn, self.pieces[self.sent % len(self.pieces)])
            self.sent += 1

    def check_replies(self) -> None:
        """No more than were asked for, each of them whole but for the last of a connection that has ended."""
        rest, count = self.got, 0
        while rest and (size := probe.frame_size(rest)):
            count += rest[:1] not in b">"
            rest = rest[size:]
        assert count <= len(REQUESTS)
        assert not rest or count < len(REQUESTS)


def single(data: bytes) -> None:
    Play("single", data).run()


def sentinel(data: bytes) -> None:
    Play("sentinel", data).run()


def cluster(data: bytes) -> None:
    Play("cluster", data).run()


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


ID = b"0123456789012345678901234567890123456789"
MAP = _bulk(
    ID + b" 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191\n"
    b"a" + ID[1:] + b" 127.0.0.1:7001@17001,name master - 0 0 2 connected 8192-16383\n"
)
OK = b"+OK\r\n"
ADDRESS = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7002\r\n"
MASTER = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"
SWITCH = b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n" + _bulk(
    b"main 127.0.0.1 7002 127.0.0.1 7001"
)
MOVED = b"-MOVED 15495 127.0.0.1:7001\r\n"
FACTS = b"*4\r\n$12\r\nconfig-epoch\r\n$1\r\n1\r\n$4\r\nname\r\n$4\r\nmain\r\n"
TOKENS = (
    SEPARATOR, OK, MAP, ADDRESS, MASTER, SUBSCRIBED, SWITCH, MOVED, FACTS, b"-ASK 1 :7001\r\n",
    b"-NOAUTH x\r\n", b"-WRONGPASS x\r\n", b"-LOADING x\r\n", b"-CLUSTERDOWN x\r\n", b"-TRYAGAIN x\r\n",
    b"-NOPERM x\r\n", b"-ERR unknown command\r\n", b"*-1\r\n", b"$-1\r\n", b":1\r\n", b"*0\r\n",
    b"*2\r\n$1\r\n0\r\n*0\r\n", b"-MOVED 99999 h:0\r\n", b"-MOVED 1 [::1]:7001\r\n", b"$5\r\nslave\r\n",
    b"%1\r\n", b">2\r\n",
)  # fmt: skip


def seeds() -> list[bytes]:
    """What servers in order would say, a piece for each thing they may be asked."""
    return [
        SEPARATOR.join(pieces)
        for pieces in (
            [OK, MAP, b"$1\r\nx\r\n", b"*2\r\n$-1\r\n$-1\r\n", MOVED, OK],
            [MAP, MOVED, OK, b"-ASK 15495 127.0.0.1:7001\r\n", OK + b"$1\r\nx\r\n"],
            [OK + ADDRESS, OK + SUBSCRIBED, OK + FACTS, MASTER, SWITCH, b"$1\r\nx\r\n"],
            [OK + FACTS + ADDRESS, SUBSCRIBED + SWITCH, MASTER + OK],
            [b"-NOAUTH x\r\n", b"-WRONGPASS x\r\n", b"-NOPERM x\r\n"],
        )
    ]
