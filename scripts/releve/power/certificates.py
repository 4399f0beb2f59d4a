"""Keep a NUT server's key and certificate, and the certificates that a monitor trusts.

`own FOLDER ADDRESS...`: one key with its self-signed certificate for these addresses and
`localhost`, ten years, in an NSS database (upsd of Debian is built with NSS); the key is made
inside of it and never leaves. `trust FOLDER PEM...`: these certificates and no others; a server
with another one gets no login. Both change nothing that is as it should be, and print
`{"changed": bool, "why": str}`; with `--check` they only say it.

Roles send this file to a host's Python over its standard input: it leaves nothing there, and
works before anything of ours is installed. So it imports the standard library alone.
"""

from __future__ import annotations

import argparse
import grp
import hashlib
import ipaddress
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NICKNAME = "upsd"  # CERTIDENT of upsd.conf
PEM = "certificate.pem"  # of the folder of `own`: what clients come for
DATABASE = ("cert9.db", "key4.db", "pkcs11.txt")  # NSS's own names
# certutil counts in months, and takes a start of a month ago: clocks of hosts may differ.
MONTHS, EARLIER = 121, -1
RENEW_SECONDS = 90 * 86_400
KEY_BITS = 3072
FOLDER_MODE, FILE_MODE = 0o750, 0o640
GROUP = "nut"
# `certutil -L`: nickname, blanks, three lists of flags; a trusted server has P (peer) in the first.
_LISTED = re.compile(r"^(\S+) +([a-zA-Z]*),([a-zA-Z]*),([a-zA-Z]*) *$", re.MULTILINE)


class CertificateError(Exception):
    """A tool failed or an input is none; one sentence."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that this calls, and the group that may read what they made."""

    run: Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
    group: int

    @classmethod
    def of_this_host(cls) -> Tools:
        """Return the real ones; raises CertificateError where NUT is not installed."""
        try:
            return cls(_run, grp.getgrnam(GROUP).gr_gid)
        except KeyError:
            message = f"there is no group {GROUP}: install nut-client first"
            raise CertificateError(message) from None

    def certutil(self, *words: str) -> str:
        """Run NSS's certutil; raises CertificateError with its last line."""
        done = self.run(["certutil", *words])
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            message = f"certutil {words[0]}: {' '.join(said) or done.returncode}"
            raise CertificateError(message)
        return done.stdout


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        message = f"{argv[0]} is not installed (packages libnss3-tools and openssl)"
        raise CertificateError(message) from None


def own(folder: Path, addresses: Sequence[str], tools: Tools, *, check: bool) -> str:
    """Return why a key and certificate were made ("" when those that are there do)."""
    why = _fault_of_own(folder, addresses, tools)
    if why and not check:
        _replace(folder, tools, lambda new: _make_own(new, addresses, tools))
    return why or _settle(folder, tools, check=check)


def trust(folder: Path, certificates: Sequence[str], tools: Tools, *, check: bool) -> str:
    """Return why the trusted certificates were written ("" when they are those already)."""
    wanted = {_nickname(one): one for one in certificates}
    why = _fault_of_trust(folder, set(wanted), tools)
    if why and not check:
        _replace(folder, tools, lambda new: _make_trust(new, wanted, tools))
    return why or _settle(folder, tools, check=check)


def _fault_of_own(folder: Path, addresses: Sequence[str], tools: Tools) -> str:
    pem = folder / PEM
    if not pem.exists() or not all((folder / name).exists() for name in DATABASE):
        return "there was no certificate"
    seen = ["openssl", "x509", "-in", str(pem), "-noout"]
    if tools.run([*seen, "-checkend", str(RENEW_SECONDS)]).returncode:
        ends = tools.run([*seen, "-enddate"]).stdout.strip().removeprefix("notAfter=")
        return f"the certificate ends within 90 days ({ends or 'it cannot be read'})"
    for address in addresses:
        kind = "-checkip" if _is_address(address) else "-checkhost"
        if "does match" not in tools.run([*seen, kind, address]).stdout:
            return f"the certificate is not for {address}"
    kept = tools.run(["certutil", "-L", "-d", f"sql:{folder}", "-n", NICKNAME, "-a"])
    keys = tools.run(["certutil", "-K", "-d", f"sql:{folder}"]).stdout
    if f":{NICKNAME}\n" not in keys or _der(kept.stdout) != _der(pem.read_text()):
        return "the key and the certificate were not a pair"
    return ""


