"""Makes redis_commands.h and redis_enums.h: the commands of Redis 7.0 to Valkey 9, and our judgement on each.

    make_redis_commands.py src/commands --server 127.0.0.1:7000 --server 127.0.0.1:9000 -o OUTPUT_FOLDER

`src/commands` is the folder of that name in a Valkey or Redis source tree (command descriptions as JSON). Each
--server is a running server whose COMMAND and COMMAND DOCS replies are laid over it, in the order given: name the
oldest first. Only facts are taken: names, arity, flags, categories, tips, key positions.

To update: check out a newer source tree outside of this repository, start the oldest and the newest server that are
to be supported with default settings, run the line above and then tests/codec/test_commands.py. The output depends on
its input only. The program stops when it meets a flag, tip or key position it does not know, or a command whose keys
no rule finds: read what is new, then extend the tables here and command_keys in commands.pyx.

What a command means for a proxy (`kind`, `conduct`) is derived from the published facts by `kind_of` and `conduct_of`,
with the tables KINDS and CONDUCTS for what the facts do not say.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    "write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "skip_monitor",
    "skip_slowlog", "asking", "fast", "no_auth", "movablekeys", "no_async_loading", "no_mandatory_keys", "no_multi",
    "allow_busy", "module",
    # In the descriptions only; COMMAND does not report them.
    "may_replicate", "protected", "touches_arbitrary_keys", "sentinel", "only_sentinel",
)  # fmt: skip
DESCRIBED_FLAGS = frozenset(FLAGS[20:])
FLAG_ALIASES = {"skip_commandlog": "skip_slowlog"}  # Valkey 9 renamed the log and with it the flag
CATEGORIES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)  # fmt: skip
TIPS = ("nondeterministic_output", "nondeterministic_output_order")
POLICIES = (
    "default", "all_nodes", "all_shards", "multi_shard", "special",
    "one_succeeded", "all_succeeded", "agg_logical_and", "agg_logical_or", "agg_min", "agg_max", "agg_sum",
)  # fmt: skip
ACCESS = ("ro", "rw", "ow", "rm", "access", "update", "not_key", "incomplete")
ACCESS_IGNORED = frozenset({"insert", "delete", "variable_flags"})
KIND_ORDER = (
    "unknown",
    "read",
    "session",
    "pubsub",
    "write",
    "schema",
    "admin",
)  # a container takes its strictest
CONDUCT_ORDER = (
    "plain", "state", "pin", "reply_mode", "alone", "block", "wait", "multi", "exec", "discard", "watch", "unwatch",
    "subscribe", "unsubscribe", "monitor", "reset", "quit", "replication",
)  # fmt: skip

# Kinds that the published facts get wrong, or are silent on.
KINDS = {
    # May write, depending on what the script does; not flagged so because the server looks inside.
    "EVAL": "write", "EVALSHA": "write", "FCALL": "write",
    # Definitions rather than data: what CREATE and DROP FUNCTION are elsewhere.
    "FUNCTION|LOAD": "schema", "FUNCTION|DELETE": "schema", "FUNCTION|FLUSH": "schema", "FUNCTION|RESTORE": "schema",
    "SCRIPT|LOAD": "schema", "SCRIPT|FLUSH": "schema",
    # Orders to the server that carry no admin flag.
    "FUNCTION|KILL": "admin", "SCRIPT|KILL": "admin", "MEMORY|PURGE": "admin",
    # About this connection; the first for lack of a category, the second in spite of its admin flag.
    "SCRIPT|DEBUG": "session", "CLIENT|NO-EVICT": "session", "ACL|WHOAMI": "session",
    # In category connection, yet they ask about the server and know no session.
    "COMMAND": "read", "COMMAND|COUNT": "read", "COMMAND|DOCS": "read", "COMMAND|GETKEYS": "read",
    "COMMAND|GETKEYSANDFLAGS": "read", "COMMAND|HELP": "read", "COMMAND|INFO": "read", "COMMAND|LIST": "read",
}  # fmt: skip

# What no published fact says: how a command bears on a connection that several clients share.
CONDUCTS = {
    # Session state that can be set again on any other connection.
    "SELECT": "state", "AUTH": "state", "HELLO": "state", "CLIENT|SETNAME": "state", "CLIENT|SETINFO": "state",
    # State that lives in one connection, or answers that only a connection of one's own gives truly.
    "CLIENT|ID": "pin", "CLIENT|INFO": "pin", "CLIENT|NO-EVICT": "pin", "CLIENT|NO-TOUCH": "pin",
    "CLIENT|TRACKING": "pin", "CLIENT|CACHING": "pin", "CLIENT|GETREDIR": "pin", "CLIENT|TRACKINGINFO": "pin",
    "CLIENT|CAPA": "pin", "CLIENT|IMPORT-SOURCE": "pin", "SCRIPT|DEBUG": "pin",
    "READONLY": "pin", "READWRITE": "pin", "ASKING": "pin",
    "CLIENT|REPLY": "reply_mode",
    # True once the session's state has been replayed on the connection that answers.
    "CLIENT|GETNAME": "alone",
    # Sent while other connections are stuck in a script: must not queue behind it.
    "SCRIPT|KILL": "alone", "FUNCTION|KILL": "alone", "FUNCTION|STATS": "alone",
    # A script that runs too long makes the server answer BUSY to everybody else: nobody may be stuck behind it.
    "EVAL": "alone", "EVALSHA": "alone", "EVAL_RO": "alone", "EVALSHA_RO": "alone", "FCALL": "alone", "FCALL_RO": "alone",
    "WAIT": "wait", "WAITAOF": "wait",
    "MULTI": "multi", "EXEC": "exec", "DISCARD": "discard", "WATCH": "watch", "UNWATCH": "unwatch",
    "SUBSCRIBE": "subscribe", "PSUBSCRIBE": "subscribe", "SSUBSCRIBE": "subscribe",
    "UNSUBSCRIBE": "unsubscribe", "PUNSUBSCRIBE": "unsubscribe", "SUNSUBSCRIBE": "unsubscribe",
    "MONITOR": "monitor", "RESET": "reset", "QUIT": "quit",
    # Turn a connection into a replication stream.
    "PSYNC": "replication", "SYNC": "replication", "REPLCONF": "replication", "CLUSTER|SYNCSLOTS": "replication",
    # CLIENT alone, that is, a subcommand newer than this table: taken to set state of its connection.
    "CLIENT": "pin",
}  # fmt: skip
KNOWN_PUBSUB_PLAIN = frozenset(
    {"PUBLISH", "SPUBLISH"}
)  # the other pubsub commands are containers' or in CONDUCTS

# Commands whose keys cannot be found by their key specs alone, or not exactly as the server finds them.
KEY_RULES = {
    "SORT": "sort", "GEORADIUS": "georadius", "GEORADIUSBYMEMBER": "georadius",
    "MIGRATE": "migrate", "XREAD": "streams", "XREADGROUP": "streams",
}  # fmt: skip

KEY_RULE_ORDER = ("none", "range", "specs", "sort", "georadius", "migrate", "streams")

SLOT_BITS = 12  # of the perfect hash of commands: 4,096 slots of 2 bytes
SUB_SLOT_BITS = 11
MASK = 2**64 - 1


@dataclass
class KeySpec:
    begin: str = "unknown"
    begin_at: int = 0
    word: str = ""
    find: str = "unknown"
    last: int = 0
    limit: int = 0
    keynum_at: int = 0
    first_at: int = 0
    step: int = 0
    access: frozenset[str] = frozenset()

    def fixed(self) -> bool:
        return self.begin == "index" and self.find == "range"


@dataclass
class Command:
    name: str
    arity: int
    flags: set[str] = field(default_factory=set)
    categories: set[str] = field(default_factory=set)
    tips: list[str] = field(default_factory=list)
    specs: list[KeySpec] = field(default_factory=list)
    range: tuple[int, int, int] = (0, 0, 0)
    tokens: set[str] = field(default_factory=set)
    is_container: bool = False
    kind: str = ""
    conduct: str = ""

    @property
    def word(self) -> str:
        return self.name.rpartition("|")[2]

    def policy(self, which: str) -> str:
        found = [tip.partition(":")[2] for tip in self.tips if tip.startswith(which + ":")]
        return found[0] if found else "default"


# ---- facts from command descriptions -------------------------------------------------------------------------------


def descriptions(folder: Path) -> dict[str, Command]:
    """The commands that the *.json files of `folder` describe, by upper-case name."""
    found: dict[str, Command] = {}
    for path in sorted(folder.glob("*.json")):
        for word, facts in json.loads(path.read_text()).items():
            name = f"{facts['container']}|{word}" if "container" in facts else word
            found[name] = described(name.upper(), facts)
    for name in {name.partition("|")[0] for name in found if "|" in name}:
        found[name].is_container = True
    return found


def described(name: str, facts: dict[str, Any]) -> Command:
    command = Command(name, facts["arity"])
    command.flags = {flag.lower() for flag in facts.get("command_flags", [])}
    command.categories = {category.lower() for category in facts.get("acl_categories", [])}
    command.tips = [tip.lower() for tip in facts.get("command_tips", [])]
    command.specs = [described_spec(spec) for spec in facts.get("key_specs", [])]
    command.tokens = set(tokens(facts.get("arguments", [])))
    command.range = plain_range(command.specs)
    if not all(spec.fixed() for spec in command.specs):
        command.flags.add("movablekeys")
    command.categories |= implied_categories(command.flags, command.categories)
    return command


def described_spec(facts: dict[str, Any]) -> KeySpec:
    [(begins, begin)], [(finds, find)] = facts["begin_search"].items(), facts["find_keys"].items()
    spec = KeySpec(begins, find=finds, access=access_of(facts["flags"]))
    spec_fill(spec, begin or {}, find or {})
    return spec


def spec_fill(spec: KeySpec, begin: dict[str, Any], find: dict[str, Any]) -> None:
    """Both publishers' names for the same things."""
    spec.begin_at = begin.get("pos", begin.get("index", begin.get("startfrom", 0)))
    spec.word = begin.get("keyword", "").upper()
    spec.last, spec.limit = find.get("lastkey", 0), find.get("limit", 0)
    spec.keynum_at, spec.first_at = find.get("keynumidx", 0), find.get("firstkey", 0)
    spec.step = find.get("step", find.get("keystep", 0))


