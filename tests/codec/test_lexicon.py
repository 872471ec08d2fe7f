"""Names learned one at a time: what COMMAND INFO says, under the name that was asked for."""

from __future__ import annotations

from shotover._codec.commands import describe
from shotover._codec.lexicon import Lexicon


def info(name: bytes, *flags: bytes, first: int = 0, last: int = 0, step: int = 0) -> bytes:
    """A reply to COMMAND INFO as Redis 6 gives it: seven fields."""
    listed = b"".join(b"+%b\r\n" % flag for flag in flags)
    return b"*1\r\n*7\r\n$%d\r\n%b\r\n:-2\r\n*%d\r\n%b:%d\r\n:%d\r\n:%d\r\n*0\r\n" % (
        len(name),
        name,
        len(flags),
        listed,
        first,
        last,
        step,
    )


READ = info(b"toy.read", b"readonly", b"fast", first=1, last=1, step=1)


def test_a_module_s_command_is_found_in_any_case() -> None:
    lexicon = Lexicon()
    assert lexicon.find(b"toy.read") is None
    assert lexicon.teach(b"Toy.Read", READ)
    facts = lexicon.find(b"TOY.READ")
    assert (facts["name"], facts["kind"], facts["conduct"]) == ("TOY.READ", "read", "plain")
    assert (facts["arity"], facts["first_key"]) == (-2, 1)
    assert lexicon.find(b"toy.rea") is None


def test_a_known_command_under_another_name_keeps_its_facts() -> None:
    lexicon = Lexicon()
    assert lexicon.teach(b"BEGIN", info(b"multi", b"noscript", b"fast"))
    known = describe(b"MULTI")
    assert lexicon.find(b"begin") == known | {"name": "BEGIN"}


def test_what_neither_reads_nor_writes_is_left_alone() -> None:
    lexicon = Lexicon()
    assert lexicon.teach(b"odd", info(b"odd"))
    assert lexicon.find(b"odd")["conduct"] == "alone"
    assert lexicon.teach(b"order", info(b"order", b"admin"))
    assert lexicon.find(b"order")["conduct"] == "alone"
    assert lexicon.teach(b"wait", info(b"wait2", b"blocking", b"write"))
    assert lexicon.find(b"wait")["conduct"] == "block"


def test_what_is_no_answer_teaches_nothing() -> None:
    lexicon = Lexicon()
    for reply in (
        b"",
        b"*1\r\n*-1\r\n",
        b"*1\r\n_\r\n",
        b"*0\r\n",
        b"-NOPERM no\r\n",
        READ[:-1],
        READ[:20],
    ):
        assert not lexicon.teach(b"x", reply)
    assert not lexicon.teach(b"", READ)
    assert not lexicon.teach(b"x" * 65, READ)
    assert len(lexicon) == 0 == lexicon.entries


def test_forgetting_and_learning_again_takes_no_more_room_unless_the_facts_have_changed() -> None:
    lexicon = Lexicon()
    lexicon.teach(b"toy.read", READ)
    lexicon.teach(b"begin", info(b"multi"))
    for _ in range(10):
        lexicon.forget()
        assert lexicon.find(b"toy.read") is None
        assert lexicon.teach(b"toy.read", READ)
        assert lexicon.teach(b"begin", info(b"multi"))
    assert len(lexicon) == 2 == lexicon.entries
    lexicon.forget()
    assert lexicon.teach(b"toy.read", info(b"toy.read", b"write"))
    assert lexicon.find(b"toy.read")["kind"] == "write"
    assert lexicon.entries == 3


def test_it_is_bounded() -> None:
    lexicon = Lexicon()
    for number in range(1100):
        name = b"toy.%d" % number
        lexicon.teach(name, info(name, b"readonly"))
    assert len(lexicon) == 1024
    assert lexicon.find(b"toy.0") is not None
    assert lexicon.find(b"toy.1099") is None
