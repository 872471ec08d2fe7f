"""What /metrics says of real traffic: every name, with its labels, moves when it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.chaos import UP, Link
from support.proxy import Proxy
from support.resp import RawClient, encode
from support.servers import Server
from support.wait import wait_until, wait_until_equal

CHAIN = [{"QueryCounter": {"name": "counted"}}]
SINK = {"chain": "redis", "transform": "RedisSinkSingle", "name": "sink"}
COUNTER = {"chain": "redis", "transform": "QueryCounter", "name": "counted"}

# name (of a histogram: its count) -> labels of one series; all of them move with the requests below
MOVED: dict[str, dict[str, str]] = {
    "shotover_transform_total_count": COUNTER,
    "shotover_transform_latency_seconds_count": COUNTER,
    "shotover_chain_total_count": {"chain": "redis"},
    "shotover_chain_latency_seconds_count": {"chain": "redis"},
    "shotover_chain_requests_batch_size_count": {"chain": "redis"},
    "shotover_chain_responses_batch_size_count": {"chain": "redis"},
    "connections_opened": {"source": "redis"},
    "shotover_available_connections_count": {"source": "redis"},
    "shotover_source_to_sink_latency_seconds_count": {"sink": "RedisSinkSingle"},
    "shotover_sink_to_source_latency_seconds_count": {"source": "redis"},
    "shotover_failed_requests_count": SINK,
    "shotover_query_count": {"name": "counted", "query": "SET", "type": "redis"},
    "shotover_requests_count": {"source": "redis"},
    "shotover_replies_count": {"source": "redis"},
    "shotover_client_bytes_received_count": {"source": "redis"},
    "shotover_client_bytes_sent_count": {"source": "redis"},
    "shotover_upstream_bytes_received_count": SINK,
    "shotover_upstream_bytes_sent_count": SINK,
    "shotover_upstream_connects_count": SINK,
    "shotover_upstream_connections": SINK,
    "shotover_upstream_wait_seconds_count": SINK,
    "shotover_transform_pushed_total": SINK,
    "shotover_leases_count": SINK | {"reason": "multi"},
    "shotover_pinned_sessions_count": SINK,
}
# there from the start, and still 0 after traffic that goes well
STILL: dict[str, dict[str, str]] = {
    "shotover_transform_failures_count": COUNTER,
    "shotover_chain_failures_count": {"chain": "redis"},
    "shotover_connections_accept_failures_count": {"source": "redis"},
    "shotover_listener_create_failures_count": {"source": "redis"},
    "shotover_upstream_retries_count": SINK,
    "shotover_upstream_lost_count": SINK,
    "shotover_upstream_timeouts_count": SINK,
    "shotover_upstream_garbage_count": SINK,
    "shotover_upstream_connect_failures_count": SINK,
    "shotover_protocol_errors_count": {"source": "redis"},
}
OLD = {
    "shotover_transform_total": COUNTER,
    "shotover_transform_failures": COUNTER,
    "shotover_transform_latency_count": COUNTER,
    "shotover_chain_total": {"chain": "redis"},
    "shotover_chain_failures": {"chain": "redis"},
    "shotover_chain_latency_count": {"chain": "redis"},
    "shotover_available_connections": {"source": "redis"},
    "failed_requests": SINK,
    "query_count": {"name": "counted", "query": "SET", "type": "redis"},
}


def traffic(proxy: Proxy) -> None:
    with proxy.raw() as raw, proxy.raw() as listener:
        for number in range(100):
            raw.command("SET", "a", number)
        raw.command("LPUSH", "a", "x")  # an error reply
        raw.send(encode("MULTI") + encode("GET", "a") + encode("EXEC"))
        raw.frames(3)
        raw.command("CLIENT", "ID")
        listener.command("SUBSCRIBE", "news")
        raw.command("PUBLISH", "news", "rain")
        listener.frame()
    wait_until_equal(proxy.sessions, 0.0, "the clients have gone")


def series(proxy: Proxy, name: str, labels: dict[str, str]) -> float:
    return proxy.metrics()[name, tuple(sorted(labels.items()))]


def test_every_name_is_there_with_its_labels_and_counts(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_proxy(start_server().port, chain=CHAIN)
    traffic(proxy)
    metrics = proxy.metrics()
    for names, moved in ((MOVED, True), (STILL, False)):
        for name, labels in names.items():
            value = metrics[name, tuple(sorted(labels.items()))]
            assert (value > 0) == moved, (name, value)
    kinds = {name: labels for name, labels in metrics if name == "shotover_leases_count"}
    assert kinds


def test_bytes_are_those_of_the_wire(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_proxy(start_server().port)
    value = "x" * 100_000
    request, reply = encode("SET", "a", value), b"+OK\r\n"
    with proxy.raw() as raw:
        raw.send(request)
        raw.frame()
        raw.command("GET", "a")
    asked = len(request) + len(encode("GET", "a"))
    answered = len(reply) + len(value) + len("$100000\r\n\r\n")
    for name, size in (
        ("shotover_client_bytes_received_count", asked),
        ("shotover_client_bytes_sent_count", answered),
        ("shotover_upstream_bytes_sent_count", asked),
        ("shotover_upstream_bytes_received_count", answered),
    ):
        wait_until_equal(lambda name=name: proxy.metric(name), float(size), name)


def test_batches_are_counted_by_their_size(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_proxy(start_server().port, chain=CHAIN)
    with proxy.raw() as raw:
        raw.send(encode("SET", "a", "1") * 64)
        raw.frames(64)
        raw.command("PING")
    assert proxy.metric("shotover_chain_requests_batch_size_sum") == 65
    assert 2 <= proxy.metric("shotover_chain_requests_batch_size_count") <= 65
    wait_until_equal(
        lambda: proxy.metric("shotover_chain_responses_batch_size_sum"), 65.0, "replies are counted"
    )


def test_a_transform_s_time_is_its_own(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy], tmp_path: Any
) -> None:
    """A slow Python transform does not make the compiled one above it look slow."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "from shotover import Transform\n"
        "from time import monotonic\n"
        "class Slow(Transform):\n"
        "    def on_request(self, request):\n"
        "        end = monotonic() + 0.002\n"
        "        while monotonic() < end:\n"
        "            pass\n"
    )
    chain = [*CHAIN, {"Python": {"name": "slow", "path": str(slow), "class": "Slow"}}]
    proxy = start_proxy(start_server().port, chain=chain)
    with proxy.raw() as raw:
        for _ in range(100):
            raw.command("PING")

    def mean(name: str) -> float:
        of = {"chain": "redis", "name": name}
        total = proxy.metric("shotover_transform_latency_seconds_sum", **of)
        return total / proxy.metric("shotover_transform_latency_seconds_count", **of)

    assert proxy.metric("shotover_transform_latency_seconds_count", name="slow") == 4  # 1 in 32
    assert mean("slow") >= 0.002
    assert mean("counted") < 0.001
    assert mean("sink") < 0.001


