"""The double gives QEMU the identity that PVE's settings say, as PVE does."""

from __future__ import annotations

import pytest

from releve.lab.pve.cmdline import processor, smbios
from releve.lab.pve.formats import FORMATS, FormatError

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
