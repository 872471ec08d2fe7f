"""HTTP/1.1 as bytes: cuts requests out of a buffer, makes responses. No sockets.

Strict where leniency has been an attack elsewhere: a bare newline, a space before a colon, two
lengths or a transfer encoding are refused, and after an error the connection is closed, so no peer
and proxy can disagree on where a request ends.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD_BYTES_MAX = 8 * 1024  # request line and headers
HEADERS_MAX = 64
BODY_BYTES_MAX = 1024 * 1024
PIECE_PAUSE_SECONDS = 20e-6  # between pieces of a page: others may need the interpreter

REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    417: "Expectation Failed",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Bad(Exception):
    """A request that is refused: `status`, and why for the peer. The connection ends with it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request:
    """One request. `path` has no query, which is in `query`; header names are in lower case."""

    __slots__ = (
        "body",
        "continue_expected",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
    )

    def __init__(self, method: str, path: str, headers: dict[str, str], keep_alive: bool) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.keep_alive = keep_alive
        self.body = b""
        self.query: dict[str, str] = {}
        self.peer = ""
        self.continue_expected = False  # the peer holds the body back until told to go on


class Response:
    """`body` is text, bytes, or pieces of bytes, which `gather` joins with short pauses."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: str | bytes | Iterable[bytes] = b"",
        content_type: str = "text/plain; charset=utf-8",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.status = status
        self.body: bytes | Iterable[bytes] = body.encode() if isinstance(body, str) else body
        self.content_type = content_type
        self.headers = headers

    def gather(self) -> bytes:
        """The whole body; pauses let Python transforms of the workers run between pieces."""
        if not isinstance(self.body, bytes):
            found = []
            for piece in self.body:
                found.append(piece)
                time.sleep(PIECE_PAUSE_SECONDS)
            self.body = b"".join(found)
        return self.body


def parse_request(inbox: bytearray, continued: bool = False) -> Request | None:
    """Takes one request off the front of `inbox`; None when more bytes are needed. Raises Bad.

    A peer that waits for leave to send its body gets a Request with `continue_expected` set and
    nothing taken off; once leave was given, call with `continued`.
    """
    while inbox[:2] == b"\r\n":  # some peers end a body with a line too many
        del inbox[:2]
    end = inbox.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    head = bytes(inbox[: end if end >= 0 else HEAD_BYTES_MAX])
    if head.count(b"\n") != head.count(b"\r\n"):
        raise Bad(400, "lines of a request end in CR LF")
    if end < 0:
        if len(inbox) >= HEAD_BYTES_MAX:
            raise Bad(431, f"at most {HEAD_BYTES_MAX} bytes of headers are allowed")
        return None
    lines = head.split(b"\r\n")
    request = _request_line(lines[0])
    _headers(request, lines[1:])
    size = _body_size(request)
    waits_for_leave = _expects_continue(request)
    if len(inbox) < end + 4 + size:
        request.continue_expected = waits_for_leave and not continued
        return request if request.continue_expected else None
    request.body = bytes(inbox[end + 4 : end + 4 + size])
    del inbox[: end + 4 + size]
    return request


def _request_line(line: bytes) -> Request:
    words = line.split(b" ")
    if len(words) != 3 or not words[0] or not _TOKEN.issuperset(words[0]):
        raise Bad(400, "expected a request line such as GET /metrics HTTP/1.1")
    method, target, version = words
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Bad(505 if version.startswith(b"HTTP/") else 400, "HTTP/1.1 is spoken here")
    if target.lower().startswith(b"http://"):
        target = b"/" + target[7:].partition(b"/")[2]
    if not target.startswith(b"/") or not all(0x20 < byte < 0x7F for byte in target):
        raise Bad(400, "expected a path that begins with /")
    path, _, query = target.partition(b"#")[0].decode("ascii").partition("?")
    request = Request(method.decode("ascii"), path, {}, version == b"HTTP/1.1")
    request.query = _query(query)
    return request


def _query(text: str) -> dict[str, str]:
    """`a=1&b` as {a: "1", b: ""}; of a name that is there twice the last one."""
    found = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        found[_unquoted(name)] = _unquoted(value)
    return found


def _unquoted(text: str) -> str:
    """%XX as the character it is; urllib would cost its import."""
    first, *rest = text.encode("ascii").split(b"%")
    for piece in rest:
        digits = piece[:2]
        try:
            first += bytes([int(digits, 16)]) + piece[2:]
        except ValueError:
            first += b"%" + piece
    return first.decode("utf-8", "replace")


def _headers(request: Request, lines: list[bytes]) -> None:
    headers = request.headers
    if len(lines) > HEADERS_MAX:
        raise Bad(431, f"at most {HEADERS_MAX} headers are allowed")
    for line in lines:
        raw_name, colon, raw_value = line.partition(b":")
        if not colon or not raw_name or not _TOKEN.issuperset(raw_name):
            raise Bad(400, "expected headers of the form name: value")
        name, value = raw_name.decode("ascii").lower(), raw_value.strip(b" \t").decode("latin-1")
        if any(sign < " " and sign != "\t" for sign in value):
            raise Bad(400, "a control character in a header")
        if name in headers and name in ("host", "content-length", "transfer-encoding"):
            raise Bad(400, f"two headers {name}")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    is_newer = request.keep_alive
    if is_newer and "host" not in headers:
        raise Bad(400, "HTTP/1.1 needs a Host header")
    wishes = headers.get("connection", "").lower().replace(" ", "").split(",")
    request.keep_alive = "close" not in wishes and (is_newer or "keep-alive" in wishes)


def _body_size(request: Request) -> int:
    if "transfer-encoding" in request.headers:
        raise Bad(501, "transfer encodings are not supported; send a Content-Length")
    text = request.headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Bad(400, "Content-Length is not a number")
    if int(text) > BODY_BYTES_MAX:
        raise Bad(413, f"at most {BODY_BYTES_MAX} bytes of body are allowed")
    return int(text)


def _expects_continue(request: Request) -> bool:
    expect = request.headers.get("expect", "")
    if expect and expect.lower() != "100-continue":
        raise Bad(417, "only 100-continue can be expected")
    return bool(expect)


def response_bytes(response: Response, keep_alive: bool, head_only: bool) -> bytes:
    """The response as it goes over the wire; for HEAD the body is counted and left out."""
    body = response.gather()
    lines = [
        f"HTTP/1.1 {response.status} {REASONS[response.status]}",
        f"Date: {_date()}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if head_only else head + body


def _date() -> str:
    now = time.gmtime()
    return (
        f"{_DAYS[now.tm_wday]}, {now.tm_mday:02d} {_MONTHS[now.tm_mon - 1]} {now.tm_year:04d} "
        f"{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} GMT"
    )
