"""A server is trusted exactly when its certificate is in the monitor's NSS database and valid.

With the real certutil, and a small upsd that speaks TLS.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.certificates import authority
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.power.lint.read import read_texts
from releve.power.trusted import Trust, trust_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from releve.power.lint.model import Configuration

pytestmark = pytest.mark.skipif(
    not shutil.which("certutil"), reason="certutil (libnss3-tools) is not installed"
)


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd(values={"ups.status": "OL"})) as small:
        yield small


def database(folder: Path, *entries: tuple[Path, str]) -> Path:
    """Make a database with these certificates, each with its flags of trust."""
    place = folder / "trusted"
    place.mkdir()
    _certutil("-N", "-d", f"sql:{place}", "--empty-password")
    for number, (file, flags) in enumerate(entries):
        bare = folder / f"{number}.pem"  # certutil takes no key beside it
        bare.write_text(file.read_text()[file.read_text().index("-----BEGIN CERT") :])
        words = ("-n", f"server {number}", "-t", flags, "-a", "-i", str(bare))
        _certutil("-A", "-d", f"sql:{place}", *words)
    return place


def _certutil(*words: str) -> None:
    subprocess.run(["certutil", *words], check=True, capture_output=True, timeout=30)


def files(upsd: SmallUpsd, trusted: Path | str, more: str = "CERTVERIFY 1\n") -> Configuration:
    monitor = f"MONITOR ups1@127.0.0.1:{upsd.link.port} 1 a b secondary\n"
    return read_texts({"upsmon.conf": f"{monitor}CERTPATH {trusted}\n{more}"})


def only(found: Sequence[Trust]) -> Trust:
    (one,) = found
    return one


@pytest.mark.parametrize(("which", "flags"), [("authority", "C,,"), ("itself", "P,,")])
def test_a_certificate_that_is_trusted_passes(
    tmp_path: Path, upsd: SmallUpsd, which: str, flags: str
) -> None:
    root, upsd.certificate = authority(tmp_path, "right", days=100)
    trusted = root if which == "authority" else upsd.certificate
    found = only(trust_of(files(upsd, database(tmp_path, (trusted, flags)))))

    assert (found.fault, found.days) == ("", 99)


def test_the_wrong_authority_is_refused(tmp_path: Path, upsd: SmallUpsd) -> None:
    _root, upsd.certificate = authority(tmp_path, "right")
    wrong, _pair = authority(tmp_path, "wrong")
    found = only(trust_of(files(upsd, database(tmp_path, (wrong, "C,,")))))

    assert "its certificate is not one that" in found.fault
    assert found.ups == "ups1"


def test_one_that_is_in_there_without_trust_is_refused(tmp_path: Path, upsd: SmallUpsd) -> None:
    root, upsd.certificate = authority(tmp_path, "right")
    found = only(trust_of(files(upsd, database(tmp_path, (root, ",,")))))

    assert "no server and no authority is trusted" in found.fault


def test_one_that_has_expired_is_refused(tmp_path: Path, upsd: SmallUpsd) -> None:
    root, upsd.certificate = authority(tmp_path, "right", days=-1)
    found = only(trust_of(files(upsd, database(tmp_path, (root, "C,,")))))

    assert "expired" in found.fault


def test_one_for_another_name_is_refused(tmp_path: Path, upsd: SmallUpsd) -> None:
    root, upsd.certificate = authority(tmp_path, "right")
    there = files(upsd, database(tmp_path, (root, "C,,")))
    text = f"MONITOR ups1@localhost:{upsd.link.port} 1 a b secondary\n"
    conf = read_texts({
        "upsmon.conf": f"{text}CERTPATH {tmp_path}/trusted\nCERTVERIFY 1\n"
    })  # fmt: skip

    assert only(trust_of(there)).fault == ""
    assert "localhost" in only(trust_of(conf)).fault


def test_a_server_without_tls_is_refused(tmp_path: Path, upsd: SmallUpsd) -> None:
    root, _pair = authority(tmp_path, "right")
    found = only(trust_of(files(upsd, database(tmp_path, (root, "C,,")))))

    assert "upsd offers no TLS" in found.fault


def test_a_database_that_is_none_is_refused(tmp_path: Path, upsd: SmallUpsd) -> None:
    (tmp_path / "empty").mkdir()

    assert "empty" in only(trust_of(files(upsd, tmp_path / "empty"))).fault
    assert only(trust_of(files(upsd, tmp_path / "nowhere"))).fault


def test_without_certutil_it_is_said(upsd: SmallUpsd) -> None:
    def absent(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        raise FileNotFoundError(argv[0])

    assert "certutil" in only(trust_of(files(upsd, "/etc/nut/tls-trusted"), absent)).fault


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ("", 0),
        ("CERTVERIFY 0\n", 0),
        ("CERTVERIFY 1\nCERTHOST 127.0.0.1 nas 0 0\n", 0),
        ("CERTVERIFY 0\nCERTHOST 127.0.0.1 nas 1 1\n", 1),
        ("CERTVERIFY 1\nCERTHOST 192.0.2.9 nas 0 0\n", 1),
    ],
)
def test_only_a_server_that_upsmon_checks_is_asked(upsd: SmallUpsd, more: str, count: int) -> None:
    assert len(trust_of(files(upsd, "/nowhere", more))) == count
