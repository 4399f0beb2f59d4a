"""Waivers: somebody takes the risk of one check, by its id, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.migrate.preflight.table import BY_ID
from releve.town.hint import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from releve.town import Town


def waivers_of(town: Town, name: str, given: Iterable[str] = ()) -> dict[str, str]:
    """Return check -> reason for one guest, of the town file and of the command line.

    `given` are words such as `copy-fresh=made by hand on the 4th`. Raises InputError for a check
    that is not known (with the nearest name), that cannot be waived, or that has no reason.
    """
    said = dict(town.guests[name].waive)
    for word in given:
        id_, _, reason = word.partition("=")
        said[id_.strip()] = reason
    for id_, reason in said.items():
        if wrong := _wrong(id_, reason):
            message = f"{town.file.name}: guests.{name}.waive, or --waive: {wrong}"
            raise InputError(message)
    return {id_: reason.strip() for id_, reason in said.items()}


def faults(town: Town) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield (place, sentence) of each waiver in a town file that cannot be."""
    for name, guest in town.guests.items():
        for id_, reason in guest.waive.items():
            if wrong := _wrong(id_, reason):
                yield ("guests", name, "waive", id_), wrong


def _wrong(id_: str, reason: str) -> str:
    check = BY_ID.get(id_)
    if check is None:
        return f'no check is called "{id_}"{hint(id_, list(BY_ID))}'
    if check.fixed:
        return f"{id_} cannot be waived: {check.fixed}"
    if not reason.strip():
        return f"{id_} needs a reason, as in --waive '{id_}=who took the risk, and why'"
    return ""
