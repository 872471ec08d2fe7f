"""A running process gets another configuration: who meets what, and what is never lost."""

from __future__ import annotations

import copy
import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import redis
import yaml
from support.servers import Server
from support.wait import free_port, wait_until, wait_until_equal

from live.conftest import NO_WRITES, Running, source_of, with_step

Start = Callable[..., Running]
REFUSED = "filtered out by shotover"
GUEST = """
from shotover import Transform


class T(Transform):
    def on_request(self, request):
        return None
"""


def test_new_clients_meet_the_new_chain_and_others_stay_with_theirs(proxy_with: Start) -> None:
    proxy = proxy_with()
    with proxy.client() as old, proxy.client() as new:
        assert old.set("a", 1)
        before = proxy.descriptor_count()
        answer = proxy.apply(with_step(proxy.topology, NO_WRITES))
        assert (answer.status, answer.etag, proxy.generation()) == (200, '"2"', 2)
        (change,) = answer.tree["changes"]
        assert (change["change"], change["connections"]) == ("replace", 1)
        assert old.set("a", 2), "it is served as before"
        assert new.get("a") == b"2"
        with pytest.raises(redis.ResponseError, match=REFUSED):
            new.set("a", 3)
        assert proxy.earlier() == 1
        old.connection_pool.disconnect()
        wait_until_equal(proxy.earlier, 0, "nobody is served as before")
        new.connection_pool.disconnect()
        # the chain that nobody uses any more has let go of its connection to the server
        wait_until(lambda: proxy.descriptor_count() <= before, "descriptors are given back")


def test_counts_do_not_go_back_when_a_chain_ends(proxy_with: Start) -> None:
    proxy = proxy_with()
    with proxy.client() as client:
        for _ in range(10):
            client.ping()
    count = proxy.metric("shotover_requests_count", source="redis")
    assert count >= 10
    proxy.apply(with_step(proxy.topology, NO_WRITES))
    wait_until_equal(proxy.earlier, 0, "nobody is served as before")
    with proxy.client() as client:
        client.ping()
    wait_until_equal(
        lambda: proxy.metric("shotover_requests_count", source="redis") > count,
        True,
        "it counts on",
    )
    assert proxy.metric("shotover_chain_latency_seconds_count", chain="redis") >= count


def test_what_is_the_same_changes_nothing(proxy_with: Start) -> None:
    proxy = proxy_with()
    written_out = copy.deepcopy(proxy.topology)
    source_of(written_out)["connection_limit"] = 512  # the default, spelled out
    for topology in (proxy.topology, written_out):
        answer = proxy.apply(topology)
        assert (answer.tree["changes"], proxy.generation()) == ([], 1)


def test_a_wrong_document_changes_nothing_and_says_where(proxy_with: Start) -> None:
    proxy = proxy_with()
    text = yaml.safe_dump(proxy.topology).replace(
        "connect_timeout_ms: 3000", "connect_timeout_ms: soon"
    )
    answer = proxy.ask("PUT", "/config", text)
    line = text.splitlines().index(next(x for x in text.splitlines() if "soon" in x)) + 1
    assert answer.status == 422
    assert answer.text.startswith(
        f"<body>:{line}: sources[0].chain[0].RedisSinkSingle.connect_timeout_ms: expected "
    ), answer
    assert answer.text.count("\n") == 1 and "soon" in answer.text
    answer = proxy.ask("PUT", "/config", "sources: [")
    assert (answer.status, answer.text[:7]) == (422, "<body>:")
    assert proxy.generation() == 1
    with proxy.client() as client:
        assert client.ping()


