"""What a type checker is told of a compiled module is what the module has: no more, no less."""

from __future__ import annotations

import ast
import importlib
import inspect
from types import ModuleType

import pytest

import shotover
from tidy.sources import files, module_of

STUBS = {module_of(path): path for path in files(".pyi", under="shotover")}


def told(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Public names of a stub, or of a class in it."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return {name: node for name, node in found.items() if not name.startswith("_")}


def had(module: ModuleType) -> set[str]:
    """Its own public classes and functions."""
    return {
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        and (isinstance(value, type) or callable(value))
    }  # fmt: skip


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_tells_what_is_there(name: str) -> None:
    module = importlib.import_module(name)
    names = told(ast.parse(STUBS[name].read_text()).body)
    assert not [each for each in names if not hasattr(module, each)], "the stub knows more"
    assert had(module) <= set(names), "the stub knows less"
    for each, node in names.items():
        if isinstance(node, ast.ClassDef):
            public = {
                attribute
                for attribute in vars(getattr(module, each))
                if not attribute.startswith("_")
            }
            assert set(told(node.body)) == public, f"class {each}"
            for method, inner in told(node.body).items():
                check_parameters(getattr(getattr(module, each), method), inner)
        else:
            check_parameters(getattr(module, each), node)


def check_parameters(function: object, node: ast.stmt) -> None:
    """The names of parameters, where the compiled function tells them."""
    if not isinstance(node, ast.FunctionDef) or any(map(ast.unparse, node.decorator_list)):
        return
    try:
        parameters = list(inspect.signature(function).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return
    arguments = node.args
    named = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    named += [each.arg for each in (arguments.vararg, arguments.kwarg) if each]
    assert sorted(set(named) - {"self"}) == sorted(set(parameters) - {"self"}), node.name


def test_every_compiled_class_that_is_public_has_a_stub() -> None:
    lacking = {
        home for name in shotover.__all__
        if isinstance(value := getattr(shotover, name), type) and (home := value.__module__).split(".")[1].startswith("_")
        and home not in STUBS
    }  # fmt: skip
    assert not lacking
