"""Protect in a topology: columns, their types and look-up columns, and what may stand below it."""

from __future__ import annotations

import textwrap

import pytest

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
AT = "topology.yaml:{line}: sources[0].chain[{index}].{rest}"


def topology(columns: str, more: str = "", below: str = "") -> str:
    return textwrap.dedent(
        f"""\
        sources:
          - Cassandra:
              name: cassandra
              listen_addr: 127.0.0.1:9042
              chain:
                - Protect:
                    name: protect
                    keyspace_table_columns: {{shop: {{customers: {columns}}}}}
                    key_manager: {{Local: {{kek: "{KEY}"}}}}
                    {more or "unsealed: Pass"}
                {below}
                - CassandraSinkSingle: {{remote_address: '127.0.0.1:9043'}}
        """
    )


LOOKUP = "{card: {type: text, lookup: card_hash}}"
WITH_KEY = f'lookup_key: "{KEY}"'
CUSTOMERS = "Protect.keyspace_table_columns.shop.customers"


@pytest.mark.parametrize(
    ("columns", "more", "problem"),
    [
        (
            "{card: money}",
            "",
            f"8|{CUSTOMERS}.card: expected a type, got money: 'money' is no type that",
        ),
        ("{card: {lookup: x}}", WITH_KEY, f"8|{CUSTOMERS}.card: required field type is missing"),
        (
            "{card: {type: text, lookup: card}}",
            WITH_KEY,
            f"8|{CUSTOMERS}: expected a column of its own as lookup, got card",
        ),
        (LOOKUP, "", "8|Protect.keyspace_table_columns: columns with lookup need lookup_key"),
        ("[card]", WITH_KEY, "10|Protect.lookup_key: no column has lookup"),
        (LOOKUP, "lookup_key: AAAA", "10|Protect.lookup_key: expected base64 of 32 bytes, got 3"),
    ],
)
def test_columns_that_cannot_be(config, columns, more, problem):
    line, _, rest = problem.partition("|")
    (found,) = config.errors(topology(columns, more))
    assert found.startswith(AT.format(line=line, index=0, rest=rest))


def test_what_may_stand_below(config):
    """With look-up columns only the sink."""
    counter = "- QueryCounter: {name: counter}"
    assert config.errors(topology(LOOKUP, WITH_KEY, counter)) == [
        AT.format(line=11, index=1, rest="QueryCounter")
        + ": QueryCounter would see statements of Protect's own, with its look-up columns: put it above Protect"
    ]
    config.load(topology("{card: text}", "", counter))
    config.load(topology(LOOKUP, WITH_KEY))
