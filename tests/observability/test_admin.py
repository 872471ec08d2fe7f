"""The observability endpoint and the Tee's switch, asked over real sockets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shotover.observability import log
from shotover.observability.admin import Access, AdminApp, TeeSwitch, upstream_problems
from shotover.observability.httpwire import Request, Response
from shotover.observability.metrics import SERIES_MAX
from tests.observability.conftest import PipeLog
from tests.observability.exposition import parse
from tests.observability.test_http import Running


class Client:
    """One request a call, each on a connection of its own."""

    def __init__(self, handler: Callable[[Request], Response]) -> None:
        self.running = Running(handler, "127.0.0.1:0")

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        client = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=10)
        client.request(method, path, body, headers)
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}


class Stage:
    """What the supervisor would know."""

    def __init__(self) -> None:
        self.samples: list[list[Any]] = [
            [("shotover_requests_count", {"source": "r"}, "counter", 3)]
        ] * 2
        self.problems: list[str] = []
        self.topology: object = {"sources": [{"Redis": {"password": "hunter2", "port": 1}}]}
        self.client: Client

    def start(self, **options: Any) -> Client:
        app = AdminApp(
            lambda: self.samples, lambda: self.problems, lambda: self.topology, **options
        )
        self.client = Client(app)
        return self.client


@pytest.fixture
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.client.running.stop()


def test_metrics_are_summed_and_have_the_right_content_type(stage: Stage) -> None:
    status, page, headers = stage.start().ask("GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    name = "shotover_requests_count"
    assert parse(page.encode())[name].value(name, source="r") == 6


def test_old_names_are_exported_on_request_only(stage: Stage) -> None:
    stage.samples = [[("shotover_query_count", {"name": "n"}, "counter", 1)]]
    page = stage.start(old_names=True).ask("GET", "/metrics")[1]
    assert set(parse(page.encode())) == {"shotover_query_count", "query_count"}
    stage.client.running.stop()
    page = stage.start().ask("GET", "/metrics")[1]
    assert set(parse(page.encode())) == {"shotover_query_count"}


def test_a_page_of_many_series_arrives_whole(stage: Stage) -> None:
    stage.samples = [[(f"m{n % 10}", {"l": f"{n}"}, "counter", n) for n in range(SERIES_MAX * 10)]]
    page = stage.start().ask("GET", "/metrics")[1]
    assert sum(len(family.samples) for family in parse(page.encode()).values()) == SERIES_MAX * 10


def test_health_is_about_the_process_and_readiness_about_its_servers(stage: Stage) -> None:
    client = stage.start()
    assert client.ask("GET", "/healthz")[:2] == (200, "ok\n")
    assert client.ask("GET", "/readyz")[:2] == (200, "ready\n")
    stage.problems = ["chain redis: RedisSinkSingle reaches no server", "draining"]
    assert client.ask("GET", "/healthz")[0] == 200
    assert client.ask("GET", "/readyz")[:2] == (
        503,
        "not ready\n- chain redis: RedisSinkSingle reaches no server\n- draining\n",
    )


def test_the_topology_is_json_without_secrets(stage: Stage) -> None:
    status, text, headers = stage.start().ask("GET", "/topology")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(text) == {"sources": [{"Redis": {"password": "[redacted]", "port": 1}}]}
    assert stage.topology == {"sources": [{"Redis": {"password": "hunter2", "port": 1}}]}


def test_the_filter_is_shown_replaced_and_kept_when_the_new_one_is_bad(
    stage: Stage, pipe_log: PipeLog
) -> None:
    client = stage.start()
    logger = log.get("shotover::sinks")
    assert client.ask("GET", "/filter")[:2] == (200, "info\n")
    assert client.ask("PUT", "/filter", " info, shotover::sinks=debug\n")[:2] == (
        200,
        "Filter set\n",
    )
    logger.debug("now seen")
    assert client.ask("GET", "/filter")[1] == "info, shotover::sinks=debug\n"
    status, text, _ = client.ask("PUT", "/filter", "info,loud")
    assert (status, text.startswith("bad log directive 'loud': expected a level (off, ")) == (
        400,
        True,
    )
    assert client.ask("PUT", "/filter", b"\xff")[:2] == (400, "the filter is not UTF-8\n")
    assert client.ask("PUT", "/filter", "x" * 5000)[0] == 400
    assert client.ask("GET", "/filter")[1] == "info, shotover::sinks=debug\n"
    first, second = pipe_log.lines()
    assert "log filter changed before=info" in first and "peer=127.0.0.1" in first
    assert second.endswith("DEBUG shotover::sinks: now seen")


def test_changing_the_filter_over_and_over_does_not_grow_the_log(
    stage: Stage, pipe_log: PipeLog
) -> None:
    client = stage.start()
    for number in range(100):
        client.ask("PUT", "/filter", f"info,a::b={number % 6}")
    assert len(pipe_log.lines()) < 30


def test_web_pages_may_not_change_the_filter(stage: Stage, pipe_log: PipeLog) -> None:
    status, text, _ = stage.start().ask("PUT", "/filter", "off", Origin="http://evil.example")
    assert (status, text) == (403, "web pages may not change anything here\n")
    assert log.filter_text() == "info"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("HEAD", "/metrics", 200), ("GET", "/nothing", 404),
        ("GET", "/metrics/", 404), ("POST", "/metrics", 405), ("POST", "/filter", 405),
        ("DELETE", "/filter", 405),
        ("OPTIONS", "/filter", 405), ("PUT", "/healthz", 405),
    ],
)  # fmt: skip
def test_other_paths_and_methods(stage: Stage, method: str, path: str, status: int) -> None:
    answer = stage.start().ask(method, path)
    assert answer[0] == status
    if status == 404 or path == "/":
        assert all(page in answer[1] for page in ("/metrics", "/healthz", "/readyz", "/filter"))
    if status == 405:
        assert answer[2]["allow"] == ("GET, PUT, HEAD" if path == "/filter" else "GET, HEAD")


def test_a_token_guards_all_but_the_health_pages(stage: Stage) -> None:
    client = stage.start(access=Access("sésame"))
    right = "Bearer sésame".encode().decode("latin-1")
    for path in ("/metrics", "/topology", "/filter", "/", "/nothing"):
        status, _, headers = client.ask("GET", path)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert client.ask("GET", path, Authorization="Bearer sesame")[0] == 401
        assert client.ask("GET", path, Authorization=right.replace("Bearer", "Basic"))[0] == 401
        assert client.ask("GET", path, Authorization=right)[0] in (200, 404)
    assert client.ask("PUT", "/filter", "off")[0] == 401
    assert [client.ask("GET", path)[0] for path in ("/healthz", "/readyz")] == [200, 200]


def test_a_token_may_be_for_changes_alone(stage: Stage, pipe_log: PipeLog) -> None:
    client = stage.start(access=Access("sesame", everything=False))
    assert client.ask("GET", "/metrics")[0] == client.ask("GET", "/topology")[0] == 200
    for wrong in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer sesam"}):
        assert client.ask("PUT", "/filter", "debug", **wrong)[0] == 401
    assert log.filter_text() == "info"
    assert client.ask("PUT", "/filter", "warn,a=info", Authorization="bearer sesame")[0] == 200
    assert log.filter_text() == "warn,a=info"
    lines = pipe_log.lines()
    assert any("a request with a wrong token was refused" in line for line in lines)
    assert not any("sesam" in line for line in lines)


def asked(access: Access, method: str, path: str, peer: str = "127.0.0.1", **headers: str) -> int:
    """The status of a request that came from `peer`."""
    app = AdminApp(lambda: [], lambda: [], lambda: {}, access=access)
    named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, path, {"host": "127.0.0.1:9001", **named}, True)
    request.peer, request.body = peer, b"info"
    return app(request).status


@pytest.mark.parametrize("access", [Access(), Access(local=False), Access("t"), Access("t", False)])
def test_no_page_of_the_web_changes_anything(access: Access) -> None:
    right = {"authorization": "Bearer t"}
    assert asked(access, "PUT", "/filter", **right) == 200
    for sign in (
        {"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "same-site"},
    ):  # fmt: skip
        assert asked(access, "PUT", "/filter", **right, **sign) == 403
        assert asked(access, "POST", "/filter", **right, **sign) == 403
    assert asked(access, "PUT", "/filter", **right, sec_fetch_site="none") == 200


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:9001", True), ("127.0.0.1", True), ("localhost:9001", True), ("LOCALHOST.", True),
        ("[::1]:9001", True), ("10.0.0.1:80", True), ("evil.example:9001", False), ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False), ("x", False), ("127.0.0.1@evil.example", False),
    ],
)  # fmt: skip
def test_a_name_that_leads_here_is_not_enough(host: str, known: bool) -> None:
    expected = 200 if known else 403
    assert asked(Access(), "PUT", "/filter", host=host) == expected
    assert asked(Access(local=False), "PUT", "/filter", host=host) == expected
    assert asked(Access(), "GET", "/topology", host=host) == expected
    assert asked(Access(), "GET", "/metrics", host=host) == expected
    assert asked(Access(local=False), "GET", "/metrics", host=host) == 200, "scraped by name"
    assert asked(Access(), "GET", "/healthz", host=host) == 200
    assert asked(Access("t"), "PUT", "/filter", host=host, authorization="Bearer t") == 200


@pytest.mark.parametrize(
    ("peer", "own"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.9", False),
        ("::ffff:10.0.0.9", False), ("fe80::1", False), ("1127.0.0.1", False), ("", False),
    ],
)  # fmt: skip
def test_without_a_token_only_this_machine_may_change_something(peer: str, own: bool) -> None:
    access = Access(local=False)
    assert asked(access, "GET", "/metrics", peer) == 200
    assert asked(access, "PUT", "/filter", peer) == (200 if own else 403)
    assert asked(Access("t", local=False), "PUT", "/filter", peer, authorization="Bearer t") == 200


def test_a_failing_sample_source_is_a_500_and_the_rest_goes_on(stage: Stage) -> None:
    client = stage.start()
    stage.samples = None  # type: ignore[assignment]
    assert client.ask("GET", "/metrics")[0] == 500
    assert client.ask("GET", "/healthz")[0] == 200


def test_readiness_out_of_the_workers_samples() -> None:
    def up(transform: str, value: int) -> tuple[str, dict[str, str], str, int]:
        return ("shotover_upstream_up", {"chain": "c", "transform": transform}, "gauge", value)

    assert (
        upstream_problems([[up("A", 1)], [up("A", 1), ("shotover_draining", {}, "gauge", 0)]]) == []
    )
    assert upstream_problems([[up("A", 1), up("B", 0)], [up("A", 0), up("B", 0)]]) == [
        "chain c: B reaches no server",
        "chain c: A reaches no server",
    ]
    assert upstream_problems([[("shotover_draining", {}, "gauge", 1)]]) == ["draining"]
    connects = ("shotover_upstream_connects_count", {"chain": "c", "transform": "A"}, "counter")
    assert upstream_problems([[up("A", 1), (*connects, 0)], [up("A", 1), (*connects, 2)]]) == [
        "chain c: A has not tried its server yet"
    ]


class Tee:
    """Holds the switch as the transform would."""

    def __init__(self) -> None:
        self.tee_answers = False

    def set(self, tee_answers: bool) -> None:
        self.tee_answers = tee_answers


@pytest.fixture
def tee() -> Iterator[tuple[Tee, Client]]:
    found = Tee()
    client = Client(TeeSwitch(lambda: found.tee_answers, found.set, "127.0.0.1:1234"))
    yield found, client
    client.running.stop()


PATH = "/transform/tee/result-source"


def test_the_tees_switch_shows_and_changes_who_answers(tee: tuple[Tee, Client]) -> None:
    held, client = tee
    assert client.ask("GET", PATH)[:2] == (200, "regular-chain")
    assert client.ask("PUT", PATH, "tee-chain")[:2] == (200, "")
    assert held.tee_answers and client.ask("GET", PATH)[1] == "tee-chain"
    assert client.ask("PUT", PATH, "regular-chain\n")[0] == 200
    assert not held.tee_answers


@pytest.mark.parametrize("body", ["", "tee", "TEE-CHAIN", "\0", "x" * 60_000])
def test_other_values_for_the_tees_switch_change_nothing(
    tee: tuple[Tee, Client], body: str
) -> None:
    held, client = tee
    held.set(True)
    status, text, _ = client.ask("PUT", PATH, body)
    assert status == 400 and text.startswith("expected regular-chain or tee-chain, got ")
    assert len(text) < 200 and held.tee_answers


def test_the_tees_switch_hints_at_its_use(tee: tuple[Tee, Client]) -> None:
    client = tee[1]
    assert f"curl -X PUT -d tee-chain http://127.0.0.1:1234{PATH}" in client.ask("GET", "/")[1]
    assert client.ask("GET", "/metrics")[0] == 404
    assert client.ask("POST", PATH, "tee-chain")[0] == 405
