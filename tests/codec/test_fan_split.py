"""A request of several keys in parts: every key once, where it belongs, in order; and the answers one again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.resp import encode

from codec.fans import Model, keys_of, probe, requests, target_of, words_of
from codec.wires import broken, commands
from shotover._codec import commands as tables

counts = st.integers(1, 8)


def split(*words: bytes | str | int, targets: int = 3, **more: object) -> object:
    return probe.Fan(encode(*words), targets=targets, **more)


@given(request=requests(), targets=counts)
def test_each_target_gets_its_keys_in_order(request, targets) -> None:
    found = keys_of(request)
    wanted = [target_of(key, targets) for key in found]
    pool = probe.Pool()
    fan = probe.Fan(encode(*request), targets=targets, pool=pool)
    if len(set(wanted)) == 1:
        assert (fan.said, fan.one, pool.live) == ("ONE", wanted[0], 0)
        return
    assert fan.said == "SPLIT"
    assert [target for target, *_ in fan.parts] == list(dict.fromkeys(wanted))
    step = 2 if request[0] == b"MSET" else 1
    for index, (target, count, wire) in enumerate(fan.parts):
        groups = [
            request[1 + place * step : 1 + place * step + step]
            for place, its in enumerate(wanted)
            if its == target
        ]
        assert words_of(wire) == [request[0], *(word for group in groups for word in group)]
        assert wire == encode(*words_of(wire))
        assert count == len(groups) == fan.places.count(index)
    assert [fan.parts[place][0] for place in fan.places] == wanted
    fan.free()
    assert pool.live == 0


@given(request=requests(), targets=counts, homes=st.integers(1, 4))
def test_parts_of_one_home_lie_back_to_back(request, targets, homes) -> None:
    fan = probe.Fan(encode(*request), targets=targets, homes=homes)
    if fan.said == "ONE":
        return
    homes_found = [target % homes for target, *_ in fan.parts]
    legs = fan.legs()
    assert [home for home, *_ in legs] == list(dict.fromkeys(homes_found))
    for index, (home, count, wire, argc, key) in enumerate(legs):
        parts = [part for part, its in enumerate(homes_found) if its == home]
        assert fan.part_of_leg(index) == parts
        assert count == len(parts)
        assert wire == b"".join(fan.parts[part][2] for part in parts)
        assert argc == len(words_of(fan.parts[parts[-1]][2]))
        assert key == words_of(wire)[1]
        assert [fan.alone(part) for part in parts] == [fan.parts[part][2] for part in parts]


@given(
    script=st.lists(requests(), max_size=12),
    targets=counts,
    homes=st.integers(0, 3),
    resp=st.sampled_from((2, 3)),
    owned=st.booleans(),
)
def test_split_and_joined_is_as_one_server(script, targets, homes, resp, owned) -> None:
    """Any number of servers, each with the keys that are its own, say what one says that has all of them."""
    one, several = Model(resp), [Model(resp) for _ in range(homes or targets)]
    pool = probe.Pool()
    for request in script:
        fan = probe.Fan(encode(*request), targets=targets, homes=homes, pool=pool)
        wanted = one.answer(request)
        if fan.said == "ONE":
            assert several[fan.one % homes if homes else fan.one].answer(request) == wanted
            continue
        for index, (home, _, wire, *_) in reversed(list(enumerate(fan.legs()))):
            fan.take(index, several[home].answer_all(wire), owned=owned)
        assert fan.left == 0
        assert fan.join() == ("DONE", wanted)
        assert fan.answer() == (wanted, False)
        assert fan.answer(mute=True) == (b"", False)
        fan.free()
    merged: dict[bytes, bytes] = {}
    for model in several:
        merged.update(model.keys)
    assert merged == one.keys
    assert pool.live == 0


# ---- which are split, and which are not --------------------------------------------------------------------------


def test_a_key_says_all_where_there_can_be_one_alone() -> None:
    assert split("GET", "a").said == "ONE"
    assert split("GET", "a").one == ord("a") % 3


def test_who_may_have_several_keys() -> None:
    for name in ("GET", "SET", "HSET", "PING", "DBSIZE", "LPUSH"):
        assert not probe.may_cross(encode(name))
    for name in (
        "MGET",
        "DEL",
        "MSET",
        "BLPOP",
        "EVAL",
        "LMOVE",
        "SORT",
        "XREAD",
        "SSUBSCRIBE",
        "MSETEX",
    ):
        assert probe.may_cross(encode(name))


@pytest.mark.parametrize(
    "words",
    [
        ("MSETNX", "a", 1, "b", 2), ("SINTER", "a", "b"), ("RENAME", "a", "b"), ("BLPOP", "a", "b", 0),
        ("SINTERCARD", 2, "a", "b"), ("ZUNIONSTORE", "a", 2, "b", "c"), ("EVAL", "return 1", 2, "a", "b"),
        ("XREAD", "STREAMS", "a", "b", 0, 0), ("LMOVE", "a", "b", "LEFT", "LEFT"), ("SSUBSCRIBE", "a", "b"),
        ("SORT", "a", "STORE", "b"), ("BITOP", "AND", "a", "b"), ("PFCOUNT", "a", "b"),
    ],
)  # fmt: skip
def test_what_must_see_all_its_keys_cannot_be_split(words) -> None:
    pool = probe.Pool()
    assert split(*words, pool=pool).said == "CROSS"
    same = [{"b": "a", "c": "a"}.get(word, word) for word in words]
    assert split(*same, pool=pool).one == ord("a") % 3
    assert split(*same, nowhere=ord("a"), pool=pool).said == "NOWHERE"
    assert pool.live == 0


@pytest.mark.parametrize(
    "words", [("PING",), ("DBSIZE",), ("MGET",), ("EVAL", "return 1", 0), ("MSET",)]
)
def test_no_key_has_no_target(words) -> None:
    assert split(*words).said == "NO_KEYS"


def test_a_key_without_a_target() -> None:
    assert split("MGET", "a", "b", "zero", nowhere=ord("z")).said == "NOWHERE"
    assert split("DEL", "zero", nowhere=ord("z")).said == "NOWHERE"


def test_words_that_the_server_will_refuse_go_to_one_server() -> None:
    assert split("MSET", "a", 1, "b").said == "ONE"
    assert split("MSET", "a", 1, "b").one == ord("a") % 3
    assert split("MSETEX", 2, "a", 1, "b").said == "ONE"
    assert split("MSETEX", 3, "a", 1, "b", 2).said == "NO_KEYS"
    assert split("MSETEX", "x", "a", 1, "b", 2).said == "NO_KEYS"


def test_the_number_of_keys_is_that_of_each_part() -> None:
    fan = split("MSETEX", 3, "a", 1, "b", 2, "d", 3, "EX", 10)
    assert [words_of(wire) for *_, wire in fan.parts] == [
        [b"MSETEX", b"2", b"a", b"1", b"d", b"3", b"EX", b"10"],
        [b"MSETEX", b"1", b"b", b"2", b"EX", b"10"],
    ]
    assert all(wire == encode(*words_of(wire)) for *_, wire in fan.parts)
    many = split(
        "MSETEX", 300, *[word for key in range(300) for word in (f"{key:03}", "v")], targets=2
    )
    assert sum(int(words_of(wire)[1]) for *_, wire in many.parts) == 300


@pytest.mark.parametrize("condition", ["NX", "xx"])
def test_a_condition_over_all_keys_cannot_be_split(condition) -> None:
    assert split("MSETEX", 2, "a", 1, "b", 2, condition).said == "CROSS"
    assert split("MSETEX", 2, "a", 1, "a", 2, condition).said == "ONE"


def test_many_keys_over_many_targets() -> None:
    """As many targets as keys, nearly: neither parts nor tables have their first size."""
    found = [f"key:{index}".encode() for index in range(10_000)]
    pool = probe.Pool()
    fan = probe.Fan(encode("MGET", *found), targets=5000, homes=7, pool=pool)
    assert len(fan.parts) == len({target_of(key, 5000) for key in found})
    assert sum(count for _, count, _ in fan.parts) == len(found)
    wide = probe.Fan(
        encode("DEL", *[bytes([a, b]) for a in range(1, 255) for b in range(4)]),
        targets=256,
        pool=pool,
    )
    assert len(wide.parts) == 256
    for index, (_, count, *_) in enumerate(fan.legs()):
        parts = fan.part_of_leg(index)
        assert len(parts) == count
        fan.take(
            index,
            b"".join(b"*%d\r\n" % n + b"$1\r\nv\r\n" * n for n in (fan.parts[p][1] for p in parts)),
        )
    assert fan.join() == ("DONE", b"*10000\r\n" + b"$1\r\nv\r\n" * 10_000)
    fan.free()
    wide.free()
    assert pool.live == 0


@given(
    request=requests(),
    room=st.integers(0, 40_000),
    targets=st.integers(2, 8),
    homes=st.integers(0, 3),
)
def test_without_memory_nothing_is_left_behind(request, room, targets, homes) -> None:
    pool = probe.Pool(room)
    fan = probe.Fan(encode(*request), targets=targets, homes=homes, pool=pool)
    if fan.said == "SPLIT":
        for index in range(len(fan.legs())):
            fan.take(index, b"+" + b"x" * 5000 + b"\r\n", owned=False)
        assert fan.join()[1].startswith((b"-ERR", b"+"))
        fan.free()
    else:
        assert fan.said in ("ONE", "NO_MEMORY")
    assert pool.live == 0


@given(wire=st.one_of(broken, commands.map(lambda words: encode(*words)), requests().map(lambda words: encode(*words))),
       cut=st.integers(0, 400), targets=counts)  # fmt: skip
def test_any_bytes_have_an_outcome(wire, cut, targets) -> None:
    pool = probe.Pool()
    for given_bytes in (wire, wire[:cut], wire[:cut] + wire[cut + 1 :]):
        try:
            fan = probe.Fan(given_bytes, targets=targets, homes=2, pool=pool)
        except ValueError:
            continue  # no known command
        if fan.said == "SPLIT":
            assert sum(count for _, count, _ in fan.parts) == len(fan.places)
        fan.free()
    assert pool.live == 0


def test_all_with_the_tip_can_be_split() -> None:
    """The tables have no command for many shards whose keys stand in a form that is not known here."""
    for name in tables.names():
        facts = tables.describe(name.encode())
        if facts["request_policy"] == "multi_shard":
            step = 2 if name in ("MSET", "MSETEX") else 1
            pairs = ["a", "1", "b", "2"] if step == 2 else ["a", "b"]
            assert split(name, *(["2"] if name == "MSETEX" else []), *pairs).said == "SPLIT", name


# ---- to all ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owned", [False, True])
def test_the_same_for_all(owned) -> None:
    pool = probe.Pool()
    fan = probe.Fan(encode("SCRIPT", "EXISTS", "x"), everywhere=4, owned=owned, pool=pool)
    assert [target for target, *_ in fan.parts] == [0, 1, 2, 3]
    assert [(home, count, wire, argc) for home, count, wire, argc, _ in fan.legs()] == [
        (home, 1, encode("SCRIPT", "EXISTS", "x"), 3) for home in range(4)
    ]
    for part in range(4):
        fan.reply(part, b"*1\r\n:%d\r\n" % (part != 2))
    assert fan.join() == ("DONE", b"*1\r\n:0\r\n")
    fan.again(2)
    assert fan.left == 1
    fan.take(2, b"*1\r\n:7\r\n")
    assert fan.join() == ("DONE", b"*1\r\n:1\r\n")
    fan.free()
    assert pool.live == 0
