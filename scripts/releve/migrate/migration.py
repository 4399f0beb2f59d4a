"""One guest's migration, stage by stage; each stage is noted in the journal and idempotent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.migrate import worker
from releve.migrate.cutover import Cutover
from releve.migrate.errors import MigrateError
from releve.migrate.proof import ask_target, check_fence, mark_of
from releve.migrate.pve import PveTarget
from releve.migrate.sources.choose import source_of
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.migrate.record import Record
    from releve.migrate.sources.base import Source, SourceGuest
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
    node: Ssh = field(init=False)
    target: Target = field(init=False)
    _source: Source | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Find the node and the target."""
        self.node = Ssh.to(self.town, self.guest.target)
        self.target = PveTarget.of(self.town, self.name)

    @property
    def guest(self) -> Any:  # noqa: ANN401  # pydantic model, see town.model.Guest
        """The guest as the town file has it."""
        return self.town.guests[self.name]

    @property
    def source(self) -> Source:
        """The guest at its old host, for the run under way."""
        if self._source is None:
            self._source = source_of(self.town, self.name, self.record.run)
        return self._source

    def worker(self, disk: str) -> worker.Worker:
        """Return the worker of one disk."""
        record = self.record
        return worker.Worker(self.node, record.run, record.label, disk, record.progress)

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
        if self.record.stage == "verified" and self.source.fenced(mark_of(self)):
            self.record.note("fenced")
        if self.record.stage in BEFORE_FENCE:
            guest = self.ready_source()
            self.seed(guest)
            self.rounds(guest)
            Cutover(self, self.find()).do()
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
        guest = self.find()
        if not guest.running:
            self.say(f"{self.name}: it is {guest.state} at {self.source.host}; starting it there")
            self.source.start()
            guest = self.find()
            self.record.note("source-returned")
        worker.install(self.node)
        if not self.source.ready(self.record.label, self.record.rounds() + 1):
            self.record.note("epoch-began", number=self.record.epoch + 1)
            self.source.begin(self.record.label)
        sizes = self.source.sizes()
        paths = self.target.prepare(self.record.run, sizes, self.record.earlier_runs())
        self.record.note("volumes", paths=paths, sizes=sizes)
        return guest

    def find(self) -> SourceGuest:
        """Return the guest at its source; raises MigrateError when it is not there."""
        guest = self.source.look()
        if guest is None:
            message = f"{self.source.host} has no guest {self.name!r} (any more)"
            raise MigrateError(message)
        return guest

    def seed(self, guest: SourceGuest) -> None:
        """Copy all disks while the guest works."""
        if self.record.stage != "began":
            return
        self.say(f"{self.name}: seed while it works")
        self.record.note("seed-began")
        counts = []
        for disk in guest.disks:
            counts.append(
                self.worker(disk.name).do(
                    "seed",
                    source=self.source.uri(disk.name),
                    target=self.paths()[disk.name],
                    bandwidth=self.bandwidth,
                )
            )
            self.source.withdraw(disk.name)
        read, kept = (sum(count[key] for count in counts) for key in ("read", "kept"))
        self.record.note("seeded", read=read, kept=kept)
        self.record.check("bytes-seed", read + kept > 0, read + kept, unit="B")
        if kept:
            self.record.check("bytes-kept-on-resume", passed=True, value=kept, unit="B")

    def rounds(self, guest: SourceGuest) -> None:
        """Send what changed meanwhile, at least once, until little is left."""
        while self.record.rounds() < MOST_ROUNDS:
            moved = self.round(guest)
            if moved <= SMALL_BYTES:
                break
        self.record.check("rounds", self.record.rounds() >= 1, self.record.rounds(), limit=1)

    def round(self, guest: SourceGuest) -> int:
        """Do one round of all disks and return the bytes it moved."""
        number = self.record.rounds() + 1
        self.source.rotate(number)
        self.record.note("round-began", number=number)
        moved, extents = 0, 0
        for disk in guest.disks:
            counts = self.worker(disk.name).do(
                "round",
                source=self.source.uri(disk.name, number),
                target=self.paths()[disk.name],
                bitmap=self.source.bitmap(number),
            )
            self.source.withdraw(disk.name)
            moved += counts["read"]
            extents += counts["extents"]
        self.record.note("round-done", number=number, read=moved, extents=extents)
        self.source.drop(number)
        self.say(f"{self.name}: round {number}: {moved / 2**20:.1f} MiB in {extents} runs")
        return moved

    def finish(self) -> None:
        """Remove key and tunnel; the run is done."""
        if self.record.stage != "moved":
            self.source.close()
            self.record.note("moved")
            self.say(f"{self.name}: moved")