@pytest.mark.parametrize(
    ("fields", "sent", "limit"),
    [
        ({"max_frame_bytes": 1024}, encode("MSET", *["x" * 1000] * 4), "request"),
        ({"max_arguments": 10}, b"*11\r\n", "request"),
        ({"max_pending_requests": 2}, encode("PING") * 3, "pending"),
    ],
)
def test_limits_of_the_source_are_counted(
    start_server: Callable[..., Server],
    start_proxy: Callable[..., Proxy],
    fields: dict[str, Any],
    sent: bytes,
    limit: str,
) -> None:
    proxy = start_proxy(start_server().port, source=fields)
    with proxy.raw() as raw:
        raw.send(sent)
        raw.frame()
    assert proxy.metric("shotover_limits_hit_count", source="redis", limit=limit) == 1


def test_limits_of_the_sink_are_counted(
    start_server: Callable[..., Server],
    start_link: Callable[[int], Link],
    start_proxy: Callable[..., Proxy],
) -> None:
    server = start_server()
    link = start_link(server.port)
    proxy = start_proxy(link.port, sink={"max_pending_requests": 2, "max_leases": 1})
    proxy.allow_log("upstream")
    raws = [RawClient(proxy.port) for _ in range(4)]
    raws[0].command("MULTI")
    assert b"max_leases" in raws[1].command("MULTI")
    assert proxy.metric("shotover_limits_hit_count", name="sink", limit="max_leases") == 1
    link.stall(UP)
    for raw in raws[1:]:
        raw.send(encode("PING"))
        sent = "it waits for the server, or was refused"
        over = proxy.metric("shotover_requests_count")
        wait_until(lambda over=over: proxy.metric("shotover_requests_count") >= over, sent)
    wait_until_equal(
        lambda: proxy.metric(
            "shotover_limits_hit_count", name="sink", limit="max_pending_requests"
        ),
        1.0,
        "the third is refused",
    )
    link.resume()
    frames = [raw.frame() for raw in raws[1:]]
    assert frames.count(b"+PONG\r\n") == 2
    for raw in raws:
        raw.close()


def test_older_names_stand_beside_the_new_ones_when_asked_for(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    plain = start_proxy(start_server().port, chain=CHAIN)
    traffic(plain)
    names = {name for name, _ in plain.metrics()}
    assert not names & set(OLD)
    both = start_proxy(start_server().port, chain=CHAIN, config={"old_metric_names": True})
    traffic(both)
    metrics = both.metrics()
    for name, labels in OLD.items():
        assert (name, tuple(sorted(labels.items()))) in metrics, name
    assert set(MOVED) <= {name for name, _ in metrics}
