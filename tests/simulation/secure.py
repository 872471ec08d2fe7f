"""TLS in the simulated world: peers that speak it, of which clients and servers notice nothing.

Python's ssl does it, over memory; so records are cut wherever the world cuts bytes. What OpenSSL draws by itself is not the
seed's: the sizes of records are the same in each run of a seed, what is in them is not.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
from typing import Any

from cryptography.hazmat.primitives.serialization import PrivateFormat
from support.certificates import usual

from simulation.plan import Plan

CONNECTED, ENDED = 1, 2


@functools.cache
def certificate() -> Any:
    """RSA: its signatures all have one size."""
    local: dict[str, Any] = {"dns": ["localhost"], "addresses": ["127.0.0.1"]}
    form = PrivateFormat.PKCS8
    return usual().authority.issue("simulated", kind="rsa", form=form, **local)


@functools.cache
def context(server: bool, version: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = made.maximum_version = ssl.TLSVersion[version]
    made.load_verify_locations(str(usual().authority.certificate))
    if server:
        made.load_cert_chain(str(certificate().certificate), str(certificate().key))
    return made


class Peer:
    """One connection's TLS, on the side that is not the worker's."""

    def __init__(self, world: Any, conn: int, server: bool, version: str) -> None:
        self.world = world
        self.conn = conn
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "localhost"
        self.tls = context(server, version).wrap_bio(
            self.incoming, self.outgoing, server_side=server, server_hostname=name
        )
        self.done = False
        self.farewell = False
        self.broken = ""
        self.waiting: list[bytes] = []

    def pump(self) -> None:
        """Takes what has arrived, goes on with the handshake, sends what comes of it."""
        raw = self.world.read(self.conn)
        if raw:
            self.incoming.write(raw)
        if not self.done and self.world.state(self.conn) & CONNECTED and not self.broken:
            try:
                self.tls.do_handshake()
                self.done = True
                for data in self.waiting:
                    self.tls.write(data)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.broken = str(error)
        self.flush()

    def flush(self) -> None:
        self.world.send(self.conn, self.outgoing.read())

    def read(self) -> bytes:
        self.pump()
        found = []
        while self.done and not self.farewell and not self.broken:
            try:
                found.append(self.tls.read(65_536))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.farewell = True
            except ssl.SSLError as error:
                self.broken = str(error)
            if found and not found[-1]:
                found.pop()
                self.farewell = True
        self.flush()
        return b"".join(found)

    def send(self, data: bytes) -> None:
        if self.done:
            self.tls.write(data)
            self.flush()
        else:
            self.waiting.append(data)

    def say_farewell(self) -> None:
        if self.done:
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()
            self.flush()


class SecureWorld:
    """A World in which clients, or the servers at some ports, speak TLS; all else is the World's."""

    def __init__(self, world: Any, clients: bool, ports: set[int], version: str) -> None:
        self.world = world
        self.clients = clients
        self.ports = ports
        self.version = version
        self.peers: dict[int, Peer] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)

    def connect(self, number: int) -> int:
        conn: int = self.world.connect(number)
        if self.clients:
            self.peers[conn] = Peer(self.world, conn, False, self.version)
        return conn

    def state(self, conn: int) -> int:
        if conn not in self.peers and self.world.port_of(conn) in self.ports:
            self.peers[conn] = Peer(self.world, conn, True, self.version)
        peer = self.peers.get(conn)
        state: int = self.world.state(conn)
        if peer is None or peer.done:
            return state
        peer.pump()
        return self.world.state(conn) & ~(0 if peer.done else CONNECTED)

    def read(self, conn: int) -> bytes:
        peer = self.peers.get(conn)
        return self.world.read(conn) if peer is None else peer.read()

    def send(self, conn: int, data: bytes) -> None:
        if conn in self.peers:
            self.peers[conn].send(data)
        else:
            self.world.send(conn, data)

    def finish(self, conn: int) -> None:
        if conn in self.peers:
            self.peers[conn].say_farewell()
        self.world.finish(conn)

    def close(self, conn: int) -> None:
        if conn in self.peers and conn % 2:  # many do, many do not
            self.peers[conn].say_farewell()
        self.world.close(conn)


def secured(plan: Plan, world: Any) -> SecureWorld:
    """`world` with TLS where the plan says so."""
    ports = set() if plan.tls == "clients" else set(plan.servers.values())
    return SecureWorld(world, plan.tls != "servers", ports, plan.tls_version)


def topology_with_tls(plan: Plan) -> str:
    """The plan's topology, dressed to match; time-outs that a handshake in tiny pieces would pass are longer."""
    text = plan.topology
    own = certificate()
    if plan.tls != "servers":
        block = f"tls: {{certificate_path: {own.certificate}, private_key_path: {own.key}, handshake_timeout: 300}}"
        text = text.replace("- Redis: {", f"- Redis: {{{block}, ", 1)
    if plan.tls != "clients":
        block = f"tls: {{certificate_authority_path: {usual().authority.certificate}}}"
        text = text.replace("RedisSinkSingle: {", f"RedisSinkSingle: {{{block}, ")
    return text.replace("connect_timeout_ms: 200", "connect_timeout_ms: 2000")
