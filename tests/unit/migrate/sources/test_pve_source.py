"""A guest of an old Proxmox VE: a real QEMU behind its socket, with PVE's words around it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.unit.migrate.sources import loopback

from releve.blocks.qmp import Qmp
from releve.migrate.errors import MigrateError, PowerButtonError
from releve.migrate.sources.pve_line import PveLine
from releve.migrate.sources.pve_source import PveSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.tunnel import Tunnel
    from releve.ssh import Ssh

LACKS = loopback.missing("qemu-system-x86_64", "qemu-img")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKS), reason=f"no {LACKS} here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a log-in as root: root only"),
]
MIB = 1 << 20
NUMBERS = itertools.count(101)
# mov dx, 0x604; mov ax, 0x2000; out dx, ax: ACPI's power off, as soon as the processor runs
OFF = bytes.fromhex("ba0406b80020ef").ljust(510, b"\xf4") + b"\x55\xaa"
CONF = """\
name: mairie
memory: 32
net0: virtio=52:54:00:AA:00:01,bridge=vmbr0
onboot: 1
scsi0: local:101/vm-101-disk-0.raw,size=4M
scsihw: virtio-scsi-pci
smbios1: uuid=0f0f0f0f-0000-4000-8000-000000000001
"""
QM = """\
#!/bin/sh
[ "$2" = {vmid} ] || exit 1  # a shell that another test left asks for another
case $1 in
status) [ -e {folder}/{vmid}.pid ] && echo 'status: running' || echo 'status: stopped' ;;
set) echo "lock: $4" >> {folder}/{vmid}.conf ;;
unlock) sed -i '/^lock: /d' {folder}/{vmid}.conf ;;
start) echo start >> {folder}/started; touch {folder}/{vmid}.pid ;;
esac
"""


@dataclass
class NoTunnel:
    """Node and old host are one here, so QEMU's own socket is what the node sees."""

    folder: str
    events: list[str] = field(default_factory=list)

    @property
    def socket(self) -> str:
        return f"{self.folder}/nbd.sock"

    remote_socket = socket

    def make_folder(self, owner: int) -> None:
        assert owner == 0

    def open(self, sockets: tuple[str, ...] = ()) -> None:
        self.events.append("open")

    def close(self) -> None:
        self.events.append("close")


class Pve:
    """What an old host has of PVE: sockets, qm, qmeventd and one guest's QEMU."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.vmid = folder, str(next(NUMBERS))
        self.conf = folder / f"{self.vmid}.conf"
        self.disk = folder / "disk.raw"
        self.disk.write_bytes(OFF.ljust(4 * MIB, b"\0"))
        self.conf.write_text(CONF)
        (home / "bin").mkdir(exist_ok=True)
        for name, text in (("qm", QM), ("pvesm", "#!/bin/sh\necho {folder}/disk.raw\n")):
            (home / "bin" / name).write_text(text.format(folder=folder, vmid=self.vmid))
            (home / "bin" / name).chmod(0o755)
        words = ["qemu-system-x86_64", "-S", "-machine", "pc,accel=tcg", "-m", "32", "-no-shutdown"]
        words += ["-display", "none", "-nodefaults", "-device", "virtio-scsi-pci", "-drive"]
        words += [f"file={self.disk},if=none,id=drive-scsi0,format=raw", "-device"]
        words += ["scsi-hd,drive=drive-scsi0,id=scsi0,bootindex=1"]
        for name in (f"{self.vmid}.qmp", "own.qmp"):
            words += ["-qmp", f"unix:{folder}/{name},server=on,wait=off"]
        self.qemu = subprocess.Popen(words)
        (folder / f"{self.vmid}.pid").touch()
        self.said: list[bytes] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "events"))
        self.listener.listen()
        threading.Thread(target=self._events, daemon=True).start()
        self._await(folder / "own.qmp")

    def _await(self, path: Path) -> None:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _events(self) -> None:
        """Do what qmeventd does: end QEMU when whoever held it has gone."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.said.append(client.recv(4096))
            client.recv(1)
            if self.ask("query-status")["status"] == "shutdown":
                self.end()

    def ask(self, command: str, **arguments: object) -> dict[str, str]:
        with Qmp(str(self.folder / "own.qmp"), 30) as qmp:
            return cast("dict[str, str]", qmp.execute(command, **arguments))

    def end(self) -> None:
        self.qemu.kill()
        self.qemu.wait()
        (self.folder / f"{self.vmid}.pid").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with loopback.hosts(tmp_path_factory.mktemp("ssh")) as (old, _node, _known):
        yield old


