"""A stand-in shows a certificate that the host's upsmon trusts, and nothing real is touched."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from releve.errors import CheckError
from releve.power.shadow.secured import Demand, certificate, trusted
from releve.power.shadow.stand_in import StandIn

if TYPE_CHECKING:
    from pathlib import Path

needs_tools = pytest.mark.skipif(
    not (shutil.which("certutil") and shutil.which("openssl")),
    reason="certutil (libnss3-tools) and openssl are not installed",
)
NAMES = ("192.0.2.1", "ups.example.org", "2001:db8::7")
UPSMON = """\
MONITOR ups1@192.0.2.1 1 s "p\\#w" secondary
CERTPATH /etc/nut/tls-trusted
CERTIDENT client "s e"
CERTVERIFY 1
FORCESSL 1
CERTHOST 192.0.2.9 old.example.org 0 0
CERTHOST nas nas.example.org 1 0
CERTHOST both nas.example.org 1 1
CERTHOST named "UPS of the hall, \\#2 $x" 1 1
"""


def test_what_is_asked_of_each_server() -> None:
    demand = Demand.of(UPSMON)

    assert demand.folder == "/etc/nut/tls-trusted"
    assert demand.password == "s e"  # noqa: S105  # of the text above
    assert demand.asked_of("192.0.2.1")
    assert demand.asked_of("both")
    assert not demand.asked_of("nas")  # FORCESSL would have been needed in its line
    assert Demand.of(UPSMON.replace("FORCESSL 1", "FORCESSL 0")).asked_of("nas")
    assert not demand.asked_of("192.0.2.9")


@pytest.mark.parametrize(
    "text",
    ["", "CERTVERIFY 0\nFORCESSL 0\n", '# FORCESSL 1\nCERTPATH "open\n', "CERTPATH sql:/etc/x\n"],
)
def test_who_asks_for_nothing_is_not_given_tls(text: str) -> None:
    assert not Demand.of(text).asked_of("192.0.2.1")


def test_a_database_has_a_kind_in_front_of_it() -> None:
    assert Demand.of("FORCESSL 1\nCERTPATH sql:/etc/nut/nss\n").folder == "/etc/nut/nss"


def talk(stand_in: StandIn, ca: Path | None, name: str, *lines: str) -> list[str]:
    """Say some lines after STARTTLS, as upsmon does; without `ca` in the clear."""
    port = int(stand_in.server.server_address[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        link: socket.socket = plain
        if ca is not None:
            plain.sendall(b"STARTTLS\n")
            assert plain.recv(100) == b"OK STARTTLS\n"
            context = ssl.create_default_context(cafile=str(ca))
            link = context.wrap_socket(plain, server_hostname=name)
        heard = []
        for line in lines:
            link.sendall(f"{line}\n".encode())
            heard.append(link.recv(1000).decode().strip())
        return heard


@needs_tools
@pytest.mark.parametrize("name", [*NAMES, "old.example.org", "localhost"])
def test_a_server_is_believed_under_each_of_its_names(name: str, tmp_path: Path) -> None:
    shown = certificate(Demand.of(UPSMON), NAMES, tmp_path)
    stand_in = StandIn("127.0.0.1", 0, ["ups1"], shown)

    heard = talk(stand_in, tmp_path / "stand-in.crt", name, "USERNAME s", "LOGIN ups1", "STARTTLS")

    assert heard == ["OK", "OK", "ERR FEATURE-NOT-CONFIGURED"]
    assert [file.name for file in tmp_path.iterdir()] == ["stand-in.crt"]  # the key is gone
    assert "PRIVATE" not in (tmp_path / "stand-in.crt").read_text()


@needs_tools
def test_a_name_of_the_certificate_may_be_no_host_name(tmp_path: Path) -> None:
    certificate(Demand.of(UPSMON), NAMES, tmp_path)
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "stand-in.crt"), "-noout", "-ext",
         "subjectAltName"], capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert "DNS:UPS of the hall, #2 $x" in shown


@needs_tools
def test_another_name_is_not_believed(tmp_path: Path) -> None:
    stand_in = StandIn("127.0.0.1", 0, ["ups1"], certificate(Demand.of(""), NAMES, tmp_path))

    with pytest.raises(ssl.SSLCertVerificationError):
        talk(stand_in, tmp_path / "stand-in.crt", "elsewhere.example.org", "VER")


@needs_tools
def test_a_stand_in_with_a_certificate_says_nothing_in_the_clear(tmp_path: Path) -> None:
    stand_in = StandIn("127.0.0.1", 0, ["ups1"], certificate(Demand.of(""), NAMES, tmp_path))

    assert talk(stand_in, None, "", "LOGIN ups1") == ["ERR ACCESS-DENIED"]
    assert not stand_in.logins["ups1"]


def nss(*words: str) -> str:
    done = subprocess.run(["certutil", *words], capture_output=True, text=True, check=True)
    return done.stdout


@needs_tools
@pytest.mark.skipif(os.geteuid() != 0, reason="what is copied keeps its owner")
@pytest.mark.parametrize("password", ["", "s e"])
def test_the_certificate_is_trusted_in_a_copy_alone(password: str, tmp_path: Path) -> None:
    real, room = tmp_path / "real", tmp_path / "room"
    real.mkdir(mode=0o750)
    room.mkdir()
    (tmp_path / "pw").write_text(f"{password}\n")
    nss("-N", "-d", f"sql:{real}", "-f", str(tmp_path / "pw"))
    for file in real.iterdir():
        os.chown(file, 0, 7)
        file.chmod(0o640)
    before = {file.name: file.read_bytes() for file in real.iterdir()}
    demand = Demand(everywhere=True, folder=str(real), password=password, hosts={})
    certificate(demand, NAMES, room)

    copy = trusted(demand, room)

    assert "shadow-stand-in" in nss("-L", "-d", f"sql:{copy}")
    assert "P,," in nss("-L", "-d", f"sql:{copy}")
    assert {file.name: file.read_bytes() for file in real.iterdir()} == before
    for file in copy.iterdir():
        assert (file.stat().st_gid, file.stat().st_mode & 0o777) == (7, 0o640), file
    assert copy.stat().st_mode & 0o777 == 0o750
    assert {file.name for file in room.iterdir()} == {"trusted", "stand-in.crt"}


@needs_tools
def test_trust_of_another_kind_is_said(tmp_path: Path) -> None:
    (tmp_path / "pem").mkdir()
    demand = Demand(everywhere=True, folder=str(tmp_path / "pem"), password="", hosts={})

    with pytest.raises(CheckError, match=r"CERTPATH .*pem of upsmon.conf has no cert9.db"):
        trusted(demand, tmp_path)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releve.power.shadow.secured.PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CheckError, match=r"openssl is not installed.*install openssl and libnss3"):
        certificate(Demand.of(""), NAMES, tmp_path)
