"""The devices of one VMware or OVF guest while they are read, each with its fate."""

from __future__ import annotations

from dataclasses import dataclass, field

from releve.migrate.sources.domain import Blocker, DiskFound, NicFound, Part


@dataclass(slots=True)
class DevicesFound:
    """What is there in our words; `kinds` and controllers in those of the file."""

    disks: list[DiskFound] = field(default_factory=list)
    nics: list[NicFound] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    blockers: list[Blocker] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    controllers: list[str] = field(default_factory=list)
    scsi: list[str] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Return how many devices of a kind are there."""
        return self.kinds.count(kind)

    def add(self, kind: str, what: str, text: str, *blockers: Blocker) -> None:
        """Note one device with its fate."""
        self.kinds.append(kind)
        fate = "blocked" if blockers else "dropped" if text else "mapped"
        said = "; ".join(one.text for one in blockers) or text
        self.parts.append(Part(what, fate, said))
        self.blockers += blockers
