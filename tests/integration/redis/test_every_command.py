"""Every command that the server has, at least once, in RESP2 and RESP3: as the server alone answers it.

Most stand in support/conversations.py. Here are the others, those whose replies only have the same form
from one moment to the next, and the few that cannot be compared, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.conversations import CONVERSATIONS, normal, requests_of
from support.endpoint import PROXY, Endpoint
from support.resp import RawClient, encode, parse

PROTOCOLS = ("2", "3")
RESP3_APART = ("resp3", "pubsub")  # these two are written for one protocol, and try it all there

# Byte for byte.
REST = r"""
    ACL HELP
    ACL LIST
    ACL LOAD
    ACL SAVE
    ACL LOG
    ACL LOG RESET
    ACL GENPASS 0
    CLIENT HELP
    CLIENT PAUSE 0
    CLIENT PAUSE x
    CLIENT UNPAUSE
    CLIENT TRACKING ON REDIRECT 99999999
    CLIENT TRACKING ON OPTIN OPTOUT
    CLIENT TRACKING ON OPTIN
    CLIENT CACHING YES
    GET a
    CLIENT GETREDIR
    CLIENT TRACKINGINFO
    CLIENT TRACKING ON BCAST
    CLIENT TRACKING OFF
    CLIENT TRACKING ON BCAST PREFIX user: PREFIX item: NOLOOP
    CLIENT TRACKINGINFO
    CLIENT TRACKING ON BCAST PREFIX user:1
    CLIENT TRACKING OFF
    CLIENT TRACKINGINFO
    CLIENT NO-EVICT on
    CLIENT NO-EVICT off
    CLIENT NO-TOUCH on
    CLIENT SETINFO LIB-NAME lib
    CLIENT SETINFO LIB-VER 1.0
    CLIENT UNBLOCK 99999999 ERROR
    CLIENT UNBLOCK 99999999 NOSUCH
    CLIENT KILL ADDR 127.0.0.1:1
    CLIENT KILL USER nobody
    CLIENT KILL ID 99999999
    CLUSTER KEYSLOT a
    CLUSTER MYID
    CLUSTER NODES
    CLUSTER ADDSLOTS 1
    CLUSTER ADDSLOTSRANGE 1 2
    CLUSTER BUMPEPOCH
    CLUSTER COUNT-FAILURE-REPORTS x
    CLUSTER COUNTKEYSINSLOT 1
    CLUSTER DELSLOTS 1
    CLUSTER DELSLOTSRANGE 1 2
    CLUSTER FAILOVER
    CLUSTER FLUSHSLOTS
    CLUSTER FORGET x
    CLUSTER GETKEYSINSLOT 1 1
    CLUSTER HELP
    CLUSTER LINKS
    CLUSTER MEET 127.0.0.1 1
    CLUSTER REPLICAS x
    CLUSTER REPLICATE x
    CLUSTER RESET
    CLUSTER SAVECONFIG
    CLUSTER SET-CONFIG-EPOCH 1
    CLUSTER SETSLOT 1 STABLE
    CLUSTER SHARDS
    CLUSTER SLAVES x
    COMMAND GETKEYSANDFLAGS SET a b
    COMMAND HELP
    CONFIG HELP
    CONFIG RESETSTAT
    DEBUG HELP
    DEBUG SLEEP 0
    DEBUG SLEEP
    FUNCTION HELP
    FUNCTION RESTORE garbage
    GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
    GEORADIUSBYMEMBER_RO g Palermo 200 km ASC
    LATENCY DOCTOR
    LATENCY GRAPH command
    LATENCY HELP
    LATENCY LATEST
    LATENCY RESET
    MEMORY HELP
    MEMORY PURGE
    SET m 1
    MEMORY USAGE m SAMPLES 0
    MODULE HELP
    MODULE LOADEX /nosuch
    MODULE UNLOAD nosuch
    MIGRATE 127.0.0.1 1 "" 0 10 KEYS m
    OBJECT IDLETIME missing
    SET a 1
    OBJECT IDLETIME a
    PEXPIRE a 100000
    PFADD hll a
    PFDEBUG ENCODING hll
    PFDEBUG DECODE missing
    PUBSUB HELP
    PUBSUB SHARDCHANNELS
    PUBSUB SHARDNUMSUB a
    RESTORE-ASKING a 0 garbage
    ROLE
    REPLICAOF NO ONE
    SLAVEOF NO ONE
    FAILOVER
    FAILOVER TO nosuch
    SCRIPT DEBUG NOSUCH
    SCRIPT DEBUG NO
    SCRIPT HELP
    SCRIPT KILL
    SHUTDOWN NOSUCH
    SHUTDOWN ABORT
    SLOWLOG RESET
    SWAPDB 0 1
    SWAPDB 1 0
    XADD x 1-1 f v
    XGROUP CREATE x g 0
    XGROUP HELP
    XINFO CONSUMERS x g
    XREADGROUP GROUP g c COUNT 1 STREAMS x >
    XINFO CONSUMERS x nosuch
    ZADD z 1 a 2 b
    ZREVRANGE z 0 -1
    WAITAOF 0 0 0
    HELLO
    HELLO 2 AUTH default x SETNAME n
    HELLO 3 AUTH default x
    HELLO 3 SETNAME "with space"
    AUTH wrong
    AUTH default wrong
    ACL WHOAMI
    SELECT 1
    SET a 1
    SELECT 0
    MOVE a 1
    RESET
    GET a
