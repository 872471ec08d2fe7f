from collections.abc import Sequence

KINDS: dict[str, int]

class KeyRules:
    rules: tuple[tuple[int, str, bytes, int, int, bytes | None, int | None, tuple[bytes, ...]], ...]
    def __init__(
        self,
        rules: Sequence[
            tuple[int, str, bytes, int, int, bytes | None, int | None, tuple[bytes, ...]]
        ],
    ) -> None: ...
    def find(
        self,
        key: bytes | None = None,
        *,
        user: bytes = b"default",
        database: int = 0,
        command: bytes = b"GET",
    ) -> int | None: ...
    def find_often(self, keys: list[bytes], rounds: int) -> int: ...

def matches(glob: bytes, text: bytes) -> bool: ...
def literal_of(glob: bytes) -> bytes: ...