def access_of(flags: list[str]) -> frozenset[str]:
    given = {flag.lower() for flag in flags} - ACCESS_IGNORED
    if given - set(ACCESS):
        sys.exit(f"unknown key flags: {', '.join(sorted(given - set(ACCESS)))}")
    return frozenset(given)


def tokens(arguments: list[dict[str, Any]]) -> Iterator[str]:
    for argument in arguments:
        if "token" in argument:
            yield argument["token"].upper()
        yield from tokens(argument.get("arguments", []))


def plain_range(specs: list[KeySpec]) -> tuple[int, int, int]:
    """First key, last key and step of the specs at fixed places, as servers publish them for old clients."""
    first = last = step = 0
    for spec in (spec for spec in specs if spec.fixed()):
        spec_last = spec.last if spec.last < 0 else spec.begin_at + spec.last
        if not first:
            first, last, step = spec.begin_at, spec_last, spec.step
        elif step == 1 and spec.step == 1 and spec.begin_at == last + 1:
            last = spec_last
    return first, last, step


def implied_categories(flags: set[str], given: set[str]) -> set[str]:
    implied = flags & {"write", "admin", "pubsub", "blocking"}
    if "admin" in flags:
        implied.add("dangerous")
    if "readonly" in flags and "scripting" not in given:
        implied.add("read")
    implied.add("fast" if "fast" in flags else "slow")
    return implied