def test_sources_come_and_go(proxy_with: Start) -> None:
    proxy = proxy_with()
    both = proxy.topology
    second = copy.deepcopy(both["sources"][0])
    port = free_port()
    second["Redis"] |= {"name": "second", "listen_addr": f"127.0.0.1:{port}"}
    second["Redis"]["chain"][0]["RedisSinkSingle"]["name"] = "sink-2"
    both["sources"].append(second)
    with proxy.client() as client:
        client.ping()
    before = proxy.descriptor_count()
    changes = proxy.apply(both).tree["changes"]
    assert [(c["change"], c["what"]) for c in changes] == [("add", "source second")]
    client = redis.Redis(port=port)
    assert client.set("b", 1)
    with proxy.client() as first:
        assert first.get("b") == b"1"
        (change,) = proxy.ask("DELETE", "/config/sources/second").tree["changes"]
        assert (change["change"], change["connections"]) == ("remove", 1)
        wait_until_equal(proxy.earlier, 0, "its client has been disconnected")
        with pytest.raises(redis.ConnectionError):
            redis.Redis(port=port).ping()
        assert first.ping(), "others notice nothing"
    client.close()
    wait_until(lambda: proxy.descriptor_count() <= before, "descriptors are given back")


def test_a_port_that_is_taken_changes_nothing(proxy_with: Start) -> None:
    proxy = proxy_with()
    topology = proxy.topology
    source_of(topology)["listen_addr"] = f"127.0.0.1:{proxy.metrics_port}"
    answer = proxy.apply(topology)
    assert answer.status == 422
    assert "address already in use" in answer.text and "sources[0].listen_addr" in answer.text
    assert proxy.generation() == 1
    with proxy.client() as client:
        assert client.ping()
    wait_until_equal(proxy.earlier, 0, "nothing is left of what was prepared")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_built_for_nothing_is_let_go(proxy_with: Start, workers: int) -> None:
    """The end of a chain cannot be had when steps before it wait for words and time already, and connect."""
    proxy = proxy_with(arguments=["--core-threads", str(workers)])
    with proxy.client() as client:
        client.ping()
    before = proxy.descriptor_count()
    contact = f"127.0.0.1:{proxy.port}"
    dead = {"RedisSinkSingle": {"remote_address": "there-is-no-such-host.invalid:1"}}
    (proxy.directory / "guest.py").write_text(GUEST)
    fronts = [
        {"Python": {"path": "guest.py", "class": "T"}},
        {
            "Tee": {
                "behavior": "Ignore",
                "chain": [{"RedisSinkCluster": {"first_contact_points": [contact]}}],
            }
        },
    ]
    for front in ([fronts[0]], [fronts[1]], fronts):
        topology = proxy.topology
        source_of(topology)["chain"] = [*front, dead]
        for _ in range(3):
            answer = proxy.apply(topology)
            assert answer.status == 422 and "there-is-no-such-host.invalid" in answer.text, answer
        assert proxy.ask("GET", "/readyz").status in (200, 503)  # it wakes the workers
    assert proxy.generation() == 1
    with proxy.client() as client:
        assert client.ping()
    assert proxy.apply(with_step(proxy.topology, NO_WRITES)).status == 200
    assert proxy.apply(proxy.topology).status == 200
    wait_until_equal(proxy.earlier, 0, "nobody is served as before")
    wait_until(lambda: proxy.descriptor_count() <= before, "descriptors are given back")


def test_a_source_moves_to_another_address(proxy_with: Start) -> None:
    proxy = proxy_with()
    topology = proxy.topology
    port = free_port()
    source_of(topology)["listen_addr"] = f"127.0.0.1:{port}"
    with proxy.client() as old:
        old.ping()
        kinds = [change["change"] for change in proxy.apply(topology).tree["changes"]]
        assert sorted(kinds) == ["add", "remove"]
        assert redis.Redis(port=port).ping()
        wait_until_equal(proxy.earlier, 0, "its clients were disconnected")
    with pytest.raises(redis.ConnectionError):
        proxy.client().ping()


def test_a_source_gets_another_name(proxy_with: Start) -> None:
    """Who has its address is the same source: its listener stays open, its clients connected."""
    proxy = proxy_with()
    topology = proxy.topology
    source_of(topology)["name"] = "cache"
    with proxy.client() as old:
        old.ping()
        (change,) = proxy.apply(topology).tree["changes"]
        assert (change["change"], change["what"]) == ("replace", "source cache")
        assert old.ping()
        with proxy.client() as new:
            assert new.ping()
    assert proxy.metric("connections_opened", source="cache") == 1


