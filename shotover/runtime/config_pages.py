"""The configuration as a resource of the observability endpoint.

    GET /config[/PATH]      the document in force, or a part of it, as JSON; secrets hidden. ETag: its generation
    PUT /config[/PATH]      another one, or that part of it; YAML or JSON
    PATCH /config[/PATH]    what is given is merged into what is there, null takes out (RFC 7396)
    DELETE /config/PATH
    POST /config            the plan for a whole document that is given: as PUT with ?dry_run
    GET /history[/N]        generations that came into force; one of them with its document
    POST /rollback?to=N     applies that one again; without `to` the one before this
    POST /drain?seconds=S   disconnects who is still served as an earlier generation said, each after its replies
    GET /openapi.json       all of it, for machines

Changes take ?dry_run, which only says what would change, and If-Match: the ETag that the change was made for; 412 if there is a
newer one. ?rollback_on=errors>PERCENT&for=SECONDS takes a change back by itself. Errors of a document are 422, one a line.
"""

from __future__ import annotations

from shotover.config.document import (
    NoSuchPath,
    find,
    merged,
    plain,
    put,
    split,
    with_secrets,
    without,
)
from shotover.config.errors import ConfigError
from shotover.observability import log
from shotover.observability.httpwire import Response
from shotover.observability.logformat import json_text
from shotover.observability.redact import redact_tree
from shotover.runtime.live import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from shotover.config.source import Node
    from shotover.observability.httpwire import Request
    from shotover.runtime.live import Live
    from shotover.runtime.plan import Plan

BODY = "<body>"
"""What errors call a document that came over the network."""
JSON = "application/json"
CONFIG = "/config"
HISTORY = "/history"