# ---- facts from running servers ------------------------------------------------------------------------------------


def ask(address: str, *words: str) -> Any:
    """One command to the server at `address` (host:port), in RESP2."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as link,
        link.makefile("rb") as stream,
    ):
        link.sendall(
            b"*%d\r\n" % len(words)
            + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
        )
        return reply(stream)


def reply(stream: Any) -> Any:
    line = stream.readline()
    mark, rest = line[:1], line[1:-2].decode()
    if mark == b"*":
        return [reply(stream) for _ in range(int(rest))]
    if mark == b"$":
        return stream.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
    if mark == b"-":
        sys.exit(f"the server answered: {rest}")
    return int(rest) if mark == b":" else rest


def mapping(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def reported(address: str) -> dict[str, Command]:
    """The commands that a running server reports, by upper-case name."""
    found: dict[str, Command] = {}
    for entry in ask(address, "COMMAND"):
        for facts in (entry, *entry[9]):
            command = Command(facts[0].upper(), facts[1], is_container=bool(facts[9]))
            command.flags = {FLAG_ALIASES.get(flag, flag) for flag in facts[2]}
            command.range = (facts[3], facts[4], facts[5])
            command.categories = {category.removeprefix("@") for category in facts[6]}
            command.tips = facts[7]
            command.specs = [reported_spec(mapping(spec)) for spec in facts[8]]
            found[command.name] = command
    documented(found, ask(address, "COMMAND", "DOCS"))
    return found


def documented(found: dict[str, Command], docs: list[Any]) -> None:
    for name, text in mapping(docs).items():
        facts = mapping(text)
        found[name.upper()].tokens = set(tokens(tree(facts.get("arguments", []))))
        documented(found, facts.get("subcommands", []))


def tree(arguments: list[Any]) -> list[dict[str, Any]]:
    found = [mapping(argument) for argument in arguments]
    return [argument | {"arguments": tree(argument.get("arguments", []))} for argument in found]


def reported_spec(facts: dict[str, Any]) -> KeySpec:
    begin, find = mapping(facts["begin_search"]), mapping(facts["find_keys"])
    spec = KeySpec(begin["type"], find=find["type"], access=access_of(facts["flags"]))
    spec_fill(spec, mapping(begin.get("spec", [])), mapping(find.get("spec", [])))
    return spec


def gather(folder: Path, servers: list[str]) -> list[Command]:
    found = descriptions(folder)
    for address in servers:
        for name, command in reported(address).items():
            if name in found:  # what only the description says
                command.flags |= found[name].flags & DESCRIBED_FLAGS
            found[name] = command
    return [found[name] for name in sorted(found)]


# ---- judgement -----------------------------------------------------------------------------------------------------


def judge(commands: list[Command]) -> None:
    for table in (KINDS, CONDUCTS, KEY_RULES):
        if missing := set(table) - {command.name for command in commands}:
            print(f"note: judged but not published: {', '.join(sorted(missing))}", file=sys.stderr)
    for command in commands:
        command.kind, command.conduct = kind_of(command), conduct_of(command)
    for command in commands:
        if command.is_container and command.name != "COMMAND":
            subs = [sub for sub in commands if sub.name.startswith(command.name + "|")]
            command.kind = max((sub.kind for sub in subs), key=KIND_ORDER.index)
            if command.name not in CONDUCTS and any(sub.conduct != "plain" for sub in subs):
                command.conduct = "alone"


def kind_of(command: Command) -> str:
    """In this order: what it does to data, then to the server, then to the session; else it only asks."""
    if command.name in KINDS:
        return KINDS[command.name]
    for flag, kind in (
        ("write", "write"),
        ("readonly", "read"),
        ("pubsub", "pubsub"),
        ("admin", "admin"),
    ):
        if flag in command.flags:
            return kind
    if command.categories & {"connection", "transaction"}:
        return "session"
    return "admin" if "admin" in command.categories else "read"


def conduct_of(command: Command) -> str:
    if command.name in CONDUCTS:
        return CONDUCTS[command.name]
    if "blocking" in command.flags:
        return "block"
    if "admin" in command.flags:
        return "alone"
    asks = command.name.startswith("PUBSUB|") or command.name.endswith("|HELP")
    if "pubsub" in command.flags and not asks and command.name not in KNOWN_PUBSUB_PLAIN:
        sys.exit(f"{command.name}: a pubsub command without an entry in CONDUCTS")
    if command.name.startswith("CLIENT|") and not asks:
        sys.exit(f"{command.name}: a CLIENT subcommand without an entry in CONDUCTS")
    return "plain"


def key_rule_of(command: Command) -> str:
    if command.name in KEY_RULES:
        return KEY_RULES[command.name]
    if not command.specs:
        return "none"
    if any(spec.begin == "keyword" for spec in command.specs):
        sys.exit(
            f"{command.name}: its keys follow a keyword; check it against the server and name a rule in KEY_RULES"
        )
    plain = (
        len(command.specs) == 1
        and command.specs[0].fixed()
        and "not_key" not in command.specs[0].access
    )
    return "range" if plain else "specs"


# ---- perfect hash --------------------------------------------------------------------------------------------------


def words_of(word: str) -> tuple[int, int]:
    """(word_low, word_high): see command_t."""
    data = word.encode()
    return int.from_bytes(data[:8], "little"), int.from_bytes(data[-8:], "little") if len(
        data
    ) > 8 else 0


def multipliers() -> Iterator[tuple[int, int]]:
    """An endless, fixed sequence of pairs of odd numbers (splitmix64)."""
    state = 0
    while True:
        pair = []
        for _ in range(2):
            state = (state + 0x9E3779B97F4A7C15) & MASK
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            pair.append((z ^ (z >> 31)) | 1)
        yield pair[0], pair[1]


def perfect(entries: dict[int, tuple[int, int]], bits: int) -> tuple[int, int, dict[int, int]]:
    """Two multipliers that send every entry (id: words) to a slot of its own, and the slots."""
    for low_by, high_by in multipliers():
        slots: dict[int, int] = {}
        for index, (low, high) in entries.items():
            slot = ((low * low_by + high * high_by) & MASK) >> (64 - bits)
            if slots.setdefault(slot, index) != index:
                break
        else:
            return low_by, high_by, slots
    raise AssertionError("endless")


# ---- output --------------------------------------------------------------------------------------------------------


def bits(names: set[str] | frozenset[str], among: tuple[str, ...], of: str) -> int:
    if names - set(among):
        sys.exit(f"{of}: unknown: {', '.join(sorted(names - set(among)))}")
    return sum(1 << among.index(name) for name in names)


def enum_lines(prefix: str, names: tuple[str, ...], flags: bool = False) -> list[str]:
    """An enum, and its members' names for the Python view."""
    rows = [
        f"    {prefix}_{name.upper()} = {f'1u << {i}' if flags else i},"
        for i, name in enumerate(names)
    ]
    quoted = ", ".join(f'"{name}"' for name in names)
    return ["enum {", *rows, "};", f"#define {prefix}_NAMES {{{quoted}, 0}}", ""]


