"""Limits and weights of a RequestThrottling as they are written: what is taken, and what is said of mistakes."""

from __future__ import annotations

import pytest

from shotover._codec.commands import categories
from shotover.transforms.request_throttling import CLASSES

AT = "topology.yaml:5: sources[0].chain[0].RequestThrottling"


def chain(fields: str) -> str:
    return f"[{{RequestThrottling: {{{fields}}}}}, NullSink]"


def limits(*found: str, more: str = "") -> str:
    return chain(f"limits: [{', '.join(found)}]{more}")


FINE = "{name: fine, rate: 10}"


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        ("{rate: 1}", ": required field name is missing"),
        ("{name: a}", ": required field rate is missing"),
        ("{name: a, rate: 0}", ".rate: expected a number from 0.001 to 4294967295, got 0"),
        ("{name: a, rate: 1, burst: 0}", ".burst: expected an integer from 1 to 4294967295, got 0"),
        ("{name: a, rate: 0.5, burst: 600000}", ".burst: at this rate a bucket of 600000 is full after 1200000 seconds; "
                                                "expected at most 1000000"),
        ("{name: a, rate: 1, key: x, prefix: y}", ": expected one of key, prefix, glob, got key and prefix"),
        ("{name: a, rate: 1, pre: users}", ".pre: unknown field, did you mean prefix?"),
        ("{name: a, rate: 1, per: users}", ".per: expected one of user, client, key, prefix, command, "
                                           "statement, keyspace, table, got users, "
                                           "did you mean user?"),
        ("{name: a, rate: 1, per: key, key: x}", ".per: has no effect with key; leave it out, or say prefix or glob"),
        ("{name: a, rate: 1, delimiter: '/'}", ".delimiter: has no effect without per: prefix; leave it out"),
        ("{name: a, rate: 1, per: prefix, delimiter: '::'}", ".delimiter: expected one ASCII character"),
        ("{name: a, rate: 1, max_keys: 8}", ".max_keys: has no effect without per; leave it out"),
        ("{name: a, rate: 1, class: []}", ".class: expected a class of commands, or a list of classes, got an empty list"),
        ('{name: "a\\nb", rate: 1}', ".name: expected at most 64 bytes that can be printed"),
        ("x", ": expected a limit: a map of its name, its rate and what comes under it, got x"),
    ],
)  # fmt: skip
def test_mistakes_in_a_limit(config, limit, wanted) -> None:
    assert config.chain_errors(limits(FINE, limit)) == [f"{AT}.limits[1]{wanted}"]


def test_a_class_that_there_is_not(config) -> None:
    [error] = config.chain_errors(limits("{name: a, rate: 1, class: [read, writes]}"))
    assert error.startswith(
        f"{AT}.limits[0].class[1]: there is no class writes, expected one of keyspace, read, write,"
    )
    assert error.endswith("scripting (ACL CAT)")


def test_mistakes_between_limits(config) -> None:
    assert config.chain_errors(chain("")) == [
        f"{AT}: expected max_requests_per_second, limits or both, got neither"
    ]
    assert config.chain_errors(limits(FINE, FINE)) == [
        f"{AT}.limits: line 5: two limits have the name fine; give one of them another"
    ]
    many = [f"{{name: l{number}, rate: 1}}" for number in range(64)]
    assert config.chain_errors(limits(*many)) == [
        f"{AT}.limits: expected at most 63 limits, got 64"
    ]


@pytest.mark.parametrize(
    ("weight", "wanted"),
    [
        ("{weight: 2}", "[0]: expected a command or a class, or for Cassandra a condition on statements"),
        ("{class: write, weight: -1}", "[0].weight: expected an integer from 0 to 1000000, got -1"),
        ("{class: write, weight: 11}", ": line 5: 11 is more than any limit's burst holds, so that such a request would "
                                       "never pass"),
    ],
)  # fmt: skip
def test_mistakes_in_a_weight(config, weight, wanted) -> None:
    found = config.chain_errors(limits(FINE, more=f", weights: [{weight}]"))
    assert found == [f"{AT}.weights{wanted}"]


def test_weights_need_limits(config) -> None:
    fields = "max_requests_per_second: 50, weights: [{class: write, weight: 2}]"
    assert config.chain_errors(chain(fields)) == [
        f"{AT}.weights: have no effect without limits: max_requests_per_second counts requests"
    ]


def test_what_is_written_is_what_is_kept(config) -> None:
    step = config.step(
        "RequestThrottling: {limits: [{name: a, rate: 2.5, class: '@Write', command: config get, per: user}], "
        "weights: [{command: [mget, del], weight: 2, each_key: true}]}"
    )
    [limit] = step.limits
    assert (limit.tokens, limit.classes, limit.command) == (2, ("write",), ("CONFIG|GET",))
    shown = {field.key: field.masked(getattr(step, name)) for name, field in step.fields.items()}
    assert shown["limits"] == [
        {"name": "a", "rate": 2.5, "class": ["write"], "command": ["CONFIG|GET"], "per": "user", "delimiter": ":",
         "max_keys": 65536}
    ]  # fmt: skip
    assert shown["weights"] == [{"command": ["MGET", "DEL"], "weight": 2, "each_key": True}]


def test_classes_are_all_those_of_the_table() -> None:
    assert list(CLASSES) == categories()