@pytest.fixture
def pve(old: Ssh, tmp_path: Path) -> Iterator[Pve]:
    found = Pve(tmp_path, Path(old.run("echo ~").stdout.strip()))
    yield found
    found.listener.close()
    found.end()


@pytest.fixture
def source(old: Ssh, pve: Pve) -> PveSource:
    folder = str(pve.folder)
    line = PveLine(old, pve.vmid, folder, run=folder, events=f"{folder}/events")
    return PveSource(old, pve.vmid, cast("Tunnel", NoTunnel(folder)), line, conf=folder)


def write(pve: Pve, offset: int) -> None:
    pve.ask("human-monitor-command", command_line=f'qemu-io -d scsi0 "write -P 7 {offset} 64k"')


def read(uri: str, out: Path) -> bytes:
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "raw", uri, out], check=True)
    return out.read_bytes()


def test_a_guest_is_copied_while_it_works_and_its_last_delta_after_it(
    source: PveSource, pve: Pve, tmp_path: Path
) -> None:
    guest = source.look()
    assert guest is not None
    assert (guest.name, guest.state, guest.macs) == ("mairie", "running", ("52:54:00:aa:00:01",))
    assert not source.ready("aa.1", 1)
    source.begin("aa.1")
    assert source.sizes() == {"scsi0": 4 * MIB}
    assert read(source.uri("scsi0"), tmp_path / "out") == pve.disk.read_bytes()
    source.withdraw("scsi0")
    assert source.ready("aa.1", 1)
    write(pve, MIB)
    assert source.dirty() == 65_536
    mark = source.mark()
    pve.ask("cont")

    source.power_off(120)

    assert pve.said == [json.dumps({"vzdump": {"vmid": pve.vmid}}).encode()]
    source.rotate(1)
    assert source.bitmap(1) == "releve-aa.1-1"
    assert read(source.uri("scsi0", 1), tmp_path / "out") == pve.disk.read_bytes()
    source.withdraw("scsi0")
    source.release()
    assert pve.qemu.poll() is not None
    source.fence(mark)
    source.fence(mark)
    assert source.fenced(mark)
    assert "lock: migrate" in pve.conf.read_text()
    source.unfence(mark)
    source.unfence(mark)
    assert pve.conf.read_text() == CONF
    source.close()
    assert not (pve.folder / "started").exists()


def test_a_guest_that_is_deaf_goes_on(source: PveSource, pve: Pve) -> None:
    source.ready("aa.1", 1)

    with pytest.raises(PowerButtonError, match="guest-ignores-power-button"):
        source.power_off(0)

    assert pve.qemu.poll() is None
    assert not (pve.folder / "started").exists()
    source.close()


def test_a_guest_whose_move_fails_after_the_power_off_is_started_again(
    source: PveSource, pve: Pve
) -> None:
    source.ready("aa.1", 1)
    pve.ask("cont")
    source.power_off(120)

    source.start()

    assert "start" in (pve.folder / "started").read_text()


def test_a_line_that_falls_silent_gives_the_guest_back(old: Ssh, pve: Pve) -> None:
    """As a pulled cable does: nobody tells the old host, and qmeventd is held by a dead line."""
    folder = str(pve.folder)
    places = {"run": folder, "events": f"{folder}/events"}
    line = PveLine(old, pve.vmid, folder, silence=2, **places)
    line.hold()
    time.sleep(4)  # long: that we live is said meanwhile
    assert not (pve.folder / "started").exists()
    assert line._process is not None  # what is stopped here is its line
    os.kill(line._process.pid, signal.SIGSTOP)
    pve.ask("cont")

    deadline = time.monotonic() + 60
    while not (pve.folder / "started").exists():
        assert time.monotonic() < deadline, "nobody started it again"
        time.sleep(0.1)

    assert pve.qemu.poll() is not None, "its QEMU was never let go"
    os.kill(line._process.pid, signal.SIGCONT)
    line.let_go("done")


def test_a_locked_guest_is_left_alone(source: PveSource, pve: Pve) -> None:
    with pve.conf.open("a") as conf:
        conf.write("lock: backup\n")

    with pytest.raises(MigrateError, match="lock: backup"):
        source.ready("aa.1", 1)


def test_the_monitor_is_held_by_nobody_between_two_commands(source: PveSource, pve: Pve) -> None:
    source.ready("aa.1", 1)

    with Qmp(str(pve.folder / f"{pve.vmid}.qmp"), 30) as other:
        assert other.execute("query-status")["status"] == "prelaunch"
    source.close()
