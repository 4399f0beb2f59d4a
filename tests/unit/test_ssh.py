"""A way to a host may share its connection, with nobody but itself."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from releve.ssh import Ssh

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WAY = Ssh("old", "192.0.2.10", "root", ("-o", "UserKnownHostsFile=/a"))


def socket_of(way: Ssh) -> str:
    return next(word for word in way.options if word.startswith("ControlPath="))


def test_one_address_with_other_keys_is_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    other = Ssh("old", "192.0.2.10", "root", ("-o", "UserKnownHostsFile=/b"))

    assert socket_of(WAY.kept()) == socket_of(WAY.kept())
    assert socket_of(WAY.kept()) != socket_of(other.kept())
    assert "ControlPersist=10" in WAY.kept().argv("true")
    assert [folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir()] == [0o700]


def test_nothing_is_shared_through_a_folder_that_others_can_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    WAY.kept()
    next(tmp_path.iterdir()).chmod(0o755)

    assert WAY.kept() == WAY


def test_what_lasts_shares_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked = ["ssh", "-G", *WAY.kept().alone("true")[1:]]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()

    assert not [line for line in said if line.startswith("controlpath ")]
    assert said.count("host 192.0.2.10") == 1
