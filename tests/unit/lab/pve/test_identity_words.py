"""The double gives QEMU the identity that PVE's settings say, as PVE does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.lab.pve.cmdline import TPM, Qemu, command, processor, smbios
from releve.lab.pve.formats import FORMATS, FormatError
from releve.lab.pve.place import Place
from releve.lab.pve.volumes import Storages

if TYPE_CHECKING:
    from pathlib import Path

UUID = "0b7c9d55-5d8e-4c3f-9d5c-0d6a3f6f5a10"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", []),
        (f"uuid={UUID}", ["-smbios", f"type=1,uuid={UUID}"]),
        (
            f"uuid={UUID},serial=U04=,base64=1",
            ["-smbios", f"type=1,uuid={UUID},serial=SN"],
        ),
        ("manufacturer=QSxC,base64=1", ["-smbios", "type=1,manufacturer=A,,B"]),
    ],
)
def test_smbios_becomes_type_1(said: str, words: list[str]) -> None:
    assert smbios({"smbios1": said} if said else {}) == words


@pytest.mark.parametrize("said", ["serial=a b", "uuid=1", "colour=red", "base64=yes"])
def test_what_pve_refuses_is_refused(said: str) -> None:
    with pytest.raises(FormatError):
        FORMATS["#smbios1"]("smbios1", said)


def test_a_processor_has_its_flags() -> None:
    assert processor({"cpu": "Haswell,flags=+aes;-pcid"}, kvm=True) == "Haswell,+aes,-pcid"
    assert processor({}, kvm=True) == "host"
    assert processor({}, kvm=False) == "max"


def test_a_tpm_is_made_where_there_is_none_and_ends_with_its_guest(tmp_path: Path) -> None:
    place = Place(tmp_path, "pve1")
    config = {"tpmstate0": "local:101/vm-101-disk-0.raw,size=4M,version=v2.0"}

    words = command(place, Storages(place), 101, config, Qemu((10, 0), kvm=False))

    assert words[:4] == ["/bin/sh", "-ec", TPM, "tpm"]
    assert words[4] == "/var/lib/vz/images/101/vm-101-disk-0.raw"
    assert words[6:8] == ["--tpm2", "/usr/bin/qemu-system-x86_64"]
    assert "tpm-tis,tpmdev=tpmdev" in words
    assert not [word for word in words if "drive-tpmstate" in word]
