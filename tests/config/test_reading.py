"""Environment variables in values, and what a scalar means."""

from __future__ import annotations

import pytest

from shotover.config.reading import parse_integer, parse_number, scalar_value
from shotover.config.source import Scalar

SINK = 'RedisSinkSingle: {remote_address: "%s"}'


def test_variables_are_expanded_in_values(config):
    config.environ = {"HOST": "redis.example", "PORT": "7000", "LIMIT": "9"}
    loaded = config.load("""\
        sources:
          - Redis:
              listen_addr: ${HOST}:${PORT}
              connection_limit: ${LIMIT}
              timeout: "${TIMEOUT:-30}"
              chain:
                - ${SINK:-NullSink}
        """)
    source = loaded.topology.sources[0]
    assert (source.listen_addr, source.connection_limit, source.timeout) == (
        "redis.example:7000",
        9,
        30,
    )
    assert source.chain.steps[0].type_name == "NullSink"


@pytest.mark.parametrize(
    ("written", "environ", "value"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-}z", {}, "z"),
        ("a${A}b${B}", {"A": "1", "B": "2"}, "a1b2"),
        ("$${A}", {}, "${A}"),
        ("$A and $5", {}, "$A and $5"),
        ("$$", {}, "$$"),
        ("$$${A}", {}, "$${A}"),
        ("${A}${A}", {"A": "$"}, "$$"),
        ("${A}${B}", {"A": "$", "B": "x"}, "$x"),
        ("x$${A}${A}", {"A": "1"}, "x${A}1"),
        ("${A}", {"A": "[not, yaml]"}, "[not, yaml]"),
        ("${A}", {"A": "null"}, "null"),
        ("${A:-a:-b}", {}, "a:-b"),
    ],
)
def test_forms_of_reference(config, written, environ, value):
    config.environ = environ
    step = config.step(f'DebugReturner: {{Redis: "{written}"}}', then="")
    assert step.reply == value


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            "${NO_SUCH}",
            "environment variable NO_SUCH is not set, and ${NO_SUCH} has no default "
            "(${NO_SUCH:-default})",
        ),
        ("${A", "expected ${NAME} or ${NAME:-default}, got ${A (write $${ for a literal ${)"),
        ("${1A}", "expected ${NAME} or ${NAME:-default}, got ${1A} (write $${ for a literal ${)"),
        ("${}", "expected ${NAME} or ${NAME:-default}, got ${} (write $${ for a literal ${)"),
        (
            "${A:-${B}}",
            "expected ${NAME} or ${NAME:-default}, got ${A:-${B} (write $${ for a literal ${)",
        ),
    ],
)
def test_references_that_cannot_be_expanded(config, written, problem):
    lines = config.chain_errors(f'[DebugReturner: {{Redis: "{written}"}}]')
    assert lines == [f"topology.yaml:5: sources[0].chain[0].DebugReturner.Redis: {problem}"]


def test_keys_are_never_expanded(config):
    config.environ = {"FIELD": "parallelism"}
    lines = config.chain_errors("[ParallelMap: {parallelism: 1, chain: [NullSink], '${FIELD}': 2}]")
    assert lines == [
        "topology.yaml:5: sources[0].chain[0].ParallelMap.${FIELD}: unknown field, "
        "expected one of name, parallelism, ordered_results, chain"
    ]


def test_an_empty_variable_is_nothing(config):
    config.environ = {"ADDRESS": ""}
    lines = config.chain_errors(f"[{SINK % '${ADDRESS}'}]")
    assert lines == [
        "topology.yaml:5: sources[0].chain[0].RedisSinkSingle.remote_address: "
        "expected host:port, [IPv6]:port or unix:/path, got nothing"
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("+7", 7),
        ("0x10", 16),
        ("0o17", 15),
        ("010", 10),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("yes", "yes"),
        ("1:30", "1:30"),
        (".inf", ".inf"),
        ("1_000", "1_000"),
        ("0x", "0x"),
        ("0xzz", "0xzz"),
        ("1.2.3", "1.2.3"),
        ("9" * 41, "9" * 41),
        ("٣", "٣"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text, value):
    found = scalar_value(Scalar(1, text, plain=True))
    assert found == value
    assert type(found) is type(value)


def test_quoted_scalars_are_text():
    assert scalar_value(Scalar(1, "5", plain=False)) == "5"


@pytest.mark.parametrize("text", ["", "-", "1.0", "one", "0b1", "1 2", "0x1_0"])
def test_what_is_no_integer(text):
    assert parse_integer(text) is None


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e999", "1e", "--1", "0x1p3"])
def test_what_is_no_number(text):
    assert parse_number(text) is None


def test_tags_are_refused_wherever_they_stand(config):
    lines = config.errors("""\
        sources:
          - Redis:
              listen_addr: !!str 127.0.0.1:6379
              chain: !!seq
                - !custom NullSink
        """)
    refused = "YAML tags are not allowed here, got"
    assert lines == [
        f"topology.yaml:3: sources[0].listen_addr: {refused} tag:yaml.org,2002:str",
        f"topology.yaml:4: sources[0].chain: {refused} tag:yaml.org,2002:seq",
        f"topology.yaml:5: sources[0].chain[0]: {refused} !custom",
    ]
