"""Words for a listener that cannot be had, and permissions of UNIX sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat

import pytest

from shotover.config.address import parse_address
from shotover.runtime.listening import explanation, permissions, probe

REASONS = [
    (
        "h:6379",
        errno.EADDRINUSE,
        "address already in use; stop what listens there (ss -ltnp "
        "'sport = :6379' names it) or choose another port",
    ),
    (
        "unix:/a",
        errno.EADDRINUSE,
        "address already in use; another process listens there, or left "
        "the file behind: remove it or choose another path",
    ),
    (
        "h:80",
        errno.EACCES,
        "permission denied; ports below 1024 need root or "
        "CAP_NET_BIND_SERVICE: choose a higher port",
    ),
    ("h:8080", errno.EACCES, "permission denied"),
    ("unix:/a", errno.EACCES, "permission denied; its directory must be writable for this user"),
    (
        "h:1",
        errno.EADDRNOTAVAIL,
        "this machine has no such address; 0.0.0.0 listens on every IPv4 "
        "address, [::] on every address",
    ),
    ("unix:/a/b", errno.ENOENT, "no such directory"),
    ("h:1", errno.EMFILE, "too many open files"),
]


@pytest.mark.parametrize(("address", "number", "words"), REASONS)
def test_explanations_say_what_to_do(address, number, words):
    error = OSError(number, os.strerror(number))
    found = explanation(parse_address(address, listening=True), error)
    assert found == f"cannot listen on {address}: {words}"


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_a_unix_socket_gets_its_mode(tmp_path, mode):
    address = parse_address(f"unix:{tmp_path}/s?mode={mode}", listening=True)
    before = os.umask(0o077)
    try:
        with permissions(address), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address.path)
        assert stat.S_IMODE(os.stat(address.path).st_mode) == int(mode, 8)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


def test_a_free_port_passes_the_probe():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    probe(parse_address(f"127.0.0.1:{port}", listening=True))


def test_a_port_just_left_by_connections_passes_the_probe():
    """TIME_WAIT of earlier connections is no reason to refuse."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()
        client.close()
    probe(parse_address(f"127.0.0.1:{port}", listening=True))
