"""No secret leaves: field names, URLs, requests."""

from __future__ import annotations

import pytest

from shotover.observability.redact import is_secret_name, redact_request, redact_tree, redact_url

R = b"[redacted]"


@pytest.mark.parametrize(
    "name", ["password", "Password", "client-secret", "delegation_token", "KEK", "api-key", "auth"]
)
def test_names_that_speak_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["name", "author", "key", "private_key_path", "certificate_path", "user", "cache_key"]
)
def test_names_that_do_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://joe:pw@h:6379/0", "redis://joe:[redacted]@h:6379/0"),
        ("redis://:pw@h", "redis://:[redacted]@h"),
        ("rediss://joe:p/w?@h:1/0", "rediss://joe:[redacted]@h:1/0"),
        ("redis://joe:p@w@h", "redis://joe:[redacted]@h"),
        ("redis://joe@h", "redis://joe@h"),
        ("redis://h:1/a@b", "redis://h:[redacted]@b"),
        ("127.0.0.1:6379", "127.0.0.1:6379"),
        ("joe@h", "joe@h"),
    ],
)
def test_passwords_in_urls(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_trees_are_copied_with_secrets_hidden_and_all_else_kept() -> None:
    tree = {
        "sources": [{"Redis": {"port": 1, "password": "x", "tls": {"secret": None}}}],
        "url": "a://b:c@d",
    }
    assert redact_tree(tree) == {
        "sources": [{"Redis": {"port": 1, "password": "[redacted]", "tls": {"secret": None}}}],
        "url": "a://b:[redacted]@d",
    }
    assert tree["sources"][0]["Redis"]["password"] == "x"
    circle: dict[str, object] = {}
    circle["self"] = circle
    assert "…" in str(redact_tree(circle))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([b"AUTH", b"pw"], [b"AUTH", R]),
        ([b"auth", b"joe", b"pw"], [b"auth", R, R]),
        (
            [b"HELLO", b"3", b"auth", b"joe", b"pw", b"SETNAME", b"n"],
            [b"HELLO", b"3", b"auth", R, R, b"SETNAME", b"n"],
        ),
        (
            [b"MIGRATE", b"h", b"1", b"k", b"0", b"9", b"AUTH", b"pw"],
            [b"MIGRATE", b"h", b"1", b"k", b"0", b"9", b"AUTH", R],
        ),
        (
            [b"MIGRATE", b"h", b"AUTH2", b"u", b"pw", b"KEYS", b"k"],
            [b"MIGRATE", b"h", b"AUTH2", R, R, b"KEYS", b"k"],
        ),
        (
            [b"ACL", b"SETUSER", b"joe", b"on", b">pw", b"#ab", b"~*"],
            [b"ACL", b"SETUSER", b"joe", b"on", R, R, b"~*"],
        ),
        (
            [b"config", b"set", b"requirepass", b"pw", b"save", b""],
            [b"config", b"set", b"requirepass", R, b"save", b""],
        ),
        ([b"SET", b"AUTH", b"pw"], [b"SET", b"AUTH", b"pw"]),
        ([], []),
    ],
)
def test_requests_that_carry_credentials(words: list[bytes], shown: list[bytes]) -> None:
    assert redact_request(words) == shown
