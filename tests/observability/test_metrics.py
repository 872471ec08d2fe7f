"""The metrics page: what a scraper reads is what the workers counted."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotover._core.counters import BOUNDS_SECONDS, BOUNDS_SIZE, Histogram, histogram_of_sizes
from shotover.observability import metrics, process
from shotover.observability.families import FAMILIES, OLD_NAMES
from tests.observability.exposition import parse


def latencies(*ns: int) -> tuple[int, float, tuple[int, ...]]:
    histogram = Histogram()
    for value in ns:
        histogram.add(value)
    return histogram.value()


def test_the_page_word_for_word() -> None:
    page = metrics.render(
        [
            [
                ("shotover_requests_count", {"source": "redis"}, "counter", 7),
                ("mine", {"b": "2", "a": "1"}, "gauge", 0.5),
                ("shotover_draining", {}, "gauge", 0),
            ]
        ]
    )
    assert page.decode() == (
        "# TYPE mine gauge\n"
        'mine{a="1",b="2"} 0.5\n'
        "# HELP shotover_draining 1 while finishing what is in flight.\n"
        "# TYPE shotover_draining gauge\n"
        "shotover_draining 0\n"
        "# HELP shotover_requests_count Requests read from clients.\n"
        "# TYPE shotover_requests_count counter\n"
        'shotover_requests_count{source="redis"} 7\n'
    )


def test_workers_are_added_up_by_name_and_labels() -> None:
    one = [
        ("shotover_requests_count", {"source": "a"}, "counter", 2**50),
        ("shotover_requests_count", {"source": "b"}, "counter", 1),
        ("x", {"p": "1", "q": "2"}, "gauge", 1.5),
        ("shotover_chain_latency_seconds", {"chain": "c"}, "histogram", latencies(10_000, 30_000)),
    ]
    two = [
        ("shotover_requests_count", {"source": "a"}, "counter", 2**50 + 1),
        ("x", {"q": "2", "p": "1"}, "gauge", 1),
        ("shotover_chain_latency_seconds", {"chain": "c"}, "histogram", latencies(10**9)),
    ]
    families = parse(metrics.render([one, two]))
    requests = families["shotover_requests_count"]
    assert requests.value("shotover_requests_count", source="a") == 2**51 + 1
    assert requests.value("shotover_requests_count", source="b") == 1
    assert families["x"].value("x", p="1", q="2") == 2.5
    latency = families["shotover_chain_latency_seconds"]
    name = "shotover_chain_latency_seconds"
    assert latency.value(f"{name}_count", chain="c") == 3
    assert latency.value(f"{name}_sum", chain="c") == pytest.approx(1.00004)
    assert latency.value(f"{name}_bucket", chain="c", le="2.5e-05") == 1
    assert latency.value(f"{name}_bucket", chain="c", le="5e-05") == 2
    assert latency.value(f"{name}_bucket", chain="c", le="2.5") == 3


def test_histograms_have_the_bounds_of_their_unit() -> None:
    page = metrics.render(
        [
            [
                ("shotover_upstream_wait_seconds", {}, "histogram", latencies(1)),
                ("shotover_chain_requests_batch_size", {}, "histogram", histogram_of_sizes([3])),
            ]
        ]
    )
    families = parse(page)
    for name, bounds in (
        ("shotover_upstream_wait_seconds", BOUNDS_SECONDS),
        ("shotover_chain_requests_batch_size", BOUNDS_SIZE),
    ):
        found = {
            float(dict(labels)["le"])
            for sample, labels in families[name].samples
            if sample.endswith("_bucket")
        }
        assert found == {*map(float, bounds), math.inf}
    sizes = families["shotover_chain_requests_batch_size"]
    assert sizes.value("shotover_chain_requests_batch_size_bucket", le="2") == 0
    assert sizes.value("shotover_chain_requests_batch_size_bucket", le="4") == 1


def every_family() -> list[tuple[str, dict[str, str], str, Any]]:
    return [
        (name, {"transform": "T"}, kind, latencies(5) if kind == "histogram" else 1)
        for name, (kind, _, _) in FAMILIES.items()
    ]


def test_every_family_is_rendered_with_its_help_and_kind() -> None:
    families = parse(metrics.render([every_family()]))
    assert {name: family.kind for name, family in families.items()} == {
        name: kind for name, (kind, _, _) in FAMILIES.items()
    }
    assert all(family.help for family in families.values())


def test_old_names_stand_beside_the_new_ones_when_asked() -> None:
    families = parse(metrics.render([every_family()], old_names=True))
    assert set(families) == set(FAMILIES) | set(OLD_NAMES.values())
    for name, old in OLD_NAMES.items():
        assert families[old].kind == families[name].kind == FAMILIES[name][0]
        ours = {sample.replace(name, old): v for (sample, _), v in families[name].samples.items()}
        assert ours == {sample: v for (sample, _), v in families[old].samples.items()}


def test_an_old_name_that_a_transform_took_is_not_exported_twice() -> None:
    samples = [("query_count", {}, "counter", 1), ("shotover_query_count", {}, "counter", 2)]
    families = parse(metrics.render([samples], old_names=True))
    assert families["query_count"].value("query_count") == 1


# the names and kinds that dashboards of the Rust program use
COMPATIBLE = {
    "shotover_transform_total_count": "counter",
    "shotover_transform_failures_count": "counter",
    "shotover_transform_latency_seconds": "histogram",
    "shotover_chain_total_count": "counter",
    "shotover_chain_failures_count": "counter",
    "shotover_chain_latency_seconds": "histogram",
    "shotover_chain_requests_batch_size": "histogram",
    "shotover_chain_responses_batch_size": "histogram",
    "shotover_available_connections_count": "gauge",
    "connections_opened": "counter",
    "shotover_connections_accept_failures_count": "counter",
    "shotover_listener_create_failures_count": "counter",
    "shotover_source_to_sink_latency_seconds": "histogram",
    "shotover_sink_to_source_latency_seconds": "histogram",
    "shotover_client_protocol_version_count": "counter",
    "shotover_failed_requests_count": "counter",
    "shotover_out_of_rack_requests_count": "counter",
    "shotover_query_count": "counter",
    "shotover_cache_miss_count": "counter",
    "shotover_tee_dropped_messages_count": "counter",
    "shotover_peers_inaccessible_count": "gauge",
    "shotover_kafka_delegation_token_creation_seconds": "histogram",
}


def test_the_names_of_the_rust_program_keep_their_kind() -> None:
    assert {name: FAMILIES[name][0] for name in COMPATIBLE} == COMPATIBLE


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.binary(), st.integers())))
def test_any_labels_make_a_page_that_can_be_read(labels: dict[str, Any]) -> None:
    families = parse(metrics.render([[("m", labels, "counter", 1)]]))
    assert ("m" in families and families["m"].samples) or families[
        "shotover_metrics_bad_samples_count"
    ]


@given(st.text(max_size=100).filter(lambda text: text.isprintable() or "\n" in text))
def test_label_values_come_back_as_they_went_in(value: str) -> None:
    families = parse(metrics.render([[("m", {"l": value}, "counter", 1)]]))
    assert families["m"].value("m", l=value) == 1


def test_long_label_values_are_cut() -> None:
    page = metrics.render([[("m", {"l": "x" * 10_000_000}, "counter", 1)]])
    assert len(page) < 300
    parse(page)


def test_names_are_mended_and_reserved_labels_kept_free() -> None:
    samples = [
        ("my-metric.total", {"le": "1", "__name__": "evil", "a-b": "2"}, "counter", 1),
        ("9lives", {}, "gauge", 9),
        ("é", {}, "gauge", 1),
    ]
    families = parse(metrics.render([samples]))
    assert set(families) == {"my_metric_total", "_9lives", "_"}
    ((_, labels),) = families["my_metric_total"].samples
    assert dict(labels) == {"label_le": "1", "label_name__": "evil", "a_b": "2"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -0.5, True])
def test_odd_numbers(value: float) -> None:
    read = parse(metrics.render([[("m", {}, "gauge", value)]]))["m"].value("m")
    assert read == value or (math.isnan(read) and math.isnan(value))


BAD = [
    ("m", {}, "counter", "7"),
    ("m", {}, "counter", None),
    ("m", {}, "counter", 1j),
    ("m", {}, "summary", 1),
    ("m", None, "counter", 1),
    ("m", {"a-b": "1", "a_b": "2"}, "counter", 1),
    (7, {}, "counter", 1),
    ("m", {}, "histogram", 7),
    ("m", {}, "histogram", (1, 2.0, (1, 2))),
    ("m", {}, "histogram", ("1", 2.0, (0,) * 18)),
    ("m", {}, "histogram", (1, 2.0, ("0",) * 18)),
    ("m", {}, "counter"),
    None,
]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_sample_that_makes_no_sense_costs_only_itself(bad: Any) -> None:
    families = parse(metrics.render([[bad, ("good", {}, "counter", 1), bad], [bad]]))
    assert families["good"].value("good") == 1
    bad_name = "shotover_metrics_bad_samples_count"
    assert families[bad_name].value(bad_name) == 3
    assert not families.get("m") or not families["m"].samples


def test_one_name_with_two_kinds_keeps_the_first() -> None:
    families = parse(metrics.render([[("m", {}, "counter", 1)], [("m", {}, "gauge", 5)]]))
    assert (families["m"].kind, families["m"].value("m")) == ("counter", 1)


def test_series_past_the_limit_are_added_up_under_other() -> None:
    count = metrics.SERIES_MAX + 500
    samples = [("m", {"query": f'"{n}\\', "name": "c"}, "counter", 1) for n in range(count)]
    family = parse(metrics.render([samples, samples]))["m"]
    assert len(family.samples) == metrics.SERIES_MAX + 1
    assert family.value("m", query="other", name="other") == 2 * 500
    assert sum(family.samples.values()) == 2 * count


def test_remembered_label_texts_are_bounded() -> None:
    for turn in range(30):
        metrics.render([[("m", {"l": f"{turn} {n}"}, "counter", 1) for n in range(1000)]])
    assert len(metrics._labels_text) <= metrics.LABELS_CACHED_MAX + 1000


def test_pieces_are_one_worker_or_one_family_each() -> None:
    found = list(metrics.pieces([every_family(), every_family()]))
    assert [piece.count(b"# TYPE ") for piece in found] == [0, 0] + [1] * len(FAMILIES)


def test_the_process_tells_the_truth_about_itself() -> None:
    families = parse(metrics.render([process.process_samples()]))
    values = {name: family.value(name) for name, family in families.items()}
    assert 1e6 < values["process_resident_memory_bytes"] < values["process_virtual_memory_bytes"]
    assert time.time() - 3600 < values["process_start_time_seconds"] <= time.time()
    assert values["process_cpu_seconds_total"] == pytest.approx(time.process_time(), abs=1)
    pipes = [os.pipe() for _ in range(20)]
    later = {name: value for name, _, _, value in process.process_samples()}
    assert later["process_open_fds"] == values["process_open_fds"] + 40
    for pair in pipes:
        os.close(pair[0])
        os.close(pair[1])


def test_a_page_for_four_workers_is_made_in_a_few_milliseconds() -> None:
    histogram = latencies(*range(0, 10**9, 10**7))
    workers = [
        [(f"shotover_h{n % 6}", {"t": f"T{n}"}, "histogram", histogram) for n in range(60)]
        + [(f"shotover_c{n % 20}", {"c": f"c{n}"}, "counter", n) for n in range(140)]
        for _ in range(4)
    ]
    metrics.render(workers)

    def timed() -> float:
        start = time.process_time()
        metrics.render(workers)
        return time.process_time() - start

    assert min(timed() for _ in range(10)) < 0.010  # 1.2 ms measured; room for slow machines
