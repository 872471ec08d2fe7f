"""Parts of a configuration by path: found, put, merged, taken out; the tree that they are of never changes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from shotover.config.document import (
    HIDDEN,
    NoSuchPath,
    find,
    merged,
    plain,
    put,
    split,
    with_secrets,
    without,
)
from shotover.config.errors import ConfigError
from shotover.config.source import Node, parse

TEXT = """\
sources:
  - Redis:
      name: cache
      limit: 0x10
      text: "7"
      chain:
        - NullSink
        - Throttle: {rate: 5, deep: {a: 1, b: [1, 2]}}
        - Throttle: {name: second, rate: 6}
  - Redis: {name: other, chain: [NullSink]}
"""


def tree(text: str = TEXT) -> Node:
    return parse(text, "t.yaml")


def at(root: Node, path: str) -> Any:
    return plain(find(root, split(path)))


def test_a_tree_as_plain_values_is_what_yaml_means() -> None:
    assert plain(tree()) == yaml.safe_load(TEXT)


@pytest.mark.parametrize(
    "path, value",
    [
        ("sources/0/Redis/limit", 16),
        ("sources/cache/limit", 16),
        ("sources/cache/Redis/limit", 16),
        ("sources/1/name", "other"),
        ("sources/cache/chain/0", "NullSink"),
        ("sources/cache/chain/NullSink", "NullSink"),
        ("sources/cache/chain/1/rate", 5),
        ("sources/cache/chain/second/rate", 6),
        ("/sources/cache/chain/1/deep/b/1/", 2),
        ("sources/cache/chain/second", {"Throttle": {"name": "second", "rate": 6}}),
        ("sources/c%61che/limit", 16),
    ],
)
def test_parts_are_found(path: str, value: object) -> None:
    assert at(tree(), path) == value


@pytest.mark.parametrize(
    "path, text",
    [
        ("sorces", "the configuration has no sorces, did you mean sources?"),
        ("sources/2", "sources has 2 entries, the first is 0"),
        ("sources/cach", "sources has no entry cach, did you mean cache?"),
        ("sources/Redis", "sources has 2 entries Redis: say which by its number"),
        ("sources/cache/chain/Throttle", "sources/cache/chain has 2 entries Throttle"),
        ("sources/cache/limit/x", "sources/cache/limit is a value, so nothing is below it"),
    ],
)
def test_what_is_not_there_is_told(path: str, text: str) -> None:
    with pytest.raises(NoSuchPath, match=text.replace("?", r"\?")):
        at(tree(), path)


def test_changes_give_another_tree() -> None:
    root = tree()
    value = parse("{x: 1}", "v")
    for changed, path, expected in (
        (put(root, split("sources/cache/limit"), value), "sources/cache/limit", {"x": 1}),
        (put(root, split("sources/cache/new"), value), "sources/cache/new", {"x": 1}),
        (put(root, split("sources/0/chain/-"), value), "sources/0/chain/3", {"x": 1}),
        (put(root, split("sources/0/chain/second"), value), "sources/0/chain/2", {"x": 1}),
        (without(root, split("sources/cache/chain/0")), "sources/cache/chain/0/rate", 5),
        (put(root, [], value), "", {"x": 1}),
    ):
        assert at(changed, path) == expected
        assert plain(root) == yaml.safe_load(TEXT)
    assert "limit" not in at(without(root, split("sources/cache/limit")), "sources/cache")["Redis"]
    for path in ("", "sources/9", "sources/cache/nothing"):
        with pytest.raises(NoSuchPath):
            without(root, split(path))
    with pytest.raises(NoSuchPath):
        put(root, split("sources/cache/nothing/deeper"), value)


def test_a_patch_is_merged() -> None:
    """RFC 7396; the key of an entry's type may be left out."""
    root = tree()
    patch = parse("{rate: 9, deep: {a: null, c: 3}, new: [1]}", "p")
    expected = {"rate": 9, "deep": {"b": [1, 2], "c": 3}, "new": [1]}
    for path in ("sources/cache/chain/1", "sources/cache/chain/1/Throttle"):
        changed = merged(root, split(path), patch)
        assert at(changed, "sources/cache/chain/1/Throttle") == expected
    whole = merged(root, [], parse("{sources: null, other: 1}", "p"))
    assert plain(whole) == {"other": 1}
    # with the type's key the whole entry is what is merged into
    typed = merged(root, split("sources/cache/chain/1"), parse("{Throttle: {rate: 1}}", "p"))
    assert at(typed, "sources/cache/chain/1/rate") == 1
    assert at(typed, "sources/cache/chain/1/deep/a") == 1


def test_hidden_secrets_are_put_back() -> None:
    running = tree(
        "a: {password: one}\nl:\n- T: {name: x, password: two}\n- T: {name: y, password: 3}\n"
    )
    shown = tree(
        f'l:\n- T: {{name: y, password: "{HIDDEN}"}}\n- T: {{name: x, password: new}}\na: {{password: "{HIDDEN}"}}\n'
    )
    assert plain(with_secrets(shown, running, "f")) == {
        "a": {"password": "one"},
        "l": [{"T": {"name": "y", "password": 3}}, {"T": {"name": "x", "password": "new"}}],
    }
    with pytest.raises(ConfigError) as caught:
        with_secrets(tree(f'a:\n  b: "{HIDDEN}"\n'), running, "f")
    assert caught.value.lines == [
        f"f:2: a.b: {HIDDEN} stands for a secret that runs, and there is none here"
    ]
