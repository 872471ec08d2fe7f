"""Rows as JSON, held against Python's own reader of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.native import load

probe = load("protect_probe")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
names = st.text("abz_09AZ\"'\\/\n", max_size=12)


def column(key: str) -> bytes:
    if len(key) >= 2 and key[0] == key[-1] == '"':
        return key[1:-1].encode()
    return key.lower().encode()


@given(
    st.lists(st.tuples(names, values), max_size=5),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_members_are_what_python_reads(
    members: list[tuple[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(dict(members), ensure_ascii=ascii_only, indent=indent).encode(
        "utf-8", "surrogatepass"
    )
    found = probe.json_members(text)
    expected = [(column(key), value) for key, value in dict(members).items()]
    assert [(name, json.loads(raw)) for name, raw in found] == expected


@given(st.data(), st.dictionaries(names, values, min_size=1, max_size=3))
def test_what_python_does_not_read_is_bad(data: st.DataObject, row: dict[str, Any]) -> None:
    text = bytearray(json.dumps(row).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.sampled_from(b'{}[]",:\\ \x00\x1f-+.eE019tfnu/x'))
    found = probe.json_members(bytes(text))
    if found is not None:
        read = json.loads(text)
        assert isinstance(read, dict)
        assert set(found[index][0] for index in range(len(found))) == {column(key) for key in read}


def test_where_it_ends() -> None:
    whole = b'{"a": [1, {"b": "x\\"}"}], "c": null} '
    for size in range(len(whole) - 1):
        assert probe.json_members(whole[:size]) is None
    assert len(probe.json_members(whole)) == 2
    assert probe.json_members(b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}") is None
