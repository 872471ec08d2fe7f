"""The command line: run, check, explain, docs, reseal, service, top, and what speaks with a running process.

    shotover [run] -t topology.yaml -c config.yaml

A user's mistake gives lines that say what to mend, on standard error, and exit code 1; it never
gives a traceback. Wrong flags give exit code 2. Whatever a verb needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys

from shotover import __version__
from shotover.config.errors import ConfigError
from shotover.runtime.flags import CONFIG_FILE, TOPOLOGY_FILE, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from shotover.runtime.assemble import Loaded

WORKERS_MAX = 256

EPILOG = """verbs:
  run             serve a topology (the verb when none is given)
  check           say everything that is wrong with the files; exit 1 if anything is
  explain         print the topology with names derived and defaults filled in
  plan            say what a topology would change in a running process
  apply           bring it into force there, with no connection lost
  history         what has been in force
  rollback        bring what was before into force again
  top             show what a running process does
  docs [NAME]     print the page of a source, transform or sink; without NAME list them
  reseal          write values of protected columns again, under the key of today
  service         install it as a service of this host's systemd
  completion      print what bash, zsh or fish completes, or the man page

`shotover VERB --help` says more about a verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = "run"
    if arguments and arguments[0] in VERBS:
        verb = arguments.pop(0)
    try:
        return VERBS[verb](arguments)
    except ConfigError as error:
        report(error)
        return 1
    except ImportError as error:
        if not (error.name or "").startswith("shotover."):
            raise
        report(
            ConfigError(
                [
                    f"{error.name} is missing: the compiled part was not built for this "
                    "Python; `pip install .` in the source folder builds it"
                ]
            )
        )
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `shotover explain | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def report(error: ConfigError) -> None:
    """Print what is wrong, a line each, on standard error."""
    for line in error.lines:
        print(f"shotover: {line}" if len(error.lines) == 1 else line, file=sys.stderr)
    if len(error.lines) > 1:
        print(f"shotover: {len(error.lines)} problems", file=sys.stderr)


def run(arguments: list[str]) -> int:
    """Serve until told to stop."""
    options = run_parser("run").parse(arguments)
    find_files(options)
    from shotover.config.apart import Apart

    files = Apart(filter(None, [options.topology_file, options.config_file]))
    from shotover.observability import log
    from shotover.runtime.assemble import load as load_files
    from shotover.runtime.privileges import protect_memory
    from shotover.runtime.supervisor import Supervisor, load_worker

    worker_class = load_worker()
    loaded = load_files(options.topology_file, options.config_file, tree_of=files.load)
    try:
        log.setup(options.log_format, loaded.process.main_log_level)
    except log.FilterError as error:
        raise ConfigError([str(error)]) from None
    log.catch_crashes()
    protect_memory(loaded.process)
    logger = log.get("shotover")
    logger.info(f"Shotover {__version__} is starting", topology=options.topology_file)
    for flag, why in ignored_flags(options):
        logger.warning(f"{flag} has no effect: {why}")
    supervisor = Supervisor(
        loaded,
        options.core_threads,
        options.poller,
        worker_class,
        options.watch,
        hotreload(options),
    )
    return supervisor.run()


def check(arguments: list[str]) -> int:
    """Say everything that is wrong with the files; nothing is opened or connected."""
    options = run_parser("check", check.__doc__ or "").parse(arguments)
    loaded = load(options)
    count = len(loaded.topology.sources)
    print(f"{options.topology_file}: ok ({count} source{'' if count == 1 else 's'})")
    return 0


def explain(arguments: list[str]) -> int:
    """Print the topology with names derived, defaults filled in and secrets hidden."""
    options = run_parser("explain", explain.__doc__ or "").parse(arguments)
    loaded = load(options)
    from shotover.runtime.explain import explain as text

    sys.stdout.write(text(loaded))
    return 0


def docs(arguments: list[str]) -> int:
    """Print the pages of sources, transforms and sinks; without NAME list them."""
    parser = Parser(prog="shotover docs", description=docs.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="as a topology names it")
    names = parser.parse(arguments).names
    from shotover.runtime import manual

    try:
        pages = [manual.page(name) for name in names] or [manual.index()]
        sys.stdout.write("\n".join(pages))
    except LookupError as error:
        raise ConfigError([str(error.args[0])]) from None
    return 0


def reseal(arguments: list[str]) -> int:
    """Write the values of protected columns again, through a Shotover that runs, so that they are sealed under the key of today.
    It can be stopped at any time, and goes on where it was. The page Protect tells more."""
    parser = run_parser("reseal", reseal.__doc__ or "")
    parser.epilog = "A password is read from the variable SHOTOVER_PASSWORD."
    parser.add_argument(
        "--via", metavar="HOST:PORT", help="the Shotover (default: where the topology listens)"
    )
    parser.add_argument("--table", action="append", metavar="KEYSPACE.TABLE", help="these alone")
    parser.add_argument(
        "--progress",
        default="reseal.json",
        metavar="FILE",
        help="where it has come to (default %(default)s)",
    )
    parser.add_argument("--rows", type=positive, metavar="N", help="stop after so many rows")
    parser.add_argument("--rows-per-second", type=positive, metavar="N", help="at most")
    parser.add_argument(
        "--page-rows",
        type=positive,
        default=200,
        metavar="N",
        help="asked for at a time (default %(default)s)",
    )
    parser.add_argument("--username", metavar="NAME", help="logs in")
    parser.add_argument("--tls-ca", metavar="FILE", help="speak TLS, and believe this authority")
    options = parser.parse(arguments)
    loaded = load(options)
    from shotover.runtime import reseal_verb

    return reseal_verb.run(loaded, options)


def plan(arguments: list[str]) -> int:
    """Say what a topology would change in a running process; nothing is changed."""
    from shotover.runtime import remote

    return remote.plan(arguments)


def apply(arguments: list[str]) -> int:
    """Bring a topology into force in a running process."""
    from shotover.runtime import remote

    return remote.apply(arguments)


def history(arguments: list[str]) -> int:
    """List the configurations that have been in force in a running process."""
    from shotover.runtime import remote

    return remote.history(arguments)


def rollback(arguments: list[str]) -> int:
    """Bring an earlier configuration into force again."""
    from shotover.runtime import remote

    return remote.rollback(arguments)


def service(arguments: list[str]) -> int:
    """Install Shotover as a service of this host: a systemd unit that shuts it in, a user of its own, two files to begin with.
    Files of yours are left as they are."""
    parser = Parser(prog="shotover service", description=service.__doc__)
    parser.add_argument("what", choices=("install",), help="there is but this")
    parser.add_argument("--dry-run", action="store_true", help="print what would be written")
    parser.add_argument("--root", metavar="DIR", help="write below this folder, as for an image")
    parser.add_argument(
        "--user", default="shotover", metavar="NAME", help="that it runs as (default %(default)s)"
    )
    parser.add_argument(
        "--program", metavar="FILE", help="what is started (default: shotover of this Python)"
    )
    parser.add_argument(
        "--core-threads",
        type=worker_count,
        default=1,
        metavar="N",
        help="worker threads (default 1)",
    )
    options = parser.parse(arguments)
    from shotover.runtime import grammar
    from shotover.runtime import service as services

    return services.install(options, grammar.verbs(VERBS), __version__)


def completion(arguments: list[str]) -> int:
    """Print what a shell needs to complete command lines of shotover: bash, zsh or fish. Or print the manual page: man."""
    from shotover.runtime import completion as scripts
    from shotover.runtime import grammar, manpage

    parser = Parser(prog="shotover completion", description=completion.__doc__)
    parser.add_argument("what", choices=(*scripts.SHELLS, "man"), help="for whom")
    what = parser.parse(arguments).what
    verbs = grammar.verbs(VERBS)
    sys.stdout.write(
        manpage.page(verbs, __version__) if what == "man" else scripts.script(what, verbs)
    )
    return 0


def top(arguments: list[str]) -> int:
    """Show what a running process does."""
    from shotover.runtime import top as view

    return view.run(arguments)


VERBS: dict[str, Callable[[list[str]], int]] = {
    "run": run,
    "check": check,
    "explain": explain,
    "plan": plan,
    "apply": apply,
    "history": history,
    "rollback": rollback,
    "top": top,
    "docs": docs,
    "reseal": reseal,
    "service": service,
    "completion": completion,
}
Parser.verbs = tuple(VERBS)


def load(options: argparse.Namespace) -> Loaded:
    """Read and check the files named."""
    find_files(options)
    from shotover.runtime.assemble import load as load_files

    return load_files(options.topology_file, options.config_file)


def find_files(options: argparse.Namespace) -> None:
    """Fill in the files' default places; a config file that is only a default may be absent."""
    if options.config_file is None and os.path.exists(CONFIG_FILE):
        options.config_file = CONFIG_FILE
    if options.topology_file is None:
        options.topology_file = TOPOLOGY_FILE
        if not os.path.exists(TOPOLOGY_FILE):
            raise ConfigError([f"{TOPOLOGY_FILE}: no such file; name a topology with -t FILE"])


def run_parser(verb: str, description: str = "") -> Parser:
    """The flags of `run`. Other verbs take them all, so that a command line can be checked as it
    is."""
    serving = verb == "run"
    parser = Parser(
        prog="shotover" if serving else f"shotover {verb}",
        allow_abbrev=False,
        description=description or "A fast, configurable, extensible data-layer proxy.",
        epilog=EPILOG if serving else "The other flags of `shotover run` are accepted, too.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-t",
        "--topology-file",
        metavar="FILE",
        help=f"sources and their chains (default {TOPOLOGY_FILE})",
    )
    parser.add_argument(
        "-c",
        "--config-file",
        metavar="FILE",
        help=f"settings of the process (default {CONFIG_FILE}, if it is there)",
    )

    def add(*names: str, **options: Any) -> None:
        if not serving:
            options["help"] = argparse.SUPPRESS
        parser.add_argument(*names, **options)

    add(
        "--core-threads",
        type=worker_count,
        default=1,
        metavar="N",
        help="worker threads (default 1)",
    )
    add("--log-format", choices=("human", "json"), default="human")
    add(
        "--poller",
        choices=("auto", "io_uring", "epoll"),
        default="auto",
        help="how workers wait for the network (default auto)",
    )
    add(
        "--watch",
        action="store_true",
        help="bring the files into force when they change (SIGHUP does it at once, with or without this)",
    )
    add(
        "--hotreload-socket",
        metavar="PATH",
        help="takes the place of the process that was started with the same, without a gap",
    )
    add(
        "--hotreload-gradual-shutdown-seconds",
        type=seconds,
        default=60.0,
        metavar="N",
        help="... which is rid of its clients within that time (default 60)",
    )
    for flag, _attribute, _why in IGNORED:
        add(flag, metavar="X", help="accepted, has no effect")
    parser.add_argument("-V", "--version", action="version", version=f"shotover {__version__}")
    return parser


def worker_count(text: str) -> int:
    """The value of --core-threads."""
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:5]) <= WORKERS_MAX:
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to {WORKERS_MAX}, got {text}")
    return int(text)


def positive(text: str) -> int:
    """A number of rows."""
    if not (text.isascii() and text.isdecimal()) or not int(text[:18]) >= 1:
        raise argparse.ArgumentTypeError(f"expected an integer above 0, got {text}")
    return int(text)


def seconds(text: str) -> float:
    """A number of them."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to 86400, got {text}")
    return value


IGNORED = (("--stack-size", "stack_size", "workers need no large stacks"),)


def hotreload(options: argparse.Namespace) -> tuple[str, float] | None:
    """Where processes meet that follow each other, and how long the one before may take to end."""
    if options.hotreload_socket is None:
        return None
    return options.hotreload_socket, options.hotreload_gradual_shutdown_seconds


def ignored_flags(options: argparse.Namespace) -> list[tuple[str, str]]:
    """(flag, why) for each flag given that has no effect."""
    return [
        (flag, why) for flag, attribute, why in IGNORED if getattr(options, attribute) is not None
    ]
