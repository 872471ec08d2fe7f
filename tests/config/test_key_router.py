"""Rules of a KeyRouter as they are written: what is taken, and what is said of mistakes."""

from __future__ import annotations

import pytest

from shotover.config.errors import ConfigError
from shotover.transforms.key_router_rules import literal_of, read_file

AT = "topology.yaml:5: sources[0].chain[0].KeyRouter"


def chain(fields: str) -> str:
    return f"[{{KeyRouter: {{chains: {{a: [NullSink], b: [NullSink]}}, default: [NullSink], {fields}}}}}]"


def rules(*found: str) -> str:
    return chain(f"rules: [{', '.join(found)}]")


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("{prefix: x, key: y, to: a}", ": expected one of key, prefix, glob, hash, got key and prefix"),
        ("{to: a}", ": expected a condition (key, prefix, glob, hash, user, certificate, database or command; for Cassandra "
                    "statements, keyspaces, tables, user or certificate); "
                    "what no rule sends elsewhere goes to the default chain anyway"),
        ("{key: x}", ": required field to is missing"),
        ("{kye: x, to: a}", ".kye: unknown field, did you mean key?"),
        ("{key: '', to: a}", '.key: expected text, got ""'),
        ("{hash: 5-4, to: a}", ".hash: expected a slot or a range of slots from 0 to 16383, as in 0-8191, got 5-4"),
        ("{hash: 0-16384, to: a}", ".hash: expected a slot or a range of slots from 0 to 16383, as in 0-8191, got 0-16384"),
        ("{database: -1, to: a}", ".database: expected an integer from 0 to 65535, got -1"),
        ("{command: [], to: a}", ".command: expected a command, or a list of commands, got an empty list"),
        ("x", ": expected a rule: a map of conditions, and `to`, got x"),
    ],
)  # fmt: skip
def test_mistakes_in_a_rule(config, rule, wanted) -> None:
    assert config.chain_errors(rules("{key: fine, to: a}", rule)) == [f"{AT}.rules[1]{wanted}"]


def test_mistakes_between_rules(config) -> None:
    [error] = config.chain_errors(rules("{key: x, to: c}"))
    assert error.startswith(f"{AT}.rules: line 5: no chain is named c, ")
    many = [f"{{glob: '*{number}', to: a}}" for number in range(65)]
    assert config.load(one(rules(*many[:64])))
    [error] = config.chain_errors(rules(*many))
    assert "expected at most 64 globs that one key may have to be compared with" in error
    apart = [f"{{glob: '{number:03}*x', to: a}}" for number in range(500)]
    assert config.load(one(rules(*apart)))
    [error] = config.chain_errors(
        rules(*[f"{{command: C{number}, to: a}}" for number in range(257)])
    )
    assert "expected at most 256 rules with a command: they are looked at one by one" in error


def one(chain: str) -> str:
    return f"sources:\n  - Redis:\n      listen_addr: 127.0.0.1:6379\n      chain: {chain}\n"


def test_what_is_around_the_rules(config) -> None:
    assert config.chain_errors(chain("rules_file: none.yaml")) == [
        f"{AT}.rules_file: none.yaml: no such file"
    ]
    assert config.chain_errors(chain("rules_file: x, rules: [{key: x, to: a}]")) == [
        f"{AT}.rules_file: expected rules or rules_file, got both"
    ]
    assert (
        f"{AT}.chains: the name default is that of the chain in the field default"
        in config.chain_errors(
            "[{KeyRouter: {chains: {default: [NullSink]}, default: [NullSink]}}]"
        )
    )
    assert config.chain_errors(chain("multi_key: maybe")) == [
        f"{AT}.multi_key: expected one of split, refuse, got maybe"
    ]


