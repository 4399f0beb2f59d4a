"""The mains as a drill handles them: taken away, given back, and what the power did meanwhile."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from releve.errors import InputError, ReleveError

if TYPE_CHECKING:
    from pathlib import Path

FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PowerEvent:
    """Something that the power side saw: when (UTC, ISO 8601), whom, and its kind.

    Kinds: mains-off, mains-on, command, ignored, output-off, cut, output-on, power-on, running,
    waiting, halted. `clean` is set for cuts: whether the host was down when its power went.
    """

    at: str
    subject: str
    kind: str
    what: str
    clean: bool | None = None

    @property
    def unix(self) -> float:
        """When, as Unix time."""
        return datetime.datetime.fromisoformat(self.at).timestamp()


class Mains(Protocol):
    """Who can cut the mains, and looks from outside of the hosts."""

    def switch(self, *, on: bool) -> None:
        """Give or take the mains; returns when it has happened."""

    def events(self) -> list[PowerEvent]:
        """Return what was seen since the drill began."""


class LabMains:
    """The lab's mains, by the files of its UPS (`build/lab/world`)."""

    def __init__(self, lab: Path, ups: str) -> None:
        """Take the lab's state folder; raises InputError when no UPS runs there."""
        self.folder = lab / "world"
        self.state = self.folder / f"{ups}.json"
        self.journal = self.folder / "events.jsonl"
        if not self._alive():
            message = f"{lab}: no UPS {ups} runs in this lab; bring it up with: scripts/lab up"
            raise InputError(message)
        self._begin = len(self._lines())

    def switch(self, *, on: bool) -> None:
        """Flip the switch and wait for the UPS to notice; raises ReleveError when it does not."""
        kind = f"mains-{'on' if on else 'off'}"
        before = len(self._lines())
        name = uuid.uuid4().hex
        part = self.folder / "control.d" / f".{name}"
        part.write_text(json.dumps({"mains": kind.removeprefix("mains-")}), encoding="utf-8")
        part.replace(self.folder / "control.d" / name)
        deadline = time.monotonic() + FRESH_SECONDS
        while not any(event.kind == kind for event in self._parse(self._lines()[before:])):
            if time.monotonic() > deadline:
                message = f"{self.folder}: the lab's UPS does not react; see build/lab/log/ups.log"
                raise ReleveError(message)
            time.sleep(0.1)

    def events(self) -> list[PowerEvent]:
        """Return what was seen since this object was made."""
        return self._parse(self._lines()[self._begin :])

    def _alive(self) -> bool:
        try:
            return time.time() - self.state.stat().st_mtime < FRESH_SECONDS
        except FileNotFoundError:
            return False

    def _lines(self) -> list[str]:
        return self.journal.read_text(encoding="utf-8").splitlines()

    @staticmethod
    def _parse(lines: list[str]) -> list[PowerEvent]:
        return [PowerEvent(**json.loads(line)) for line in lines]
