from collections.abc import Iterable

class TlsFileError(ValueError):
    field: str
    def __init__(self, field: str, message: str) -> None: ...

class TlsContext:
    def __init__(
        self,
        *,
        server: bool,
        certificate_path: str | None = None,
        private_key_path: str | None = None,
        private_key_password_path: str | None = None,
        certificate_authority_path: str | None = None,
        verify_hostname: bool = True,
        min_version: str = "1.2",
        ciphers: str | None = None,
        ciphersuites: str | None = None,
        alpn: Iterable[str] = (),
        more: Iterable[tuple[str, str]] = (),
    ) -> None: ...
    @property
    def server(self) -> bool: ...
    @property
    def asks_client(self) -> bool: ...
    @property
    def verify_hostname(self) -> bool: ...
    @property
    def reloads(self) -> int: ...
    def files(self) -> list[str]: ...
    def reload(self) -> None: ...
    def seconds_left(self) -> int | None: ...
    def names(self) -> list[str]: ...
