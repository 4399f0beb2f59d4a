"""What the guest will see of its machine, kept or changed, and what follows from each change.

Software licences, domain controllers and disk encryption look at these. Proxmox VE shows what the
town file says (see releve.pve.identity); what it leaves out, Proxmox VE makes anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.migrate.identify import identified, kept_of
from releve.migrate.identity import cpu_of, machine_version
from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning
from releve.migrate.tpm import VERSION, carried
from releve.pve.identity import CPU_FLAGS, machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts
    from releve.migrate.sources.domain import Domain
    from releve.town.model import Guest

IDENTITY = Collected([])
NEW = "a new one"
PVE_CPU = "kvm64"  # what Proxmox VE shows when nothing is said
DEFAULT_CPU = {"pve": PVE_CPU, "kvm": "qemu64", "qemu": "qemu64"}
# Flags that systems and programs are built for; without one they stop at their first use.
BUILT_FOR = {
    *("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3", "aes"),
    *("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"),
    *("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
HOST_CPU = {"host", "max", "host-model"}
LICENCE = "software that is licensed to this machine asks to be activated again"
PLACES = "each hypervisor gives cards and disks places of its own on the PCI bus"
OWN = (
    "QEMU numbers a disk without a serial number by its port (QM00001, here QM00013): by-id names"
    " change, and what is licensed by disk; set serial in town.yml to what the guest reads now"
)
HARDWARE = "Windows takes its devices for new ones: drivers load again, static addresses are lost"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the guest sees: now, and on its node; what follows if they differ."""

    id: str
    source: str
    target: str
    consequence: str = ""

    @property
    def kept(self) -> bool:
        """Whether it stays as it is."""
        return self.source == self.target

    def as_dict(self) -> dict[str, Any]:
        """Return what a plan file holds of it."""
        content: dict[str, Any] = {"id": self.id, "source": self.source, "kept": self.kept}
        if not self.kept:
            content |= {"target": self.target, "consequence": self.consequence}
        return content


def shown(facts: Facts) -> Guest:
    """Return the guest as its node will show it: what the town file leaves open, a run keeps."""
    domain = facts.seen.domain
    if domain is None:
        return facts.guest
    return identified(facts.town, facts.name, kept_of(domain)).guests[facts.name]


def compare(domain: Domain, guest: Guest) -> list[Change]:
    """Return all that identifies a guest; pure."""
    return [
        *_machine(domain, guest),
        *_maker(domain, guest),
        *_processor(domain, guest),
        *_state(domain, guest),
        *_disks(domain, guest),
        *_cards(domain, guest),
    ]


def _machine(domain: Domain, guest: Guest) -> Iterable[Change]:
    version = machine_version(domain.machine)
    there = machine_of(domain.chipset, version) if version else (domain.machine or domain.chipset)
    here = machine_of(guest.machine, guest.machine_version)
    if domain.hypervisor == "pve" and version is None and guest.machine_version is None:
        there, here = f"{there}, {domain.hypervisor}'s newest then", f"{here}, the node's newest"
    follows = f"devices may get other places: {HARDWARE}; set machine_version in town.yml"
    yield Change("machine", there, here, follows)
    if domain.hypervisor != "pve" and guest.os.startswith("w"):
        yield Change("places", f"of {domain.hypervisor}", "of Proxmox VE", f"{PLACES}: {HARDWARE}")
    boot = f"{domain.firmware}{' with Secure Boot' if domain.secure_boot else ''}"
    # the variables are carried with the keys in them, so Secure Boot is as it was
    secure = domain.secure_boot and guest.firmware == "uefi"
    here = f"{guest.firmware}{' with Secure Boot' if secure else ''}"
    yield Change("firmware", boot, here, "the system is not found, or is not trusted, at its start")


def _maker(domain: Domain, guest: Guest) -> Iterable[Change]:
    smbios = domain.identity.smbios
    there = (smbios.uuid or domain.uuid or "").lower()
    here = str(guest.smbios.uuid) if guest.smbios.uuid else NEW
    if there:
        yield Change("smbios.uuid", there, here, f"{LICENCE}; set smbios.uuid in town.yml")
    for key in ("serial", "manufacturer", "product", "version", "sku", "family"):
        was, will = getattr(smbios, key), getattr(guest.smbios, key)
        if was or will:
            follows = f"{LICENCE} (by maker or serial number); set smbios.{key} in town.yml"
            yield Change(f"smbios.{key}", was or "not set", will or "not set", follows)