"""

# Of the same form: a number stays a number, but another one; a text stays a text.
FORMS = r"""
    ACL GENPASS
    ACL LOG COUNT
    CLIENT ID
    CLIENT INFO
    CLIENT LIST
    CLIENT LIST TYPE normal
    INFO
    INFO everything
    LASTSAVE
    LATENCY HISTOGRAM nosuch
    MEMORY DOCTOR
    MEMORY MALLOC-STATS
    MEMORY STATS
    SLOWLOG LEN
    TIME
    DEBUG OBJECT missing
    CLUSTER INFO
    COMMAND COUNT
    RANDOMKEY
"""

# Elsewhere, or nowhere.
EXCUSED = {
    "bgsave": "forks; a second one at the same time is an error",
    "bgrewriteaof": "forks, too",
    "save": "blocks the server of all tests that run beside this one",
    "monitor": "test_pubsub.py",
    "pfselftest": "takes the server a second",
    "psync": "refused: test_replication_is_refused",
    "sync": "refused: test_replication_is_refused",
    "replconf": "refused: test_replication_is_refused",
    "quit": "test_session_state.py",
    "shutdown": "test_shutdown_ends_the_server",
}


# Lines of INFO and MEMORY STATS that stand for what happened before.
COMES_AND_GOES = (b"db", b"cmdstat", b"errorstat", b"latency", b"module")


def key_of(words: list[bytes]) -> set[str]:
    lower = [word.decode("latin-1").lower() for word in words]
    return {lower[0], "|".join(lower[:2])} if lower else set()


def covered() -> set[str]:
    found: set[str] = set(EXCUSED)
    for text in (*CONVERSATIONS.values(), REST, FORMS):
        for request, _ in requests_of(text):
            found |= key_of(parse(request))
    return found


def form(value: Any) -> Any:
    """A value without what differs from one moment to the next."""
    if isinstance(value, dict):
        return {
            key: form(each) for key, each in value.items() if not key.startswith(COMES_AND_GOES)
        }
    if isinstance(value, list):
        return [form(each) for each in value]
    if isinstance(value, bytes):
        names = re.findall(rb"(?m)^([a-z_0-9]+)[:=]", value.removeprefix(b"txt:"))
        return [name for name in dict.fromkeys(names) if not name.startswith(COMES_AND_GOES)]
    return type(value)


def begin(raw: RawClient, protocol: str) -> RawClient:
    if protocol == "3":
        raw.command("HELLO", "3")
    return raw


def replies(raw: RawClient, requests: list[tuple[bytes, int]]) -> list[list[bytes]]:
    found = []
    for request, count in requests:
        raw.send(request)
        found.append([normal(frame) for frame in raw.frames(count)])
    return found


def differences(
    requests: list[tuple[bytes, int]], expected: list[Any], seen: list[Any]
) -> list[tuple[bytes, Any, Any]]:
    return [
        (request, want, got)
        for (request, _), want, got in zip(requests, expected, seen, strict=True)
        if want != got
    ]


def test_every_command_of_the_server_is_tried(endpoints: Any) -> None:
    with endpoints.get(PROXY).server.raw() as raw:
        names = {name.decode() for name in raw.ask("COMMAND", "LIST")}
    if endpoints.server_kind == "redis":
        assert names - covered() == set()
    assert len(names & covered()) > 300


@pytest.mark.variants
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_rest_reads_the_same(endpoint: Endpoint, protocol: str) -> None:
    requests = requests_of(REST)
    with endpoint.server.raw() as server:
        expected = replies(begin(server, protocol), requests)
    endpoint.server.clean()
    seen = replies(begin(endpoint.raw(), protocol), requests)
    assert differences(requests, expected, seen) == []


@pytest.mark.variants
@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name not in RESP3_APART])
def test_a_conversation_in_resp3_reads_the_same(endpoint: Endpoint, name: str) -> None:
    requests = requests_of(CONVERSATIONS[name])
    with endpoint.server.raw() as server:
        expected = replies(begin(server, "3"), requests)
    endpoint.server.clean()
    seen = replies(begin(endpoint.raw(), "3"), requests)
    assert differences(requests, expected, seen) == []


@pytest.mark.variants
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_changes_has_the_same_form(endpoint: Endpoint, protocol: str) -> None:
    requests = requests_of(FORMS)
    sides = []
    for raw in (endpoint.server.raw(), endpoint.raw()):
        with raw:
            begin(raw, protocol)
            sides.append([form(parse(frame)) for [frame] in replies(raw, requests)])
    assert differences(requests, sides[0], sides[1]) == []


@pytest.mark.variants
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_pipeline_with_pushes_between_its_replies(endpoint: Endpoint, protocol: str) -> None:
    """Invalidations come between replies; each of both is whole, and replies keep their order."""
    raw, other = begin(endpoint.raw(), protocol), endpoint.raw()
    if protocol == "3":
        raw.command("CLIENT", "TRACKING", "ON", "BCAST")
    raw.command("SUBSCRIBE", "news") if protocol == "3" else None
    pushes = 0
    for number in range(50):
        raw.send(b"".join(encode("SET", f"k{index}", f"{number}.{index}") for index in range(10)))
        raw.send(b"".join(encode("GET", f"k{index}") for index in range(10)))
        other.send(encode("PUBLISH", "news", number) + encode("SET", "elsewhere", number))
        answers = []
        while len(answers) < 20:
            frame = raw.frame()
            if frame.startswith(b">"):
                pushes += 1
            else:
                answers.append(parse(frame))
        assert answers == [b"OK"] * 10 + [b"%d.%d" % (number, index) for index in range(10)]
        other.frames(2)
    assert (pushes > 0) == (protocol == "3")


@pytest.mark.parametrize("words", [("PSYNC", "?", "-1"), ("SYNC",), ("REPLCONF", "ACK", "0")])
def test_replication_is_refused(proxied: Endpoint, words: tuple[str, ...]) -> None:
    raw = proxied.raw()
    assert raw.command(*words).startswith(b"-ERR shotover: replication")
    assert raw.command("PING") == b"+PONG\r\n"


@pytest.mark.variants
def test_shutdown_ends_the_server(make_endpoint: Callable[..., Endpoint]) -> None:
    endpoint = make_endpoint()
    if endpoint.proxy is not None:
        endpoint.proxy.allow_log("upstream|connect")
    raw = endpoint.raw()
    raw.send(encode("SHUTDOWN", "NOSAVE"))
    for frame in raw.rest_or_frames(1):  # the server alone closes
        assert not endpoint.direct
        assert frame.startswith(b"-ERR shotover: upstream connection lost")
    assert endpoint.server.process is not None
    assert endpoint.server.process.wait(5) == 0
