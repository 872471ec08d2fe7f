"""Types are the same tree in all three notations; literals become the bytes that a driver gives the same value."""

from __future__ import annotations

import datetime
import decimal
import struct
import uuid

import pytest
from cassandra.cqltypes import lookup_casstype
from cassandra.util import Duration
from hypothesis import given
from hypothesis import strategies as st
from support.native import load

cql = load("cql_probe")
MARSHAL = "org.apache.cassandra.db.marshal."


def string(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


NATIVE = {
    "ascii": (1, "AsciiType"), "bigint": (2, "LongType"), "blob": (3, "BytesType"), "boolean": (4, "BooleanType"),
    "counter": (5, "CounterColumnType"), "decimal": (6, "DecimalType"), "double": (7, "DoubleType"), "float": (8, "FloatType"),
    "int": (9, "Int32Type"), "timestamp": (11, "TimestampType"), "uuid": (12, "UUIDType"), "text": (13, "UTF8Type"),
    "varint": (14, "IntegerType"), "timeuuid": (15, "TimeUUIDType"), "inet": (16, "InetAddressType"),
    "date": (17, "SimpleDateType"), "time": (18, "TimeType"), "smallint": (19, "ShortType"), "tinyint": (20, "ByteType"),
    "duration": (21, "DurationType"),
}  # fmt: skip


def notations(depth: int = 3) -> st.SearchStrategy:
    """(tree, option, CQL, class) of any type."""
    plain = st.sampled_from(
        [((number,), struct.pack(">H", number), text, MARSHAL + name) for text, (number, name) in NATIVE.items()]
    )  # fmt: skip

    def of(inner: st.SearchStrategy) -> st.SearchStrategy:
        return st.one_of(
            inner.map(lambda one: collection(0x20, "list", "ListType", [one])),
            inner.map(lambda one: collection(0x22, "set", "SetType", [one])),
            st.tuples(inner, inner).map(lambda two: collection(0x21, "map", "MapType", list(two))),
            st.lists(inner, min_size=1, max_size=3).map(lambda some: collection(0x31, "tuple", "TupleType", some)),
            inner.map(lambda one: (one[0], one[1], f"frozen<{one[2]}>", f"{MARSHAL}FrozenType({one[3]})")),
            st.tuples(inner, st.integers(1, 2000)).map(lambda two: vector(*two)),
        )  # fmt: skip

    return st.recursive(plain, of, max_leaves=6)


def collection(number: int, text: str, name: str, parts: list) -> tuple:
    head = struct.pack(">H", number) + (struct.pack(">H", len(parts)) if number == 0x31 else b"")
    return (
        (number, *(part[0] for part in parts)),
        head + b"".join(part[1] for part in parts),
        f"{text}<{', '.join(part[2] for part in parts)}>",
        f"{MARSHAL}{name}({','.join(part[3] for part in parts)})",
    )


def vector(part: tuple, size: int) -> tuple:
    name = f"{MARSHAL}VectorType({part[3]} , {size})"
    option = b"\0\0" + string(name.encode())
    return (0x100, part[0], size), option, f"vector<{part[2]}, {size}>", name


@given(notations())
def test_three_notations_of_a_type(each: tuple) -> None:
    tree, option, text, name = each
    for said, how in ((option, "option"), (text.encode(), "text"), (name.encode(), "class")):
        assert cql.type_of(said, how) == tree
        assert cql.type_of(said, how, 0) is None


def test_user_types() -> None:
    option = b"\0\x30" + string(b"ks") + string(b"u") + b"\0\2" + string(b"a") + b"\0\x09" + string(b"b") + b"\0\x0d"  # fmt: skip
    assert cql.type_of(option, "option") == (0x30, (b"a", (9,)), (b"b", (13,)), b"u")
    name = f"{MARSHAL}UserType(ks,75,61:{MARSHAL}Int32Type,62:{MARSHAL}UTF8Type)".encode()
    assert cql.type_of(name, "class") == (0x30, (b"61", (9,)), (b"62", (13,)), b"75")
    assert cql.type_of(b'frozen<ks."U">', "text") == (0x30, b'"U"')


@pytest.mark.parametrize("text", ["org.x.Own", "org.x.Own(a,b(c))", "ListType(", "", "VectorType(FloatType , x)",
    "MapType(a)"])  # fmt: skip
def test_a_class_that_is_not_understood_is_one_of_bytes(text: str) -> None:
    found = cql.type_of(text.encode(), "class")
    assert found[0] == 0 and (text.encode().startswith(found[1]))


@pytest.mark.parametrize("text", ["list", "list<", "list<int", "map<int>", "list<int, int>", "int int", "<int>", "1", "",
    "vector<int, x>"])  # fmt: skip
def test_what_is_no_type(text: str) -> None:
    assert cql.type_of(text.encode(), "text") is None


@given(st.binary(max_size=40) | st.text("()<>,: aTypeList0123.", max_size=40).map(str.encode))
def test_any_bytes(raw: bytes) -> None:
    for how in ("option", "text", "class"):
        cql.type_of(raw, how)
    cql.type_of(b"ListType(" * 5000, "class")


# ---- literals ------------------------------------------------------------------------------------------------------

SOME = uuid.UUID("6ab09bec-e68e-11e9-a5f8-97e6fb4c9b47")
LITERALS = [
    ("int", "Int32Type", "-5", -5), ("int", "Int32Type", "2147483647", 2**31 - 1), ("bigint", "LongType",
    "-9223372036854775808", -(2**63)),
    ("smallint", "ShortType", "-300", -300), ("tinyint", "ByteType", "-128", -128), ("varint", "IntegerType", "128", 128),
    ("varint", "IntegerType", "-32769", -32769), ("varint", "IntegerType", "0", 0), ("boolean", "BooleanType", "TRUE", True),
    ("boolean", "BooleanType", "false", False), ("text", "UTF8Type", "'it''s é'", "it's é"), ("text", "UTF8Type", "$$a'b$$",
    "a'b"),
    ("text", "UTF8Type", "''", ""), ("ascii", "AsciiType", "''''", "'"), ("blob", "BytesType", "0xCafe00", b"\xca\xfe\0"),
    ("blob", "BytesType", "0x", b""), ("uuid", "UUIDType", str(SOME).upper(), SOME), ("timeuuid", "TimeUUIDType", str(SOME),
    SOME),
    ("double", "DoubleType", "1.5e-3", 1.5e-3), ("double", "DoubleType", "7", 7.0), ("float", "FloatType", "-0.1", -0.1),
    ("float", "FloatType", "-Infinity", float("-inf")), ("inet", "InetAddressType", "'127.0.0.1'", "127.0.0.1"),
    ("inet", "InetAddressType", "'::1'", "::1"), ("timestamp", "TimestampType", "1234567", 1234567),
    ("timestamp", "TimestampType", "'2024-02-29 12:34:56.789Z'", datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)),
    ("timestamp", "TimestampType", "'1969-07-20T20:17:40+0100'", datetime.datetime(1969, 7, 20, 19, 17, 40)),
    ("date", "SimpleDateType", "'2024-12-31'", "2024-12-31"), ("date", "SimpleDateType", "'0001-01-01'", "0001-01-01"),
    ("time", "TimeType", "'01:02:03.000000004'", 3723000000004), ("time", "TimeType", "5", 5),
    ("list<int>", "ListType(Int32Type)", "[1, 2,3 ]", [1, 2, 3]), ("list<text>", "ListType(UTF8Type)", "[]", []),
    ("list<frozen<list<text>>>", "ListType(FrozenType(ListType(UTF8Type)))", "[['a'], [], ['b', 'c']]", [["a"], [], ["b", "c"]]),
    ("set<int>", "SetType(Int32Type)", "{4}", {4}), ("map<text, int>", "MapType(UTF8Type, Int32Type)", "{'a': 1}", {"a": 1}),
    ("set<int>", "SetType(Int32Type)", "{}", set()), ("tuple<int, text>", "TupleType(Int32Type, UTF8Type)", "(1, 'x')", (1, "x")),
    ("tuple<int, text>", "TupleType(Int32Type, UTF8Type)", "(null, 'x')", (None, "x")),
    ("vector<float, 2>", "VectorType(FloatType, 2)", "[1, 2.5]", [1.0, 2.5]),
    ("set<int>", "SetType(Int32Type)", "{3, -1, 2, 3, -1}", [-1, 2, 3]),
    ("set<text>", "SetType(UTF8Type)", "{'b', 'é', 'a', 'ab', ''}", ["", "a", "ab", "b", "é"]),
    ("map<text, int>", "MapType(UTF8Type, Int32Type)", "{'b': 1, 'a': 2}", {"a": 2, "b": 1}),
    ("set<double>", "SetType(DoubleType)", "{NaN, 1, -Infinity, -0.5, -2, 0.0, -0.0}",
     [float("-inf"), -2.0, -0.5, -0.0, 0.0, 1.0, float("nan")]),
    ("set<varint>", "SetType(IntegerType)", "{1000, -1000, 3, -3}", [-1000, -3, 3, 1000]),
]  # fmt: skip


