"""Waits for another service: asks it by HTTP whether a client may see a key, and remembers the answer."""

import asyncio
from urllib.parse import quote

from shotover import Transform


class Ask(Transform):
    def __init__(self, config):
        super().__init__(config)
        self.host, self.port = config["host"], config["port"]
        self.known = {}  # (user, key) -> True or False

    async def on_request(self, request):
        key = request.key
        if key is None:
            return
        question = (request.user, key)
        if question not in self.known:
            if len(self.known) >= 100_000:
                self.known.clear()
            self.known[question] = await self.ask(*question)
        if not self.known[question]:
            request.refuse("the service says no", code="NOPERM")

    async def ask(self, user, key):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            target = f"/may?user={quote(user)}&key={quote(key)}"
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode()
            )
            return (await reader.readline()).split()[1] == b"200"
        finally:
            writer.close()
