"""Clients that know of clusters: they see the same of the proxy, which has all slots, as of the cluster's nodes."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cluster import RedisCluster
from support.servers import Cluster

from tests.integration.cluster.conftest import Front

PROTOCOLS = (2, 3)


@pytest.fixture(scope="module")
def like_a_cluster(shared_cluster: Cluster) -> Iterator[Front]:
    front = Front(shared_cluster, present_as="cluster")
    yield front
    front.stop()


@pytest.fixture
def both(
    shared_cluster: Cluster, like_a_cluster: Front
) -> Iterator[Callable[[Callable[[int], Any]], Any]]:
    """both(work): what `work` returns, given the port of a node and given the proxy's."""

    def both(work: Callable[[int], Any]) -> tuple[Any, Any]:
        seen = []
        for port in (shared_cluster.ports[0], like_a_cluster.proxy.port):
            shared_cluster.clean()
            seen.append(work(port))
        return seen[0], seen[1]

    yield both
    like_a_cluster.proxy.check_idle()


def refused(call: Callable[[], Any]) -> str:
    """The error that it must end in."""
    with pytest.raises(redis.RedisError) as caught:
        call()
    return str(caught.value)


def everyday(client: RedisCluster) -> list[Any]:
    seen: list[Any] = [client.set(f"k{n}", n) for n in range(100)]
    seen += [client.get(f"k{n}") for n in range(100)]
    seen.append(client.mget_nonatomic("k1", "k2", "none", "k50"))
    seen.append(client.mset_nonatomic({"a": "1", "b": "2", "c": "3"}))
    seen += [client.exists("a", "b", "none"), client.delete("a", "b", "none"), client.touch("c")]
    seen.append(sorted(client.keys("k*", target_nodes=RedisCluster.PRIMARIES)))
    seen.append(sorted(client.scan_iter("k1*", count=7)))
    seen.append(client.dbsize(target_nodes=RedisCluster.PRIMARIES))
    pipe = client.pipeline()
    for number in range(50):
        pipe.set(f"p{number}", number).get(f"p{number}").incr("{p}n")
    seen.append(pipe.execute())
    seen.append(
        client.pipeline().set("{p}e", "x").incr("{p}e").get("{p}e").execute(raise_on_error=False)[2]
    )
    with client.pipeline(transaction=True) as transaction:
        seen.append(transaction.set("{t}a", 1).incr("{t}a").get("{t}a").execute())
    seen.append(client.eval("return redis.call('INCR', KEYS[1])", 1, "n"))
    script = client.register_script("return {KEYS[1], ARGV[1]}")
    seen.append(script(keys=["n"], args=["x"]))
    seen += [client.rpush("{l}a", "x"), client.blpop("{l}a", timeout=1)]
    seen.append(client.hset("h", mapping={"f": "v"}))
    seen += [client.hgetall("h"), client.zadd("z", {"m": 1.5}), client.zscore("z", "m")]
    seen += [client.xadd("x", {"f": "v"}, id="1-1"), client.xrange("x")]
    seen.append(refused(lambda: client.lpush("h", "x")))
    seen.append(refused(lambda: client.execute_command("NOSUCH", "k1")))
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    pubsub.get_message(timeout=5)
    client.publish("news", "hello")
    seen.append(pubsub.get_message(timeout=5)["data"])
    pubsub.close()
    return seen


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_redis_py(both: Callable[..., Any], protocol: int) -> None:
    def work(port: int) -> list[Any]:
        with RedisCluster(host="127.0.0.1", port=port, protocol=protocol) as client:
            return everyday(client)

    alone, proxied = both(work)
    assert proxied == alone


def test_redis_py_sees_one_node_that_has_all_slots(like_a_cluster: Front) -> None:
    port = like_a_cluster.proxy.port
    with RedisCluster(host="127.0.0.1", port=port) as client:
        assert [(node.host, node.port) for node in client.get_nodes()] == [("127.0.0.1", port)]
        assert client.keyslot("foo") == 12182
        assert client.get_node_from_key("foo").port == port


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_redis_py_with_asyncio(both: Callable[..., Any], protocol: int) -> None:
    async def everything(port: int) -> list[Any]:
        node = redis.asyncio.cluster.ClusterNode("127.0.0.1", port)
        async with redis.asyncio.RedisCluster(startup_nodes=[node], protocol=protocol) as client:
            seen: list[Any] = list(
                await asyncio.gather(*(client.set(f"k{n}", n) for n in range(80)))
            )
            seen += await asyncio.gather(*(client.get(f"k{n}") for n in range(80)))
            pipe = client.pipeline()
            for number in range(50):
                pipe = pipe.set(f"p{number}", number).get(f"p{number}")
            seen.append(await pipe.execute())
            seen.append(await client.mget_nonatomic("k1", "k2", "none"))
            seen.append(await client.eval("return ARGV[1]", 1, "k", "x"))
            return seen

    alone, proxied = both(lambda port: asyncio.run(asyncio.wait_for(everything(port), 20)))
    assert proxied == alone


def test_redis_cli_with_dash_c(both: Callable[..., Any]) -> None:
    path = shutil.which("redis-cli")
    assert path is not None, "these tests need redis-cli on PATH (Debian: apt install redis-tools)"

    def cli(port: int, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [path, "-c", "-p", str(port), *words],
            input=stdin,
            capture_output=True,
            timeout=20,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        # what it prints of a redirection tells of the node; the proxy has nowhere to send it
        return "\n".join(line for line in done.stdout.splitlines() if "Redirected" not in line)

    def work(port: int) -> list[str]:
        sets = "".join(f"SET key:{n} {n}\n" for n in range(50))
        gets = "".join(f"GET key:{n}\n" for n in range(50))
        return [
            cli(port, stdin=sets),
            cli(port, stdin=gets),
            cli(port, stdin="GET {t}a\nMULTI\nSET {t}a 1\nINCR {t}a\nEXEC\n"),
            cli(port, "CLUSTER", "KEYSLOT", "foo"),
            cli(port, "EVAL", "return KEYS[1]", "1", "k"),
            cli(port, "-3", "HGETALL", "none"),
            cli(port, "LPUSH", "key:1", "x"),
        ]

    alone, proxied = both(work)
    assert proxied == alone


def test_redis_cli_checks_a_cluster_of_one(like_a_cluster: Front) -> None:
    path = shutil.which("redis-cli")
    assert path is not None
    address = f"127.0.0.1:{like_a_cluster.proxy.port}"
    done = subprocess.run(
        [path, "--cluster", "check", address], capture_output=True, timeout=20, text=True
    )
    assert "All 16384 slots covered" in done.stdout, done.stdout + done.stderr
