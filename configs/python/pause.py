"""Holds: while a file exists, writes wait; a thread lets them go when it is removed."""

import os
import threading

from shotover import HeldLimit, Transform


class Pause(Transform):
    def __init__(self, config):
        super().__init__(config)
        self.file = config["file"]
        self.lock = threading.Lock()
        self.waiting = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def on_request(self, request):
        if request.kind == "write" and os.path.exists(self.file):
            try:
                held = request.hold()
            except HeldLimit:
                return request.refuse("writes are paused", code="TRYAGAIN")
            with self.lock:
                self.waiting.append(held)

    def watch(self):
        while not self.stop.wait(0.05):
            if self.waiting and not os.path.exists(self.file):
                with self.lock:
                    ready, self.waiting = self.waiting, []
                for held in ready:
                    held.release()

    def close(self):
        self.stop.set()
        self.thread.join()
