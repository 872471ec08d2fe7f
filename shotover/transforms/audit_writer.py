"""The thread that writes audit records to a file, and rotates it. One for all workers of an Audit; it never holds one up.

What could not be written stays in the rings, is tried again, and is not counted as written.
"""

from __future__ import annotations

import os
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from shotover.transforms._audit_ring import AuditRing

PAUSE_S = 0.1
"""How long records may wait in a ring before they are written."""
RETRY_S = 1.0
END_S = 5.0
PIECE_BYTES = 1 << 20


class AuditWriter:
    """Writes whole lines to `path`; at `rotate_bytes` the file becomes path.1, that path.2, up to path.`keep`."""

    def __init__(
        self,
        path: str,
        rotate_bytes: int,
        keep: int,
        sync: bool,
        complain: Callable[[str, str], None],
    ) -> None:
        self.path = path
        self.rotate_bytes = rotate_bytes
        self.keep = keep
        self.sync = sync
        self.complain = complain
        self.failures = 0
        self.rotations = 0
        self._rings: list[AuditRing] = []
        self._file: int | None = None
        self._size = 0
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """OSError: the file cannot be written to."""
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
            self._size = os.fstat(self._file).st_size

    def add(self, ring: AuditRing) -> None:
        """One more worker's records, from now on."""
        with self._lock:
            self._rings.append(ring)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()

    def end(self, ring: AuditRing) -> None:
        """The worker has stopped; returns when its records are written, or cannot be."""
        ring.end()
        self._wanted.set()
        with self._lock:
            thread = self._thread
        deadline = time.monotonic() + END_S
        while thread is not None and thread.is_alive() and len(ring):
            thread.join(PAUSE_S)  # it goes on for other workers
            if time.monotonic() > deadline:
                break

    def _run(self) -> None:
        while True:
            with self._lock:
                rings = list(self._rings)
            wrote = True
            for ring in rings:
                wrote = self._drain(ring) and wrote
            with self._lock:
                if wrote:
                    self._rings = [ring for ring in self._rings if not ring.ended or len(ring)]
                if not self._rings or (not wrote and all(ring.ended for ring in self._rings)):
                    self._close()
                    self._thread = None
                    return
            self._wanted.wait(PAUSE_S if wrote else RETRY_S)
            self._wanted.clear()

    def _drain(self, ring: AuditRing) -> bool:
        """Writes what a ring has. False: it could not be."""
        while len(ring):
            data = ring.peek(PIECE_BYTES)
            whole = data[: data.rfind(b"\n") + 1]
            if not whole:
                return True
            try:
                self.open()
                if self._size and self._size + len(whole) > self.rotate_bytes:
                    self._rotate()
                self._write(whole)
                ring.skip(len(whole))
            except OSError as error:
                self.failures += 1
                self.complain(self.path, error.strerror or str(error))
                self._close()
                return False
        return True

    def _write(self, data: bytes) -> None:
        """All of it or nothing: half a line would spoil the next one."""
        assert self._file is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)
        if self.sync:
            os.fsync(self._file)

    def _rotate(self) -> None:
        self._close()
        for number in range(self.keep - 1, 0, -1):
            if os.path.exists(f"{self.path}.{number}"):
                os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        os.replace(self.path, f"{self.path}.1")
        self.rotations += 1
        self.open()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
