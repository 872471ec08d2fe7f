"""A little of `make fuzz` in every run of the tests: all that is known, and as many changes of it as take a second or two.

Seeded, so a failure repeats; without the build that tells where code goes, so nothing new is learned here.
"""

from __future__ import annotations

import pytest

from fuzz.mutate import INPUT_BYTES_MAX
from fuzz.run import FOUND, HEADER, hunt, known_inputs, replay_command
from fuzz.targets import TARGETS

SECONDS = 20  # at most: a busy machine tries fewer


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_breaks(name: str, seed: int) -> None:
    target = TARGETS[name]
    current = bytearray(HEADER + INPUT_BYTES_MAX)
    try:
        _, count, _ = hunt(target, seed, SECONDS, target.inputs, current)
    except BaseException as error:
        data = bytes(current[HEADER : HEADER + int.from_bytes(current[:HEADER], "little")])
        FOUND.mkdir(parents=True, exist_ok=True)
        path = FOUND / f"{name}-by-test-{seed}"
        path.write_bytes(data)
        error.add_note(f"input: {data!r}\nreplay it: {replay_command(target, path)}") if hasattr(
            error, "add_note"
        ) else None
        raise
    assert count >= len(known_inputs(target))


def test_a_broken_property_is_found_and_its_input_kept() -> None:
    """The driver itself: a parser that fails on one byte is caught by the changes alone."""
    from dataclasses import replace

    def fragile(data: bytes) -> None:
        assert b"\x80" not in data

    current = bytearray(HEADER + INPUT_BYTES_MAX)
    with pytest.raises(AssertionError):
        hunt(replace(TARGETS["http"], run=fragile), 1, SECONDS, 20_000, current)
    assert b"\x80" in current
