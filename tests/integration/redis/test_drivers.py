"""What people do with their drivers every day, in each of the drivers: the same as with the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from support.endpoint import Endpoint
from support.wait import until, wait_until

SYNC = ("redis-2", "redis-3", "valkey-2", "valkey-3")
ERRORS = (redis.RedisError, valkey.ValkeyError)
URL = "redis://127.0.0.1:{}/{}"


@pytest.fixture(params=SYNC)
def connect(request: pytest.FixtureRequest, endpoint: Endpoint) -> Any:
    """connect(**options): a client of one of the drivers, closed at the end of the test."""
    library, protocol = request.param.split("-")
    module = redis if library == "redis" else valkey
    made: list[Any] = []

    def connect(**options: Any) -> Any:
        client_class = module.Redis if library == "redis" else module.Valkey
        options = {"protocol": int(protocol), "socket_timeout": 10, **options}
        made.append(client_class(host="127.0.0.1", port=endpoint.port, **options))
        return made[-1]

    connect.module = module  # type: ignore[attr-defined]
    yield connect
    for client in made:
        client.close()


def test_a_lock_lets_one_in_at_a_time(connect: Any) -> None:
    client = connect()
    inside: list[int] = []
    seen: list[int] = []

    def work() -> None:
        for _ in range(5):
            with client.lock("lock", timeout=10, sleep=0.001):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 20
    lock = client.lock("lock", timeout=10)
    assert lock.acquire()
    assert lock.extend(10)
    assert lock.owned()
    assert not client.lock("lock").acquire(blocking=False)
    lock.release()
    with pytest.raises(connect.module.exceptions.LockError):
        lock.release()


def test_scripts_registered_with_the_driver(connect: Any) -> None:
    client = connect()
    script = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert script(keys=["n"], args=[5]) == 5
    client.script_flush()  # the driver loads it again
    assert script(keys=["n"], args=[5]) == 10
    with client.pipeline() as pipe:
        pipe.set("m", "1")
        script(keys=["n"], args=[1], client=pipe)
        assert pipe.execute() == [True, 11]


def test_iterating_over_everything(connect: Any) -> None:
    client = connect()
    client.mset({f"key:{number}": number for number in range(300)})
    client.hset("hash", mapping={f"f{number}": number for number in range(700)})
    client.sadd("set", *(f"m{number}" for number in range(700)))
    client.zadd("zset", {f"m{number}": number for number in range(700)})
    assert len(set(client.scan_iter("key:*", count=50))) == 300
    assert len(dict(client.hscan_iter("hash"))) == 700
    assert len(set(client.sscan_iter("set"))) == 700
    assert len(dict(client.zscan_iter("zset"))) == 700


def test_a_pool_is_shared_by_threads(connect: Any) -> None:
    client = connect(max_connections=10)
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for index in range(30):
                key = f"{number}:{index}"
                client.set(key, key)
                assert client.get(key) == key.encode()
                with client.pipeline(transaction=index % 2 == 0) as pipe:
                    assert pipe.incr("n").get(key).execute()[1] == key.encode()
        except (AssertionError, *ERRORS) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert client.get("n") == b"240"


def test_publishing_and_listening(connect: Any) -> None:
    client = connect()
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("news")
        pubsub.psubscribe("we*")
        subscribed = "it has subscribed"
        wait_until(lambda: client.pubsub_numsub("news") == [(b"news", 1)], subscribed)
        wait_until(lambda: client.pubsub_numpat() == 1, subscribed)
        client.publish("news", "one")
        client.publish("weather", "two")
        messages: list[Any] = []
        wait_until(
            lambda: (
                messages.append(pubsub.get_message(timeout=0.05))
                or len([each for each in messages if each]) == 2
            ),
            "both messages come",
        )
        assert [each["data"] for each in messages if each] == [b"one", b"two"]


def test_optimistic_locking(connect: Any) -> None:
    client = connect()
    client.set("n", 1)

    def double(pipe: Any) -> None:
        value = int(pipe.get("n"))
        pipe.multi()
        pipe.set("n", value * 2)

    assert client.transaction(double, "n") == [True]
    with client.pipeline() as pipe:
        pipe.watch("n")
        client.set("n", 10)
        pipe.multi()
        pipe.set("n", 0)
        with pytest.raises(connect.module.WatchError):
            pipe.execute()
    assert client.get("n") == b"10"


def test_a_connection_that_was_killed_is_made_again(connect: Any, endpoint: Endpoint) -> None:
    if endpoint.proxy is not None:
        endpoint.proxy.allow_log("upstream|connect")
    client = (
        connect(retry=Retry(NoBackoff(), 3), health_check_interval=1)
        if connect.module is redis
        else connect(retry_on_timeout=True)
    )
    client.set("a", "1")
    with endpoint.server.raw() as control:
        control.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    if endpoint.proxy is not None:
        proxy = endpoint.proxy
        noticed = "the proxy has heard of it"
        wait_until(lambda: proxy.metric("shotover_upstream_connections") == 0, noticed)
    assert client.get("a") == b"1"


def test_url_database_name_and_decoding(connect: Any, endpoint: Endpoint) -> None:
    client = connect(db=5, client_name="somebody", decode_responses=True)
    client.set("ключ", "значение")
    assert client.get("ключ") == "значение"
    assert client.client_getname() == "somebody"
    assert client.client_info()["db"] in ("5", 5)
    with connect.module.from_url(URL.format(endpoint.port, 5)) as other:
        assert other.dbsize() == 1
    with connect.module.from_url(URL.format(endpoint.port, 6)) as other:
        assert other.dbsize() == 0


# ---- asyncio


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(bounded())


@pytest.fixture(params=SYNC)
def make_async(request: pytest.FixtureRequest, endpoint: Endpoint) -> Callable[..., Any]:
    """make_async(**options): to be called within the loop that will use the client."""
    library, protocol = request.param.split("-")
    kind: Any = redis.asyncio.Redis if library == "redis" else valkey.asyncio.Valkey
    return lambda **options: kind(
        host="127.0.0.1", port=endpoint.port, protocol=int(protocol), socket_timeout=10, **options
    )


def test_asyncio_gathers_pipelines_transactions_and_locks(make_async: Callable[..., Any]) -> None:
    async def work() -> None:
        async with make_async(max_connections=20) as client:
            await asyncio.gather(*(client.set(f"k{n}", n) for n in range(15)))
            values = await asyncio.gather(*(client.get(f"k{n}") for n in range(15)))
            assert values == [b"%d" % n for n in range(15)]
            async with client.pipeline(transaction=True) as pipe:
                assert await pipe.incr("n").incr("n").get("k1").execute() == [1, 2, b"1"]
            assert {key async for key in client.scan_iter("k*", count=5)} == {
                b"k%d" % n for n in range(15)
            }
            async with client.lock("lock", timeout=5):
                assert not await client.lock("lock").acquire(blocking=False)
            assert await client.eval("return ARGV[1]", 0, "x") == b"x"

    run(work)


def test_asyncio_listens_and_blocks(make_async: Callable[..., Any]) -> None:
    async def work() -> None:
        async with make_async() as client, client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            confirmed = await pubsub.get_message(timeout=5)
            assert confirmed["type"] == "subscribe"
            waiting = asyncio.ensure_future(client.blpop("list", timeout=10))
            await client.publish("news", "one")
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
            assert message["data"] == b"one"
            await client.rpush("list", "x")
            assert list(await waiting) == [b"list", b"x"]
            await pubsub.unsubscribe("news")

    run(work)


def test_asyncio_calls_that_are_cancelled_mix_nothing_up(
    make_async: Callable[..., Any], endpoint: Endpoint
) -> None:
    async def work() -> None:
        async with make_async(max_connections=50) as client:

            async def waiting(count: int) -> bool:
                return bool((await client.info("clients"))["blocked_clients"] == count)

            await client.set("a", "1")
            for _ in range(5):
                blocked = [
                    asyncio.ensure_future(client.blpop("never", timeout=0)) for _ in range(3)
                ]
                await until(lambda: waiting(3), "all three are blocked")
                for task in blocked:
                    task.cancel()
                plain = await asyncio.gather(*(client.get("a") for _ in range(10)))
                assert plain == [b"1"] * 10
                ended = await asyncio.gather(*blocked, return_exceptions=True)
                assert [type(each) for each in ended] == [asyncio.CancelledError] * 3
                await until(lambda: waiting(0), "none is blocked any more")
            assert await client.rpush("never", "x") == 1
            assert await client.llen("never") == 1  # nobody who had gone took it

    run(work)
