"""`explain` shows what will run, reads back as the same topology, and never shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotover.runtime.explain import explain
from tests.config.test_topologies import NEWER, OLDER

ALL = {f"older {name}": text for name, text in OLDER.items()}
ALL |= {f"newer {name}": text for name, text in NEWER.items()}


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_what_is_explained_reads_back_as_the_same(config, text):
    explained = explain(config.load(text))
    first = repr(config.load(text).topology.sources).replace("'redis_chain'", "'redis_prod'")
    assert repr(config.load(explained).topology.sources) == first


def test_derived_names_and_defaults_are_marked(config):
    text = explain(
        config.load(
            "sources: [Redis: {listen_addr: 'h:1', connection_limit: 7, chain: [NullSink]}]"
        )
    )
    assert (
        text
        == """\
# settings of the process
#   main_log_level: info  # default
#   observability_interface: null  # default
#   admin_token: null  # default
#   admin_token_for: changes  # default
#   drain_timeout_seconds: 10  # default
#   memory_limit: null  # default
#   old_metric_names: false  # default
#   core_dumps: false  # default
#   user: null  # default
#   group: null  # default
#   umask: null  # default
sources:
  - Redis:
        name: redis  # derived
        listen_addr: h:1
        connection_limit: 7
        hard_connection_limit: false  # default
        connection_limit_per_ip: null  # default
        connection_limit_ipv6_prefix: 64  # default
        timeout: null  # default
        memory_limit: null  # default
        client_memory_limit: null  # default
        proxy_protocol: null  # default
        tls: null  # default
        hot_keys: null  # default
        slow_requests: null  # default
        max_frame_bytes: 536870912  # default
        max_arguments: 1048576  # default
        max_inline_bytes: 65536  # default
        max_pending_requests: 1024  # default
        client_output_buffer_bytes: 268435456  # default
        in_band: null  # default
        chain:  # chain redis
          - NullSink:
                name: null-sink  # derived
"""
    )


@pytest.mark.parametrize("text", ["yes: no", "5", "a b", "-x", "${A}", "é", '"', "x:", "~", ""])
def test_text_that_looks_like_something_else_is_quoted(config, text):
    (config.folder / "t.py").write_text("class T: pass\n")
    import json

    written = json.dumps(text.replace("${", "$${"))
    chain = f"[Python: {{path: t.py, class: T, config: {{value: {written}}}}}, NullSink]"
    topology = f"sources: [Redis: {{listen_addr: 'h:1', chain: {chain}}}]"
    again = config.load(explain(config.load(topology))).topology.sources[0].chain.steps[0]
    assert again.config == {"value": text}


def test_secrets_are_hidden(config):
    (config.folder / "t.py").write_text("class T: pass\n")
    config.environ = {"PW": "hunter2"}
    loaded = config.load("""\
        sources:
          - Redis:
              listen_addr: h:1
              chain:
                - Python:
                    path: t.py
                    class: T
                    config: {password: "${PW}", nested: [{api_token: hunter2, user: alice}]}
                - NullSink
        """)
    for text in (explain(loaded), repr(loaded.topology.sources)):
        assert "hunter2" not in text
        assert "alice" in text
    assert loaded.topology.sources[0].chain.steps[0].config["password"] == "hunter2"


def test_what_is_not_started_is_named(config):
    text = explain(
        config.load("""\
        sources:
          one: {Redis: {listen_addr: "127.0.0.1:1"}}
          two: {Redis: {listen_addr: "127.0.0.1:2"}}
        chain_config: {main: [NullSink], spare: [NullSink]}
        source_to_chain_mapping: {one: main}
        """)
    )
    assert "# checked, but bound to no source: spare\n" in text
    assert "# not started, since bound to no chain: two\n" in text


def test_long_chain_names_of_copies_are_shortened(config):
    text = explain(config.load(NEWER["parallel"]))
    assert "chain:  # chain map[0], ..., map[2]\n" in text


def test_nothing_is_read_but_the_files(config, monkeypatch):
    """The models need no compiled module: checking and explaining work where none was built."""
    import sys

    before = set(sys.modules)
    for text in ALL.values():
        explain(config.load(text))
    compiled = [name for name in set(sys.modules) - before if name.rpartition(".")[2][:1] == "_"]
    assert [name for name in compiled if name.startswith("shotover")] == []
    assert Path("topology.yaml").exists()