@pytest.mark.parametrize("text, name, literal, value", LITERALS)
def test_literals(text: str, name: str, literal: str, value: object) -> None:
    wanted = lookup_casstype(name).serialize(value, 4)
    for around in ("{}", " {} ", "/* */{}--"):
        assert cql.literal(text.encode(), around.format(literal).encode()) == ("fine", wanted)


@given(st.integers(-(10**16), 10**16))
def test_integers(value: int) -> None:
    for text, name in (("bigint", "LongType"), ("varint", "IntegerType"), ("int", "Int32Type"), ("tinyint",
        "ByteType")):  # fmt: skip
        bits = {"int": 32, "tinyint": 8}.get(text, 64)
        said = cql.literal(text.encode(), str(value).encode())
        if -(1 << bits - 1) <= value < 1 << bits - 1:
            assert said == ("fine", lookup_casstype(name).serialize(value, 4))
        else:
            assert said == ("wrong", None)


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(-(10**140), 10**140))
def test_decimals_and_varints(value: decimal.Decimal | int) -> None:
    written = str(value)
    if isinstance(value, int):
        assert cql.literal(b"varint", written.encode()) == (
            "fine",
            lookup_casstype("IntegerType").serialize(value, 4),
        )
    value = decimal.Decimal(value)
    if len(written) <= 150 and abs(value.as_tuple().exponent) < 100_000:
        sign, digits, exponent = value.as_tuple()
        unscaled = int("".join(map(str, digits))) * (-1 if sign else 1)
        wanted = struct.pack(">i", -exponent) + lookup_casstype("IntegerType").serialize(
            unscaled, 4
        )
        assert cql.literal(b"decimal", written.encode()) == ("fine", wanted)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("1y2mo3w4d5h6m7s8ms9us10ns", (14, 25, 18367008009010)), ("-1H30m", (0, 0, -5400000000000)), ("1µs", (0, 0, 1000)),
        ("P1Y2M3DT4H5M6S", (14, 3, 14706000000000)), ("-PT5S", (0, 0, -5000000000)), ("P2W", (0, 14, 0)), ("0s", (0, 0, 0)),
        ("89h", (0, 0, 89 * 3600 * 10**9)), ("2562047h", (0, 0, 2562047 * 3600 * 10**9)),
    ],
)  # fmt: skip
def test_durations(literal: str, value: tuple[int, int, int]) -> None:
    wanted = lookup_casstype("DurationType").serialize(Duration(*value), 4)
    assert cql.literal(b"duration", literal.encode()) == ("fine", wanted)


