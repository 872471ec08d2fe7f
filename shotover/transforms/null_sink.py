"""Transform `NullSink`: answers every request with an error."""

from __future__ import annotations

from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class NullSinkConfig(TransformConfig, tag="NullSink"):
    """Answers every request with the error `Handled by shotover null transform`.

    It ends a chain without a server: for tests, for measuring, and as the end of a chain whose
    replies nobody reads.
    """

    protocols = frozenset({"redis", "cassandra"})
    terminating = True

    def build(self, context: BuildContext) -> Step:
        from ._null_sink import NullSink

        return NullSink(context, name=self.name)
