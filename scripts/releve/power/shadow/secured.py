"""TLS in the shadow: a stand-in of a server shows a certificate that upsmon is made to trust.

The server's own key is on the server, so the room makes another one, in its own memory: the
certificate goes into a copy of the host's trusted certificates, and the key is gone as soon as the
stand-in has it. What upsmon asks of a server (CERTVERIFY, FORCESSL, CERTHOST) stays as it is.
A server of this host itself shows its own certificate, and nothing of this is needed.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import CheckError
from releve.power.lint.parse import nut_lines
from releve.power.shadow import config, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NICKNAME = "shadow-stand-in"
CERTIFICATE = "stand-in.crt"
DATABASE = "cert9.db"
SETTINGS = f"""\
[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
CN = {NICKNAME}
[extensions]
subjectAltName = @names
[names]
"""
TOOL_SECONDS = 20
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Demand:
    """What an upsmon.conf asks of servers; `hosts`: server -> its certificate's name, and if TLS
    is asked of it, for those that have a line of their own (CERTHOST).
    """

    everywhere: bool
    folder: str
    password: str
    hosts: dict[str, tuple[str, bool]]

    @classmethod
    def of(cls, text: str) -> Demand:
        """Read it; lines that cannot be read ask for nothing."""
        said: dict[str, list[str]] = {}
        lines: dict[str, list[str]] = {}
        for words in (list(line.words) for line in nut_lines(text) if not line.broken):
            if words[0] == "CERTHOST" and len(words) >= 5:  # noqa: PLR2004  # HOST NAME VERIFY FORCE
                lines[words[1]] = words[2:5]
            elif len(words) > 1:
                said[words[0]] = words[1:]
        forced, verified = (said.get(key) == ["1"] for key in ("FORCESSL", "CERTVERIFY"))
        # A line of its own takes FORCESSL's place; TLS is tried only where FORCESSL is not there.
        hosts = {host: (name, force == "1" or (verify == "1" and not forced))
                 for host, (name, verify, force) in lines.items()}  # fmt: skip
        return cls(
            forced or verified,
            said.get("CERTPATH", [""])[0].removeprefix("sql:"),
            [*said.get("CERTIDENT", []), "", ""][1],
            hosts,
        )

    def asked_of(self, host: str) -> bool:
        """Whether upsmon wants TLS of a server."""
        return self.hosts[host][1] if host in self.hosts else self.everywhere


def certificate(demand: Demand, names: Iterable[str], room: Path) -> ssl.SSLContext:
    """Return what a stand-in of servers of these names and addresses shows, CERTIFICATE of `room`.

    Raises CheckError when openssl is missing or fails.
    """
    pair = room / "stand-in.pem"
    pair.touch(mode=0o600)
    each = [*names, *(name for name, _asked in demand.hosts.values())]
    settings = room / "stand-in.cnf"
    settings.write_text(_settings(each), encoding="utf-8")
    _run([
        *("openssl", "req", "-x509", "-config", str(settings), "-days", "2", "-batch", "-noenc"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-keyout", str(pair), "-out", str(room / CERTIFICATE)),
    ])  # fmt: skip
    settings.unlink()
    with pair.open("a", encoding="ascii") as stream:
        stream.write((room / CERTIFICATE).read_text(encoding="ascii"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    pair.unlink()
    return context


def _settings(names: Iterable[str]) -> str:
    """Return openssl's settings, so that it does without the host's; a line for each name."""
    lines = [f"{'IP' if config.is_address(one) else 'DNS'}.{number} = {_quoted(one)}"
             for number, one in enumerate(dict.fromkeys(("localhost", *names)))]  # fmt: skip
    return SETTINGS + "\n".join([*lines, ""])


def _quoted(name: str) -> str:
    """Return a name without what these settings would take for something else."""
    return "".join(f"\\{letter}" if letter in "\\\"'#$`" else letter for letter in name)


def trusted(demand: Demand, room: Path) -> Path:
    """Return a copy of the certificates that upsmon trusts, with the stand-in's among them.

    Raises CheckError when certutil is missing, or where CERTPATH is no database of certificates.
    """
    real = Path(demand.folder)
    if not (real / DATABASE).is_file():
        message = (
            f"CERTPATH {real} of upsmon.conf has no {DATABASE}: the drill knows no other kind of"
            " trusted certificates, and NUT of Debian reads no other"
        )
        raise CheckError(message)
    copy = room / "trusted"
    shutil.copytree(real, copy)
    password = room / "trusted.password"
    password.touch(mode=0o600)
    password.write_text(f"{demand.password}\n", encoding="utf-8")
    _run([
        *("certutil", "-A", "-d", f"sql:{copy}", "-f", str(password), "-n", NICKNAME),
        *("-t", "P,,", "-a", "-i", str(room / CERTIFICATE)),
    ])  # fmt: skip
    password.unlink()
    for file in (real, *real.rglob("*")):
        sandbox.alike(copy / file.relative_to(real), file)
    return copy


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=TOOL_SECONDS,
            stdin=subprocess.DEVNULL, env={"PATH": PATH},
        )  # fmt: skip
    except FileNotFoundError:
        message = (
            f"{argv[0]} is not installed, and TLS cannot be played without: install openssl and"
            " libnss3-tools, or apply playbooks/power.yml"
        )
        raise CheckError(message) from None
    except subprocess.TimeoutExpired as error:
        message = f"{argv[0]} did not end within {TOOL_SECONDS} s"
        raise CheckError(message) from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).splitlines()
        # openssl draws dashes and dots while it works.
        said = next((line.strip() for line in reversed(lines) if line.strip(" -.+*")), "no reason")
        said += f" (it ended with {done.returncode})"
        message = f"{argv[0]} {argv[1]}: {said}"
        raise CheckError(message)
