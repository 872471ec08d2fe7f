"""Rates and percentiles from two pages of metrics, as `shotover top` shows them."""

from __future__ import annotations

import pytest

from shotover.observability.metrics import render
from shotover.runtime.figures import Between, Reading, count_text, quantile, time_text


def page(count: float, hist: tuple[int, int, int] = (0, 0, 0), chain: str = "a") -> str:
    low, middle, whole = hist
    return (
        "# HELP x_count Some.\n# TYPE x_count counter\n"
        f'x_count{{source="one",kind="r"}} {count}\nx_count{{source="two",kind="r"}} 5\n'
        f'h_bucket{{chain="{chain}",le="0.001"}} {low}\nh_bucket{{chain="{chain}",le="0.01"}} {middle}\n'
        f'h_bucket{{chain="{chain}",le="+Inf"}} {whole}\n'
    )


def test_a_page_that_the_process_writes_is_read_back() -> None:
    samples = [("odd_count", {"name": 'a "b"\\\n}, {'}, "counter", 7), ("plain", {}, "gauge", 1.5)]
    reading = Reading(render([samples]).decode(), 0)
    assert reading.values("odd_count", "name") == ['a "b"\\\n}, {']
    assert reading.sum("odd_count") == 7 and reading.sum("plain") == 1.5
    assert reading.sum("nothing") == 0


def test_rates_are_of_the_time_between() -> None:
    between = Between(Reading(page(100), 10), Reading(page(160), 12))
    assert between.rate("x_count", source="one") == 30
    assert between.rate("x_count", source="two") == 0
    assert between.rate("x_count") == 30


def test_a_process_that_began_anew_has_no_negative_rates() -> None:
    between = Between(Reading(page(100, (5, 5, 9)), 10), Reading(page(20, (1, 4, 4)), 12))
    assert between.rate("x_count", source="one") == 10
    assert between.quantile(0.25, "h") == 0.001


def test_nothing_is_known_of_rates_at_first_but_percentiles_are_since_the_start() -> None:
    first = Between(None, Reading(page(100, (50, 100, 100)), 10))
    assert first.rate("x_count") is None
    assert first.quantile(0.5, "h", chain="a") == pytest.approx(0.001)
    assert first.quantile(0.75, "h", chain="a") == pytest.approx(0.0055)
    assert first.quantile(0.5, "h", chain="other") is None


def test_percentiles_are_of_what_came_between() -> None:
    between = Between(
        Reading(page(0, (1000, 1000, 1000)), 0), Reading(page(0, (1000, 1010, 1010)), 1)
    )
    quick, slow = between.quantile(0.1, "h"), between.quantile(0.9, "h")
    assert quick is not None and slow is not None
    assert 0.001 < quick < slow <= 0.01, "the thousand quick ones were before"


def test_beyond_the_last_bound_nothing_is_made_up() -> None:
    assert quantile({0.1: 0, float("inf"): 10}, 0.5) == 0.1
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (count_text(None), "-"),
        (count_text(0), "0"),
        (count_text(1_234_567), "1.23M"),
        (count_text(999), "999"),
        (time_text(0.00123), "1.23 ms"),
        (time_text(0.000002), "2 µs"),
        (time_text(2.5), "2.5 s"),
        (time_text(None), "-"),
    ],
)
def test_figures_are_short(text: str, wanted: str) -> None:
    assert text == wanted
