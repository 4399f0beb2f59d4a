"""What an old Proxmox VE answers, in the forms of its versions."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pyinfra_deploys.facts.pve import FOLDERS, MARK, PveGuests, PveStates, PveVolumePath

if TYPE_CHECKING:
    from pathlib import Path


def test_each_file_becomes_a_guest() -> None:
    said = [f"{MARK}/etc/pve/qemu-server/101.conf", "name: a", "", "[before]", "name: b"]
    said += [f"{MARK}/etc/pve/lxc/302.conf", "hostname: c"]

    assert PveGuests().process(said) == [
        {"vmid": 101, "folder": "qemu-server", "text": "name: a\n\n[before]\nname: b\n"},
        {"vmid": 302, "folder": "lxc", "text": "hostname: c\n"},
    ]


def test_states_are_found_by_the_head_of_their_column() -> None:
    said = [
        "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID",
        "       101 payroll              running    2048              32.00 4711",
        "VMID       Status     Lock         Name",
        "302        stopped                 dns",
    ]

    assert PveStates().process(said) == {101: "running", 302: "stopped"}
    assert set(FOLDERS.values()) == {"qm list", "pct list"}


def test_a_volume_that_the_storage_does_not_know_has_no_path() -> None:
    assert PveVolumePath().process([]) == ""
    assert PveVolumePath().process(["/dev/pve/vm-101-disk-0"]) == "/dev/pve/vm-101-disk-0"


def test_files_without_a_last_line_end_are_kept_apart(tmp_path: Path) -> None:
    for folder, file, text in (("qemu-server", "101", "name: a"), ("lxc", "302", "hostname: c")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{file}.conf").write_text(text)
    command = PveGuests().command().replace("/etc/pve", str(tmp_path))

    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)

    assert [guest["text"].strip() for guest in PveGuests().process(done.stdout.splitlines())] == [
        "name: a",
        "hostname: c",
    ]
