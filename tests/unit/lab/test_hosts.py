"""Each host of the lab starts with the files that make it one."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from releve.lab.hosts import Loan, spec_of, write_files

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = IPv4Address("198.51.100.11")


@pytest.mark.parametrize(
    ("loan", "numbered"), [(Loan("host", fed=True), True), (Loan("host"), False)]
)
def test_who_may_mount_has_a_number_for_each_boot(
    tmp_path: Path, loan: Loan, *, numbered: bool
) -> None:
    write_files(tmp_path, spec_of("nas", ADDRESS, loan), tmp_path / "keys", "", "")
    wanted = tmp_path / "etc/systemd/system/sysinit.target.wants/boot-number.service"

    assert wanted.exists() is numbered  # and no link to nowhere
