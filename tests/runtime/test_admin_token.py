"""The HTTP endpoint of a real process: who may change something, and what is said at the start."""

from __future__ import annotations

import urllib.error
import urllib.request

from support.proxy import Proxy
from support.wait import free_port

TOKEN = "planted-token-of-32-characters-xx"
SWITCH = "/transform/tee/result-source"


def put(port: int, path: str, body: str, **headers: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body.encode(), headers, method="PUT"
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_token_from_a_file_guards_every_switch(start_server, start_proxy, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    switch = free_port()
    tee = {"Tee": {"behavior": "Ignore", "chain": ["NullSink"], "switch_port": switch}}
    proxy: Proxy = start_proxy(
        start_server().port,
        chain=[tee],
        config={"admin_token": f"${{file:{tmp_path}/token}}"},
    )
    right = {"Authorization": f"Bearer {TOKEN}"}
    for port, path, body in (
        (proxy.metrics_port, "/filter", "debug"),
        (switch, SWITCH, "tee-chain"),
    ):
        assert put(port, path, body) == 401
        assert put(port, path, body, Authorization="Bearer x") == 401
        assert put(port, path, body, **right, Origin="http://x") == 403
        assert put(port, path, body, **right) == 200
    assert proxy.http("/filter") == "debug\n"
    proxy.allow_log("wrong token")
    assert TOKEN not in proxy.log() and TOKEN not in proxy.http("/topology")


def test_an_endpoint_that_others_reach_without_a_token_is_a_warning(start_server, start_proxy):
    server = start_server()
    for token in (None, TOKEN):
        port = free_port()
        config = {"observability_interface": f"0.0.0.0:{port}"}
        proxy = start_proxy(server.port, config=config | ({"admin_token": token} if token else {}))
        warned = "asks for no token: let it listen on 127.0.0.1, or set admin_token" in proxy.log()
        assert warned == (token is None)
        assert put(port, "/filter", "info") == (200 if token is None else 401)
        proxy.allow_log("asks for no token")
