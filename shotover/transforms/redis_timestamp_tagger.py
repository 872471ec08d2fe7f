"""Transform `RedisTimestampTagger`: stamps the replies of reads with the time of their keys' last use."""

from __future__ import annotations

from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class RedisTimestampTaggerConfig(TransformConfig, tag="RedisTimestampTagger"):
    """Asks the server with each read how long its keys have not been used, for a scatter above it.

    With it in each route, `TuneableConsistencyScatter` tells which of several replies is the
    newest. Clients see nothing of it: the question (`OBJECT IDLETIME`) goes ahead of the read on
    the same connection, and its answer stays here.
    """

    protocols = frozenset({"redis"})

    def build(self, context: BuildContext) -> Step:
        from ._redis_timestamp_tagger import RedisTimestampTagger

        return RedisTimestampTagger(context, name=self.name)
