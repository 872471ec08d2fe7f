"""Where data keys come from: key managers, and the Keyring that asks them beside the workers.

A data key seals values; it is wrapped (encrypted) by a key-encryption key, which its key manager alone has, and is stored,
wrapped, with each value. So the key-encryption key can be in a service or a file, and a new one needs no look at the data.
"""

from __future__ import annotations

import base64
import binascii
import queue
import secrets
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    class Receiver(Protocol):
        """A step of one worker; `take_key` may be called on any thread."""

        def take_key(
            self, key_id: bytes, wrapped: bytes, plain: bytes | None, current: bool
        ) -> None: ...


KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
ABOUT = b"shotover data key\0"
RETRY_SECONDS = 5.0


class Manager:
    """Wraps and unwraps data keys; its methods may take their time, and raise whatever went wrong."""

    immediate = False
    """Whether it answers at once, without a network."""

    def generate(self) -> tuple[bytes, bytes, bytes]:
        """(key id, wrapped, plain) of a new data key."""
        raise NotImplementedError

    def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        """The plain data key."""
        raise NotImplementedError


class LocalKeys(Manager):
    """Key-encryption keys that stand in the topology, by id; the first one wraps, all of them unwrap."""

    immediate = True

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        from shotover._net.aead import Aead

        self.keys = {name.encode(): Aead(key) for name, key in keys.items()}
        self.size = NONCE_BYTES + KEY_BYTES + TAG_BYTES
        self.first = next(iter(self.keys))

    def generate(self) -> tuple[bytes, bytes, bytes]:
        plain = secrets.token_bytes(KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = nonce + self.keys[self.first].sealed(nonce, ABOUT + self.first, plain)
        return self.first, wrapped, plain

    def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        if len(wrapped) != self.size and wrapped[:1] == b"{":
            raise LookupError(
                "a data key of Shotover in Rust with a local key: it is wrapped by itself, "
                "not by the key-encryption key, so nothing opens it"
            )
        key = self.keys.get(key_id)
        if key is None:
            raise LookupError(
                f"no key-encryption key with kek_id {key_id.decode(errors='replace')!r}"
            )
        return key.opened(wrapped[:NONCE_BYTES], ABOUT + key_id, wrapped[NONCE_BYTES:])


class AwsKeys(Manager):
    """AWS KMS: data keys are made and unwrapped there. Credentials come the way boto3 finds them."""

    def __init__(
        self,
        cmk_id: str,
        region: str,
        endpoint: str | None = None,
        encryption_context: Mapping[str, str] | None = None,
        grant_tokens: tuple[str, ...] = (),
    ) -> None:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        options = Config(connect_timeout=5, read_timeout=5, retries={"max_attempts": 3})
        self.client = boto3.client("kms", region_name=region, endpoint_url=endpoint, config=options)
        self.cmk_id = cmk_id
        self.more = {
            "EncryptionContext": dict(encryption_context or {}),
            "GrantTokens": list(grant_tokens),
        }

    def generate(self) -> tuple[bytes, bytes, bytes]:
        made = self.client.generate_data_key(
            KeyId=self.cmk_id, NumberOfBytes=KEY_BYTES, **self.more
        )
        return made["KeyId"].encode(), made["CiphertextBlob"], made["Plaintext"]

    def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        found = self.client.decrypt(KeyId=key_id.decode(), CiphertextBlob=wrapped, **self.more)
        plain: bytes = found["Plaintext"]
        return plain


class VaultKeys(Manager):
    """The transit engine of HashiCorp Vault or OpenBao."""

    def __init__(
        self,
        address: str,
        key: str,
        token: str,
        mount_point: str = "transit",
        namespace: str | None = None,
    ) -> None:
        import hvac  # type: ignore[import-untyped]

        self.client = hvac.Client(url=address, token=token, namespace=namespace, timeout=5)
        self.key = key
        self.mount_point = mount_point

    def generate(self) -> tuple[bytes, bytes, bytes]:
        made = self.client.secrets.transit.generate_data_key(
            name=self.key, key_type="plaintext", bits=8 * KEY_BYTES, mount_point=self.mount_point
        )["data"]
        return self.key.encode(), made["ciphertext"].encode(), base64.b64decode(made["plaintext"])

    def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        found = self.client.secrets.transit.decrypt_data(
            name=key_id.decode(), ciphertext=wrapped.decode(), mount_point=self.mount_point
        )
        return base64.b64decode(found["data"]["plaintext"])


def kek_of(written: str) -> bytes:
    """A key-encryption key as it is written in a topology. ValueError says what is wrong, not what was written."""
    try:
        key = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"expected base64 of {KEY_BYTES} bytes, got {len(key)}")
    return key


