"""A transform in a package: logs each write once it is done, a batch of replies at a time."""

from shotover import Model, Transform, fields


class Trail(Transform):
    """Logs every write with its user and whether it succeeded. Reads pass without a trace."""

    class Config(Model):
        key_bytes_max: int = fields.integer(
            minimum=1, maximum=1024, default=64, doc="of a key, bytes that are logged"
        )
        failures: bool = fields.boolean(default=True, doc="log the writes that failed, too")

    def on_replies(self, batch):
        for request in batch:
            if request.kind == "write" and (self.config.failures or not request.reply.is_error):
                key = (request.key or b"")[: self.config.key_bytes_max]
                self.log(
                    "write",
                    command=request.command.decode(),
                    key=key.decode("utf-8", "backslashreplace"),
                    user=request.user,
                    failed=request.reply.is_error,
                )
