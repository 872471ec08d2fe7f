"""Transforms `DebugForceParse` and `DebugForceEncode`: what passes is read as a whole, and written anew."""

from __future__ import annotations

from shotover.config.fields import boolean
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class DebugForceParseConfig(TransformConfig, tag="DebugForceParse"):
    """Reads requests or replies to their last value, which otherwise happens only where it must.

    For benchmarks and tests, not for production. What passes is not changed; what cannot be read
    is counted.
    """

    protocols = frozenset({"redis", "cassandra"})

    parse_requests: bool = boolean(doc="whether requests are read")
    parse_responses: bool = boolean(doc="whether replies are")

    def build(self, context: BuildContext) -> Step:
        from ._debug_force import DebugForce

        return DebugForce(
            context,
            name=self.name,
            encodes=False,
            requests=self.parse_requests,
            replies=self.parse_responses,
        )


class DebugForceEncodeConfig(TransformConfig, tag="DebugForceEncode"):
    """Reads requests or replies to their last value, and sends what was read, written anew.

    For benchmarks and tests, not for production. What cannot be read passes as it is, counted.
    """

    protocols = frozenset({"redis", "cassandra"})

    encode_requests: bool = boolean(doc="whether requests are written anew")
    encode_responses: bool = boolean(doc="whether replies are")

    def build(self, context: BuildContext) -> Step:
        from ._debug_force import DebugForce

        return DebugForce(
            context,
            name=self.name,
            encodes=True,
            requests=self.encode_requests,
            replies=self.encode_responses,
        )
