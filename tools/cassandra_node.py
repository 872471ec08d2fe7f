"""Run a node of Apache Cassandra on loopback, for tests; needs a JDK 17 and Maven, no container.

cassandra_node.py fetch                  bring the jars, once, into the cache: the only step that downloads
cassandra_node.py start --dir D --port P --storage-port S [--login]
                                         start it; returns when it answers. Its process id stands in D/pid.
    --host 127.0.0.2 --seed 127.0.0.1 --token T --center dc1 --rack r1
                                         as one of a ring; D may be that of a node that was stopped

The jars are kept in $SERVERS_CACHE, or ~/.cache/test-servers. With --login, cassandra/cassandra is the first user.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

VERSION = "5.0.9"
HOST = "127.0.0.1"
START_SECONDS = 180.0
POLL_SECONDS = 0.2
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>cassandra-classpath</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId>
<version>{VERSION}</version></dependency></dependencies></project>"""
EXPORTS = (
    "java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch "
    "java.rmi/sun.rmi.registry java.management.rmi/com.sun.jmx.remote.internal.rmi "
    "java.rmi/sun.rmi.server java.rmi/sun.rmi.transport.tcp java.sql/java.sql "
    "jdk.unsupported/sun.misc jdk.attach/sun.tools.attach jdk.compiler/com.sun.tools.javac.file"
).split()
OPENS = (
    "java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect java.base/java.io "
    "java.base/java.net java.base/java.nio java.base/java.util java.base/java.util.concurrent "
    "java.base/java.util.concurrent.atomic java.base/jdk.internal.loader "
    "java.base/jdk.internal.ref java.base/jdk.internal.reflect java.base/jdk.internal.math "
    "java.base/jdk.internal.module java.base/jdk.internal.util.jar java.base/sun.nio.ch "
    "java.rmi/sun.rmi.transport.tcp jdk.management/com.sun.management.internal"
).split()
LOGBACK = """<configuration>
<statusListener class="ch.qos.logback.core.status.NopStatusListener"/>
<appender name="F" class="ch.qos.logback.core.FileAppender"><file>{file}</file>
<encoder><pattern>%-5level %date [%thread] %F:%L - %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="F"/></root></configuration>"""
OPTIONS = struct.pack(">BBhBi", 4, 0, 1, 5, 0)
STARTUP = struct.pack(">BBhBi", 4, 0, 1, 1, 22) + b"\0\1\0\x0bCQL_VERSION\0\x053.0.0"
LOGIN = struct.pack(">BBhBi", 4, 0, 2, 15, 24) + b"\0\0\0\x14\0cassandra\0cassandra"
AUTH_SUCCESS = 16


def cache() -> Path:
    base = os.environ.get("SERVERS_CACHE") or Path.home() / ".cache" / "test-servers"
    return Path(base) / f"cassandra-{VERSION}"