class Keyring:
    """Gives all workers the same data keys: a new one every `period` seconds, and others when values name them.

    What a manager does takes place on a thread of the keyring's own, unless it is immediate. While a new data key cannot be
    had the old one goes on; `log` hears why.
    """

    def __init__(
        self,
        manager: Manager,
        period: float,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.manager = manager
        self.period = period
        self.log = log
        self.clock = clock
        self.steps: list[Receiver] = []
        self.lock = threading.Lock()
        self.current: tuple[bytes, bytes, bytes] | None = None
        self.due = 0.0
        self.jobs: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()
        self.asked: set[tuple[bytes, bytes]] = set()
        self.thread: threading.Thread | None = None
        self.closed = False

    def join(self, step: Receiver) -> None:
        """The step gets the current key now, if there is one, and those to come."""
        with self.lock:
            self.steps.append(step)
            if self.thread is None:
                self.renew()
                self.thread = threading.Thread(target=self.run, name="keyring", daemon=True)
                self.thread.start()
            current = self.current
        if current is not None:
            step.take_key(*current, True)

    def leave(self, step: Receiver) -> None:
        """The step wants no more; with the last one the thread ends."""
        with self.lock:
            self.steps.remove(step)
            if not self.steps and self.thread is not None:
                self.jobs.put(None)
                self.thread = None

    def ask(self, key_id: bytes, wrapped: bytes) -> bytes | None:
        """The plain data key if it can be had at once; else every step gets it, or word that it cannot be had, later."""
        if self.manager.immediate:
            return self.manager.unwrap(key_id, wrapped)
        with self.lock:
            if (key_id, wrapped) not in self.asked:
                self.asked.add((key_id, wrapped))
                self.jobs.put((key_id, wrapped))
        return None

    def renew(self) -> None:
        """A new current key, unless the manager has none to give."""
        try:
            self.current = self.manager.generate()
            self.due = self.clock() + self.period
        except Exception as error:  # whatever a service's library raises
            self.due = self.clock() + min(RETRY_SECONDS, self.period)
            self.log(f"no new data key: {type(error).__name__}: {error}")

    def run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=max(0.0, self.due - self.clock()))
            except queue.Empty:
                before = self.current
                self.renew()
                if self.current is not None and self.current is not before:
                    self.tell(*self.current, current=True)
                continue
            if job is None:
                return
            self.unwrap(*job)

    def unwrap(self, key_id: bytes, wrapped: bytes) -> None:
        plain = None
        try:
            plain = self.manager.unwrap(key_id, wrapped)
        except Exception as error:  # whatever a service's library raises
            self.log(f"a data key cannot be unwrapped: {type(error).__name__}: {error}")
        with self.lock:
            self.asked.discard((key_id, wrapped))
        self.tell(key_id, wrapped, plain, current=False)

    def tell(self, key_id: bytes, wrapped: bytes, plain: bytes | None, current: bool) -> None:
        with self.lock:
            steps = list(self.steps)
        for step in steps:
            step.take_key(key_id, wrapped, plain, current)


def manager_of(kind: str, fields: Any) -> Manager:
    """The manager that `key_manager` names. ImportError: its library is not installed."""
    if kind == "Local":
        return LocalKeys(fields.keys_by_id())
    if kind == "AWSKms":
        return AwsKeys(
            fields.cmk_id,
            fields.region,
            fields.endpoint,
            fields.encryption_context,
            fields.grant_tokens,
        )
    return VaultKeys(fields.address, fields.key, fields.token, fields.mount_point, fields.namespace)
