"""One file of an old host or of a user, read: what it describes, and what blocks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releve.migrate.sources.domain import Blocker, Domain


@dataclass(frozen=True, slots=True)
class FileReading:
    """What one file says.

    `kind` is libvirt-domain, pve-conf, vmx, ovf, vmdk, hyperv, interfaces or ip-json. `facts` are
    counts and plain values, for people and for comparing; `guests` is empty for disks and networks.
    """

    file: str
    kind: str
    facts: dict[str, Any]
    blockers: tuple[Blocker, ...] = ()
    notes: tuple[str, ...] = ()
    guests: tuple[Domain, ...] = field(default=())

    @property
    def mapped(self) -> bool:
        """Whether nothing in the file needs a person."""
        return not self.blockers

    def as_dict(self) -> dict[str, Any]:
        """Return what `releve survey --from FOLDER --json` prints of the file."""
        return {
            "kind": self.kind,
            "must": "mapped" if self.mapped else "blocked",
            "facts": self.facts,
            "blockers": [asdict(one) for one in self.blockers],
            "notes": list(self.notes),
            "identity": [guest.fingerprint() for guest in self.guests],
            "parts": [asdict(part) for guest in self.guests for part in guest.parts],
        }
