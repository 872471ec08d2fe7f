"""Shotover: a fast, configurable, extensible data-layer proxy.

What transforms written in Python import is here; it is loaded when first asked for, so that a
proxy without such transforms starts without it.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._codec.resp_value import ReplyError as ReplyError
    from shotover._proxy.request import Held as Held
    from shotover._proxy.request import HeldLimit as HeldLimit
    from shotover._proxy.request import Reply as Reply
    from shotover._proxy.request import Request as Request
    from shotover._proxy.request import RequestGone as RequestGone
    from shotover.config import fields as fields
    from shotover.config.models import Model as Model
    from shotover.config.steps import TransformConfig as TransformConfig
    from shotover.transforms.base import Transform as Transform

_HOMES = {
    "Held": "shotover._proxy.request",
    "HeldLimit": "shotover._proxy.request",
    "Model": "shotover.config.models",
    "Reply": "shotover._proxy.request",
    "ReplyError": "shotover._codec.resp_value",
    "Request": "shotover._proxy.request",
    "RequestGone": "shotover._proxy.request",
    "Transform": "shotover.transforms.base",
    "TransformConfig": "shotover.config.steps",
    "fields": "shotover.config.fields",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # names, each a string


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'shotover' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(home)
    found = module if home.endswith(f".{name}") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