@pytest.mark.measures
@pytest.mark.parametrize("workers", [1, 2])
def test_many_changes_under_load_cost_nobody_anything(proxy_with: Start, workers: int) -> None:
    """Clients that stay, clients that come and go: no error, no closed connection, nothing kept."""
    proxy = proxy_with(arguments=["--core-threads", str(workers)])
    plain = proxy.topology
    other = with_step(plain, {"RequestThrottling": {"max_requests_per_second": 1_000_000}})
    ends = threading.Event()
    failures: list[BaseException] = []
    done = [0, 0]

    def stay() -> None:
        try:
            with redis.Redis(port=proxy.port, retry_on_error=[], retry=None) as client:
                number = client.client_id()
                while not ends.is_set():
                    client.set("k", "v" * 100)
                    assert client.get("k") == b"v" * 100
                    done[0] += 2
                assert client.client_id() == number
        except BaseException as error:
            failures.append(error)

    def come_and_go() -> None:
        try:
            while not ends.is_set():
                with redis.Redis(port=proxy.port, retry=None) as client:
                    client.incr("n")
                    done[1] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (stay, stay, come_and_go, come_and_go)]
    proxy.apply(other)
    proxy.apply(plain)
    for thread in threads:
        thread.start()
    wait_until(lambda: done[1] > 20, "there is load")
    before = proxy.descriptor_count(), proxy.resident_size()
    for turn in range(40):
        assert proxy.apply((other, plain)[turn % 2]).status == 200, turn
        assert not failures, failures
    assert proxy.generation() == 43
    wait_until_equal(lambda: proxy.earlier() <= 2, True, "only those who stay are served as before")
    ends.set()
    for thread in threads:
        thread.join(20)
    assert not failures and min(done) > 40, (failures, done)
    wait_until_equal(proxy.earlier, 0, "nobody is served as before")
    wait_until(lambda: proxy.descriptor_count() <= before[0], "descriptors are given back")
    assert proxy.resident_size() < before[1] + (8 << 20)


def test_sighup_brings_the_file_into_force(proxy_with: Start) -> None:
    proxy = proxy_with()
    proxy._write("topology.yaml", with_step(proxy.topology, NO_WRITES))
    os.kill(proxy.process.pid, signal.SIGHUP)
    wait_until_equal(proxy.generation, 2, "it is in force")
    with proxy.client() as client, pytest.raises(redis.ResponseError, match=REFUSED):
        client.set("a", 1)
    (proxy.directory / "topology.yaml").write_text("sources: 7\n")
    proxy.allow_log("topology.yaml:1: sources: expected", "what it said before stays in force")
    os.kill(proxy.process.pid, signal.SIGHUP)
    wait_until(
        lambda: any("stays in force" in line.text for line in proxy.log_lines()), "it is refused"
    )
    assert proxy.generation() == 2


def test_files_are_followed(proxy_with: Start) -> None:
    proxy = proxy_with(arguments=["--watch"])
    proxy._write("topology.yaml", with_step(proxy.topology, NO_WRITES))
    wait_until_equal(proxy.generation, 2, "it is in force")
    config = yaml.safe_load((proxy.directory / "config.yaml").read_text())
    proxy._write("config.yaml", {**config, "main_log_level": "debug", "old_metric_names": True})
    proxy.allow_log("this setting needs a restart")
    wait_until_equal(proxy.generation, 3, "it is in force")
    assert proxy.http("/filter").strip() == "debug"
    assert any('"setting old_metric_names"' in line.text for line in proxy.log_lines())


