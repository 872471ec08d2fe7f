import socket
from collections.abc import Sequence
from typing import Any

from shotover._net.tls_context import TlsContext

class Load:
    def __init__(
        self,
        sockets: list[socket.socket],
        commands: Sequence[Any],
        *,
        pipeline: int = 1,
        rate: float = 0.0,
        poisson: bool = True,
        key_count: int = 1,
        sequential: bool = False,
        seed: int = 1,
        use_poll: bool = False,
        tls: TlsContext | None = None,
        windowed: bool = False,
        cql: int = 0,
    ) -> None: ...
    @property
    def open_connections(self) -> int: ...
    def run(
        self, seconds: float, *, requests: int = ..., drain_seconds: float = 10.0
    ) -> dict[str, Any]: ...
    def outcome(self, cpu_ns: int) -> dict[str, Any]: ...