def enums(commands: list[Command]) -> str:
    ids = [command.name.replace("|", "_").replace("-", "_") for command in commands]
    lines = [
        *enum_lines("COMMAND", FLAGS, flags=True),
        *enum_lines("CATEGORY", CATEGORIES, flags=True),
        *enum_lines("TIP", TIPS, flags=True),
        *enum_lines("ACCESS", ACCESS, flags=True),
        *enum_lines("POLICY", POLICIES),
        *enum_lines("KIND", KIND_ORDER),
        *enum_lines("CONDUCT", CONDUCT_ORDER),
        *enum_lines("KEYS", KEY_RULE_ORDER),
        *["enum {", *(f"    ID_{name} = {index}," for index, name in enumerate(ids)), "};", ""],
    ]
    return guarded("SHOTOVER_REDIS_ENUMS_H", lines)


def guarded(guard: str, lines: list[str]) -> str:
    made = "/* Made by make_redis_commands.py from published command descriptions. Do not edit. */"
    return "\n".join([made, f"#ifndef {guard}", f"#define {guard}", "", *lines, "#endif", ""])


def spec_line(command: Command, spec: KeySpec) -> str:
    numbers = (spec.begin_at, spec.last, spec.limit, spec.keynum_at, spec.first_at, spec.step)
    head = ", ".join(map(str, numbers))
    access = bits(spec.access, ACCESS, command.name)
    where = f"BEGIN_{spec.begin.upper()}, FIND_{spec.find.upper()}"
    return f'    {{{head}, {where}, {access:#x}, {len(spec.word)}, "{spec.word}"}},'


