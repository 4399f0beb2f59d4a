"""A town hall in memory: an old host, a node and their network, on which the real stages run.

Disks are lists of numbers. The guest writes whenever a worker is at work. Two machines with one
hardware address on the network at once, or a start of a volume that is not whole, fail the test.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from releve.migrate.errors import PowerButtonError, WorkerError
from releve.migrate.migration import Migration
from releve.migrate.patience import Patience
from releve.migrate.record import Record
from releve.migrate.sources.base import Mark, Rung, SourceDisk, SourceGuest
from releve.town import load_town

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from releve.migrate.worker import Worker

LAB = Path(__file__).parents[3] / "inventory" / "lab"
BLOCKS = 8
DISKS = ("vda", "vdb")
FENCED = "somewhere"


class Killed(BaseException):
    """The controller died here."""


@dataclass
class World:
    """What is true, whoever is alive."""

    source: dict[str, list[int]] = field(
        default_factory=lambda: {disk: list(range(1, BLOCKS + 1)) for disk in DISKS}
    )
    source_on: bool = True
    defined: bool = True
    held: bool = False
    deaf: bool = False
    bitmaps: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    recording: str = ""
    target: dict[str, list[int]] = field(default_factory=dict)
    target_run: str = ""
    target_on: bool = False
    locked: bool = False
    plugged: bool = False
    node_answers: bool = True
    manifests: dict[str, dict[str, list[int | None]]] = field(default_factory=dict)
    at_stop: dict[str, list[int]] = field(default_factory=dict)
    verbs: list[str] = field(default_factory=list)
    limits: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # as a verb was last told
    dies_in: str = ""  # the verb during which the source's QEMU is killed, once
    watched: bool = False  # somebody starts it again at once
    boots: int = 1
    flips_in: str = ""  # the verb before which a byte of the target changes, once
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311  # no secret

    def look(self) -> None:
        """Fail when two machines with one address are on the network."""
        assert not (self.source_on and self.target_on and self.plugged), "one address twice"

    def work(self) -> None:
        """Let the guest write a little, where it works at its source."""
        if not self.source_on:
            return
        disk, block = self.chance.choice(DISKS), self.chance.randrange(BLOCKS)
        self.source[disk][block] += 100
        for name, dirty in self.bitmaps.items():
            if name >= self.recording:
                dirty[disk].add(block)

    def boot_source(self) -> None:
        """Start QEMU at the source: what the last one recorded is gone."""
        self.source_on, self.bitmaps, self.recording = True, {}, ""
        self.boots += 1
        self.look()

    def controller_died(self) -> None:
        """Do what the old host does when nobody holds its libvirtd any more."""
        if self.held:
            self.held = False
            if not self.source_on:
                self.boot_source()


class FakeSource:
    """A source as `base.Source` wants it; `rung` can be any."""

    host = "old"

    def __init__(self, world: World, rung: Rung = "bitmaps") -> None:
        """Keep the world."""
        self.world, self._rung, self.label = world, rung, ""

    @property
    def rung(self) -> Rung:
        return self._rung

    def look(self) -> SourceGuest | None:
        if not self.world.defined:
            return None
        disks = tuple(SourceDisk(name, name, "raw", f"/{name}") for name in self.world.source)
        state = "running" if self.world.source_on else "shut off"
        return SourceGuest(
            "compta", "u", self.world.boots, state, True, False, (), "", disks, (), None, (), 0
        )  # fmt: skip

    def ready(self, label: str, number: int) -> bool:
        assert self.world.source_on or self._rung != "bitmaps"
        self.label = label
        return self._rung == "bitmaps" and f"{label}-{number}" in self.world.bitmaps

    def begin(self, label: str) -> None:
        self.label = label
        self._record(1)

    def _record(self, number: int) -> None:
        self.world.recording = f"{self.label}-{number}"
        self.world.bitmaps[self.world.recording] = {disk: set() for disk in self.world.source}

    def sizes(self) -> dict[str, int]:
        return {disk: len(blocks) for disk, blocks in self.world.source.items()}

    def rotate(self, number: int) -> None:
        assert f"{self.label}-{number}" in self.world.bitmaps
        if f"{self.label}-{number + 1}" not in self.world.bitmaps:
            self._record(number + 1)

    def dirty(self) -> int | None:
        return 0 if self._rung == "bitmaps" else None

    def bitmap(self, number: int) -> str:
        return f"{self.label}-{number}"

    def uri(self, disk: str, number: int | None = None) -> str:
        assert number is None or self.bitmap(number) in self.world.bitmaps
        return disk

    def withdraw(self, disk: str) -> None:
        """Nothing is kept."""

    def drop(self, number: int) -> None:
        self.world.bitmaps.pop(self.bitmap(number), None)

    def power_off(self, seconds: int) -> None:
        del seconds
        if self.world.deaf:
            message = "guest-ignores-power-button"
            raise PowerButtonError(message)
        self.world.work()
        self.world.held, self.world.source_on = True, False
        self.world.at_stop = {disk: list(blocks) for disk, blocks in self.world.source.items()}

    def hashes(self, disk: str) -> Iterator[bytes] | None:
        del disk
        return None

    def firmware(self) -> bytes | None:
        return None

    def release(self) -> None:
        self.world.held = False

    def mark(self) -> Mark:
        return {"fence": FENCED, "disks": [{"name": d, "file": f"/{d}"} for d in DISKS]}

    def fence(self, mark: Mark) -> None:
        assert mark["fence"] == FENCED
        assert not self.world.source_on
        self.world.defined = False

    def fenced(self, mark: Mark) -> bool:
        assert mark["fence"] == FENCED
        return not self.world.defined

    def unfence(self, mark: Mark) -> None:
        assert mark["fence"] == FENCED
        self.world.defined = True

    def start(self) -> None:
        self.world.held = False
        assert self.world.defined
        if not self.world.source_on:
            self.world.boot_source()

    def at_rest(self, mark: Mark) -> None:
        assert mark["fence"] == FENCED
        assert not self.world.source_on

    def close(self) -> None:
        self.world.bitmaps = {}


class FakeTarget:
    """A node that starts nothing but a whole copy."""

    def __init__(self, world: World) -> None:
        """Keep the world."""
        self.world = world

    def identify(self, kept: dict[str, Any]) -> FakeTarget:
        assert kept == {}
        return self

    def prepare(
        self, run: str, sizes: dict[str, int], cleared: Mapping[str, set[str]]
    ) -> dict[str, str]:
        if self.world.target_run in cleared:
            assert not self.world.target_on
            assert not self.world.locked
            self.world.target, self.world.target_run = {}, ""
        assert self.world.target_run in {"", run}, "a volume of others was taken"
        self.world.target_run = run
        for disk, size in sizes.items():
            self.world.target.setdefault(disk, [0] * size)
        return {disk: disk for disk in sizes}

    def by_root(self) -> str:
        self.world.locked = True
        return ""

    def opening(self, runs: Collection[str]) -> str:
        self.world.locked &= self.world.target_run not in runs
        return ""

    def closing(self) -> str:
        return self.by_root()

    def firmware_path(self) -> str | None:
        return None

    def tpm_path(self) -> str | None:
        return None

    def start(self) -> None:
        assert not self.world.locked or self.world.target_on
        assert self.world.target == self.world.at_stop, "what was started is not whole"
        self.world.target_on, self.world.plugged = True, True
        self.world.look()

    def plug(self) -> None:
        self.world.plugged = True

    def agent_answers(self) -> bool:
        return self.world.target_on

    def stop(self, seconds: int) -> None:
        del seconds
        self._ask()
        self.world.target_on, self.world.plugged = False, False

    def delete(self, run: str) -> None:
        raise NotImplementedError

    def exists(self, run: str) -> bool:
        self._ask()
        return self.world.target_run == run

    def running(self) -> bool:
        self._ask()
        return self.world.target_on

    def macs(self) -> tuple[str, ...]:
        return ()

    def _ask(self) -> None:
        if not self.world.node_answers:
            message = "pve1: no answer"
            raise WorkerError(message, "node")


@dataclass
class FakeWorker:
    """Moves numbers as the worker moves blocks, one disk of one manifest."""

    world: World
    label: str
    disk: str

    def do(self, verb: str, feed: Any = None, **options: Any) -> dict[str, Any]:
        assert feed is None
        world = self.world
        world.verbs.append(f"{verb} {self.disk}")
        world.limits[verb] = tuple(options.get(word) for word in ("bandwidth", "zone"))
        world.work()
        if world.dies_in == verb:
            world.dies_in, world.source_on = "", False
            if world.watched:
                world.boot_source()
            message = "the NBD server died"
            raise WorkerError(message, "source")
        if world.flips_in == verb:
            world.flips_in = ""
            world.target[self.disk][3] += 1
        moved = getattr(self, f"_{verb}")(**options)
        world.work()
        return {"read": moved, "extents": moved, "blocks": BLOCKS, "manifest": "m"}

    def _entries(self) -> list[int | None]:
        return self.world.manifests.setdefault(self.label, {}).setdefault(
            self.disk, [None] * BLOCKS
        )

    def _take(self, block: int) -> None:
        value = self.world.source[self.disk][block]
        self.world.target[self.disk][block] = value
        self._entries()[block] = value

    def _seed(self, **_options: Any) -> int:
        missing = [block for block, entry in enumerate(self._entries()) if entry is None]
        for block in missing:
            self._take(block)
            self.world.work()
        return len(missing)

    def _delta(self, **_options: Any) -> int:
        now = self.world.source[self.disk]
        other = [block for block, entry in enumerate(self._entries()) if entry != now[block]]
        for block in other:
            self._take(block)
        return len(other)

    def _round(self, bitmap: str, **_options: Any) -> int:
        dirty = sorted(self.world.bitmaps[bitmap][self.disk])
        for block in dirty:
            self._take(block)
        return len(dirty)

    def _verify(self, **_options: Any) -> int:
        return self._compare(self.world.target[self.disk])

    def _audit(self, **_options: Any) -> int:
        return self._compare(self.world.source[self.disk])

    def _compare(self, blocks: list[int]) -> int:
        if blocks != self._entries():
            message = f"{self.disk}: a block differs"
            raise WorkerError(message, "difference")
        return len(blocks)


class Rig(Migration):
    """A migration whose hosts are the world."""

    world: World
    rung: Rung

    def __post_init__(self) -> None:
        """Find no host: there is none."""

    @property
    def source(self) -> Any:
        if self._source is None:
            self._source = FakeSource(self.world, self.rung)
        return self._source

    def install_worker(self) -> None:
        """There is no node to put it on."""

    def worker(self, disk: str) -> Worker:
        return cast("Worker", FakeWorker(self.world, self.record.manifest, disk))


def rig(
    world: World,
    folder: Path,
    *,
    dies_at: int = 0,
    rung: Rung = "bitmaps",
    patience: Patience | None = None,
    said: list[str] | None = None,
) -> Rig:
    """Return a migration of compta; its controller dies at its event of that number (0: never)."""
    count = 0

    def hear(_guest: str, event: dict[str, Any]) -> None:
        nonlocal count
        count += event["event"] != "progress"
        if count == dies_at:
            raise Killed

    town = load_town(LAB)
    guest = town.guests["compta"].model_copy(update={"witness": None, "nics": ()})
    town = town.model_copy(update={"guests": {**town.guests, "compta": guest}})
    say: Callable[[str], None] = (said if said is not None else []).append
    one = Rig(town, "compta", Record("compta", folder, hear), say)
    one.world, one.rung = world, rung
    one.patience = patience or Patience()
    one.target = FakeTarget(world)
    one.node = cast("Any", type("Node", (), {"host": "pve1"}))
    return one
