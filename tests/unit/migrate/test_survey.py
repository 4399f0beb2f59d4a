"""What was read on a host becomes a fragment of the town file, compared line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from releve.cli.survey import command
from releve.errors import InputError
from releve.migrate.fragment import differences, faults_of, fragment_of, known_guest, render
from releve.migrate.survey import HostReading, guests_seen, read_survey, town_name
from releve.town import Town, load_town

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"
MIB = 2**20
DOMAIN = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
<os{firmware}><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='{format}'/>
<source file='/img/{name}'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><model type='virtio'/>
</interface>{more}</devices></domain>
"""


def domain(name: str, **changes: Any) -> dict[str, Any]:
    """Return one guest as the host tells it."""
    values = {"name": name, "firmware": "", "format": "raw", "mac": "52:54:00:91:00:01", "more": ""}
    xml = DOMAIN.format(**{key: changes.pop(key, value) for key, value in values.items()})
    state = {"state": "running", "autostart": True, "snapshots": []}
    return {"name": name, "definition": xml, **state, **changes}


COMPTA = domain("compta")
DOSSIERS = domain("dossiers", firmware=" firmware='efi'", format="qcow2", mac="52:54:00:91:00:02")


def layer(path: str, format_: str = "raw", mib: int = 192, **more: Any) -> dict[str, Any]:
    return {
        "filename": path,
        "format": format_,
        "virtual-size": mib * MIB,
        "actual-size": 25 * MIB,
        "dirty-flag": False,
        **more,
    }


def reading(*domains: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what the deploy writes; without domains, the lab's two guests."""
    lists = {name: [f"{name} line"] for name in ("domains", "states", "etc", "packages")}
    return {
        "host": "old",
        "versions": ["Using library: libvirt 9.0.0"],
        "domains": list(domains) or [COMPTA, DOSSIERS],
        "disks": {
            "/img/compta": {"chain": [layer("/img/compta")]},
            "/img/dossiers": {"chain": [layer("/img/dossiers", "qcow2")]},
        },
        "before": lists,
        "after": lists,
    } | changes


@pytest.fixture
def town() -> Town:
    return load_town(LAB)


def seen(*domains: dict[str, Any], **changes: Any) -> Any:
    return guests_seen(HostReading.model_validate(reading(*domains, **changes)))


def blockers(*domains: dict[str, Any], **changes: Any) -> set[str]:
    return {blocker.id for guest in seen(*domains, **changes) for blocker in guest.blockers}


def test_the_embedded_old_host_is_as_its_town_file_says(town: Town) -> None:
    guests = seen()

    assert differences(guests, town, "old") == []
    assert faults_of(fragment_of(guests, town, "old"), town, "old") == []


def test_the_fragment_reads_back_as_the_town_files_own_guests(town: Town, tmp_path: Path) -> None:
    guests = seen()
    text = render(fragment_of(guests, town, "old"), guests, "old", "today")
    whole = yaml.safe_load(LAB.read_text()) | yaml.safe_load(text)
    file = tmp_path / "town.yml"
    file.write_text(yaml.safe_dump(whole))

    found = load_town(file).guests
    identity = {"machine_version", "cpu", "smbios"}
    assert {name: guest.model_dump(exclude=identity) for name, guest in found.items()} == {
        name: guest.model_dump(exclude=identity) for name, guest in town.guests.items()
    }
    assert found["compta"].machine_version == "7.2"
    assert found["compta"].cpu == "qemu64"
    assert "chosen" not in text.split("guests:")[1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"autostart": False},
            "guests.compta.autostart: the town file says True, old says False; write False",
        ),
        (
            {"format": "qcow2"},
            "guests.compta.disks.0.format: the town file says raw, old says qcow2",
        ),
        (
            {"mac": "52:54:00:00:00:09"},
            "guests.compta.nics.0: the town file says 52:54:00:91:00:01",
        ),
        ({"mac": "52:54:00:00:00:09"}, "old has 52:54:00:00:00:09; add it"),
        ({"firmware": " firmware='efi'"}, "guests.compta.firmware: the town file says bios"),
    ],
)
def test_a_difference_names_its_line_and_what_to_do(
    town: Town, change: dict[str, Any], sentence: str
) -> None:
    lines = differences(seen(domain("compta", **change), DOSSIERS), town, "old")

    assert any(sentence in line for line in lines), lines
    assert all(line.startswith("town.yml:") and line.split(":")[1].isdigit() for line in lines)


