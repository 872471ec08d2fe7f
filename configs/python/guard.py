"""Refuses: dangerous commands are for named users, and only from named hosts."""

from shotover import Transform


class Guard(Transform):
    commands = (
        "KEYS",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG",
        "SHUTDOWN",
    )  # all others pass without Python

    def __init__(self, config):
        super().__init__(config)
        self.users = frozenset(config["users"])
        self.hosts = frozenset(config["hosts"])

    def on_request(self, request):
        host = request.client_address.rpartition(":")[0]
        if request.user in self.users and host in self.hosts:
            return
        request.state["refused"] = request.state.get("refused", 0) + 1  # of this connection
        if request.state["refused"] == 1:
            self.log("refused", "WARNING", command=request.command.decode(), user=request.user)
        request.refuse(
            f"{request.command.decode()} is for {', '.join(sorted(self.users))}", code="NOPERM"
        )
