"""Sockets that listen already when the process starts: of a process that it takes the place of, or of systemd.

Who listens on an address asks here first (`take`). What nobody has asked for in the end is closed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from shotover.config.address import Address

SYSTEMD_FIRST_FD = 3


class Inherited:
    """By the address that each is bound to; of one address there may be several (SO_REUSEPORT)."""

    def __init__(self, fds: Iterable[int] = ()) -> None:
        self._fds: dict[bytes, list[int]] = {}
        for fd in fds:
            self.add(fd)

    def add(self, fd: int) -> None:
        name = _name_of(fd)
        if name is None:
            os.close(fd)
        else:
            self._fds.setdefault(name, []).append(fd)

    def take(self, address: Address) -> list[int]:
        """Those that listen on `address`; they are the caller's from now on."""
        if not address.path and address.port == 0:
            return []
        from shotover._net.address import resolve

        try:
            _family, name = resolve(address.host, address.port, address.path)
        except OSError:
            return []
        return self._fds.pop(name, [])

    def close(self) -> int:
        """What nobody wanted. Returns how many those were."""
        left = [fd for fds in self._fds.values() for fd in fds]
        self._fds.clear()
        for fd in left:
            os.close(fd)
        return len(left)


def from_systemd() -> Inherited:
    """The sockets of socket activation (sd_listen_fds(3)); none without it."""
    count = os.environ.pop("LISTEN_FDS", "")
    pid = os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    found = Inherited()
    if count.isdecimal() and pid == str(os.getpid()):
        for fd in range(SYSTEMD_FIRST_FD, SYSTEMD_FIRST_FD + int(count)):
            os.set_inheritable(fd, False)
            os.set_blocking(fd, False)
            found.add(fd)
    return found


def _name_of(fd: int) -> bytes | None:
    """The sockaddr that a stream socket is bound to, as `resolve` writes it; None: it is no such socket, or does not listen."""
    import socket

    from shotover._net.address import resolve

    try:
        bound = socket.socket(fileno=os.dup(fd))
    except OSError:
        return None
    with bound:
        try:
            listens = bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            name = bound.getsockname()
        except OSError:
            return None
        if not listens or bound.type != socket.SOCK_STREAM:
            return None
        if bound.family == socket.AF_UNIX:
            path = name if isinstance(name, str) else os.fsdecode(name)
            return resolve("", 0, path)[1] if path else None
        return resolve(name[0], name[1], "")[1]
