"""Turns a log entry into one line: for people, or the JSON of `--log-format json`.

    2026-04-09T12:00:00.000123Z  WARN shotover::sinks: connection refused source=redis peer="a b"
    {"timestamp":"2026-04-09T12:00:00.000123Z","level":"WARN","fields":{"message":...},"target":"shotover::sinks"}

Whatever stands in an entry, the result has one newline, at its end, and no byte that a terminal
obeys. The exception is a `traceback` field in the human form: it follows on lines of its own, each
behind `  | `, which no entry begins with.
"""

from __future__ import annotations

import time

from .redact import REDACTED, is_secret_name, redact_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

try:  # json costs 15 ms to import; its C half is always there in CPython and costs 0.3
    from _json import encode_basestring, encode_basestring_ascii
except ImportError:
    from json.encoder import encode_basestring, encode_basestring_ascii

MESSAGE_MAX = 4096  # characters of a message
VALUE_MAX = 1024  # characters of a field
TRACEBACK_MAX = 16384  # characters of the field `traceback`
FIELDS_MAX = 32  # fields of an entry
DEPTH_MAX = 32  # nesting of a JSON value

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}
_BARE_NOT = frozenset(' ="\\[]{},|')
_second: tuple[int, str] = (-1, "")  # the last second's text: most lines share it


def human_line(
    ns: int, level: str, target: str, message: object, fields: Mapping[str, object]
) -> bytes:
    """`ns` since the epoch; the line ends in a newline and is valid UTF-8."""
    words = [
        f"{timestamp(ns)} {level:>5}"
        f" {_plain(_text(target, VALUE_MAX))}: {_plain(_text(message, MESSAGE_MAX))}"
    ]
    traceback = ""
    for name, value in _bounded(fields):
        if name == "traceback":
            traceback = "".join(
                f"  | {_plain(line)}\n" for line in _text(value, TRACEBACK_MAX).split("\n") if line
            )
        else:
            words.append(f"{_name(name)}={_quoted(_text(_hidden(name, value), VALUE_MAX))}")
    return f"{' '.join(words)}\n{traceback}".encode("utf-8", "backslashreplace")


def json_line(
    ns: int, level: str, target: str, message: object, fields: Mapping[str, object]
) -> bytes:
    """`ns` since the epoch; one JSON object and a newline."""
    pairs = [f'"message":{json_string(_text(message, MESSAGE_MAX))}']
    for name, value in _bounded(fields):
        if not isinstance(value, (bool, int, float, type(None))) or is_secret_name(name):
            limit = TRACEBACK_MAX if name == "traceback" else VALUE_MAX
            value = _text(_hidden(name, value), limit)
        # a field named like the message would hide it from most readers
        name = "message_" if name == "message" else name[:VALUE_MAX]
        pairs.append(f"{json_string(name)}:{json_text(value)}")
    return (
        f'{{"timestamp":"{timestamp(ns)}","level":"{level}","fields":{{{",".join(pairs)}}},'
        f'"target":{json_string(_text(target, VALUE_MAX))}}}\n'
    ).encode("utf-8", "backslashreplace")


def timestamp(ns: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    global _second
    seconds, rest = divmod(ns, 1_000_000_000)
    last, text = _second
    if last != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (seconds, text)
    return f"{text}.{rest // 1000:06d}Z"


def json_text(value: object, depth: int = 0) -> str:
    """Compact JSON of dicts, lists and scalars; what JSON has no form for becomes a string."""
    if value is None or value is True or value is False:
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return (
            repr(float(value)) if value - value == 0 else json_string(str(value))
        )  # NaN, infinities
    if depth < DEPTH_MAX and isinstance(value, dict):
        return (
            "{"
            + ",".join(
                f"{json_string(str(key))}:{json_text(value[key], depth + 1)}" for key in value
            )
            + "}"
        )
    if depth < DEPTH_MAX and isinstance(value, (list, tuple)):
        return "[" + ",".join(json_text(item, depth + 1) for item in value) + "]"
    return json_string(_text(value, 1 << 30))


def json_string(text: str) -> str:
    """A JSON string; only printable characters stand in it as they are."""
    if text.isprintable():
        return encode_basestring(text)
    # half a surrogate pair is valid in Python only: strict readers refuse the whole line
    return encode_basestring_ascii(text.encode("utf-8", "backslashreplace").decode())


def _bounded(fields: Mapping[str, object]) -> list[tuple[str, object]]:
    pairs = [(str(name), fields[name]) for name in fields]
    return (
        pairs
        if len(pairs) <= FIELDS_MAX
        else [*pairs[:FIELDS_MAX], ("more_fields", len(pairs) - FIELDS_MAX)]
    )


def _hidden(name: str, value: object) -> object:
    if is_secret_name(name):
        return REDACTED
    return redact_tree(value) if isinstance(value, (str, dict, list, tuple)) else value


def _text(value: object, characters_max: int) -> str:
    """Text of `value`, cut to `characters_max`; never raises, whatever `value` thinks of str()."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        size = len(value)
        # a client's bytes may be megabytes: cut before decoding
        text = bytes(value[: characters_max + 1]).decode("utf-8", "backslashreplace")
        more = size - characters_max
    else:
        try:
            text = value if type(value) is str else str(value)
        except Exception as error:  # a transform's own object in a field
            text = f"<{type(value).__name__}: str() failed with {type(error).__name__}>"
        more = len(text) - characters_max
    return text if more <= 0 else f"{text[:characters_max]}…(+{more})"


def _plain(text: str) -> str:
    """`text` with controls, line separators, direction marks and surrogates escaped."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def _quoted(text: str) -> str:
    """`text` as a field's value: bare when nothing in it could be mistaken for another field."""
    if text and text.isprintable() and _BARE_NOT.isdisjoint(text):
        return text
    return (
        '"'
        + "".join(
            sign if sign.isprintable() and sign not in '"\\' else _escape(sign) for sign in text
        )
        + '"'
    )


def _name(name: str) -> str:
    return name if name.isidentifier() else _quoted(name[:VALUE_MAX])


def _escape(sign: str) -> str:
    code = ord(sign)
    if sign in _ESCAPES:
        return _ESCAPES[sign]
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
