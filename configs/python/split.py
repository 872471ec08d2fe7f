"""Sends elsewhere: keys with certain beginnings live on another server."""

from shotover import Transform


class Split(Transform):
    def __init__(self, config):
        super().__init__(config)
        self.prefixes = tuple(prefix.encode() for prefix in config["prefixes"])

    def on_request(self, request):
        there = [key.startswith(self.prefixes) for key in request.keys]
        if there and all(there):
            request.send("other")
        elif any(there):
            request.refuse("keys of one command live on different servers", code="CROSSSLOT")
