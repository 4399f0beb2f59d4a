"""All that a licence or a domain controller looks at is kept, or its change is named in the plan.

Each row is one thing that a guest sees, in the words of a libvirt definition and of a PVE file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.migrate.preflight.good import good
from tests.unit.migrate.test_identity import windows
from tests.unit.migrate.test_pve_conf import PLAIN

from releve.migrate.identify import identified, kept_of
from releve.migrate.identity import disk_entry, identity_entry
from releve.migrate.preflight.identity import Change, compare
from releve.migrate.sources.libvirt import parse_domain
from releve.migrate.sources.pve_guest import parse_conf
from releve.pve.identity import disk_options, identity_settings
from releve.town.model import Guest

if TYPE_CHECKING:
    from releve.migrate.sources.domain import Domain

UEFI = windows().replace("<os>", "<os firmware='efi'>").replace("lsisas1078", "virtio-scsi")
PVE = PLAIN + "localtime: 1\ncpuunits: 100\n"


def libvirt(old: str = "", new: str = "", text: str = UEFI) -> Domain:
    assert old in text
    return parse_domain(text.replace(old, new), "guest.xml")


def pve(old: str = "", new: str = "") -> Domain:
    assert old in PVE
    return parse_conf(PVE.replace(old, new), "101.conf", 101)


def entry(domain: Domain) -> dict[str, Any]:
    """Return a guest of the town file as a survey writes it."""
    disks = [
        {"name": disk.target, "format": "raw", "size_mib": 64, "bus": disk.bus, **disk_entry(disk)}
        for disk in domain.disks
    ]
    nics = [{"mac": nic.mac, "network": "office", "model": nic.model} for nic in domain.nics]
    plain = {"vmid": 101, "source": "old", "target": "pve1", "storage": "vmdata"}
    seen = {"firmware": domain.firmware, "machine": domain.chipset, "cpus": domain.cpus}
    memory = {"memory_mib": domain.memory_mib, "disks": disks, "nics": nics}
    return {**plain, **seen, **memory, **identity_entry(domain)}


def changes(domain: Domain, **said: Any) -> dict[str, Change]:
    guest = Guest.model_validate({**entry(domain), **said})
    return {change.id: change for change in compare(domain, guest) if not change.kept}


# What cannot be kept at all, and is therefore named for every such guest.
ALWAYS = {"libvirt": {"places", "cpu.flags"}, "pve": set[str]()}


@pytest.mark.parametrize("kind", ["libvirt", "pve"])
def test_what_the_survey_writes_keeps_all_that_can_be_kept(kind: str) -> None:
    domain = libvirt() if kind == "libvirt" else pve()

    assert set(changes(domain)) == ALWAYS[kind]


@pytest.mark.parametrize("kind", ["libvirt", "pve"])
def test_what_the_town_file_leaves_open_is_kept_by_the_run(kind: str) -> None:
    domain = libvirt() if kind == "libvirt" else pve()
    bare = {key: value for key, value in entry(domain).items() if key not in identity_entry(domain)}
    town = good().town.model_copy(update={"guests": {"dc": Guest.model_validate(bare)}})

    guest = identified(town, "dc", kept_of(domain)).guests["dc"]

    assert {one.id for one in compare(domain, guest) if not one.kept} == ALWAYS[kind]


@dataclass(frozen=True)
class Row:
    """What the town file may say otherwise, and what the plan then says of which change.

    `told` are settings of PVE that carry it when it is kept.
    """

    id: str
    otherwise: dict[str, Any]
    follows: str
    told: tuple[str, ...] = field(default=())


OTHER = "99999999-0000-4000-8000-000000000009"
ROWS = [
    Row("smbios.uuid", {"smbios": {"uuid": OTHER}}, "activated again", ("smbios1",)),
    Row("smbios.serial", {"smbios": {"serial": "ZZ"}}, "activated again", ("smbios1",)),
    Row("machine", {"machine_version": "9.0"}, "other places", ("machine",)),
    Row("machine", {"machine": "pc"}, "other places", ("machine",)),
    Row("cpu", {"cpu": "x86-64-v3"}, "licensed by it", ("cpu",)),
    Row("cpu.sockets", {"sockets": 1}, "licensed by socket", ("sockets", "cores")),
    Row("vmgenid", {"vmgenid": OTHER}, "takes itself for a copy", ("vmgenid",)),
    Row("clock", {"clock": "utc"}, "wrong by the time zone", ("localtime",)),
    Row("disk.serial", {"disks": {"serial": "other"}}, "licensed to this machine", ("disk",)),
    Row("disk.bus", {"disks": {"bus": "sata", "wwn": None}}, "driver must be ready", ("scsihw",)),
    Row("nic0.mac", {"nics": {"mac": "52:54:00:00:00:99"}}, "DHCP reservation", ()),
    Row("nic0.model", {"nics": {"model": "rtl8139"}}, "another driver", ()),
]


@pytest.mark.parametrize("kind", ["libvirt", "pve"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.id}-{next(iter(row.otherwise))}")
def test_each_change_is_named_with_what_follows(row: Row, kind: str) -> None:
    domain = libvirt() if kind == "libvirt" else pve()
    kept = entry(domain)
    said = {
        key: [{**kept[key][0], **value}] if key in {"disks", "nics"}
        else {**kept.get(key, {}), **value} if isinstance(value, dict)
        else value
        for key, value in row.otherwise.items()
    }  # fmt: skip
    name = row.id.replace("disk", domain.disks[0].target)

    found = changes(domain, **said)

    assert name in found, f"{row.id} changes and nobody says so"
    assert re.search(row.follows, found[name].consequence)
    assert set(found) - ALWAYS[kind] - {name} <= {f"{domain.disks[0].target}.wwn", "machine"}
    guest = Guest.model_validate(kept)
    settings = {**identity_settings(guest), "disk": disk_options(guest.disks[0])}
    assert all(settings.get(key) for key in row.told), "the node is not told what is kept"


FIRMWARE = "<os firmware='efi'><firmware><feature enabled='yes' name='secure-boot'/></firmware>"
LOST: list[tuple[str, Domain, dict[str, Any], str]] = [
    ("tpm", libvirt(), {"tpm": None}, "recovery key"),
    ("firmware", libvirt(), {"firmware": "bios"}, "is not found"),
    ("firmware", libvirt("<os firmware='efi'>", FIRMWARE), {"firmware": "bios"}, "not trusted"),
    ("vmgenid", pve("vmgenid: ", "tags: "), {}, "takes itself for a copy"),
    ("cpu", pve("cpu: host,flags=+pcid\n"), {"cpu": "host"}, "licensed by it"),
    ("machine", pve("pc-q35-8.1", "q35"), {}, "other places"),
    ("cpu", libvirt("<model>Haswell-noTSX</model>", "<model>z14</model>"), {}, "licensed by it"),
    ("cpu.flags", libvirt(), {}, "may stop"),
    ("cpu.threads", libvirt("cores='2' threads='1'", "cores='1' threads='2'"), {}, "as cores"),
    ("sda.wwn", libvirt(), {"disks": [{**entry(libvirt())["disks"][0], "wwn": None}]}, "by-id"),
    ("sda.serial", libvirt("bus='scsi'/>\n<serial>S-1</serial>", "bus='sata'/>"), {}, "QM00013"),
]


@pytest.mark.parametrize(
    ("id_", "domain", "said", "follows"), LOST, ids=lambda value: str(value)[:20]
)
def test_what_is_lost_is_named_too(
    id_: str, domain: Domain, said: dict[str, Any], follows: str
) -> None:
    found = changes(domain, **said)

    assert id_ in found
    assert follows in found[id_].consequence


def test_every_change_says_what_follows() -> None:
    for domain in (libvirt(), pve()):
        guest = Guest.model_validate(
            {**entry(domain), "cpu": "max", "machine_version": "9.1", "clock": "utc", "os": "win11"}
        )
        assert all(one.kept or one.consequence for one in compare(domain, guest))


def test_a_linux_keeps_its_places_by_its_names() -> None:
    assert "places" not in changes(libvirt("http://microsoft.com/win/2k19", "x"))
