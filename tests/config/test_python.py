"""`Python` and packaged transforms as a topology names them, up to the class that will run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from shotover.config.errors import ConfigError
from shotover.config.fields import integer
from shotover.config.models import Model
from shotover.runtime import catalogue, manual
from shotover.transforms.base import Transform, problem_with
from shotover.transforms.python import load_class

FILE = "class Upper:\n    'Shouts.'\n\nvalue = 5\n"
AT = "topology.yaml:5: sources[0].chain[0]"


class Whisper:
    """Answers in lower case. Loudly."""

    class Config(Model):
        volume: int = integer(minimum=0, maximum=10, default=3)


class Free:
    """Takes anything."""


def entry_point(name: str, load) -> SimpleNamespace:
    return SimpleNamespace(name=name, value=f"package:{name}", load=load)


@pytest.fixture
def packaged(monkeypatch):
    def broken():
        raise RuntimeError("no such library")

    points = {"Whisper": lambda: Whisper, "Free": lambda: Free, "Broken": broken, "Five": lambda: 5}
    found = {name: entry_point(name, load) for name, load in points.items()}
    monkeypatch.setattr(catalogue, "_entry_points", lambda: found)


@pytest.fixture
def start_worker():
    """Builds a step as a worker would."""
    from shotover._proxy.worker import Worker
    from shotover.runtime.assemble import BuildContext

    def start(step):
        return BuildContext(Worker(0), "redis", "redis", "redis", {}).chain(
            "redis", [step], root=True
        )

    return start


def test_a_file_is_found_beside_its_topology(config):
    (config.folder / "t.py").write_text(FILE)
    step = config.step("Python: {path: t.py, class: Upper, config: {a: [1, '2', null]}}")
    assert step.config == {"a": [1, "2", None]}
    assert load_class(step.file, step.class_, step.place).__doc__ == "Shouts."


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("path: no.py, class: A", ".Python.path: no.py: no such file or directory"),
        ("path: bad.py, class: A", ".Python.path: bad.py:2: not Python: invalid syntax"),
        ("path: t.py, class: 'A B'", ".Python.class: expected the name of a class, got A B"),
        ("path: t.py", ".Python: required field class is missing"),
        ("path: t.py, class: A, config: 5", ".Python.config: expected a map, got 5"),
    ],
)
def test_what_can_be_found_without_running_it_is_found(config, fields, problem):
    (config.folder / "t.py").write_text(FILE)
    (config.folder / "bad.py").write_text("x = 1\nx = = 2\n")
    assert config.chain_errors(f"[Python: {{{fields}}}, NullSink]") == [AT + problem]


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (FILE, "Uper", "no class is named Uper in t.py, did you mean Upper?"),
        (FILE, "value", "no class is named value in t.py, expected Upper"),
        ("x = 1\n", "A", "no class is named A in t.py, there is none in it"),
        ("raise OSError('no disk')\n", "A", "t.py cannot be imported: OSError: no disk (t.py:1)"),
        (
            "\nimport nothing_like_this\n",
            "A",
            "t.py cannot be imported: ModuleNotFoundError: No module named 'nothing_like_this' (t.py:2)",
        ),
    ],
)
def test_a_file_without_the_class_says_what_it_has(config, text, name, words):
    (config.folder / "t.py").write_text(text)
    step = config.step(f"Python: {{path: t.py, class: {name}}}")
    with pytest.raises(ConfigError) as caught:
        load_class(step.file, step.class_, step.place)
    (line,) = caught.value.lines
    assert line.startswith(f"{AT}.Python")
    assert line.endswith(words)


HOOKS = {  # a class body, and what is wrong with it
    "pass": "T has no hook: define on_request, on_requests, on_reply or on_replies",
    "def on_requst(self, request): ...": "T has no hook: define on_request, on_requests, on_reply "
    "or on_replies",
    "def on_request(self): ...": "T.on_request must take (self, request)",
    "def on_request(self, request, more): ...": "T.on_request must take (self, request)",
    "def on_request(self, request, *, more): ...": "T.on_request must take (self, request)",
    "def on_reply(self, reply): ...": "T.on_reply must take (self, request, reply)",
    "async def on_replies(self, request, reply): ...": "T.on_replies must take (self, batch)",
    "on_request = on_requests = lambda self, x: None": "T defines both on_request and on_requests: keep one of them",
    "def on_request(self, request, more=None, *, other=1): ...": None,
    "def on_reply(self, *args): ...": None,
    "on_request = print": None,
    "@staticmethod\n    def on_request(request): ...": None,
}


@pytest.mark.parametrize(("body", "problem"), HOOKS.items(), ids=HOOKS.keys())
def test_hooks_that_cannot_be_called_are_found_before_traffic_comes(body, problem):
    scope: dict = {"Transform": Transform}
    exec(f"class T(Transform):\n    {body}\n", scope)
    assert problem_with(scope["T"]) == problem


def test_a_class_that_cannot_be_made_says_where(config, start_worker):
    (config.folder / "t.py").write_text(
        "from shotover import Transform\n\n\nclass T(Transform):\n"
        "    def __init__(self, config):\n        self.n = config['n']\n\n"
        "    def on_request(self, request): ...\n"
    )
    step = config.step("Python: {path: t.py, class: T}")
    with pytest.raises(ConfigError) as caught:
        start_worker(step)
    assert caught.value.lines == [f"{AT}.Python: T cannot be made: KeyError: 'n' (t.py:6)"]


def test_a_packaged_transform_is_named_like_any_other(config, packaged):
    step = config.step("Whisper: {volume: 7, max_held: 9}")
    assert (step.name, step.max_held, step.config.volume) == ("whisper", 9, 7)
    assert config.step("Whisper").config.volume == 3
    assert config.step("Free: {any: {thing: 1}}").config == {"any": {"thing": 1}}


def test_its_own_model_checks_its_fields(config, packaged):
    assert config.chain_errors("[Whisper: {volume: 11, volum: 1}, NullSink]") == [
        f"{AT}.Whisper.volume: expected an integer from 0 to 10, got 11",
        f"{AT}.Whisper.volum: unknown field, did you mean volume?",
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "Broken",
            "transform Broken (package:Broken) cannot be imported: RuntimeError: no such library",
        ),
        ("Five", "transform Five (package:Five) is neither a TransformConfig nor a Transform"),
        ("Wisper", "unknown transform Wisper, did you mean Whisper?"),
    ],
)
def test_entry_points_that_give_nothing_usable(config, packaged, name, problem):
    assert config.chain_errors(f"[{name}, NullSink]") == [f"{AT}: {problem}"]


def test_the_page_of_a_broken_package_says_what_is_wrong(packaged):
    with pytest.raises(LookupError, match=r"Broken .* cannot be imported: RuntimeError"):
        manual.page("Broken")


def test_the_list_of_docs_survives_a_broken_package(packaged):
    lines = manual.index().splitlines()
    assert any(line.split(maxsplit=1) == ["Whisper", "Answers in lower case."] for line in lines)
    assert any(line.startswith("Broken ") and "cannot be imported" in line for line in lines)


def test_built_in_names_never_search_for_packages(config, monkeypatch):
    def fail():
        raise AssertionError("searched")

    monkeypatch.setattr(catalogue, "_entry_points", fail)
    assert config.step("QueryCounter").name == "query-counter"
