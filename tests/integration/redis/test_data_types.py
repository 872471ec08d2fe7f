"""Every data type as redis-py users use it, over RESP2 and RESP3, with both of its parsers."""

from __future__ import annotations

import pytest
import redis
from support.endpoint import Endpoint


@pytest.fixture
def client(endpoint: Endpoint, driver: str) -> redis.Redis:
    return endpoint.client(driver=driver)


def test_strings(client: redis.Redis) -> None:
    assert client.set("a", b"\x00\r\n\xff") is True
    assert client.get("a") == b"\x00\r\n\xff"
    assert client.get("missing") is None
    assert client.set("a", "x", nx=True) is None
    assert client.set("a", "y", get=True) == b"\x00\r\n\xff"
    assert client.append("a", "z") == 2
    assert client.getrange("a", 1, 1) == b"z"
    assert client.mset({"b": 1, "c": 2}) is True
    assert client.mget("b", "missing", "c") == [b"1", None, b"2"]
    assert client.incrby("b", 41) == 42
    assert client.incrbyfloat("b", 0.5) == 42.5
    assert client.strlen("b") == 4
    assert client.getdel("b") == b"42.5"
    assert client.set("t", "v", ex=100) is True
    assert 0 < client.ttl("t") <= 100
    assert client.getex("t", persist=True) == b"v"
    assert client.ttl("t") == -1


def test_bitmaps(client: redis.Redis) -> None:
    assert client.setbit("bits", 7, 1) == 0
    assert client.getbit("bits", 7) == 1
    assert client.bitcount("bits") == 1
    assert client.bitpos("bits", 1) == 7
    assert client.set("other", b"\xf0")
    assert client.bitop("XOR", "result", "bits", "other") == 1
    assert client.get("result") == b"\xf1"
    assert client.bitfield("bits").set("u8", 8, 200).get("u8", 8).incrby("u8", 8, 10).execute() == [
        0,
        200,
        210,
    ]


def test_lists(client: redis.Redis) -> None:
    assert client.rpush("l", "a", "b", "c") == 3
    assert client.lpush("l", "z") == 4
    assert client.lrange("l", 0, -1) == [b"z", b"a", b"b", b"c"]
    assert client.lindex("l", -1) == b"c"
    assert client.linsert("l", "BEFORE", "a", "q") == 5
    assert client.lset("l", 0, "first") is True
    assert client.lpos("l", "b") == 3
    assert client.lrem("l", 0, "q") == 1
    assert client.lmove("l", "m", "LEFT", "RIGHT") == b"first"
    assert client.lpop("l", 2) == [b"a", b"b"]
    assert client.ltrim("l", 0, 0) is True
    assert client.llen("l") == 1
    assert client.lmpop(2, "none", "l", direction="LEFT", count=5) == [b"l", [b"c"]]
    assert client.rpush("numbers", 3, 1, 2) == 3
    assert client.sort("numbers") == [b"1", b"2", b"3"]
    assert client.sort("numbers", store="sorted", desc=True) == 3
    assert client.lrange("sorted", 0, -1) == [b"3", b"2", b"1"]


def test_hashes(client: redis.Redis) -> None:
    assert client.hset("h", mapping={"a": 1, "b": "two", "c": b"\xff"}) == 3
    assert client.hgetall("h") == {b"a": b"1", b"b": b"two", b"c": b"\xff"}
    assert client.hgetall("missing") == {}
    assert client.hget("h", "b") == b"two"
    assert client.hmget("h", "a", "missing") == [b"1", None]
    assert client.hincrby("h", "a", 4) == 5
    assert client.hincrbyfloat("h", "a", 0.5) == 5.5
    assert sorted(client.hkeys("h")) == [b"a", b"b", b"c"]
    assert client.hexists("h", "a") is True
    assert client.hdel("h", "a", "b") == 2
    assert client.hrandfield("h", 1, withvalues=True) in ([b"c", b"\xff"], [[b"c", b"\xff"]])
    assert dict(client.hscan_iter("h")) == {b"c": b"\xff"}


