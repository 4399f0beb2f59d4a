"""A target without Proxmox VE: QEMU by a systemd unit of the node, volumes as files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.migrate.errors import ForeignError

if TYPE_CHECKING:
    from releve.ssh import Ssh
    from releve.town import Town

_PREPARE = """\
set -e
umask 077
mkdir -p {folder}
cd {folder}
owner=$(cat run 2>/dev/null || :)
if [ -z "$owner" ] && [ -n "$(ls -A)" ]; then echo "files without an owner"; exit 9; fi
case " {cleared} " in *" $owner "*) rm -f ./*.raw run; owner= ;; esac
if [ -n "$owner" ] && [ "$owner" != {run} ]; then echo "run $owner"; exit 9; fi
printf %s {run} > run
sync run
{files}
"""
_START = """\
set -e
systemctl is-active --quiet {unit} && exit 0
systemctl reset-failed {unit} 2>/dev/null || :
{taps}
[ {firmware} = bios ] || [ -s {folder}/vars.fd ] \\
  || cp /usr/share/OVMF/OVMF_VARS_4M.fd {folder}/vars.fd
systemd-run --quiet --collect --unit={unit} {qemu}
"""
_STOP = """\
systemctl is-active --quiet {unit} || exit 0
pid=$(systemctl show -P MainPID {unit})
printf '%s\\n' '{{"execute":"qmp_capabilities"}}' '{{"execute":"system_powerdown"}}' \\
  | timeout 2 /usr/bin/python3 -c {client} {folder}/monitor
for _ in $(seq {tenths}); do [ -e /proc/$pid ] || break; sleep 0.1; done
[ ! -e /proc/$pid ] || kill -9 $pid
while [ -e /proc/$pid ]; do sleep 0.1; done
"""
_CLIENT = """
import socket,sys
s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);s.recv(4096)
for line in sys.stdin: s.sendall(line.encode());s.recv(4096)
"""
FOREIGN_EXIT = 9


@dataclass(frozen=True, slots=True)
class PlainQemuTarget:
    """One guest of the town as a bare QEMU on its node; for tests without Proxmox VE."""

    town: Town
    name: str
    node: Ssh

    @property
    def _folder(self) -> str:
        storage = self.town.storage[self.town.guests[self.name].storage]
        return f"{storage.path}/releve/{self.name}"

    @property
    def _unit(self) -> str:
        return f"releve-guest-{self.name}"

    def prepare(self, run: str, sizes: dict[str, int], cleared: set[str]) -> dict[str, str]:
        """Make sparse files, marked with the run's id."""
        files = "\n".join(f"[ -e {d}.raw ] || truncate -s {n} {d}.raw" for d, n in sizes.items())
        words = {"folder": self._folder, "run": run, "files": files}
        done = self.node.run(
            _PREPARE.format(**words, cleared=" ".join(sorted(cleared))), check=False
        )
        if done.returncode == FOREIGN_EXIT:
            message = (
                f"{self.node.host}:{self._folder} belongs to {done.stdout.strip()}, not to run"
                f" {run}; move it away"
            )
            raise ForeignError(message)
        if done.returncode:
            message = f"{self.node.host}:{self._folder}: {done.stderr.strip()}"
            raise ForeignError(message)
        return {disk: f"{self._folder}/{disk}.raw" for disk in sizes}

    def start(self) -> None:
        """Make the taps and start QEMU."""
        guest = self.town.guests[self.name]
        taps = []
        for number, nic in enumerate(guest.nics):
            tap, bridge = self._tap(number), self.town.networks[nic.network].bridge
            taps += [
                f"ip link show {tap} >/dev/null 2>&1 || ip tuntap add dev {tap} mode tap",
                f"ip link set {tap} master {bridge} up",
            ]
        self.node.run(
            _START.format(
                unit=self._unit,
                taps="\n".join(taps),
                folder=self._folder,
                firmware=guest.firmware,
                qemu=shlex.join(self._qemu()),
            )
        )

    def _tap(self, number: int) -> str:
        return f"rl{self.town.guests[self.name].vmid}n{number}"

    def _qemu(self) -> list[str]:
        guest, folder = self.town.guests[self.name], self._folder
        words = ["qemu-system-x86_64", "-name", self.name, "-machine", guest.machine]
        words += ["-accel", "tcg,thread=multi", "-cpu", "max", "-nodefaults", "-display", "none"]
        words += ["-m", str(guest.memory_mib), "-smp", str(guest.cpus)]
        words += ["-qmp", f"unix:{folder}/monitor,server=on,wait=off"]
        if guest.firmware == "uefi":
            code = "/usr/share/OVMF/OVMF_CODE_4M.fd"
            words += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
            words += ["-drive", f"if=pflash,format=raw,file={folder}/vars.fd"]
        for disk in guest.disks:
            drive = f"file={folder}/{disk.name}.raw,format=raw,cache=none,discard=unmap"
            words += ["-drive", f"{drive},if={disk.bus}"]
        for number, nic in enumerate(guest.nics):
            tap = f"tap,id=n{number},ifname={self._tap(number)},script=no,downscript=no"
            model = {"virtio": "virtio-net-pci"}.get(nic.model, nic.model)
            words += ["-netdev", tap, "-device", f"{model},netdev=n{number},mac={nic.mac}"]
        return words

    def stop(self, seconds: int) -> None:
        """Press the power button by QEMU's monitor; kill QEMU when that does not help."""
        self.node.run(
            _STOP.format(
                unit=self._unit,
                folder=self._folder,
                client=shlex.quote(_CLIENT),
                tenths=seconds * 10,
            ),
            timeout=seconds + 30,
        )

    def delete(self, run: str) -> None:
        """Remove the files of this run."""
        folder = self._folder
        self.node.run(
            f'set -e; cd {folder} 2>/dev/null || exit 0; [ "$(cat run)" = {run} ] || exit 0;'
            f" rm -rf {folder}"
        )

    def running(self) -> bool:
        """Ask systemd."""
        return self.node.run(f"systemctl is-active {self._unit}", check=False).returncode == 0

    def macs(self) -> tuple[str, ...]:
        """Read QEMU's own words."""
        line = f"tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {self._unit})/cmdline"
        words = self.node.run(line).stdout.splitlines()
        return tuple(
            field.removeprefix("mac=").lower()
            for word in words
            for field in word.split(",")
            if field.startswith("mac=")
        )
