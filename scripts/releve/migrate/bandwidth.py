"""What one guest's copy may take of its old host's line."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from releve.blocks.schedule import Schedule, ScheduleError, parse
from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.town import Town


def share(town: Town, names: Sequence[str], text: str = "", parallel: int = 0) -> Schedule:
    """Return the limit of each of `names`, of which `parallel` at most are copied at once.

    `text` is the limit of the whole line, by the town's clock; left out, that of the town file.
    Raises InputError when it cannot be understood.
    """
    try:
        whole = parse(text or town.migrate.bandwidth, town.town.timezone)
    except ScheduleError as error:
        raise InputError(str(error)) from error
    most = max(Counter(town.guests[name].source for name in names).values(), default=1)
    return whole.shared(min(parallel or town.migrate.parallel, most))
