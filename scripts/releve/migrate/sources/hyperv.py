"""Read what PowerShell told of a Hyper-V host's guests, one JSON file per kind of thing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.migrate.sources.domain import (
    Blocker,
    Cpu,
    DiskFound,
    Domain,
    Identity,
    NicFound,
    Part,
    Smbios,
    Tpm,
)
from releve.migrate.sources.vmware import uuid_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = dict[str, Any]
NEEDED = ("vm", "disks", "nics")
FILES = (*NEEDED, "vhds", "firmware", "snapshots", "security", "dvd", "devices", "ids", "vlans")
STATES = {"2": "running", "3": "stopped", "6": "saved", "9": "paused", "off": "stopped"}
VLANS = {"2", "access"}
BUSES = {"0": "ide", "1": "scsi"}


def parse_hyperv(folder: Path) -> tuple[list[tuple[Domain, str]], list[str]]:
    """Return the guests with their states, and a sentence for each listing that is broken.

    Raises InputError when a listing that everything hangs on is not there.
    """
    tables: dict[str, list[Row]] = {}
    faults = []
    for name in FILES:
        file = folder / f"{name}.json"
        if not file.is_file():
            if name in NEEDED:
                message = f"{folder}: {name}.json is not there: record it first"
                raise InputError(message)
            tables[name] = []
            continue
        try:
            tables[name] = read_rows(file)
        except InputError as error:
            if name in NEEDED:
                raise
            faults.append(str(error))
            tables[name] = []
    missing = [name for name in FILES if not (folder / f"{name}.json").is_file()]
    guests = []
    for row in tables["vm"]:
        own = {name: [one for one in rows if _same(one, row)] for name, rows in tables.items()}
        guests.append((_guest(row, own, tables["vhds"], missing), _state(row)))
    return guests, faults


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a listing; one object is one row. PowerShell may have written UTF-16."""
    content = file.read_bytes()
    wide = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    try:
        said = json.loads(content.decode("utf-16" if wide else "utf-8-sig"))
    except (ValueError, RecursionError) as error:
        message = f"{file.name}: this is no JSON: {error}"
        raise InputError(message) from None
    rows = said if isinstance(said, list) else [] if said is None else [said]
    if not all(isinstance(row, dict) for row in rows):
        message = f"{file.name}: this is no list of objects as ConvertTo-Json writes it"
        raise InputError(message)
    return rows


def _text(row: Row, *keys: str) -> str:
    """Return a value as text; an enumeration may be a number, a word or both."""
    for key in keys:
        value = row.get(key)
        if isinstance(value, dict):
            value = value.get("Value", value.get("value", ""))
        if value not in {None, ""} if not isinstance(value, list) else bool(value):
            return " ".join(str(value).split())
    return ""


def _number(row: Row, key: str) -> int | None:
    text = _text(row, key)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _yes(row: Row, key: str) -> bool:
    return _text(row, key).lower() in {"true", "1", "on"}


def _same(one: Row, row: Row) -> bool:
    """Say whether a row is of the guest `row`: by its id where there is one, else by its name."""
    id_ = _text(one, "VMId")
    if id_ and _text(row, "Id", "VMId"):
        return id_.lower() == _text(row, "Id", "VMId").lower()
    return _text(one, "VMName", "Name") == _text(row, "Name", "VMName")


def _state(row: Row) -> str:
    state = _text(row, "State").lower()
    return STATES.get(state, state or "unknown")


def _guest(row: Row, own: dict[str, list[Row]], vhds: list[Row], missing: list[str]) -> Domain:
    second = _text(row, "Generation") == "2"
    firmware = own["firmware"][0] if own["firmware"] else {}
    ids = own["ids"][0] if own["ids"] else {}
    tpm = any(_yes(one, "TpmEnabled") for one in own["security"])
    disks, parts, blockers = _disks(own["disks"], vhds)
    blockers += [*_blockers(row, own), *_device_blockers(own)]
    if tpm:
        text = "its TPM's state cannot travel: have recovery keys before the move"
        blockers.append(Blocker("tpm-hyperv", text))
    cpus = _number(row, "ProcessorCount") or 1
    uuid = uuid_of(_text(ids, "BIOSGUID"))
    memory = _number(row, "MemoryStartup") or 0
    return Domain(
        name=_text(row, "Name", "VMName") or "unnamed",
        uuid=uuid,
        hypervisor="hyperv",
        arch="x86_64",
        machine=None,
        firmware="uefi" if second else "bios",
        secure_boot=_text(firmware, "SecureBoot").lower() in {"0", "on"} if firmware else False,
        loader=None,
        nvram=None,
        memory_kib=memory // 1024,
        cpus=cpus,
        cpus_max=cpus,
        clock="localtime",
        acpi=True,
        agent=False,
        disks=tuple(disks),
        nics=tuple(_nic(one, own["vlans"]) for one in own["nics"]),
        parts=tuple(parts),
        blockers=tuple(dict.fromkeys(blockers)),
        identity=Identity(
            smbios=Smbios(
                uuid=uuid,
                manufacturer="Microsoft Corporation",
                serial=_text(ids, "BIOSSerialNumber") or None,
            ),
            cpu=Cpu("host", cores=cpus),
            clock="localtime",
            tpm=Tpm() if tpm else None,
            scsi_controller="virtio-scsi-single" if second else None,
        ),
        notes=tuple(_notes(row, own, missing, second=second)),
    )


