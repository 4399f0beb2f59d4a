"""What is known of the host that a directory of NUT files is for.

Either looked up here, on the host itself, or read from a JSON file that somebody gathered there:
`{"live": true, "addresses": ["192.0.2.1"], "names": ["pve1"], "drivers": ["usbhid-ups"], "files":
{"upsmon.conf": {"mode": "0640", "owner": "root", "group": "nut"}}, "kill_power_flag": false,
"run_as_exists": true, "paths": {"/sbin/shutdown": true}, "nut": "2.8.1"}`, each key of which may be
absent: then it is not known.
"""

from __future__ import annotations

import contextlib
import grp
import json
import pwd
import re
import socket
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from releve.errors import InputError
from releve.power.lint import rules_host
from releve.power.lint.model import FILES, Access, Configuration, Facts
from releve.power.lint.releases import Release, release_of

DRIVERS = Path("/usr/lib/nut")
_NOT_DRIVERS = frozenset({"upsd", "upsmon"})
_LONGEST_SCRIPT = 100_000  # bytes


def look(conf: Configuration, folder: Path) -> Configuration:
    """Add what this host says of itself; `folder` is where its files were read from."""
    upsmon = conf.upsmon
    flag = upsmon.value("POWERDOWNFLAG") if upsmon else None
    runs_as = upsmon.value("RUN_AS_USER") if upsmon else None
    certificates = upsmon.value("CERTPATH") if upsmon else None
    called = [path for path, _ in rules_host.programs(conf, ("SHUTDOWNCMD", *rules_host.SCRIPTS))]
    facts = Facts(
        live=True,
        release=conf.facts.release,
        addresses=addresses(),
        names=frozenset({socket.gethostname(), socket.getfqdn()} - {""}),
        drivers=_drivers(DRIVERS),
        access={name: found for name in FILES if (found := _access(folder / name))},
        flag_exists=Path(flag).exists() if flag else False,
        run_as_exists=_is_user(runs_as) if runs_as else None,
        paths={path: _runs(Path(path)) for path in called if path.startswith("/")}
        | ({certificates: Path(certificates).is_dir()} if certificates else {}),
        scripts=scripts(conf, folder),
    )
    return replace(conf, facts=facts)


def with_scripts(conf: Configuration, folder: Path) -> Configuration:
    """Add the scripts of upssched and upsmon when they lie beside the files."""
    return replace(conf, facts=replace(conf.facts, scripts=scripts(conf, folder, beside=True)))


def _runs(path: Path) -> bool:
    try:
        return path.is_file() and bool(path.stat().st_mode & 0o111)
    except (OSError, ValueError):
        return False


def scripts(conf: Configuration, folder: Path, *, beside: bool = False) -> dict[str, str]:
    """Return the text of CMDSCRIPT and of NOTIFYCMD by their paths, as far as they can be read."""
    texts: dict[str, str] = {}
    for name, _spot in rules_host.programs(conf, rules_host.SCRIPTS):
        path = folder / Path(name).name if beside else Path(name)
        with contextlib.suppress(OSError, ValueError):
            if path.is_file():
                with path.open("rb") as stream:
                    texts[name] = stream.read(_LONGEST_SCRIPT).decode("latin-1")
    return texts


def addresses() -> frozenset[str] | None:
    """Return the addresses of this host; None when `ip` cannot say."""
    try:
        run = subprocess.run(
            ["ip", "-json", "address"], capture_output=True, check=True, timeout=10, text=True
        )
        links = json.loads(run.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return frozenset(one["local"] for link in links for one in link.get("addr_info", []))


def installed_release() -> Release | None:
    """Return the release of this host's NUT; None when it has none, or one older than 2.8.0."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, InputError):
        run = subprocess.run(["upsc", "-V"], capture_output=True, timeout=10, text=True, check=True)
        told = re.search(r"Network UPS Tools \S+ (\S+)", run.stdout + run.stderr)
        return release_of(told[1]) if told else None
    return None


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _drivers(folder: Path) -> frozenset[str] | None:
    if not folder.is_dir():
        return None
    return frozenset(one.name for one in folder.iterdir()) - _NOT_DRIVERS


def _access(file: Path) -> Access | None:
    try:
        found = file.stat()
    except OSError:
        return None
    owner, group = str(found.st_uid), str(found.st_gid)
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(found.st_uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(found.st_gid).gr_name
    return Access(stat.S_IMODE(found.st_mode), owner, group)


def read_facts(file: Path) -> Facts:
    """Read a file of facts; raises InputError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return facts_of(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{file}: is no file of facts of a host ({error}); it is JSON with live, addresses,"
            " names, drivers, files and kill_power_flag"
        )
        raise InputError(message) from error


def facts_of(content: dict[str, Any]) -> Facts:
    """Take facts out of their JSON form; raises KeyError, ValueError, TypeError."""
    addresses, drivers = content.get("addresses"), content.get("drivers")
    return Facts(
        live=bool(content.get("live", False)),
        release=release_of(content["nut"]) if "nut" in content else None,
        addresses=None if addresses is None else frozenset(map(str, addresses)),
        names=frozenset(map(str, content.get("names", ()))),
        drivers=None if drivers is None else frozenset(map(str, drivers)),
        access={
            str(name): Access(int(one["mode"], 8), str(one["owner"]), str(one["group"]))
            for name, one in content.get("files", {}).items()
        },
        flag_exists=content.get("kill_power_flag"),
        run_as_exists=content.get("run_as_exists"),
        paths={str(path): bool(there) for path, there in content.get("paths", {}).items()},
    )
