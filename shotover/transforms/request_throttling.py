"""Transform `RequestThrottling`: at most so many requests a second."""

from __future__ import annotations

from shotover.config.fields import integer
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class RequestThrottlingConfig(TransformConfig, tag="RequestThrottling"):
    """Lets at most `max_requests_per_second` requests through; answers the others with an error.

    The rate is metered continuously (GCRA) over all clients; a burst of up to one second's worth
    passes at once. All workers share one meter. What opens or closes a transaction always passes,
    and a transaction of which a command was refused is discarded as a whole.
    """

    protocols = frozenset({"redis", "cassandra"})

    max_requests_per_second: int = integer(
        minimum=50,
        maximum=2**32 - 1,
        doc="requests let through in a second, over all clients and workers together",
    )

    def build(self, context: BuildContext) -> Step:
        from ._request_throttling import Limiter, RequestThrottling

        limiter = self.__dict__.get("limiter")
        if limiter is None:
            limiter = self.__dict__["limiter"] = Limiter(self.max_requests_per_second)
        return RequestThrottling(context, name=self.name, limiter=limiter)
