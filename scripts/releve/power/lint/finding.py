"""Findings, and the table of rules that make them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power.lint.releases import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from releve.power.lint.model import Configuration


class Level(enum.StrEnum):
    """How bad a finding is; the worst one is the verdict of a directory."""

    # On Debian 13 the host would not be stopped, the UPS not cut or cut by the wrong host, a driver
    # would not start, nobody would wait for a host, or a blip would stop the site.
    REFUSE = "refuse"
    WARN = "warn"
    NOTE = "note"  # worth knowing, and no reason to touch anything


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a rule found what it looks for; `at` names the device, the user or the value."""

    file: str
    line: int = 0  # 0: nowhere, something is not there
    at: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: its rule, its place, and one sentence on what is wrong and what would be right."""

    id: str
    level: Level
    file: str
    line: int
    at: str
    text: str

    @property
    def where(self) -> str:
        """File and line, the file alone when there is no line."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `{at}` in its words is what the finding is about, `{nut}` the release of NUT."""

    id: str
    level: Level
    wrong: str
    right: str
    find: Callable[[Configuration], Iterable[Spot]]

    def findings(self, conf: Configuration) -> Iterable[Finding]:
        """Yield what the rule finds in a configuration."""
        for spot in self.find(conf):
            text = f"{self.wrong}; {self.right}".replace("{nut}", shown(conf.release))
            text = text.replace("{at}", spot.at)
            yield Finding(self.id, self.level, spot.file, spot.line, spot.at, text)


class Rules(dict[str, Rule]):
    """A table that fills by decorators: `@RULES.refuse("ID", wrong, right)`."""

    def refuse(self, identity: str, wrong: str, right: str) -> _Keep:
        """Keep a rule whose finding refuses the configuration."""
        return _Keep(self, identity, Level.REFUSE, wrong, right)

    def warn(self, identity: str, wrong: str, right: str) -> _Keep:
        """Keep a rule whose finding should be mended."""
        return _Keep(self, identity, Level.WARN, wrong, right)

    def note(self, identity: str, wrong: str, right: str) -> _Keep:
        """Keep a rule whose finding is only said."""
        return _Keep(self, identity, Level.NOTE, wrong, right)


@dataclass(frozen=True, slots=True)
class _Keep:
    rules: Rules
    identity: str
    level: Level
    wrong: str
    right: str

    def __call__(
        self, find: Callable[[Configuration], Iterable[Spot]]
    ) -> Callable[[Configuration], Iterable[Spot]]:
        if self.identity in self.rules:
            message = f"two rules are called {self.identity}"
            raise ValueError(message)
        rule = Rule(self.identity, self.level, self.wrong, self.right, find)
        self.rules[self.identity] = rule
        return find