def test_the_size_is_of_the_disk_and_never_rounded_down(town: Town) -> None:
    odd = layer("/img/compta") | {"virtual-size": 200 * MIB + 1}
    disks = reading()["disks"] | {"/img/compta": {"chain": [odd]}}

    (line,) = differences(seen(disks=disks), town, "old")

    assert "disks.0.size_mib: the town file says 192, old says 201" in line


def test_a_renamed_guest_takes_nobodys_name(town: Town) -> None:
    content = HostReading.model_validate(reading(domain("Compta")))

    (guest,) = guests_seen(content, town.guests)

    assert guest.key == "compta-2"


def test_guests_on_one_side_only_are_named(town: Town) -> None:
    lines = differences(seen(COMPTA, domain("Web Mail", mac="52:54:00:00:00:07")), town, "old")

    assert any("guests.web-mail: old has this guest" in line for line in lines)
    assert any("guests.dossiers: the town file says it is on old, which has no" in x for x in lines)


def test_a_new_guest_gets_what_is_possible_and_it_is_marked(town: Town) -> None:
    guests = seen(
        COMPTA,
        DOSSIERS,
        domain("Web Mail", mac="52:54:00:00:00:07"),
        disks=reading()["disks"] | {"/img/Web Mail": {"chain": [layer("/img/w")]}},
    )
    fragment = fragment_of(guests, town, "old")
    text = render(fragment, guests, "old", "today")

    assert faults_of(fragment, town, "old") == []
    assert fragment.guests["web-mail"]["source_name"] == "Web Mail"
    assert "vmid: 100  # chosen" in text
    assert "target: pve1  # chosen" in text


def test_a_fragment_that_makes_no_valid_town_file_is_said(town: Town) -> None:
    guests = seen(
        domain("compta", more="<interface type='bridge'><source bridge='br0'/></interface>")
    )

    assert "guests.compta.nics.1.mac" in faults_of(fragment_of(guests, town, "old"), town, "old")[0]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Web Mail"], ["web-mail"]),
        (["2008 R2"], ["g-2008-r2"]),
        (["foo=1,bar=2", "foo 1 bar 2"], ["foo-1-bar-2", "foo-1-bar-2-2"]),
        (["É"], ["guest"]),
        (["compta"], ["compta"]),
    ],
)
def test_names_that_no_town_file_takes_are_changed_without_collision(
    names: list[str], expected: list[str]
) -> None:
    taken: list[str] = []
    for name in names:
        taken.append(town_name(name, taken))

    assert taken == expected


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"disks": {"/img/compta": {"error": "a\nb"}}}, {"disk-unreadable"}),
        ({"disks": {"/img/compta": {"chain": [layer("/x", encrypted=True)]}}}, {"disk-encrypted"}),
        (
            {"disks": {"/img/compta": {"chain": [layer("/x", snapshots=[{"id": "1"}])]}}},
            {"snapshot"},
        ),
    ],
)
def test_what_qemu_img_tells_can_block(changes: dict[str, Any], found: set[str]) -> None:
    assert blockers(COMPTA, **changes) == found


def test_snapshots_block() -> None:
    assert blockers(domain("compta", snapshots=["before-update"])) == {"snapshot"}


