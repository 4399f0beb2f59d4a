"""The libvirt definition of a guest, from what the town file says that it sees of its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from releve.pve.identity import machine_of

if TYPE_CHECKING:
    from releve.town.model import Disk, Guest, Town

IMAGES_FOLDER = "var/lib/libvirt/images"
_FIRMWARE = "/usr/share/OVMF"


def file_name(name: str, disk: Disk, guest: Guest) -> str:
    """Return the file name of a guest's disk on the old host; the first one is the guest's own."""
    part = name if disk == guest.disks[0] else f"{name}-{disk.name}"
    return f"{part}.{disk.format}"


def domain(town: Town, name: str) -> str:
    """Return a guest's libvirt definition."""
    guest = town.guests[name]
    nic = guest.nics[0]
    disks = "".join(_disk(name, disk, guest) for disk in guest.disks)
    machine = machine_of(guest.machine, guest.machine_version)
    return f"""<domain type='qemu'>
  <name>{name}</name>{_identity(guest)}
  <memory unit='MiB'>{guest.memory_mib}</memory>
  <vcpu>{guest.cpus}</vcpu>
  <os><type arch='x86_64' machine='{machine}'>hvm</type>{_boot(name, guest)}</os>
  <features><acpi/></features>
  {_processor(guest)}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>{disks}{_controllers(guest)}
    <interface type='bridge'>
      <mac address='{nic.mac}'/>
      <source bridge='{town.networks[nic.network].bridge}'/>
      <model type='{nic.model}'/>
    </interface>
    <serial type='pty'><log file='/var/log/{name}.console' append='on'/></serial>
  </devices>
</domain>
"""


def _identity(guest: Guest) -> str:
    said = guest.smbios.model_dump(mode="json", exclude_none=True)
    lines = [f"<uuid>{said.pop('uuid')}</uuid>"] if "uuid" in said else []
    if guest.vmgenid:
        lines.append(f"<genid>{guest.vmgenid}</genid>")
    if said:
        entries = "".join(
            f"<entry name='{key}'>{escape(text)}</entry>" for key, text in said.items()
        )
        lines.append(f"<sysinfo type='smbios'><system>{entries}</system></sysinfo>")
    return "".join(f"\n  {line}" for line in lines)


def _boot(name: str, guest: Guest) -> str:
    lines = ""
    if guest.firmware == "uefi":
        lines += (
            f"<loader readonly='yes' type='pflash'>{_FIRMWARE}/OVMF_CODE_4M.fd</loader>"
            f"<nvram template='{_FIRMWARE}/OVMF_VARS_4M.fd'>"
            f"/var/lib/libvirt/qemu/nvram/{name}.fd</nvram>"
        )
    lines += "<boot dev='hd'/>"
    if set(guest.smbios.model_dump(exclude_none=True)) - {"uuid"}:
        lines += "<smbios mode='sysinfo'/>"
    return lines


def _processor(guest: Guest) -> str:
    if guest.cpu is None:
        return "<cpu mode='maximum'/>"
    model = f"<model fallback='forbid'>{guest.cpu}</model>"
    return f"<cpu mode='custom' match='exact' check='none'>{model}</cpu>"


def _disk(name: str, disk: Disk, guest: Guest) -> str:
    path = quoteattr(f"/{IMAGES_FOLDER}/{file_name(name, disk, guest)}")
    serial = f"\n      <serial>{escape(disk.serial)}</serial>" if disk.serial else ""
    return f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='{disk.format}' cache='none'/>
      <source file={path}/>
      <target dev='{disk.name}' bus='{disk.bus}'/>{serial}
    </disk>"""


def _controllers(guest: Guest) -> str:
    lines = ""
    if any(disk.bus == "scsi" for disk in guest.disks):
        lines += "\n    <controller type='scsi' model='virtio-scsi'/>"
    if guest.tpm:
        backend = f"<backend type='emulator' version='{guest.tpm}'/>"
        lines += f"\n    <tpm model='tpm-tis'>{backend}</tpm>"
    return lines
