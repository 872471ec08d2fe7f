"""What the process gives up so that a fault in it, or somebody who gets into it, can do less harm.

protect_memory    before anything is opened: no cores
apply_umask       likewise: permissions of what is created
target            who to become, or None; a ConfigError says why that cannot be
hand_over         UNIX sockets, while still root
drop              when all is open: user, group and groups for good; then no new rights by way of other programs
"""

from __future__ import annotations

import os

from shotover._core import hardening
from shotover.config.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover.config.process import ProcessConfig


class Target:
    """A user and group, and its further groups."""

    __slots__ = ("gid", "groups", "name", "uid")

    def __init__(self, name: str, uid: int, gid: int, groups: list[int]) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = groups


def protect_memory(process: ProcessConfig) -> None:
    """Unless the settings allow cores: none is written, and no other process of this user may read our memory.

    The limit is enough where cores are files. Where the system pipes them into a program the limit
    does not count; there, on Linux, it is the mark that a process must not be dumped. That mark also
    gives /proc/PID (memory, environment, descriptors) to root.
    """
    if process.core_dumps:
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hardening.set_dumpable(False)


def apply_umask(process: ProcessConfig) -> None:
    if process.umask is not None:
        os.umask(process.umask)


def target(process: ProcessConfig) -> Target | None:
    """Who the settings say to become; None: nobody says, or it is who we are. Raises ConfigError."""
    if process.user is None:
        return None
    account = process.account()
    assert not isinstance(account, str), "checked settings name a user that exists"
    uid, gid, groups = account
    found = Target(process.user, uid, gid, groups)
    if os.geteuid() == 0:
        return found
    if (os.getuid(), os.geteuid(), os.getgid(), os.getegid()) == (uid, uid, gid, gid):
        return None
    message = (
        f"cannot become {process.user}: this process runs as user {os.geteuid()}, and only root may "
        "become another; start it as root, or leave the field out and start it as that user"
    )
    raise ConfigError([Problem(process.place_of("user"), message)])


def hand_over(path: str, who: Target | None) -> None:
    """A UNIX socket just made belongs to whom we shall be. Raises OSError."""
    if who is not None:
        os.chown(path, who.uid, who.gid, follow_symlinks=False)


def drop(process: ProcessConfig, who: Target | None) -> None:
    """Become `who`, with no way back; raises ConfigError when the system refuses, or a way is left.

    Groups go first: once the user is another, they cannot be changed any more. Threads of ours that
    run already are changed, too: the C library sees to that.
    """
    try:
        if who is not None:
            os.setgroups(who.groups)
            os.setgid(who.gid)
            os.setuid(who.uid)
            _prove(who)
            if process.core_dumps:
                hardening.set_dumpable(True)  # a change of user takes that away
        hardening.give_up_new_privileges()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        name = process.user or "a process without new privileges"
        raise ConfigError(
            [Problem(process.place_of("user"), f"cannot become {name}: {reason}")]
        ) from error


def _prove(who: Target) -> None:
    """The change is whole: nothing of root is left, and nothing of it can be had again. Raises OSError."""
    users, groups = {os.getuid(), os.geteuid()}, {os.getgid(), os.getegid()}
    if hasattr(os, "getresuid"):
        users.update(os.getresuid())
        groups.update(os.getresgid())
    if users != {who.uid} or groups != {who.gid} or set(os.getgroups()) - {*who.groups, who.gid}:
        raise OSError("the system has changed only some of user and groups")
    for regain in (os.setuid, os.setgid):
        try:
            regain(0)
        except OSError:
            continue
        if who.gid != 0 or regain is os.setuid:
            raise OSError("root can be had back")
