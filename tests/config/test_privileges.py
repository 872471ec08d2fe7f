"""Fields of config.yaml about user, group and permissions: what they take, and what they say otherwise."""

from __future__ import annotations

import os
import pwd

import pytest

NULL = "sources: [Redis: {listen_addr: '127.0.0.1:1', chain: [NullSink]}]"
SOMEBODY = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()))
STRANGER = next(n for n in range(54321, 60000) if n not in {e.pw_uid for e in pwd.getpwall()})


@pytest.mark.parametrize(
    ("written", "mask", "shown"),
    [
        ("0027", 0o027, "0o027"),
        ('"077"', 0o077, "0o077"),
        ("0o777", 0o777, "0o777"),
        ("000", 0, "0o000"),
    ],
)
def test_a_umask_is_octal(config, written, mask, shown):
    process = config.load(NULL, f"umask: {written}").process
    assert process.umask == mask
    assert process.fields["umask"].plain(mask) == shown
    assert config.load(NULL, f"umask: {shown}").process.umask == mask


@pytest.mark.parametrize("written", ["27", "1000", "0888", "-027", "u=rw", "00000", "[7]", "true"])
def test_what_is_no_umask(config, written):
    [line] = config.errors(NULL, f"umask: {written}")
    assert line.startswith("config.yaml:1: umask: expected an octal number from 000 to 777, got ")


def test_a_user_is_known_by_name_and_number(config):
    for written in (SOMEBODY.pw_name, SOMEBODY.pw_uid):
        uid, gid, groups = config.load(NULL, f"user: {written}").process.account()
        assert (uid, gid) == (SOMEBODY.pw_uid, SOMEBODY.pw_gid) and gid in groups


def test_a_number_without_an_entry_needs_its_group(config):
    both = f"user: {STRANGER}\ngroup: {STRANGER}"
    assert config.load(NULL, both).process.account() == (STRANGER, STRANGER, [STRANGER])
    assert config.errors(NULL, f"user: {STRANGER}") == [
        f"config.yaml:1: user: user {STRANGER} has no entry on this machine, so group must be given"
    ]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("user: no-such-user", "1: user: there is no user no-such-user on this machine"),
        (
            f"user: {SOMEBODY.pw_name}\ngroup: no-such-group",
            "2: group: there is no group no-such-group on this machine",
        ),
        ("group: users", "1: group: group goes with user, which is missing"),
        (
            "user: root",
            "1: user: root is who is to be given up: name another user, or leave the field out",
        ),
        (
            "user: 0",
            "1: user: root is who is to be given up: name another user, or leave the field out",
        ),
    ],
)
def test_who_nobody_can_become(config, written, problem):
    assert config.errors(NULL, written) == [f"config.yaml:{problem}"]
