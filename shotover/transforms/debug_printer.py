"""Transform `DebugPrinter`: logs what passes."""

from __future__ import annotations

from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class DebugPrinterConfig(TransformConfig, tag="DebugPrinter"):
    """Logs each request and each reply at level info.

    For a look at what a client does, not for production: keys and values end up in the log.
    The log takes a bounded number of lines; what is beyond is counted and dropped.
    """

    protocols = frozenset({"redis", "cassandra"})

    def build(self, context: BuildContext) -> Step:
        from ._debug_printer import DebugPrinter

        return DebugPrinter(context, name=self.name)
