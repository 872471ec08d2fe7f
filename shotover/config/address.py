"""Addresses as users write them: host:port, [IPv6]:port, unix:/path, unix:/path?mode=0660."""

from __future__ import annotations

PORT_MAX = 65535
UNIX_PATH_BYTES_MAX = 107
"""Longest path of a UNIX socket, in bytes: sun_path is 108 with its closing zero."""
WILDCARDS = frozenset({"0.0.0.0", "::", "*", ""})


class Address(str):
    """An address; as a string it is what sockets are given (`unix:` paths without their mode).

    `host` and `port` are set for TCP (host without brackets), `path` for a UNIX socket, else
    empty and 0. `mode` is the permissions a listening UNIX socket shall have, or None.
    """

    host: str
    port: int
    path: str
    mode: int | None
    written: str

    def __new__(
        cls,
        text: str,
        written: str,
        host: str = "",
        port: int = 0,
        path: str = "",
        mode: int | None = None,
    ) -> Address:
        self = super().__new__(cls, text)
        self.host, self.port, self.path, self.mode = host, port, path, mode
        self.written = written
        return self

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address, so that nothing need be looked up."""
        from _socket import AF_INET, AF_INET6, inet_pton  # socket itself would cost 12 ms

        try:
            inet_pton(AF_INET6 if ":" in self.host else AF_INET, self.host)
        except OSError:
            return False
        return True

    def clashes(self, other: Address) -> bool:
        """Whether both cannot be listened on: same path, or same port on hosts that overlap."""
        if self.path or other.path:
            return self.path == other.path
        if self.port != other.port or self.port == 0:
            return False
        hosts = {_loopback(self.host), _loopback(other.host)}
        return len(hosts) == 1 or bool(hosts & WILDCARDS)


def parse_address(text: str, port_min: int = 1, listening: bool = False) -> Address:
    """The Address of `text`; a ValueError says why it is none."""
    if text.startswith("unix:"):
        return _parse_unix(text, listening)
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError("the port is missing")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("brackets are for IPv6 addresses")
    if any(c.isspace() or c in "/@?#[]" for c in host):
        raise ValueError("the host is not a name or an IP address")
    if ":" in host and not text.startswith("["):
        raise ValueError(f"an IPv6 address goes into brackets, [{host}]:{port_text}")
    if not host:
        raise ValueError("the host is missing" + (", 0.0.0.0 means any" if listening else ""))
    if not (port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5):
        raise ValueError("the port is not a number")
    port = int(port_text)
    if not port_min <= port <= PORT_MAX:
        raise ValueError(f"the port is not from {port_min} to {PORT_MAX}")
    return Address(text, text, host=host, port=port)


def _parse_unix(text: str, listening: bool) -> Address:
    path, question, query = text[len("unix:") :].partition("?")
    if not path.startswith("/"):
        raise ValueError("the path does not start with /")
    if len(path.encode()) > UNIX_PATH_BYTES_MAX or "\0" in path:
        raise ValueError(f"the path is longer than {UNIX_PATH_BYTES_MAX} bytes")
    mode = None
    if question:
        digits = query.removeprefix("mode=")
        octal = len(digits) <= 4 and digits.isascii() and digits.isdecimal()
        if not listening or digits == query or not octal or not set(digits) <= set("01234567"):
            raise ValueError("after ? only mode=OCTAL is known, and only to listen")
        mode = int(digits, 8)
        if mode > 0o777:
            raise ValueError("the mode is not from 0000 to 0777")
    return Address(f"unix:{path}", text, path=path, mode=mode)


def _loopback(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host