def test_a_layer_under_two_guests_blocks_both() -> None:
    base = layer("/img/base", "qcow2")
    disks = {
        "/img/compta": {"chain": [layer("/img/compta", "qcow2"), base]},
        "/img/dossiers": {"chain": [layer("/img/dossiers", "qcow2"), base]},
    }

    both = seen(disks=disks)

    assert [[blocker.id for blocker in guest.blockers] for guest in both] == [
        ["disk-duplicate-volume"],
        ["disk-duplicate-volume"],
    ]
    assert "dossiers" in both[0].blockers[0].text


def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> tuple[int, str, Any]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "read.json").write_text(json.dumps(content))
    argv = ["old", "-i", str(LAB), "--from", "read.json"]
    done = CliRunner().invoke(command, argv, standalone_mode=False)
    if done.exception:
        raise done.exception
    evidence = json.loads((tmp_path / "build/evidence/survey.json").read_text())
    return int(done.return_value), done.output, evidence


def failed(evidence: Any) -> set[str]:
    return {check["id"] for check in evidence["checks"] if not check["passed"]}


def test_the_command_ends_with_0_when_all_is_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _output, evidence = survey(tmp_path, monkeypatch, reading())

    assert (code, evidence["passed"]) == (0, True)
    assert (tmp_path / "build/survey/old.yml").exists()


def test_the_command_ends_with_3_on_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = reading(domain("compta", autostart=False), DOSSIERS)
    code, output, evidence = survey(tmp_path, monkeypatch, content)

    assert code == 3
    assert "guests.compta.autostart" in output
    assert failed(evidence) == {"town-equal"}


@pytest.mark.parametrize("section", ["domains", "states", "etc", "packages"])
def test_a_host_that_changed_meanwhile_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    content = reading()
    content["after"] = content["after"] | {section: ["another line"]}
    code, output, evidence = survey(tmp_path, monkeypatch, content)

    assert code == 4
    assert f"old: {section} changed while it was read: another line" in output
    assert failed(evidence) == {f"{section}-unchanged"}


def test_a_section_that_was_not_read_is_not_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = reading()
    content["before"] = content["after"] = content["after"] | {"etc": []}

    assert failed(survey(tmp_path, monkeypatch, content)[2]) == {"etc-unchanged"}


def test_a_guest_that_cannot_move_fails_the_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = reading(domain("compta", more="<hostdev type='usb'/>"), DOSSIERS)
    code, output, evidence = survey(tmp_path, monkeypatch, content)

    assert code == 4
    assert "old: compta: a usb device of the old host (passthrough-usb)" in output
    assert failed(evidence) == {"blockers"}


def test_only_an_old_host_is_surveyed() -> None:
    done = CliRunner().invoke(command, ["olde", "-i", str(LAB)], standalone_mode=False)

    assert isinstance(done.exception, InputError)
    assert 'did you mean "old"?' in str(done.exception)


def test_a_torn_reading_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text('{"host": "old"')

    with pytest.raises(InputError, match="survey the host again"):
        read_survey(file)


PVE_GUEST = """\
boot: order=scsi0
cores: 1
memory: 256
machine: q35
name: compta
net0: virtio=52:54:00:91:00:01,bridge=br0
onboot: 1
scsi0: local-lvm:vm-301-disk-0,size=192M
"""
CONTAINER = "hostname: dns\nrootfs: local:302/vm-302-disk-0.raw,size=8G\nmemory: 512\n"


def pve(vmid: int, definition: str, name: str) -> dict[str, Any]:
    state = {"state": "running", "autostart": True, "snapshots": []}
    return {"name": name, "kind": "pve-conf", "vmid": vmid, "definition": definition, **state}


def pve_reading(**disk: Any) -> dict[str, Any]:
    volume = {"path": "/dev/pve/vm-301-disk-0", "chain": [layer("/dev/pve/vm-301-disk-0")]} | disk
    guests = [pve(301, PVE_GUEST, "compta"), pve(302, CONTAINER, "dns")]
    return reading(*guests, disks={"local-lvm:vm-301-disk-0": volume})


