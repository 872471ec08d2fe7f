from collections.abc import Iterable, Sequence

class Ring:
    partitioner: int
    count: int
    racks: dict[int, tuple[str, str]]
    def __init__(
        self, partitioner: str, servers: Iterable[tuple[int, str, str, Sequence[str]]]
    ) -> None: ...
    def place(self, key: bytes) -> int | None: ...
    def owner(self, place: int) -> int | None: ...

class Placement:
    ring: Ring
    width: int
    def __init__(self, ring: Ring, replication: dict[str, str]) -> None: ...
    def at(self, place: int) -> list[int]: ...
