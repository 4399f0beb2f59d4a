"""When a tier is down for good, and when it is not any more: the decisions of mode `policy`.

A decision is one-way. It has an id, is on disk before anybody hears of it, and is published as FSD
until its cycle has ended, whatever the mains do meanwhile: for the site with the next boot of the
UPS's host, for a tier alone when the mains are steady and nobody is logged in at it any more. Where
another UPS carries hosts through it, they stay: then it ends once all others have had their time.
Every tier follows the site. Pure but for the store; standard library only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from releve.power import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.power.ladder import Verdict

# OL, OB: as the UPS. FSD: the decision stands. None: nothing is known, so nothing is fresh.
Status = Literal["OL", "OB", "FSD OB LB"]
FSD: Status = "FSD OB LB"  # who does not know FSD (WinNUT, Synology) knows OB LB


@dataclass(frozen=True, slots=True)
class Decision:
    """That a tier stops: `at` in UTC (ISO 8601), in which boot of the UPS's host, and why."""

    id: str
    at: str
    boot: str
    why: str


class Store(Protocol):
    """Where the decisions of all tiers live."""

    def read(self, tier: str) -> Decision | None:
        """Return the decision that stands or stood last for a tier, None when it has ended."""

    def write(self, tier: str, decision: Decision) -> None:
        """Keep a decision, on the disk when this returns; raises OSError."""

    def end(self, tier: str) -> None:
        """Take the decision away; raises OSError."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What stops together. `after`: seconds on battery, None: only when the battery asks for it.

    `follows` names the site's tier, None: this is it. `settle`: seconds of steady mains before a
    tier alone is let up again; `least`: seconds for which it is held at least, for clients that
    hold no login; `alarm`: seconds of steady mains after which a person has to look; `patience`:
    seconds without a word of the UPS, mains present, before the clients hear of it. `carried`:
    whether hosts stay up through its decision, since another UPS feeds them too.
    """

    name: str
    follows: str | None = None
    after: float | None = None
    settle: float = 30
    least: float = 0
    alarm: float = 1800
    patience: float = 30
    carried: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at a moment: the ladder's verdict, time on battery, who is logged in.

    `up` counts while this boot lasts; `silent`: seconds since the UPS was heard, 0 just now, None
    never. `logins`: addresses that are logged in at the tier, this host's own excepted; None: not
    known. `waits`: clients that boot with this host, or were just woken, are not logged in yet.
    """

    up: float
    wall: str
    verdict: Verdict
    on_battery: float
    drained: bool
    silent: float | None
    logins: frozenset[str] | None
    waits: bool = False


class Cycle:
    """One tier, look by look."""

    def __init__(self, tier: Tier, store: Store, boot: str, log: Callable[[str], None]) -> None:
        """Take up the decision of an earlier life; one of an earlier boot has ended."""
        self.tier, self.boot = tier, boot
        self._store, self._log = store, log
        self._steady: float | None = None
        self._held: float | None = None
        self._alarmed = False
        self._kept = True
        self.decision = store.read(tier.name)
        if self.decision is None:
            return
        if self.decision.boot == boot:
            log(f"{tier.name}: decision {self.decision.id[:8]} stands: {self.decision.why}")
        else:
            self._end("this host has booted since")

    def step(self, look: Look) -> Status | None:
        """Return what the tier's clients are to hear now."""
        steady = look.silent == 0 and not look.drained
        self._steady = (look.up if self._steady is None else self._steady) if steady else None
        if self.decision is None:
            why = self._why(look)
            if why and not self._waits(look):
                self._decide(look, why)
        if self.decision is not None:
            self._kept = self._kept or self._keep(self.decision)
            self._held = look.up if self._held is None else self._held
            if not self._over(look):
                return FSD
            self._end("the mains are steady, and who had to stop has stopped")
        if look.drained:
            return "OB"
        return None if look.silent is None or look.silent > self.tier.patience else "OL"

    def _why(self, look: Look) -> str:
        """Return why the tier has to stop now; nothing when it has not."""
        site = self._of_site()
        if site is not None:
            return f"follows {self.tier.follows}: {site.why}"
        if look.verdict.decision == "stop":
            return look.verdict.why
        after = self.tier.after
        if look.drained and after is not None and look.on_battery >= after:
            return f"{look.on_battery:.0f} s on battery, this tier stays {after:.0f} s"
        return ""

    def _waits(self, look: Look) -> bool:
        """Whether clients are still to log in: who has not is not waited for, and would be cut."""
        return look.waits and look.verdict.by != "lb" and self._of_site() is None

    def _of_site(self) -> Decision | None:
        """Return the site's decision of this boot, for a tier that follows it."""
        site = self._store.read(self.tier.follows) if self.tier.follows else None
        return site if site is not None and site.boot == self.boot else None

    def _decide(self, look: Look, why: str) -> None:
        decision = Decision(uuid.uuid4().hex, look.wall, self.boot, why)
        self._kept = self._keep(decision)  # on disk before anybody hears of it
        self.decision, self._held, self._alarmed = decision, look.up, False
        self._log(f"{self.tier.name}: decision {decision.id[:8]}: {why}")

    def _keep(self, decision: Decision) -> bool:
        """Bring the decision to the disk; return whether it is there."""
        try:
            self._store.write(self.tier.name, decision)
        except OSError as error:
            # Who must stop must stop. Tried at each look: by the file the other tiers follow.
            if self.decision is None:
                self._log(f"{self.tier.name}: ALARM: the decision is not on disk: {error}")
            return False
        return True

    def _over(self, look: Look) -> bool:
        """Whether a tier alone may come up again.

        The site's decision never ends in its boot, save where this host is carried through it.
        """
        if self._steady is None:
            return False
        calm = look.up - self._steady
        if calm >= self.tier.alarm and not self._alarmed:
            self._alarmed = True
            self._log(
                f"{self.tier.name}: ALARM: the mains are back for {calm:.0f} s and the decision "
                "still stands: somebody has to look which host has not gone down"
            )
        held = look.up - (look.up if self._held is None else self._held)
        return (
            (self.tier.follows is not None or self.tier.carried)
            and self._of_site() is None
            and calm >= self.tier.settle
            and held >= self.tier.least
            and (look.logins == frozenset() or self.tier.carried)
        )

    def _end(self, why: str) -> None:
        if self.decision is not None:
            self._log(f"{self.tier.name}: decision {self.decision.id[:8]} has ended: {why}")
            try:
                self._store.end(self.tier.name)
            except OSError as error:
                self._log(f"{self.tier.name}: it stays on disk, of another boot: {error}")
        self.decision, self._held = None, None


@dataclass(frozen=True, slots=True)
class Files:
    """The decisions as files of one folder: TIER.json, and TIER.last.json when it has ended."""

    folder: Path

    def read(self, tier: str) -> Decision | None:
        """Return the decision; a file that cannot be read is none, since writing is whole."""
        try:
            said = json.loads((self.folder / f"{tier}.json").read_text(encoding="utf-8"))
            return Decision(
                **{one.name: str(said[one.name]) for one in dataclasses.fields(Decision)}
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, tier: str, decision: Decision) -> None:
        """Write it whole, and down to the disk."""
        whole.write(self.folder / f"{tier}.json", json.dumps(dataclasses.asdict(decision)))

    def end(self, tier: str) -> None:
        """Keep it aside for who asks why the tier was down."""
        file = self.folder / f"{tier}.json"
        with contextlib.suppress(FileNotFoundError):  # the disk never took it
            file.replace(self.folder / f"{tier}.last.json")
            whole.sync(self.folder)
