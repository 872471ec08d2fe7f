from typing import Any

from shotover._proxy.step import Sample

class Inside:
    def __init__(
        self,
        hub: Any,
        *,
        cql: bool,
        chance: float = 0,
        half_life: float = 60,
        slow_ns: int = 0,
        slow_keep: int = 0,
        seed: int = 1,
    ) -> None: ...
    @property
    def chance(self) -> float: ...
    @property
    def slow_ns(self) -> int: ...
    def hot(self) -> tuple[int, list[tuple[int, list[tuple[bytes, int, int, int]]]]] | None: ...
    def slowest(self) -> list[dict[str, Any]]: ...
    def samples(self, labels: dict[str, str]) -> list[Sample]: ...
