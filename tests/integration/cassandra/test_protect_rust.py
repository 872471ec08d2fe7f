"""Protect: values that Shotover in Rust has sealed, put together here as it writes them (see _protect_rust.pxd)."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import struct
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from shotover.transforms._protect_keys import DataKeys
from support.native import load
from support.proxy import Proxy

from shotover.transforms.protect_keys import LocalKeys

from .test_protect import kms, protected

pytestmark = pytest.mark.timeout(240)
__all__ = ["kms"]

Start = Callable[..., Proxy]
probe = load("protect_probe")
KEY = bytes(range(32))


def sized(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def kind(number: int, rest: bytes = b"") -> bytes:
    return struct.pack("<I", number) + rest


def text(value: str) -> bytes:
    return kind(18, sized(value.encode()))


def integer(value: int) -> bytes:
    return kind(4, struct.pack("<qI", value, 0))


def several(number: int, *parts: bytes) -> bytes:
    return kind(number, struct.pack("<Q", len(parts)) + b"".join(parts))


def sealed(plain: bytes, key: bytes, wrapped: bytes, key_id: str) -> bytes:
    nonce = secrets.token_bytes(12)
    cipher = ChaCha20Poly1305(key).encrypt(nonce, plain, None)
    return sized(cipher) + nonce + sized(wrapped) + sized(key_id.encode())


def test_what_another_version_has_written_is_read(
    node: int, start_cassandra_proxy: Start, kms: str
) -> None:
    import boto3

    client = boto3.client("kms", region_name="us-east-1", endpoint_url=kms)
    made = client.create_key()["KeyMetadata"]
    context = {"service": "shop"}
    key = client.generate_data_key(KeyId=made["KeyId"], NumberOfBytes=32, EncryptionContext=context)
    aws = {
        "cmk_id": made["KeyId"],
        "region": "us-east-1",
        "endpoint": kms,
        "encryption_context": context,
    }

    def old(plain: bytes) -> bytes:
        return sealed(plain, key["Plaintext"], key["CiphertextBlob"], key["KeyId"])

    types = {"secret": "text", "number": "int", "tags": "list<text>"}
    fields = {"key_manager": {"AWSKms": aws}, "unsealed": "Refuse"}
    with protected(node, start_cassandra_proxy, types, open_rust_form=True, **fields) as (
        session,
        direct,
        _name,
        proxy,
    ):
        insert = direct.prepare("INSERT INTO t (k, secret, number, tags) VALUES (?, ?, ?, ?)")
        rows = {
            1: (text("it's"), integer(-42), several(9, text("a"), text("b"))),
            2: (kind(0), kind(0), several(9)),
            3: (text(""), integer(2**31 - 1), several(10, text("in a list"))),
        }
        for k, values in rows.items():
            direct.execute(insert, (k, *map(old, values)))
        found = {
            row.k: (row.secret, row.number, row.tags)
            for row in session.execute("SELECT * FROM t WHERE k IN (1, 2)")
        }
        assert found == {1: ("it's", -42, ["a", "b"]), 2: (None, None, [])}
        assert session.execute("SELECT number FROM t WHERE k = 3").one().number == 2**31 - 1
        with pytest.raises(Exception, match="Protect cannot open a value"):  # a set is no list
            session.execute("SELECT tags FROM t WHERE k = 3")
        session.execute("INSERT INTO t (k, secret) VALUES (1, 'anew')")
        assert (
            direct.execute("SELECT secret FROM t WHERE k = 1").one().secret[:3] == b"\xd5\x50\x01"
        )
        broken = bytearray(old(text("x")))
        broken[9] ^= 1
        direct.execute(insert, (4, bytes(broken), None, None))
        with pytest.raises(Exception, match="Protect cannot open a value"):
            session.execute("SELECT secret FROM t WHERE k = 4")
        assert proxy.metric("shotover_protect_unsealed_count") == 0


OTHER = uuid.UUID(int=0x0123456789ABCDEF0123456789ABCDEF)
VALUES: dict[str, tuple[str, bytes, Any]] = {
    "a blob": ("blob", kind(1, sized(b"\0\xff")), b"\0\xff"),
    "a number as bigint": ("bigint", integer(-(2**63)), -(2**63)),
    "a number as double": ("double", integer(3), 3.0),
    "a double": ("double", kind(5, struct.pack("<d", 0.1)), 0.1),
    "a float": ("float", kind(6, struct.pack("<f", 0.5)), 0.5),
    "a boolean": ("boolean", kind(7, b"\1"), True),
    "a uuid": ("uuid", kind(19, sized(OTHER.bytes)), OTHER),
    "a time uuid": ("uuid", kind(17, sized(OTHER.bytes)), OTHER),
    "an address": ("inet", kind(8, kind(0, b"\x0a\0\0\1")), "10.0.0.1"),
    "a longer one": (
        "inet",
        kind(8, kind(1, ipaddress.ip_address("2001:db8::1").packed)),
        "2001:db8::1",
    ),
    "a date": ("date", text("2020-02-29"), datetime.date(2020, 2, 29)),
    "a map": ("map<text, int>", several(11, text("a") + integer(1)), {"a": 1}),
}


@pytest.mark.parametrize(("declared", "plain", "expected"), VALUES.values(), ids=VALUES)
def test_kinds_of_values(declared: str, plain: bytes, expected: Any) -> None:
    from shotover._codec.cql.values import CqlType

    keys = DataKeys(True)
    keys.put(b"id", b"wrapped", KEY, False)
    literal, found = probe.opened_rust(
        keys, sealed(plain, KEY, b"wrapped", "id"), declared.encode()
    )
    assert literal is not None
    value = CqlType.of_text(declared).decode(found)
    if declared == "inet":
        value = str(value)
    elif declared == "date":
        value = datetime.date(1970, 1, 1) + datetime.timedelta(days=value)
    elif declared.startswith("map"):
        value = dict(value)
    assert value == expected


@given(st.data())
def test_a_changed_byte_is_seen(data: st.DataObject) -> None:
    keys = DataKeys(True)
    keys.put(b"id", b"wrapped", KEY, False)
    value = bytearray(sealed(text("x"), KEY, b"wrapped", "id"))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    assert probe.opened_rust(keys, bytes(value), b"text")[0] is None
    assert (
        probe.opened_rust(keys, bytes(value)[: data.draw(st.integers(0, len(value)))], b"text")[0]
        is None
    )


@given(st.binary(max_size=80))
def test_what_is_no_value_is_refused(plain: bytes) -> None:
    """Whatever was sealed: an answer, and of what is opened as text the bytes."""
    keys = DataKeys(True)
    keys.put(b"id", b"wrapped", KEY, False)
    literal, found = probe.opened_rust(keys, sealed(plain, KEY, b"wrapped", "id"), b"text")
    if literal is not None and found is not None:
        assert plain[:4] in (kind(2), kind(3), kind(18)) and plain[12:] == found


def test_keys_that_wrap_themselves() -> None:
    """A local key there: the data key is wrapped by itself, so nothing but it opens it."""
    wrapped = b'{"nonce":[' + b",".join([b"0"] * 12) + b'],"key":[' + b",".join([b"7"] * 48) + b"]}"
    with pytest.raises(LookupError, match="wrapped by itself"):
        LocalKeys({"local": KEY}).unwrap(b"", wrapped)
