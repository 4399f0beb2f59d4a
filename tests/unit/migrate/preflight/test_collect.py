"""What hosts print becomes facts; what they do not tell stays unknown."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.migrate.preflight.good import DOMAIN, FILE, MAC, good

from releve.migrate.preflight.boot_files import kernel_names, named, uuids_of
from releve.migrate.preflight.check import Verdict, judge
from releve.migrate.preflight.collect_guest import guest_of, layers_of, questions, write_rates
from releve.migrate.preflight.collect_host import host_of
from releve.migrate.preflight.collect_other import collect_other, facts_of
from releve.migrate.preflight.inside import listening
from releve.migrate.preflight.probe import rate_of
from releve.migrate.preflight.sections import MUTE, Answer, read, script
from releve.migrate.preflight.table import CHECKS
from releve.migrate.sources.base import SourceDisk, SourceGuest

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = [
    {
        "filename": "/vm/top.qcow2", "format": "qcow2", "virtual-size": 1073741824,
        "actual-size": 4096, "backing-filename": "base.qcow2", "snapshots": [{"id": "1"}],
    },
    {"filename": "/vm/base.qcow2", "format": "qcow2", "virtual-size": 1073741824},
]  # fmt: skip
STATS = "Domain: 'compta'\n  block.count=1\n  block.0.name=vda\n  block.0.wr.bytes={}\n"
AGENT = {
    "guest-info": {"version": "7.2"},
    "guest-get-osinfo": {"id": "debian", "pretty-name": "Debian 12", "kernel-release": "6.1.0"},
    "guest-network-get-interfaces": [{"name": "enp1s0", "hardware-address": MAC}],
    "guest-get-fsinfo": [{"mountpoint": "/", "total-bytes": 1000, "used-bytes": 400}],
}
QUERIES: dict[str, Any] = {
    "query-version": {"qemu": {"major": 7, "minor": 2, "micro": 1}},
    "query-block-jobs": [{"type": "backup", "device": "drive0"}],
    "query-block-exports": [{"id": "other"}],
    "query-block": [{"inserted": {"dirty-bitmaps": [{"name": "theirs"}, {"granularity": 1}]}}],
}


def answers(**changed: Answer) -> dict[str, Answer]:
    said = dict.fromkeys(questions("compta", sample=True), MUTE)
    said |= {
        "live": Answer(DOMAIN, 0),
        "inactive": Answer(DOMAIN, 0),
        "state": Answer("running\n", 0),
        "info": Answer("Id: 3\nAutostart:  enable\nManaged save:  no\n", 0),
        "snapshots": Answer("\n", 0),
        "disks": Answer(f"vda\n{json.dumps(CHAIN)}\n", 0),
        "users": Answer(f"dossiers\t/vm/base.qcow2\nweb\t{FILE}\n", 0),
        "writes": Answer(f"{STATS.format(1000)}\n--\n{STATS.format(9000)}", 0),
    }
    said |= {name: Answer(json.dumps({"return": value}), 0) for name, value in AGENT.items()}
    said |= {name: Answer(json.dumps({"return": value}), 0) for name, value in QUERIES.items()}
    text = base64.b64encode(b"UUID=1 / ext4\n").decode()
    said["files"] = Answer(f'/etc/fstab\t{{"return":{{"buf-b64":"{text}"}}}}\n', 0)
    return said | {name.replace("_", "-"): one for name, one in changed.items()}


def test_a_guest_is_read_in_one_go() -> None:
    guest, error = guest_of("compta", answers())

    assert error == ""
    assert guest is not None
    disk = guest.disks[0]
    assert (guest.state, guest.qemu, guest.autostart) == ("running", (7, 2), True)
    assert [layer.backing for layer in disk.layers] == ["base.qcow2", None]
    assert disk.layers[0].snapshots == 1
    assert disk.users == ("dossiers", "web")
    assert disk.written == 4000
    assert guest.jobs == ("backup drive0",)
    assert guest.exports == ("other",)
    assert guest.bitmaps == ("theirs",)
    assert guest.inside is not None
    assert guest.inside.free == {"/": 600}
    assert guest.inside.files == {"/etc/fstab": "UUID=1 / ext4\n"}


def test_a_guest_that_is_not_there_is_no_fault_of_the_host() -> None:
    gone = Answer("error: failed to get domain 'compta'", 1)

    assert guest_of("compta", answers(inactive=gone)) == (None, "")


def test_a_host_without_virsh_is_an_error_and_not_an_empty_host() -> None:
    guest, error = guest_of("compta", answers(inactive=Answer("sh: virsh: not found", 127)))

    assert guest is None
    assert "virsh: not found" in error


def test_a_mute_monitor_is_said_and_nothing_is_taken_for_empty() -> None:
    guest, _error = guest_of("compta", answers(query_block=Answer("error: locked", 1)))

    assert guest is not None
    assert guest.monitor_error == "query-block: error: locked"
    assert guest.qemu is None


@pytest.mark.parametrize(
    "said", ["qemu-img: Could not open '/vm/base.qcow2'", "[{}]", '[{"filename": "x"}]', "[1]"]
)
def test_a_chain_that_cannot_be_read_is_an_error_with_its_words(said: str) -> None:
    layers, error = layers_of(said)

    assert layers == ()
    assert error


def test_a_disk_whose_writes_are_not_told_twice_has_no_rate() -> None:
    assert write_rates(STATS.format(1)) == {}
    assert write_rates(f"{STATS.format(9)}\n--\n") == {}


def test_a_host_is_read_and_what_fails_stays_unknown() -> None:
    host = host_of(
        "old",
        {
            "clock": Answer("1000\n", 0),
            "memory": Answer("2048\n", 0),
            "bridges": Answer("br0 1500 up \nlo 65536 unknown \n", 0),
            "dmesg": Answer("dmesg: Operation not permitted\n", 1),
            "raid": Answer("md0 : active raid1 sda1[0]\n      100 blocks [2/1] [U_]\n", 0),
            "filesystems": Answer("/sys/fs/ext4/sda1/errors_count 3\n", 0),
            "forwarding": Answer("allowtcpforwarding yes\nallowstreamlocalforwarding all\n", 0),
        },
        asked=990,
        told=992,
    )

    assert host.clock == pytest.approx(9.5)
    assert host.memory_available == 2048 * 1024
    assert host.bridges["br0"].mtu == 1500
    assert host.disk_errors is None
    assert host.degraded == ("md0",)
    assert host.filesystem_errors == ("sda1: 3 errors",)
    assert host.forwarding == "yes all"
    assert host.busy is None


def test_a_nodes_guests_are_read_from_their_files_without_the_comments() -> None:
    lines = (
        f"/etc/pve/nodes/a/qemu-server/100.conf:net0: virtio={MAC.upper()},bridge=vmbr0\n"
        "/etc/pve/nodes/a/qemu-server/100.conf:scsi0: local-lvm:vm-106-disk-1,size=8G\n"
    )
    node = host_of("a", {"guests": Answer(lines, 0)}, 0, 0)

    assert node.macs == {MAC: "100"}
    assert node.volumes == {"local-lvm:vm-106-disk-1": "100"}


def test_two_groups_may_have_a_pool_of_one_name_and_noise_is_no_pool() -> None:
    lines = "  Consider pruning pve VG archive\n  pve data 20.5 3.10\n  usb data 96.00 1.00\n"

    pools = host_of("a", {"pools": Answer(lines, 0)}, 0, 0).thin_pools

    assert pools == {"pve/data": (20.5, 3.1), "usb/data": (96.0, 1.0)}


def test_answers_come_back_by_name_even_when_one_fails_or_reads_its_input() -> None:
    asked = {"one": "echo 1; exit 3", "two": "cat", "three": "echo 'a\nb'"}

    done = subprocess.run(
        ["sh", "-s"], input=script(asked), text=True, capture_output=True, timeout=20, check=True
    )

    assert read(done.stdout) == {
        "one": Answer("1\n", 3), "two": Answer("", 0), "three": Answer("a\nb\n", 0)
    }  # fmt: skip


@pytest.mark.parametrize("question", questions("it's", sample=True).values())
def test_every_question_is_posix_shell(question: str) -> None:
    subprocess.run(["sh", "-n"], input=question, text=True, timeout=20, check=True)


def test_every_kernel_name_is_listed_with_what_to_write_instead() -> None:
    files = {
        "/etc/fstab": "/dev/sda1 /boot/efi vfat\n/dev/sda2 /boot ext4\n# /dev/sda9\n"
        "UUID=7 / ext4\n/dev/mapper/vg-root / ext4\n/dev/disk/by-id/ata-1 /x ext4\n",
        "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda3 ro",
        "/etc/crypttab": "data /dev/nvme0n1p2 none\n",
        "/boot/grub/device.map": "(hd0) /dev/vda\n",
    }

    assert kernel_names(files, {"/dev/sda1": "AB-12"}) == [
        "/etc/fstab: /dev/sda1 (UUID=AB-12)",
        "/etc/fstab: /dev/sda2",
        "/etc/crypttab: /dev/nvme0n1p2",
        "/proc/cmdline: /dev/sda3",
        "/boot/grub/device.map: /dev/vda",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "/dev/vdata/root / ext4",
        "/dev/sda-vg/root / ext4",
        "/dev/mapper/sda1 / ext4",
        "/dev/disk/by-uuid/7 / ext4",
        "nas:/dev/sda1x /srv nfs",
    ],
)
def test_a_volume_group_or_link_that_looks_like_a_disk_is_none(line: str) -> None:
    assert kernel_names({"/etc/fstab": line}, {}) == []


def test_a_path_by_slot_is_a_kernel_name_too() -> None:
    line = "/dev/disk/by-path/pci-0000:00:05.0-part1 / ext4"

    assert kernel_names({"/etc/fstab": line}, {}) == [
        "/etc/fstab: /dev/disk/by-path/pci-0000:00:05.0-part1"
    ]


def test_uuids_come_from_the_cache_of_blkid() -> None:
    text = (
        '<device DEVNO="0x0801" TIME="1.2" UUID="6f-1" BLOCK_SIZE="4096" TYPE="ext4"'
        ' PARTUUID="77">/dev/sda1</device>\n'
        '<device DEVNO="0x0802" TIME="1.2" PARTUUID="78">/dev/sda2</device>\n'
    )

    assert uuids_of({"/run/blkid/blkid.tab": text}) == {"/dev/sda1": "6f-1"}
    assert uuids_of({}) == {}


def test_what_fstab_mounts_is_told() -> None:
    fstab = (
        "UUID=1 / ext4 errors=remount-ro 0 1\n# /dev/sda\nLABEL=x /srv xfs\nproc /proc proc\n"
        "/dev/mapper/a-s none swap sw 0 0\nbroken\nnas:/x /y nfs\n"
    )

    assert named({"/etc/fstab": fstab}) == ["/ UUID=1", "/srv LABEL=x", "swap /dev/mapper/a-s"]


def test_ports_of_loopback_alone_are_not_served_to_anybody() -> None:
    guest, _error = guest_of("compta", answers())
    assert guest is not None
    assert guest.inside is not None
    assert listening(guest.inside) == []


def test_the_rate_of_dd_is_read_in_its_words() -> None:
    assert rate_of("64+0 records out\n67108864 bytes (67 MB, 64 MiB) copied, 0.5 s, 134 MB/s") == (
        134217728.0
    )
    assert rate_of("dd: failed to open") is None


@pytest.mark.parametrize(
    ("driver", "form"),
    [
        ("<driver name='qemu' type='qcow2' cache='none'/>", "qcow2"),
        ("<driver name='qemu' type='raw'/>", "raw"),
        ("", "raw"),
    ],
)
def test_a_disk_is_never_probed_for_its_format(
    driver: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest may write the header of another format, with a backing file, into its raw disk."""
    disk = (
        "<disk type='file' device='disk'>\n{}\n<source file='/a b.img'/>\n"
        "<backingStore type='file'>\n<format type='vmdk'/>\n</backingStore>\n"
        "<target dev='{}' bus='virtio'/>\n</disk>\n"
    )
    other = disk.format("<driver name='qemu' type='vpc'/>", "vdb")
    (tmp_path / "xml").write_text(other + disk.format(driver, "vda"))
    programs = {
        "virsh": 'case "$*" in *dumpxml*) cat xml ;; *) echo "file disk vda /a b.img" ;; esac',
        "qemu-img": 'printf "%s|" "$@"',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    said = subprocess.run(
        ["sh", "-c", questions("compta", sample=False)["disks"]],
        capture_output=True, text=True, timeout=20, check=True, cwd=tmp_path,
    ).stdout  # fmt: skip

    assert said == f"vda\ninfo|-U|-f|{form}|--backing-chain|--output=json|/a b.img|\n"


def other(**changed: Any) -> SourceGuest:
    told: dict[str, Any] = {
        "name": "compta", "uuid": "6f3b", "id": None, "state": "stopped", "autostart": True,
        "managed_save": False, "snapshots": (), "definition": "", "macs": (MAC,), "nvram": None,
        "disks": (SourceDisk("vda", "", "raw", FILE),), "devices": (), "owner": None,
    }  # fmt: skip
    return SourceGuest(**(told | changed))


def test_a_source_that_tells_little_is_not_taken_for_one_with_nothing_in_its_way() -> None:
    facts = replace(good(), source=facts_of(other(), "hash-delta"))
    results = {result.id: result.verdict for result in judge(CHECKS, facts, {})}

    assert results["guest-works"] is Verdict.WARNING
    assert results["disks-as-listed"] is Verdict.PASSED
    assert results["macs-as-listed"] is Verdict.PASSED
    for unread in ("disk-sizes-as-listed", "backing-chain-whole", "firmware-variables-fit",
                   "machine-kept", "recovery-key-known", "windows-shuts-down-whole"):  # fmt: skip
        assert results[unread] is Verdict.UNKNOWN, unread
    assert [result.id for result in judge(CHECKS, facts, {}) if result.stops] == []


def test_a_guest_at_rest_is_refused_where_its_source_needs_it_at_work() -> None:
    facts = replace(good(), source=facts_of(other(), "bitmaps"))

    assert [result.id for result in judge(CHECKS, facts, {}) if result.stops] == ["guest-works"]


def test_a_kind_of_host_that_nobody_reads_is_said_by_its_name() -> None:
    whole = good().town
    old = whole.hosts["old"].model_copy(update={"hypervisor": "hyperv"})
    town = whole.model_copy(update={"hosts": {**whole.hosts, "old": old}})

    found, error = collect_other(town, "compta")

    assert found is None
    assert "hyperv" in error
