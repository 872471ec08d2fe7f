"""From turns to figures: ratios within a round, verdicts, saving and laying together."""

from __future__ import annotations

import pytest

from shotover.benchmark.cases import SUITES, choose_cases
from shotover.benchmark.figures import (
    DEMANDS,
    METRICS,
    Demand,
    Results,
    Turn,
    Verdict,
    spread,
    verdicts,
)
from shotover.benchmark.histogram import Histogram
from shotover.benchmark.report import all_verdicts, case_rows, report_text, summary_line
from shotover.benchmark.saved import from_json, to_json, together


def results_of(case: str = "c50-get", **by_target: list[float]) -> Results:
    """cpu_us of each target, one a round."""
    results = Results()
    for target, values in by_target.items():
        for number, value in enumerate(values):
            latency = Histogram({100: 9, 200: 1}, 1_100, 100, 200)
            results.turns.append(
                Turn(case, target, number, {"cpu_us": value, "rps": 1e6 / value}, 100, "", latency)
            )
    return results


def test_a_ratio_is_taken_within_each_round_before_the_median() -> None:
    results = results_of(shotover=[8.0, 30.0, 9.0], nutcracker=[10.0, 60.0, 12.0])
    ratio = results.ratio("c50-get", "shotover", "nutcracker", "cpu_us")
    assert ratio is not None
    assert (ratio.least, ratio.median, ratio.most) == (0.5, 0.75, 0.8)
    # the machine was three times as slow in round 2: a ratio of medians would be the same only by chance
    assert spread([8.0, 30.0, 9.0]).median == 9.0  # type: ignore[union-attr]


def test_rounds_that_only_one_of_the_two_has_are_left_out() -> None:
    results = results_of(shotover=[8.0, 9.0], nutcracker=[10.0])
    ratio = results.ratio("c50-get", "shotover", "nutcracker", "cpu_us")
    assert ratio is not None and (ratio.median, ratio.count) == (0.8, 1)


def test_a_turn_that_went_wrong_gives_no_figures() -> None:
    results = results_of(shotover=[8.0, 1.0, 9.0], nutcracker=[10.0, 10.0, 10.0])
    results.turns[1].complaint = "14 lost"
    found = results.spread("c50-get", "shotover", "cpu_us")
    assert found is not None and (found.least, found.count) == (8.0, 2)
    ratio = results.ratio("c50-get", "shotover", "nutcracker", "cpu_us")
    assert ratio is not None and ratio.count == 2
    assert results.targets("c50-get") == ["shotover", "nutcracker"]


def test_what_is_read_in_coarse_ticks_is_averaged_over_all_requests() -> None:
    results = Results()
    for number, (user_us, requests) in enumerate([(0.0, 100), (0.0, 100), (0.9, 400)]):
        results.turns.append(Turn("c50-get", "shotover", number, {"user_us": user_us}, requests))
    found = results.spread("c50-get", "shotover", "user_us")
    assert found is not None and (found.least, found.most) == (0.0, 0.9)
    assert found.median == pytest.approx(0.6)


def test_without_the_peer_there_is_no_ratio_and_the_verdict_says_so() -> None:
    results = results_of(shotover=[8.0])
    verdict = next(v for v in verdicts(results, "c50-get") if v.demand.against == "nutcracker")
    assert (verdict.found, verdict.met) == (None, None)
    assert verdict.text() == "CPU us/req <= 0.8 x nutcracker: not measured"
    assert summary_line(results) == ""


def test_a_met_demand_reads_as_figure_range_and_ok() -> None:
    results = results_of(shotover=[7.1, 8.0, 6.0], nutcracker=[10.0, 10.0, 10.0])
    verdict = next(v for v in verdicts(results, "c50-get") if v.demand.against == "nutcracker")
    assert verdict.text() == "CPU us/req <= 0.8 x nutcracker: 0.71 (0.60-0.80) ok"
    assert summary_line(results) == "1 of 1 demands met"


def test_a_missed_demand_is_named_in_the_summary() -> None:
    results = results_of(shotover=[9.0], nutcracker=[10.0], haproxy=[20.0])
    assert summary_line(results) == (
        "1 of 2 demands met; missed:\n  c50-get: CPU us/req <= 0.8 x nutcracker: 0.90 (0.90-0.90) MISSED"
    )


@pytest.mark.parametrize(
    ("ours", "met"), [([160.0], True), ([166.0], False), ([900.0, 160.0, 100.0], True)]
)
def test_a_demand_may_leave_room_beyond_its_bound(ours: list[float], met: bool) -> None:
    demand = Demand("c1-get", "p50_us", 1.05, "direct", beyond=60.0)
    results = Results()
    for number, value in enumerate(ours):
        results.turns.append(Turn("c1-get", "direct", number, {"p50_us": 100.0}))
        results.turns.append(Turn("c1-get", "shotover", number, {"p50_us": value}))
    verdict = Verdict(demand, results.ratio("c1-get", "shotover", "direct", "p50_us", 60.0))
    assert verdict.met is met
    assert "<= 1.05 x direct + 60" in demand.text()


@pytest.mark.parametrize(("value", "met"), [(0.94, False), (0.95, True), (1.2, True)])
def test_a_demand_may_be_a_lower_bound(value: float, met: bool) -> None:
    demand = Demand("c500-get", "rps", 0.95, "direct", at_least=True)
    assert Verdict(demand, spread([value])).met is met
    assert ">= 0.95 x direct" in demand.text()


def test_every_demand_names_a_case_and_a_metric_that_exist() -> None:
    cases = {case.name for suite in SUITES.values() for case in suite}
    assert {demand.case for demand in DEMANDS} <= cases
    assert {demand.metric for demand in DEMANDS} <= METRICS.keys()


def test_the_table_has_a_row_for_each_target_and_only_columns_with_figures() -> None:
    rows = case_rows(results_of(direct=[5.0], nutcracker=[10.0]), "c50-get")
    assert rows[0] == ["target", "requests/s", "CPU us/req", "CPU x nutcracker"]
    assert rows[1:] == [
        ["direct", "200,000", "5.00", "0.50"],
        ["nutcracker", "100,000", "10.00", "1.00"],
    ]


def test_results_survive_being_saved() -> None:
    results = results_of(shotover=[7.0, 8.0], nutcracker=[10.0, 11.0])
    results.notes.append("a note")
    results.setting["machine"] = "one"
    again = from_json(to_json(results))
    assert report_text(again) == report_text(results)
    assert [v.text() for v in all_verdicts(again)] == [v.text() for v in all_verdicts(results)]


def test_sessions_laid_together_keep_their_ratios_apart() -> None:
    quiet, noisy = (
        results_of(shotover=[8.0], nutcracker=[10.0]),
        results_of(shotover=[30.0], nutcracker=[60.0]),
    )
    ratio = together([quiet, noisy]).ratio("c50-get", "shotover", "nutcracker", "cpu_us")
    assert ratio is not None and (ratio.least, ratio.most, ratio.count) == (0.5, 0.8, 2)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "setting": 3}'])
def test_what_is_no_result_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)


def test_cases_are_chosen_by_name_and_pattern_in_their_own_order() -> None:
    assert [case.name for case in choose_cases("open, c50-*")] == ["c50-set", "c50-get", "open"]
    with pytest.raises(ValueError, match="no case is called 'c51'; there are c50-set"):
        choose_cases("c50-get,c51")
