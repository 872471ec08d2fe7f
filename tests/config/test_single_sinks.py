"""What is said of fields of sinks with one server that do not go together."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "proxy_protocol: v2",
            "proxy_protocol: needs connection: per_client, for a shared connection has many clients",
        ),
        (
            "proxy_protocol: v1, connection: shared",
            "proxy_protocol: needs connection: per_client, for a shared connection has many clients",
        ),
        (
            "proxy_protocol: v3, connection: per_client",
            "proxy_protocol: expected one of v1, v2, v2-crc32c, got v3",
        ),
        (
            "breaker_timeouts: 3",
            "breaker_timeouts: needs read_timeout, for without one nothing times out",
        ),
        (
            "breaker_timeouts: 0, read_timeout: 1",
            "breaker_timeouts: expected an integer from 1 to 1000000, got 0",
        ),
    ],
)
def test_what_does_not_go_together(config: Any, fields: str, message: str) -> None:
    [error] = config.errors(f"""\
        sources:
          - Redis:
              listen_addr: 127.0.0.1:6379
              chain:
                - RedisSinkSingle: {{remote_address: "127.0.0.1:1", connect_timeout_ms: 1, {fields}}}
        """)
    assert error == f"topology.yaml:5: sources[0].chain[0].RedisSinkSingle.{message}"


def test_a_breaker_before_cassandra_needs_time_outs_too(config: Any) -> None:
    [error] = config.errors("""\
        sources:
          - Cassandra:
              listen_addr: 127.0.0.1:9042
              chain:
                - CassandraSinkSingle: {remote_address: "127.0.0.1:1", breaker_timeouts: 3}
        """)
    assert error.endswith(
        "CassandraSinkSingle.breaker_timeouts: needs read_timeout, for without one nothing times out"
    )
