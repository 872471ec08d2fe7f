"""Files read in a child give the same trees and the same errors as files read here."""

from __future__ import annotations

import os

import psutil
import pytest

from shotover.config import apart
from shotover.config.apart import Apart
from shotover.config.errors import ConfigError
from shotover.config.source import load
from shotover.runtime.assemble import load as load_files
from tests.config.test_source import plain
from tests.config.test_topologies import NEWER, OLDER

TEXTS = [*NEWER.values(), *OLDER.values(), "a: !t [&x {b: ~}, 'c', *x]\na: 2\n", "[]", "plain"]


@pytest.mark.parametrize("text", TEXTS)
def test_trees_are_the_same(tmp_path, text):
    file = tmp_path / "t.yaml"
    file.write_text(text)
    there, here = Apart([str(file)]).load(str(file)), load(str(file))
    assert apart._packed(there) == apart._packed(here)
    assert plain(there) == plain(here)


@pytest.mark.parametrize("text", ["", "a: [", "a: *b", "a: 1\n---\nb: 2\n", "[" * 100])
def test_errors_are_the_same(tmp_path, text):
    file = tmp_path / "t.yaml"
    file.write_text(text)
    for function in (Apart([str(file)]).load, load):
        with pytest.raises(ConfigError) as caught:
            function(str(file))
        assert caught.value.lines[0].startswith(f"{file}:")


def test_problems_of_what_was_read_there_are_found_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.yaml").write_text("sources: [Redis: {listen_addr: h, chain: [NullSin]}]")
    with pytest.raises(ConfigError) as there:
        load_files("t.yaml", "c.yaml", {}, tree_of=Apart(["t.yaml", "c.yaml"]).load)
    with pytest.raises(ConfigError) as here:
        load_files("t.yaml", "c.yaml", {})
    assert there.value.lines == here.value.lines
    assert there.value.lines[0] == "c.yaml: no such file"


def test_a_tree_larger_than_a_pipe_arrives(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("\n".join(f"- {'x' * 1000}" for _ in range(1000)))
    assert len(Apart([str(file)]).load(str(file)).items) == 1000


def test_without_a_child_files_are_read_here(tmp_path, monkeypatch):
    file = tmp_path / "t.yaml"
    file.write_text("a: 1")

    def refuse() -> int:
        raise OSError(11, "no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    before = len(os.listdir("/dev/fd"))
    assert plain(Apart([str(file)]).load(str(file))) == {"a": "1"}
    assert len(os.listdir("/dev/fd")) == before


def test_a_child_that_dies_is_made_up_for(tmp_path, monkeypatch):
    file = tmp_path / "t.yaml"
    file.write_text("a: 1")
    monkeypatch.setattr(apart, "_serve", lambda files, fd: os._exit(3))
    assert plain(Apart([str(file)]).load(str(file))) == {"a": "1"}


def test_no_child_is_left_behind(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("a: 1")
    before = psutil.Process().children()  # the servers of other tests
    Apart([str(file)]).load(str(file))
    assert psutil.Process().children() == before
