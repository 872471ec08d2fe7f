"""NullSink, DebugReturner, DebugPrinter, QueryCounter: bytes in, bytes out."""

from __future__ import annotations

from support.wait import wait_until

from chain.bench import Bench

NULL = b"-ERR Handled by shotover null transform\r\n"


def test_null_sink_answers_every_request_of_a_pipeline(run) -> None:
    assert run("NullSink").play("GET a", "SET a 1", "NOSUCH", "MULTI") == [NULL] * 4


def test_debug_returner_answers_alike_whatever_is_asked(run) -> None:
    assert (
        run({"DebugReturner": {"Redis": "42"}}).play("GET a", "SET a 1", "GET a")
        == [b"$2\r\n42\r\n"] * 3
    )


def test_debug_returner_may_answer_nothing(run) -> None:
    assert run({"DebugReturner": {"Redis": ""}}).play("GET a") == [b"$0\r\n\r\n"]


def test_debug_returner_may_fail(run) -> None:
    assert (
        run({"DebugReturner": "Fail"}).play("GET a", "GET b")
        == [b"-ERR Intentional Fail (shotover: DebugReturner)\r\n"] * 2
    )


def logged(bench: Bench, count: int) -> list[str]:
    return wait_until(lambda: len(bench.log()) >= count and bench.log(), f"{count} log lines")


def test_debug_printer_logs_requests_and_replies(run) -> None:
    bench = run("DebugPrinter", {"DebugReturner": {"Redis": 'a"b\n'}})
    assert bench.play(("SET", b"k\x00", "v" * 100)) == [b'$4\r\na"b\n\r\n']
    assert logged(bench, 2) == [f'Request: SET "k\\x00" "{"v" * 64}..."', 'Response: "a\\"b\\n"']


def test_debug_printer_sees_what_steps_below_answer(run) -> None:
    bench = run("DebugPrinter", {"QueryTypeFilter": {"filter": "Write"}}, "NullSink")
    bench.play("SET a 1", "GET a")
    lines = logged(bench, 4)
    assert "Response: -ERR Message was filtered out by shotover" in lines
    assert "Response: " + NULL[:-2].decode() in lines


def test_debug_printer_shows_no_passwords_and_is_bounded(run) -> None:
    bench = run("DebugPrinter", "NullSink")
    bench.play(
        "AUTH secret",
        "CONFIG SET requirepass secret",
        ("HELLO", "3", "AUTH", "u", "secret"),
        ("MGET", *(f"key-{index}" for index in range(1000))),
    )
    lines = logged(bench, 8)
    assert not [line for line in lines if "secret" in line]
    assert max(map(len, lines)) < 232


def test_debug_printer_renders_nested_replies(run, start_server) -> None:
    server = start_server()
    from chain.bench import sink

    bench = run("DebugPrinter", sink(server.port))
    bench.play("SET a 1", "MULTI", "GET a", "GET none", "EXEC")
    assert 'Response: *2 "1" nil' in logged(bench, 10)


def test_query_counter_counts_by_first_word(run) -> None:
    bench = run({"QueryCounter": {"name": "c"}}, "NullSink")
    bench.play("GET a", "get b", "SET a 1", "CLIENT ID", "CLIENT LIST", "NOSUCH x", "OTHER")
    counted = {
        labels["query"]: value
        for name, labels, _, value in bench.worker.samples()
        if name == "shotover_query_count"
    }
    assert counted == {"GET": 2, "SET": 1, "CLIENT": 2, "unknown": 2}
    assert bench.sample("shotover_query_count", name="c", type="redis") == 7


def test_query_counter_counts_runs(run) -> None:
    bench = run("QueryCounter", "NullSink")
    assert bench.play(*["GET a"] * 500, *["SET a 1"] * 300, *["GET a"] * 200) == [NULL] * 1000
    assert bench.sample("shotover_query_count", query="GET") == 700
    assert bench.sample("shotover_query_count", query="SET") == 300
