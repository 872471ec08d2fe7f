"""The configuration as a resource: paths, conditions, history, secrets; and the verbs of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import yaml

from live.conftest import NO_WRITES, Running, source_of, with_step

Start = Callable[..., Running]
SINK = "/config/sources/redis/chain/RedisSinkSingle"


def test_parts_are_read_and_changed_by_their_paths(proxy_with: Start) -> None:
    proxy = proxy_with()
    found = proxy.ask("GET", "/config")
    assert (found.tree, found.etag) == (proxy.topology, '"1"')
    assert proxy.ask("GET", f"{SINK}/connect_timeout_ms").tree == 3000
    assert proxy.ask("GET", "/config/sources/0/chain/0/name").tree == "sink"
    assert proxy.ask("PUT", f"{SINK}/connect_timeout_ms", 2000).etag == '"2"'
    assert proxy.ask("GET", f"{SINK}/connect_timeout_ms").tree == 2000
    assert proxy.ask("PATCH", SINK, {"read_timeout": 5, "connect_timeout_ms": None}).etag == '"3"'
    fields = proxy.ask("GET", SINK).tree["RedisSinkSingle"]
    assert fields["read_timeout"] == 5 and "connect_timeout_ms" not in fields
    assert proxy.ask("PATCH", "/config/sources/redis", {"connection_limit": 100}).status == 200
    assert proxy.metric("shotover_available_connections_count", source="redis") == 100
    assert proxy.ask("DELETE", "/config/sources/redis/connection_limit").status == 200
    assert proxy.metric("shotover_available_connections_count", source="redis") == 512
    assert proxy.ask("PUT", "/config/sources/redis/chain/-", NO_WRITES).status == 422, (
        "behind a sink"
    )
    assert proxy.generation() == 5


def test_paths_that_lead_nowhere_say_what_there_is(proxy_with: Start) -> None:
    proxy = proxy_with()
    for path, text in (
        ("/config/sources/9", "sources has 1 entries, the first is 0"),
        ("/config/sources/reddis", "sources has no entry reddis, did you mean redis?"),
        ("/config/sources/redis/chian", "sources/redis has no chian, did you mean chain?"),
        (f"{SINK}/name/x", "is a value, so nothing is below it"),
    ):
        answer = proxy.ask("GET", path)
        assert answer.status == 404 and text in answer.text, answer
    assert proxy.ask("DELETE", "/config/nothing").status == 404
    assert proxy.ask("GET", "/history/7").status == 404


def test_of_two_writers_one_is_told(proxy_with: Start) -> None:
    proxy = proxy_with()
    etag = proxy.ask("GET", "/config").etag
    mine, yours = (with_step(proxy.topology, NO_WRITES), proxy.topology)
    assert proxy.ask("PUT", "/config", mine, If_Match=etag).status == 200
    answer = proxy.ask("PUT", "/config", yours, If_Match=etag)
    assert answer.status == 412
    assert answer.text.startswith('the configuration is generation "2" by now, not "1"')
    assert proxy.ask("PATCH", SINK, {"read_timeout": 5}, If_Match='"2"').status == 200


def test_a_dry_run_changes_nothing(proxy_with: Start) -> None:
    proxy = proxy_with()
    topology = with_step(proxy.topology, NO_WRITES)
    for answer in (
        proxy.ask("PUT", "/config?dry_run", topology),
        proxy.ask("POST", "/config", topology),
    ):
        (change,) = answer.tree["changes"]
        assert (answer.tree["generation"], change["change"]) == (1, "replace")
    assert proxy.ask("PUT", "/config?dry_run", {"sources": 1}).status == 422
    assert proxy.generation() == 1


def test_history_is_kept_and_can_be_gone_back_to(proxy_with: Start) -> None:
    proxy = proxy_with()
    first = proxy.topology
    proxy.ask("PUT", "/config", with_step(first, NO_WRITES), X_Author="ann")
    proxy.ask("PATCH", SINK, {"read_timeout": 5})
    found = proxy.ask("GET", "/history").tree["generations"]
    assert [(g["generation"], g["author"], g["changes"]) for g in found] == [
        (1, "start", "read from topology.yaml"),
        (2, "ann (127.0.0.1)", "source redis: replace"),
        (3, "127.0.0.1", "source redis: replace"),
    ]
    assert proxy.ask("GET", "/history/1").tree["document"] == first
    assert proxy.ask("POST", "/rollback").etag == '"4"'
    assert "read_timeout" not in proxy.ask("GET", SINK).tree["RedisSinkSingle"]
    assert proxy.ask("POST", "/rollback?to=1").etag == '"5"'
    assert proxy.ask("GET", "/config").tree == first
    answer = proxy.ask("POST", "/rollback?to=77")
    assert (answer.status, answer.text) == (409, "generation 77 is not kept; there are 1 to 5\n")


def test_secrets_are_never_shown_and_stay_when_put_back(proxy_with: Start) -> None:
    secret = "correct-horse"
    proxy = proxy_with(
        end={
            "RedisSinkCluster": {
                "name": "sink",
                "first_contact_points": ["127.0.0.1:1"],
                "username": "u",
                "password": secret,
            }
        }
    )
    proxy.allow_log("cannot", "no node", "topology")
    shown = proxy.ask("GET", "/config")
    assert secret not in shown.text and "[redacted]" in shown.text
    topology = shown.tree
    source_of(topology)["connection_limit"] = 77
    answer = proxy.apply(topology)
    assert answer.status == 200 and secret not in answer.text
    lines = [line for change in answer.tree["changes"] for line in change["differences"]]
    assert lines == ["Redis.connection_limit: 512 -> 77"], "the password is what it was"
    source_of(topology)["timeout"] = "[redacted]"
    answer = proxy.apply(topology)
    assert answer.status == 422 and "stands for a secret that runs" in answer.text
    topology = shown.tree
    source_of(topology)["chain"][0]["RedisSinkCluster"]["password"] = "battery-staple"
    answer = proxy.apply(topology)
    assert answer.status == 200 and "battery-staple" not in answer.text + proxy.log()
    lines = [line for change in answer.tree["changes"] for line in change["differences"]]
    assert "Redis.chain[0].RedisSinkCluster.password: another secret" in lines


def test_the_verbs(proxy_with: Start) -> None:
    proxy = proxy_with()
    (proxy.directory / "new.yaml").write_text(yaml.safe_dump(with_step(proxy.topology, NO_WRITES)))
    (proxy.directory / "bad.yaml").write_text("sources:\n- Redis: {listen_addr: nowhere}\n")
    done = proxy.run("plan", "-c", "config.yaml", "-t", "new.yaml")
    assert done.returncode == 2, done
    assert done.stdout.startswith("source redis: replace (new connections only; 0 connections stay")
    assert "    Redis.chain[0].QueryTypeFilter.AllowList[0]: 'Read' is new\n" in done.stdout
    done = proxy.run("apply", "-c", "config.yaml", "-t", "bad.yaml")
    assert done.returncode == 1 and "bad.yaml:2: sources[0].listen_addr: expected" in done.stderr
    done = proxy.run("apply", "-c", "config.yaml", "-t", "new.yaml", "--wait")
    assert done.returncode == 0 and done.stdout.endswith(
        "generation 2 is in force\n0 connections are served as before\n"
    ), done
    assert proxy.run("plan", "-c", "config.yaml", "-t", "new.yaml").returncode == 0
    done = proxy.run("apply", "-c", "config.yaml", "--generation", "1")
    assert done.returncode == 1 and "topology.yaml: no such file" in done.stderr
    done = proxy.run("rollback", "-c", "config.yaml")
    assert done.returncode == 0 and done.stdout.endswith("generation 3 is in force\n"), done
    done = proxy.run("history", "-c", "config.yaml")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "2", "3"]
    done = proxy.run("history", "-c", "config.yaml", "1")
    assert json.loads(done.stdout) == proxy.topology
    done = proxy.run("plan", "-t", "new.yaml")
    assert done.returncode == 1 and "--admin HOST:PORT" in done.stderr
    done = proxy.run("plan", "-t", "new.yaml", "--admin", "127.0.0.1:1")
    assert done.returncode == 1 and "no answer from the process: connection refused" in done.stderr


def test_who_has_no_token_changes_nothing(proxy_with: Start) -> None:
    token = "0123456789abcdef0123"
    proxy = proxy_with(config={"admin_token": token})
    assert proxy.apply(with_step(proxy.topology, NO_WRITES)).status == 401
    assert proxy.ask("POST", "/rollback").status == 401
    (proxy.directory / "new.yaml").write_text(yaml.safe_dump(with_step(proxy.topology, NO_WRITES)))
    done = proxy.run("apply", "-c", "config.yaml", "-t", "new.yaml")
    assert done.returncode == 0, done
    assert proxy.generation() == 2


def test_the_openapi_document_names_every_page(proxy_with: Start) -> None:
    proxy = proxy_with()
    document = proxy.ask("GET", "/openapi.json").tree
    assert document["openapi"].startswith("3.1")
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            concrete = path.replace("{path}", "sources").replace("{number}", "1")
            answer = proxy.ask(method.upper(), concrete + "?dry_run", {})
            assert answer.status not in (404, 405, 500), (method, concrete, answer)
