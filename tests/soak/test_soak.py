"""A short soak: the same clients and faults that `make soak` has at work for as long as one likes."""

from __future__ import annotations

import pytest

from soak.run import soak
from soak.world import SOURCES

pytestmark = [pytest.mark.timeout(150), pytest.mark.measures]
SHORT_S = 10


def test_a_short_soak_finds_nothing() -> None:
    outcome = soak(SHORT_S, seed=5)
    assert not outcome.wrong, outcome.report()
    assert outcome.faults
    for source in SOURCES:
        assert outcome.tallies[source]["requests"] > 200, outcome.report()
