"""shotover-bench: measures Shotover beside its peers.

shotover-bench run                         all cases, all targets found, 5 rounds (about 20 minutes)
shotover-bench run --quick --cases 'c50*'  a first look
shotover-bench run --suite cassandra       the same for CQL: before a scripted server, and before Cassandra
shotover-bench report A.json B.json --html page.html
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

try:
    import click
except ImportError:
    sys.exit(
        "shotover-bench needs a little more than the proxy does: pip install 'shotover[bench]'"
    )

from shotover.benchmark.cases import SUITES, choose_cases
from shotover.benchmark.kinds import BEGINNINGS, KINDS
from shotover.benchmark.page import page_html
from shotover.benchmark.processes import StartError
from shotover.benchmark.report import report_text
from shotover.benchmark.runner import Plan, run_plan
from shotover.benchmark.saved import from_json, to_json, together
from shotover.benchmark.targets import Target, find_peers, find_shotovers, parse_peer

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """See the module's text."""


def choose_targets(
    wanted: str,
    peers: tuple[str, ...],
    shotover_command: str | None,
    poller: str | None,
    suite: str = "redis",
) -> list[Target]:
    """Those found and those given, or of them the comma-separated `wanted`. Raises click.BadParameter."""
    try:
        given = [parse_peer(text) for text in peers]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--peer") from error
    found = [
        Target("direct", "direct"),
        *find_shotovers(shotover_command, poller, suite),
        *find_peers(suite),
        *given,
    ]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in {target.name for target in found}]
    if unknown:
        known = ", ".join(target.name for target in found)
        raise click.BadParameter(
            f"{', '.join(unknown)}: not found here; there are {known}", param_hint="--targets"
        )
    return [target for target in found if not names or target.name in names]


SUITE = click.option(
    "--suite",
    type=click.Choice(list(SUITES)),
    default="redis",
    show_default=True,
    help="Which protocol; each has cases of its own.",
)


def parse_address(text: str | None) -> tuple[str, int] | None:
    """HOST:PORT. Raises click.BadParameter."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter(f"{text!r}: expected HOST:PORT", param_hint="--node")
    return host, int(port)


@main.command()
@SUITE
@click.option(
    "--cases",
    default="*",
    show_default=True,
    help="Names or patterns, separated by commas; see `cases`.",
)
@click.option("--targets", default="", help="Of those found, only these, separated by commas.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=COMMAND",
    help="A further peer; {listen} and {upstream} become HOST:PORT ({listen_port} and so on are there too).",
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 3600),
    default=2.0,
    show_default=True,
    help="Length of a turn.",
)
@click.option(
    "--quick", is_flag=True, help="2 rounds of 0.5 s: to see that it works, not to quote."
)
@click.option(
    "--poller",
    type=click.Choice(["auto", "epoll", "io_uring"]),
    help="Only Shotover with this poller.",
)
@click.option(
    "--shotover-command",
    metavar="COMMAND",
    help="Instead of `python -m shotover`; -t, -c, --poller are added.",
)
@click.option(
    "--generator", type=click.Choice(["own", "redis-benchmark"]), default="own", show_default=True
)
@click.option(
    "--server", type=FILE, help="A redis-server or valkey-server, instead of the one found."
)
@click.option(
    "--node",
    metavar="HOST:PORT",
    help="A Cassandra that runs, for cases that need one; else tools/cassandra_node.py starts one.",
)
@click.option(
    "--syscalls",
    is_flag=True,
    help="Count system calls a request too (perf or strace; needs permission).",
)
@click.option("--json", "json_file", type=FILE, help="Save everything measured.")
@click.option("--html", "html_file", type=FILE, help="Draw a page.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def run(
    suite: str,
    cases: str,
    targets: str,
    peers: tuple[str, ...],
    rounds: int,
    seconds: float,
    quick: bool,
    poller: str | None,
    shotover_command: str | None,
    generator: str,
    server: Path | None,
    node: str | None,
    syscalls: bool,
    json_file: Path | None,
    html_file: Path | None,
    quiet: bool,
) -> None:
    """Start everything, take turns, print the table.

    The exit code says whether it could measure, never whether the figures please: that is what the verdicts are for.
    """
    try:
        chosen = choose_cases(cases, suite)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--cases") from error
    plan = Plan(
        cases=chosen,
        targets=choose_targets(targets, peers, shotover_command, poller, suite),
        rounds=min(rounds, 2) if quick else rounds,
        seconds=min(seconds, 0.5) if quick else seconds,
        generator=generator,
        syscalls=syscalls,
        server=str(server) if server else None,
        node=parse_address(node),
        tell=(lambda line: None) if quiet else (lambda line: click.echo(line, err=True)),
    )
    try:
        with tempfile.TemporaryDirectory(prefix="shotover-bench-") as place:
            results = run_plan(plan, Path(place), KINDS, BEGINNINGS[suite])
    except StartError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report_text(results), nl=False)
    if json_file:
        json_file.write_text(to_json(results))
    if html_file:
        html_file.write_text(page_html(results))
    if not results.turns:
        sys.exit(1)


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--html", "html_file", type=FILE, help="Draw a page.")
def report(files: tuple[Path, ...], html_file: Path | None) -> None:
    """Print saved results again; several sessions are laid together."""
    parts = []
    for path in files:
        try:
            parts.append(from_json(path.read_text()))
        except (ValueError, OSError) as error:
            raise click.ClickException(f"{path}: {error}") from error
    results = together(parts)
    click.echo(report_text(results), nl=False)
    if html_file:
        html_file.write_text(page_html(results))


@main.command("cases")
@SUITE
def list_cases(suite: str) -> None:
    """List the cases."""
    for case in SUITES[suite]:
        click.echo(f"{case.name:<10} {case.title}")


@main.command("targets")
@SUITE
def list_targets(suite: str) -> None:
    """List the programs found on this machine."""
    for target in choose_targets("", (), None, None, suite):
        click.echo(f"{target.name:<15} {' '.join(target.program):<40} {target.version}".rstrip())


if __name__ == "__main__":
    main()