def command_line(command: Command, ids: dict[str, int], spec_at: int) -> str:
    low, high = words_of(command.word)
    parent = ids[command.name.partition("|")[0]]
    keynums = [spec.begin_at + spec.keynum_at for spec in command.specs if spec.find == "keynum"]
    incomplete = any(
        spec.begin == "unknown" for spec in command.specs
    )  # "incomplete" ones have a rule: MIGRATE
    by_keyword = command.conduct == "block" and "BLOCK" in command.tokens
    plain_tips = {tip for tip in command.tips if ":" not in tip}
    numbers = [
        f"{bits(command.flags, FLAGS, command.name):#x}",
        f"{bits(command.categories, CATEGORIES, command.name):#x}",
        ids[command.name], parent, command.arity, *command.range, keynums[0] if keynums else 0,
        len(command.name), len(command.word),
        f"KIND_{command.kind.upper()}", f"CONDUCT_{command.conduct.upper()}", f"KEYS_{key_rule_of(command).upper()}",
        len(command.specs), POLICIES.index(command.policy("request_policy")),
        POLICIES.index(command.policy("response_policy")), bits(plain_tips, TIPS, command.name),
        int(command.is_container), int(by_keyword), int(incomplete), len(command.name) - len(command.word),
    ]  # fmt: skip
    specs = f"&COMMAND_SPECS[{spec_at}]" if command.specs else "0"
    return f'    {{{low:#x}u, {high:#x}u, "{command.name}", {specs},\n     {", ".join(map(str, numbers))}}},'


