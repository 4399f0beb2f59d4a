"""Bring PVE's objects to what the town says: read, plan (pure), show, apply."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from releve.errors import InputError, RefusedError
from releve.pve.kinds import KINDS, ORDER, Fields, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECRET = "secret"  # noqa: S105  # the name of a field, which never holds the secret itself
KEPT = "kept"
LOST = "not on the controller"
SPLIT = re.compile(r"[,;\s]+")


class Unreadable:
    """The third state: the caller may not see the object, which proves nothing about it."""


UNREADABLE = Unreadable()
Seen = Fields | Unreadable | None
AsIs = dict[str, dict[str, Seen]]
ToBe = dict[str, dict[str, Fields | None]]


class Action(StrEnum):
    """What a step does; the last two stop a run before anything is changed."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"


MARKS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.DELETE: "-",
    Action.CONFLICT: "!",
    Action.UNREADABLE: "?",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One field: what it is and what it must be, as text (None: not there)."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One object to change. `wanted` and `found` are what `apply` needs."""

    action: Action
    kind: str
    id: str
    changes: tuple[Change, ...] = ()
    wanted: tuple[tuple[str, object], ...] = ()
    found: tuple[tuple[str, object], ...] = ()

    @property
    def title(self) -> str:
        """The object's name for people."""
        return f"{self.kind} {self.id}"


def checked(objects: Mapping[str, Mapping[str, Fields | None]]) -> ToBe:
    """Return the objects with tokens' secrets asked for; raises InputError on an unknown kind."""
    for kind in objects:
        if kind not in KINDS:
            message = f'"{kind}" is no kind of PVE object; there are {", ".join(ORDER)}'
            raise InputError(message)
    to_be = {kind: dict(objects[kind]) for kind in ORDER if kind in objects}
    for name, fields in to_be.get("token", {}).items():
        if fields is not None:
            to_be["token"][name] = fields | {SECRET: KEPT}
    return to_be


def plan(as_is: AsIs, to_be: ToBe) -> list[Step]:
    """Return the steps from what is to what must be; an empty list means that nothing differs.

    Objects that the town does not name are left alone.
    """
    made: list[Step] = []
    removed: list[Step] = []
    for kind in ORDER:
        for name, wanted in to_be.get(kind, {}).items():
            found = as_is.get(kind, {}).get(name)
            step = _step(kind, name, wanted, found)
            if step and step.action == Action.DELETE:
                removed.insert(0, step)
            elif step:
                made.append(step)
    return made + removed


def _step(kind: str, name: str, wanted: Fields | None, found: Seen) -> Step | None:
    if isinstance(found, Unreadable):
        return Step(Action.UNREADABLE, kind, name)
    if wanted is None:
        return None if found is None else Step(Action.DELETE, kind, name, found=_items(found))
    changes = _changes(KINDS[kind], wanted, found)
    if found is None:
        return Step(Action.CREATE, kind, name, changes, _items(wanted))
    if not changes:
        return None
    fixed = KINDS[kind].fixed & {change.field for change in changes}
    action = Action.CONFLICT if fixed else Action.UPDATE
    return Step(action, kind, name, changes, _items(wanted), _items(found))


def _items(fields: Fields) -> tuple[tuple[str, object], ...]:
    return tuple(fields.items())


def _changes(kind: Kind, wanted: Fields, found: Fields | None) -> tuple[Change, ...]:
    changes = []
    for key, value in wanted.items():
        before = None
        if found is not None:
            before = normal(kind, key, found.get(key, kind.defaults.get(key)))
        after = normal(kind, key, value)
        if before != after:
            changes.append(Change(key, before, after))
    return tuple(changes)


def normal(kind: Kind, key: str, value: object) -> str | None:
    """Return a value as it is compared and shown; None and the empty string are the same."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(int(value))
    if key in kind.sets:
        words = value if isinstance(value, list | tuple) else SPLIT.split(str(value))
        return ",".join(sorted(str(word) for word in words if word)) or None
    if key in kind.properties:
        pairs = value.items() if isinstance(value, dict) else None
        words = [f"{k}={v}" for k, v in pairs] if pairs else SPLIT.split(str(value))
        return ",".join(sorted(words))
    return str(value).rstrip("\n")


def render(steps: Iterable[Step]) -> str:
    """Return the steps for people: `+` made, `~` changed, `-` removed, `!` cannot, `?` unseen."""
    lines = []
    for step in steps:
        lines.append(f"{MARKS[step.action]} {step.title}")
        lines += [
            f"    {change.field}: {_shown(change.before)} -> {_shown(change.after)}"
            for change in step.changes
        ]
    return "\n".join(lines)


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value


def refuse_unsafe(steps: Iterable[Step]) -> None:
    """Raise RefusedError when a step cannot be done; nothing has been changed then."""
    for step in steps:
        if step.action == Action.UNREADABLE:
            seen = KINDS[step.kind]
            where = seen.seen_at.format(id=step.id)
            rights = " or ".join(seen.seen_by)
            message = f"{step.title} cannot be read; the caller needs {rights} on {where}"
            raise RefusedError(message)
        if step.action == Action.CONFLICT:
            fixed = [change for change in step.changes if change.field in KINDS[step.kind].fixed]
            what = f"{fixed[0].field} is {fixed[0].before}, must be {fixed[0].after}"
            remedy = "which PVE cannot change; move its content, or mend the town file"
            message = f"{step.title}: {what}, {remedy}"
            raise RefusedError(message)