class Refused(Exception):
    """The answer to a request that cannot be done."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = Response(status, text if text.endswith("\n") else text + "\n")


class ConfigPages:
    """`parse` makes a tree of a document's text; it may take a while, but not on this thread's interpreter."""

    def __init__(self, live: Live, parse: Callable[[str, str], Node]) -> None:
        self._live = live
        self._parse = parse
        self.routes: dict[str, dict[str, Callable[[Request], Response]]] = {
            CONFIG: {"GET": self._show, "PUT": self._put, "PATCH": self._patch, "POST": self._post},
            HISTORY: {"GET": self._history},
            "/rollback": {"POST": self._rollback},
            "/drain": {"POST": self._drain},
            "/openapi.json": {"GET": lambda _request: _json(openapi())},
        }
        self.prefixes: dict[str, dict[str, Callable[[Request], Response]]] = {
            CONFIG + "/": {
                "GET": self._show,
                "PUT": self._put,
                "PATCH": self._patch,
                "DELETE": self._delete,
            },
            HISTORY + "/": {"GET": self._generation},
        }
        for route in (*self.routes.values(), *self.prefixes.values()):
            for method, handler in route.items():
                route[method] = _answering(handler)

    # -- reading

    def _show(self, request: Request) -> Response:
        current = self._live.current
        part = find(current.document, split(request.path.removeprefix(CONFIG)))
        return _json(redact_tree(plain(part)), [("ETag", f'"{current.number}"')])

    def _history(self, _request: Request) -> Response:
        return _json(
            {
                "generations": [generation.as_tree() for generation in self._live.history],
                "connections_of_earlier_generations": self._live.leaving,
            }
        )

    def _generation(self, request: Request) -> Response:
        wanted = request.path.removeprefix(HISTORY + "/")
        for generation in self._live.history:
            if str(generation.number) == wanted:
                document = redact_tree(plain(generation.document))
                return _json({**generation.as_tree(), "document": document})
        raise Refused(404, f"generation {wanted[:20]} is not kept")

    # -- changing

    def _put(self, request: Request) -> Response:
        path = split(request.path.removeprefix(CONFIG))
        document = self._live.current.document
        return self._change(request, put(document, path, self._body(request)))

    def _patch(self, request: Request) -> Response:
        path = split(request.path.removeprefix(CONFIG))
        document = self._live.current.document
        return self._change(request, merged(document, path, self._body(request)))

    def _delete(self, request: Request) -> Response:
        path = split(request.path.removeprefix(CONFIG))
        return self._change(request, without(self._live.current.document, path))

    def _post(self, request: Request) -> Response:
        request.query["dry_run"] = ""
        return self._put(request)

    def _body(self, request: Request) -> Node:
        try:
            text = request.body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Refused(400, "the body is not UTF-8 text") from None
        return self._parse(text, BODY)

    def _change(self, request: Request, document: Node) -> Response:
        live = self._live
        document = with_secrets(document, live.current.document, BODY)
        if "dry_run" in request.query:
            return self._said(live.plan(document, BODY))
        self._check_match(request)
        guard = _guard(request)
        plan = live.apply(document, BODY, _author(request))
        if guard is not None and plan.changes:
            live.watch_over(*guard)
        return self._said(plan)

    def _check_match(self, request: Request) -> None:
        wanted = request.headers.get("if-match")
        current = f'"{self._live.current.number}"'
        if wanted is not None and wanted.strip() not in ("*", current):
            raise Refused(
                412,
                f"the configuration is generation {current} by now, not {wanted[:20]}: "
                "look at what has changed, then try again",
            )

    def _rollback(self, request: Request) -> Response:
        self._check_match(request)
        to = request.query.get("to")
        if to is not None and not (to.isascii() and to.isdecimal()):
            raise Refused(400, "expected ?to=N, the number of a generation")
        number = None if to is None else int(to[:18])
        return self._said(self._live.rollback(number, _author(request)))

    def _drain(self, request: Request) -> Response:
        seconds = _number(request.query.get("seconds", "10"), "seconds", 86_400)
        return _json({"connections": self._live.drain_replaced(int(seconds * 1000))})

    def _said(self, plan: Plan) -> Response:
        live = self._live
        return _json(
            {
                "generation": live.current.number,
                "changes": [change.as_tree() for change in plan.changes],
                "connections_of_earlier_generations": live.leaving,
            },
            [("ETag", f'"{live.current.number}"')],
        )


def _answering(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """What is wrong with a request becomes an answer."""

    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except Refused as refused:
            return refused.response
        except NoSuchPath as error:
            return Response(404, f"{error}\n")
        except ConfigError as error:
            return Response(422, "".join(f"{line}\n" for line in error.lines))
        except Conflict as error:
            return Response(409, f"{error}\n")
        except TimeoutError as error:
            log.get("shotover::config").error("a change was given up", reason=str(error))
            return Response(503, f"{error}\n")

    return answer


def _author(request: Request) -> str:
    """Who says he is it, and from where."""
    name = request.headers.get("x-author", "")[:64]
    return f"{name} ({request.peer})" if name else request.peer


def _number(text: str, name: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise Refused(400, f"expected {name} to be a number from 0 to {most:g}, got {text[:20]!r}")
    return value


def _guard(request: Request) -> tuple[float, float] | None:
    """(percent of requests that may fail, seconds) from ?rollback_on=errors>1&for=30."""
    wanted = request.query.get("rollback_on")
    if wanted is None:
        return None
    what, sign, percent = wanted.partition(">")
    if what != "errors" or not sign:
        raise Refused(400, f"expected rollback_on=errors>PERCENT, got {wanted[:40]!r}")
    percent = percent.removesuffix("%")
    return _number(percent, "the percent of errors", 100), _number(
        request.query.get("for", "30"), "for", 3600
    )


def _json(value: object, headers: list[tuple[str, str]] | None = None) -> Response:
    return Response(200, json_text(value) + "\n", JSON, headers or [])


def openapi() -> dict[str, object]:
    """The OpenAPI 3.1 document of these pages."""
    document: dict[str, object] = {"content": {"application/yaml": {}, JSON: {}}}
    path = {
        "name": "path",
        "in": "path",
        "required": True,
        "description": "keys, names or types of entries, numbers from 0; `-` is the end of a list",
        "schema": {"type": "string"},
    }
    changes = [_query("dry_run", "only say what would change"), _if_match()]
    guard = [
        _query("rollback_on", "errors>PERCENT: take it back when more requests fail"),
        _query("for", "for so many seconds"),
    ]

    def change(summary: str, **more: Any) -> dict[str, object]:
        answers = {
            "200": "what has changed",
            "404": "no such path",
            "409": "not now",
            "412": "there is a newer generation",
            "422": "what is wrong with it, a line each",
        }
        return {
            "summary": summary,
            "parameters": changes + guard,
            "responses": {code: {"description": text} for code, text in answers.items()},
            **more,
        }

    def read(summary: str) -> dict[str, object]:
        return {"summary": summary, "responses": {"200": {"description": "JSON"}}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "Shotover's configuration", "version": "1"},
        "paths": {
            CONFIG: {
                "get": read("the document in force; secrets are hidden"),
                "put": change("another document", requestBody=document),
                "patch": change("merge into the document (RFC 7396)", requestBody=document),
                "post": {**read("what a document would change"), "requestBody": document},
            },
            CONFIG + "/{path}": {
                "parameters": [path],
                "get": read("a part of it"),
                "put": change("another value there", requestBody=document),
                "patch": change("merge into what is there", requestBody=document),
                "delete": change("take it out"),
            },
            HISTORY: {"get": read("generations that came into force")},
            HISTORY + "/{number}": {
                "parameters": [{**path, "name": "number", "schema": {"type": "integer"}}],
                "get": read("one of them, with its document"),
            },
            "/rollback": {
                "post": {
                    **change("apply an earlier generation again"),
                    "parameters": [_query("to", "its number"), _if_match()],
                }
            },
            "/drain": {
                "post": {
                    **read("disconnect who is served as an earlier generation said"),
                    "parameters": [_query("seconds", "to finish what is under way; 10")],
                }
            },
        },
    }


def _query(name: str, text: str) -> dict[str, object]:
    return {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}


def _if_match() -> dict[str, object]:
    text = "the ETag of the configuration that the change was made for"
    return {"name": "If-Match", "in": "header", "description": text, "schema": {"type": "string"}}
