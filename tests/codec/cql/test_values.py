"""Values of every type: what is encoded is decoded the same, byte for byte the other way round, and as a driver has it."""

from __future__ import annotations

import decimal
import ipaddress
import uuid
from typing import Any

import pytest
from cassandra.cqltypes import lookup_casstype
from hypothesis import given
from hypothesis import strategies as st

from codec.cql.test_types import notations
from shotover._codec.cql.values import CqlType, Duration


def whole(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


PLAIN: dict[int, st.SearchStrategy[Any]] = {
    1: st.text("abc", max_size=5), 2: whole(64), 3: st.binary(max_size=5), 4: st.booleans(), 5: whole(64),
    6: st.builds(lambda number, scale: decimal.Decimal(number).scaleb(scale), st.integers(-(10**20), 10**20), st.integers(-30,
        30)),
    7: st.floats(allow_nan=False), 8: st.floats(width=32, allow_nan=False), 9: whole(32), 11: whole(64), 12: st.uuids(),
    13: st.text(max_size=5), 14: st.integers(-(1 << 80), 1 << 80), 15: st.uuids(version=1), 16: st.ip_addresses(), 17: whole(32),
    18: st.integers(0, 86_399_999_999_999), 19: whole(16), 20: whole(8),
    21: st.builds(Duration, whole(32), whole(32), whole(64)),
}  # fmt: skip


def values(tree: tuple) -> st.SearchStrategy[Any]:
    number, *parts = tree
    if number in PLAIN:
        return PLAIN[number]
    if number in (0x20, 0x22):
        return st.lists(values(parts[0]), max_size=3)
    if number == 0x21:
        return st.lists(st.tuples(values(parts[0]), values(parts[1])), max_size=3)
    if number == 0x100:
        return st.lists(values(parts[0]), min_size=parts[1], max_size=parts[1])
    return st.tuples(*[st.none() | values(part) for part in parts])


def small(tree: tuple) -> bool:
    """No vector so long that a test takes for ever."""
    return not isinstance(tree, tuple) or (
        (tree[0] != 0x100 or tree[2] <= 4) and all(map(small, tree))
    )


@given(st.data(), notations())
def test_encoded_and_decoded(data: st.DataObject, each: tuple) -> None:
    tree, option, text, name = each
    if not small(tree):
        return
    kinds = [CqlType.of_option(option), CqlType.of_text(text), CqlType.of_class(name)]
    value = data.draw(values(tree))
    raw = kinds[0].encode(value)
    for kind in kinds:
        assert kind.decode(raw) == value and kind.encode(kind.decode(raw)) == raw
    assert kinds[0].encode(None) is None and kinds[0].decode(None) is None


DRIVERS = {
    "ascii": "AsciiType", "bigint": "LongType", "blob": "BytesType", "boolean": "BooleanType", "decimal": "DecimalType",
    "double": "DoubleType", "float": "FloatType", "int": "Int32Type", "text": "UTF8Type", "varint": "IntegerType",
    "uuid": "UUIDType",
    "smallint": "ShortType", "tinyint": "ByteType", "timeuuid": "TimeUUIDType", "list<int>": "ListType(Int32Type)",
    "map<text, bigint>": "MapType(UTF8Type, LongType)", "tuple<int, text>": "TupleType(Int32Type, UTF8Type)",
    "vector<float, 3>": "VectorType(FloatType, 3)", "vector<text, 2>": "VectorType(UTF8Type, 2)",
    "list<varint>": "ListType(IntegerType)",
    "list<frozen<map<int, text>>>": "ListType(MapType(Int32Type, UTF8Type))", "vector<bigint, 2>": "VectorType(LongType, 2)",
}  # fmt: skip
TREES = {
    "list<int>": (0x20, (9,)), "map<text, bigint>": (0x21, (13,), (2,)), "tuple<int, text>": (0x31, (9,), (13,)),
    "vector<float, 3>": (0x100, (8,), 3), "vector<text, 2>": (0x100, (13,), 2), "list<varint>": (0x20, (14,)),
    "list<frozen<map<int, text>>>": (0x20, (0x21, (9,), (13,))), "vector<bigint, 2>": (0x100, (2,), 2),
}  # fmt: skip


@pytest.mark.parametrize("text", DRIVERS)
@given(data=st.data())
def test_as_the_driver_has_it(text: str, data: st.DataObject) -> None:
    kind = CqlType.of_text(text)
    value = data.draw(values(TREES[text]) if text in TREES else PLAIN[kind.id])
    said = dict(value) if text.startswith("map") else value
    if text == "list<frozen<map<int, text>>>":
        said = [dict(each) for each in value]
    assert kind.encode(said) == lookup_casstype(DRIVERS[text]).serialize(said, 4)


@given(st.ip_addresses(), whole(31), st.builds(Duration, whole(31), whole(31), whole(60)))
def test_addresses_and_durations_as_the_driver_has_them(address, days, duration) -> None:
    assert CqlType.of_text("inet").encode(address) == lookup_casstype("InetAddressType").serialize(str(address), 4)  # fmt: skip
    from cassandra.util import Duration as Theirs

    if len({part < 0 for part in duration if part}) < 2:  # a duration is of one sign
        wanted = lookup_casstype("DurationType").serialize(Theirs(*duration), 4)
        assert CqlType.of_text("duration").encode(duration) == wanted


def test_user_types_and_sets() -> None:
    name = "org.apache.cassandra.db.marshal."
    kind = CqlType.of_class(f"{name}UserType(ks,75,61:{name}Int32Type,62:{name}UTF8Type)")
    assert (kind.name, kind.fields) == ("75", ("61", "62"))
    for value in ({"61": 1, "62": "x"}, {"61": None, "62": "x"}, {"61": 1}, {}):
        assert kind.decode(kind.encode(value)) == value
    assert CqlType.of_text("set<int>").decode(CqlType.of_text("set<int>").encode({7})) == [7]
    assert CqlType.of_text("map<int, int>").encode({1: 2}) == CqlType.of_text("map<int, int>").encode([(1, 2)])  # fmt: skip
    assert CqlType.of_class("org.x.Own(a)").decode(b"ab") == b"ab"


@given(st.binary(max_size=30), notations())
def test_any_bytes(raw: bytes, each: tuple) -> None:
    """A value, or a ValueError."""
    if small(each[0]):
        try:
            CqlType.of_option(each[1]).decode(raw)
        except ValueError:
            return


@pytest.mark.parametrize(
    "text, value",
    [("int", 1 << 31), ("int", "x"), ("uuid", 5), ("vector<int, 2>", [1]), ("tuple<int>", (1, 2)), ("inet", "x"), ("decimal",
        "NaN"),
     ("bigint", None.__class__), ("duration", Duration(1 << 80, 0, 0))],
)  # fmt: skip
def test_what_is_no_value(text: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        CqlType.of_text(text).encode(value)


def test_what_is_no_type() -> None:
    for text in ("list<", "", "<"):
        with pytest.raises(ValueError, match="no type of CQL"):
            CqlType.of_text(text)
    assert isinstance(CqlType.of_text("inet").decode(bytes(16)), ipaddress.IPv6Address)
    assert CqlType.of_text("uuid").decode(bytes(16)) == uuid.UUID(int=0)
