"""What stands between a configured address and an open listener: limits, permissions, words."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover.config.address import Address

OPEN_FILES_WANTED = 1_048_576
"""The limit of open files is raised to this, or to the most the system allows."""
PRIVILEGED_PORTS = 1024


def raise_file_limit() -> None:
    """Raise the soft limit of open files towards the hard one; each connection takes one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return  # a container may forbid it; the limit stays as it was


def probe(address: Address) -> None:
    """Raise OSError when another process listens on `address` already.

    Workers share their ports by SO_REUSEPORT, so a second Shotover, started by mistake, would not
    be refused by the system: it would take half of the first one's clients. A bind without that
    option is refused. UNIX paths and port 0 cannot be shared.
    """
    if address.path or address.port == 0:
        return
    import _socket  # socket itself would cost 12 ms

    host = address.host
    if host.isascii():
        host = host.encode()  # type: ignore[assignment]  # text would load the IDNA tables, 300 KB
    found = _socket.getaddrinfo(host, address.port, 0, _socket.SOCK_STREAM, 0, _socket.AI_PASSIVE)
    family, kind, protocol, _name, target = found[0]
    listener = _socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            listener.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        listener.bind(target)
        listener.listen(1)
    finally:
        listener.close()


class permissions:
    """While a UNIX socket with a mode is created, let the umask give it exactly that mode.

    Setting the mode afterwards would leave it open to others for a moment. Only before threads
    run: the umask is the process's.
    """

    def __init__(self, address: Address) -> None:
        self.mode = address.mode
        self._before = 0

    def __enter__(self) -> None:
        if self.mode is not None:
            self._before = os.umask(0o777 & ~self.mode)

    def __exit__(self, *_exception: object) -> None:
        if self.mode is not None:
            os.umask(self._before)


def explanation(address: Address, error: OSError) -> str:
    """Why an address cannot be listened on, and what to do about it."""
    return f"cannot listen on {address}: " + "; ".join(_reason(address, error))


def _reason(address: Address, error: OSError) -> Iterator[str]:
    number = error.errno
    if number == errno.EADDRINUSE:
        yield "address already in use"
        if address.path:
            yield (
                "another process listens there, or left the file behind: remove it or choose "
                "another path"
            )
        else:
            yield (
                f"stop what listens there (ss -ltnp 'sport = :{address.port}' names it) or "
                "choose another port"
            )
    elif number in (errno.EACCES, errno.EPERM):
        yield "permission denied"
        if address.path:
            yield "its directory must be writable for this user"
        elif address.port < PRIVILEGED_PORTS:
            yield (
                f"ports below {PRIVILEGED_PORTS} need root or CAP_NET_BIND_SERVICE: choose a "
                "higher port"
            )
    elif number == errno.EADDRNOTAVAIL:
        yield "this machine has no such address"
        yield "0.0.0.0 listens on every IPv4 address, [::] on every address"
    elif number == errno.ENOENT and address.path:
        yield "no such directory"
    else:
        yield (error.strerror or str(error)).lower()
