"""What the stage makes of what it heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from releve.power.shadow.hearing import Ears, Heard
from releve.power.shadow.stage import Stage

if TYPE_CHECKING:
    from releve.power.shadow.setting import Plan

UPSSCHED = """\
CMDSCRIPT /usr/local/lib/releve/power-timer
AT ONBATT ups1@localhost START-TIMER on-battery-ups1 17
AT ONLINE ups1@localhost CANCEL-TIMER on-battery-ups1
AT ONLINE * EXECUTE notify
"""


class Deaf:
    """Ears that heard what they were given, and hear nothing more."""

    def __init__(self, *lines: Heard) -> None:
        self.lines = list(lines)


@pytest.mark.parametrize(
    ("said", "fired"), [("notify", False), ("on-battery-ups1", True), (None, False)]
)
def test_only_a_timer_counts_as_one(said: str | None, *, fired: bool) -> None:
    heard = [] if said is None else [Heard(1.0, "shadow-script", said)]
    ears = cast("Ears", Deaf(*heard))
    stage = Stage(cast("Plan", None), ears, {"upssched.conf": UPSSCHED}, 60.0)

    assert stage.timer_fired() is fired