def test_a_change_that_makes_requests_fail_is_taken_back(proxy_with: Start) -> None:
    proxy = proxy_with()
    nobody = copy.deepcopy(proxy.topology)
    source_of(nobody)["chain"][0]["RedisSinkSingle"]["remote_address"] = f"127.0.0.1:{free_port()}"
    proxy.allow_log("cannot connect to the upstream", "the configuration is taken back")
    assert proxy.ask("PUT", "/config?rollback_on=errors>5&for=60", nobody).status == 200
    with proxy.client(retry=None) as client:
        for _ in range(20):
            with pytest.raises(redis.RedisError):
                client.ping()
    wait_until_equal(proxy.generation, 3, "what was before is in force again", deadline_s=10)
    with proxy.client() as client:
        assert client.ping()
    assert [g["author"] for g in proxy.ask("GET", "/history").tree["generations"]] == [
        "start",
        "127.0.0.1",
        "rollback_on",
    ]


def test_who_is_served_as_before_can_be_disconnected(proxy_with: Start) -> None:
    proxy = proxy_with()
    with proxy.raw() as blocked, proxy.raw() as idle:
        assert idle.command("PING") == b"+PONG\r\n"
        blocked.send(b"BLPOP nothing 0.3\r\n")
        wait_until_equal(proxy.sessions, 2, "both are connected")
        proxy.apply(with_step(proxy.topology, NO_WRITES))
        assert proxy.ask("POST", "/drain?seconds=20").tree == {"connections": 2}
        assert blocked.rest() == b"*-1\r\n", "its reply comes before the end"
        assert idle.rest() == b""
    wait_until_equal(proxy.earlier, 0, "nobody is served as before")


def test_a_unix_socket_stays(proxy_with: Start, tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    proxy = proxy_with(source={"listen_addr": f"unix:{path}"}, arguments=["--core-threads", "2"])
    old = redis.Redis(unix_socket_path=path)
    assert old.set("a", 1)
    assert proxy.apply(with_step(proxy.topology, NO_WRITES)).status == 200
    new = redis.Redis(unix_socket_path=path)
    assert new.get("a") == b"1" and old.set("a", 2)
    with pytest.raises(redis.ResponseError, match=REFUSED):
        new.set("a", 1)
    old.close()
    new.close()


def test_the_limit_counts_those_who_were_there_before(proxy_with: Start) -> None:
    proxy = proxy_with(source={"connection_limit": 3, "hard_connection_limit": True})
    with proxy.raw() as one, proxy.raw() as two:
        for raw in (one, two):
            raw.command("PING")
        proxy.apply(with_step(proxy.topology, NO_WRITES))
        assert proxy.metric("shotover_available_connections_count", source="redis") == 1
        with proxy.raw() as three:
            three.command("PING")
            wait_until_equal(
                lambda: proxy.metric("shotover_available_connections_count", source="redis"),
                0,
                "there is no room",
            )


def test_the_switch_of_a_tee_is_that_of_what_runs(
    proxy_with: Start, start_server: Callable[..., Server]
) -> None:
    """A Tee with a switch is added, used and removed; its port comes and goes."""
    proxy = proxy_with()
    other = start_server()
    switch = free_port()
    tee = {
        "Tee": {
            "name": "copy",
            "behavior": "Ignore",
            "switch_port": switch,
            "chain": [{"RedisSinkSingle": {"remote_address": f"127.0.0.1:{other.port}"}}],
        }
    }
    topology = with_step(proxy.topology, tee)
    assert proxy.apply(topology).status == 200
    again = with_step(topology, {"RequestThrottling": {"max_requests_per_second": 1_000_000}})
    assert proxy.apply(again).status == 200
    url = f"http://127.0.0.1:{switch}/transform/tee/result-source"
    request = urllib.request.Request(url, b"tee-chain", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    assert urllib.request.urlopen(url).read() == b"tee-chain"
    redis.Redis(port=other.port).set("where", "tee")
    with proxy.client() as client:
        assert client.get("where") == b"tee", "it is the chain that runs that was switched"
    assert proxy.ask("POST", "/rollback?to=1").status == 200
    with pytest.raises(OSError):
        urllib.request.urlopen(url)
