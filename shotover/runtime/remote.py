"""The verbs that speak with a running process: plan, apply, history, rollback.

They ask its observability endpoint, which is found by --admin, by SHOTOVER_ADMIN, or as `observability_interface` of its config
file (-c); a token likewise (SHOTOVER_ADMIN_TOKEN, or `admin_token` of that file).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from urllib.parse import quote, urlencode

from shotover.config.errors import ConfigError
from shotover.runtime.flags import CONFIG_FILE, TOPOLOGY_FILE, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWER_SECONDS = 60.0
"""A change may take so long: each worker is waited for."""
BODY = "<body>"
"""What the process calls a document that was sent to it."""
LOOK_SECONDS = 0.5
"""Between two looks of --wait."""


def plan(arguments: list[str]) -> int:
    parser = endpoint_parser(
        "plan", "Say what a topology would change in a running process. Exit 2 if anything would."
    )
    _topology(parser)
    options = parser.parse(arguments)
    found = Endpoint(options).call("POST", "/config", body=_read(options.topology_file))
    print(_said(found), end="")
    return 2 if found["changes"] else 0


def apply(arguments: list[str]) -> int:
    parser = endpoint_parser("apply", "Bring a topology into force in a running process.")
    _topology(parser)
    parser.add_argument(
        "--wait", action="store_true", help="until nobody is served by what was before"
    )
    parser.add_argument(
        "--drain",
        metavar="SECONDS",
        type=float,
        help="disconnect those who are, each after its replies, within that time",
    )
    parser.add_argument(
        "--rollback-on",
        metavar="errors>PERCENT",
        help="go back by itself when more requests than that fail",
    )
    parser.add_argument(
        "--for",
        metavar="SECONDS",
        dest="seconds",
        type=float,
        default=30.0,
        help="... in that time (30)",
    )
    parser.add_argument(
        "--generation", metavar="N", type=int, help="only if that is the one in force"
    )
    options = parser.parse(arguments)
    endpoint = Endpoint(options)
    query = {}
    if options.rollback_on:
        query = {"rollback_on": options.rollback_on, "for": f"{options.seconds:g}"}
    found = endpoint.call("PUT", "/config", query, _read(options.topology_file), options.generation)
    print(_said(found), end="")
    if not found["changes"]:
        return 0
    print(f"generation {found['generation']} is in force")
    if options.drain is not None:
        endpoint.call("POST", "/drain", {"seconds": f"{options.drain:g}"})
    if options.wait or options.drain is not None:
        _wait(endpoint)
    return 0


def history(arguments: list[str]) -> int:
    parser = endpoint_parser(
        "history", "List the configurations that have been in force in a running process."
    )
    parser.add_argument(
        "number", nargs="?", type=int, metavar="N", help="print that one, secrets hidden"
    )
    options = parser.parse(arguments)
    endpoint = Endpoint(options)
    if options.number is not None:
        print(json.dumps(endpoint.call("GET", f"/history/{options.number}")["document"], indent=2))
        return 0
    for entry in endpoint.call("GET", "/history")["generations"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["time"]))
        print(f"{entry['generation']:5}  {when}  {entry['author']}  {entry['changes']}")
    return 0


def rollback(arguments: list[str]) -> int:
    parser = endpoint_parser(
        "rollback", "Bring an earlier configuration into force again in a running process."
    )
    parser.add_argument(
        "number", nargs="?", type=int, metavar="N", help="that one; without it the one before this"
    )
    options = parser.parse(arguments)
    query = {} if options.number is None else {"to": str(options.number)}
    found = Endpoint(options).call("POST", "/rollback", query)
    print(_said(found), end="")
    print(f"generation {found['generation']} is in force")
    return 0


def _wait(endpoint: Endpoint) -> None:
    before = None
    while True:
        left = endpoint.call("GET", "/history")["connections_of_earlier_generations"]
        if left != before:
            print(f"{left} connections are served as before", flush=True)
        if not left:
            return
        before = left
        time.sleep(LOOK_SECONDS)


def _said(found: dict[str, Any]) -> str:
    """A plan for people."""
    lines = []
    for change in found["changes"]:
        lines.append(f"{change['what']}: {change['change']} ({change['effect']})")
        lines += [f"    {line}" for line in change["differences"]]
    return "".join(f"{line}\n" for line in lines or ["nothing changes"])


def endpoint_parser(verb: str, text: str) -> Parser:
    parser = Parser(prog=f"shotover {verb}", description=text)
    parser.add_argument("--admin", metavar="HOST:PORT", help="the process's observability endpoint")
    parser.add_argument(
        "-c", "--config-file", metavar="FILE", help="its config file, which names that endpoint"
    )
    return parser


def _topology(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-t",
        "--topology-file",
        metavar="FILE",
        default=TOPOLOGY_FILE,
        help=f"(default {TOPOLOGY_FILE})",
    )


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise ConfigError([f"{file}: {(error.strerror or str(error)).lower()}"]) from None


class Endpoint:
    """Where to ask, and with which token."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.address = options.admin or os.environ.get("SHOTOVER_ADMIN") or ""
        self.token = os.environ.get("SHOTOVER_ADMIN_TOKEN")
        self.file = getattr(options, "topology_file", BODY)
        file = options.config_file or (CONFIG_FILE if os.path.exists(CONFIG_FILE) else None)
        if file is not None and (not self.address or self.token is None):
            self._from_file(file)
        if not self.address:
            raise ConfigError(
                [
                    "where is the process? name its observability endpoint with --admin HOST:PORT, or its "
                    "config file, which has observability_interface, with -c"
                ]
            )

    def _from_file(self, file: str) -> None:
        from shotover.config.errors import Problems
        from shotover.config.process import read_process
        from shotover.config.reading import Reader
        from shotover.config.source import load
        from shotover.runtime import catalogue

        problems = Problems()
        process = read_process(load(file), file, Reader(problems, os.environ, catalogue.find))
        if problems:
            raise ConfigError(problems.sorted())
        if not self.address and process.observability_interface is not None:
            self.address = str(process.observability_interface)
        if self.token is None:
            self.token = process.admin_token

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: bytes | None = b"",
        generation: int | None = None,
    ) -> Any:
        """What it says, as JSON. Raises ConfigError with its reasons."""
        return json.loads(self.text(method, path, query, body, generation))

    def text(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: bytes | None = b"",
        generation: int | None = None,
    ) -> str:
        """What it says. Raises ConfigError with its reasons."""
        if query:
            path += "?" + urlencode(query, quote_via=quote)
        headers = {"X-Author": os.environ.get("USER", "")} if os.environ.get("USER") else {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if generation is not None:
            headers["If-Match"] = f'"{generation}"'
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ConfigError(
                [f"{self.address}: no answer from the process: {reason.lower()}"]
            ) from None
        finally:
            connection.close()
        if answer.status != 200:
            text = text.replace(BODY, self.file)
            raise ConfigError(text.splitlines() or [f"{self.address}: status {answer.status}"])
        return text
