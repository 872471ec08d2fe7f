"""Conditions on statements of CQL: what is understood, what is refused, and what clients of a protocol cannot meet."""

from __future__ import annotations

import pytest

CHAIN = "topology.yaml:1: sources[0].chain[0]"


def topology(fault: str, source: str = "Cassandra") -> str:
    return (
        f"sources: [{source}: {{name: c, listen_addr: 'h:1', chain: [FaultInjection: "
        f"{{faults: [{{error: X, {fault}}}]}}, NullSink]}}]"
    )


@pytest.mark.parametrize(
    ("written", "row"),
    [
        ("statements: select", ([(1, None)], None, None, None)),
        ("statements: [create  table, DROP]", ([(8, 2), (10, None)], None, None, None)),
        ("keyspaces: [Shop, '\"Shop\"']", (None, [b"shop", b"Shop"], None, None)),
        ('tables: [T, ks."a.b"]', (None, None, [(b"", b"t"), (b"ks", b"a.b")], None)),
        ("consistency: [one, LOCAL_QUORUM]", (None, None, None, [1, 6])),
    ],
)
def test_conditions_are_as_the_server_has_them(config, written, row):
    [source] = config.load(topology(written)).topology.sources
    [fault] = source.chain.steps[0].faults
    assert fault.row()[-1] == row


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "statements: SELEKT",
            "there is no type of statement SELEKT, expected one of UNKNOWN, SELECT",
        ),
        ("statements: INSERT TABLE", "there is no type of statement INSERT TABLE"),
        ("tables: a.b.c", "a.b.c has more than one dot"),
        ("tables: 'a b'", 'a b is no name of a table; if it is, put it in quotes: "a b"'),
        ("keyspaces: []", "expected a keyspace, or a list of keyspaces"),
        ("consistency: SOME", "there is no consistency level SOME, expected one of ANY, ONE"),
    ],
)
def test_what_is_none_is_told(config, written, message):
    [error] = config.errors(topology(written))
    assert error.startswith(f"{CHAIN}.FaultInjection.faults[0].") and message in error


@pytest.mark.parametrize(
    ("source", "written", "reason"),
    [
        ("Cassandra", "commands: GET", "commands says nothing about requests of cassandra; use "
         "statements, keyspaces, tables or query_types"),
        ("Redis", "tables: t", "tables says nothing about requests of redis; use commands"),
        ("Redis", "consistency: ONE", "consistency says nothing about requests of redis; use commands"),
    ],
)  # fmt: skip
def test_what_clients_cannot_meet_is_refused(config, source, written, reason):
    name = written.partition(":")[0]
    assert config.errors(topology(written, source)) == [
        f"{CHAIN}.FaultInjection.faults[0].{name}: {reason}"
    ]


def test_a_bulk_string_is_no_reply_of_cassandra(config):
    [error] = config.errors(
        "sources: [Cassandra: {name: c, listen_addr: 'h:1', chain: [DebugReturner: {Redis: '42'}]}]"
    )
    assert error == (
        "topology.yaml:1: sources[0].chain[0].DebugReturner.Redis: a bulk string is no reply to "
        "clients of cassandra; they can only be failed (Fail)"
    )


def test_rules_of_a_router_are_those_of_its_clients(config):
    def errors(rule: str) -> list[str]:
        return config.errors(
            "sources: [Cassandra: {name: c, listen_addr: 'h:1', chain: [KeyRouter: {rules: "
            f"[{{{rule}, to: a}}], chains: {{a: [NullSink]}}, default: [NullSink]}}]}}]"
        )

    [error] = errors("command: GET")
    assert "command says nothing about requests of cassandra; use statements, keyspaces" in error
    [error] = errors("consistency: ALL")
    assert "a statement is prepared before anybody knows with what consistency" in error
