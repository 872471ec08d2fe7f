"""The replies of several servers as one: by the command's policy, and never anything that is no reply."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.resp import encode, parse

from codec.fans import frame_size, probe
from codec.wires import TOKENS, replies

POLICIES = (
    "default", "all_nodes", "all_shards", "multi_shard", "special", "one_succeeded", "all_succeeded", "agg_logical_and",
    "agg_logical_or", "agg_min", "agg_max", "agg_sum",
)  # fmt: skip
JOINING = ("default", *POLICIES[5:])


def joined(policy: str, *parts: bytes) -> tuple[str, Any]:
    """What `parts`, replies to a request without keys, make by this policy."""
    fan = probe.Fan(encode("PING"), everywhere=len(parts), policy=POLICIES.index(policy))
    for index, reply in enumerate(parts):
        fan.reply(index, reply)
    return fan.join()


def keyed(*parts: bytes, policy: str = "default") -> tuple[str, Any]:
    """MGET of six keys, of which the first part has 1 and 4, the second 2 and 5, the third 3 and 6."""
    fan = probe.Fan(encode("MGET", *"abcdef"), policy=POLICIES.index(policy))
    for index, reply in enumerate(parts):
        fan.reply(index, reply)
    return fan.join()


def ours(said: tuple[str, Any]) -> bool:
    return said[0] == "ERROR" and said[1].startswith(b"-ERR shotover: ")


# ---- numbers -----------------------------------------------------------------------------------------------------

JOIN_NUMBERS = {
    "agg_sum": sum,
    "agg_min": min,
    "agg_max": max,
    "agg_logical_and": lambda found: int(all(found)),
    "agg_logical_or": lambda found: int(any(found)),
}


@pytest.mark.parametrize("policy", JOIN_NUMBERS)
@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2), min_size=1, max_size=6),
       sign=st.sampled_from((b":", b"(")))  # fmt: skip
def test_integers(policy, numbers, sign) -> None:
    total = 0
    fits = all(-(2**63) <= (total := total + number) < 2**63 for number in numbers)
    said = joined(policy, *[b"%b%d\r\n" % (sign, number) for number in numbers])
    if policy == "agg_sum" and not fits:
        assert ours(said)
    else:
        assert said == ("DONE", b"%b%d\r\n" % (sign, JOIN_NUMBERS[policy](numbers)))


@pytest.mark.parametrize("policy", ["agg_sum", "agg_min", "agg_max"])
@given(numbers=st.lists(st.floats(allow_nan=False), min_size=1, max_size=4))
def test_doubles(policy, numbers) -> None:
    outcome, said = joined(policy, *[b",%b\r\n" % repr(number).encode() for number in numbers])
    total = 0.0
    for number in numbers:
        total += number
    wanted = total if policy == "agg_sum" else JOIN_NUMBERS[policy](numbers)
    assert outcome == "DONE" and said.startswith(b",")
    assert parse(said) == wanted or (math.isnan(wanted) and math.isnan(parse(said)))


@pytest.mark.parametrize("policy", JOIN_NUMBERS)
@given(rows=st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(st.integers(-9, 9), min_size=width, max_size=width), min_size=1, max_size=4)))  # fmt: skip
def test_arrays_of_integers_element_by_element(policy, rows) -> None:
    said = joined(policy, *[array(*[b":%d\r\n" % number for number in row]) for row in rows])
    wanted = [b":%d\r\n" % JOIN_NUMBERS[policy](column) for column in zip(*rows, strict=True)]
    assert said == ("DONE", array(*wanted))


def array(*elements: bytes, kind: bytes = b"*") -> bytes:
    count = len(elements) // 2 if kind == b"%" else len(elements)
    return b"%b%d\r\n" % (kind, count) + b"".join(elements)


def test_booleans() -> None:
    assert joined("agg_logical_and", b"#t\r\n", b"#f\r\n") == ("DONE", b"#f\r\n")
    assert joined("agg_logical_or", b"#t\r\n", b"#f\r\n") == ("DONE", b"#t\r\n")
    assert ours(joined("agg_sum", b"#t\r\n", b"#t\r\n"))


@pytest.mark.parametrize(
    "parts",
    [
        (b":1\r\n", b",1.5\r\n"), (b":1\r\n", b"$1\r\n1\r\n"), (b"+OK\r\n", b"+OK\r\n"), (b":1\r\n", b"_\r\n"),
        (b"*1\r\n:1\r\n", b":1\r\n"), (b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n"), (b"*1\r\n:1\r\n", b"*-1\r\n"),
        (b"*1\r\n:1\r\n", b"*1\r\n$1\r\n1\r\n"), (b"*1\r\n*1\r\n:1\r\n", b"*1\r\n*1\r\n:1\r\n"),
        (b"%d\r\n" % 10, b":1\r\n"), (b":1\n", b":1\r\n"), (b"(%d\r\n" % 2**63, b"(1\r\n"), (b":1x\r\n", b":1\r\n"),
        (b":\r\n", b":1\r\n"), (b":-\r\n", b":1\r\n"), (b",\r\n", b",1\r\n"), (b",1x\r\n", b",1\r\n"), (b"#x\r\n", b"#t\r\n"),
        (b"(" + b"1" * 100 + b"\r\n", b"(1\r\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("policy", ["agg_sum", "agg_logical_or"])
def test_what_are_no_numbers_of_one_kind_gives_an_error(parts, policy) -> None:
    assert ours(joined(policy, *parts))
    assert ours(joined(policy, *reversed(parts)))


# ---- success -----------------------------------------------------------------------------------------------------


def test_all_succeeded() -> None:
    assert joined("all_succeeded", b"+OK\r\n", b"+FINE\r\n") == ("DONE", b"+OK\r\n")
    assert joined("all_succeeded", b"+OK\r\n", b"-ERR one\r\n", b"!7\r\nERR two\r\n") == (
        "ERROR",
        b"-ERR one\r\n",
    )


def test_one_succeeded() -> None:
    busy, other = (
        b"-NOTBUSY No scripts in execution right now.\r\n",
        b"-UNKILLABLE it has written\r\n",
    )
    assert joined("one_succeeded", busy, b"+OK\r\n", other) == ("DONE", b"+OK\r\n")
    assert joined("one_succeeded", busy, other, busy) == ("ERROR", other)
    assert joined("one_succeeded", busy, busy) == ("ERROR", busy)
    assert joined("one_succeeded", b"garbage", b"+OK\r\n") == ("DONE", b"+OK\r\n")


@pytest.mark.parametrize("policy", [each for each in JOINING if each != "one_succeeded"])
def test_the_first_error_in_order_of_parts_is_the_reply(policy) -> None:
    fine = b"*1\r\n:1\r\n"
    assert joined(policy, fine, b"-MOVED 1 a:1\r\n", b"-ERR x\r\n") == (
        "ERROR",
        b"-MOVED 1 a:1\r\n",
    )
    assert joined(policy, fine, b"!5\r\nERR x\r\n") == ("ERROR", b"!5\r\nERR x\r\n")
    assert joined(policy, b"|1\r\n+k\r\n+v\r\n-ERR x\r\n", fine) == ("ERROR", b"-ERR x\r\n")


def test_special_is_the_callers() -> None:
    assert joined("special", b"+a\r\n", b"-ERR b\r\n") == ("SPECIAL", None)
    fan = probe.Fan(encode("PING"), everywhere=1, policy=POLICIES.index("special"))
    fan.reply(0, b"+a\r\n")
    assert fan.answer() is None


# ---- default, without keys ---------------------------------------------------------------------------------------


@given(parts=st.lists(st.lists(replies.filter(lambda reply: reply[:1] != b"|"), max_size=4), min_size=1, max_size=4),
       kind=st.sampled_from((b"*", b"~", b"%")))  # fmt: skip
def test_aggregates_are_laid_end_to_end(parts, kind) -> None:
    if kind == b"%":
        parts = [part[: len(part) // 2 * 2] for part in parts]
    said = joined("default", *[array(*part, kind=kind) for part in parts])
    assert said == ("DONE", array(*[element for part in parts for element in part], kind=kind))


@pytest.mark.parametrize("null", [b"*-1\r\n", b"_\r\n"])
def test_nulls_count_as_empty(null) -> None:
    assert joined("default", null, b"*1\r\n:1\r\n", null) == ("DONE", b"*1\r\n:1\r\n")
    assert joined("default", null, null) == ("DONE", null)


def test_other_types_must_agree() -> None:
    assert joined("default", b"+OK\r\n", b"+OK\r\n") == ("DONE", b"+OK\r\n")
    assert joined("default", b"$-1\r\n", b"$-1\r\n") == ("DONE", b"$-1\r\n")
    assert b"different replies" in joined("default", b"+OK\r\n", b"+NO\r\n")[1]
    assert b"different types" in joined("default", b"+OK\r\n", b":1\r\n")[1]
    assert b"different types" in joined("default", b"*0\r\n", b"~0\r\n")[1]
    assert b"different types" in joined("default", b"*0\r\n", b":1\r\n")[1]
    assert b"different types" in joined("default", b"_\r\n", b":1\r\n")[1]


def test_attributes_before_a_reply_are_left_out() -> None:
    attribute = b"|1\r\n+ttl\r\n:10\r\n"
    assert joined("agg_sum", attribute + b":1\r\n", b":2\r\n") == ("DONE", b":3\r\n")
    assert joined("default", b"*0\r\n", attribute * 2 + b"*1\r\n" + attribute + b":1\r\n") == (
        "DONE",
        b"*1\r\n" + attribute + b":1\r\n",
    )
    assert joined("all_succeeded", attribute + b"+OK\r\n", b"+OK\r\n") == ("DONE", b"+OK\r\n")
    assert keyed(attribute + b"*2\r\n:1\r\n:4\r\n", b"*2\r\n" + attribute + b":2\r\n:5\r\n", b"*2\r\n:3\r\n:6\r\n") == (
        "DONE", b"*6\r\n:1\r\n" + attribute + b":2\r\n:3\r\n:4\r\n:5\r\n:6\r\n",
    )  # fmt: skip


# ---- default, with keys ------------------------------------------------------------------------------------------


@given(elements=st.lists(replies, min_size=6, max_size=6))
def test_elements_stand_in_the_order_of_keys(elements) -> None:
    parts = [array(elements[part], elements[part + 3]) for part in range(3)]
    assert keyed(*parts) == ("DONE", array(*elements))


@pytest.mark.parametrize("kind", [b"~", b"%"])
def test_sets_and_maps_of_keys_are_laid_end_to_end(kind) -> None:
    part = array(b":1\r\n", b":2\r\n", kind=kind)
    assert keyed(part, part, part) == ("DONE", array(*[b":1\r\n", b":2\r\n"] * 3, kind=kind))


@pytest.mark.parametrize(
    "wrong",
    [
        b"*1\r\n:1\r\n", b"*3\r\n:1\r\n:1\r\n:1\r\n", b"*0\r\n", b"*-1\r\n", b"+OK\r\n", b"_\r\n", b"*2\r\n:1\r\n",
        b"~2\r\n:1\r\n:2\r\n", b"*2\r\n:1\r\n:1\r\n:1\r\n", b"*2\r\n:1\r\n$3\r\nab\r\n", b"*2\r\n$00000000000000",
        b"*2\r\n$99999999999999999999\r\n", b"*", b"*2", b"*2\r", b"*x\r\n", b"",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", range(3))
def test_a_part_with_another_number_of_elements_gives_an_error(wrong, place) -> None:
    parts = [b"*2\r\n:1\r\n:2\r\n"] * 3
    parts[place] = wrong
    assert ours(keyed(*parts))


# ---- whatever comes ----------------------------------------------------------------------------------------------

TOKENS_MORE = (
    b":1\r\n", b"*2\r\n", b"%1\r\n", b"~1\r\n", b"_\r\n", b",1.5\r\n", b"#t\r\n", b"|1\r\n", b"-ERR\r\n", b"*-1\r\n",
    b"(1\r\n", b"+OK\r\n",
)  # fmt: skip
tokens = st.lists(st.sampled_from((*TOKENS, *TOKENS_MORE)), max_size=6).map(b"".join)
cut_replies = replies.flatmap(lambda reply: st.integers(0, len(reply)).map(lambda cut: reply[:cut]))
anything = st.one_of(replies, tokens, st.binary(max_size=20), cut_replies)


@given(
    policy=st.sampled_from(JOINING),
    parts=st.lists(anything, min_size=3, max_size=3),
    by_key=st.booleans(),
)
def test_what_comes_out_is_always_one_reply(policy, parts, by_key) -> None:
    if by_key:
        outcome, said = keyed(*parts, policy=policy)
    else:
        outcome, said = joined(policy, *parts)
    assert frame_size(said) == len(said) > 0
    assert (outcome == "ERROR") == (said[:1] in b"-!")


@given(
    parts=st.lists(anything, min_size=4, max_size=4),
    cut=st.integers(0, 40),
    homes=st.integers(1, 2),
)
def test_a_leg_that_brings_too_few_replies_fails_its_parts(parts, cut, homes) -> None:
    """Four targets at one or two homes; the bytes of a home's answer are cut and strange."""
    pool = probe.Pool()
    fan = probe.Fan(encode("DEL", *"abcd"), targets=4, homes=homes, pool=pool)
    whole = b"".join(parts)
    for leg in range(homes):
        fan.take(leg, whole[: len(whole) - cut], owned=bool(cut % 2))
    outcome, said = fan.join()
    assert frame_size(said) == len(said) > 0
    assert outcome in ("DONE", "ERROR")
    fan.free()
    assert pool.live == 0


def test_a_lost_leg_is_an_error() -> None:
    fan = probe.Fan(encode("DEL", *"abcd"), targets=4, homes=2)
    fan.lost(0)
    assert fan.left == 2
    fan.take(1, b":1\r\n:1\r\n")
    assert fan.left == 0
    assert fan.join() == ("ERROR", b"-ERR shotover: a part of this request was not answered\r\n")