def test_a_file_of_rules_is_checked_with_the_topology(config) -> None:
    (config.folder / "rules.yaml").write_text("- {prefix: x, to: a}\n- {prefix: y, to: nowhere}\n")
    [error] = config.chain_errors(chain("rules_file: rules.yaml"))
    assert error.startswith(f"{AT}.rules_file: rules.yaml:2: [1].to: no chain is named nowhere, ")
    (config.folder / "rules.yaml").write_text(
        "- {prefix: x, to: a}\n- {command: config get, hash: 7, to: b}\n"
    )
    model = config.load(one(chain("rules_file: rules.yaml"))).topology.sources[0].chain.steps[0]
    assert model.table().rules == (
        (1, "prefix", b"x", 0, 0, None, None, (), None),
        (2, "hash", b"", 7, 7, None, None, (b"CONFIG|GET",), None),
    )


def test_every_mistake_of_a_file_is_told_at_once(tmp_path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("- {prefix: x}\n- {key: y, to: a, database: x}\n- 7\n")
    with pytest.raises(ConfigError) as caught:
        read_file(str(path), ["a"])
    assert [line.partition(".yaml:")[2][:4] for line in caught.value.lines] == [
        "1: [",
        "2: [",
        "3: [",
    ]


def test_ten_thousand_rules_can_be_written(tmp_path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "".join(f'- {{prefix: "tenant:{number}:", to: a}}\n' for number in range(10_000))
    )
    assert len(read_file(str(path), ["a"])) == 10_000


def test_literals() -> None:
    assert [literal_of(glob) for glob in ("a*", "*", "a?b", "[a]", "a\\*", "abc")] == [
        "a",
        "",
        "a",
        "",
        "a",
        "abc",
    ]


def cql_errors(config, rule: str, keys: str) -> list[str]:
    return [
        error.split("KeyRouter", 1)[1]
        for error in config.errors(
            "sources: [Cassandra: {name: c, listen_addr: 'h:1', chain: [KeyRouter: {rules: "
            f"[{{{rule}, to: a}}], partition_keys: {keys}, chains: {{a: [NullSink]}}, default: [NullSink]}}]}}]"
        )
    ]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("prefix: x", "say in tables which tables have this key"),
        ("tables: o.t, prefix: x", "say in partition_keys what the key of o.t is made of"),
        ("tables: t, prefix: x", "say in partition_keys what the key of t is made of"),
        ("tables: ks.n, prefix: x", "the key of ks.n does not begin with text"),
        ("tables: ks.n, key: x", "'x' is no value of the column n of ks.n that can be told here"),
        ("tables: ks.two, key: x", "ks.two has 2 columns in its partition key, got 1 values"),
        ("tables: ks.two, key: 'x:2024-02-30'", "'2024-02-30' is no value of the column day of ks.two"),
        ("tables: [ks.n, ks.t], key: '1'", "the keys of these tables are of different types"),
    ],
)  # fmt: skip
def test_mistakes_in_conditions_on_partition_keys(config, rule: str, wanted: str) -> None:
    keys = "{ks.t: {k: text}, ks.n: {n: int}, ks.two: {k: text, day: date}}"
    [error] = cql_errors(config, rule, keys)
    assert wanted in error


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("{t: {k: text}}", ".partition_keys.t: expected keyspace.table, got t"),
        ("{ks.t: {}}", ".partition_keys.ks.t: expected 1 to 32 columns"),
        ("{ks.t: {k: letters}}", ".partition_keys: k: letters is no type of a column of a partition key"),
        ("{ks.t: [k]}", ".partition_keys.ks.t: expected a map from columns to their types"),
    ],
)  # fmt: skip
def test_mistakes_in_partition_keys(config, keys: str, wanted: str) -> None:
    assert any(wanted in error for error in cql_errors(config, "keyspaces: ks", keys))


def test_partition_keys_are_not_for_redis(config) -> None:
    [error] = config.chain_errors(chain("partition_keys: {ks.t: {k: text}}"))
    assert error == f"{AT}.partition_keys: there are none in redis"
