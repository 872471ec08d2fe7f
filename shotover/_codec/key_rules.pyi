from collections.abc import Sequence
from typing import Any

KINDS: dict[str, int]

class KeyRules:
    rules: tuple[tuple[Any, ...], ...]
    def __init__(self, rules: Sequence[tuple[Any, ...]]) -> None: ...
    def find(
        self,
        key: bytes | None = None,
        *,
        user: bytes = b"default",
        database: int = 0,
        command: bytes = b"GET",
        certificate: bytes = b"",
    ) -> int | None: ...
    def find_often(self, keys: list[bytes], rounds: int) -> int: ...

def matches(glob: bytes, text: bytes) -> bool: ...
def literal_of(glob: bytes) -> bytes: ...
