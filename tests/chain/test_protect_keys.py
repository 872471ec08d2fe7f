"""Sealed values and data keys: held against another library, turned upside down, and renewed by a clock of the test's own."""

from __future__ import annotations

import base64
import http.server
import json
import queue
import threading
from typing import Any

import hvac
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from shotover.transforms._protect_keys import DataKeys
from support.native import load
from support.wait import wait_until

from shotover._net.aead import Aead
from shotover.transforms.protect_keys import Keyring, LocalKeys, Manager, VaultKeys, kek_of
from shotover.transforms.protect_types import option_of

probe = load("protect_probe")
KEY = bytes(range(32))


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=12, max_size=12),
    st.binary(),
    st.binary(),
)
@pytest.mark.parametrize(("which", "other"), [(1, AESGCM), (2, ChaCha20Poly1305)])
def test_as_another_library_does_it(
    which: int, other: Any, key: bytes, nonce: bytes, about: bytes, plain: bytes
) -> None:
    sealed = Aead(key, which).sealed(nonce, about, plain)
    assert sealed == other(key).encrypt(nonce, plain, about)
    assert Aead(key, which).opened(nonce, about, sealed) == plain
    broken = bytes([sealed[0] ^ 1]) + sealed[1:]
    with pytest.raises(ValueError, match="not sealed by this key"):
        Aead(key, which).opened(nonce, about, broken)
    with pytest.raises(InvalidTag):
        other(key).decrypt(nonce, broken, about)


def ring_of(*names: str) -> DataKeys:
    keys = DataKeys()
    for name in names:
        keys.put(name.encode(), b"wrapped " + name.encode(), KEY, True)
    return keys


@given(st.binary(max_size=3000))
def test_what_is_sealed_opens(plain: bytes) -> None:
    keys = ring_of("one", "two")
    sealed = probe.seal(keys, b"column", plain)
    assert probe.opened(keys, b"column", sealed) == ("opened", plain)
    assert probe.opened(keys, b"other", sealed) == ("not ours", None)
    assert probe.opened(ring_of("one"), b"column", sealed) == ("unknown key", None)
    assert probe.opened(keys, b"column", plain)[0] != "opened"
    assert sealed != probe.seal(keys, b"column", plain)


@given(st.data())
def test_a_changed_byte_is_seen(data: st.DataObject) -> None:
    keys = ring_of("one")
    sealed = bytearray(probe.seal(keys, b"column", b"a value"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    assert probe.opened(keys, b"column", bytes(sealed))[0] != "opened"
    cut = bytes(sealed[: data.draw(st.integers(0, len(sealed)))])
    assert probe.opened(keys, b"column", cut)[0] != "opened"


def test_the_number_of_keys_is_bounded() -> None:
    keys = ring_of(*map(str, range(300)))
    keys.put(b"current", b"wrapped", KEY, True)
    sealed = probe.seal(keys, b"column", b"x")
    for number in range(600):
        keys.put(b"old", b"%d" % number, KEY, False)
    assert probe.opened(keys, b"column", sealed) == ("opened", b"x")


class Step:
    def __init__(self) -> None:
        self.got: queue.Queue[tuple[bytes, bytes, bytes | None, bool]] = queue.Queue()

    def take_key(self, *key: Any) -> None:
        self.got.put(key)


class Slow(Manager):
    """Not immediate; fails when told to."""

    def __init__(self) -> None:
        self.made = 0
        self.fails = False

    def generate(self) -> tuple[bytes, bytes, bytes]:
        if self.fails:
            raise OSError("away")
        self.made += 1
        return b"id", b"wrapped %d" % self.made, KEY

    def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        if self.fails:
            raise OSError("away")
        return KEY


def test_a_keyring_renews_and_unwraps_beside_the_workers() -> None:
    said: list[str] = []
    manager, step, other = Slow(), Step(), Step()
    keyring = Keyring(manager, 0.02, said.append)
    keyring.join(step)
    keyring.join(other)
    assert step.got.get(timeout=5) == (b"id", b"wrapped 1", KEY, True)
    assert other.got.get(timeout=5)[3] is True
    later = [step.got.get(timeout=5)[1] for _ in range(3)]
    assert later == sorted(later)
    assert keyring.ask(b"id", b"old") is None
    assert keyring.ask(b"id", b"old") is None

    def unwrapped() -> bool:
        return step.got.get(timeout=5) == (b"id", b"old", KEY, False)

    wait_until(unwrapped, "the old key comes")
    manager.fails = True
    wait_until(lambda: said, "the failure is logged")
    assert "away" in said[0]
    keyring.ask(b"id", b"lost")

    def lost() -> bool:
        return step.got.get(timeout=5) == (b"id", b"lost", None, False)

    wait_until(lost, "the steps hear that the key cannot be had")
    thread = keyring.thread
    keyring.leave(step)
    keyring.leave(other)
    assert thread is not None
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_local_keys() -> None:
    keys = LocalKeys({"new": KEY, "old": bytes(32)})
    name, wrapped, plain = keys.generate()
    assert (name, len(plain), len(wrapped)) == (b"new", 32, 60)
    assert keys.unwrap(name, wrapped) == plain
    assert LocalKeys({"x": bytes(32), "new": KEY}).unwrap(b"new", wrapped) == plain
    for other in ({"new": bytes(32)}, {"x": KEY}):
        with pytest.raises((ValueError, LookupError)):
            LocalKeys(other).unwrap(name, wrapped)
    with pytest.raises(ValueError, match="expected base64 of 32 bytes, got 3"):
        kek_of("AAAA")
    with pytest.raises(ValueError, match=r"expected base64$"):
        kek_of("secret!")


@pytest.mark.parametrize(
    ("written", "option"),
    [
        ("text", "000d"),
        ("frozen<list<int>>", "00200009"),
        ("map<text, frozen<set<uuid>>>", "0021000d0022000c"),
    ],
)
def test_types(written: str, option: str) -> None:
    assert option_of(written).hex() == option


@pytest.mark.parametrize(
    "written", ["", "counter", "list", "list<", "list<int", "map<int>", "text text", "frozen<a, b>"]
)
def test_no_types(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        option_of(written)


class Transit(http.server.BaseHTTPRequestHandler):
    """As much of Vault's transit engine as is asked for: https://developer.hashicorp.com/vault/api-docs/secret/transit."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        said: dict[str, str] = {}
        if self.headers["X-Vault-Token"] != "t0ken":
            self.send_response(403)
        elif self.path == "/v1/keys/datakey/plaintext/shop" and asked.get("bits") == 256:
            self.send_response(200)
            plain = base64.b64encode(KEY).decode()
            said = {"plaintext": plain, "ciphertext": f"vault:v1:{plain[::-1]}"}
        elif self.path == "/v1/keys/decrypt/shop":
            self.send_response(200)
            said = {"plaintext": asked["ciphertext"].removeprefix("vault:v1:")[::-1]}
        else:
            self.send_response(404)
        self.end_headers()
        self.wfile.write(json.dumps({"data": said}).encode())

    do_PUT = do_POST

    def log_message(self, *_: object) -> None:
        pass


def test_what_vault_is_asked() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Transit) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        keys = VaultKeys(address, "shop", "t0ken", "keys")
        name, wrapped, plain = keys.generate()
        assert (name, plain) == (b"shop", KEY) and wrapped.startswith(b"vault:v1:")
        assert keys.unwrap(name, wrapped) == KEY
        with pytest.raises(hvac.exceptions.Forbidden):
            VaultKeys(address, "shop", "other", "keys").generate()
        server.shutdown()
