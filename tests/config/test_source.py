"""YAML text -> nodes: what is refused, what a line number means, what stays bounded."""

from __future__ import annotations

import pytest

from shotover.config.errors import ConfigError
from shotover.config.source import (
    DEPTH_MAX,
    FILE_BYTES_MAX,
    Mapping,
    Scalar,
    Sequence,
    load,
    parse,
)


def refusal(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.yaml")
    return caught.value.lines


def plain(node):
    if isinstance(node, Mapping):
        return {key: plain(child) for key, child in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(child) for child in node.items]
    return node.text


def test_scalars_stay_as_they_were_written():
    node = parse("[010, 1.10, yes, 1:30, 2024-01-01, 0x1F]", "t.yaml")
    assert plain(node) == ["010", "1.10", "yes", "1:30", "2024-01-01", "0x1F"]


def test_nodes_know_their_lines():
    node = parse("a: 1\n\nb:\n  - x\n  - {c: y}\n", "t.yaml")
    assert node.lines == {"a": 1, "b": 3}
    assert [item.line for item in node.entries["b"].items] == [4, 5]


def test_aliases_and_merge_keys_expand():
    node = parse(
        "base: &base {a: 1, b: 2}\n"
        "other: &other {b: 3, d: 4}\n"
        "one: {<<: *base, b: own}\n"
        "two: {<<: [*base, *other]}\n"
        "same: *base\n",
        "t.yaml",
    )
    assert plain(node)["one"] == {"a": "1", "b": "own"}
    assert plain(node)["two"] == {"a": "1", "b": "2", "d": "4"}
    assert plain(node)["same"] == {"a": "1", "b": "2"}


def test_merging_something_else_than_a_map_is_a_fault():
    node = parse("a: &a [1]\nb: {<<: *a}\n", "t.yaml")
    assert node.entries["b"].faults == [(1, "<<: expected a map, or a list of maps, to merge")]


def test_duplicate_keys_are_faults_with_both_lines():
    assert parse("a: 1\nb: 2\na: 3\n", "t.yaml").faults == [
        (3, "duplicate key a, first given on line 1")
    ]


def test_keys_must_be_plain_names():
    faults = parse("{[1]: 2, !!str b: 3}", "t.yaml").faults
    assert faults == [(1, "expected a plain name as key")] * 2


def test_written_tags_are_kept_for_the_reader_to_refuse():
    node = parse("a: !!python/object:os.system x\nb: plain\n", "t.yaml")
    assert node.entries["a"].tag == "tag:yaml.org,2002:python/object:os.system"
    assert node.entries["b"].tag is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "t.yaml:1: the file is empty"),
        ("# nothing\n", "t.yaml:1: the file is empty"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2: expected one YAML document, found a second"),
        ("a: *b\n", "t.yaml:1: alias *b has no anchor &b before it"),
        ("a: &a\n  b: *a\n", "t.yaml:2: alias *a stands inside what it names"),
    ],
)
def test_files_that_make_no_tree(text, line):
    assert refusal(text) == [line]


def test_a_syntax_error_names_its_line():
    (line,) = refusal("a: 1\nb: [1, 2\nc: 3\n")
    assert line.startswith("t.yaml:3: not YAML: ")


def test_a_control_character_names_its_line():
    (line,) = refusal("a: 1\nb: \x07\n")
    assert line.startswith("t.yaml:2: not YAML: ")


def test_alias_bombs_are_refused_before_they_expand():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (line,) = refusal("\n".join(levels))
    assert line == "t.yaml:5: more than 100000 values, aliases counted as often as used"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1),
        "\n".join(["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, DEPTH_MAX + 2)]),
    ],
)
def test_deep_nesting_is_refused(text):
    (line,) = refusal(text)
    assert line.endswith(f"nested deeper than {DEPTH_MAX} levels")


def test_nesting_up_to_the_limit_is_read():
    text = "[" * DEPTH_MAX + "]" * DEPTH_MAX
    assert isinstance(parse(text, "t.yaml"), Sequence)


def test_load_says_why_a_file_cannot_be_read(tmp_path):
    missing, folder = tmp_path / "no.yaml", tmp_path
    latin, huge = tmp_path / "latin.yaml", tmp_path / "huge.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    huge.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    expected = {
        missing: f"{missing}: no such file",
        folder: f"{folder}: cannot be read: is a directory",
        latin: f"{latin}:2: not UTF-8 text",
        huge: f"{huge}: longer than {FILE_BYTES_MAX} bytes",
    }
    for file, line in expected.items():
        with pytest.raises(ConfigError) as caught:
            load(str(file))
        assert caught.value.lines == [line]


def test_a_byte_order_mark_is_skipped(tmp_path):
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert plain(load(str(file))) == {"a": "1"}


def test_the_parser_in_python_gives_the_same_tree(monkeypatch):
    import yaml

    text = "a: &x [1, 'two', \"three\"]\nb: {<<: {c: ~}, d: *x}\n"
    with_c = parse(text, "t.yaml")
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    without = parse(text, "t.yaml")
    assert plain(with_c) == plain(without)
    assert [item.plain for item in without.entries["a"].items] == [True, False, False]
    assert isinstance(without.entries["b"].entries["c"], Scalar)
