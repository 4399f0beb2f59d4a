"""A key and certificate are made once, and made anew only with a reason that is said.

With the real certutil and openssl; what they make is read by Python's own TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from releve.power import certificates
from releve.power.certificates import CertificateError, Tools, own, trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("certutil") and shutil.which("openssl")),
        reason="certutil (libnss3-tools) and openssl are not installed",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="what is made belongs to root"),
]
ADDRESS = "192.0.2.1"
YEARS = 365 * 86_400


@pytest.fixture(autouse=True, scope="module")
def small_keys() -> Iterator[None]:
    """Large ones take seconds, and prove nothing more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "KEY_BITS", 2048)
        yield


@pytest.fixture
def tools() -> Tools:
    real = certificates._run  # the same, with whatever group this machine has
    return Tools(real, 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and certificate for ADDRESS, to be copied by who changes it."""
    folder = tmp_path_factory.mktemp("nut") / "tls"
    assert own(folder, [ADDRESS], Tools(certificates._run, 0), check=False)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    there = tmp_path / "tls"
    shutil.copytree(made, there)
    return there


def pem_of(folder: Path) -> str:
    return (folder / "certificate.pem").read_text()


def test_a_first_one_is_made_and_kept(tmp_path: Path, tools: Tools) -> None:
    there = tmp_path / "tls"

    assert own(there, [ADDRESS], tools, check=True) == "there was no certificate"
    assert not there.exists()
    assert own(there, [ADDRESS], tools, check=False) == "there was no certificate"
    before = {file.name: file.read_bytes() for file in there.iterdir()}
    assert own(there, [ADDRESS], tools, check=False) == ""
    assert {file.name: file.read_bytes() for file in there.iterdir()} == before


def test_its_key_is_read_by_nobody_else(folder: Path) -> None:
    assert folder.stat().st_mode & 0o7777 == 0o750
    assert {file.stat().st_mode & 0o7777 for file in folder.iterdir()} == {0o640}
    assert "PRIVATE" not in pem_of(folder)


@pytest.mark.parametrize(
    ("name", "fits"), [(ADDRESS, True), ("localhost", True), ("192.0.2.2", False)]
)
def test_it_is_for_this_host_and_no_other(folder: Path, name: str, *, fits: bool) -> None:
    seen = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", folder / "certificate.pem",
         "-verify_ip" if name[0].isdigit() else "-verify_hostname", name,
         folder / "certificate.pem"],
        capture_output=True, check=False,
    )  # fmt: skip

    assert (seen.returncode == 0) == fits


def test_another_address_makes_it_anew(folder: Path, tools: Tools) -> None:
    before = pem_of(folder)

    assert own(folder, ["192.0.2.2"], tools, check=True) == "the certificate is not for 192.0.2.2"
    assert pem_of(folder) == before
    assert own(folder, ["192.0.2.2"], tools, check=False)
    assert pem_of(folder) != before
    assert own(folder, ["192.0.2.2"], tools, check=False) == ""


@pytest.mark.parametrize(("years", "due"), [(9, False), (11, True)])
def test_it_is_made_anew_before_it_ends(
    folder: Path, tools: Tools, years: int, monkeypatch: pytest.MonkeyPatch, *, due: bool
) -> None:
    monkeypatch.setattr(certificates, "RENEW_SECONDS", years * YEARS)

    assert ("ends within" in own(folder, [ADDRESS], tools, check=True)) == due


def test_a_key_that_is_gone_is_noticed(folder: Path, tools: Tools, tmp_path: Path) -> None:
    other = tmp_path / "other"
    own(other, [ADDRESS], tools, check=False)
    shutil.copy(other / "certificate.pem", folder / "certificate.pem")

    assert "not a pair" in own(folder, [ADDRESS], tools, check=True)


def test_rights_are_mended_without_another_key(folder: Path, tools: Tools) -> None:
    before = pem_of(folder)
    (folder / "key4.db").chmod(0o644)

    assert "could read or change" in own(folder, [ADDRESS], tools, check=False)
    assert pem_of(folder) == before
    assert (folder / "key4.db").stat().st_mode & 0o7777 == 0o640


def test_the_given_ones_are_trusted_and_no_others(
    folder: Path, tools: Tools, tmp_path: Path
) -> None:
    there, other = tmp_path / "trusted", tmp_path / "other"
    own(other, ["192.0.2.2"], tools, check=False)
    both = [pem_of(folder), pem_of(other)]

    assert trust(there, both, tools, check=False) == "no server was trusted"
    assert trust(there, [*reversed(both), both[0]], tools, check=False) == ""
    assert "others than" in trust(there, both[:1], tools, check=True)
    assert "others than" in trust(there, both[:1], tools, check=False)
    assert trust(there, both[:1], tools, check=False) == ""


def test_what_is_no_certificate_is_refused(tmp_path: Path, tools: Tools) -> None:
    with pytest.raises(CertificateError, match='no certificate in PEM: "nonsense"'):
        trust(tmp_path / "trusted", ["nonsense"], tools, check=False)


def test_a_failed_tool_is_said_and_leaves_the_last_one(
    folder: Path, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if argv[:2] == ["certutil", "-S"]:
            return subprocess.CompletedProcess(argv, 255, "", "noise\ndisk full\n")
        return tools.run(argv)

    before = pem_of(folder)
    code = certificates.main(["own", str(folder), "192.0.2.2"], Tools(broken, 0))

    assert code == 1
    assert capsys.readouterr().err == f"{folder}: certutil -S: disk full\n"
    assert pem_of(folder) == before


def test_it_says_what_it_did_as_json(
    folder: Path, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certificates.main(["own", str(folder), ADDRESS], tools) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": False, "why": ""}
    assert ssl.PEM_cert_to_DER_cert(pem_of(folder))
