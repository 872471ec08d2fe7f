"""Secrets out of files: what `${file:...}` gives, where it may stand, and that nothing shows it."""

from __future__ import annotations

import os

import pytest

from shotover.config.errors import Place, Problems
from shotover.config.reading import SECRET_BYTES_MAX, Reader, Secret
from shotover.runtime import catalogue
from shotover.runtime.explain import explain, tree

PLANTED = "correct-horse"
AT = "topology.yaml:5: sources[0].chain[0]"


def cluster(password: str) -> str:
    return (
        f"[RedisSinkCluster: {{first_contact_points: ['127.0.0.1:7000'], password: '{password}'}}]"
    )


def password_of(config, written: str) -> str:
    chain = cluster(written)
    text = f"sources:\n- Redis:\n    listen_addr: 127.0.0.1:6379\n    chain: {chain}\n"
    return config.load(text).topology.sources[0].chain.steps[0].password


@pytest.mark.parametrize(
    ("held", "value"),
    [
        (b"correct-horse", "correct-horse"),
        (b"correct-horse\n", "correct-horse"),
        (b"correct-horse\r\n", "correct-horse"),
        (b"correct-horse\n\n", "correct-horse\n"),
        (b" with blanks \n", " with blanks "),
        (b"${HOME} $${x}\n", "${HOME} $${x}"),
        (b"null", "null"),
        ("pässwörd".encode(), "pässwörd"),
        (b"x" * SECRET_BYTES_MAX, "x" * SECRET_BYTES_MAX),
    ],
)
def test_what_a_file_holds_is_the_value(config, held, value):
    (config.folder / "secret").write_bytes(held)
    assert password_of(config, "${file:secret}") == value
    assert password_of(config, f"${{file:{config.folder}/secret}}") == value


def test_it_may_be_part_of_a_value_and_its_path_may_have_variables(config):
    config.environ = {"FOLDER": str(config.folder), "NAME": "secret", "file": "a variable"}
    (config.folder / "secret").write_text(PLANTED)
    assert password_of(config, "${file:${FOLDER}/${NAME}}") == PLANTED
    assert password_of(config, "a-${file:${FOLDER}/secret}-${NAME}") == f"a-{PLANTED}-secret"
    assert password_of(config, "${file:${NONE:-secret}}") == PLANTED
    assert password_of(config, "${file:-x}") == "a variable"
    assert password_of(config, "$${file:secret}") == "${file:secret}"


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (None, "no such file or directory"),
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"correct-horse\xff", "not UTF-8 text"),
        (b"correct\0horse", "not text: there is a zero byte in it"),
        (b"x" * (SECRET_BYTES_MAX + 1), f"longer than {SECRET_BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_not_what_it_holds(config, held, reason):
    if held is not None:
        (config.folder / "secret").write_bytes(held)
    lines = config.chain_errors(cluster("${file:secret}"))
    assert lines == [f"{AT}.RedisSinkCluster.password: ${{file:secret}}: {reason}"]


def test_nobody_waits_for_a_pipe(config):
    os.mkfifo(config.folder / "pipe")
    lines = config.chain_errors(cluster("${file:pipe}"))
    assert lines == [f"{AT}.RedisSinkCluster.password: ${{file:pipe}}: not a regular file"]


@pytest.mark.parametrize("written", ["${file:}", "${file:secret", "${file:${file:secret}}"])
def test_a_reference_that_is_none(config, written):
    (config.folder / "secret").write_text(PLANTED)
    [line] = config.chain_errors(cluster(written))
    assert line.startswith(f"{AT}.RedisSinkCluster.password: expected ${{file:/path}}, got ")


@pytest.mark.parametrize(
    "step",
    [
        "RedisSinkSingle: {remote_address: '${file:secret}'}",
        "RedisSinkSingle: {remote_address: '127.0.0.1:1', name: '${file:secret}'}",
        "RedisSinkSingle: {remote_address: '127.0.0.1:1', connect_timeout_ms: '${file:secret}'}",
        "RedisSinkCluster: {first_contact_points: ['${file:secret}']}",
        "RedisSinkCluster: {first_contact_points: ['a:1'], address_map: {'a:1': '${file:secret}'}}",
        "DebugReturner: {Redis: '${file:secret}'}",
    ],
)
def test_a_field_that_is_shown_refuses_a_file(config, step):
    (config.folder / "secret").write_text(PLANTED)
    [line] = config.chain_errors(f"[{step}]")
    assert "files are for secrets, and this field is no secret; use ${NAME}" in line
    assert PLANTED not in line


def test_config_of_python_code_may_have_them_and_hides_them(config):
    (config.folder / "secret").write_text(PLANTED)
    (config.folder / "t.py").write_text("import shotover\nclass T(shotover.Transform): pass\n")
    loaded = config.load("""\
        sources:
          - Redis:
              listen_addr: "127.0.0.1:6379"
              chain:
                - Python:
                    path: t.py
                    class: T
                    config: {door: "${file:secret}", list: ["x${file:secret}"], plain: seen}
                - NullSink
        """)
    found = loaded.topology.sources[0].chain.steps[0].config
    assert found == {"door": PLANTED, "list": [f"x{PLANTED}"], "plain": "seen"}
    assert isinstance(found["door"], str) and f"{found['door']}" == PLANTED
    for shown in (repr(found), explain(loaded), repr(tree(loaded.topology.sources[0]))):
        assert PLANTED not in shown and "seen" in shown and "<hidden>" in shown


def test_a_password_in_an_address_is_not_quoted(config):
    for url in (f"redis://:{PLANTED}@127.0.0.1:6379", f"me:{PLANTED}@host:6379"):
        [line] = config.chain_errors(f"[RedisSinkSingle: {{remote_address: '{url}'}}]")
        assert PLANTED not in line and "got ...@" in line


def test_other_readings_refuse_files_by_default(tmp_path):
    (tmp_path / "secret").write_text(PLANTED)
    problems = Problems()
    reader = Reader(problems, {}, catalogue.find)
    assert not reader.expanded(f"${{file:{tmp_path}/secret}}", Place("f", 1))
    assert reader.expanded(f"${{file:{tmp_path}/secret}}", Place("f", 1), secret=True) == PLANTED
    assert len(problems) == 1 and PLANTED not in str(problems.sorted()[0])
    assert repr([Secret(PLANTED)]) == "[<hidden>]"
