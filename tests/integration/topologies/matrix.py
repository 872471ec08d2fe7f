"""What becomes of each command in each topology, observed: the same conversations with a server alone and through the proxy.

Keys get a hash tag, so that all of a request are on one server; once more without, to see what becomes of
requests whose keys are on several.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from support.conversations import CONVERSATIONS, normal, requests_of
from support.proxy import Proxy
from support.resp import RawClient, encode, parse
from support.sentinel import NAME, Sentinels
from support.servers import Cluster, Server
from support.wait import wait_until

from shotover._codec.commands import describe, keys

TAG = b"{t}"
SAME, REFUSED, PARTLY = "yes", "refused", "partly"
TOPOLOGIES = ("RedisSinkSingle", "RedisSinkSentinel", "RedisSinkCluster", "RedisSinkShards")
TAINTING = {"select", "move", "swapdb", "exec", "copy"}
"""Where these differ, data differ from there on; what else differs then says nothing, unless it is refused."""
CHANCE = {
    "command|list",
    "acl|cat",
    "command|docs",
    "command|info",
    "command",
    "pubsub|channels",
} | {"unsubscribe", "punsubscribe", "sunsubscribe", "function|list", "pubsub|shardchannels"}
"""The order of what they say is each server's own."""


def name_of(words: list[bytes]) -> str:
    """ "client|setname", "get": as the table knows it; "" for what it does not."""
    for count in (2, 1):
        name = b"|".join(words[:count]).upper()
        if len(words) >= count and describe(name):
            return name.decode().lower()
    return ""


def key_words(words: list[bytes]) -> list[int]:
    try:
        return keys(words, slot_words=True) or []
    except ValueError:
        return []


def tagged(raw: bytes) -> bytes:
    words = parse(raw)
    places = key_words(words) if words else []
    return encode(*(TAG + word if index in places else word for index, word in enumerate(words)))


class Line:
    """One request, and what the two sides say to it."""

    def __init__(self, words: list[bytes], direct: list[bytes], seen: list[bytes]) -> None:
        self.name = name_of(words)
        self.keys = len({words[index] for index in key_words(words)})
        self.direct = direct
        self.seen = seen

    @property
    def counts(self) -> bool:
        """Errors that the server itself gives show nothing."""
        return bool(self.name) and not self.direct[0].startswith(b"-")

    @property
    def same(self) -> bool:
        if self.name == "wait":  # how many replicas have it depends on how many there are
            return self.direct[0][:1] == self.seen[0][:1]
        return self.direct == self.seen or (
            (
                self.name in CHANCE
                or "nondeterministic_output_order" in describe(self.name.encode())["tips"]
            )
            and sorted(b"".join(self.direct)) == sorted(b"".join(self.seen))
        )

    @property
    def scanned(self) -> bool:
        """A scan of several servers takes more steps; what it finds is tried elsewhere."""
        return self.name == "scan" and self.direct[0][:4] == self.seen[0][:4] == b"*2\r\n"

    @property
    def refused(self) -> bool:
        return self.seen[0].startswith(b"-")


def say(client: RawClient, request: bytes, count: int) -> list[bytes]:
    """As many replies as the request should have; an error may stand for all."""
    client.send(request)
    first = normal(client.frame())
    if first.startswith(b"-"):
        return [first]
    return [first, *(normal(frame) for frame in client.frames(count - 1))]


def converse(server: Server, proxy: Proxy, name: str, tag: bool) -> Iterator[Line]:
    with server.raw() as direct, proxy.raw() as through:
        for raw, count in requests_of(CONVERSATIONS[name]):
            request = tagged(raw) if tag else raw
            yield Line(parse(request), say(direct, request, count), say(through, request, count))


