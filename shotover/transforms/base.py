"""Transform, base of all transforms that are written in Python."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, ClassVar

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}

HOOKS = ("on_request", "on_requests", "on_reply", "on_replies")
PARAMETERS = {
    "on_request": ("self", "request"),
    "on_requests": ("self", "batch"),
    "on_reply": ("self", "request", "reply"),
    "on_replies": ("self", "batch"),
}
TAKES_ANY = 0x04  # *args; as in the module inspect, which costs 10 ms to import


class Transform:
    """A step of a chain, written in Python. Subclasses define at least one hook:

        def on_request(self, request)           a request, on its way to the server
        def on_requests(self, batch)            or all of one turn, as a list
        def on_reply(self, request, reply)      its reply, on its way to the client
        def on_replies(self, batch)             or requests, each with its `reply`

    A hook may be `async`; its request is held until it returns. Every worker makes an instance of
    its own, and calls its hooks from one thread (async ones from another).
    """

    commands: ClassVar[Iterable[bytes | str] | None] = None
    """The commands that the hooks want to see; None: all. The others pass without Python."""

    name: str
    """Its name in the topology, in metrics and in logs."""

    _note: Callable[[int, str, dict[str, Any]], None]

    def __init__(self, config: Any) -> None:
        """`config` is what the topology says under that key."""
        self.config = config

    def log(self, message: str, level: str = "INFO", **fields: Any) -> None:
        """One entry in the proxy's log; never waits. `level`: DEBUG, INFO, WARNING or ERROR."""
        self._note(LEVELS[level.upper()], message, fields)

    def close(self) -> None:
        """The worker has stopped: flush and close what is open. Called once, after all hooks."""


def problem_with(transform: type) -> str | None:
    """What keeps a class from being used as a transform; None: nothing."""
    if not issubclass(transform, Transform):
        return f"{transform.__name__} is not a subclass of shotover.Transform"
    hooks = [hook for hook in HOOKS if callable(getattr(transform, hook, None))]
    if not hooks:
        return f"{transform.__name__} has no hook: define {', '.join(HOOKS[:-1])} or {HOOKS[-1]}"
    for one, many in (HOOKS[:2], HOOKS[2:]):
        if one in hooks and many in hooks:
            return f"{transform.__name__} defines both {one} and {many}: keep one of them"
    for hook in hooks:
        if not _fits(transform, hook):
            return f"{transform.__name__}.{hook} must take ({', '.join(PARAMETERS[hook])})"
    return None


def _fits(transform: type, hook: str) -> bool:
    """Whether a hook can be called as it will be; what is not a plain method may be anything."""
    plain = next((vars(kind)[hook] for kind in transform.__mro__ if hook in vars(kind)), None)
    code = getattr(plain, "__code__", None)
    if plain is None or code is None or code.co_flags & TAKES_ANY:
        return True
    needed = code.co_argcount - len(plain.__defaults__ or ())
    wanted = code.co_kwonlyargcount - len(plain.__kwdefaults__ or {})
    return bool(needed <= len(PARAMETERS[hook]) <= code.co_argcount and wanted == 0)
