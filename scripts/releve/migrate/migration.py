"""One guest's migration, stage by stage; each stage is noted in the journal and idempotent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.blocks import nbd_uri
from releve.command import CommandError
from releve.migrate import worker
from releve.migrate.cutover import Cutover
from releve.migrate.errors import MigrateError
from releve.migrate.proof import ask_target, check_fence, fence_of
from releve.migrate.pve import PveTarget
from releve.migrate.source import SourceGuest, Virsh, find, look
from releve.migrate.tracking import Tracking
from releve.migrate.tunnel import Tunnel
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.blocks.qmp import Monitor
    from releve.migrate.record import Record
    from releve.migrate.target import Target
    from releve.town import Town

LOG = logging.getLogger(__name__)
SMALL_BYTES = 16 << 20  # a round of less ends the rounds: the last delta will take a moment
MOST_ROUNDS = 5
BEFORE_FENCE = {"began", "seeded", "cutover", "verified"}


@dataclass(slots=True)
class Migration:
    """What a run knows of one guest: where it is, where it goes, and its journal.

    `bandwidth` limits the seed, in MiB/s; 0 means no limit. `say` shows one line to a person.
    `hold` ends the run when the target is verified and the source fenced, both at rest; the next
    run without it starts the target.
    """

    town: Town
    name: str
    record: Record
    say: Callable[[str], None]
    bandwidth: float = 0
    hold: bool = False
    old: Ssh = field(init=False)
    node: Ssh = field(init=False)
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        """Find the hosts and the target."""
        self.old = Ssh.to(self.town, self.guest.source)
        self.node = Ssh.to(self.town, self.guest.target)
        self.target = PveTarget.of(self.town, self.name)

    @property
    def guest(self) -> Any:  # noqa: ANN401  # pydantic model, see town.model.Guest
        """The guest as the town file has it."""
        return self.town.guests[self.name]

    @property
    def tunnel(self) -> Tunnel:
        """The way of this run's bytes."""
        file = self.town.ssh.known_hosts_file
        hosts = self.town.path(file) if file else None
        return Tunnel(self.node, self.old, self.record.run, hosts)

    def tracking(self, guest: SourceGuest, monitor: Monitor | None = None) -> Tracking:
        """Return the bitmaps of this epoch, through `monitor` or libvirt."""
        aliases = {disk.name: disk.alias for disk in guest.disks}
        return Tracking(monitor or Virsh(self.old, self.name), self.record.label, aliases)

    def worker(self, disk: str) -> worker.Worker:
        """Return the worker of one disk."""
        record = self.record
        return worker.Worker(self.node, record.run, record.label, disk, record.progress)

    def uri(self, export: str) -> str:
        """Return an export's address as the worker reaches it."""
        return nbd_uri(self.tunnel.socket, export)

    def paths(self) -> dict[str, str]:
        """Return where this run's volumes are on the node."""
        event = self.record.last("volumes")
        if event is None:
            message = f"{self.name}: the journal names no volumes; run again"
            raise MigrateError(message)
        return dict(event["paths"])

    def go_on(self) -> None:
        """Do whatever is left, from the stage that the journal says."""
        if self.record.begin():
            self.say(f"{self.name}: run {self.record.run} begins")
        if self.record.stage == "verified" and look(self.old, self.name) is None:
            self.record.note("fenced", file=fence_of(self).file)
        if self.record.stage in BEFORE_FENCE:
            guest = self.ready_source()
            self.seed(guest)
            self.rounds(guest)
            Cutover(self, find(self.old, self.name)).do()
        if self.record.stage == "fenced":
            check_fence(self)
            if self.hold:
                self.say(f"{self.name}: verified and fenced, not started; run again to start it")
                return
            self.target.start()
            self.record.note("target-started")
            self.say(f"{self.name}: started on {self.node.host}")
        ask_target(self)
        self.finish()

    def ready_source(self) -> SourceGuest:
        """Return the guest at work, with its bitmaps, and everything ready for the worker.

        A guest that an interrupted cutover left off is started; if its bitmaps are lost, a new
        epoch begins, which believes no block copied before.
        """
        self.old.run("systemctl start libvirtd.socket libvirtd.service", timeout=120)
        guest = find(self.old, self.name)
        if not guest.running:
            self.say(f"{self.name}: it is {guest.state} at {self.old.host}; starting it there")
            self._start_source()
            guest = find(self.old, self.name)
            self.record.note("source-returned")
        if guest.owner is None:
            message = f"{self.old.host}: {self.name} has no QEMU process; start it there first"
            raise MigrateError(message)
        worker.install(self.node)
        tracking = self.tracking(guest)
        done = self.record.rounds()
        whole = self.record.epoch and tracking.has(done + 1)
        if not whole:
            self.record.note("epoch-began", number=self.record.epoch + 1)
            tracking = self.tracking(guest)
        tracking.clear(keep=(done + 1, done + 2) if whole else ())
        self.tunnel.make_folder(guest.owner)
        tracking.serve(self.tunnel.remote_socket)
        self.tunnel.open()
        if not whole:
            tracking.begin()
        self._prepare_target(tracking)
        return guest

    def _start_source(self) -> None:
        try:
            self.old.run(f"virsh -q start {self.name}", timeout=120)
        except CommandError as error:
            if "already" not in str(error):  # whoever held libvirtd started it meanwhile
                raise

    def _prepare_target(self, tracking: Tracking) -> None:
        sizes = {
            name: int(drive["image"]["virtual-size"]) for name, drive in tracking.drives().items()
        }
        paths = self.target.prepare(self.record.run, sizes, self.record.earlier_runs())
        self.record.note("volumes", paths=paths, sizes=sizes)

    def seed(self, guest: SourceGuest) -> None:
        """Copy all disks while the guest works."""
        if self.record.stage != "began":
            return
        tracking = self.tracking(guest)
        self.say(f"{self.name}: seed while it works")
        self.record.note("seed-began")
        counts = []
        for disk in guest.disks:
            export = tracking.export(disk.name)
            counts.append(
                self.worker(disk.name).do(
                    "seed",
                    source=self.uri(export),
                    target=self.paths()[disk.name],
                    bandwidth=self.bandwidth,
                )
            )
            tracking.unexport(disk.name)
        read, kept = (sum(count[key] for count in counts) for key in ("read", "kept"))
        self.record.note("seeded", read=read, kept=kept)
        self.record.check("bytes-seed", read + kept > 0, read + kept, unit="B")
        if kept:
            self.record.check("bytes-kept-on-resume", passed=True, value=kept, unit="B")

    def rounds(self, guest: SourceGuest) -> None:
        """Send what changed meanwhile, at least once, until little is left."""
        while self.record.rounds() < MOST_ROUNDS:
            moved = self.round(guest, self.tracking(guest))
            if moved <= SMALL_BYTES:
                break
        self.record.check("rounds", self.record.rounds() >= 1, self.record.rounds(), limit=1)

    def round(self, guest: SourceGuest, tracking: Tracking) -> int:
        """Do one round of all disks and return the bytes it moved."""
        number = self.record.rounds() + 1
        tracking.rotate(number)
        self.record.note("round-began", number=number)
        moved, extents = 0, 0
        for disk in guest.disks:
            export = tracking.export(disk.name, number)
            counts = self.worker(disk.name).do(
                "round",
                source=self.uri(export),
                target=self.paths()[disk.name],
                bitmap=tracking.bitmap(number),
            )
            tracking.unexport(disk.name)
            moved += counts["read"]
            extents += counts["extents"]
        self.record.note("round-done", number=number, read=moved, extents=extents)
        tracking.drop(number)
        self.say(f"{self.name}: round {number}: {moved / 2**20:.1f} MiB in {extents} runs")
        return moved

    def finish(self) -> None:
        """Remove key and tunnel; the run is done."""
        if self.record.stage != "moved":
            self.tunnel.close()
            self.record.note("moved")
            self.say(f"{self.name}: moved")
