"""Transform `Python`: a transform written in Python, from a file or an installed package."""

from __future__ import annotations

import os
import sys

from shotover.config.errors import ConfigError, Problem, suggestion
from shotover.config.fields import HIDDEN, Field, Settings, integer, text
from shotover.config.models import Model
from shotover.config.reading import INVALID, Invalid, Secret
from shotover.config.source import Mapping, Node
from shotover.config.steps import ChainConfig, TransformConfig, read_chain
from shotover.transforms.base import HOOKS, problem_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.config.reading import Reader
    from shotover.config.steps import StepConfig
    from shotover.runtime.assemble import BuildContext

CHAINS_MAX = 32
CO_COROUTINE = 0x80  # as in the module inspect, which costs 10 ms to import
OWN_FIELDS = ("name", "max_held", "hold_timeout_ms")
SECRET_WORDS = ("password", "passwd", "secret", "token", "credential", "private", "api_key")


class CodeSettings(Settings):
    """A free map for code of the user's; what is named like a secret, or came from a file, is not shown."""

    secrets = True

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        return _with_secrets(super().read(node, place, reader))

    def plain(self, value: Any) -> Any:
        return _without_secrets(value)


class ChainsField(Field):
    """A map of names to lists of steps."""

    kind = "a map of names to lists of transforms"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        mapping = reader.mapping(node, place, self.expected)
        if isinstance(mapping, Invalid):
            return mapping
        if len(mapping.entries) > CHAINS_MAX:
            return reader.add(
                place, f"expected at most {CHAINS_MAX} chains, got {len(mapping.entries)}"
            )
        found = {
            name: read_chain(child, place.child(name, mapping.lines[name]), reader)
            for name, child in mapping.entries.items()
        }
        return INVALID if any(isinstance(chain, Invalid) for chain in found.values()) else found

    def plain(self, value: Any) -> Any:
        return dict(value)


def held_max() -> Any:
    return integer(minimum=1, maximum=1_000_000, default=1024, doc="most requests held at once")


def held_timeout() -> Any:
    return integer(
        minimum=1,
        maximum=3_600_000,
        default=30_000,
        doc="milliseconds a request may be held before it is answered with an error",
    )


class PythonConfig(TransformConfig, tag="Python"):
    """Runs a transform written in Python: a subclass of `shotover.Transform`.

    `path` names a Python file, relative to the topology file; `class` the class in it. `config`
    is handed to the class as it is. At most `max_held` requests may be held by it at once (by
    hooks that are `async`, or that release requests later), none for longer than
    `hold_timeout_ms`; those beyond are answered with an error. The transform may send requests
    into one of its `chains` instead of down the chain it is in.

    A transform of an installed package needs no `path`: a package names it in the entry point
    group `shotover.transforms`, and a topology by that name, with its settings as fields.
    """

    protocols = frozenset({"redis", "cassandra"})

    path: str = text(doc="Python file, relative to the topology file")
    class_: str = text(key="class", doc="class in that file")
    config: dict[str, Any] = CodeSettings(  # type: ignore[assignment]
        default={}, doc="any map; the class has it as `self.config`"
    )
    max_held: int = held_max()
    hold_timeout_ms: int = held_timeout()
    chains: dict[str, ChainConfig] = ChainsField(  # type: ignore[assignment]
        default={}, doc="chains by name, each a list of steps, for `request.send(name)`; at most 32"
    )

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        return [(f"{self.name}.{name}", steps) for name, steps in self.chains.items()]

    @property
    def file(self) -> str:
        """The Python file, found from the topology that names it."""
        return os.path.join(os.path.dirname(self.place.file), self.path)

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if not self.path or not self.class_:
            return
        if not self.class_.isidentifier():
            yield f"expected the name of a class, got {self.class_}", "class_"
        try:
            with open(self.file, "rb") as stream:
                source = stream.read()
            compile(source, self.file, "exec", dont_inherit=True)
        except OSError as error:
            yield f"{self.file}: {(error.strerror or str(error)).lower()}", "path"
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            yield f"{self.file}:{line or 1}: not Python: {getattr(error, 'msg', error)}", "path"

    def build(self, context: BuildContext) -> Step:
        transform = load_class(self.file, self.class_, self.place)
        problem = problem_with(transform)
        if problem is not None:
            place = self.place.child("class", self.place_of("class_").line)
            raise ConfigError([Problem(place, f"{self.file}: {problem}")])
        chains = {
            name: context.chain(f"{self.name}.{name}", steps) for name, steps in self.chains.items()
        }
        return _build(context, self, transform, chains)


