"""A guest of a libvirt host, whose QEMU is asked through libvirt: warm, by dirty bitmaps."""

from __future__ import annotations

import base64
import contextlib
import shlex
import time
from typing import TYPE_CHECKING

from releve.blocks import nbd_uri
from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.migrate import tpm
from releve.migrate.errors import MigrateError, PowerButtonError
from releve.migrate.fence import Fence
from releve.migrate.hold import Hold
from releve.migrate.host_turn import HostTurn, in_turn
from releve.migrate.rest import Rest
from releve.migrate.source import Virsh, look
from releve.migrate.sources.libvirt import parse_domain
from releve.migrate.tracking import Tracking
from releve.migrate.tunnel import Tunnel
from releve.ssh import Ssh
from releve.town.at_source import name_at_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.blocks.qmp import Monitor, Qmp
    from releve.migrate.sources.base import Mark, Rung, SourceGuest
    from releve.town import Town

POLL_SECONDS = 0.05


class LibvirtSource:
    """See `base.Source`; `power_off` holds libvirtd still until `release` or `start`."""

    rung: Rung = "bitmaps"

    def __init__(self, town: Town, name: str, run: str) -> None:
        """`name` is the town's name of the guest, `run` the id of the migration's run."""
        guest = town.guests[name]
        self.name = name_at_source(town, name)
        self.ssh = Ssh.to(town, guest.source).kept()
        file = town.ssh.known_hosts_file
        hosts = town.path(file) if file else None
        self.tunnel = Tunnel(Ssh.to(town, guest.target).kept(), self.ssh, run, hosts)
        self._label = ""
        self._seen: SourceGuest | None = None
        self._hold: Hold | None = None
        self._qmp: Qmp | None = None
        self._rest: Rest | None = None
        self._turn = HostTurn(self.ssh.host)

    @property
    def host(self) -> str:
        """See `base.Source`."""
        return self.ssh.host

    @in_turn
    def look(self) -> SourceGuest | None:
        """See `base.Source`."""
        return look(self.ssh, self.name)

    @in_turn
    def ready(self, label: str, number: int) -> bool:
        """See `base.Source`; raises MigrateError when the guest does not run."""
        self.ssh.run("systemctl start libvirtd.socket libvirtd.service", timeout=120)
        self._label, self._seen = label, self.look()
        guest = self._guest()
        if guest.owner is None:
            message = f"{self.host}: {self.name} has no QEMU process; start it there first"
            raise MigrateError(message)
        whole = self._tracking.has(number)
        self._tracking.clear(keep=(number, number + 1) if whole else ())
        self.tunnel.make_folder(guest.owner)
        self._tracking.serve(self.tunnel.remote_socket)
        self.tunnel.open()
        return whole

    @in_turn
    def begin(self, label: str) -> None:
        """See `base.Source`."""
        self._label = label
        self._tracking.begin()

    @in_turn
    def sizes(self) -> dict[str, int]:
        """See `base.Source`."""
        drives = self._tracking.drives()
        return {name: int(drive["image"]["virtual-size"]) for name, drive in drives.items()}

    @in_turn
    def rotate(self, number: int) -> None:
        """See `base.Source`."""
        self._tracking.rotate(number)

    @in_turn
    def dirty(self) -> int | None:
        """See `base.Source`."""
        return self._tracking.dirty()

    def bitmap(self, number: int) -> str:
        """See `base.Source`."""
        return self._tracking.bitmap(number)

    @in_turn
    def uri(self, disk: str, number: int | None = None) -> str:
        """See `base.Source`."""
        if self._rest is not None:
            return nbd_uri(f"{self.tunnel.folder}/{self._rest.socket(disk)}", disk)
        return nbd_uri(self.tunnel.socket, self._tracking.export(disk, number))

    @in_turn
    def withdraw(self, disk: str) -> None:
        """See `base.Source`."""
        if self._rest is None:
            self._tracking.unexport(disk)

    @in_turn
    def drop(self, number: int) -> None:
        """See `base.Source`."""
        self._tracking.drop(number)

    @in_turn
    def power_off(self, seconds: int) -> None:
        """See `base.Source`."""
        guest = self._guest()
        hold = Hold(self.ssh, guest.name, guest.monitor, self.tunnel.folder).__enter__()
        self._hold = hold
        self._turn.take()
        try:
            self._qmp = hold.monitor()
            self._press(self._qmp, seconds)
        except BaseException:
            self.start()
            raise

    def _press(self, qmp: Qmp, seconds: int) -> None:
        if qmp.execute("query-status")["status"] == "running":
            qmp.execute("system_powerdown")
        deadline = time.monotonic() + seconds
        while qmp.execute("query-status")["status"] != "shutdown":
            if time.monotonic() > deadline:
                message = (
                    f"{self.name}: guest-ignores-power-button: not off {seconds} s after"
                    " the power button; it goes on at its source. Look at its console"
                )
                raise PowerButtonError(message)
            time.sleep(POLL_SECONDS)

    def hashes(self, disk: str) -> Iterator[bytes] | None:
        """See `base.Source`: QEMU's bitmaps make it needless here."""
        del disk
        return None

    @in_turn
    def firmware(self) -> bytes | None:
        """See `base.Source`."""
        path = self._guest().nvram
        if path is None:
            return None
        return base64.b64decode(self.ssh.run(f"base64 {shlex.quote(path)}").stdout)

    @in_turn
    def tpm(self) -> bytes | None:
        """See `tpm.WithTpm`: swtpm has written whatever a guest that is off told it."""
        guest = self._guest()
        found = parse_domain(guest.definition, guest.name).identity.tpm
        return tpm.read(self.ssh, guest.uuid) if tpm.carried(found) else None

    def release(self) -> None:
        """See `base.Source`."""
        hold, self._hold = self._hold, None
        if hold is not None:
            try:
                self._quit()
                hold.release("done")
            finally:
                self._turn.give()

    @in_turn
    def mark(self) -> Mark:
        """See `base.Source`: where the definition is kept, autostart, and the disks' files."""
        guest = self._guest()
        fence = Fence.around(self.ssh, guest)
        disks = [{"name": d.name, "format": d.format, "file": d.file} for d in guest.disks]
        return {"fence": fence.file, "autostart": fence.autostart, "disks": disks}

    @in_turn
    def fence(self, mark: Mark) -> None:
        """See `base.Source`."""
        self._fence(mark).close()

    @in_turn
    def fenced(self, mark: Mark) -> bool:
        """See `base.Source`."""
        return self._fence(mark).closed()

    @in_turn
    def unfence(self, mark: Mark) -> None:
        """See `base.Source`."""
        self._fence(mark).open()

    @in_turn
    def start(self) -> None:
        """See `base.Source`."""
        hold, self._hold = self._hold, None
        if hold is not None:
            try:
                self._quit_if_off()
                hold.release("abort")
            finally:
                self._turn.give()
            return
        self.ssh.run("systemctl start libvirtd.socket libvirtd.service", timeout=120)
        guest = self.look()
        if guest is None:
            message = f"{self.host}: no domain {self.name!r}; `virsh list --all` names what it has"
            raise MigrateError(message)
        if not guest.running:
            try:
                self.ssh.run(f"virsh -q start {shlex.quote(self.name)}", timeout=120)
            except CommandError as error:
                if "already" not in str(error):  # whoever held libvirtd started it meanwhile
                    raise

    def _quit_if_off(self) -> None:
        """End a QEMU whose guest is off; one that still works is left alone."""
        qmp = self._qmp
        with contextlib.suppress(MonitorError):  # it died: libvirtd sees that when it is back
            if qmp is not None and qmp.execute("query-status")["status"] == "shutdown":
                qmp.execute("quit")
        self._let_go()

    def _quit(self) -> None:
        if self._qmp is not None:
            self._qmp.execute("quit")
        self._let_go()

    def _let_go(self) -> None:
        qmp, self._qmp = self._qmp, None
        if qmp is not None:
            qmp.close()

    @in_turn
    def at_rest(self, mark: Mark) -> None:
        """See `base.Source`: by `qemu-nbd`, which comes with what ran the guest."""
        self._rest = Rest(self.ssh, self.tunnel.folder, tuple(mark["disks"]))
        self._rest.serve()
        self.tunnel.open(self._rest.sockets)

    @in_turn
    def close(self) -> None:
        """See `base.Source`."""
        self._rest = None
        Rest(self.ssh, self.tunnel.folder).end()
        guest = self.look()
        if guest is not None and guest.running:
            self._seen = guest
            self._tracking.end()
        self.tunnel.close()

    @property
    def _tracking(self) -> Tracking:
        aliases = {disk.name: disk.alias for disk in self._guest().disks}
        return Tracking(self._monitor, self._label, aliases)

    @property
    def _monitor(self) -> Monitor:
        return Virsh(self.ssh, self.name) if self._qmp is None else self._qmp

    def _guest(self) -> SourceGuest:
        if self._seen is None:
            self._seen = self.look()
        if self._seen is None:
            message = f"{self.host}: no domain {self.name!r}; `virsh list --all` names what it has"
            raise MigrateError(message)
        return self._seen

    def _fence(self, mark: Mark) -> Fence:
        return Fence(self.ssh, self.name, str(mark["fence"]), bool(mark["autostart"]))
