"""Look at a UPS all the time, and say when it can no longer be believed to be there.

What `watching.py` runs for ever beside NUT: no word for a minute, nothing changed for a day,
no proof of life in two weeks, the battery's end. What it knows survives a restart. What NUT's own
monitor says at once (on battery, low battery, shutdown) is not repeated here. Standard library
only; tagged "runs for ever": keep it small.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from releve.power import whole
from releve.power.spool import Alarm

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping
    from pathlib import Path

    from releve.power.spool import Severity

DAY = 86_400.0
SILENT_SECONDS = 60.0
FROZEN_SECONDS = DAY
STILL_SECONDS = 30 * DAY  # a battery whose charge and voltage never move that long
PROOF_SECONDS = 15 * DAY  # two weekly tests that were missed
UNSAFE_SECONDS = 60.0
RB_LOOKS = 3  # of "replace battery" within a day, before people are told
RB_APART = 600.0  # seconds; a flash of some seconds is one look
SOON_DAYS = 90  # before a battery is due
# What changes by itself where mains and load do; a UPS that tells none of them may stand still.
LIVELY = ("input.voltage", "output.voltage", "battery.voltage", "ups.load", "input.frequency",
          "ups.temperature", "battery.charge", "battery.runtime", "ups.realpower")  # fmt: skip
UNSAFE = {"OFF": "its output is off", "BYPASS": "it is bypassed", "OVER": "it is overloaded"}
SENTENCES: dict[str, tuple[Severity, str, str]] = {
    "lost-contact": ("failure", "nothing is heard of it: a power cut would go unseen",
                     "it is heard again"),
    "frozen": ("failure", "nothing it says has changed for 24 h: its link may be frozen; restart"
               " its driver, look at the cable", "what it says changes again"),
    "still-battery": ("warning", "charge and voltage of its battery have not moved for 30 days",
                      "its battery's values move again"),
    "no-proof": ("failure", "no battery test has shown for two weeks: nothing proves that a power"
                 " cut would be seen", "a battery test has shown"),
    "replace-battery": ("failure", "replace the battery", "the battery is well again"),
    "battery-due": ("warning", "the battery is due", "the battery is no longer due"),
}  # fmt: skip


@dataclass(slots=True)
class Memory:
    """What is known of one UPS; times are Unix seconds, `raised` is what people were told."""

    heard: float
    changed: float
    battery_moved: float
    began: float
    values: dict[str, str] = field(default_factory=dict)
    replace_looks: list[float] = field(default_factory=list)
    unsafe_since: dict[str, float] = field(default_factory=dict)
    raised: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, now: float) -> Memory:
        """Take up what an earlier life left; times that lie ahead (a clock that jumped) are now."""
        fresh = cls(now, now, now, now)
        try:
            words: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            old = cls(**words)
            old.values, old.raised = dict(old.values), list(old.raised)
            old.settle(now)
        except (OSError, ValueError, TypeError, AttributeError):
            return fresh
        return old

    def resume(self, now: float) -> None:
        """Go on with it: while nobody looked, nothing was missed.

        A host that was off for days finds no UPS silent, and no link frozen.
        """
        away = now - self.heard
        self.changed, self.battery_moved = self.changed + away, self.battery_moved + away
        self.heard = now

    def settle(self, now: float) -> None:
        """Take times that lie ahead, since the clock was set back, for now."""
        for name in ("heard", "changed", "battery_moved", "began"):
            setattr(self, name, min(now, getattr(self, name)))
        self.replace_looks = [one for one in self.replace_looks if one <= now]
        self.unsafe_since = {word: min(now, at) for word, at in self.unsafe_since.items()}

    def write(self, file: Path) -> None:
        """Keep it, whole or not at all; raises OSError."""
        whole.write(file, json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class Known:
    """What others found out: when a test last showed (Unix), whether the last one failed, when the
    battery is due and why, and whether tests are made on schedule."""

    proof: float | None = None
    failed: str = ""
    due: datetime.date | None = None
    due_why: str = ""
    tested: bool = False


def look(
    memory: Memory,
    now: float,
    variables: Mapping[str, str] | None,
    known: Known,
    today: datetime.date,
) -> dict[str, str]:
    """Take one look (None: upsd had no fresh data) and return topic -> details of what is wrong.

    `memory` is brought up to date.
    """
    status: set[str] = set()
    memory.settle(now)
    if variables is not None:
        status = set(variables.get("ups.status", "").split())
        _take_in(memory, now, variables, status)
    wrong: dict[str, str] = {}
    if now - memory.heard > SILENT_SECONDS:
        wrong["lost-contact"] = ""
    elif any(name in memory.values for name in LIVELY) and now - memory.changed > FROZEN_SECONDS:
        wrong["frozen"] = ""
    moves = {"battery.charge", "battery.voltage"} & memory.values.keys()
    if moves and now - memory.battery_moved > STILL_SECONDS:
        wrong["still-battery"] = ""
    # A proof of tomorrow is of a clock that was wrong, and of nobody knows when.
    proof = known.proof if known.proof is not None and known.proof <= now else 0.0
    if known.tested and now - max(proof, memory.began) > PROOF_SECONDS:
        wrong["no-proof"] = ""
    for word, since in memory.unsafe_since.items():
        if now - since > UNSAFE_SECONDS:
            wrong[f"unsafe-{word.lower()}"] = f"{UNSAFE[word]}: nobody is protected"
    if known.failed:
        wrong["replace-battery"] = known.failed
    elif len(memory.replace_looks) >= RB_LOOKS:
        wrong["replace-battery"] = "the UPS has asked for it for a while"
    if known.due is not None and (known.due - today).days <= SOON_DAYS:
        wrong["battery-due"] = f"on {known.due}: {known.due_why}"
    return wrong


def _take_in(memory: Memory, now: float, variables: Mapping[str, str], status: set[str]) -> None:
    memory.heard = now
    told = {name: value for name, value in variables.items() if not name.startswith("driver.")}
    if told != memory.values:
        memory.changed = now
        battery = ("battery.charge", "battery.voltage")
        if any(told.get(name) != memory.values.get(name) for name in battery):
            memory.battery_moved = now
        memory.values = told
    looks = [one for one in memory.replace_looks if now - one < DAY]
    if "RB" in status and (not looks or now - looks[-1] >= RB_APART):
        looks.append(now)
    memory.replace_looks = looks
    memory.unsafe_since = {
        word: memory.unsafe_since.get(word, now) for word in UNSAFE if word in status
    }


def news(memory: Memory, ups: str, wrong: Mapping[str, str]) -> list[Alarm]:
    """Return what people have not been told yet: what is wrong now, and what no longer is."""
    alarms = []
    for topic, details in wrong.items():
        if topic not in memory.raised:
            severity, sentence, _ = SENTENCES.get(topic, ("failure", "", ""))
            text = ": ".join(filter(None, (sentence, details)))
            alarms.append(Alarm(topic, ups, text, severity))
    for topic in memory.raised:
        if topic not in wrong:
            over = SENTENCES.get(topic, ("failure", "", f"over: {topic}"))[2]
            alarms.append(Alarm(topic, ups, over, "success"))
    memory.raised = list(wrong)
    return alarms
