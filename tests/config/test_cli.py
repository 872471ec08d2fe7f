"""The command line as a user meets it: words, exit codes, and what it costs to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shotover import __version__
from shotover.cli import VERBS, main

ROOT = Path(__file__).parents[2]
SOUND = """\
sources:
  - Redis:
      name: cache
      listen_addr: 127.0.0.1:6379
      chain: [QueryCounter, NullSink]
"""


@pytest.fixture
def topology(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str = SOUND, name: str = "t.yaml") -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return name

    return write


def test_check_says_ok(topology, capsys):
    assert main(["check", "-t", topology()]) == 0
    assert capsys.readouterr().out == "t.yaml: ok (1 source)\n"


def test_check_says_everything_that_is_wrong(topology, capsys):
    file = topology("sources: [Redis: {listen_addr: 'h', chain: [NullSin]}]")
    config = topology("main_log_level: 1x\n", "c.yaml")
    assert main(["check", "-t", file, "-c", config]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "c.yaml:1: main_log_level: bad log directive '1x': expected a level (off, error, warn, "
        "info, debug, trace) or target=level",
        "t.yaml:1: sources[0].listen_addr: expected host:port, [IPv6]:port or unix:/path "
        "(unix:/path?mode=0660 sets its permissions), got h: the port is missing",
        "t.yaml:1: sources[0].chain[0]: unknown transform NullSin, did you mean NullSink?",
        "shotover: 3 problems",
    ]


def test_files_default_to_the_folder_config(topology, capsys):
    topology(SOUND, "config/topology.yaml")
    topology("main_log_level: nope\n", "config/config.yaml")
    assert main(["check"]) == 1
    assert capsys.readouterr().err.startswith("shotover: config/config.yaml:1: main_log_level: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "shotover: config/topology.yaml: no such file; name a topology with -t FILE"),
        (["-t", "no.yaml"], "shotover: no.yaml: no such file"),
        (["-t", "t.yaml", "-c", "no.yaml"], "shotover: no.yaml: no such file"),
        (["-t", "."], "shotover: .: cannot be read: is a directory"),
    ],
)
@pytest.mark.parametrize("verb", [[], ["run"], ["check"], ["explain"]])
def test_a_missing_file_is_one_clear_line(topology, capsys, verb, arguments, line):
    topology()
    assert main([*verb, *arguments]) == 1
    assert capsys.readouterr().err == line + "\n"


def test_explain_prints_a_topology(topology, capsys):
    assert main(["explain", "--topology-file", topology()]) == 0
    explained = capsys.readouterr().out
    assert "counter_name: query-counter  # default" in explained
    assert main(["check", "-t", topology(explained)]) == 0


def test_docs_without_a_name_lists_what_there_is(capsys):
    assert main(["docs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 16
    assert any(line.startswith("Tee ") and line.endswith(".") for line in lines)


@pytest.mark.parametrize(("arguments", "verb"), [(["docs", "Te"], "Tee"), (["docs", "tee"], "Tee")])
def test_docs_suggests_the_nearest(capsys, arguments, verb):
    assert main(arguments) == 1
    wrong = arguments[1]
    assert capsys.readouterr().err == (
        f"shotover: nothing is named {wrong}, did you mean {verb}?\n"
    )


@pytest.mark.parametrize("name", ["Kafka", "KafkaSinkSingle", "OpenSearchSinkSingle"])
def test_docs_says_what_is_not_there_yet(capsys, name):
    assert main(["docs", name]) == 1
    assert capsys.readouterr().err == f"shotover: {name} is not supported yet by this version\n"


def test_docs_prints_several_pages(capsys):
    assert main(["docs", "NullSink", "Valkey"]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("# ")]
    assert titles == ["# NullSink", "# Redis (also Valkey), a source"]


def test_docs_prints_the_guides_too(capsys):
    assert main(["docs", "topology"]) == 0
    assert capsys.readouterr().out.startswith("# Topology files\n")
    assert main(["docs", "topologie"]) == 1
    assert "did you mean topology?" in capsys.readouterr().err


def test_docs_reads_no_file_but_its_own(capsys):
    assert main(["docs", "../cli"]) == 1
    assert "nothing is named" in capsys.readouterr().err


def test_the_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["-V"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"shotover {__version__}\n"


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {verb}" in text for verb in VERBS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--core-threads", "0"], "expected an integer from 1 to 256, got 0"),
        (["--core-threads", "x"], "expected an integer from 1 to 256, got x"),
        (["--poller", "kqueu"], "invalid choice: 'kqueu'"),
        (["--nonsense"], "shotover: unknown flag --nonsense"),
        (["--nonsense=5"], "shotover: unknown flag --nonsense"),
        (
            ["--core-thread", "2"],
            "shotover: unknown flag --core-thread, did you mean --core-threads?",
        ),
        (["check", "--topology", "t"], "unknown flag --topology, did you mean --topology-file?"),
        (["-t"], "shotover: argument -t/--topology-file: expected one argument"),
        (["chekc"], "shotover: unknown verb chekc, did you mean check?"),
        (
            ["begin"],
            f"shotover: unknown verb begin, there are {', '.join(VERBS)}",
        ),
        (["-t", "a.yaml", "check"], "shotover: check is a verb and goes first: shotover check ..."),
        (["my/topology.yaml"], "shotover: a topology is named with -t: -t my/topology.yaml"),
    ],
)
def test_wrong_flags_and_verbs_exit_with_2(capsys, arguments, words):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert words in first
    assert second.endswith("--help` says what there is")


def test_check_and_explain_take_the_flags_of_run(topology, capsys):
    flags = [
        "--core-threads",
        "4",
        "--log-format",
        "json",
        "--poller",
        "epoll",
        "--stack-size",
        "1",
        "--hotreload-socket",
        "s",
    ]
    for verb in ("check", "explain"):
        assert main([verb, "-t", topology(), *flags]) == 0
        assert capsys.readouterr().out


HEAVY = (
    "dataclasses",
    "logging",
    "asyncio",
    "click",
    "typing",
    "http",
    "socket",
    "ssl",
    "inspect",
    "subprocess",
    "unittest",
    "prometheus_client",
    "importlib.metadata",
    "json",
    "difflib",
)


def loaded_by(code: str, *watched: str) -> list[str]:
    """Which of the watched modules a fresh interpreter has after running `code`."""
    script = f"import sys\n{code}\nprint(*[n for n in {watched!r} if n in sys.modules])"
    # -S: what a site's own .pth files import is none of ours.
    result = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join([str(ROOT), *site_packages()])},
    )
    return result.stdout.splitlines()[-1].split()


def site_packages() -> list[str]:
    return [path for path in sys.path if path.endswith("site-packages")]


def test_the_command_line_imports_nothing_heavy():
    assert loaded_by("import shotover.cli", *HEAVY, "yaml", "shotover.runtime.assemble") == []


def test_loading_a_topology_imports_nothing_heavy(topology):
    path = Path(topology()).absolute()
    code = f"from shotover.runtime.assemble import load; load({str(path)!r}, None)"
    assert loaded_by(code, *HEAVY) == []


def test_the_supervisor_imports_nothing_heavy():
    assert loaded_by("import shotover.runtime.supervisor", *HEAVY) == []


def test_only_the_models_a_topology_names_are_imported(topology):
    path = Path(topology()).absolute()
    code = f"from shotover.runtime.assemble import load; load({str(path)!r}, None)"
    models = ["query_counter", "null_sink", "tee", "python", "coalesce"]
    assert loaded_by(code, *[f"shotover.transforms.{name}" for name in models]) == [
        "shotover.transforms.query_counter",
        "shotover.transforms.null_sink",
    ]
