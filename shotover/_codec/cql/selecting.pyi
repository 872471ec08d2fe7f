from collections.abc import Mapping, Sequence

_Table = tuple[str, str, Sequence[tuple[str, bytes]], Sequence[Mapping[str, bytes | None]]]

def read_rows(
    body: bytes, version: int
) -> tuple[list[tuple[str, bytes]], list[dict[str, bytes | None]], bytes | None]: ...

class Select:
    keyspace: str
    table: str
    star: bool
    selected: list[tuple[str, str]]
    wanted: list[tuple[str, bool, bool, list[int | tuple[int, int]]]]
    marks: list[str]
    limit: int | tuple[int] | None
    def __init__(self, text: bytes) -> None: ...
    def answer(
        self, table: _Table, bound: list[bytes | None], without_names: bool = False
    ) -> bytes: ...
