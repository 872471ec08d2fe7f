"""What the ledgers notice, and what they excuse: a soak is only as good as they are."""

from __future__ import annotations

import pytest

from soak.journal import GRACE_S, SETTLE_S, Fault, Journal
from soak.ledger import LAG_S, Counter, Register
from soak.watch import Look, judge_flatness, judge_log


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def journal() -> Journal:
    return Journal()


def fault(journal: Journal, begin: float, end: float, *, lossy: bool = False) -> None:
    journal.faults.append(Fault("cluster", "stop", begin, end, lossy))


@pytest.fixture
def counter(journal: Journal, time: Time) -> Counter:
    return Counter(journal, "cluster", time)


@pytest.fixture
def register(journal: Journal, time: Time) -> Register:
    return Register(journal, "cluster", time)


def test_a_counter_that_counts_is_right(counter: Counter) -> None:
    assert [counter.counted(1), counter.seen(1), counter.counted(2)] == ["", "", ""]


def test_a_lost_and_a_doubled_increment_are_noticed(counter: Counter) -> None:
    assert counter.counted(1) == ""
    assert "counted twice" in counter.counted(3)
    assert counter.counted(2) == ""
    assert "lost" in counter.seen(1)
    assert "lost" in counter.counted(2)


def test_an_increment_without_an_answer_may_count_or_not_but_only_once(counter: Counter) -> None:
    counter.unsure()
    assert counter.seen(0) == ""
    assert counter.seen(1) == ""
    assert "counted twice" in counter.seen(2)


def test_what_is_loose_does_not_stay_so(counter: Counter, journal: Journal, time: Time) -> None:
    fault(journal, time.now - 1, time.now)
    counter.unsure()
    time.now += SETTLE_S + 1
    assert counter.seen(0) == ""  # it was not carried out, and never will be
    assert "counted twice" in counter.seen(1)


def test_only_a_failover_excuses_a_loss_and_only_of_what_the_replica_lacked(
    counter: Counter, journal: Journal, time: Time
) -> None:
    for value in range(1, 6):
        assert counter.counted(value) == ""
    time.now += 10 * LAG_S
    assert counter.counted(6) == ""
    fault(journal, time.now, time.now + 2)
    assert "lost" in counter.seen(5)  # nothing was said of a failover
    fault(journal, time.now, time.now + 2, lossy=True)
    time.now += 2
    assert "lost" in counter.seen(4)  # five were acknowledged long before
    assert counter.seen(5) == ""
    assert counter.forgotten == 1


def test_an_old_failover_excuses_nothing(counter: Counter, journal: Journal, time: Time) -> None:
    fault(journal, time.now, time.now, lossy=True)
    time.now += GRACE_S + 1
    assert counter.counted(1) == ""
    time.now += 1
    assert "lost" in counter.seen(0)


def test_a_register_holds_what_was_put_last(register: Register) -> None:
    register.put(b"a")
    register.put(b"b")
    assert register.seen(b"b") == ""
    assert "is right" in register.seen(b"a")
    assert "is right" in register.seen(None)


def test_a_value_without_an_answer_may_be_there_until_things_have_settled(
    register: Register, journal: Journal, time: Time
) -> None:
    register.put(b"a")
    fault(journal, time.now, time.now + 1)
    register.unsure(b"b")
    assert register.seen(b"a") == ""
    assert register.seen(b"b") == ""
    assert "is right" in register.seen(b"a")
    register.unsure(b"c")
    time.now += SETTLE_S + 2
    assert register.seen(b"b") == ""
    assert "is right" in register.seen(b"c")


def test_a_failover_may_bring_back_a_value_of_that_time_and_none_before(
    register: Register, journal: Journal, time: Time
) -> None:
    register.put(b"old")
    register.put(b"a")
    time.now += 5
    register.put(b"b")
    fault(journal, time.now, time.now + 1, lossy=True)
    assert "is right" in register.seen(b"old")
    assert register.seen(b"a") == ""
    assert register.forgotten == 1


def test_errors_are_explained_by_faults_of_their_own_servers_alone(journal: Journal) -> None:
    fault(journal, 100.0, 101.0)
    assert journal.explains("cluster", 100.5, 100.6)
    assert journal.explains("cluster", 101.0 + GRACE_S, 102.0 + GRACE_S)
    assert not journal.explains("cluster", 101.1 + GRACE_S, 102.0 + GRACE_S)
    assert not journal.explains("cluster", 90.0, 99.0)
    assert not journal.explains("plain", 100.5, 100.6)


def looks(resident: int, descriptors: int) -> list[Look]:
    return [Look(0.0, resident, descriptors, 0.0)] * 5


def test_growth_is_noticed() -> None:
    before = looks(40 << 20, 100)
    assert judge_flatness(before, looks(41 << 20, 105)) == []
    assert "resident memory grew" in judge_flatness(before, looks(50 << 20, 100))[0]
    assert "descriptors grew" in judge_flatness(before, looks(40 << 20, 130))[0]
    assert judge_flatness([], []) == ["nothing was looked at"]


def test_a_flood_is_noticed() -> None:
    assert judge_log(100, 4, 10.0) == ""
    assert "the log grew" in judge_log(1000, 4, 10.0)