def slot_lines(name: str, entries: dict[int, tuple[int, int]], slot_bits: int) -> list[str]:
    low_by, high_by, slots = perfect(entries, slot_bits)
    filled = [str(slots.get(slot, "X")) for slot in range(1 << slot_bits)]
    rows = ["    " + ",".join(filled[at : at + 32]) + "," for at in range(0, len(filled), 32)]
    return [
        f"#define {name}_SHIFT {64 - slot_bits}",
        f"#define {name}_LOW_BY {low_by:#x}u",
        f"#define {name}_HIGH_BY {high_by:#x}u",
        f"static const uint16_t {name}[{1 << slot_bits}] = {{",
        *rows,
        "};",
        "",
    ]


def header(commands: list[Command]) -> str:
    ids = {command.name: index for index, command in enumerate(commands)}
    spec_rows: list[str] = []
    command_rows: list[str] = []
    for command in commands:
        command_rows.append(command_line(command, ids, len(spec_rows)))
        spec_rows += [spec_line(command, spec) for spec in command.specs]
    tops = {ids[c.name]: words_of(c.word) for c in commands if "|" not in c.name}
    # A subcommand's second word is moved by its container's id, so that CONFIG|GET and SLOWLOG|GET differ.
    subs = {
        ids[c.name]: (
            words_of(c.word)[0],
            (words_of(c.word)[1] + ids[c.name.partition("|")[0]]) & MASK,
        )
        for c in commands
        if "|" in c.name
    }
    lines = [
        '#include "shotover/_codec/commands.h"',
        "",
        f"#define COMMAND_COUNT {len(commands)}",
        f"#define X {len(commands)} /* an empty slot: the row of zeros at the end of COMMANDS, no name's words */",
        "",
        f"static const keyspec_t COMMAND_SPECS[{len(spec_rows)}] = {{",
        *spec_rows,
        "};",
        "",
        f"static const command_t COMMANDS[{len(commands) + 1}] = {{",
        *command_rows,
        "    {0},",
        "};",
        "",
        *slot_lines("COMMAND_SLOTS", tops, SLOT_BITS),
        *slot_lines("SUBCOMMAND_SLOTS", subs, SUB_SLOT_BITS),
        "#undef X",
    ]
    return guarded("SHOTOVER_REDIS_COMMANDS_H", lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="src/commands of a Valkey or Redis source tree")
    parser.add_argument(
        "--server", action="append", default=[], metavar="HOST:PORT", help="oldest first"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent, help="folder")
    arguments = parser.parse_args()
    commands = gather(arguments.folder, arguments.server)
    judge(commands)
    (arguments.output / "redis_enums.h").write_text(enums(commands))
    (arguments.output / "redis_commands.h").write_text(header(commands))
    print(f"{len(commands)} commands written to {arguments.output}")


if __name__ == "__main__":
    main()
