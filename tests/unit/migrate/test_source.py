"""What virsh prints becomes facts; nothing of a guest is dropped in silence."""

from __future__ import annotations

from releve.migrate.source import parse

DEFINITION = """<domain type='kvm' id='7'>
  <name>dossiers</name><uuid>0b7c9d55-5d8e-4c3f-9d5c-0d6a3f6f5a10</uuid>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <nvram>/var/lib/libvirt/qemu/nvram/dossiers_VARS.fd</nvram></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='/srv/a b.qcow2'/><target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/></disk>
    <disk type='block' device='disk'><driver name='qemu' type='raw'/>
      <source dev='/dev/vg/data'/><target dev='sda' bus='scsi'/>
      <alias name='scsi0-0-0-0'/></disk>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>
    <interface type='bridge'><mac address='52:54:00:91:00:02'/></interface>
    <tpm model='tpm-crb'/>
  </devices>
</domain>"""
INFO = """Id:             7
Name:           dossiers
Autostart:      enable
Managed save:   no
"""


def said(state: str = "running", owner: str = "64055") -> str:
    return "\0".join([DEFINITION, DEFINITION, f"{state}\n", INFO, "before-update\n", owner])


def test_each_part_is_read() -> None:
    guest = parse("dossiers", said())

    assert [(d.name, d.alias, d.format, d.file) for d in guest.disks] == [
        ("vda", "virtio-disk0", "qcow2", "/srv/a b.qcow2"),
        ("sda", "scsi0-0-0-0", "raw", "/dev/vg/data"),
    ]
    assert guest.macs == ("52:54:00:91:00:02",)
    assert guest.monitor == "/var/lib/libvirt/qemu/domain-7-dossiers/monitor.sock"
    assert guest.autostart
    assert guest.running
    assert guest.owner == 64055
    assert guest.snapshots == ("before-update",)
    assert guest.nvram == "/var/lib/libvirt/qemu/nvram/dossiers_VARS.fd"
    assert "tpm" in guest.devices


def test_a_guest_that_is_off_has_no_process() -> None:
    guest = parse("dossiers", said("shut off", ""))

    assert not guest.running
    assert guest.owner is None