class PackagedConfig(TransformConfig):
    """Base of the models made for entry points that name a `shotover.Transform`.

    Every field but `name`, `max_held` and `hold_timeout_ms` goes to the class as its config.
    """

    protocols = frozenset({"redis", "cassandra"})

    transform: ClassVar[type]
    config_model: ClassVar[type[Model] | None] = None

    max_held: int = held_max()
    hold_timeout_ms: int = held_timeout()
    config: Any = CodeSettings(default={}, doc="settings handed to the class")

    @classmethod
    def read(cls, node: Mapping, place: Place, reader: Reader, **extra: Any) -> PackagedConfig:
        own, free = Mapping(node.line), Mapping(node.line)
        for key, child in node.entries.items():
            target = own if key in OWN_FIELDS else free
            target.entries[key], target.lines[key] = child, node.lines[key]
        model = super().read(own, place, reader, **extra)
        if cls.config_model is not None:
            config: Any = cls.config_model.read(free, place, reader)
        else:
            config = _with_secrets(reader.plain(free, place, secret=True))
        model.__dict__["config"] = {} if isinstance(config, Invalid) else config
        return model

    def build(self, context: BuildContext) -> Step:
        problem = problem_with(self.transform)
        if problem is not None:
            raise ConfigError([Problem(self.place, problem)])
        return _build(context, self, self.transform, {})


def model_for(name: str, transform: type) -> type[StepConfig]:
    """The model of a packaged transform; a nested class `Config` that is a Model checks it."""
    config_model = getattr(transform, "Config", None)
    is_model = isinstance(config_model, type) and issubclass(config_model, Model)
    body = {
        "__doc__": transform.__doc__ or "",
        "__module__": transform.__module__,
        "transform": transform,
        "config_model": config_model if is_model else None,
    }
    return type(f"{transform.__name__}Config", (PackagedConfig,), body, tag=name)


def load_class(file: str, name: str, place: Place) -> type:
    """The class `name` of a Python file; whatever its import raises becomes a ConfigError."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"shotover_transform_{hash(os.path.abspath(file)):x}", file)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code: anything may come out of it
        message = f"{file} cannot be imported: {_told(error)}"
        raise ConfigError([Problem(place, message)]) from error
    found = getattr(module, name, None)
    if isinstance(found, type):
        return found
    classes = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    hint = suggestion(name, classes) if classes else "there is none in it"
    message = f"no class is named {name} in {file}, {hint}"
    raise ConfigError([Problem(place.child("class"), message)])


def _build(context: BuildContext, model: Any, transform: type, chains: dict[str, Any]) -> Step:
    from shotover._proxy.python_step import PythonStep

    if any(_is_async(getattr(transform, hook, None)) for hook in HOOKS):
        _import_tasks()  # 100 ms that no request should wait for
    try:
        return PythonStep(
            context,
            name=model.name,
            transform=transform,
            config=model.config,
            max_held=model.max_held,
            hold_timeout_ms=model.hold_timeout_ms,
            chains=chains,
            make_tasks=_make_tasks,
        )
    except Exception as error:  # the user's own constructor: anything may come out of it
        message = f"{transform.__name__} cannot be made: {_told(error)}"
        raise ConfigError([Problem(model.place, message)]) from error


def _told(error: Exception) -> str:
    """What the user's code has raised, and where."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and not file.endswith(".pyx"):
            where = f" ({os.path.relpath(file)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{where}"


def _is_async(hook: Any) -> bool:
    code = getattr(hook, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def _import_tasks() -> Any:
    from shotover.transforms import tasks

    return tasks


def _make_tasks(name: str, finish: Any) -> Any:
    return _import_tasks().Tasks(name, finish)


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET_WORDS)


def _with_secrets(value: Any, secret: bool = False) -> Any:
    """Texts that are named like a secret become such, lest the class shows them with the rest of its config."""
    if isinstance(value, dict):
        return {key: _with_secrets(item, secret or _is_secret(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_secrets(item, secret) for item in value]
    return Secret(value) if secret and isinstance(value, str) else value


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, dict):
        return {
            key: HIDDEN if _is_secret(key) else _without_secrets(item)
            for key, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