def _make_own(new: Path, addresses: Sequence[str], tools: Tools) -> None:
    database = f"sql:{new}"
    names = ["dns:localhost", "ip:127.0.0.1"]
    names += [f"{'ip' if _is_address(one) else 'dns'}:{one}" for one in addresses]
    with tempfile.TemporaryDirectory() as scratch:
        noise = Path(scratch) / "noise"  # else certutil asks for a dance on the keyboard
        noise.write_bytes(os.urandom(256))
        tools.certutil("-N", "-d", database, "--empty-password")
        options = {
            "-n": NICKNAME,
            "-s": f"CN={addresses[0]}",
            "-t": "u,,",
            "-k": "rsa",
            "-g": KEY_BITS,
            "-Z": "SHA256",
            "-z": noise,
            "-m": secrets.randbits(30) + 1,
            "-w": EARLIER,
            "-v": MONTHS,
            "--extSAN": ",".join(dict.fromkeys(names)),
        }
        words = [str(word) for pair in options.items() for word in pair]
        tools.certutil("-S", "-x", "-d", database, *words)
    (new / PEM).write_text(tools.certutil("-L", "-d", database, "-n", NICKNAME, "-a"))


def _fault_of_trust(folder: Path, wanted: set[str], tools: Tools) -> str:
    if not all((folder / name).exists() for name in DATABASE):
        return "no server was trusted"
    listed = tools.certutil("-L", "-d", f"sql:{folder}")
    trusted = {name for name, peer, *_rest in _LISTED.findall(listed) if "P" in peer}
    everything = {name for name, *_flags in _LISTED.findall(listed)}
    if trusted != wanted or everything != wanted:
        return "the certificates of the servers are others than those that were trusted"
    return ""


def _make_trust(new: Path, wanted: dict[str, str], tools: Tools) -> None:
    database = f"sql:{new}"
    tools.certutil("-N", "-d", database, "--empty-password")
    with tempfile.TemporaryDirectory() as scratch:
        for name, pem in wanted.items():
            file = Path(scratch) / name
            file.write_text(pem)
            tools.certutil("-A", "-d", database, "-n", name, "-t", "P,,", "-a", "-i", str(file))


def _replace(folder: Path, tools: Tools, make: Callable[[Path], None]) -> None:
    """Make a folder anew beside the old one and put it in its place; NUT reads it at its start."""
    new, old = (folder.with_name(f"{folder.name}.{part}") for part in ("new", "old"))
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir(mode=0o700)
    make(new)
    _settle(new, tools, check=False)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _settle(folder: Path, tools: Tools, *, check: bool) -> str:
    """Let NUT read the folder, and nobody else; return what had to be mended."""
    mended = ""
    for path in (folder, *sorted(folder.iterdir())) if folder.exists() else ():
        mode = FOLDER_MODE if path.is_dir() else FILE_MODE
        found = path.stat()
        if (found.st_mode & 0o7777, found.st_uid, found.st_gid) != (mode, 0, tools.group):
            mended = f"others than root and {GROUP} could read or change {path}"
            if not check:
                os.chown(path, 0, tools.group)
                path.chmod(mode)
    return mended


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _der(pem: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem.strip())
    except ValueError:
        return b""


def _nickname(pem: str) -> str:
    """Return a certificate's name in the database; it follows from its content alone."""
    if not (der := _der(pem)):
        message = f'what was given is no certificate in PEM: "{pem.strip()[:40]}"'
        raise CertificateError(message)
    return f"upsd-{hashlib.sha256(der).hexdigest()[:24]}"


def main(arguments: Sequence[str], tools: Tools | None = None) -> int:
    """Do one of the two; 1 when it cannot be done, with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="certificates")
    parser.add_argument("what", choices=("own", "trust"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("each", nargs="+", metavar="ADDRESS|PEM")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args(arguments)
    act = own if chosen.what == "own" else trust
    try:
        why = act(chosen.folder, chosen.each, tools or Tools.of_this_host(), check=chosen.check)
    except (CertificateError, OSError) as error:
        sys.stderr.write(f"{chosen.folder}: {error}\n")
        return 1
    sys.stdout.write(json.dumps({"changed": bool(why), "why": why}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
