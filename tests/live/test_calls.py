"""What another thread asks of a worker, and does not wait for for ever."""

from __future__ import annotations

import pytest

from shotover._proxy.worker import Call


def test_its_result_or_error_is_the_callers() -> None:
    call = Call(lambda a, b: a + b, (1, 2))
    call.run()
    assert call.wait(0) == 3
    call = Call(lambda: 1 // 0, ())
    call.run()
    with pytest.raises(ZeroDivisionError):
        call.wait(0)


@pytest.mark.parametrize("forget, calls", [(True, []), (False, [1])])
def test_what_was_not_waited_for_is_not_done_later_unless_it_must(
    forget: bool, calls: list[int]
) -> None:
    done: list[int] = []
    call = Call(done.append, (1,))
    with pytest.raises(TimeoutError, match="too busy"):
        call.wait(0, forget)
    call.run()
    assert done == calls
