"""Transform `DebugReturner`: answers every request alike."""

from __future__ import annotations

from shotover.config.fields import flag, text
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.runtime.assemble import BuildContext


class DebugReturnerConfig(TransformConfig, tag="DebugReturner"):
    """Answers every request with the same reply: a bulk string, or a failure.

    Give exactly one of:

    - `Redis: TEXT` (or `Valkey: TEXT`): replies with TEXT as a bulk string;
    - `Fail: true` (or just `Fail`): fails as a broken chain does, with the error
      `Intentional Fail`.
    """

    protocols = frozenset({"redis", "cassandra"})

    terminating = True
    shorthands = ("Fail",)

    reply: str | None = text(
        key="Redis",
        aliases=("Valkey",),
        default=None,
        empty=True,
        doc="the bulk string every request is answered with",
    )
    fail: bool = flag(key="Fail", doc="whether every request fails instead")

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if (self.reply is not None) == self.fail:
            got = "both" if self.fail else "neither"
            yield f"expected exactly one of Redis (or Valkey) and Fail, got {got}", None

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        if protocol != "redis" and self.reply is not None:
            yield (
                self.place_of("reply"),
                f"a bulk string is no reply to clients of {protocol}; they can only be failed (Fail)",
            )

    def build(self, context: BuildContext) -> Step:
        from ._debug_returner import DebugReturner

        reply = None if self.reply is None else self.reply.encode()
        return DebugReturner(context, name=self.name, reply=reply, fail=self.fail)
