"""The systemd unit: what `shotover service install` writes, and configs/shotover.service.

It never is root, writes nothing, and sees nothing but its own files; shotover/docs/security.md says what each part is for.
"""

from __future__ import annotations

NOTIFY_RELOAD_SINCE = 253
"""The first version of systemd that knows Type=notify-reload."""

HEAD = """\
# A systemd unit: `shotover docs security` says what each part is for. It never is root, writes nothing, and sees
# nothing but its own files.
[Unit]
Description=Shotover, a proxy before databases
Documentation=man:shotover(1)
Wants=network-online.target
After=network-online.target

[Service]
"""

NOTIFY = """\
# Started is it when all its listeners are open. From systemd 253 on Type=notify-reload, without ExecReload, also makes
# `systemctl reload` wait until the files have been read.
Type=notify
"""
NOTIFY_RELOAD = """\
# Started is it when all its listeners are open; `systemctl reload` waits until the files have been read.
Type=notify-reload
"""

RUN = """\
Restart=on-failure
# A worker that takes no turns for so long is a hung process.
WatchdogSec=30
TimeoutStopSec=20
LimitNOFILE=1048576
# Lets io_uring lock its rings on kernels before 5.12.
LimitMEMLOCK=64M

"""

DYNAMIC = """\
DynamicUser=yes
RuntimeDirectory=shotover
UMask=0077
LoadCredential=admin:/etc/shotover/admin.token
"""
FIXED = """\
User={user}
Group={user}
RuntimeDirectory=shotover
UMask=0077
# A secret that root alone may read: "${{file:${{CREDENTIALS_DIRECTORY}}/admin}}" in config.yaml.
#LoadCredential=admin:/etc/shotover/admin.token
"""

SHUT_IN = """\
# For ports below 1024, in place of the two empty lines that follow, and without PrivateUsers:
#AmbientCapabilities=CAP_NET_BIND_SERVICE
#CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=
CapabilityBoundingSet=

NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
PrivateUsers=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=prlimit64 setrlimit
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(command: str, user: str | None, systemd: int | None = None) -> str:
    """The text of a unit. `user`: None is one that exists while the service runs; `systemd`: its version, None any."""
    waits = systemd is not None and systemd >= NOTIFY_RELOAD_SINCE
    start = f"ExecStart={command}\n"
    reload = "" if waits else "ExecReload=/bin/kill -HUP $MAINPID\n"
    who = DYNAMIC if user is None else FIXED.format(user=user)
    kind = NOTIFY_RELOAD if waits else NOTIFY
    return "".join([HEAD, kind, start, reload, RUN, who, SHUT_IN])


def quoted(words: list[str]) -> str:
    """A command line as ExecStart takes it: % and $ are not expanded, words with spaces stay whole."""
    found = []
    for word in words:
        word = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
        found.append('"%s"' % word.replace('"', '\\"') if set(word) & set(" \t\"';") else word)
    return " ".join(found)
