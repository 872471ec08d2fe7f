"""Scripts, functions, SCAN, DUMP and the commands that operators use."""

from __future__ import annotations

import time

import pytest
import redis
from support.endpoint import Endpoint
from support.resp import Error, encode
from support.wait import wait_until


def test_scripts_by_text_and_by_hash(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    assert client.eval("return {KEYS[1], ARGV[1], 3}", 1, "k", "v") == [b"k", b"v", 3]
    script = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert script(keys=["n"], args=[5]) == 5  # EVALSHA, NOSCRIPT, SCRIPT LOAD, EVALSHA
    assert script(keys=["n"], args=[5]) == 10
    assert client.script_exists(script.sha, "f" * 40) == [True, False]
    assert client.script_flush() is True
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha(script.sha, 1, "n", 1)
    pipe = client.pipeline()
    script(keys=["n"], args=[1], client=pipe)
    assert pipe.execute() == [11]


def test_functions(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    body = "function(k, a) return redis.call('SET', k[1], a[1]) end"
    code = f"#!lua name=lib\nredis.register_function('put', {body})"
    assert client.function_load(code) in ("lib", b"lib")
    assert client.fcall("put", 1, "a", "x") in ("OK", b"OK")
    assert client.get("a") == b"x"
    dump = client.function_dump()
    assert client.function_delete("lib")
    assert client.function_restore(dump)
    assert b"lib" in repr(client.function_list()).encode()
    assert client.function_flush()


def test_a_script_that_runs_too_long_is_killed_from_another_connection(
    endpoint: Endpoint,
) -> None:
    with endpoint.server.client() as server:
        server.config_set("busy-reply-threshold", 50)
    raw = endpoint.raw()
    raw.send(encode("EVAL", "while true do end", "0"))

    def killed() -> bool:
        answer = endpoint.raw().command("SCRIPT", "KILL")
        assert answer == b"+OK\r\n" or answer.startswith(b"-NOTBUSY"), answer
        return answer == b"+OK\r\n"

    wait_until(killed, "the script is old enough to be killed")
    answer = raw.value()
    assert isinstance(answer, Error)
    assert "killed" in answer.lower()
    assert endpoint.raw().command("PING") == b"+PONG\r\n"
    with endpoint.server.client() as server:
        server.config_set("busy-reply-threshold", 5000)


def test_scans_find_everything_once(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    names = {b"key:%d" % number for number in range(3000)}
    client.mset(dict.fromkeys(names, "v"))
    client.sadd("set", *names)
    client.hset("hash", mapping=dict.fromkeys(names, "v"))
    client.zadd("zset", dict.fromkeys(names, 1))
    assert set(client.scan_iter(match="key:*", count=100)) == names
    assert set(client.scan_iter(match="key:12*")) == {
        name for name in names if name.startswith(b"key:12")
    }
    assert set(client.sscan_iter("set")) == names
    assert {field for field, _ in client.hscan_iter("hash")} == names
    assert {member for member, _ in client.zscan_iter("zset")} == names
    assert set(client.keys("key:*")) == names
    assert set(client.scan_iter(_type="HASH")) == {b"hash"}


def test_dump_and_restore_carry_any_type(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    client.set("s", bytes(range(256)) * 100)
    client.rpush("l", *range(500))
    client.hset("h", mapping={str(number): number for number in range(500)})
    client.zadd("z", {str(number): number for number in range(500)})
    client.xadd("x", {"f": "v"})
    for name in ("s", "l", "h", "z", "x"):
        dump = client.dump(name)
        assert client.restore(f"{name}-copy", 0, dump)
        assert client.dump(f"{name}-copy") == dump
    with pytest.raises(redis.ResponseError, match="BUSYKEY"):
        client.restore("s", 0, client.dump("s"))
    assert client.copy("l", "l2") in (True, 1)


def test_expiry_happens_and_is_told(endpoint: Endpoint) -> None:
    client = endpoint.client()
    client.set("a", "1", px=30)
    wait_until(lambda: client.get("a") is None, "the key has expired")
    assert client.ttl("a") == -2
    client.set("a", "1")
    assert client.expireat("a", int(time.time()) + 100) is True
    assert 90 < client.ttl("a") <= 100


def test_config_info_and_the_rest_of_the_operators_commands(
    endpoint: Endpoint, driver: str
) -> None:
    client = endpoint.client(driver=driver)
    assert client.config_get("databases") == {"databases": "16"}
    assert client.config_set("slowlog-log-slower-than", 0) is True
    client.get("slow")
    assert any(b"slow" in entry["command"] for entry in client.slowlog_get(10))
    assert client.config_set("slowlog-log-slower-than", 10_000) is True
    assert client.config_resetstat() is True
    info = client.info()
    assert info["role"] == "master"
    assert info["tcp_port"] == endpoint.server.port
    assert client.info("keyspace") == {}
    client.set("k", "12")
    assert client.dbsize() == 1
    assert client.object("encoding", "k") in ("int", b"int")
    assert client.memory_usage("k") > 0
    assert client.time()[0] > 1_600_000_000
    assert client.latency_latest() == []
    assert isinstance(client.command_count(), int)
    assert client.command_getkeys("MSET", "a", 1, "b", 2) in (["a", "b"], [b"a", b"b"])
    assert b"get" in repr(client.command()).encode()
    assert client.acl_whoami() in ("default", b"default")
    before = client.lastsave()
    assert client.save() is True
    assert client.lastsave() >= before
    assert client.randomkey() == b"k"
    assert client.swapdb(0, 1)
    assert client.dbsize() == 0
    assert client.flushall() is True


def test_sort_with_patterns_and_store(endpoint: Endpoint) -> None:
    client = endpoint.client()
    client.rpush("ids", 3, 1, 2)
    client.mset(
        {
            "weight_1": 30,
            "weight_2": 20,
            "weight_3": 10,
            "name_1": "a",
            "name_2": "b",
            "name_3": "c",
        }
    )
    assert client.sort("ids", by="weight_*", get=["#", "name_*"], groups=True) == [
        (b"3", b"c"), (b"2", b"b"), (b"1", b"a"),
    ]  # fmt: skip
    assert client.sort("ids", by="weight_*", get="name_*", store="out", start=0, num=2) == 2
    assert client.lrange("out", 0, -1) == [b"c", b"b"]
