"""Headers of the PROXY protocol: read by the proxy from whoever says to be a proxy in front."""

from __future__ import annotations

import struct
import zlib

from support.native import load

probe = load("proxied_probe")

MORE, BAD, NONE = 0, -1, -2
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TOKENS = (
    b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"192.0.2.7 ", b"::1 ", b"65535", b"0", b"\r\n", b" ", SIGNATURE,
    b"\x21", b"\x20", b"\x11", b"\x21\x21", b"\x00\x0c", b"\x00\x24", b"\x03\x00\x04", b"\x02\x00\x01a",
)  # fmt: skip


def headers(data: bytes) -> None:
    """The same wherever it is cut; never more bytes than there are; what is told is told of a whole header alone."""
    size, version, _family, _address, _port, why = probe.header(data)
    assert size <= min(len(data), probe.FRAME_BYTES_MAX)
    assert (why is not None) == (size == BAD)
    if size > 0:
        assert version in (1, 2)
        assert version == 2 or size <= probe.LINE_BYTES_MAX
        assert probe.header(data[:size]) == probe.header(data)
    elif size in (BAD, NONE):
        assert probe.header(data + b"more")[0] == size
    else:
        assert len(data) < probe.FRAME_BYTES_MAX
    for end in {zlib.crc32(data) >> shift & 4095 for shift in (0, 8, 16)} | {len(data) // 2}:
        before = probe.header(data[:end])[0]
        assert before in (
            MORE,
            size if end >= size else MORE,
            BAD if size == BAD else MORE,
            NONE if size == NONE else MORE,
        )


def seeds() -> list[bytes]:
    four = b"\xc0\x00\x02\x07\xc0\x00\x02\x01" + struct.pack(">HH", 4711, 6379)
    six = bytes(15) + b"\x01" + bytes(15) + b"\x02" + struct.pack(">HH", 4711, 6379)
    tlv = b"\x04\x00\x03abc"
    return [
        b"",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 6379\r\n",
        b"PROXY TCP6 2001:db8::7 ::1 4711 6379\r\nPING\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN what ever\r\n",
        b"PING\r\n",
        SIGNATURE + b"\x21\x11" + struct.pack(">H", 12) + four,
        SIGNATURE + b"\x21\x11" + struct.pack(">H", 12 + len(tlv)) + four + tlv,
        SIGNATURE + b"\x21\x21" + struct.pack(">H", 36) + six,
        SIGNATURE + b"\x20\x00\x00\x00",
        SIGNATURE + b"\x21\x31" + struct.pack(">H", 216) + bytes(216),
    ]
