"""Rules and dashboards ask for what is there: each query is held against the page of metrics of a proxy at work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest
import redis
import yaml
from support.certificates import usual
from support.proxy import SAMPLE, Proxy
from support.servers import Server
from support.wait import free_port, wait_until, wait_until_equal

from shotover.observability.families import FAMILIES

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import dashboards

ROOT = dashboards.ROOT
FOLDER = dashboards.FOLDER
GROUPS = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
OF_PROMETHEUS = {"job", "instance"}
"""Labels that a scraper adds."""
UP = "up"
"""What it says itself of each it scrapes."""
WHEN_WRONG = {"shotover_metrics_bad_samples_count"}
"""What the page has only when there is something to tell."""

# The name of a variable, and how Prometheus would see it filled in.
VARIABLES = {"$__rate_interval": "5m", "$job": "shotover", "$instance": "a"}


class Asked(NamedTuple):
    """A query: where it stands, its text, and the labels that words about it name."""

    place: str
    query: str
    named: frozenset[str]


def label_names(text: str, pattern: str) -> frozenset[str]:
    return frozenset(re.findall(pattern, text))


def of_rules() -> Iterator[Asked]:
    for rule in RULES:
        words = " ".join(rule.get("annotations", {}).values())
        yield Asked(
            rule.get("record") or rule["alert"],
            rule["expr"],
            label_names(words, r"\$labels\.(\w+)"),
        )


def of_dashboards() -> Iterator[Asked]:
    for name in dashboards.DASHBOARDS:
        tree = json.loads((FOLDER / f"{name}.json").read_text())
        for panel in tree["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"]
                for variable, value in VARIABLES.items():
                    query = query.replace(variable, value)
                place = f"{name}: {panel['title']} {target['refId']}"
                yield Asked(place, query, label_names(target["legendFormat"], r"\{\{(\w+)\}\}"))


ASKED = [*of_rules(), *of_dashboards()]
BY_PLACE = [pytest.param(asked, id=asked.place) for asked in ASKED]


def source(name: str, steps: list[Any], **more: Any) -> dict[str, Any]:
    address = f"127.0.0.1:{free_port()}"
    return {"Redis": {"name": name, "listen_addr": address, **more, "chain": steps}}


def cassandra_cluster(nobody: int) -> dict[str, Any]:
    own = {"host_id": "2dd022d6-2937-4754-89d6-02d2933a8f7a", "data_center": "d", "rack": "r"}
    return {
        "name": "servers",
        "first_contact_points": [f"127.0.0.1:{nobody}"],
        "local_shotover_host_id": own["host_id"],
        "shotover_nodes": [{"address": "127.0.0.1:9042", **own}],
    }


def topology(listen_port: int, upstream_port: int, **_more: Any) -> dict[str, Any]:
    """Every kind of server, and what limits and counts; those that are no cluster, or not there, count as well."""
    server = f"127.0.0.1:{upstream_port}"
    sink = {"RedisSinkSingle": {"name": "server", "remote_address": server}}
    private = {"RedisSinkSingle": {"name": "private", "remote_address": server}}
    narrow = {"name": "narrow", "class": ["write"], "rate": 0.2, "burst": 1}
    limits = [
        {"QueryCounter": {"name": "all"}},
        {"QueryTypeFilter": {"name": "filter", "DenyList": ["SchemaChange"]}},
        {"AdaptiveConcurrency": {"name": "adaptive"}},
        {"RequestThrottling": {"name": "throttle", "limits": [narrow]}},
    ]
    cluster = {"name": "nodes", "first_contact_points": [server]}
    sentinel = {"name": "sentinels", "sentinels": [server], "master_name": "m"}
    shards = {"name": "shards", "servers": [f"{server}:1 first"]}
    made = usual()
    to_tls = {"name": "onward", "remote_address": server, "tls": made.sink(**made.client.fields())}
    ring: dict[str, Any] = {"name": "ring", "listen_addr": f"127.0.0.1:{free_port()}"}
    ring["chain"] = [{"CassandraSinkCluster": cassandra_cluster(free_port())}]
    first = source("cache", [*limits, sink], connection_limit=100)
    first["Redis"]["listen_addr"] = f"127.0.0.1:{listen_port}"
    return {
        "sources": [
            first,
            source("closed", [private], tls=made.source()),
            source("cluster", [{"RedisSinkCluster": cluster}]),
            source("sentinel", [{"RedisSinkSentinel": sentinel}]),
            source("shards", [{"RedisSinkShards": shards}]),
            source("onward", [{"RedisSinkSingle": to_tls}]),
            {"Cassandra": ring},
        ]
    }


@pytest.fixture(scope="module")
def at_work() -> Iterator[Proxy]:
    """A proxy that has done a bit of everything."""
    server = Server("redis")
    proxy = Proxy(server.port, topology=topology, config={"memory_limit": "256MiB"})
    proxy.allow_log("")  # what is no cluster and no sentinel is complained of
    try:
        with proxy.raw() as client:
            asked = [client.command("SET", "key", number) for number in range(5)]
            assert any(reply.startswith(b"-") for reply in asked), "the throttle refuses none"
        shake_hands(proxy)
        yield proxy
    finally:
        proxy.stop()
        server.stop()


@pytest.fixture(scope="module")
def labels(at_work: Proxy) -> dict[str, set[str]]:
    """Each name that the page has, with the labels that it carries somewhere."""
    page = at_work.http("/metrics")
    found: dict[str, set[str]] = {UP: set(), **{name: set() for name in WHEN_WRONG & set(FAMILIES)}}
    for line in page.splitlines():
        if match := SAMPLE.match(line):
            carried = set(re.findall(r'(\w+)="', match["labels"] or ""))
            found.setdefault(match["name"], set()).update(carried)
    return found


def shake_hands(proxy: Proxy) -> None:
    """A client of the source with TLS, which is answered."""
    tree = yaml.safe_load((proxy.directory / "topology.yaml").read_text())
    port = int(tree["sources"][1]["Redis"]["listen_addr"].partition(":")[2])
    authority = str(usual().authority.certificate)
    with redis.Redis(port=port, ssl=True, ssl_ca_certs=authority, protocol=2) as client:
        assert client.ping()


def nodes(query: str) -> list[Any]:
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), found.append)
    return found


def result_labels(query: str, known: dict[str, set[str]]) -> set[str]:
    """Labels that the result may have: what is summed by, or all that its series have."""
    for node in nodes(query):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            return set(node.modifier.labels)
    return {label for node in nodes(query) for label in carried_by(node, known)}


def carried_by(node: Any, known: dict[str, set[str]]) -> set[str]:
    if not isinstance(node, promql_parser.VectorSelector):
        return set()
    if node.name in RECORDED:
        return result_labels(RECORDED[node.name], known)
    return known[node.name] | OF_PROMETHEUS


@pytest.mark.parametrize("asked", BY_PLACE)
def test_what_is_asked_for_is_there(asked: Asked, labels: dict[str, set[str]]) -> None:
    parts = nodes(asked.query)
    selectors = [part for part in parts if isinstance(part, promql_parser.VectorSelector)]
    assert selectors
    for part in selectors:
        assert part.name in labels or part.name in RECORDED, f"nothing is called {part.name}"
        asked_for = {matcher.name for matcher in part.matchers.matchers}
        assert asked_for <= carried_by(part, labels), f"{part.name} has no {asked_for}"
    reachable = {label for part in selectors for label in carried_by(part, labels)}
    for part in parts:
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            assert set(part.modifier.labels) <= reachable, part.prettify()
    assert asked.named <= result_labels(asked.query, labels), f"{asked.named} is not in the result"


def test_the_check_would_notice(labels: dict[str, set[str]]) -> None:
    for query in (
        "rate(shotover_request_count[5m])",
        'shotover_requests_count{chain="a"}',
        "sum by (sink) (shotover_requests_count)",
    ):
        with pytest.raises(AssertionError):
            test_what_is_asked_for_is_there(Asked("", query, frozenset()), labels)
    with pytest.raises(AssertionError):
        named = frozenset({"chain"})
        query = "sum by (source) (shotover_requests_count)"
        test_what_is_asked_for_is_there(Asked("", query, named), labels)


def test_dashboards_are_as_their_tool_writes_them() -> None:
    for name in dashboards.DASHBOARDS:
        assert (FOLDER / f"{name}.json").read_text() == dashboards.dashboard(name), (
            "python tools/dashboards.py writes them"
        )


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    """No two in one place, none over the edge, and each with a number of its own."""
    panels = json.loads((FOLDER / f"{name}.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= dashboards.COLUMNS
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_prometheus_takes_the_rules_and_finds_in_them_what_is_meant() -> None:
    """Its own tool loads both files, and evaluates alerts over made-up series: tests/observability/alerts.yaml."""
    for command in (
        ["check", "config", str(FOLDER / "prometheus.yaml")],
        ["test", "rules", str(ROOT / "tests/observability/alerts.yaml")],
    ):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES:
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            assert rule["annotations"]["summary"] and rule["annotations"]["description"]


class Prometheus:
    """One that scrapes `proxy` twice a second, with our rules."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1"
        settings = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
        settings["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        settings["rule_files"] = [str(FOLDER / "rules.yaml")]
        job = settings["scrape_configs"][0]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{proxy.metrics_port}"]}]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
        command = ["prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=data"]
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"],
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    def get(self, path: str, **parameters: str) -> Any:
        """The data of its answer; None while it does not answer."""
        address = f"{self.url}/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code != 503:  # it has not begun yet
                raise
            return None
        except OSError:
            return None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.mark.timeout(120)
def test_prometheus_itself_answers_each_query(at_work: Proxy, tmp_path: Path) -> None:
    """It scrapes the proxy, evaluates the rules without an error, and has something to show in every panel."""
    prometheus = Prometheus(at_work, tmp_path)
    try:
        wait_until(lambda: prometheus.get("query", query="up == 1"), "it answers", deadline_s=60)

        def unanswered() -> list[str]:
            with at_work.raw() as client:
                client.command("PING")
            answers = {
                asked.place: prometheus.get("query", query=as_scraped(asked.query))
                for asked in of_dashboards()
            }
            return [place for place, data in answers.items() if not (data and data["result"])]

        wait_until_equal(unanswered, [], "panels with nothing to show", deadline_s=60)

        def health() -> set[str]:
            found = prometheus.get("rules") or {"groups": []}
            return {rule["health"] for group in found["groups"] for rule in group["rules"]}

        wait_until_equal(health, {"ok"}, "the health of the rules", deadline_s=30)
    finally:
        prometheus.stop()


def as_scraped(query: str) -> str:
    """For a Prometheus that has just begun, and names instances by their address."""
    return query.replace("[5m]", "[20s]").replace('instance=~"a"', 'instance=~".*"')
