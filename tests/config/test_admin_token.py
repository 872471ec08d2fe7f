"""The token of the HTTP endpoint in config.yaml: what is none, and that it is not shown."""

from __future__ import annotations

import pytest

from shotover.runtime.explain import explain

TOKEN = "planted-token-of-32-characters-xx"
NULL = "sources: [Redis: {listen_addr: '127.0.0.1:1', chain: [NullSink]}]"


@pytest.mark.parametrize(
    "token", ["short", "x" * 15, '"with a space in it"', '"a\\nnewline in a token"']
)
def test_a_token_that_is_none(config, token):
    [line] = config.errors(NULL, f"admin_token: {token}")
    assert line.startswith(
        "config.yaml:1: admin_token: expected at least 16 printable characters without a space; "
    )
    assert token.strip('"') not in line


def test_what_needs_a_token_needs_one(config):
    assert config.errors(NULL, "admin_token_for: everything") == [
        "config.yaml:1: admin_token_for: goes with admin_token, which is missing"
    ]
    loaded = config.load(NULL, f"admin_token: {TOKEN}\nadmin_token_for: everything")
    assert loaded.process.admin_token == TOKEN and TOKEN not in explain(loaded)
