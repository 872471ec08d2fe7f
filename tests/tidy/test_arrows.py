"""Who may import whom: the folders stand in an order, and one knows only those beneath it."""

from __future__ import annotations

import pytest

from tidy.sources import CYTHON, files, imports, module_of, shown

DATA = ("_core", "_codec", "_net", "_proxy")
BENEATH = {
    "_core": {"_core"},
    "_codec": {"_core", "_codec"},
    "_net": {"_core", "_net"},
    "_proxy": {*DATA},
    "_sim": {*DATA, "_sim"},
    "config": {"_net", "config"},  # certificates are read as they will be used
    "observability": {"_core", "observability"},
    "sources": {"config", "sources"},
    "transforms": {
        *DATA,
        "config",
        "transforms",
        "",
    },  # "": the public names, which Python guests import
    "sinks": {*DATA, "config", "sinks"},
    "runtime": {
        *DATA,
        "_sim",
        "config",
        "observability",
        "sources",
        "transforms",
        "sinks",
        "runtime",
    },
    "cli": {"config", "observability", "runtime", "cli", ""},
    "__main__": {"cli"},
    "benchmark": {"_net", "benchmark", "cli", ""},  # its clients speak TLS, too
    "": {"_codec", "_proxy", "config", "transforms"},
}
UPWARDS = {
    "shotover/_proxy/worker.pyx: config": "takes an address as text and has it read; should be given one that is read",
}
"""Arrows that still point up, each with what is wrong about it. None may be added without a reason."""
HELPERS = {"base", "tasks", "python", "conditions"}
"""Modules in transforms/ that are no transform: what guests in Python stand on, and fields that several share."""
PARTED = ("audit", "key_router", "request_throttling")
"""Transforms in several parts: the names of these begin with theirs."""


def room(module: str) -> str:
    """ "_codec" of shotover._codec.resp; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


ALL = files(".py", *CYTHON, under="shotover")


def test_the_order_of_the_rooms_is_told_for_each() -> None:
    assert {room(module_of(path)) for path in ALL} == set(BENEATH)
    below = {
        name: {other for other in rooms if other and other != name}
        for name, rooms in BENEATH.items()
        if name
    }
    placed: set[str] = set()
    while below:
        ready = {name for name, rooms in below.items() if rooms <= placed}
        assert ready, f"a circle among {sorted(below)}"
        placed |= ready
        below = {name: rooms for name, rooms in below.items() if name not in ready}


def test_arrows_point_down() -> None:
    wrong, excused = [], set()
    for path in ALL:
        for line, module in imports(path):
            key = f"{shown(path)}: {room(module)}"
            if key in UPWARDS:
                excused.add(key)
            elif room(module) not in BENEATH[room(module_of(path))]:
                wrong.append(f"{shown(path)}:{line} imports {module}")
    assert not wrong, "arrows that do not point down:\n" + "\n".join(wrong)
    assert excused == set(UPWARDS), f"no longer needed: {set(UPWARDS) - excused}"


@pytest.mark.parametrize("folder", ["transforms", "sinks"])
def test_a_step_knows_no_other_step(folder: str) -> None:
    """x.py knows _x; _x_part and _x may know each other; nobody else of the folder."""
    wrong = []
    for path in files(".py", *CYTHON, under=f"shotover/{folder}"):
        own = path.stem.lstrip("_")
        for line, module in imports(path):
            other = module.rpartition(".")[2].lstrip("_")
            if (
                room(module) != folder
                or other in HELPERS
                or own in HELPERS
                or module.count(".") < 2
            ):
                continue
            if not (related(own, other)):
                wrong.append(f"{shown(path)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def related(one: str, other: str) -> bool:
    """redis_single and redis_state are parts of one sink, key_router_scan is one of key_router; tee and coalesce are two
    transforms."""
    if any(one.startswith(whole) and other.startswith(whole) for whole in PARTED):
        return True
    family = one.split("_")[0]
    return one == other or (
        family == other.split("_")[0] and family in ("cassandra", "protect", "redis")
    )


def test_a_compiled_step_knows_nothing_of_yaml() -> None:
    wrong = [
        f"{shown(path)}:{line} imports {module}"
        for folder in ("transforms", "sinks")
        for path in files(*CYTHON, under=f"shotover/{folder}")
        for line, module in imports(path)
        if room(module) not in (*DATA, folder)
    ]
    assert not wrong, "\n".join(wrong)
