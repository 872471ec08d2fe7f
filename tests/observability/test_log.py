"""The log: forms, forgery, bounds, a reader that is slow or gone."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotover.observability import log, logformat
from shotover.observability.logsink import Sink
from tests.observability.conftest import PipeLog, eventually

HUMAN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z +(TRACE|DEBUG|INFO|WARN|ERROR) \S+: .*")


def human(message: Any, /, **fields: Any) -> str:
    return logformat.human_line(0, "INFO", "shotover::x", message, fields).decode()


def as_json(message: Any, /, **fields: Any) -> dict[str, Any]:
    line = logformat.json_line(0, "INFO", "shotover::x", message, fields).decode()
    assert line.count("\n") == 1 and line.endswith("\n")
    return json.loads(line)


def test_the_human_form_word_for_word() -> None:
    line = logformat.human_line(
        1_700_000_000_123_456_789,
        "WARN",
        "shotover::sinks",
        "no reply",
        {
            "chain": "redis",
            "took_ms": 12.5,
            "peer": "a b",
            "ok": True,
            "none": None,
            "empty": "",
            "bytes": b"a=b",
        },
    )
    assert line.decode() == (
        "2023-11-14T22:13:20.123456Z  WARN shotover::sinks: no reply "
        'chain=redis took_ms=12.5 peer="a b" ok=True none=None empty="" bytes="a=b"\n'
    )


def test_the_json_form_has_the_keys_that_readers_of_the_rust_program_expect() -> None:
    line = logformat.json_line(
        1_700_000_000_000_000_000, "ERROR", "shotover::sinks", "no", {"n": 1, "who": "é"}
    )
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.000000Z",
        "level": "ERROR",
        "fields": {"message": "no", "n": 1, "who": "é"},
        "target": "shotover::sinks",
    }


NASTY = [
    "\n2026-01-01T00:00:00.000000Z ERROR shotover: forged",
    "\r",
    "\x1b[2J",
    "\x9b31m",
    "\u2028",
    "\u202egnp",
    "\x00",
    "\x7f",
    "\ud800",
    '" level="ERROR',
    'x" ok="',
    "a\\nb",
    "\U000e0041",
]


@pytest.mark.parametrize("text", NASTY)
def test_a_client_can_not_forge_a_line_or_a_field(text: str) -> None:
    for line in (
        human(text),
        human("m", peer=text),
        human("m", **{text: 1}),
        human("m", peer=text.encode("utf-8", "replace")),
    ):
        assert line.count("\n") == 1 and line.endswith("\n")
        assert line[:-1].isprintable()
        assert HUMAN.fullmatch(line[:-1])
    fields = human("m", peer=text, last=1)
    assert re.fullmatch(r'.*: m peer=("(?:[^"\\]|\\.)*"|[^ "=]+) last=1\n', fields)


@settings(max_examples=200)
@given(
    st.text(), st.text(), st.one_of(st.text(), st.binary(), st.floats(), st.integers(), st.none())
)
def test_any_text_makes_one_printable_line_and_valid_json(
    message: str, name: str, value: object
) -> None:
    line = human(message, **{name: value} if name != "message" and name != "traceback" else {})
    assert line[:-1].isprintable() and line.endswith("\n")
    raw = logformat.json_line(0, "INFO", "t", message, {name: value})
    assert raw[:-1].decode().isprintable()
    assert not re.search(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])", raw)  # no half surrogate pair
    assert set(json.loads(raw)["fields"]) >= {"message"}


def test_json_gives_text_back_unchanged() -> None:
    text = 'tab\t quote" back\\ é 漢 \U0001f600 \x1b'
    assert as_json(text, peer=text)["fields"] == {"message": text, "peer": text}


def test_long_values_are_cut_and_say_by_how_much() -> None:
    line = human("m" * 100_000, value=b"v" * 5_000_000)
    assert len(line) < 6_000
    assert "…(+95904)" in line and "…(+4998976)" in line
    assert len(human("m", **{f"f{n}": n for n in range(1000)})) < 500
    assert as_json("m", **{f"f{n}": n for n in range(1000)})["fields"]["more_fields"] == 968


def test_a_field_called_message_does_not_hide_the_message() -> None:
    assert as_json("the fact", message="client's")["fields"] == {
        "message": "the fact",
        "message_": "client's",
    }


def test_an_object_that_fails_to_print_is_logged_all_the_same() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert "<Broken: str() failed with RuntimeError>" in human("m", thing=Broken())


def test_a_traceback_stands_on_marked_lines_for_people_and_in_a_field_for_machines() -> None:
    text = 'Traceback:\n  File "x"\nValueError: \x1b[31m\n2026-01-01T00:00:00Z ERROR x: forged\n'
    lines = human("failed", traceback=text, n=1).splitlines()
    assert lines[0].endswith("failed n=1")
    assert [line[:4] for line in lines[1:]] == ["  | "] * 4
    assert all(line.isprintable() for line in lines)
    assert as_json("failed", traceback=text)["fields"]["traceback"] == text


def test_secrets_are_hidden_by_name_and_in_urls_in_both_forms() -> None:
    fields = {
        "password": "hunter2",
        "auth_token": 42,
        "url": "redis://joe:hunter2@h:1/0",
        "tree": {"kek": "hunter2"},
    }
    for line in (human("m", **fields), json.dumps(as_json("m", **fields))):
        assert "hunter2" not in line and "42" not in line
        assert line.count("[redacted]") == 4


def test_json_text_writes_what_json_reads() -> None:
    tree = {"a": [1, 2.5, None, True, "x\n", {"b": []}], "c": {"d": "é"}}
    assert json.loads(logformat.json_text(tree)) == tree
    assert json.loads(logformat.json_text([float("nan"), float("inf"), b"x", {1: 2}])) == [
        "nan",
        "inf",
        "x",
        {"1": 2},
    ]
    circle: list[object] = []
    circle.append(circle)
    assert json.loads(logformat.json_text(circle))


def test_the_filter_decides_and_can_be_replaced_while_running(pipe_log: PipeLog) -> None:
    logger = log.get("shotover::sinks")
    logger.debug("one")
    log.set_filter("warn,shotover::sinks=debug")
    logger.debug("two")
    log.get("shotover::other").info("three")
    log.get("shotover::other").warning("four")
    assert [line.split(": ")[-1] for line in pipe_log.lines()] == ["two", "four"]
    with pytest.raises(log.FilterError):
        log.set_filter("info,loud")
    assert log.filter_text() == "warn,shotover::sinks=debug"
    logger.debug("five")
    assert pipe_log.lines()[0].endswith("five")


def test_each_level_has_its_method_and_name(pipe_log: PipeLog) -> None:
    log.set_filter("trace")
    logger = log.get("t")
    for method in (logger.trace, logger.debug, logger.info, logger.warning, logger.error):
        method("m")
    assert [line.split()[1] for line in pipe_log.lines()] == [
        "TRACE",
        "DEBUG",
        "INFO",
        "WARN",
        "ERROR",
    ]
    log.set_filter("off")
    logger.error("m")
    assert pipe_log.lines() == []


def test_environment_variables_are_appended_and_win(
    pipe_log: PipeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUST_LOG", "error,shotover::a=debug")
    monkeypatch.setenv("SHOTOVER_LOG", "shotover::a=warn")
    log.setup("human", "info,shotover::b=trace", pipe_log.writer)
    levels = [log.get(f"shotover::{name}").level for name in "abc"]
    assert levels == [log.WARN, log.TRACE, log.ERROR]
    monkeypatch.setenv("RUST_LOG", "loud")
    with pytest.raises(log.FilterError, match=r"'loud' in the environment variable RUST_LOG"):
        log.setup("human", "info", pipe_log.writer)


def test_span_directives_give_one_warning(pipe_log: PipeLog) -> None:
    log.set_filter("info,[a]=debug,shotover[b{c=1}]=trace")
    (line,) = pipe_log.lines()
    assert "WARN shotover::log: log directives on spans or fields have no effect here" in line
    assert 'ignored="[a]=debug, shotover[b{c=1}]=trace"' in line


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="log format 'xml': expected human or json"):
        log.setup("xml")


def test_a_burst_is_cut_to_its_rate_and_the_rest_is_counted(
    pipe_log: PipeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    logger = log.get("shotover::x")
    for _ in range(10_000):
        logger.limited("refused", per_second=2, burst=3).warning("refused")
    assert len(pipe_log.lines()) == 3
    now[0] += 0.5
    logger.limited("refused", per_second=2, burst=3).warning("refused")
    assert [line.split(": ")[-1] for line in pipe_log.lines()] == [
        "9997 similar lines suppressed like=refused",
        "refused",
    ]
    logger.limited("refused", per_second=2, burst=3).warning("refused")
    log.flush()
    assert pipe_log.lines() == []  # not before the rate allows it
    now[0] += 60
    log.flush()  # and without another line of the kind
    log.flush()
    assert [line.split(": ")[-1] for line in pipe_log.lines()] == [
        "1 similar line suppressed like=refused"
    ]


def test_keys_that_a_client_chooses_do_not_grow_the_table(pipe_log: PipeLog) -> None:
    logger = log.get("shotover::x")
    for number in range(5_000):
        logger.limited(f"key {number}", per_second=0.001).warning("m")
    assert len(log._buckets) <= log.BUCKETS_MAX + 1
    assert len(pipe_log.lines()) <= log.BUCKETS_MAX + 1


def test_lines_of_a_workers_ring_are_bounded_by_wording_and_altogether(
    pipe_log: PipeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log.time, "monotonic", lambda: 1.0)
    log.forward("shotover::worker", [(log.WARN, "client gone", {"peer": n}) for n in range(1_000)])
    assert len(pipe_log.lines()) == 2 * log.FORWARD_PER_SECOND
    log.forward("shotover::worker", [(log.DEBUG, "too fine", {})])
    log.forward("shotover::worker", [(log.WARN, f"wording {n}", {}) for n in range(1_000)])
    log.forward("shotover::worker", [(log.ERROR, "grave", {})])
    lines = pipe_log.lines()
    assert 150 < len(lines) <= log.FORWARD_TOTAL_PER_SECOND + 1
    assert lines[-1].endswith("grave")


def test_a_full_pipe_never_blocks_and_the_loss_is_told(pipe_log: PipeLog) -> None:
    logger = log.get("shotover::x")
    for number in range(2_000):
        logger.info("filler", number=number, pad="x" * 1000)
    assert log.dropped_total() > 0
    read: list[str] = []
    eventually(lambda: (read.append(pipe_log.text()), log.flush(), not log._sink.waiting_bytes)[-1])
    logger.info("after")
    eventually(
        lambda: (log.flush(), read.append(pipe_log.text()), read[-1].endswith("after\n"))[-1]
    )
    text = "".join(read).splitlines()
    told = [int(line.split()[3]) for line in text if "lost: nobody read them in time" in line]
    assert sum(told) == log.dropped_total()
    kept = sum("filler" in line for line in text)
    assert kept + sum(told) == 2_000
    assert text[-1].endswith("after")


def test_a_blocking_descriptor_stays_blocking(pipe_log: PipeLog) -> None:
    log.get("t").info("m")
    assert os.get_blocking(pipe_log.writer)


def test_a_reader_that_left_is_survived_and_counted(pipe_log: PipeLog) -> None:
    pipe_log.close_reader()
    for _ in range(100):
        log.get("t").info("m")
    assert log.dropped_total() == 100
    assert log.flush(1.0)


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    device = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(device, lambda count: b"lost %d\n" % count)
    sink.write(b"one\n")
    sink.write(b"two\n")
    assert sink.dropped_total >= 2 and sink.waiting_bytes == 0
    os.close(device)


def test_a_line_torn_by_an_error_does_not_swallow_the_next() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer, lambda count: b"lost %d\n" % count)
    sink._backlog += b"torn line without its end"
    sink._drain()
    sink._lose_backlog()
    sink.write(b"next\n")
    assert os.read(reader, 1000) == b"torn line without its end\nlost 1\nnext\n"
    os.close(reader)
    os.close(writer)


def test_a_stream_without_a_descriptor_and_no_stream_at_all() -> None:
    text = io.StringIO()
    sink = Sink(text, lambda count: b"")
    sink.write("é\n".encode())
    assert text.getvalue() == "é\n"
    text.close()
    sink.write(b"m\n")
    nowhere = Sink(None, lambda count: b"")
    nowhere.write(b"m\n")
    assert (sink.dropped_total, nowhere.dropped_total) == (1, 1)


def test_threads_do_not_mix_their_lines(pipe_log: PipeLog) -> None:
    read: list[str] = []

    def chatter(name: int) -> None:
        for number in range(200):
            log.get("t").info("m", name=name, number=number)

    threads = [threading.Thread(target=chatter, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: (read.append(pipe_log.text()), not any(t.is_alive() for t in threads))[-1])
    log.flush(1.0)
    read.append(pipe_log.text())
    lines = "".join(read).splitlines()
    assert len(lines) == 800 and all(HUMAN.fullmatch(line) for line in lines)


CRASH = """
import sys, threading
from shotover.observability import log
log.setup(sys.argv[1])
log.catch_crashes()
log.get("t").info("before")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
raise ValueError("bad\\nthing")
"""


def test_crashes_are_events_in_json_and_plain_tracebacks_for_people() -> None:
    machine = subprocess.run(
        [sys.executable, "-c", CRASH, "json"], capture_output=True, text=True, timeout=20
    )
    events = [json.loads(line) for line in machine.stdout.splitlines()]
    messages = [event["fields"]["message"] for event in events]
    assert messages == ["before", "ZeroDivisionError: division by zero", "ValueError: bad\nthing"]
    assert "Traceback" in events[2]["fields"]["traceback"] and events[1]["fields"]["line"] > 0
    assert machine.returncode == 1 and machine.stderr == ""
    people = subprocess.run(
        [sys.executable, "-c", CRASH, "human"], capture_output=True, text=True, timeout=20
    )
    assert "ValueError" in people.stderr and "ZeroDivisionError" in people.stderr
    assert len(people.stdout.splitlines()) == 1


def test_lines_that_wait_are_written_at_exit() -> None:
    code = (
        "from shotover.observability import log; log.setup();\n"
        "for n in range(300): log.get('t').info('m', n=n, pad='x' * 1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=30
    )
    assert len(done.stdout.splitlines()) == 300
    assert done.returncode == 0
