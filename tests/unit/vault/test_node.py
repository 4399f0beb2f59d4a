"""What a node says of its guests, by its own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.vault.node import NodeError, NodeGuest

if TYPE_CHECKING:
    from pathlib import Path


def guest(root: Path, lines: str) -> NodeGuest:
    file = root / "etc/pve/qemu-server/110.conf"
    file.parent.mkdir(parents=True)
    file.write_text(f"virtio0: vmdata:110/vm-110-disk-2.raw,serial=A\n{lines}")
    return NodeGuest(110, root)


def test_a_guest_with_a_tpm_is_not_copied_while_it_works(tmp_path: Path) -> None:
    one = guest(tmp_path, "tpmstate0: vmdata:110/vm-110-disk-1.raw,size=4M,version=v2.0\n")

    with pytest.raises(NodeError, match="tpmstate0 cannot be frozen while the guest works"):
        one.refuse_unfrozen()
    assert set(one.disks()) == {"virtio0", "tpmstate0"}


def test_another_is(tmp_path: Path) -> None:
    guest(tmp_path, "efidisk0: vmdata:110/vm-110-disk-0.raw,size=528K\n").refuse_unfrozen()
