"""TuneableConsistencyScatter when servers die, stall, come back, refuse: no acknowledged write is lost, and every one arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from support.resp import Error, RawClient, encode
from support.wait import stays_true, wait_until, wait_until_equal

from chain.multi import Multi

Make = Callable[..., Multi]


def test_a_server_that_was_killed_gets_what_it_missed(multi: Make) -> None:
    """In order, with their databases and users, transactions whole, scripts too; reads go on meanwhile."""
    three = multi()
    client, other = three.raw(), three.raw()
    assert other.ask("SELECT", 3) == b"OK"
    client.command("SET", "before", "1")
    three.servers["two"].kill()
    for number in range(200):
        assert client.ask("RPUSH", "list", number) == number + 1
        assert other.ask("RPUSH", "other", number) == number + 1
    client.send(encode("MULTI") + encode("SET", "tx", "1") + encode("INCR", "tx") + encode("EXEC"))
    assert client.frames(4)[3] == b"*2\r\n+OK\r\n:2\r\n"
    assert client.ask("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1, "ev", "x") == b"OK"
    assert client.ask("BLPOP", "list", 0) == [b"list", b"0"]
    assert client.ask("BLPOP", "nothing", 0.01) is None
    assert client.ask("FLUSHDB") == b"OK"
    for number in range(50):
        client.command("RPUSH", "list", number)
    assert client.ask("LLEN", "list") == 50
    assert three.metric("route_up", "two") == 0
    three.servers["two"].start(three.servers["two"].port)
    three.up("two")
    wait_until(lambda: three.metric("journal_requests") == 0, "its journal is empty")
    client.command("FLUSHDB")  # `before` was lost with the server
    three.same()
    with three.servers["two"].raw() as direct:
        direct.command("SELECT", 3)
        expected = [str(number).encode() for number in range(200)]
        assert direct.ask("LRANGE", "other", 0, -1) == expected
    assert three.metric("refused_count") == 0
    three.logged("route two is away")
    three.logged("route two is back and has every write")


def test_a_server_that_stalls_holds_up_nobody(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.command("SET", "counter", 0)
    three.servers["one"].pause()
    client.deadline_s = 2.0
    for number in range(1, 300):
        assert client.ask("INCR", "counter") == number
    three.away("one")
    for number in range(300, 400):
        assert client.ask("INCR", "counter") == number
    assert client.ask("GET", "counter") == b"399"
    assert three.metric("missed_count", "one") >= 100
    three.servers["one"].resume()
    three.up("one")
    three.same()
    assert three.servers["one"].client().get("counter") == b"399"  # nothing was carried out twice


def test_reads_of_a_stalled_server_are_answered_by_the_others(multi: Make) -> None:
    three = multi(read_consistency=3, timeout_ms=200)
    client = three.raw()
    client.command("SET", "k", "v")
    three.servers["two"].pause()
    error = client.ask("GET", "k")
    assert error.startswith("ERR Not enough responses (shotover: 2 of the 3 that are needed")
    assert "within timeout_ms" in error
    error = client.ask("GET", "k")  # at once
    assert "read_consistency is 3; not there: two" in error
    three.servers["two"].resume()
    three.up("two")
    assert client.ask("GET", "k") == b"v"


def test_a_route_does_not_count_before_it_has_every_write(multi: Make) -> None:
    """While it catches up, a value that is old there is not seen, by however many reads."""
    three = multi(read_consistency=1, write_consistency=2)
    client = three.raw()
    client.command("SET", "k", "old")
    three.servers["one"].pause()
    client.command("SET", "first", "1")
    three.away("one")
    for number in range(5000):
        client.send(encode("SET", f"k{number % 10}", number))
    client.frames(5000)
    client.command("SET", "k", "new")
    stop, wrong = threading.Event(), []

    def read() -> None:
        with RawClient(three.bench.port) as reader:
            while not stop.is_set():
                value = reader.ask("GET", "k")
                if value != b"new":
                    wrong.append(value)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    three.servers["one"].resume()
    three.up("one")
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    three.same()


def test_writes_go_on_while_a_route_catches_up(multi: Make) -> None:
    """Several clients write all the time, over death and return: in the end all three hold the same.

    What was under way when a route went may be carried out there twice: so they write what may be written twice.
    """
    three = multi(timeout_ms=1000)
    stop = threading.Event()
    failures: list[object] = []

    def write(number: int) -> None:
        count = 0
        with RawClient(three.bench.port) as client:
            if number % 2:
                client.command("SELECT", number)
            while not stop.is_set():
                client.send(
                    b"".join(
                        encode("SADD", f"c{(count + at) % 7}", f"{number}.{count}")
                        for at in range(20)
                    )
                )
                failures.extend(each for each in client.frames(20) if each[0] != ord(":"))
                client.send(encode("MULTI") + encode("SADD", f"l{number}", count) + encode("EXEC"))
                failures.extend(each for each in client.frames(3) if each[0] == ord("-"))
                count += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        for name in ("two", "one"):
            three.servers[name].pause()
            three.away(name)
            wait_until(
                lambda name=name: three.metric("missed_count", name) > 500, "it misses writes"
            )
            three.servers[name].resume()
            three.up(name)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert failures == []
    three.bench.settle()
    three.same()


def test_not_enough_routes(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.command("SET", "k", "v")
    three.servers["one"].kill()
    three.servers["two"].kill()
    error = client.ask("SET", "k", "w")
    assert error.startswith("ERR Not enough responses (shotover: ")
    assert "of the 2 that are needed" in error
    assert "may still be carried out" in error
    error = client.ask("SET", "k", "x")
    assert error == Error(
        "ERR Not enough responses (shotover: 1 of 3 routes can answer, write_consistency is 2; "
        "not there: one two)"
    )
    assert "read_consistency is 2; not there: one two" in client.ask("GET", "k")
    assert "Not enough" in client.ask("MULTI")
    assert client.ask("SELECT", 1) == b"OK"  # told to the others when they are back
    for name in ("one", "two"):
        three.servers[name].start(three.servers[name].port)
    three.up()
    assert client.ask("SET", "in1", "v") == b"OK"
    wait_until(
        lambda: three.servers["two"].client(db=1).get("in1") == b"v", "it is told the database"
    )
    assert three.servers["two"].client().get("in1") is None
    assert three.servers["two"].client().get("k") == b"w"  # it may have been carried out, and was


def test_a_transaction_that_loses_its_routes_is_not_carried_out(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.command("MULTI")
    assert client.ask("SET", "a", "1") == b"QUEUED"
    three.servers["one"].kill()
    three.servers["two"].kill()
    wait_until(
        lambda: isinstance(client.ask("SET", "b", "1"), Error), "it is seen that they are gone"
    )
    assert client.ask("EXEC").startswith("EXECABORT")
    with three.servers["three"].raw() as direct:
        wait_until_equal(lambda: direct.ask("EXISTS", "a", "b"), 0, "nothing was carried out")
    for name in ("one", "two"):
        three.servers[name].start(three.servers[name].port)
    three.up()
    three.same()
    assert client.ask("SET", "a", "2") == b"OK"
    assert client.ask("GET", "a") == b"2"


def test_a_transaction_of_which_a_route_missed_a_part_arrives_whole(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.command("MULTI")
    assert client.ask("SET", "a", "1") == b"QUEUED"
    three.servers["two"].kill()
    assert client.ask("INCR", "a") == b"QUEUED"
    assert client.ask("EXEC") == [b"OK", 2]
    three.servers["two"].start(three.servers["two"].port)
    three.up("two")
    three.same()
    assert three.servers["two"].client().get("a") == b"2"


def test_overflow_and_repair(multi: Make) -> None:
    three = multi(journal_requests=10)
    client = three.raw()
    for number in range(5):
        client.command("SET", f"k{number}", number)
    three.servers["two"].kill()
    for number in range(11):
        assert client.ask("SET", f"k{number}", "new") == b"OK"
    assert three.metric("route_stale", "two") == 1
    assert three.metric("overflows_count", "two") == 1
    assert three.metric("journal_requests", "two") == 0
    three.logged("route two is STALE")
    two = three.servers["two"]
    two.start(two.port)
    stays_true(lambda: three.metric("route_up", "two") == 0, "it does not count", period_s=0.3)
    assert two.client().dbsize() == 0  # and gets nothing
    two.client().replicaof("127.0.0.1", three.servers["one"].port)
    three.logged("route two is being mended")
    assert client.ask("SET", "meanwhile", "1") == b"OK"
    stays_true(lambda: three.metric("route_up", "two") == 0, "it refuses writes", period_s=0.1)
    two.client().replicaof("NO", "ONE")
    three.up("two")
    three.same()
    assert client.ask("SET", "after", "1") == b"OK"
    three.same()


def test_too_many_bytes(multi: Make) -> None:
    three = multi(journal_bytes=100_000)
    client = three.raw()
    three.servers["two"].pause()
    client.command("SET", "k", "v")
    three.away("two")
    for number in range(12):
        assert client.ask("SET", f"k{number}", b"v" * 10_000) == b"OK"
    assert three.metric("route_stale", "two") == 1
    assert three.metric("journal_bytes", "two") == 0
    three.servers["two"].resume()


@pytest.mark.parametrize("excuse", ["OOM", "READONLY", "MISCONF"])
def test_what_one_server_could_not_do_it_gets_later(multi: Make, excuse: str) -> None:
    three = multi()
    two = three.servers["two"].client()
    client = three.raw()
    if excuse == "OOM":
        two.config_set("maxmemory", 1)
    elif excuse == "READONLY":
        two.replicaof("127.0.0.1", three.servers["one"].port)
    else:
        two.config_set("min-replicas-to-write", 1)  # NOREPLICAS, of the same kind
    assert client.ask("SET", "k", "v") == b"OK"
    three.away("two")
    assert client.ask("SET", "k", "w") == b"OK"
    assert client.ask("GET", "k") == b"w"
    if excuse == "OOM":
        two.config_set("maxmemory", 0)
    elif excuse == "READONLY":
        two.replicaof("NO", "ONE")
    else:
        two.config_set("min-replicas-to-write", 0)
    three.up("two")
    three.same()


def test_all_servers_out_of_memory_is_an_error_and_no_more(multi: Make) -> None:
    three = multi()
    client = three.raw()
    client.command("SET", "k", "v")
    for server in three.servers.values():
        server.client().config_set("maxmemory", 1)
    assert client.ask("SET", "k", "w").startswith("OOM")
    assert client.ask("GET", "k") == b"v"
    assert three.metric("away_count") == 0
    assert three.metric("missed_count") == 0


@pytest.mark.parametrize("sinks", [{}, {"connection": "per_client"}, {"connection_count": 3}])
def test_with_other_ways_to_share_connections(multi: Make, sinks: dict[str, object]) -> None:
    three = multi(sinks=sinks)
    client = three.raw()
    for name in ("one", "two"):
        three.servers[name].pause()
        client.command("SET", "k", name)
        three.away(name)
        for number in range(50):
            assert client.ask("APPEND", "text", number % 10) == number + 1
        three.servers[name].resume()
        three.up(name)
        assert client.ask("DEL", "text") == 1
    three.same()


def test_a_client_that_leaves_takes_no_route_away(multi: Make) -> None:
    three = multi()
    for _ in range(20):
        client = three.raw()
        client.send(encode("SET", "k", "v") + encode("BLPOP", "list", 0) + encode("SET", "k", "w"))
        client.frame()
        client.close()
    wait_until_equal(lambda: three.bench.worker.census()["sessions"], 0, "all are gone")
    assert three.metric("away_count") == 0
    assert three.raw().ask("GET", "k") in (b"v", b"w")


def test_a_failed_login_does_not_stop_what_follows_it(multi: Make) -> None:
    """What a client tried in vain is tried in vain again, and what others did arrives."""
    three = multi("--requirepass", "secret")
    client, stranger = three.raw(), three.raw()
    client.command("AUTH", "secret")
    three.servers["two"].pause()
    client.command("SET", "k", "v")
    three.away("two")
    stranger.send(encode("AUTH", "wrong") + encode("SET", "k", "stranger"))
    assert all(frame.startswith(b"-") for frame in stranger.frames(2))
    assert client.ask("SET", "k", "w") == b"OK"
    three.servers["two"].resume()
    three.up("two")
    assert three.servers["two"].client(password="secret").get("k") == b"w"
    assert three.metric("refused_count", "two") == 1


def test_quorums_are_checked_at_the_start() -> None:
    from chain.bench import Bench
    from shotover.config.errors import ConfigError

    chain = {
        "TuneableConsistencyScatter": {
            "route_map": {"one": ["NullSink"], "two": ["NullSink"]},
            "write_consistency": 3,
            "read_consistency": 2,
        }
    }
    with pytest.raises(ConfigError) as caught:
        Bench([chain])
    assert (
        "sources[0].Redis.chain[0].TuneableConsistencyScatter.write_consistency: "
        "expected at most 2, the number of routes, got 3"
    ) in str(caught.value).replace("sources[0].chain", "sources[0].Redis.chain")
