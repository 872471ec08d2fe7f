"""Who the process is once it serves: as root the change is looked at from outside, else what is said of it."""

from __future__ import annotations

import grp  # noqa: F401  # in a child that is no root any more it may be out of reach
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority
from support.proxy import Proxy
from support.resp import RawClient, encode
from support.wait import wait_until

from shotover._core import hardening
from shotover.config.errors import ConfigError
from shotover.config.process import ProcessConfig
from shotover.runtime import privileges

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="must be root to become another user")
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
NOBODY = pwd.getpwnam("nobody")
STRANGER = 54321


def status(proxy: Proxy, field: str) -> list[str]:
    """A line of what Linux says of the process."""
    text = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(f"{field}:"))


@AS_ROOT
@LINUX
@pytest.mark.parametrize(
    ("config", "uid", "gid"),
    [
        ({"user": "nobody"}, NOBODY.pw_uid, NOBODY.pw_gid),
        ({"user": str(NOBODY.pw_uid), "group": str(STRANGER)}, NOBODY.pw_uid, STRANGER),
        ({"user": str(STRANGER), "group": str(STRANGER)}, STRANGER, STRANGER),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_somebody_else_once_it_serves(
    start_server, start_proxy, tmp_path, config, uid, gid, threads
):
    arguments = ("--core-threads", str(threads))
    proxy = start_proxy(start_server().port, config=config, arguments=arguments)
    for task in Path(f"/proc/{proxy.process.pid}/task").iterdir():
        text = (task / "status").read_text()
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in text
        assert f"Gid:\t{gid}\t{gid}\t{gid}\t{gid}\n" in text
        assert "CapEff:\t0000000000000000\n" in text and "CapPrm:\t0000000000000000\n" in text
    assert {int(each) for each in status(proxy, "Groups")} == {gid}
    assert status(proxy, "NoNewPrivs") == ["1"]
    assert proxy.client().set("a", "b") and proxy.client().get("a") == b"b"
    assert "privileges dropped" in proxy.log()
    assert "shotover_connections" in proxy.http("/metrics")


@LINUX
def test_new_privileges_are_given_up_by_everybody(start_server, start_proxy):
    proxy = start_proxy(start_server().port)
    assert status(proxy, "NoNewPrivs") == ["1"]
    assert int(status(proxy, "Uid")[0]) == os.getuid()


@AS_ROOT
def test_a_unix_socket_goes_with_it(start_server, start_proxy, tmp_path):
    path = tmp_path / "socket"
    for umask, query, mode in (
        (None, "?mode=0660", 0o660),
        ("0117", "", 0o660),
        ("077", "", 0o700),
    ):
        config: dict[str, Any] = {"user": "nobody"} | ({"umask": umask} if umask else {})
        proxy = start_proxy(
            start_server().port, source={"listen_addr": f"unix:{path}{query}"}, config=config
        )
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
        assert stat.S_IMODE(found.st_mode) == mode
        with RawClient(path) as client:
            client.send(encode("PING"))
            assert client.frame() == b"+PONG\r\n"
        proxy.stop()


@AS_ROOT
def test_keys_that_only_root_may_read_are_told_of_and_stay_in_force(
    start_server, start_proxy, tmp_path
):
    authority = Authority(tmp_path)
    local = authority.issue("server", dns=["localhost"], addresses=["127.0.0.1"])
    local.key.chmod(0o600)
    proxy = start_proxy(
        start_server().port, source={"tls": local.fields()}, config={"user": "nobody"}
    )
    proxy.allow_log("this user may not read a file", "ermission denied", "cannot be used")
    warned = f"{local.key}"
    assert any(
        "this user may not read" in line.text and warned in line.text for line in proxy.log_lines()
    )
    proxy.signal(signal.SIGHUP)
    wait_until(lambda: "what it said before stays in force" in proxy.log(), "the failure is told")
    with RawClient(proxy.port, tls=authority.client_context()) as client:
        client.send(encode("PING"))
        assert client.frame() == b"+PONG\r\n"


@AS_ROOT
@LINUX
@pytest.mark.parametrize("allowed", [False, True])
def test_others_of_its_user_may_look_into_it_only_where_cores_may_be(
    start_server, start_proxy, allowed
):
    config = {"user": "nobody", "core_dumps": allowed}
    proxy = start_proxy(start_server().port, config=config)
    done = subprocess.run(
        ["cat", f"/proc/{proxy.process.pid}/environ"],
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) == allowed, done.stderr
    assert allowed or b"Permission denied" in done.stderr


# ---- in a child of the test ----------------------------------------------------------------------------------------


def in_child(act: Callable[[], object]) -> str:
    """What `act` gives, or the error that it raises, in a process of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = str(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(pid, 0)
    return said


def become(uid: int) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


def test_only_root_can_become_another():
    process = ProcessConfig(user="nobody")

    def act() -> object:
        become(STRANGER)
        return privileges.target(process)

    said = in_child(act)
    assert (
        said.startswith("ConfigError: ")
        and "cannot become nobody: this process runs as user " in said
    )
    assert "only root may become another; start it as root, or leave the field out" in said


@AS_ROOT
def test_who_is_that_user_already_has_nothing_to_do():
    process = ProcessConfig(user=str(STRANGER), group=str(STRANGER))

    def act() -> object:
        become(STRANGER)
        found = privileges.target(process)
        privileges.drop(process, found)
        return found, os.getuid()

    assert in_child(act) == f"(None, {STRANGER})"


@AS_ROOT
def test_there_is_no_way_back():
    process = ProcessConfig(user=str(STRANGER), group=str(STRANGER))

    def act() -> object:
        os.setgroups([0, 4])
        privileges.drop(process, privileges.target(process))
        ways = []
        for way in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
            try:
                ways.append(way())
            except PermissionError:
                continue
        return ways, os.getgroups(), hardening.is_dumpable()

    assert in_child(act) in (f"([], [{STRANGER}], False)", f"([], [{STRANGER}], None)")


@AS_ROOT
@LINUX
def test_a_change_that_is_not_whole_is_refused(monkeypatch):
    process = ProcessConfig(user=str(STRANGER), group=str(STRANGER))
    had = os.setgroups

    def act() -> object:
        had([0, 4])
        return privileges.drop(process, privileges.target(process))

    for broken in ("setuid", "setgid", "setgroups"):
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, lambda _to: None)
            said = in_child(act)
        assert said.startswith("ConfigError: ") and f"cannot become {STRANGER}: " in said, broken


@AS_ROOT
def test_a_system_that_refuses_is_told_of(monkeypatch):
    def refuse(_to: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    process = ProcessConfig(user=str(STRANGER), group=str(STRANGER))
    monkeypatch.setattr(os, "setgroups", refuse)
    with pytest.raises(ConfigError, match=f"cannot become {STRANGER}: operation not permitted"):
        privileges.drop(process, privileges.target(process))
