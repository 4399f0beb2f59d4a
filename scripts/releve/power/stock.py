"""What stock NUT watches for on this host: `power.pyz thresholds`, at each deploy and each night.

The ladder's word as two kinds of numbers: own thresholds in a UPS's section of ups.conf, and the
time on battery in upssched.conf, which stands under everything. The role writes what this prints;
with `--set` it changes the same lines by itself. Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.power.ladder import Known, Site
from releve.power.measurement import Measurement
from releve.power.readings import GRAIN, MINUTES, OWN_LOW, number
from releve.power.thresholds import thresholds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.power.budget import Budget, Settings
    from releve.power.readings import Readings

MARK = "# A low battery, by the ladder: set at each deploy and each night."
OWN = re.compile(r"[ \t]*(?:ignorelb|override\.battery\.(?:runtime|charge)\.low[ \t]*=.*)\n")
LOAD_STEP = 5  # percent: a load that goes up and down by less moves no threshold
# A threshold that stands higher than needed stops the site early, and cleanly: it is left alone so
# far, since each change restarts the driver.
KEEP_FACTOR, KEEP_SECONDS, KEEP_PERCENT = 1.25, 60, 10


@dataclass(frozen=True, slots=True)
class Standing:
    """What NUT's files say now; seconds and percent, None: not there.

    `ignores_lb`: the section throws the UPS's own word away, whatever else it has.
    """

    runtime_low: int | None = None
    charge_low: int | None = None
    timer: int | None = None
    grain: int = 1
    ignores_lb: bool = False

    @property
    def is_own(self) -> bool:
        """Whether own thresholds stand there."""
        return self.runtime_low is not None and self.charge_low is not None

    def is_read(self, variables: Mapping[str, str]) -> bool:
        """Whether the driver that says this has read its section as it stands."""
        if (OWN_LOW in variables) != self.ignores_lb:
            return False
        if self.runtime_low is None or self.charge_low is None:
            return True
        said = [number(variables.get(f"battery.{name}.low")) for name in ("runtime", "charge")]
        return said == [self.runtime_low // self.grain, self.charge_low]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What they have to say: own thresholds or None for both, seconds on battery, and why.

    `timer` None: the UPS's own word decides alone. `grain`: seconds in the unit that the device
    counts its runtime in.
    """

    timer: int | None
    why: str
    runtime_low: int | None = None
    charge_low: int | None = None
    grain: int = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines of the UPS's section; with them NUT throws the UPS's own word away."""
        if self.runtime_low is None or self.charge_low is None:
            return ()
        return (
            "ignorelb",
            f"override.battery.runtime.low = {math.ceil(self.runtime_low / self.grain)}",
            f"override.battery.charge.low = {self.charge_low}",
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as the role reads it."""
        return dataclasses.asdict(self) | {"lines": list(self.lines)}


def known_of(one: Settings, budget: Budget) -> Known:
    """Return what was measured, with the capacity that the budget counts on; raises InputError."""
    record = Measurement.parse(one.record, f"the record of {one.ups}") if one.record else None
    return dataclasses.replace(Known.of(record), capacity_seconds=budget.capacity)


def numbers_of(
    one: Settings,
    budget: Budget,
    readings: Readings | None = None,
    standing: Standing | None = None,
) -> Numbers:
    """Return what stock NUT watches for; `readings` None: the UPS has said nothing (yet).

    The settings' `thresholds` says by whom: `ladder`, or a person's `own` and `device`. Raises
    InputError for a record that is not sound.
    """
    own_word, trigger = one.low_battery_is_enough, trigger_of(one, budget)
    timer = None if own_word and budget.capacity is None else _timer_of(budget, trigger)
    grain = GRAIN if one.runtime_unit == MINUTES else 1
    if own_word or one.thresholds == "device":
        return Numbers(timer, "as was said: the UPS's own word decides, and the timer under it")
    if one.thresholds == "own":
        why = "as was said: own thresholds, by the budget"
        return Numbers(timer, why, *_by_the_budget(budget, trigger), grain)
    if readings is None:
        if standing and standing.is_own:
            why = "the UPS says nothing: what was set stays"
            return Numbers(timer, why, standing.runtime_low, standing.charge_low, grain)
        return Numbers(timer, "the UPS says nothing yet: the timer decides")
    known = known_of(one, budget)
    site = Site(need=trigger, derate=budget.derate)
    found = thresholds_of(steady(readings, known), site, known)
    if not found.ignorelb or found.runtime_low is None or found.charge_low is None:
        return Numbers(timer, found.why)
    runtime, charge = found.runtime_low, found.charge_low
    if standing and _is_near(standing.runtime_low, runtime, runtime * KEEP_FACTOR + KEEP_SECONDS):
        runtime = standing.runtime_low or runtime
    if standing and _is_near(standing.charge_low, charge, charge + KEEP_PERCENT):
        charge = standing.charge_low or charge
    return Numbers(timer, found.why, runtime, charge, grain)