class Topology:
    """A server alone to compare with, and the proxy before servers of its own."""

    def __init__(self, name: str) -> None:
        self.stack = contextlib.ExitStack()
        self.server = Server()
        self.stack.callback(self.server.stop)
        if name == "RedisSinkSingle":
            behind = [self.start()]
            end: dict[str, Any] | None = None
        elif name == "RedisSinkShards":
            behind = [self.start() for _ in range(3)]
            addresses = [
                f"127.0.0.1:{server.port}:1 {index}" for index, server in enumerate(behind)
            ]
            end = {name: {"servers": addresses, "hash_tag": "{}"}}
        elif name == "RedisSinkSentinel":
            group = Sentinels()
            self.stack.callback(group.stop)
            behind = group.servers[:1]
            end = {name: {"sentinels": group.addresses, "master_name": NAME}}
        else:
            cluster = Cluster(3)
            self.stack.callback(cluster.stop)
            behind = cluster.servers
            end = {name: {"first_contact_points": [f"127.0.0.1:{cluster.ports[0]}"]}}
        self.behind = behind
        self.proxy = Proxy(behind[0].port, end=end)
        self.stack.callback(self.proxy.kill)
        if name == "RedisSinkSentinel":
            wait_until(
                lambda: self.proxy.metric("shotover_upstream_up") > 0, "the proxy has a master"
            )
            listener = self.stack.enter_context(self.server.raw())
            listener.command("SUBSCRIBE", "__sentinel__:hello")  # as sentinels do where they watch

    def start(self) -> Server:
        server = Server()
        self.stack.callback(server.stop)
        return server

    def clean(self) -> None:
        for server in (self.server, *self.behind):
            server.clean()

    def lines(self, tag: bool) -> Iterator[Line]:
        """Those that show something."""
        for name in CONVERSATIONS:
            self.clean()
            tainted = False
            for line in converse(self.server, self.proxy, name, tag):
                if line.counts and not line.scanned and (line.same or line.refused or not tainted):
                    yield line
                tainted = tainted or (line.name in TAINTING and not line.same)

    def __enter__(self) -> Topology:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()


class Verdict:
    """Of all that was seen of one command; `why` is the first thing that was different."""

    def __init__(self, lines: list[Line]) -> None:
        different = [line for line in lines if not line.same]
        self.word = SAME if not different else PARTLY
        if len(different) == len(lines) and all(line.refused for line in lines):
            self.word = REFUSED
        self.why = (
            " ".join(different[0].seen[0].decode("utf-8", "replace").strip("-").split())
            if different
            else ""
        )


def observe(name: str) -> tuple[dict[str, Verdict], dict[str, Verdict]]:
    """By command: what becomes of it in the topology; and with keys in several slots, if it takes several keys."""
    whole: dict[str, list[Line]] = defaultdict(list)
    apart: dict[str, list[Line]] = defaultdict(list)
    with Topology(name) as topology:
        for line in topology.lines(tag=True):
            whole[line.name].append(line)
        if name == "RedisSinkCluster":
            for line in topology.lines(tag=False):
                if line.keys > 1:
                    apart[line.name].append(line)
    return (
        {command: Verdict(lines) for command, lines in whole.items()},
        {command: Verdict(lines) for command, lines in apart.items()},
    )


# ---- the page ---------------------------------------------------------------------------------------

INTRODUCTION = """\
# Redis commands in each topology

What was observed: the same conversations with a server alone and through the proxy, in a test that also compares this page
with what it sees. Errors that the server gives, too, are not counted. Not in this list are commands that these
conversations do not have.

- **yes**: every reply was that of the server alone, when all keys of a request were on one server
- **partly**: some were not; the first that was not is shown
- **refused**: none was let pass; the reason is shown

"""


def page() -> str:
    seen = {name: observe(name) for name in TOPOLOGIES}
    commands = sorted({command for whole, _ in seen.values() for command in whole})
    apart = seen["RedisSinkCluster"][1]
    everywhere = [
        command
        for command in commands
        if all(whole[command].word == SAME for whole, _ in seen.values() if command in whole)
    ]
    rows = [
        f"| {shown(command)} | "
        + " | ".join(cell(seen[name][0].get(command)) for name in TOPOLOGIES)
        + " |"
        for command in commands
        if command not in everywhere
    ]
    head = "| command | " + " | ".join(TOPOLOGIES) + " |\n|" + "---|" * (len(TOPOLOGIES) + 1)
    split = [command for command, verdict in sorted(apart.items()) if verdict.word == SAME]
    crossed = [command for command, verdict in sorted(apart.items()) if verdict.word != SAME]
    return (
        INTRODUCTION
        + "\n".join([head, *rows])
        + "\n\n## Everywhere as by one server\n\n"
        + ", ".join(map(shown, everywhere))
        + ".\n\n## Keys in several slots of a cluster\n\nSplit, the replies joined: "
        + ", ".join(map(shown, split))
        + ".\n\nAnswered with CROSSSLOT, as by a node: "
        + ", ".join(map(shown, crossed))
        + ".\n"
    )


def shown(command: str) -> str:
    return command.replace("|", " ").upper()


def cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return verdict.word if not verdict.why else f"{verdict.word}: {verdict.why[:110]}"