def test_guests_of_an_old_pve_are_seen_and_containers_apart() -> None:
    guest, container = guests_seen(HostReading.model_validate(pve_reading()))

    assert (guest.key, guest.vmid, guest.disks[0].size_mib) == ("compta", 301, 192)
    assert guest.blockers == ()
    assert container.container


@pytest.mark.parametrize(
    ("disk", "found"),
    [
        ({"path": "rbd:pool/vm-301-disk-0", "chain": []}, {"disk-network-rbd"}),
        ({"chain": [], "error": "No such file"}, set()),
    ],
)
def test_a_volume_of_pve_that_cannot_be_looked_at(disk: dict[str, Any], found: set[str]) -> None:
    guest, _ = guests_seen(HostReading.model_validate(pve_reading(**disk)))

    assert {one.id for one in guest.blockers} == found
    assert guest.disks[0].size_mib == 192


def test_a_new_guest_of_an_old_pve_keeps_its_number(town: Town) -> None:
    content = pve_reading()
    content["domains"][0]["name"] = "web"
    content["domains"][0]["definition"] = PVE_GUEST.replace("compta", "web").replace(":01", ":99")
    guests = guests_seen(HostReading.model_validate(content))[:1]
    fragment = fragment_of(guests, town, "old")

    assert fragment.guests["web"]["vmid"] == 301
    assert faults_of(fragment, town, "old") == []


@pytest.fixture
def pve_town(tmp_path: Path) -> Town:
    """The lab's town with an old Proxmox VE; number 301 is taken there by a guest of its own."""
    content = yaml.safe_load(LAB.read_text())
    content["hosts"]["old"]["hypervisor"] = "pve"
    content["guests"]["compta"]["source_name"] = "301"
    (tmp_path / "town.yml").write_text(yaml.safe_dump(content))
    return load_town(tmp_path)


def test_an_old_pve_knows_its_guests_by_number_whatever_their_names(pve_town: Town) -> None:
    content = pve_reading()
    content["domains"][0]["definition"] = PVE_GUEST.replace("name: compta", "name: Other")
    guests = guests_seen(HostReading.model_validate(content))[:1]

    assert known_guest(guests[0], pve_town, "old") == ("compta", pve_town.guests["compta"])
    told = differences(guests, pve_town, "old")
    assert not [line for line in told if "compta" in line and "no such guest" in line]
    assert fragment_of(guests, pve_town, "old").guests["compta"]["source_name"] == "301"


def test_a_guest_whose_number_is_taken_keeps_the_old_one_as_its_name_there(pve_town: Town) -> None:
    """Else the guest that has the new number at the old host would be moved in its place."""
    content = pve_reading()
    content["domains"][0] |= {"vmid": 102, "name": "web"}
    content["domains"][0]["definition"] = PVE_GUEST.replace("compta", "web").replace(":01", ":99")
    dossiers = pve_town.guests["dossiers"].model_copy(update={"source_name": "300"})
    town = pve_town.model_copy(update={"guests": {**pve_town.guests, "dossiers": dossiers}})
    (web, *_) = guests_seen(HostReading.model_validate(content))

    entry = fragment_of([web], town, "old").guests["web"]

    assert entry["vmid"] != 102
    assert entry["source_name"] == "102"


def test_containers_are_listed_with_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _code, output, _evidence = survey(tmp_path, monkeypatch, pve_reading())

    assert "old: dns (302): a container: back it up with vzdump" in output
    assert "dns (302)" in (tmp_path / "build/survey/old.yml").read_text()


def test_a_broken_definition_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = domain("web") | {"definition": "<domain"}
    code, output, evidence = survey(tmp_path, monkeypatch, reading(COMPTA, DOSSIERS, torn))

    assert code == 4
    assert "old: web: this is not XML" in output
    assert failed(evidence) == {"definitions-read"}
    assert "compta:" in (tmp_path / "build/survey/old.yml").read_text()
