"""A server that takes a fixed time for each request, one after the other, as a busy one does: its capacity is known.

Run as a program: prints its port, then serves until it is ended. `PACE milliseconds` sets what a request takes from then on.
It knows no commands but that: everything else is answered +OK when its time has come.
"""

from __future__ import annotations

import asyncio
import collections
import time


class Paced:
    def __init__(self, service_ms: float) -> None:
        self.service_s = service_ms / 1000
        self.queue: collections.deque[asyncio.StreamWriter] = collections.deque()
        self.more = asyncio.Event()

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[0] == b"PACE":
                self.service_s = float(words[1]) / 1000
                writer.write(b"+OK\r\n")
            else:
                self.queue.append(writer)
                self.more.set()

    async def serve(self) -> None:
        """One request at a time. What the clock has overslept is made up for, so that the rate is exact."""
        free_at = time.monotonic()
        while True:
            while not self.queue:
                self.more.clear()
                await self.more.wait()
                free_at = max(free_at, time.monotonic())
            free_at += self.service_s
            wait = free_at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.queue.popleft().write(b"+OK\r\n")


async def main(service_ms: float) -> None:
    paced = Paced(service_ms)
    server = await asyncio.start_server(paced.client, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await paced.serve()


if __name__ == "__main__":
    import sys

    asyncio.run(main(float(sys.argv[1])))
