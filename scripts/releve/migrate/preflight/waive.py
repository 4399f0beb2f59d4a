"""Waivers: somebody takes the risk of one check, by its id, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.migrate.preflight.table import BY_ID
from releve.town.hint import hint

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        _refuse(town, name, id_, reason)
    return {id_: reason.strip() for id_, reason in said.items()}


def _refuse(town: Town, name: str, id_: str, reason: str) -> None:
    where = f"{town.file.name}: guests.{name}.waive, or --waive"
    check = BY_ID.get(id_)
    if check is None:
        message = f'{where}: no check is called "{id_}"{hint(id_, list(BY_ID))}'
        raise InputError(message)
    if check.fixed:
        message = f"{where}: {id_} cannot be waived: {check.fixed}"
        raise InputError(message)
    if not reason.strip():
        message = f"{where}: {id_} needs a reason, as in --waive '{id_}=who took the risk, and why'"
        raise InputError(message)
