"""In which order guests move: whoever is needed first, and who can move side by side."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.town.hint import hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.town import Town


def waves(town: Town, names: Sequence[str]) -> list[list[str]]:
    """Return guests in waves: all that a guest needs, and that moves too, is in an earlier one.

    All guests of the town if none is named. Raises InputError for a name that is not there.
    """
    for name in names:
        if name not in town.guests:
            message = f"no guest {name!r} in {town.file}{hint(name, list(town.guests))}"
            raise InputError(message)
    chosen = list(dict.fromkeys(names)) or list(town.guests)
    graph = {name: [need for need in town.guests[name].needs if need in chosen] for name in chosen}
    sorter = TopologicalSorter(graph)
    found: list[list[str]] = []
    try:
        sorter.prepare()
    except CycleError as error:
        message = f"these guests wait for each other: {' -> '.join(error.args[1])}"
        raise InputError(message) from error
    while sorter.is_active():
        wave = sorted(sorter.get_ready(), key=chosen.index)
        sorter.done(*wave)
        found.append(wave)
    return found


def order(town: Town, names: Sequence[str]) -> list[str]:
    """Return the same one after the other."""
    return [name for wave in waves(town, names) for name in wave]
