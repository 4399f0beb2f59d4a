"""Everything that is copied while the guest works: seed, rounds, and the target read back.

After it nothing is left for the cutover but what was written since the last round: no step
between power-off and start reads a whole disk.
"""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.errors import LaterError
from releve.migrate import faults, patience
from releve.migrate.errors import ForeignError, MigrateError, WorkerError
from releve.migrate.forecast import forecast
from releve.migrate.gates import note_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from releve.migrate.forecast import Forecast
    from releve.migrate.migration import Migration
    from releve.migrate.sources.base import SourceGuest

MOST_ROUNDS = 8  # of one run; a guest that writes faster than the line is slow would never end
ATTEMPTS = 3  # how often a run begins again by itself when the source's QEMU went away
WAIT_SECONDS = 60.0  # between two rounds while a run waits for its word
TARGET_CHECK = "target-equals-manifest"
STALE_SECONDS = 20.0  # a round that old says little of what was written since
POLL_SECONDS = 0.5


class Copying:
    """Brings one guest's target so near to its source that a cutover is short."""

    def __init__(self, migration: Migration) -> None:
        """Keep whose copy it is."""
        self.migration = migration
        self.record, self.source = migration.record, migration.source
        self.name = migration.name

    def do(self) -> SourceGuest:
        """Copy until the last delta is short, and prove the copy.

        A source whose QEMU died meanwhile is started and compared by hashes, by itself; so is a
        copy whose manifest was never made or is damaged copied anew.
        """
        for left in reversed(range(ATTEMPTS)):
            guest = None
            try:
                guest = self.ready()
                self.seed(guest)
                self.rounds(guest)
            except (WorkerError, MonitorError) as error:
                if not left:
                    raise
                self._once_more(guest, error)
            else:
                return guest
        message = f"{self.name}: its source does not stay up"
        raise MigrateError(message)

    def _once_more(self, guest: SourceGuest | None, error: WorkerError | MonitorError) -> None:
        """Say why everything is compared again; raise `error` when that would not help.

        `guest` is as it was found before: one that runs with another id was started meanwhile,
        by whoever watches it, and its bitmaps are gone with the QEMU that had them.
        """
        if isinstance(error, WorkerError) and error.kind == "manifest":
            self.migration.say(f"{self.name}: {error}; everything is copied anew")
            return
        try:
            found = self.source.look()
        except (CommandError, MigrateError):  # its host is silent too: the first word says more
            found = None
        if found is None or (found.running and (guest is None or guest.id == found.id)):
            raise error
        state = "started again" if found.running else found.state
        if self.source.rung != "bitmaps":
            self.migration.say(f"{self.name}: {error}; its source is read once more")
            self.record.note("source-lost", why=str(error), state=state)
            return
        self.migration.say(
            f"{self.name}: {error}; its QEMU died and what it recorded is lost (it is {state}):"
            " it goes on by comparing hashes, no data is lost"
        )
        self.record.note("source-lost", why=str(error), state=state)

    def ready(self) -> SourceGuest:
        """Return the guest with its writes recorded, and volumes and worker ready.

        A guest that an interrupted cutover left off is started. When the record of its writes is
        not whole, a new epoch begins: it compares everything, and copies what differs.
        """
        migration, record, source = self.migration, self.record, self.source
        guest = migration.find()
        if not guest.running and source.rung == "bitmaps":
            migration.say(f"{self.name}: it is {guest.state} at {source.host}; starting it there")
            source.start()
            guest = migration.find()
            record.note("source-returned", why=f"found {guest.state}")
        migration.install_worker()
        whole = source.ready(record.label, record.rounds() + 1)
        sizes = source.sizes()
        if changed := self._changed(sizes):
            migration.say(f"{self.name}: {changed}; everything is copied anew")
            record.note("distrusted", why=changed)
        if not whole or record.distrusted:
            afresh = not record.epoch or record.distrusted
            record.note("epoch-began", number=record.epoch + 1, afresh=afresh)
            source.begin(record.label)
        if source.rung == "hash-delta" and guest.running:
            note_ports(migration)  # nobody will be asked when it has stopped
        migration.identify(guest.definition)
        migration.by_root(migration.target.opening(record.earlier_runs()))
        paths = migration.target.prepare(record.run, sizes, record.earlier_runs())
        if not changed:
            self._same_volumes(paths)
        migration.by_root(migration.target.by_root())
        record.note("volumes", paths=paths, sizes=sizes)
        return guest

    def _same_volumes(self, paths: dict[str, str]) -> None:
        """Raise ForeignError when another volume stands where this run's one was."""
        known = (self.record.last("volumes") or {"paths": {}})["paths"]
        for disk, path in paths.items():
            if known.get(disk, path) != path:
                message = (
                    f"{self.migration.node.host}: {disk} of {self.name} is in {known[disk]}, and"
                    f" {path} stands in its place; remove what is not of this migration"
                )
                raise ForeignError(message)

    def _changed(self, sizes: dict[str, int]) -> str:
        """Say which disk is another one than the volumes were made for, "" for none."""
        event = self.record.last("volumes")
        known = sizes if event is None else dict(event["sizes"])
        other = sorted(set(known.items()) ^ set(sizes.items()))
        if not other:
            return ""
        disk = other[0][0]
        if disk not in known:
            return f"disk {disk} was added"
        if disk not in sizes:
            return f"disk {disk} was taken away"
        return f"disk {disk} has {sizes[disk]} bytes, had {known[disk]}"

    def seed(self, guest: SourceGuest) -> None:
        """Copy all disks; in a later epoch only what differs."""
        if self.record.stage != "began":
            return
        verb = "seed" if self.record.afresh else "delta"
        word = "seed" if verb == "seed" else "comparing by hashes"
        when = "while it works" if guest.running else f"as it rests at {self.source.host}"
        self.migration.say(f"{self.name}: {word} {when}")
        self.record.note("seed-began", verb=verb)
        start = time.monotonic()
        counts = [self.copy(disk.name, verb) for disk in guest.disks]
        read, kept = (sum(count.get(key, 0) for count in counts) for key in ("read", "kept"))
        seconds = round(time.monotonic() - start, 3)
        self.record.note("seeded", read=read, kept=kept, seconds=seconds)
        self.record.check("bytes-seed", read + kept > 0, read + kept, unit="B")
        if kept:
            self.record.check("bytes-kept-on-resume", passed=True, value=kept, unit="B")

    def copy(self, disk: str, verb: str, *, last: bool = False) -> dict[str, Any]:
        """Run `seed` or `delta` for one disk and return its counts.

        The `last` one comes after the stop: it is not slowed down, and it is read back. The
        source's host hashes what rests for itself, where it can.
        """
        rests = self.source.rung == "hash-delta"
        feed = self.source.hashes(disk) if last or (rests and verb == "delta") else None
        limit = {} if last else self.migration.limit()
        try:
            counts = self.work(disk, verb, self.source.uri(disk), feed, read_back=last, **limit)
        finally:
            self.withdraw(disk)
        # what a list has compared stayed where it was
        crossed = counts["read"] + (0 if feed is not None else counts.get("compared", 0))
        return {**counts, "by": "reading" if feed is None else "list", "crossed": crossed}

    def work(
        self,
        disk: str,
        verb: str,
        source: str,
        feed: Iterable[bytes] | None = None,
        **options: str | bool,
    ) -> dict[str, Any]:
        """Let the worker move blocks of one disk; what it finds wrong is believed no more."""
        target = self.migration.paths()[disk]
        worker = self.migration.worker(disk)
        try:
            return worker.do(verb, feed, source=source, target=target, **options)
        except WorkerError as error:
            if error.kind == "difference":
                self.record.check(TARGET_CHECK, passed=False, note=str(error))
            if error.kind in {"difference", "manifest"}:
                self.record.note("distrusted", why=str(error))
            raise

    def withdraw(self, disk: str) -> None:
        """Offer a disk no more, also when its QEMU died meanwhile."""
        try:
            self.source.withdraw(disk)
        except (MonitorError, MigrateError) as error:
            self.migration.say(f"{self.name}: {error}")

    def rounds(self, guest: SourceGuest) -> None:
        """Send what changed, prove the target once, and go on until the last delta is short."""
        if self.source.rung == "bitmaps":
            self.round(guest)
        self.prove(guest)
        for _ in range(MOST_ROUNDS):
            expected = self.forecast()
            if expected is None or expected.seconds <= self.migration.patience.downtime:
                break
            self.migration.say(f"{self.name}: last delta now: {expected}; another round")
            self.round(guest)
        else:
            message = (
                f"{self.name}: it writes too much for a short stop: {expected}, and"
                f" {self.migration.patience.downtime:g} s are allowed. It goes on at"
                f" {self.source.host}; run again with --downtime, or when it is quieter"
            )
            raise LaterError(message)
        if self.source.rung == "bitmaps":
            done = self.record.rounds()
            self.record.check("rounds", done >= 1, done, limit=1)

    def forecast(self) -> Forecast | None:
        """Return how long the last delta would take now; None where nothing tells it."""
        dirty = self.source.dirty()
        if dirty is None:
            return None
        found = forecast(self.record.events, dirty)
        self.record.note("forecast", dirty=dirty, seconds=round(found.seconds, 2))
        return found

    def round(self, guest: SourceGuest) -> int:
        """Do one round of all disks, read its blocks back, and return the bytes it moved."""
        number = self.record.rounds() + 1
        self.source.rotate(number)
        self.record.note("round-began", number=number)
        start, moved, extents = time.monotonic(), 0, 0
        for disk in guest.disks:
            uri, bitmap = self.source.uri(disk.name, number), self.source.bitmap(number)
            counts = self.work(disk.name, "round", uri, bitmap=bitmap, read_back=True)
            self.source.withdraw(disk.name)
            moved += counts["read"]
            extents += counts["extents"]
        seconds = round(time.monotonic() - start, 3)
        self.record.note("round-done", number=number, read=moved, extents=extents, seconds=seconds)
        self.source.drop(number)
        self.migration.say(
            f"{self.name}: round {number}: {moved / 2**20:.1f} MiB in {extents} runs"
        )
        return moved

    def prove(self, guest: SourceGuest) -> None:
        """Read the whole target back against the manifest, before the stop.

        Once in every run: nobody knows who wrote to the node since an earlier one.
        """
        if self.migration.proved != self.record.epoch:
            faults.flip_target_byte(self.migration.node, self.migration.paths().values())
            self.read_target(guest)
            self.migration.proved = self.record.epoch

    def read_target(self, guest: SourceGuest) -> None:
        """Compare every block of the target with the manifest; raises WorkerError."""
        self.migration.say(f"{self.name}: reading the target back")
        blocks, seals = 0, []
        for disk in guest.disks:
            counts = self.work(disk.name, "verify", "")
            blocks += counts["blocks"]
            seals.append(f"manifest of {disk.name}: sha256 {counts['manifest']}")
        self.record.note("target-read", blocks=blocks)
        note = "; ".join(seals)
        self.record.check(TARGET_CHECK, passed=True, value=blocks, unit="blocks", note=note)

    def wait(self, guest: SourceGuest) -> SourceGuest:
        """Go on with rounds until somebody says so, or the hour has come; return the guest then."""
        migration = self.migration
        last = self.record.last("round-done")
        stale = last is not None and seconds_since(last["at"]) > STALE_SECONDS
        if not migration.patience.over(self.record.folder, _now()):
            self.record.note("waits")
            migration.say(
                f"{self.name}: ready; `releve migrate cutover {self.name} --now` stops it"
            )
        began = time.monotonic()
        while not (
            migration.patience.over(self.record.folder, _now()) or migration.patience.missed(_now())
        ):
            if time.monotonic() - began >= WAIT_SECONDS and self.source.rung == "bitmaps":
                guest = self._while_waiting(guest, self.round)
                self.forecast()
                began = time.monotonic()
                stale = False
            time.sleep(POLL_SECONDS)
        if stale and self.source.rung == "bitmaps":
            guest = self._while_waiting(guest, self.rounds)
        patience.forget(self.record.folder)
        if migration.patience.missed(_now()):
            message = (
                f"{self.name}: the window of its plan is over ({migration.patience.window}); it"
                f" stays at {self.source.host}, its copy is kept; plan again, then run"
            )
            raise LaterError(message)
        return guest

    def _while_waiting(
        self, guest: SourceGuest, step: Callable[[SourceGuest], object]
    ) -> SourceGuest:
        """Do a step; where the source's QEMU died meanwhile, copy again as `do` does."""
        try:
            step(guest)
        except (WorkerError, MonitorError) as error:
            self._once_more(guest, error)
            return self.do()
        return guest


def seconds_since(moment: str) -> float:
    """Return how long ago a journal's moment was."""
    return (_now() - datetime.datetime.fromisoformat(moment)).total_seconds()


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)