def trigger_of(one: Settings, budget: Budget) -> int:
    """Return for how many seconds the shutdown starts: what it needs, as far as the battery goes.

    A budget that does not hold is an alarm, and no reason to stop the site at each blip: the time
    that it waits for the mains is kept, as at the deploy, which refuses what does not fit.
    """
    if budget.usable is None:
        return budget.trigger
    return min(budget.trigger, max(0, budget.usable - one.ride_through_seconds))


def _timer_of(budget: Budget, trigger: int) -> int:
    return budget.timer if budget.usable is None else max(0, budget.usable - trigger)


def _by_the_budget(budget: Budget, trigger: int) -> tuple[int | None, int | None]:
    """Return runtime and charge at which so many seconds are left, in proportion."""
    if budget.usable is None:
        return None, None
    charge = math.ceil(100 * trigger / max(1, budget.usable))
    return math.ceil(trigger / budget.derate), min(99, charge)


def held(numbers: Numbers, standing: Standing) -> Numbers:
    """Return the numbers, but own thresholds neither come nor go: a value jumped, it may be."""
    if standing.is_own == bool(numbers.lines):
        return numbers
    why = "whether the UPS's own word counts is settled at night"
    if not standing.is_own:
        return Numbers(numbers.timer, why)
    grain = standing.grain
    return Numbers(numbers.timer, why, standing.runtime_low, standing.charge_low, grain)


def steady(readings: Readings, known: Known) -> Readings:
    """Return the readings with a load that stands for the site's: no less than the measured one."""
    if readings.load is None:
        return readings
    load = math.ceil(readings.load / LOAD_STEP) * LOAD_STEP
    return dataclasses.replace(readings, load=max(known.load_percent or 0.0, float(load)))


def _is_near(standing: int | None, wanted: int, most: float) -> bool:
    return standing is not None and wanted <= standing <= most


def standing_of(ups_conf: str, upssched_conf: str, ups: str) -> Standing:
    """Return what the texts of both files say of a UPS."""
    section = _section(ups_conf, ups)
    body = ups_conf[slice(*section)] if section else ""
    found = {
        name: re.search(rf"^\s*override\.battery\.{name}\.low\s*=\s*\"?(\d+)", body, re.MULTILINE)
        for name in ("runtime", "charge")
    }
    own = re.search(r"^\s*ignorelb\b", body, re.MULTILINE)
    runtime, charge = (
        int(match[1]) if own and match else None for match in (found["runtime"], found["charge"])
    )
    minutes = re.search(r"^\s*override\.battery\.runtime\.unit\s*=\s*minutes", body, re.MULTILINE)
    grain = GRAIN if minutes else 1
    timer = _timer(ups).search(upssched_conf)
    return Standing(
        None if runtime is None else runtime * grain,
        charge,
        int(timer["seconds"]) if timer else None,
        grain,
        own is not None,
    )


def with_lines(text: str, ups: str, lines: tuple[str, ...]) -> str:
    """Return ups.conf with these lines behind the mark; raises InputError where there is none."""
    section = _section(text, ups)
    begin = text.find(MARK, *section) if section else -1
    if begin < 0:
        message = f"ups.conf: [{ups}] is not as the role wrote it; run playbooks/power.yml"
        raise InputError(message)
    after = text.index("\n", begin) + 1
    end = after
    while match := OWN.match(text, end):
        end = match.end()
    return text[:after] + "".join(f"  {line}\n" for line in lines) + text[end:]


def with_timer(text: str, ups: str, seconds: int) -> str:
    """Return upssched.conf with this time on battery; raises InputError where there is none."""
    found = _timer(ups).search(text)
    if found is None:
        message = f"upssched.conf: no timer of {ups} as the role wrote it; run playbooks/power.yml"
        raise InputError(message)
    return text[: found.start("seconds")] + str(seconds) + text[found.end("seconds") :]


def _section(text: str, ups: str) -> tuple[int, int] | None:
    """Return where the body of a UPS's section begins and ends."""
    head = re.search(rf"^\[{re.escape(ups)}\][ \t]*\n", text, re.MULTILINE)
    if head is None:
        return None
    following = re.compile(r"^\[", re.MULTILINE).search(text, head.end())
    return head.end(), following.start() if following else len(text)


def _timer(ups: str) -> re.Pattern[str]:
    name = re.escape(ups)
    return re.compile(
        rf"^AT ONBATT {name}@localhost START-TIMER on-battery-{name} (?P<seconds>\d+)$",
        re.MULTILINE,
    )