@given(st.lists(st.uuids() | st.uuids(version=1) | st.uuids(version=4), max_size=12))
def test_sets_are_in_the_order_of_the_servers(values: list[uuid.UUID]) -> None:
    def key(one: uuid.UUID) -> tuple[int, int, bytes]:
        return (one.int >> 76 & 15, one.time if one.int >> 76 & 15 == 1 else 0, one.bytes)

    known = sorted(set(values), key=key)
    ties = {(one.time, one.int >> 76 & 15) for one in known if one.int >> 76 & 15 == 1}
    said = cql.literal(b"set<uuid>", f"{{{', '.join(map(str, values))}}}".encode())
    if len(ties) == len([one for one in known if one.int >> 76 & 15 == 1]):
        wanted = struct.pack(">i", len(known)) + b"".join(
            struct.pack(">i", 16) + one.bytes for one in known
        )
        assert said == ("fine", wanted)


@given(st.dictionaries(st.integers(-(2**40), 2**40), st.text(max_size=5), max_size=300))
def test_maps_are_in_the_order_of_their_keys(values: dict[int, str]) -> None:
    written = ", ".join(
        f"{key}: '{value.replace(chr(39), chr(39) * 2)}'" for key, value in values.items()
    )
    said = cql.literal(b"map<bigint, text>", f"{{{written}}}".encode())
    if len(values) > 256:
        assert said == ("unknown", None)
        return
    wanted = struct.pack(">i", len(values))
    for key in sorted(values):
        raw = values[key].encode()
        wanted += struct.pack(">iqi", 8, key, len(raw)) + raw
    assert said == ("fine", wanted)