def _disks(rows: list[Row], vhds: list[Row]) -> tuple[list[DiskFound], list[Part], list[Blocker]]:
    disks, parts, blockers = [], [], []
    for row in rows:
        path = _text(row, "Path")
        bus = _text(row, "ControllerType").lower()
        bus = BUSES.get(bus, bus or "scsi")
        place = _number(row, "ControllerNumber") or 0, _number(row, "ControllerLocation") or 0
        name, here = f"{bus}{place[0]}-{place[1]}", []
        vhd = next((one for one in vhds if _text(one, "Path").lower() == path.lower()), {})
        if not path or _text(row, "DiskNumber"):
            here.append(Blocker("disk-raw-path", f"{name} is a whole disk of the old host"))
        if path.lower().endswith((".avhdx", ".avhd")) or _text(vhd, "ParentPath"):
            text = f"{name}: {path} holds only differences: merge its checkpoints first"
            here.append(Blocker("snapshot", text))
        if path.lower().endswith(".vhds") or _yes(row, "SupportPersistentReservations"):
            here.append(Blocker("disk-shareable", f"{name} may be used by several guests at once"))
        disks.append(
            DiskFound(
                target=name,
                bus=bus,
                type="file",
                source=path or None,
                format="vhdx" if path.lower().endswith("x") else "vpc",
                controller=f"hyperv-{bus}",
                size=_number(vhd, "Size"),
            )
        )
        text = "; ".join(one.text for one in here)
        parts.append(Part(name, "blocked" if here else "mapped", text))
        blockers += here
    return disks, parts, blockers


def _nic(row: Row, vlans: list[Row]) -> NicFound:
    digits = re.sub(r"[^0-9a-f]", "", _text(row, "MacAddress").lower())
    mac = ":".join(re.findall("..", digits)) if len(digits) == 12 and int(digits, 16) else None  # noqa: PLR2004  # six bytes
    name = _text(row, "Name")
    own = [one for one in vlans if _text(one, "AdapterName", "Name") in {"", name}]
    tags = [_number(one, "AccessVlanId") for one in own if _mode(one) in VLANS]
    return NicFound(
        type="bridge",
        mac=mac,
        model="e1000" if _yes(row, "IsLegacy") else "virtio",
        source=_text(row, "SwitchName") or None,
        vlans=tuple(tag for tag in tags if tag),
        linked=bool(_text(row, "SwitchName")),
    )


def _mode(row: Row) -> str:
    return _text(row, "OperationMode").lower()


def _blockers(row: Row, own: dict[str, list[Row]]) -> Iterator[Blocker]:
    if own["snapshots"]:
        names = ", ".join(_text(one, "Name") for one in own["snapshots"][:5])
        yield Blocker("snapshot", f"it has checkpoints ({names}): delete them and let them merge")
    if _state(row) in {"saved", "paused"}:
        yield Blocker("suspended", f"it is {_state(row)}: start it and shut it down")
    for one in own["security"]:
        if _yes(one, "Shielded"):
            yield Blocker("encrypted", "it is shielded: only its guardian can open it")
        if _yes(one, "EncryptStateAndVmMigrationTraffic"):
            yield Blocker("encrypted", "its state is encrypted: switch that off first")


def _device_blockers(own: dict[str, list[Row]]) -> Iterator[Blocker]:
    for one in own["devices"]:
        what = _text(one, "LocationPath", "InstanceID", "InstancePath", "Name", "Id") or "a device"
        if _text(one, "WorldWideNodeNameSetA", "WorldWidePortNameSetA"):
            yield Blocker("passthrough-scsi-host", f"it has a fibre channel adapter ({what})")
        else:
            yield Blocker("passthrough-pci", f"{what} is a device of the old host")


def _notes(
    row: Row, own: dict[str, list[Row]], missing: list[str], *, second: bool
) -> Iterator[str]:
    if missing:
        listed = ", ".join(f"{name}.json" for name in missing)
        yield f"not recorded, so not looked at: {listed}"
    if second:
        yield "generation 2: its EFI variables cannot be carried, boot entries are made anew"
    if _yes(row, "DynamicMemoryEnabled"):
        yield "its memory was dynamic: what it starts with is taken"
    if any(_yes(one, "IsLegacy") for one in own["nics"]):
        yield "a legacy network card becomes e1000, which needs its driver inside"
    yield "Hyper-V's own disks and cards need virtio's drivers inside, or sata and e1000 first"
