"""One guest's migration, stage by stage; each stage is noted in the journal and idempotent."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releve.blocks.schedule import NO_LIMIT, Schedule
from releve.errors import RefusedError
from releve.migrate import worker
from releve.migrate.audit import audit
from releve.migrate.copying import Copying
from releve.migrate.cutover import Cutover
from releve.migrate.errors import MigrateError
from releve.migrate.gates import check_moved, open_gates
from releve.migrate.identify import identity_of
from releve.migrate.listener import Listener
from releve.migrate.patience import Patience
from releve.migrate.proof import check_fence, mark_of
from releve.migrate.pve import PveTarget
from releve.migrate.record import OVER
from releve.migrate.sources.choose import source_of
from releve.ssh import Ssh
from releve.town.at_source import name_at_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from releve.migrate.record import Record
    from releve.migrate.sources.base import Source, SourceGuest
    from releve.migrate.target import Target
    from releve.town import Town

BEFORE_FENCE = {"began", "seeded", "cutover", "verified"}


class Place:
    """A guest that moves alone; see `runs.Turn` for one among others."""

    def slot(self) -> AbstractContextManager[None]:
        """Hold one of the old host's places while the guest is copied."""
        return contextlib.nullcontext()

    def wait(self) -> None:
        """Return when the guest may be stopped: what it needs has moved."""

    def settle(self) -> None:
        """Let those go on that need this guest: it has moved."""


@dataclass(slots=True)
class Migration:
    """What a run knows of one guest: where it is, where it goes, and its journal.

    `bandwidth` limits the seed and the audit (no window: not at all). `say` shows one line to a
    person. `hold` ends the run when the target is verified and the source fenced, both at rest;
    the next run without it starts the target. `place` is its place among guests that move beside
    it; `proved` the epoch whose target this run has read back.
    """

    town: Town
    name: str
    record: Record
    say: Callable[[str], None]
    bandwidth: Schedule = NO_LIMIT
    hold: bool = False
    patience: Patience = field(default_factory=Patience)
    place: Place = field(default_factory=Place)
    proved: int = field(init=False, default=0)
    node: Ssh = field(init=False)
    target: Target = field(init=False)
    _source: Source | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Find the node and the target."""
        self.node = Ssh.to(self.town, self.guest.target).kept()
        self.target = PveTarget.of(self.town, self.name)
        if self.record.stage not in OVER:
            self.identify()

    def identify(self, definition: str | None = None) -> None:
        """Let the target give the guest its identity; the first definition of a run stands."""
        said = self.record.last("identity")
        if said is None and definition is not None:
            said = {"kept": identity_of(self.name, definition)}
            self.record.note("identity", **said)
        if said is not None:
            self.target = self.target.identify(said["kept"])

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

    def install_worker(self) -> None:
        """Put the worker on the node."""
        worker.install(self.node)

    def by_root(self, line: str) -> None:
        """Run a line of the target's as root of the node; an empty one is nothing to do."""
        if line:
            self.node.run(line)

    def worker(self, disk: str) -> worker.Worker:
        """Return the worker of one disk."""
        record = self.record
        return worker.Worker(self.node, record.run, record.manifest, disk, record.progress)

    def limit(self) -> dict[str, str]:
        """Return the worker's options that hold it to the bandwidth, by the town's clock."""
        return {"bandwidth": str(self.bandwidth), "zone": self.town.town.timezone}

    def paths(self) -> dict[str, str]:
        """Return where this run's volumes are on the node."""
        event = self.record.last("volumes")
        if event is None:
            message = f"{self.name}: the journal names no volumes; run again"
            raise MigrateError(message)
        return dict(event["paths"])

    def find(self) -> SourceGuest:
        """Return the guest at its source; raises MigrateError when it is not there."""
        guest = self.source.look()
        if guest is None:
            message = (
                f"{self.source.host} has no guest {name_at_source(self.town, self.name)!r} (any"
                f" more); what this migration knows: `releve migrate status {self.name}`"
            )
            raise MigrateError(message)
        return guest

    def go_on(self) -> None:
        """Do whatever is left, from the stage that the journal says."""
        if self.record.stage == "rolling-back":
            message = (
                f"{self.name}: a rollback was begun and did not end;"
                f" `releve migrate rollback {self.name}` ends it"
            )
            raise RefusedError(message)
        if self.record.begin():
            self.say(f"{self.name}: run {self.record.run} begins")
        self._come_to_fence()
        if self.record.stage == "fenced":
            check_fence(self)
            if self.hold:
                self.say(f"{self.name}: verified and fenced, not started; run again to start it")
                return
            self._start()
        elif self.record.stage == "started" and not self.target.running():
            check_fence(self)
            self._start()
        if self.record.stage == "started":
            open_gates(self)
            self.record.note("moved")
            self._keep_way_back()
            self.say(f"{self.name}: moved")
            self.place.settle()
        elif self.record.stage in {"moved", "audited", "retired"}:
            check_moved(self)
        if self.record.stage == "moved":
            audit(self)

    def _keep_way_back(self) -> None:
        """Note until when the source stays as it is, at least."""
        moved = self.record.last("moved")
        assert moved is not None  # noqa: S101  # noted just before
        soak = datetime.timedelta(days=self.town.migrate.soak_days)
        until = datetime.datetime.fromisoformat(moved["at"]) + soak
        self.record.check("way-back", passed=True, value=until.isoformat(timespec="seconds"))

    def _come_to_fence(self) -> None:
        if self.record.stage == "verified" and self.source.fenced(mark_of(self)):
            self.record.note("fenced")
        if self.record.stage in BEFORE_FENCE:
            with self.place.slot():
                guest = Copying(self).do()
            self.place.wait()
            with Listener(self.guest) as heard:  # a person may stop it before the word comes
                guest = Copying(self).wait(guest)
            Cutover(self, guest, heard).do()

    def _start(self) -> None:
        self.by_root(self.target.opening({self.record.run}))
        self.target.start()
        self.record.note("target-started")
        self.say(f"{self.name}: started on {self.node.host}")
