"""What a shadow must leave as it was, seen from outside of its room, before and after."""

from __future__ import annotations

import hashlib
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.power.look import look
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from releve.power.shadow.config import Monitor

ETC = Path("/etc/nut")
# What our programs read, and what the policy has decided.
OURS = (Path("/etc/releve"), Path("/var/lib/releve-policy"))
GOES_ON = ".ladder.json"  # how the real policy looks at its UPS, which goes on meanwhile
FLAGS = ("/etc/killpower", "/run/nut/killpower")
UNITS = ("nut-*.service", "releve-*.service")
TOOL_SECONDS = 20
START_FIELD = 19  # of /proc/PID/stat after the name: when the process started, proc(5)


@dataclass(frozen=True, slots=True)
class HostSeen:
    """A host at one moment.

    `processes`: unit -> `PID@start`; `files`: path -> hash, mode and owner; `flags`: kill-power
    flags that stand; `clients`: UPS -> who is logged in, None where nobody answers; `statuses`:
    UPS -> its status words.
    """

    processes: dict[str, str]
    files: dict[str, str]
    flags: tuple[str, ...]
    clients: dict[str, tuple[str, ...] | None]
    statuses: dict[str, str]


def see(monitors: Iterable[Monitor], flag: str, programs: Iterable[str]) -> HostSeen:
    """Look at everything; `flag` and `programs` are what upsmon.conf names."""
    clients: dict[str, tuple[str, ...] | None] = {}
    statuses: dict[str, str] = {}
    for one in monitors:
        try:
            seen = look(one.ups, one.host, one.port)
        except NoAnswerError:
            clients[one.ups] = None
            continue
        clients[one.ups] = tuple(sorted(seen.clients))
        statuses[one.ups] = seen.variables.get("ups.status", "")
    files = [*sorted(ETC.rglob("*")), *(Path(word) for word in programs if word.startswith("/"))]
    files += [file for folder in OURS for file in sorted(folder.glob("*.json"))
              if not file.name.endswith(GOES_ON)]  # fmt: skip
    return HostSeen(
        _processes(),
        {str(file): _fingerprint(file) for file in files if file.is_file()},
        tuple(path for path in dict.fromkeys((*FLAGS, flag)) if path and Path(path).exists()),
        clients,
        statuses,
    )


def differences(before: HostSeen, after: HostSeen) -> list[str]:
    """Return one sentence for each thing that is not as it was."""
    found = []
    pairs = (
        ("process of", before.processes, after.processes),
        ("file", before.files, after.files),
        ("clients of", before.clients, after.clients),
    )
    for what, one, other in pairs:
        for name in sorted({*one, *other}):
            was, now = one.get(name), other.get(name)
            if was != now:
                found.append(f"{what} {name}: was {_said(was)}, is {_said(now)}")
    found += [f"flag {path} was not there before" for path in after.flags
              if path not in before.flags]  # fmt: skip
    found += [f"{ups} says {words}" for ups, words in after.statuses.items()
              if "FSD" in words.split()]  # fmt: skip
    return found


def processes_in(namespace: str, proc: Path = Path("/proc")) -> list[int]:
    """Return the processes of a pid namespace, as `pid:[4026532561]`."""
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                where = str((entry / "ns" / "pid").readlink())
            except OSError:
                continue
            if where == namespace:
                found.append(int(entry.name))
    return found


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "nobody"
    return "not there" if value is None else str(value)


def _fingerprint(file: Path) -> str:
    seen = file.stat()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{digest} {stat.S_IMODE(seen.st_mode):04o} {seen.st_uid}:{seen.st_gid}"


def _processes() -> dict[str, str]:
    """Return the running units of NUT and ours; none where there is no systemd."""
    try:
        done = subprocess.run(
            ["systemctl", "show", "--property=Id,MainPID", *UNITS],
            capture_output=True, text=True, check=False, timeout=TOOL_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = {}
    for block in done.stdout.split("\n\n"):
        said = dict(line.partition("=")[::2] for line in block.splitlines())
        pid = said.get("MainPID", "0")
        if pid != "0":
            found[said["Id"]] = f"{pid}@{_start(pid)}"
    return found


def _start(pid: str) -> str:
    try:
        text = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "gone"
    return text.rpartition(")")[2].split()[START_FIELD]
