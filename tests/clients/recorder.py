"""A relay that remembers what clients send when they connect.

`python tests/clients/recorder.py` runs every client that is built through it and writes what they sent before their
first ordinary command to tests/integration/redis/handshakes, a file for each client, a connection a line. There
`make test` replays it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.handshakes import HANDSHAKES, requests
from support.servers import Server
from support.wait import free_port

from clients import build
from clients.run import PROTOCOLS, transcript

GREETING = {
    "HELLO",
    "AUTH",
    "CLIENT",
    "SELECT",
    "INFO",
    "PING",
    "COMMAND",
    "CLUSTER",
    "READONLY",
    "ROLE",
}
ASKING = {"GETNAME", "INFO"}  # of the transcript


class Recorder:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port`; `sent` has what each connection's client sent."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.target_port = target_port
        self.sent: list[bytearray] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port)
        )
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        record = bytearray()
        self.sent.append(record)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        up = asyncio.ensure_future(self._pump(far_reader, writer, None))
        await self._pump(reader, far_writer, record)
        await up

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray | None
    ) -> None:
        try:
            while piece := await reader.read(1 << 16):
                if record is not None:
                    record += piece
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def head(raw: bytes) -> bytes:
    """What came before the first ordinary command."""
    taken = b""
    for wire, words in requests(raw[: 1 << 16]):
        name, *rest = (word.decode("latin1").upper() for word in words)
        if name not in GREETING or (name == "CLIENT" and rest[0] in ASKING):
            break
        taken += wire
    return taken


def record(client: str) -> set[bytes]:
    """The heads of all connections that a client makes, whichever server answers."""
    heads = set()
    for kind in ("redis", "valkey"):
        server = Server(kind)
        recorder = Recorder(server.port)
        try:
            for protocol in PROTOCOLS:
                server.clean()
                transcript(client, recorder.port, "single", protocol)
            heads |= {head(bytes(each)) for each in recorder.sent}
        finally:
            recorder.close()
            server.stop()
    return heads - {b""}


def main() -> None:
    HANDSHAKES.mkdir(exist_ok=True)
    for client in build.CLIENTS:
        heads = sorted(record(client))
        (HANDSHAKES / f"{client}.txt").write_text("".join(f"{each!r}\n" for each in heads))
        print(f"{client}: {len(heads)} handshakes")


if __name__ == "__main__":
    main()