def fetch() -> Path:
    """The folder of its jars; they are downloaded if they are not there yet."""
    lib, done = cache() / "lib", cache() / "ok"
    if done.exists():
        return lib
    if shutil.which("mvn") is None:
        sys.exit("there is no mvn on PATH, which brings Cassandra's jars: apt-get install maven")
    shutil.rmtree(cache(), ignore_errors=True)
    lib.mkdir(parents=True)
    pom = cache() / "pom.xml"
    pom.write_text(POM)
    command = ["mvn", "-q", "-B", "-ntp", "-f", str(pom), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={lib}"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    done.touch()
    return lib


def settings(
    folder: Path, port: int, storage_port: int, login: bool, host: str, seed: str, token: str
) -> dict[str, object]:
    """cassandra.yaml of a node that is small and quick to start; with a token, one of a ring."""
    seeds = {
        "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
        "parameters": [{"seeds": seed}],
    }
    return {
        **({"initial_token": token} if token else {}),
        "cluster_name": "test",
        "num_tokens": token.count(",") + 1,
        "auto_bootstrap": False,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "GossipingPropertyFileSnitch" if token else "SimpleSnitch",
        "listen_address": host,
        "rpc_address": host,
        "storage_port": storage_port,
        "native_transport_port": port,
        "start_native_transport": True,
        "data_file_directories": [str(folder / "data")],
        **{
            f"{name}_directory": str(folder / name)
            for name in ("commitlog", "hints", "saved_caches")
        },
        "cdc_raw_directory": str(folder / "cdc"),
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "10000ms",
        "commitlog_segment_size": "8MiB",
        "commitlog_total_space": "64MiB",
        "memtable_heap_space": "48MiB",
        "memtable_offheap_space": "48MiB",
        "file_cache_size": "32MiB",
        "networking_cache_size": "32MiB",
        "concurrent_compactors": 1,
        "auto_snapshot": False,
        "authenticator": "PasswordAuthenticator" if login else "AllowAllAuthenticator",
        "authorizer": "CassandraAuthorizer" if login else "AllowAllAuthorizer",
        "role_manager": "CassandraRoleManager",
        "seed_provider": [seeds],
    }


def command_line(folder: Path, lib: Path, ring: bool) -> list[str]:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    command = [java, "-Xms320m", "-Xmx320m", "-Xss384k", "-XX:+UseSerialGC"]
    command += ["-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=128m", "-XX:-UsePerfData"]
    for name in EXPORTS:
        command += ["--add-exports", f"{name}=ALL-UNNAMED"]
    for name in OPENS:
        command += ["--add-opens", f"{name}=ALL-UNNAMED"]
    command += [f"-javaagent:{jar}" for jar in lib.glob("jamm-*.jar")]
    properties = {
        "jdk.attach.allowAttachSelf": "true",
        "cassandra.config": f"file://{folder}/cassandra.yaml",
        "cassandra-rackdc.properties": f"file://{folder}/cassandra-rackdc.properties",
        "cassandra.storagedir": folder,
        "cassandra.logdir": folder,
        "cassandra-foreground": "yes",
        "cassandra.skip_wait_for_gossip_to_settle": "0",
        "cassandra.ring_delay_ms": "500",
        "cassandra.superuser_setup_delay_ms": "100",
        "cassandra.consistent.rangemovement": "false",
        "cassandra.unsafesystem": "false" if ring else "true",  # alone, nothing is worth a sync
        "logback.configurationFile": folder / "logback.xml",
        "java.io.tmpdir": folder,
        "java.net.preferIPv4Stack": "true",
    }
    command += [f"-D{name}={value}" for name, value in properties.items()]
    jars = ":".join(sorted(str(jar) for jar in lib.glob("*.jar")))
    return [*command, "-cp", jars, "org.apache.cassandra.service.CassandraDaemon"]


def start(
    folder: Path,
    port: int,
    storage_port: int,
    login: bool,
    host: str = HOST,
    seed: str = HOST,
    token: str = "",
    center: str = "dc1",
    rack: str = "r1",
) -> None:
    lib = fetch()
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        sys.exit("there is no java on PATH: apt-get install openjdk-17-jre-headless")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings(folder, port, storage_port, login, host, seed, token))
    (folder / "cassandra.yaml").write_text(text)  # JSON is YAML
    (folder / "cassandra-rackdc.properties").write_text(f"dc={center}\nrack={rack}\n")
    (folder / "logback.xml").write_text(LOGBACK.format(file=folder / "system.log"))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command_line(folder, lib, bool(token)),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (folder / "pid").write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while not answers(port, login, host):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            sys.exit(f"Cassandra does not start:\n{(folder / 'output').read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)


def answers(port: int, login: bool, host: str = HOST) -> bool:
    """Whether it takes clients; with `login`, whether its first user is there already."""
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            if not login:
                connection.sendall(OPTIONS)
                return len(connection.recv(9)) == 9
            for message in (STARTUP, LOGIN):
                connection.sendall(message)
                reply = connection.recv(4096)
            return len(reply) >= 9 and reply[4] == AUTH_SUCCESS
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["fetch", "start"])
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--port", type=int, default=9042)
    parser.add_argument("--storage-port", type=int, default=7000)
    parser.add_argument("--login", action="store_true")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--seed", default=HOST)
    parser.add_argument("--token", default="")
    parser.add_argument("--center", default="dc1")
    parser.add_argument("--rack", default="r1")
    given = parser.parse_args()
    if given.command == "fetch":
        print(fetch())
    else:
        start(
            given.dir.resolve(),
            given.port,
            given.storage_port,
            given.login,
            given.host,
            given.seed,
            given.token,
            given.center,
            given.rack,
        )
