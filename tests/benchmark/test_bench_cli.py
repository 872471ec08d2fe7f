"""shotover-bench as a user runs it, on one tiny round."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from shotover.benchmark import special
from shotover.benchmark.cases import CASES
from shotover.benchmark.cli import main
from shotover.benchmark.figures import Results, Turn
from shotover.benchmark.histogram import Histogram
from shotover.benchmark.page import page_html
from shotover.benchmark.processes import find_server

needs_server = pytest.mark.skipif(
    find_server() is None, reason="no redis-server or valkey-server on this machine"
)
HAS_NUTCRACKER = shutil.which("nutcracker") is not None


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Result, Path]:
    targets = "direct,nutcracker" if HAS_NUTCRACKER else "direct"
    files = ["--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]
    cases = "c50-get,p16-set,open,startup"
    done = bench(
        "run", "--cases", cases, "--targets", targets, "--rounds", "2", "--seconds", "0.05", *files
    )
    return done, tmp_path


@needs_server
def test_a_run_prints_saves_and_draws_what_it_measured(measured: tuple[Result, Path]) -> None:
    done, folder = measured
    assert done.exit_code == 0, done.output
    for title in (
        "50 clients, GET",
        "50 clients, pipeline 16, SET",
        "open loop",
        "exec to accepting",
    ):
        assert title in done.stdout
    document = json.loads((folder / "out.json").read_text())
    targets = 2 if HAS_NUTCRACKER else 1
    assert len(document["turns"]) == 4 * targets * 2
    for turn in document["turns"]:
        assert turn["complaint"] == ""
        if turn["case"] == "startup":
            assert 0 < turn["values"]["accepting_ms"] <= turn["values"]["first_reply_ms"]
        else:
            assert (
                turn["requests"] > 0
                and turn["values"]["rps"] > 100
                and turn["values"]["p50_us"] > 1
            )
            assert turn["values"]["p50_us"] <= turn["values"]["p99_us"] <= turn["values"]["p999_us"]
    assert_page(folder / "out.html")
    again = bench("report", str(folder / "out.json"))
    assert again.stdout == done.stdout


@needs_server
def test_cpu_time_a_request_is_plausible(measured: tuple[Result, Path]) -> None:
    document = json.loads((measured[1] / "out.json").read_text())
    turns = [turn for turn in document["turns"] if turn["case"] == "c50-get"]
    assert turns and all(0.5 < turn["values"]["cpu_us"] < 1_000 for turn in turns)
    assert all(turn["values"]["server_us"] > 0.2 for turn in turns)


@needs_server
def test_keys_are_spread_over_three_servers_and_one_of_them_is_stopped() -> None:
    done = bench(
        "run", "--cases", "shards-get,shards-mget,shards-stopped", "--poller", "epoll", "--rounds", "1",
        "--seconds", "0.1",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for title in (
        "3 servers, 50 clients, GET",
        "3 servers, MGET of 100 keys",
        "one server",
        "shotover, one stopped",
    ):
        assert title in done.stdout
    assert "round 1:" not in done.stdout, "a complaint"


@needs_server
def test_a_load_with_idle_connections_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(special, "IDLE_BESIDE", 50)
    done = bench(
        "run", "--cases", "idle-beside", "--poller", "epoll", "--rounds", "1", "--seconds", "0.2",
        "--targets", "shotover",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "\n  shotover, idle beside " in done.stdout and "p99 us <= 1.2 x shotover" in done.stdout
    assert "round 1:" not in done.stdout and "left out" not in done.stdout, done.stdout


def assert_page(path: Path) -> ElementTree.Element:
    """Well-formed, and asks nothing of anywhere else."""
    text = path.read_text()
    assert text.startswith("<!DOCTYPE html>\n")
    page = ElementTree.fromstring(text.partition("\n")[2])
    for element in page.iter():
        assert element.tag not in ("script", "img", "link", "iframe")
        assert "src" not in element.attrib
        assert element.attrib.get("href", "#").startswith("#")
    assert "url(" not in text and "@import" not in text
    return page


def test_a_page_escapes_what_it_is_given_and_draws_every_case(tmp_path: Path) -> None:
    results = Results(notes=["<script>alert(1)</script> & more"])
    for case in CASES:
        for target in ("direct", "shotover", "<b>"):
            values = {
                "rps": 1e5,
                "cpu_us": 9.0,
                "p50_us": 50.0,
                "p99_us": 99.0,
                "hop_ns": 3.0,
                "accepting_ms": 30.0,
                "idle_bytes": 100.0,
            }
            results.turns.append(
                Turn(
                    case.name, target, 0, values, 1, "", Histogram({300: 5, 900: 1}, 9, 300, 9_999)
                )
            )
    path = tmp_path / "page.html"
    path.write_text(page_html(results))
    page = assert_page(path)
    assert {section.attrib["id"] for section in page.iter("section")} == {
        case.name for case in CASES
    }
    assert len(list(page.iter("svg"))) == 2 * len(CASES)


def test_an_unknown_case_is_refused_with_the_names_there_are() -> None:
    done = bench("run", "--cases", "c51")
    assert done.exit_code == 2 and "no case is called 'c51'" in done.output


def test_an_unknown_target_is_refused_with_the_names_there_are() -> None:
    done = bench("run", "--targets", "nothing")
    assert done.exit_code == 2 and "there are direct, shotover" in done.output


def test_a_malformed_peer_is_refused() -> None:
    done = bench("run", "--peer", "mine=run")
    assert done.exit_code == 2 and "{listen}" in done.output


def test_a_file_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    done = bench("report", str(tmp_path / "x.json"))
    assert done.exit_code == 1 and "not a result file" in done.output


@needs_server
def test_a_peer_of_the_users_own_is_measured_and_one_that_fails_is_noted() -> None:
    server = find_server()
    own = f"own={server} --port {{listen_port}} --save '' --dbfilename {{upstream_port}}.rdb"
    broken = f"broken={sys.executable} -c raise({{listen_port}},{{upstream_port}})"
    done = bench(
        "run",
        "--cases",
        "c50-set",
        "--targets",
        "own,broken",
        "--peer",
        own,
        "--peer",
        broken,
        "--rounds",
        "1",
        "--seconds",
        "0.05",
        "--quiet",
    )
    assert done.exit_code == 0, done.output
    assert "\n  own " in done.stdout
    assert "note: left out: broken: ended with 1" in done.stdout


@needs_server
def test_a_run_that_could_measure_nothing_fails() -> None:
    broken = f"broken={sys.executable} -c raise({{listen_port}},{{upstream_port}})"
    done = bench(
        "run",
        "--cases",
        "c50-set",
        "--targets",
        "broken",
        "--peer",
        broken,
        "--rounds",
        "1",
        "--quiet",
    )
    assert done.exit_code == 1


@needs_server
@pytest.mark.skipif(
    shutil.which("redis-benchmark") is None, reason="no redis-benchmark on this machine"
)
def test_redis_benchmark_can_stand_in_where_it_knows_the_load() -> None:
    done = bench(
        "run",
        "--cases",
        "c50-get,open",
        "--targets",
        "direct",
        "--rounds",
        "1",
        "--seconds",
        "0.05",
        "--generator",
        "redis-benchmark",
        "--quiet",
    )
    assert done.exit_code == 0, done.output
    assert "50 clients, GET" in done.stdout
    assert "open was left out: redis-benchmark cannot make this load" in done.stdout


def test_cases_are_listed() -> None:
    assert [line.split()[0] for line in bench("cases").stdout.splitlines()] == [
        case.name for case in CASES
    ]


def test_targets_are_listed() -> None:
    listed = [line.split()[0] for line in bench("targets").stdout.splitlines()]
    assert listed[:2] == ["direct", "shotover"]
