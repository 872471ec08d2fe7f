"""What the observability endpoint answers, and the small switch of a Tee.

    GET /metrics    Prometheus' text form
    GET /healthz    200 while the process lives
    GET /readyz     200 when every worker reaches its servers and none is draining, else 503 and why
    GET /topology   what runs, as JSON, without secrets
    GET /filter     the log filter in force; PUT replaces it, body as `main_log_level`
    /config ...     the configuration, see runtime/config_pages.py
    /hotkeys, /slowlog  what workers have noted, see runtime/inside.py

Nothing here blocks, and nothing is kept between requests. Who may ask for what stands in `Access`.
"""

from __future__ import annotations

from _operator import _compare_digest  # hmac's own; hmac would load all of OpenSSL

from . import log
from .http import is_loopback
from .httpwire import Response
from .logformat import json_text
from .metrics import CONTENT_TYPE, pieces
from .redact import redact_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from .httpwire import Request
    from .metrics import Sample

    Route = dict[str, Callable[[Request], Response]]

    class Pages(Protocol):
        """Pages that somebody else makes: by path, and by how their paths begin."""

        routes: dict[str, Route]
        prefixes: dict[str, Route]


HINT = """Shotover's observability endpoint. Try one of:
  GET /metrics   counters and latencies for Prometheus
  GET /healthz   is the process alive
  GET /readyz    are the servers reachable
  GET /topology  what is running
  GET /hotkeys   the heaviest keys, where a source has hot_keys
  GET /slowlog   slow requests, where a source has slow_requests
  GET /filter    the log filter; PUT /filter replaces it
  GET /config    the configuration in force; PUT, PATCH and DELETE change it
  GET /history   what it was before; POST /rollback goes back
  GET /openapi.json
"""
TEE_PATH = "/transform/tee/result-source"
TEE_HINT = f"""The switch of a Tee. Try:
  curl http://{{address}}{TEE_PATH}
  curl -X PUT -d tee-chain http://{{address}}{TEE_PATH}
"""
UNKNOWN_OR_DOWN = {  # what a sample of value 0 means
    "shotover_upstream_up": "reaches no server",
    "shotover_upstream_connects_count": "has not tried its server yet",
}
RESULT_SOURCES = ("regular-chain", "tee-chain")


