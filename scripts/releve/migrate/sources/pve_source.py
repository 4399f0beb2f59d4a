"""A guest of an old Proxmox VE: warm, by dirty bitmaps, over QEMU's own monitor."""

from __future__ import annotations

import base64
import contextlib
import shlex
import time
from typing import TYPE_CHECKING

from releve.blocks import nbd_uri
from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.migrate.errors import ForeignError, MigrateError, PowerButtonError
from releve.migrate.rest import Rest
from releve.migrate.sources.base import SourceDisk, SourceGuest
from releve.migrate.sources.pve_conf import EFI_BYTES, efi_type, read_conf
from releve.migrate.sources.pve_guest import guest_of
from releve.migrate.sources.pve_line import PveLine
from releve.migrate.tracking import Tracking
from releve.migrate.tunnel import Tunnel
from releve.ssh import Ssh
from releve.town.at_source import name_at_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.sources.base import Mark, Rung
    from releve.town import Town

CONF = "/etc/pve/qemu-server"
LOCK = "migrate"
POLL_SECONDS = 0.1
GONE_SECONDS = 60  # qmeventd ends QEMU at once; its clean-up holds the guest's lock for some
_LOOK = """\
cat {conf} || exit 3
printf '\\0'
qm status {vmid}
"""
_UNFENCE = """\
set -e
[ -e {conf} ] || exit 0
grep -q '^lock: {lock}$' {conf} || exit 0
qm unlock {vmid}
cmp -s - {conf} && exit 0
exit 9
"""


