"""Transform `RedisProtocolConverter`, also `ValkeyProtocolConverter`: RESP3 to clients, RESP2 to servers."""

from __future__ import annotations

from shotover.config.fields import choice
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class RedisProtocolConverterConfig(
    TransformConfig, tag="RedisProtocolConverter", aliases=("ValkeyProtocolConverter",)
):
    """Servers are spoken to in RESP2 whatever clients speak: to those that say `HELLO 3`, replies are
    given as a server would in RESP3.

    Replies differ by command; this knows how. What cannot be converted faithfully is refused:
    commands that are in no table, `CLIENT TRACKING`, scripts that use `redis.setresp`.
    """

    protocols = frozenset({"redis"})

    resp3: str = choice(
        "convert",
        "refuse",
        default="convert",
        doc="what becomes of `HELLO 3`; refused, it is answered `NOPROTO`, and clients go on in RESP2",
    )
    unknown_commands: str = choice(
        "refuse",
        "pass",
        default="refuse",
        doc="commands of RESP3 clients that no table knows, such as those of modules; passed, their "
        "replies keep the types of RESP2, but for nulls",
    )

    def build(self, context: BuildContext) -> Step:
        from ._redis_protocol_converter import RedisProtocolConverter

        return RedisProtocolConverter(
            context, name=self.name, resp3=self.resp3, unknown_commands=self.unknown_commands
        )