class Access:
    """Who may ask for what.

    With a `token`, changes need `Authorization: Bearer`, and if it is for `everything` so do all pages
    but those of health. Without one only peers on this machine may change something. `local` says that
    the endpoint is on loopback.
    """

    __slots__ = ("everything", "local", "token")

    def __init__(
        self, token: str | None = None, everything: bool = True, local: bool = True
    ) -> None:
        self.token = token
        self.everything = everything
        self.local = local

    def refusal(self, request: Request, is_open: bool, is_private: bool = False) -> Response | None:
        """The answer to who may not; None: he may. `is_open`: the page needs no token; `is_private`: who may not change
        something may not read it either.

        A browser can be made to ask us by any page that it shows: across sites, which headers tell that
        a page cannot forge, or, by a name of the page's own that leads to our address, as if from the same.
        """
        changes = request.method not in ("GET", "HEAD")
        if changes and (
            "origin" in request.headers
            or request.headers.get("sec-fetch-site", "none").lower() != "none"
        ):
            return Response(403, "web pages may not change anything here\n")
        if self.token is not None and (changes or is_private or (self.everything and not is_open)):
            return None if self._knows(self.token, request) else self._unknown(request)
        if (changes or (self.local and not is_open)) and not _is_address(
            request.headers.get("host", "localhost")
        ):
            return Response(403, "call this endpoint by its IP address, or localhost\n")
        if (changes or is_private) and not is_loopback(request.peer):
            return Response(403, "only with a token (admin_token), or from the same machine\n")
        return None

    def _knows(self, token: str, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = _compare_digest(given.strip().encode("latin-1"), token.encode())
        return scheme.lower() == "bearer" and same

    def _unknown(self, request: Request) -> Response:
        if "authorization" in request.headers:
            log.get("shotover::observability").limited("token", 0.1, 3.0).warning(
                "a request with a wrong token was refused", peer=request.peer, path=request.path
            )
        return Response(401, "a token is needed\n", headers=[("WWW-Authenticate", "Bearer")])


def _is_address(host: str) -> bool:
    """Whether a Host header names us by an IP address or as localhost: names are what others can lead to us."""
    if host.startswith("["):
        return True
    name = host.partition(":")[0].lower().rstrip(".")
    return name == "localhost" or not name.strip("0123456789.")


class _App:
    """Finds the handler for a path and a method; 404 and 405 with what there is otherwise."""

    hint = ""
    open_paths: frozenset[str] = frozenset()  # need no token
    private_paths: frozenset[str] = frozenset()  # show keys of clients' data

    def __init__(self, access: Access | None = None) -> None:
        self._access = access or Access()
        self._routes: dict[str, Route] = {}
        self._prefixes: dict[str, Route] = {}

    def __call__(self, request: Request) -> Response:
        refusal = self._access.refusal(
            request, request.path in self.open_paths, request.path in self.private_paths
        )
        if refusal is not None:
            return refusal
        route = self._routes.get(request.path)
        for prefix, below in self._prefixes.items():
            if route is None and request.path.startswith(prefix):
                route = below
        if route is None:
            return Response(404, f"no such page\n\n{self.hint}")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in route:
            allowed = ", ".join([*route, "HEAD"])
            text = f"{request.method} is not possible here; possible: {allowed}\n"
            return Response(405, text, headers=[("Allow", allowed)])
        return route[method](request)


class AdminApp(_App):
    """The observability endpoint.

    `samples` gives a list of samples for each worker; `problems` the reasons not to send traffic
    here, none when ready; `topology` what runs (secrets are hidden here). `old_names` adds the metrics'
    former names; `more` has pages of others.
    """

    hint = HINT
    open_paths = frozenset({"/healthz", "/readyz"})
    private_paths = frozenset({"/hotkeys", "/slowlog"})

    def __init__(
        self,
        samples: Callable[[], Iterable[Iterable[Sample]]],
        problems: Callable[[], list[str]],
        topology: Callable[[], object],
        old_names: bool = False,
        access: Access | None = None,
        more: Iterable[Pages] = (),
    ) -> None:
        super().__init__(access)
        self._samples = samples
        self._problems = problems
        self._topology = topology
        self._old_names = old_names
        self._routes = {
            "/": {"GET": lambda request: Response(200, HINT)},
            "/metrics": {"GET": self._metrics},
            "/healthz": {"GET": lambda request: Response(200, "ok\n")},
            "/readyz": {"GET": self._ready},
            "/topology": {"GET": self._show_topology},
            "/filter": {"GET": self._show_filter, "PUT": self._set_filter},
        }
        for pages in more:
            self._routes |= pages.routes
            self._prefixes |= pages.prefixes

    def _metrics(self, request: Request) -> Response:
        return Response(200, pieces(self._samples(), self._old_names), CONTENT_TYPE)

    def _ready(self, request: Request) -> Response:
        problems = self._problems()
        if problems:
            return Response(503, "not ready\n" + "".join(f"- {problem}\n" for problem in problems))
        return Response(200, "ready\n")

    def _show_topology(self, request: Request) -> Response:
        text = json_text(redact_tree(self._topology()))
        return Response(200, text + "\n", "application/json")

    def _show_filter(self, request: Request) -> Response:
        return Response(200, log.filter_text() + "\n")

    def _set_filter(self, request: Request) -> Response:
        before = log.filter_text()
        try:
            log.set_filter(request.body.decode("utf-8").strip())
        except UnicodeDecodeError:
            return Response(400, "the filter is not UTF-8\n")
        except log.FilterError as error:
            return Response(400, f"{error}\n")
        log.get("shotover::log").limited("filter", 1.0, 10.0).info(
            "log filter changed", before=before, now=log.filter_text(), peer=request.peer
        )
        return Response(200, "Filter set\n")


class TeeSwitch(_App):
    """A Tee's `switch_port`: from which of its two chains clients are answered.

    `get` tells and `set` changes it; True stands for the Tee's own chain. A body that is
    neither is a 400; the Rust program says 500.
    """

    def __init__(
        self,
        get: Callable[[], bool],
        set: Callable[[bool], None],
        address: str = "ADDRESS",
        access: Access | None = None,
    ) -> None:
        super().__init__(access)
        self._get = get
        self._set = set
        self.hint = TEE_HINT.format(address=address)
        self._routes = {
            "/": {"GET": lambda request: Response(200, self.hint)},
            TEE_PATH: {"GET": self._show, "PUT": self._change},
        }

    def _show(self, request: Request) -> Response:
        return Response(200, RESULT_SOURCES[self._get()])

    def _change(self, request: Request) -> Response:
        wanted = request.body.decode("utf-8", "replace").strip()
        if wanted not in RESULT_SOURCES:
            allowed = " or ".join(RESULT_SOURCES)
            return Response(400, f"expected {allowed}, got {wanted[:64]!r}\n")
        self._set(wanted == "tee-chain")
        log.get("shotover::transforms::tee").limited("switch", 1.0, 10.0).info(
            "result source changed", source=wanted, peer=request.peer
        )
        return Response(200)


def upstream_problems(workers: Iterable[Iterable[Sample]]) -> list[str]:
    """Reasons not to be ready, out of the workers' samples: sinks that reach no server, or have
    not tried to yet; draining.

    A sink counts as out of reach when any worker says so: that worker's clients would suffer.
    """
    problems: dict[str, None] = {}  # a set that keeps order
    for samples in workers:
        for name, labels, _, value in samples:
            if name == "shotover_draining" and value:
                problems["draining"] = None
            elif name in UNKNOWN_OR_DOWN and not value:
                chain, transform = labels.get("chain", "?"), labels.get("transform", "?")
                problems[f"chain {chain}: {transform} {UNKNOWN_OR_DOWN[name]}"] = None
    return list(problems)