def test_sets(client: redis.Redis) -> None:
    assert client.sadd("s", 1, 2, 3) == 3
    assert client.sadd("t", 3, 4) == 2
    assert set(client.smembers("s")) == {b"1", b"2", b"3"}
    assert set(client.sinter("s", "t")) == {b"3"}
    assert set(client.sunion("s", "t")) == {b"1", b"2", b"3", b"4"}
    assert set(client.sdiff("s", "t")) == {b"1", b"2"}
    assert client.sinterstore("u", "s", "t") == 1
    assert client.sismember("s", 1) in (True, 1)
    assert client.smismember("s", [1, 9]) == [1, 0]
    assert client.smove("s", "t", 1) in (True, 1)
    assert client.spop("u") == b"3"
    assert client.scard("u") == 0
    assert set(client.sscan_iter("t")) == {b"1", b"3", b"4"}


def test_sorted_sets(client: redis.Redis) -> None:
    assert client.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}) == 3
    assert client.zscore("z", "b") == 2.5
    assert client.zscore("z", "missing") is None
    assert [pair[0] for pair in client.zrange("z", 0, -1, withscores=True)] == [b"a", b"b", b"c"]
    assert client.zrange("z", "(1", "+inf", byscore=True) == [b"b", b"c"]
    assert client.zincrby("z", 10, "a") == 11
    assert client.zrank("z", "a") == 1
    assert client.zcount("z", "-inf", "+inf") == 3
    assert client.zunionstore("u", ["z", "z"]) == 3
    assert client.zpopmin("z") in ([(b"b", 2.5)], [b"b", 2.5])  # redis-py: by protocol
    assert client.zrem("z", "a") == 1
    assert client.zrangestore("top", "z", 0, 0) == 1
    assert [member for member, _ in client.zscan_iter("z")] == [b"c"]


def test_hyperloglogs_and_geo(client: redis.Redis) -> None:
    assert client.pfadd("hll", *range(1000)) == 1
    assert 950 < client.pfcount("hll") < 1050
    assert client.pfmerge("merged", "hll") is True
    assert (
        client.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")) == 2
    )
    assert round(client.geodist("g", "Palermo", "Catania", unit="km")) == 166
    longitude, latitude = client.geopos("g", "Palermo")[0]
    assert (round(longitude, 4), round(latitude, 4)) == (13.3614, 38.1156)
    assert client.geosearch("g", longitude=15, latitude=37, radius=100, unit="km") == [b"Catania"]


def test_streams_and_consumer_groups(client: redis.Redis) -> None:
    first = client.xadd("x", {"n": 1}, id="1-1")
    second = client.xadd("x", {"n": 2, "m": b"\xff"})
    assert client.xlen("x") == 2
    assert client.xrange("x")[0] == (first, {b"n": b"1"})
    assert client.xgroup_create("x", "group", id="0") is True
    answer = client.xreadgroup("group", "me", {"x": ">"}, count=1)
    assert b"1-1" in repr(answer).encode()
    pending = client.xpending("x", "group")
    assert (pending["pending"], pending["min"]) == (1, b"1-1")
    assert client.xack("x", "group", first) == 1
    assert client.xreadgroup("group", "me", {"x": ">"})
    assert client.xclaim("x", "group", "you", 0, [second], justid=True) == [second]
    assert client.xinfo_stream("x")["length"] == 2
    assert client.xtrim("x", maxlen=1, approximate=False) == 1
    assert client.xdel("x", second) == 1


def test_ten_thousand_elements_come_back_whole_and_in_order(client: redis.Redis) -> None:
    values = [b"%d" % number for number in range(10_000)]
    assert client.rpush("l", *values) == 10_000
    assert client.lrange("l", 0, -1) == values
    assert client.mset({value: value for value in values})
    assert client.mget(values) == values
    client.hset("h", mapping={value: value for value in values})
    assert client.hgetall("h") == {value: value for value in values}
    client.zadd("z", {value: number for number, value in enumerate(values)})
    assert client.zrange("z", 0, -1) == values


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 65535, 65536, 65537, 1 << 20, 32 << 20])
def test_big_values_come_back_as_they_went(client: redis.Redis, size: int) -> None:
    value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert client.set("big", value)
    assert client.strlen("big") == size
    assert client.get("big") == value
    assert client.get("missing") is None


def test_errors_raise_what_the_server_says(client: redis.Redis) -> None:
    client.set("a", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE Operation against a key"):
        client.lpush("a", 1)
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.incr("a")
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.execute_command("NOSUCH", "a")
    assert client.get("a") == b"x"
