"""What is shown of a statement: no constants, no comments, and otherwise the same statement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native import load

from codec.cql.statements import corpus

cql = load("cql_probe")
CONSTANTS = set(range(130, 138))  # TOKEN_STRING to TOKEN_HEX


@pytest.mark.parametrize(("text", "shown"), [
    ("SELECT * FROM t WHERE k = 'a' AND c > -12.5", "SELECT * FROM t WHERE k = ? AND c > ?"),
    ("INSERT INTO t(k) VALUES($$it's$$,0xCAFE) -- secret", "INSERT INTO t(k) VALUES(?,?)"),
    ("/* secret */ UPDATE \"T\"\nSET m = {'a': true}", 'UPDATE "T" SET m = {?: ?}'),
    ("ALTER ROLE r WITH PASSWORD='secret", "ALTER ROLE r WITH PASSWORD=..."),
    ("", ""),
])  # fmt: skip
def test_constants_become_marks(text: str, shown: str) -> None:
    assert cql.redact(text.encode()) == shown.encode()


def test_statements_of_every_kind_stay_the_same_but_for_constants() -> None:
    for text in [entry[-1] for entry in corpus()]:
        kinds = [token[0] for token in cql.tokens(text.encode())]
        wanted = [ord("?") if kind in CONSTANTS else kind for kind in kinds]
        assert [token[0] for token in cql.tokens(cql.redact(text.encode()))] == wanted, text


@given(st.binary(max_size=200), st.integers(8, 64))
def test_it_fits_whatever_the_text_is(text: bytes, room: int) -> None:
    assert len(cql.redact(text, room)) <= room