def _processor(domain: Domain, guest: Guest) -> Iterable[Change]:
    cpu = domain.identity.cpu
    there = cpu_of(cpu) or cpu.model or DEFAULT_CPU.get(domain.hypervisor, "its host's")
    here = guest.cpu or PVE_CPU
    yield Change("cpu", there, here, "programs built for its flags, or licensed by it, may notice")
    shape = f"{cpu.sockets}x{cpu.cores * cpu.threads}"
    if cpu.sockets * cpu.cores * cpu.threads == guest.cpus:
        will = f"{guest.sockets}x{guest.cpus // guest.sockets}"
        follows = "what is licensed by socket or core counts anew; set sockets in town.yml"
        yield Change("cpu.sockets", shape, will, follows)
    if cpu.threads > 1:
        follows = "what is licensed by core counts threads as cores"
        yield Change("cpu.threads", str(cpu.threads), "1", follows)
    if lost := [flag for flag in cpu.flags if flag[1:] not in CPU_FLAGS and flag not in here]:
        follows = "programs that use them may stop; PVE sets them for no single guest"
        yield Change("cpu.flags", " ".join(lost), "not set", follows)


def _state(domain: Domain, guest: Guest) -> Iterable[Change]:
    identity = domain.identity
    there = (identity.vmgenid or "none").lower()
    here = str(guest.vmgenid) if guest.vmgenid else NEW
    follows = (
        "a domain controller takes itself for a copy: it gives up its pool of ids and reads the"
        " directory from its partners again (harmless with a partner, and right after a rollback)"
    )
    yield Change("vmgenid", there, here, follows)
    clock = "after its start its clock is wrong by the time zone; set clock in town.yml"
    yield Change("clock", identity.clock, guest.clock, clock)
    tpm = identity.tpm
    if tpm or guest.tpm:
        was = f"{tpm.version} with its state" if tpm else "none"
        will = f"{guest.tpm}, empty" if guest.tpm else "none"
        if _tpm_carried(domain, guest):
            will = was
        follows = "BitLocker asks for its recovery key, and keys that lie in the TPM are lost"
        yield Change("tpm", was, will, follows)


def _tpm_carried(domain: Domain, guest: Guest) -> bool:
    """Say whether the state goes along, as it does from libvirt."""
    at_libvirt = domain.hypervisor in {"kvm", "qemu"} and guest.disks[0].file is None
    return at_libvirt and guest.tpm == VERSION and carried(domain.identity.tpm)


def _disks(domain: Domain, guest: Guest) -> Iterable[Change]:
    for number, (was, will) in enumerate(zip(domain.disks, guest.disks, strict=False)):
        name = will.name
        follows = "its driver must be ready before the boot" if number == 0 else "names may change"
        yield Change(f"{name}.bus", was.bus, will.bus, follows)
        there, here = was.wwn or "not set", (will.wwn if will.bus == "scsi" else "") or "not set"
        if there != here:
            follows = f"{LICENCE} (by disk); by-id names of the disk change; set wwn in town.yml"
            yield Change(f"{name}.wwn", there, here, follows)
        if was.serial is None and will.serial is None and _renumbered(domain, guest, number):
            yield Change(f"{name}.serial", "QEMU's first numbers", "QEMU's next numbers", OWN)
        if was.serial or will.serial:
            serial = f"{LICENCE} (by disk); by-id names of the disk change; set serial in town.yml"
            there, here = was.serial or "not set", will.serial or "not set"
            yield Change(f"{name}.serial", there, here, serial)


def _renumbered(domain: Domain, guest: Guest, number: int) -> bool:
    """Say whether QEMU counts a SATA disk that has no serial number otherwise on the node.

    A q35 has a controller of its own, whose ports are counted first; PVE adds another one.
    """
    bus = guest.disks[number].bus
    return domain.hypervisor != "pve" and guest.machine == "q35" and bus == "sata"


def _cards(domain: Domain, guest: Guest) -> Iterable[Change]:
    for number, (was, will) in enumerate(zip(domain.nics, guest.nics, strict=False)):
        mac = (was.mac or "not set").lower()
        yield Change(f"nic{number}.mac", mac, will.mac, f"{LICENCE}; its DHCP reservation is lost")
        follows = "it needs another driver, and Windows loses its static address"
        yield Change(f"nic{number}.model", was.model, will.model, follows)


def _said(facts: Facts, *ids: str) -> Said:
    """Return a warning that names each change among `ids` (or below them) with its consequence."""
    if facts.seen.domain is None:
        return unknown("the guest's definition was not read")
    wanted = [
        change
        for change in compare(facts.seen.domain, shown(facts))
        if any(change.id == id_ or change.id.endswith(f".{id_}") for id_ in ids)
    ]
    lost = [change for change in wanted if not change.kept]
    if lost:
        values = "; ".join(f"{one.id}: {one.source} -> {one.target}" for one in lost)
        return warning(values, "; ".join(dict.fromkeys(one.consequence for one in lost)))
    return passed(", ".join(dict.fromkeys(change.source for change in wanted)) or "none")


@IDENTITY.add(
    "machine-kept",
    "T11",
    "machine type and version against `machine` and `machine_version`",
    "pin the version in town.yml",
    at_source=True,
)
def machine_kept(facts: Facts) -> Said:
    """The chipset and its version stay; Windows also sees where its devices sit."""
    return _said(facts, "machine", "places")


