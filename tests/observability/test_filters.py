"""Log filters, word for word."""

from __future__ import annotations

import pytest

from shotover.observability.filters import (
    DEBUG,
    ERROR,
    INFO,
    OFF,
    TRACE,
    WARN,
    FilterError,
    parse_filter,
)

LEVELS = "off, error, warn, info, debug, trace"


def level(text: str, target: str) -> int:
    return parse_filter((text, "")).level_of(target)


def error_of(text: str, origin: str = "") -> str:
    with pytest.raises(FilterError) as caught:
        parse_filter((text, origin))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("info", INFO),
        ("INFO", INFO),
        ("off", OFF),
        ("error", ERROR),
        ("warn", WARN),
        ("warning", WARN),
        ("debug", DEBUG),
        ("trace", TRACE),
        ("0", OFF),
        ("1", ERROR),
        ("3", INFO),
        ("5", TRACE),
        ("", ERROR),
        (" , ,", ERROR),
        ("info,debug", DEBUG),
        ("  warn , ", WARN),
    ],
)
def test_a_level_alone_holds_for_every_target(text: str, expected: int) -> None:
    assert level(text, "shotover::anything") == expected


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("info, shotover::sinks=debug", "shotover::sinks", DEBUG),
        ("info, shotover::sinks = debug", "shotover::sinks::redis", DEBUG),
        ("info, shotover::sinks=debug", "shotover::sources", INFO),
        ("shotover=debug,info,shotover::sinks=error", "shotover::sinks::x", ERROR),
        ("shotover::sinks=error,shotover=debug,info", "shotover::sinks::x", ERROR),
        ("shotover=debug,shotover=warn", "shotover::x", WARN),
        ("shotover=debug", "somebody_else", OFF),
        ("shotover.sinks=debug,warn", "shotover::sinks", DEBUG),
        ("shotover_proxy=debug,warn", "shotover::sinks", DEBUG),
        ("shotover_proxy::sinks=debug,warn", "shotover::sinks", DEBUG),
        ("shotover_proxy::sinks=debug,warn", "shotover::sources", WARN),
        ("warn,shotover::sinks", "shotover::sinks", TRACE),
        ("info,tokio=off", "shotover", INFO),
    ],
)
def test_the_longest_directive_that_begins_the_target_decides(
    text: str, target: str, expected: int
) -> None:
    assert level(text, target) == expected


def test_later_sources_win_on_conflict_only() -> None:
    chosen = parse_filter(
        ("info,shotover::a=debug", "main_log_level"), ("warn,shotover::b=trace", "RUST_LOG")
    )
    assert [chosen.level_of(f"shotover::{name}") for name in "abc"] == [DEBUG, TRACE, WARN]


@pytest.mark.parametrize(
    "directive",
    [
        "[connection]=debug",
        "shotover[conn{id=1}]=trace",
        "[{a=1,b=2}]",
        "shotover[x]",
        'a::b[{peer="1,2"}]=warn',
    ],
)
def test_span_and_field_forms_are_accepted_and_listed(directive: str) -> None:
    chosen = parse_filter((f"warn,{directive},shotover::a=debug", ""))
    assert chosen.ignored == (directive,)
    assert (chosen.level_of("shotover::a"), chosen.level_of("shotover::b")) == (DEBUG, WARN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "inof",
            f"bad log directive 'inof': expected a level ({LEVELS}) or target=level; "
            "did you mean 'info'?",
        ),
        (
            "info,xyzzy,debgu",
            f"bad log directive 'xyzzy': expected a level ({LEVELS}) or target=level",
        ),
        ("shotover=loud", f"bad log directive 'shotover=loud': 'loud' is not a level ({LEVELS})"),
        ("shotover=", f"bad log directive 'shotover=': '' is not a level ({LEVELS})"),
        (
            "a b=info",
            "bad log directive 'a b=info': 'a b' is not a log target, such as shotover::sinks",
        ),
        ("=info", "bad log directive '=info': '' is not a log target, such as shotover::sinks"),
        (
            "[x=info",
            "bad log directive '[x=info': the brackets of a span do not close, "
            "or no level follows `]=`",
        ),
        (
            "[x]=loud",
            "bad log directive '[x]=loud': the brackets of a span do not close, "
            "or no level follows `]=`",
        ),
        ("a\nb", f"bad log directive 'a\\nb': expected a level ({LEVELS}) or target=level"),
        ("i" * 5000, "log filter of 5000 characters: at most 4096 are allowed"),
        (
            ",".join(f"a::b{n}" for n in range(200)),
            "log filter: at most 128 directives are allowed",
        ),
    ],
)
def test_the_first_bad_directive_is_named_with_what_is_valid(text: str, message: str) -> None:
    assert error_of(text) == message


def test_an_error_says_where_the_directive_stands_and_stays_short() -> None:
    assert error_of("verbose", "the environment variable RUST_LOG").startswith(
        "bad log directive 'verbose' in the environment variable RUST_LOG: "
    )
    assert len(error_of("?" * 4000)) < 250
