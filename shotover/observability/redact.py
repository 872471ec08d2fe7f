"""Keeps secrets out of logs, errors, metrics and the admin API.

Three shapes of secret: a field whose name says so, a URL with a password in it, and a Redis request
whose words carry credentials. What is hidden becomes `[redacted]`; its length is not given away
either.
"""

from __future__ import annotations

REDACTED = "[redacted]"

_SECRET_PARTS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "authorization",
)
_SECRET_NAMES = frozenset(
    {"auth", "kek", "kek_id", "pass", "pwd", "private_key", "api_key", "apikey"}
)
_CONFIG_SECRETS = frozenset(
    {
        b"REQUIREPASS",
        b"MASTERAUTH",
        b"PRIMARYAUTH",
        b"TLS-KEY-FILE-PASS",
        b"TLS-CLIENT-KEY-FILE-PASS",
    }
)
DEPTH_MAX = 64  # of nesting; deeper is cut, as a cycle would be


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds something nobody should read in a log."""
    name = name.lower().replace("-", "_")
    return name in _SECRET_NAMES or any(part in name for part in _SECRET_PARTS)


def redact_url(text: str) -> str:
    """Hides the password in `scheme://user:password@host`; other text comes back as it is."""
    scheme, separator, rest = text.partition("://")
    if not separator or "@" not in rest:
        return text
    authority, slash, path = rest.partition("/")
    if "@" not in authority:  # a raw "/" or "?" in the password: hide up to the last "@"
        authority, slash, path = rest, "", ""
    user, _, host = authority.rpartition("@")
    user = f"{user.partition(':')[0]}:{REDACTED}" if ":" in user else user
    return f"{scheme}://{user}@{host}{slash}{path}"


def redact_tree(value: object, depth: int = 0) -> object:
    """A copy of nested dicts and lists (a topology, say) with secret fields and URLs hidden."""
    if isinstance(value, str):
        return redact_url(value)
    if depth >= DEPTH_MAX:
        return "…" if isinstance(value, (dict, list, tuple)) else value
    if isinstance(value, dict):
        return {
            key: REDACTED
            if value[key] is not None and is_secret_name(str(key))
            else redact_tree(value[key], depth + 1)
            for key in value
        }
    if isinstance(value, (list, tuple)):
        return [redact_tree(item, depth + 1) for item in value]
    return value


def redact_request(words: list[bytes]) -> list[bytes]:
    """A Redis request fit for a log: AUTH, HELLO, ACL, CONFIG SET and MIGRATE hide theirs."""
    hidden = REDACTED.encode()
    upper = [word.upper() for word in words[:2]]
    if not words:
        return words
    if upper[0] == b"AUTH":
        return [words[0]] + [hidden] * (len(words) - 1)
    if upper[0] in (b"HELLO", b"MIGRATE"):
        return _hide_after(
            words, hidden, {b"AUTH": 1 if upper[0] == b"MIGRATE" else 2, b"AUTH2": 2}
        )
    if len(words) > 2 and upper == [b"ACL", b"SETUSER"]:
        return words[:3] + [hidden if word[:1] in b"><#!" else word for word in words[3:]]
    if len(words) > 2 and upper == [b"CONFIG", b"SET"]:
        return _hide_after(words, hidden, dict.fromkeys(_CONFIG_SECRETS, 1))
    return words


def _hide_after(words: list[bytes], hidden: bytes, counts: dict[bytes, int]) -> list[bytes]:
    """Hides as many words after each keyword as `counts` says."""
    result, left = [], 0
    for word in words:
        if left:
            result.append(hidden)
            left -= 1
        else:
            result.append(word)
            left = counts.get(word.upper(), 0)
    return result