UDT = (
    struct.pack(">H", 0x30) + string(b"ks") + string(b"place") + struct.pack(">H", 3)
    + string(b"street") + struct.pack(">H", 13) + string(b"No") + struct.pack(">H", 9)
    + string(b"tags") + struct.pack(">HH", 0x22, 9)
)  # fmt: skip


@pytest.mark.parametrize(
    ("literal", "wanted"),
    [
        ("{street: 'x', \"No\": 5, tags: {2, 1}}", b"\0\0\0\1x" + struct.pack(">8i", 4, 5, 20, 2, 4, 1, 4, 2)),
        ("{\"No\": 5, STREET: 'x'}", b"\0\0\0\1x" + struct.pack(">iii", 4, 5, -1)),
        ("{\"No\": null}", struct.pack(">iii", -1, -1, -1)),
        ("{no: 5}", None), ("{street: 'x',}", None), ("{street: 'x', street: 'y'}", None), ("{street: f()}", None),
    ],
)  # fmt: skip
def test_user_types_are_in_the_order_of_their_fields(literal: str, wanted: bytes | None) -> None:
    said = ("unknown", None) if wanted is None else ("fine", wanted)
    assert cql.literal(UDT, literal.encode(), "option") == said
    assert cql.literal(b"place", literal.encode()) == ("unknown", None)


@given(st.dates())
def test_dates(value: datetime.date) -> None:
    wanted = struct.pack(">I", (value - datetime.date(1970, 1, 1)).days + 2**31)
    assert cql.literal(b"date", f"'{value.isoformat()}'".encode()) == ("fine", wanted)


@pytest.mark.parametrize(
    "text, literal, said",
    [("int", "null", "null"), ("int", "?", "unknown"), ("int", "f(1)", "unknown"), ("int", "1 + 2", "unknown"), ("int",
        "(int)1", "unknown"),
     ("int", "2147483648", "wrong"), ("tinyint", "200", "wrong"), ("bigint", "9223372036854775808", "wrong"), ("blob",
     "0xabc", "wrong"),
     ("timestamp", "'2024-01-01'", "unknown"), ("timestamp", "'2024-01-01 00:00:00'", "unknown"), ("date", "'2023-02-29'",
     "unknown"),
     ("set<decimal>", "{2, 1}", "unknown"), ("map<text, int>", "{'a': 1, 'a': 2}", "unknown"),
     ("set<frozen<list<int>>>", "{[2], [1]}", "unknown"), ("list<int>", "[null]", "wrong"), ("tuple<int>", "(1, 2)", "wrong"),
     ("inet",
     "'localhost'", "unknown"),
     ("inet", "'127.0.0.1\0x'", "unknown"),
     ("vector<float, 2>", "[1]", "unknown"), ("decimal", "NaN", "unknown"), ("duration", "1h1d", "unknown"),
     ("duration", "P0001-02-03T04:05:06", "unknown"), ("duration", "99999999999y", "unknown"), ("int", "'1'",
     "unknown")],
)  # fmt: skip
def test_what_only_the_server_knows(text: str, literal: str, said: str) -> None:
    assert cql.literal(text.encode(), literal.encode()) == (said, None)


def test_nested_values_take_no_longer() -> None:
    deep = b"list<frozen<list<int>>>"
    assert cql.literal(deep, b"[" * 100_000)[0] == "unknown"


@given(st.sampled_from([one[0] for one in LITERALS]), st.text("[]{}(),:'$1-0x.einf ", max_size=20))
def test_any_text(kind: str, text: str) -> None:
    cql.literal(kind.encode(), text.encode())
