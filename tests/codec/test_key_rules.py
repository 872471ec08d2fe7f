"""The first rule that holds is the one a plain look through the list finds; globs are the server's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.resp import RawClient
from support.servers import Server

from shotover._codec.key_rules import KeyRules, literal_of, matches
from shotover._codec.slots import slot_of

ANY = (0, "any", b"", 0, 0, None, None, ())


def rule(kind="any", text=b"", first=0, last=0, user=None, database=None, commands=()):
    return (0, kind, text, first, last, user, database, tuple(commands))


# ---- against a plain look through the list -----------------------------------------------------------------------

letters = st.sampled_from((b"a", b"b", b"c", b"ab", b"\x00", b"{", b"}"))
texts = st.lists(letters, max_size=5).map(b"".join)
globs = st.lists(letters | st.sampled_from((b"*", b"?", b"[ab]", b"\\a")), max_size=4).map(b"".join)
users = st.sampled_from((b"default", b"alice", b"bob"))
ranges = st.tuples(st.integers(0, 16383), st.integers(0, 16383)).map(sorted)
names = st.sampled_from((b"GET", b"SET", b"CONFIG", b"CONFIG|GET", b"FT.SEARCH", b"MGET"))
conditions = {
    "user": st.none() | users,
    "database": st.none() | st.integers(0, 2),
    "commands": st.lists(names, max_size=2),
}
rules = st.lists(
    st.one_of(
        st.builds(rule, **conditions),
        st.builds(rule, st.sampled_from(("key", "prefix")), texts, **conditions),
        st.builds(rule, st.just("glob"), globs, **conditions),
        ranges.flatmap(
            lambda slots: st.builds(
                rule, st.just("hash"), first=st.just(slots[0]), last=st.just(slots[1]), **conditions
            )
        ),
    ),
    max_size=25,
)


def holds(one, key, user, database, command) -> bool:
    _, kind, text, first, last, its_user, its_database, commands = one
    if its_user not in (None, user) or its_database not in (None, database):
        return False
    upper = command.upper()
    if commands and not any(upper == name or upper.startswith(name + b"|") for name in commands):
        return False
    if kind == "any":
        return True
    if key is None:
        return False
    return {
        "key": lambda: key == text,
        "prefix": lambda: key.startswith(text),
        "glob": lambda: matches(text, key),
        "hash": lambda: first <= slot_of(key) <= last,
    }[kind]()


@settings(max_examples=500)
@given(rules=rules, key=st.none() | texts, user=users, database=st.integers(0, 2),
       command=st.sampled_from((b"GET", b"set", b"FT.SEARCH", b"ft.search", b"NOSUCH", b"CONFIG")))  # fmt: skip
def test_the_first_that_holds(rules, key, user, database, command) -> None:
    wanted = next(
        (number for number, one in enumerate(rules) if holds(one, key, user, database, command)),
        None,
    )
    assert KeyRules(rules).find(key, user=user, database=database, command=command) == wanted


def test_ten_thousand_of_each() -> None:
    """More than any table begins with; found from the front and from the back."""
    keys = [rule("key", b"tenant:%d" % number) for number in range(10_000)]
    prefixes = [rule("prefix", b"tenant:%d:" % number) for number in range(10_000)]
    table = KeyRules([*prefixes, *keys])
    for number in range(0, 10_000, 7):
        assert table.find(b"tenant:%d" % number) == 10_000 + number
        assert table.find(b"tenant:%d:x" % number) == number
    assert table.find(b"tenant:10000") is None
    assert table.find(b"tenant:") is None
    assert table.find(b"tenant:12x") is None


def test_nested_prefixes_go_by_their_order() -> None:
    assert KeyRules([rule("prefix", b"a"), rule("prefix", b"ab")]).find(b"abc") == 0
    assert KeyRules([rule("prefix", b"ab"), rule("prefix", b"a")]).find(b"abc") == 0
    assert KeyRules([rule("prefix", b"ab"), rule("prefix", b"a")]).find(b"ac") == 1
    assert (
        KeyRules([rule("glob", b"*c"), rule("prefix", b"ab"), rule("key", b"abc")]).find(b"abc")
        == 0
    )


# ---- globs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        (b"*", [b"", b"a"], []), (b"", [b""], [b"a"]), (b"a*", [b"a", b"ab"], [b"", b"ba"]), (b"*a", [b"a", b"ba"], [b"ab"]),
        (b"a?c", [b"abc"], [b"ac", b"abbc"]), (b"[a-c]x", [b"ax", b"cx"], [b"dx", b"x"]), (b"[^a]", [b"b"], [b"a", b""]),
        (b"\\*", [b"*"], [b"a"]), (b"a**b", [b"ab", b"axb"], [b"a"]), (b"*a*b*", [b"ab", b"xaxbx"], [b"ba"]),
        (b"user:*:cart", [b"user:1:cart", b"user::cart"], [b"user:1:carts", b"user:cart"]), (b"[c-a]", [b"b"], [b"d"]),
    ],
)  # fmt: skip
def test_globs(glob, yes, no) -> None:
    assert all(matches(glob, text) for text in yes)
    assert not any(matches(glob, text) for text in no)


def test_what_a_glob_begins_with() -> None:
    assert literal_of(b"user:*") == b"user:"
    assert literal_of(b"[a]") == b""
    assert literal_of(b"plain") == b"plain"
    assert literal_of(b"a\\*b*") == b"a"


def test_a_glob_with_many_stars_takes_no_more_than_its_product() -> None:
    assert not matches(b"*a" * 120 + b"b", b"a" * 4096)


def test_a_key_that_is_too_long_matches_no_glob() -> None:
    table = KeyRules([rule("glob", b"a*"), rule("prefix", b"a")])
    assert (table.find(b"a" * 4096), table.find(b"a" * 4097)) == (0, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


# Bytes beyond ASCII have no place in ranges: the server compares them as signed or not, as its machine does.
pieces = st.sampled_from(
    (b"*", b"?", b"[", b"]", b"^", b"-", b"\\", b"a", b"b", b"c", b"[a-c]", b"[^a]", b"z")
)


@settings(max_examples=1500, deadline=None)
@given(
    glob=st.lists(pieces, max_size=7).map(b"".join),
    text=st.lists(
        st.sampled_from((b"a", b"b", b"c", b"-", b"]", b"\\", b"^", b"\xff")),
        min_size=1,  # to the server an empty channel matches nothing but an empty pattern
        max_size=4,
    ).map(b"".join),
)
def test_globs_are_the_servers(server, glob, text) -> None:
    """A channel and a pattern: PUBLISH tells how many subscribers matched."""
    with RawClient(server.port) as subscriber, RawClient(server.port) as publisher:
        subscriber.command("PSUBSCRIBE", glob)
        assert publisher.ask("PUBLISH", text, "x") == matches(glob, text), (glob, text)