class PveSource:
    """See `base.Source`; `power_off` holds qmeventd until `release` or `start`."""

    rung: Rung = "bitmaps"

    def __init__(
        self, ssh: Ssh, vmid: str, tunnel: Tunnel, line: PveLine, *, conf: str = CONF
    ) -> None:
        """`vmid` is its number there, `conf` the folder of the guests' files."""
        self.ssh, self.vmid, self.tunnel = ssh, vmid, tunnel
        self._line, self._conf = line, shlex.quote(f"{conf}/{vmid}.conf")
        self.folder = conf
        self._label = ""
        self._seen: SourceGuest | None = None
        self._rest: Rest | None = None

    @classmethod
    def of(cls, town: Town, name: str, run: str) -> PveSource:
        """Return the source of a town's guest."""
        guest = town.guests[name]
        ssh, vmid = Ssh.to(town, guest.source).kept(), name_at_source(town, name)
        if not vmid.isdecimal():
            message = f"guests.{name}.source_name: {vmid!r}: on Proxmox VE it is the guest's number"
            raise MigrateError(message)
        known = town.path(town.ssh.known_hosts_file) if town.ssh.known_hosts_file else None
        tunnel = Tunnel(Ssh.to(town, guest.target).kept(), ssh, run, known)
        return cls(ssh, vmid, tunnel, PveLine(ssh, vmid, tunnel.folder))

    @property
    def host(self) -> str:
        """See `base.Source`."""
        return self.ssh.host

    def look(self) -> SourceGuest | None:
        """See `base.Source`."""
        done = self.ssh.run(_LOOK.format(conf=self._conf, vmid=self.vmid), check=False)
        if done.returncode == 3 and "No such file" in done.stderr:  # noqa: PLR2004  # our own
            return None
        if done.returncode:
            message = f"{self.host}: guest {self.vmid}: {done.stderr.strip()[:200]}"
            raise MigrateError(message)
        text, _zero, state = done.stdout.partition("\0")
        conf = read_conf(text, f"{self.vmid}.conf")
        domain, keys = guest_of(conf, f"{self.vmid}.conf", int(self.vmid)), conf.main.keys
        disks = tuple(
            SourceDisk(disk.target, disk.target, disk.format or "raw", disk.source or "")
            for disk in domain.disks
        )
        return SourceGuest(
            name=domain.name,
            uuid=domain.uuid or "",
            id=int(self.vmid),
            state=state.strip().removeprefix("status: ").replace("stopped", "shut off"),
            autostart=keys.get("onboot") == "1",
            managed_save=keys.get("lock") == "suspended",
            snapshots=tuple(conf.snapshots),
            definition=text,
            disks=disks,
            macs=tuple(nic.mac or "" for nic in domain.nics),
            nvram=domain.nvram,
            devices=(),
            owner=0,
        )

    def ready(self, label: str, number: int) -> bool:
        """See `base.Source`; raises MigrateError when it does not run or is locked."""
        self._label, self._seen = label, self.look()
        guest = self._guest()
        if not guest.running:
            message = f"{self.host}: {self.vmid} is {guest.state}; start it there first"
            raise MigrateError(message)
        self._unlocked()
        tracking = self._tracking
        whole = tracking.has(number)
        tracking.clear(keep=(number, number + 1) if whole else ())
        self.tunnel.make_folder(0)
        tracking.serve(self.tunnel.remote_socket)
        self.tunnel.open()
        return whole

    @property
    def monitor(self) -> PveLine:
        """QEMU's monitor, a connection for each command."""
        return self._line

    def path(self, volume: str) -> str:
        """Return where a volume is on that host."""
        if volume.startswith("/"):
            return volume
        return self.ssh.run(f"pvesm path {shlex.quote(volume)}").stdout.strip()

    def begin(self, label: str) -> None:
        """See `base.Source`."""
        self._label = label
        self._tracking.begin()

    def sizes(self) -> dict[str, int]:
        """See `base.Source`."""
        drives = self._tracking.drives()
        return {name: int(drive["image"]["virtual-size"]) for name, drive in drives.items()}

    def rotate(self, number: int) -> None:
        """See `base.Source`."""
        self._tracking.rotate(number)

    def dirty(self) -> int | None:
        """See `base.Source`."""
        return self._tracking.dirty()

    def bitmap(self, number: int) -> str:
        """See `base.Source`."""
        return self._tracking.bitmap(number)

    def uri(self, disk: str, number: int | None = None) -> str:
        """See `base.Source`."""
        if self._rest is not None:
            return nbd_uri(f"{self.tunnel.folder}/{self._rest.socket(disk)}", disk)
        return nbd_uri(self.tunnel.socket, self._tracking.export(disk, number))

    def withdraw(self, disk: str) -> None:
        """See `base.Source`."""
        if self._rest is None:
            self._tracking.unexport(disk)

    def drop(self, number: int) -> None:
        """See `base.Source`."""
        self._tracking.drop(number)

    def power_off(self, seconds: int) -> None:
        """See `base.Source`; raises MigrateError while PVE has the guest locked."""
        self._unlocked()
        self._line.hold()
        try:
            if self._state() == "running":
                self._line.execute("system_powerdown")
            deadline = time.monotonic() + seconds
            while self._state() != "shutdown":
                if time.monotonic() > deadline:
                    message = (
                        f"{self.vmid}: guest-ignores-power-button: not off {seconds} s after the"
                        " power button; it goes on at its source. Look at its console"
                    )
                    raise PowerButtonError(message)
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.start()
            raise

    def hashes(self, disk: str) -> Iterator[bytes] | None:
        """See `base.Source`: QEMU's bitmaps make it needless here."""
        del disk
        return None

    def firmware(self) -> bytes | None:
        """See `base.Source`; raises MigrateError for variables that are not raw."""
        volume = self._guest().nvram
        if volume is None:
            return None
        path = self.path(volume)
        if path.endswith(".qcow2"):
            message = f"{self.host}: {volume}: EFI variables in qcow2; move that disk to raw there"
            raise MigrateError(message)
        # Storages round a volume's size up: QEMU sees no more of it than the variables.
        length = EFI_BYTES[efi_type(self._guest().definition)]
        line = f"head -c {length} {shlex.quote(path)} | base64"
        return base64.b64decode(self.ssh.run(line).stdout)

    def release(self) -> None:
        """See `base.Source`; raises MigrateError when PVE does not end the guest's QEMU."""
        if self._line.held:
            self._line.let_go("done")
        self._await_off()

    def mark(self) -> Mark:
        """See `base.Source`: the guest's file as it is, and where its disks are."""
        guest = self._guest()
        disks = [
            {"name": disk.name, "format": disk.format, "file": self.path(disk.file)}
            for disk in guest.disks
        ]
        return {"conf": guest.definition, "disks": disks}

    def fence(self, mark: Mark) -> None:
        """See `base.Source`: PVE's own lock, with which nothing of PVE starts or changes it."""
        if not self.fenced(mark):
            self._await_off()
            self.ssh.run(f"qm set {self.vmid} --lock {LOCK}")

    def fenced(self, mark: Mark) -> bool:
        """See `base.Source`."""
        del mark
        guest = self.look()
        return guest is None or (f"lock: {LOCK}" in guest.definition.split("\n") and _off(guest))

    def unfence(self, mark: Mark) -> None:
        """See `base.Source`; raises ForeignError when its file is another than it was."""
        words = {"conf": self._conf, "vmid": self.vmid, "lock": LOCK}
        done = self.ssh.run(_UNFENCE.format(**words), check=False, stdin=mark["conf"])
        if done.returncode:
            why = done.stderr.strip()[:200] or "its file was changed while it was fenced"
            message = f"{self.host}: guest {self.vmid}: {why}; compare it with the journal's"
            raise ForeignError(message)

    def start(self) -> None:
        """See `base.Source`."""
        if self._line.held:
            if self._quiet_state() in {"shutdown", ""}:
                self._line.let_go("done")
                self._await_off()
            else:  # it may still hear the button: then its host starts it again
                self._line.let_go("abort")
        guest = self.look()
        if guest is not None and not guest.running:
            try:
                self.ssh.run(f"qm start {self.vmid}", timeout=120)
            except CommandError as error:
                if "already running" not in str(error):  # its host's own shell was faster
                    raise

    def at_rest(self, mark: Mark) -> None:
        """See `base.Source`: by `qemu-nbd`, which comes with PVE."""
        for disk in mark["disks"]:
            file = shlex.quote(disk["file"])
            self.ssh.run(f"[ -e {file} ] || lvchange -ay -K {file}")
        self._rest = Rest(self.ssh, self.tunnel.folder, tuple(mark["disks"]))
        self._rest.serve()
        self.tunnel.open(self._rest.sockets)

    def close(self) -> None:
        """See `base.Source`."""
        self._rest = None
        Rest(self.ssh, self.tunnel.folder).end()
        guest = self.look()
        if guest is not None and guest.running:
            self._seen = guest
            self._tracking.end()
        self._line.let_go("")
        self.tunnel.close()

    @property
    def _tracking(self) -> Tracking:
        aliases = {disk.name: disk.alias for disk in self._guest().disks}
        return Tracking(self._line, self._label, aliases)

    def _state(self) -> str:
        return str(self._line.execute("query-status")["status"])

    def _quiet_state(self) -> str:
        """Return QEMU's state, "" when it is gone."""
        with contextlib.suppress(MonitorError, MigrateError):
            return self._state()
        return ""

    def _await_off(self) -> None:
        deadline = time.monotonic() + GONE_SECONDS
        while (guest := self.look()) is not None and not _off(guest):
            if time.monotonic() > deadline:
                message = f"{self.host}: guest {self.vmid} is {guest.state}, and was to be off"
                raise MigrateError(message)
            time.sleep(POLL_SECONDS)

    def _unlocked(self) -> None:
        guest = self.look()
        lines = guest.definition.split("\n[")[0].split("\n") if guest else []
        if lock := next((line for line in lines if line.startswith("lock:")), ""):
            message = f"{self.host}: guest {self.vmid} has {lock!r} (a backup?); wait for its end"
            raise MigrateError(message)

    def _guest(self) -> SourceGuest:
        if self._seen is None:
            self._seen = self.look()
        if self._seen is None:
            message = f"{self.host}: no guest {self.vmid}; `qm list` there names what it has"
            raise MigrateError(message)
        return self._seen


def _off(guest: SourceGuest) -> bool:
    return guest.state == "shut off"
