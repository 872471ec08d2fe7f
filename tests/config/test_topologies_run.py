"""Topologies of other versions run: each is started as a process before a real server, and answers as it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.topologies import Running
from support.wait import free_port

from tests.config.test_topologies import NEWER, OLDER

OK = b"+OK\r\n"
VALUE = b"$1\r\nv\r\n"
FILTERED = b"-ERR Message was filtered out by shotover\r\n"
NULL = b"-ERR Handled by shotover null transform\r\n"
DIFFER = b"-ERR the replies of the two chains differ (shotover: Tee, FailOnMismatch)\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text.encode())


ANSWERS = {  # what SET k v and GET k are answered with
    "older passthrough": (OK, VALUE),
    "older filter": (FILTERED, bulk("42")),
    "older tee ignore": (bulk("42"), bulk("42")),
    "older tee ignore with mismatch": (bulk("42"), bulk("42")),
    "older tee fail": (bulk("42"), DIFFER),  # its second chain refuses reads
    "older tee subchain": (bulk("42"), bulk("42")),
    "older null": (NULL, NULL),
    "older null as a map": (NULL, NULL),
    "older disaster recovery": (OK, VALUE),
    "older multi": (OK, VALUE),
    "older cluster ports": (OK, VALUE),
    "older shipped": (NULL, NULL),
    "newer passthrough": (OK, VALUE),
    "newer passthrough, encoded": (OK, VALUE),
    "newer filters": (FILTERED, bulk("42")),
    "newer tee log": (bulk("42"), bulk("42")),
    "newer tee log with mismatch": (bulk("42"), bulk("42")),
    "newer tee fail with mismatch": (DIFFER, DIFFER),
    "newer tee subchain": (bulk("42"), bulk("42")),
    "newer tee switch": (bulk("a"), bulk("a")),
    "newer null": (NULL, NULL),
    "newer hard limit": (NULL, NULL),
    "newer hot reload": (OK, VALUE),
    "newer pool": (NULL, NULL),
    "newer parallel": (bulk("1"), bulk("1")),
    "newer cluster ports": (OK, VALUE),
    "newer throttled": (NULL, NULL),
}
TEXTS = {f"older {name}": text for name, text in OLDER.items()} | {
    f"newer {name}": text for name, text in NEWER.items()
}


CLUSTERS = {name for name, text in TEXTS.items() if "SinkCluster" in text}
"""These are run in tests/integration/cluster."""


def test_every_topology_is_run() -> None:
    assert set(ANSWERS) == set(TEXTS) - CLUSTERS


@pytest.mark.parametrize("name", ANSWERS)
def test_it_answers(name: str, tmp_path: Path, start_server) -> None:
    server = start_server()
    text = re.sub(
        r"(remote_address: ')127.0.0.1:\d+", rf"\g<1>127.0.0.1:{server.port}", TEXTS[name]
    )
    text = re.sub(r"(switch_port: )\d+", lambda found: f"{found[1]}{free_port()}", text)
    text = re.sub(r"listen_addr: '?127.0.0.1:\d+'?", "listen_addr: '${LISTEN}'", text, count=1)
    text = re.sub(
        r"listen_addr: '127.0.0.1:\d+'", lambda _: f"listen_addr: '127.0.0.1:{free_port()}'", text
    )
    topology = tmp_path / "topology.yaml"
    topology.write_text(text)
    with Running(topology, tmp_path) as running, running.raw() as client:
        assert (client.command("SET", "k", "v"), client.command("GET", "k")) == ANSWERS[name]
