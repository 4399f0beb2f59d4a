"""Whether the servers that a host's monitor follows show a certificate that it trusts.

upsmon of Debian keeps what it trusts in an NSS database (CERTPATH), which no file tells about: with
another authority in there, or an expired certificate, the monitor looks healthy and is let in
nowhere. So the database is read with certutil, and each server is asked for its certificate, as
upsmon does it (clients/upsclient.c of NUT 2.8.1). Standard library only.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from releve.power.lint.model import Configuration, Monitor

    Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]

TIMEOUT = 5.0  # seconds
SOON_DAYS = 30  # before a certificate ends, it is said
# `certutil -L`: nickname, blanks, three lists of flags; the first is about servers.
_LISTED = re.compile(r"^(\S.*?) {2,}([a-zA-Z]*),[a-zA-Z]*,[a-zA-Z]* *$", re.MULTILINE)
_TRUSTED = frozenset("PC")  # this certificate itself; whatever this authority has signed
_VERIFY = 3  # of CERTHOST HOST NAME VERIFY FORCE


@dataclass(frozen=True, slots=True)
class Trust:
    """What came of one server: `fault` is empty where its certificate is trusted.

    `days`: until that one ends; None where there was no look at it.
    """

    system: str
    ups: str
    fault: str = ""
    days: int | None = None


def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program; raises OSError, subprocess.SubprocessError."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def trust_of(conf: Configuration, with_run: Run = run) -> tuple[Trust, ...]:
    """Look at each server whose certificate upsmon checks; none where it checks none."""
    servers = {(one.host, one.port): one for one in conf.monitors if _is_checked(conf, one)}
    checked = list(servers.values())
    if not checked:
        return ()
    folder = conf.upsmon.value("CERTPATH") if conf.upsmon else None
    try:
        trusted = _database(folder or "", with_run)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        fault = f"{folder or 'CERTPATH is not set'}: {error}"
        return tuple(Trust(one.system, one.ups, fault) for one in checked)
    return tuple(_ask(one, trusted, folder or "") for one in checked)


def _is_checked(conf: Configuration, monitor: Monitor) -> bool:
    if conf.upsmon is None:
        return False
    for line in conf.upsmon.all("CERTHOST"):
        if line.words[1] == monitor.host:
            return line.words[_VERIFY] == "1"
    return conf.upsmon.number("CERTVERIFY", 0) == 1


def _database(folder: str, with_run: Run) -> str:
    """Return what is trusted in there, as PEM; raises OSError, ValueError."""
    place = ("-d", f"sql:{folder}")
    listed = with_run(("certutil", "-L", *place))
    if listed.returncode:
        said = (listed.stderr.strip().splitlines() or ["certutil fails"])[-1]
        raise ValueError(said)
    names = [name for name, flags in _LISTED.findall(listed.stdout) if _TRUSTED & {*flags}]
    found = [with_run(("certutil", "-L", *place, "-n", name, "-a")).stdout for name in names]
    if not any(found):
        message = "no server and no authority is trusted in there"
        raise ValueError(message)
    return "\n".join(found)


def _ask(monitor: Monitor, trusted: str, folder: str) -> Trust:
    try:
        days = _days_left(monitor.host, int(monitor.port), trusted)
    except ssl.SSLCertVerificationError as error:
        fault = f"its certificate is not one that {folder} trusts ({error.verify_message})"
        return Trust(monitor.system, monitor.ups, fault)
    except (OSError, ValueError, OverflowError) as error:
        return Trust(monitor.system, monitor.ups, f"no certificate was seen ({error})")
    return Trust(monitor.system, monitor.ups, days=days)


def _days_left(host: str, port: int, trusted: str) -> int:
    """Return the days until a server's certificate ends; raises OSError, ssl.SSLError too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As NSS: a certificate may be trusted itself, whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=trusted)
    with socket.create_connection((host, port), timeout=TIMEOUT) as link:
        link.sendall(b"STARTTLS\n")
        said = b""
        while not said.endswith(b"\n"):  # a byte each: what follows is TLS
            byte = link.recv(1)
            if not byte:
                break
            said += byte
        if not said.startswith(b"OK"):
            message = f"upsd offers no TLS: {said.decode('ascii', 'replace').strip() or 'closed'}"
            raise ValueError(message)
        with context.wrap_socket(link, server_hostname=host) as secured:
            seen = secured.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(seen["notAfter"]))
    return int((ends - time.time()) // 86_400)
