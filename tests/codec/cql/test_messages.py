"""Bodies of requests and responses: what a driver writes is read, and written again byte for byte; hostile ones are refused."""

from __future__ import annotations

import io
import struct

import pytest
from cassandra.protocol import (
    BatchMessage,
    ExecuteMessage,
    PrepareMessage,
    QueryMessage,
    RegisterMessage,
    StartupMessage,
)
from cassandra.query import BatchType
from hypothesis import given
from hypothesis import strategies as st
from support.native import load

cql = load("cql_probe")
VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])


def body_of(message: object, version: int) -> bytes:
    out = io.BytesIO()
    message.send_body(out, version)  # type: ignore[attr-defined]
    return out.getvalue()


def string(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def sized(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


# ---- requests, as the driver writes them ---------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("values", [None, [], [b"a", None, b""]])
@pytest.mark.parametrize("more", [{}, {"serial_consistency_level": 8, "fetch_size": 100, "paging_state": b"page",
    "timestamp": 7}])  # fmt: skip
def test_a_query(version: int, values: list[bytes | None] | None, more: dict) -> None:
    message = QueryMessage("SELECT x", 4, **more)
    message.query_params = values
    body = body_of(message, version)
    text, params, again = cql.query(body, version)
    assert (text, params["consistency"], params["values"], again) == (b"SELECT x", 4, values or [], body)  # fmt: skip
    if more:
        said = [params[name] for name in ("serial", "page_size", "paging_state", "timestamp")]
        assert said == [8, 100, b"page", 7]


def test_a_query_with_names_a_keyspace_and_a_time() -> None:
    flags = 0x1 | 0x40 | 0x80 | 0x100
    body = struct.pack(">i1sHiH", 1, b"x", 1, flags, 2) + string(b"a") + sized(b"1") + string(b"b")
    body += struct.pack(">i", -2) + string(b"ks") + struct.pack(">i", 99)
    text, params, again = cql.query(body, 5)
    assert params["values"] == [(b"a", b"1"), (b"b", ...)]
    assert (text, params["keyspace"], params["now"], again) == (b"x", b"ks", 99, body)


@VERSIONS
def test_an_execute(version: int) -> None:
    message = ExecuteMessage(b"id", [b"1", None], 6, result_metadata_id=b"meta", skip_meta=True)
    body = body_of(message, version)
    found, meta, params, again = cql.execute(body, version)
    assert (found, meta, again) == (b"id", b"meta" if version == 5 else None, body)
    assert (params["values"], params["consistency"], params["flags"] & 1) == ([b"1", None], 6, 1)


@VERSIONS
def test_a_prepare(version: int) -> None:
    body = body_of(PrepareMessage("SELECT ?", keyspace="ks" if version == 5 else None), version)
    assert cql.prepare(body, version) == (b"SELECT ?", b"ks" if version == 5 else None, body)


@VERSIONS
def test_a_batch(version: int) -> None:
    items = [(False, "INSERT", [b"1", None]), (True, b"id", []), (False, "x", [])]
    body = body_of(BatchMessage(BatchType.UNLOGGED, items, 1, 9, 5), version)
    kind, found, params = cql.batch(body, version)
    assert kind == 1 and found == [(False, b"INSERT", [b"1", None]), (True, b"id", []), (False, b"x", [])]  # fmt: skip
    assert (params["consistency"], params["serial"], params["timestamp"]) == (1, 9, 5)


def test_small_requests() -> None:
    wire = body_of(StartupMessage(cqlversion="3.4.7", options={"COMPRESSION": "lz4"}), 4)
    assert sorted(cql.options(wire)) == [(b"COMPRESSION", b"lz4"), (b"CQL_VERSION", b"3.4.7")]
    assert cql.registered(body_of(RegisterMessage(["STATUS_CHANGE", "SCHEMA_CHANGE"]), 4)) == 2
    assert cql.token_of(sized(b"\0u\0p")) == (b"\0u\0p",) and cql.token_of(sized(None)) == (None,)


@pytest.mark.parametrize(
    "version, flags",
    [(4, 0x80), (3, 0xFF), (5, 0x200), (5, 0x80000000)],
)
def test_flags_that_a_version_does_not_know_are_refused(version: int, flags: int) -> None:
    body = struct.pack(">i1sH", 1, b"x", 1)
    body += struct.pack(">I" if version == 5 else ">B", flags) + bytes(40)
    assert cql.query(body, version) is None


# ---- responses -----------------------------------------------------------------------------------------------------

TYPES = {
    9: b"\0\x09",
    0x20: b"\0\x20\0\x0d",
    0x21: b"\0\x21\0\x0d\0\x22\0\x09",
    0x30: b"\0\x30" + string(b"ks") + string(b"udt") + b"\0\2" + string(b"f") + b"\0\x09" + string(b"g") + b"\0\x20\0\x01",
    0x31: b"\0\x31\0\2\0\x09\0\x0d",
    0: b"\0\0" + string(b"org.apache.cassandra.db.marshal.VectorType(x)"),
}  # fmt: skip
SHARED = string(b"ks") + string(b"t")


def columns(shared: bool) -> bytes:
    each = b"" if shared else SHARED
    return (SHARED if shared else b"") + b"".join(
        each + string(b"c%d" % number) + raw for number, raw in TYPES.items()
    )


@VERSIONS
@pytest.mark.parametrize("shared", [True, False])
def test_rows(version: int, shared: bool) -> None:
    flags = shared | 2 | (8 if version == 5 else 0)
    body = struct.pack(">iii", 2, flags, len(TYPES)) + sized(b"page")
    body += (string(b"new") if version == 5 else b"") + columns(shared)
    cells = [[b"1"] * len(TYPES), [None, b""] * (len(TYPES) // 2)]
    body += struct.pack(">i", 2) + b"".join(sized(cell) for row in cells for cell in row)
    said, again = cql.result(body, version)
    assert said["columns"] == [(b"ks", b"t", b"c%d" % number, number, raw) for number, raw in TYPES.items()]  # fmt: skip
    assert (said["rows"], again, said["paging_state"]) == (cells, body, b"page")
    assert said["new_id"] == (b"new" if version == 5 else None)
    said, _ = cql.result(body + b"x", version)
    assert said["rows"] is None


def test_rows_without_metadata() -> None:
    body = struct.pack(">iiii", 2, 4, 2, 1) + sized(b"a") + sized(None)
    said, again = cql.result(body, 4)
    assert (said["columns"], said["rows"], again) == (None, [[b"a", None]], body)


@VERSIONS
def test_prepared(version: int) -> None:
    body = struct.pack(">i", 4) + string(b"id") + (string(b"meta") if version == 5 else b"")
    body += struct.pack(">ii", 1, len(TYPES))
    body += struct.pack(">iHH", 2, 1, 0) if version > 3 else b""
    body += columns(True) + struct.pack(">ii", 4, 0)
    said, again = cql.result(body, version)
    assert (said["id"], said["metadata_id"], again) == (b"id", b"meta" if version == 5 else None, body)  # fmt: skip
    assert said["keys"] == ([1, 0] if version > 3 else []) and len(said["bound"]) == len(TYPES)


def test_other_results() -> None:
    assert cql.result(struct.pack(">i", 1), 4)[0]["kind"] == 1
    body = struct.pack(">i", 3) + string(b"ks")
    assert cql.result(body, 4) == (cql.result(body, 4)[0] | {"keyspace": b"ks"}, body)
    body = struct.pack(">i", 5) + b"".join(map(string, (b"CREATED", b"FUNCTION", b"ks", b"f")))
    body += struct.pack(">H", 2) + string(b"int") + string(b"text")
    said, again = cql.result(body, 4)
    assert said["change"] == (b"CREATED", b"FUNCTION", b"ks", b"f", [b"int", b"text"]) and again == body  # fmt: skip
    assert cql.result(struct.pack(">i", 6), 4) is None


def failures(version: int) -> bytes:
    if version < 5:
        return struct.pack(">i", 2)
    return struct.pack(">i", 2) + b"\4\x7f\0\0\1\0\1" + b"\x10" + bytes(16) + b"\0\2"


ERRORS = {
    0x0000: lambda version: b"", 0x000A: lambda version: b"", 0x0100: lambda version: b"", 0x1001: lambda version: b"",
    0x1000: lambda version: struct.pack(">Hii", 4, 3, 1),
    0x1100: lambda version: struct.pack(">Hii", 4, 1, 3) + string(b"CAS") + (b"\0\7" if version == 5 else b""),
    0x1200: lambda version: struct.pack(">Hii", 4, 1, 3) + b"\1",
    0x1300: lambda version: struct.pack(">Hii", 4, 1, 3) + failures(version) + b"\1",
    0x1400: lambda version: string(b"ks") + string(b"f") + struct.pack(">H", 1) + string(b"int"),
    0x1500: lambda version: struct.pack(">Hii", 4, 1, 3) + failures(version) + string(b"SIMPLE"),
    0x1700: lambda version: struct.pack(">Hii", 4, 1, 3),
    0x2400: lambda version: string(b"ks") + string(b"t"),
    0x2500: lambda version: string(b"id"),
    0x9999: lambda version: b"",
}  # fmt: skip


@VERSIONS
@pytest.mark.parametrize("code", ERRORS)
def test_errors(version: int, code: int) -> None:
    own = ERRORS[code](version)
    body = struct.pack(">i", code) + string(b"so") + own
    said, again = cql.error(body, version)
    assert (said["code"], said["message"], again) == (code, b"so", body)
    if 0x1000 <= code < 0x1800 and own and code != 0x1400:
        assert (said["consistency"], said["required"], said["received"]) == (4, 3, 1)
    assert said["failures"] == (2 if code in (0x1300, 0x1500) else 0)
    for size in range(len(body)):
        if not (code == 0x1100 and version == 5 and size == len(body) - 2):  # without contentions
            assert cql.error(body[:size], version) is None


def test_events() -> None:
    for kind, change in ((b"STATUS_CHANGE", b"UP"), (b"TOPOLOGY_CHANGE", b"NEW_NODE")):
        for address in (b"\x7f\0\0\1", bytes(16)):
            body = string(kind) + string(change) + bytes([len(address)]) + address
            body += struct.pack(">i", 9042)
            assert cql.event(body, 4)[0][:4] == (kind, change, address, 9042)
            assert cql.event(body, 4)[1] == body and cql.event(body[:-1], 4) is None
    body = b"".join(map(string, (b"SCHEMA_CHANGE", b"DROPPED", b"KEYSPACE", b"ks")))
    assert cql.event(body, 4)[0][4] == (b"DROPPED", b"KEYSPACE", b"ks", None, [])
    assert cql.event(string(b"OTHER") + string(b"x"), 4) is None


def test_supported() -> None:
    body = struct.pack(">H", 1) + string(b"COMPRESSION") + struct.pack(">H", 2) + string(b"lz4") + string(b"snappy")  # fmt: skip
    assert cql.supported(body) == [(b"COMPRESSION", [b"lz4", b"snappy"])]


def test_what_stands_before_a_body() -> None:
    body = bytes(range(16)) + struct.pack(">H", 1) + string(b"beware") + struct.pack(">H", 1)
    body += string(b"k") + sized(b"v") + b"rest"
    assert cql.prefix(body, 0x0E, True) == (bytes(range(16)), [b"beware"], 1, b"rest")
    assert cql.prefix(b"rest", 0x0A, False) == (None, [], 0, b"rest")
    assert cql.prefix(body[:10], 0x0E, True) is None


# ---- hostile -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=80), st.sampled_from((3, 4, 5)))
def test_any_bytes(body: bytes, version: int) -> None:
    """What is read can be written: as it was, but for what may stand behind it."""
    for read in (cql.query, cql.execute, cql.prepare, cql.error, cql.event):
        found = read(body, version)
        assert found is None or read(found[-1], version) == found
    for kind in range(7):
        found = cql.result(struct.pack(">i", kind) + body, version)
        assert found is None or cql.result(found[-1], version) == found
    cql.batch(body, version)
    cql.supported(body)
    cql.options(body)
    cql.registered(body)
    for flags in (0x0E, 0x04, 0x08):
        cql.prefix(body, flags, True)


@pytest.mark.parametrize("count", [0x7FFFFFFF, -1, 0x10000])
def test_counts_beyond_the_body_are_refused(count: int) -> None:
    assert cql.result(struct.pack(">iiii", 2, 4, 1, count) + bytes(64), 4) is None
    assert cql.result(struct.pack(">iii", 2, 0, count) + bytes(64), 4) is None
    assert cql.result(struct.pack(">iiii", 2, 4, 0, 0x7FFFFFFF), 4) is None


def test_types_are_not_nested_without_end() -> None:
    for depth, fine in ((20, True), (40, False), (10_000, False)):
        body = struct.pack(">iii", 2, 1, 1) + SHARED + string(b"c") + b"\0\x20" * depth + b"\0\x09"
        assert (cql.result(body + struct.pack(">i", 0), 4) is not None) == fine