@IDENTITY.add(
    "smbios-kept",
    "G10",
    "SMBIOS of the definition against `smbios`",
    "keep the values in town.yml: `releve survey` writes them",
    at_source=True,
)
def smbios_kept(facts: Facts) -> Said:
    """The machine's UUID, serial number and maker stay; licences hang on them."""
    keys = ("uuid", "manufacturer", "product", "version", "sku", "family")
    return _said(facts, *(f"smbios.{key}" for key in (*keys, "serial")))


@IDENTITY.add(
    "cpu-kept",
    "T8",
    "the processor of the definition against `cpu` and `sockets`",
    "name the same model in town.yml",
    at_source=True,
)
def cpu_kept(facts: Facts) -> Said:
    """The guest sees the same processor, over as many sockets."""
    return _said(facts, "cpu", "cpu.sockets", "cpu.threads", "cpu.flags")


@IDENTITY.add(
    "cpu-flags-kept",
    "T8",
    "flags in /proc/cpuinfo of both hosts, for a guest that sees its host's processor",
    "set `cpu` to a model that both have (x86-64-v2-AES, x86-64-v3); try the guest's programs",
    at_source=True,
)
def cpu_flags_kept(facts: Facts) -> Said:
    """The node's processor has what the guest's programs may be built for."""
    domain = facts.seen.domain
    if domain is None or not facts.old.cpu_flags or not facts.node.cpu_flags:
        return unknown("the flags of both hosts were not read")
    if (domain.identity.cpu.model or "") not in HOST_CPU:
        return passed("the guest sees a named model")
    lost = sorted((facts.old.cpu_flags - facts.node.cpu_flags) & BUILT_FOR)
    return failed(f"lost: {' '.join(lost)}") if lost else passed("none is lost")


@IDENTITY.add(
    "generation-kept",
    "G11",
    "`genid` of the definition against `vmgenid`",
    "keep it in town.yml for a plain move; leave it out when the guest was rolled back before",
    at_source=True,
)
def generation_kept(facts: Facts) -> Said:
    """The generation id stays, so a domain controller does not take itself for a copy."""
    domain = facts.seen.domain
    if domain is not None and domain.identity.vmgenid is None and not facts.guest.vmgenid:
        return passed("it had none")
    return _said(facts, "vmgenid")


@IDENTITY.add(
    "disks-look-alike",
    "S8",
    "bus and serial number of each disk against `disks`",
    "keep bus and serial in town.yml",
    at_source=True,
)
def disks_look_alike(facts: Facts) -> Said:
    """Each disk hangs on the bus that it hangs on now, and shows the same serial number."""
    if facts.guest.firmware == "uefi" and facts.guest.disks[0].bus == "scsi":
        controller = shown(facts).scsi_controller
        if controller.startswith("lsi"):
            return failed(f"{controller}: UEFI on the node does not boot from it")
    return _said(facts, "bus", "serial", "wwn") if facts.seen.domain is None else _disk_said(facts)


def _disk_said(facts: Facts) -> Said:
    return _said(
        facts, *(f"{d.name}.{key}" for d in facts.guest.disks for key in ("bus", "serial", "wwn"))
    )


@IDENTITY.add(
    "cards-look-alike",
    "G10",
    "MAC and model of each card against `nics`",
    "keep the model in town.yml",
    at_source=True,
)
def cards_look_alike(facts: Facts) -> Said:
    """Each network card is of the model that it is now, with the same address."""
    return _said(facts, "mac", "model")


@IDENTITY.add(
    "clock-kept",
    "G10",
    "the base of the guest's clock against `clock`",
    "set `clock: localtime` in town.yml",
    at_source=True,
)
def clock_kept(facts: Facts) -> Said:
    """The hardware clock shows what it shows now: UTC, or local time for Windows."""
    return _said(facts, "clock")


@IDENTITY.add(
    "tpm-kept",
    "S13",
    "the TPM of the definition, against `tpm`; an emulated 2.0 of libvirt goes with its state",
    "say `tpm` in town.yml; else have BitLocker's recovery key at hand, and waive this with who saw"
    " it and where",
    at_source=True,
)
def tpm_kept(facts: Facts) -> Said:
    """No key lies in a TPM whose state is not carried."""
    said = _said(facts, "tpm")
    return failed(said.value) if said.verdict == "warning" else said


@IDENTITY.add(
    "boot-trust-kept",
    "T10",
    "firmware and Secure Boot of the definition against `firmware`",
    "say `firmware: uefi` in town.yml; the variables are carried with the keys in them",
    at_source=True,
)
def boot_trust_kept(facts: Facts) -> Said:
    """The firmware is of the same kind, and Secure Boot stays as it is."""
    said = _said(facts, "firmware")
    return failed(said.value, said.remedy) if said.verdict == "warning" else said
