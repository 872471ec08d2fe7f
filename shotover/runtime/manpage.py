"""`shotover completion man`: the manual page shotover(1), written from the parsers.

In man(7)'s macros. What the pages of `shotover docs` say is not said again.
"""

from __future__ import annotations

import textwrap

from shotover.runtime.flags import CONFIG_FILE, TOPOLOGY_FILE
from shotover.runtime.grammar import Flag, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH = 78  # of the page's source
SUMMARY = "proxy that stands before databases and speaks their protocols"
DESCRIPTION = (
    "Clients connect to Shotover as to their database. Each request passes a chain of steps, described in a topology file: "
    "it is counted, filtered, throttled, copied, edited, and sent on to a server. Redis, Valkey and Cassandra are spoken."
)
FILES = (
    (TOPOLOGY_FILE, "What is served, unless -t names another file."),
    (CONFIG_FILE, "Settings of the process, unless -c names another file; it may be absent."),
    ("/etc/shotover", "Both, where a service is installed."),
)
ENVIRONMENT = (
    ("SHOTOVER_LOG, RUST_LOG", "Log directives that win over main_log_level."),
    (
        "SHOTOVER_ADMIN, SHOTOVER_ADMIN_TOKEN",
        "The endpoint that plan, apply, history and rollback ask, and its token.",
    ),
    ("SHOTOVER_PASSWORD", "That reseal logs in with."),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "Set by a service manager that is to be told how the process is.",
    ),
)
SIGNALS = (
    (
        "SIGTERM, SIGINT",
        "No new connections; what is under way is answered; then the end. A second one ends the process at once.",
    ),
    ("SIGHUP", "The files are read again and brought into force; nobody is disconnected."),
)
EXIT = (
    ("0", "A clean end."),
    ("1", "Mistakes in the files, or an address that cannot be had."),
    ("2", "Wrong flags."),
)


def page(verbs: list[Verb], version: str) -> str:
    return "".join(f"{line}\n" for line in wrapped(lines(verbs, version)))


def wrapped(found: Iterable[str]) -> Iterator[str]:
    """Lines that are not macros, in pieces of a usual width; a piece that would look like a macro is told apart."""
    for line in found:
        if line.startswith("."):
            yield line
            continue
        for piece in textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False):
            yield f"\\&{piece}" if piece.startswith((".", "'")) else piece


def lines(verbs: list[Verb], version: str) -> Iterator[str]:
    yield f'.TH SHOTOVER 1 "" "Shotover {plain(version)}" "User Commands"'
    yield from (".SH NAME", f"shotover \\- {SUMMARY}", ".SH SYNOPSIS")
    for number, verb in enumerate(verbs):
        if number:
            yield ".br"
        yield f".B shotover {verb.name}"
        yield plain(synopsis(verb))
    yield from (".SH DESCRIPTION", plain(DESCRIPTION))
    yield from (".PP", "Without a verb it is", ".BR run .", ".SH VERBS")
    for verb in verbs:
        yield f".SS {verb.name}"
        yield plain(verb.about)
        for flag in verb.flags:
            yield from entry(names(flag), flag.about, bold=False)
    for title, table in (
        ("FILES", FILES),
        ("ENVIRONMENT", ENVIRONMENT),
        ("SIGNALS", SIGNALS),
        ("EXIT STATUS", EXIT),
    ):
        yield f".SH {title}"
        for name, about in table:
            yield from entry(plain(name), about)
    yield ".SH SEE ALSO"
    yield plain(
        "shotover docs lists a page for each source, transform and sink, and guides; shotover docs NAME prints one."
    )


def entry(name: str, about: str, bold: bool = True) -> Iterator[str]:
    """A tagged paragraph; `name` may hold markup."""
    yield ".TP"
    yield f"\\fB{name}\\fR" if bold else name
    yield plain(about) if about else "\\&"


def names(flag: Flag) -> str:
    """In bold, the name of the value in italics."""
    value = f" \\fI{plain(flag.value)}\\fR" if flag.value is not None else ""
    return ", ".join(f"\\fB{plain(name)}\\fR" for name in flag.names) + value


def synopsis(verb: Verb) -> str:
    return (
        verb.usage.split(verb.name, 1)[-1].strip()
        if verb.name != "run"
        else verb.usage.removeprefix("shotover").strip()
    )


def plain(text: str) -> str:
    """Text that means only itself."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
