from typing import Any, NamedTuple

class Duration(NamedTuple):
    months: int
    days: int
    nanoseconds: int

class CqlType:
    id: int
    count: int
    parts: tuple[CqlType, ...]
    fields: tuple[str, ...]
    name: str | None
    @staticmethod
    def of_text(text: str) -> CqlType: ...
    @staticmethod
    def of_option(option: bytes) -> CqlType: ...
    @staticmethod
    def of_class(text: str) -> CqlType: ...
    def decode(self, raw: bytes | None) -> Any: ...
    def encode(self, value: Any) -> bytes | None: ...
