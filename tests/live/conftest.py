"""A proxy whose configuration is changed while it serves."""

from __future__ import annotations

import copy
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from support.proxy import Proxy, environment

Tree = dict[str, Any]


class Answer:
    """What the endpoint said."""

    def __init__(self, status: int, text: str, etag: str) -> None:
        self.status = status
        self.text = text
        self.etag = etag

    @property
    def tree(self) -> Any:
        return json.loads(self.text)

    def __repr__(self) -> str:
        return f"{self.status} {self.text}"


class Running(Proxy):
    """It knows the topology that it was started with, and how to ask for another."""

    @property
    def topology(self) -> Tree:
        tree: Tree = yaml.safe_load((self.directory / "topology.yaml").read_text())
        return tree

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=30)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, text, names)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.read().decode(), answer.getheader("ETag") or "")
        connection.close()
        return found

    def apply(self, topology: Tree) -> Answer:
        return self.ask("PUT", "/config", topology)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A verb of the command line, in the proxy's folder."""
        return subprocess.run(
            [sys.executable, "-m", "shotover", *arguments],
            cwd=self.directory,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def generation(self) -> int:
        return int(self.metric("shotover_config_generation"))

    def earlier(self) -> int:
        return int(self.metric("shotover_config_earlier_connections"))


def source_of(topology: Tree) -> Tree:
    """The fields of the first source."""
    (fields,) = topology["sources"][0].values()
    assert isinstance(fields, dict)
    return fields


def with_step(topology: Tree, step: object) -> Tree:
    """The same with one more step in front."""
    changed = copy.deepcopy(topology)
    source_of(changed)["chain"].insert(0, step)
    return changed


NO_WRITES = {"QueryTypeFilter": {"AllowList": ["Read"]}}


@pytest.fixture
def proxy_with(start_server: Callable[..., Any]) -> Iterator[Callable[..., Running]]:
    """Starts proxies before a server of the test's own; each must end well."""
    server = start_server()
    started: list[Running] = []

    def start(**options: Any) -> Running:
        started.append(Running(server.port, **options))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()
