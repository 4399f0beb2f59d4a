"""What stock NUT is told to watch for, and what a deploy still has to ask for; standard library.

In mode `stock` the ladder runs at the deploy and at night, and what it finds becomes numbers of
stock NUT: own thresholds for runtime and charge (`ignorelb`, `override.battery.*.low` in
ups.conf), and the time on battery after which upssched stops the site, which stands under
everything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power.ladder import charge_left, rung_of, warnings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.ladder import Known, Site
    from releve.power.readings import Readings

LB_DOUBTED = {"CL_ABSURD", "RL_ABSURD", "CH_FULL_LB"}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Numbers for stock NUT; seconds and percent, None: not to be set.

    `ignorelb` stands or falls with `runtime_low` and `charge_low`: NUT 2.8.1 throws the true LB
    away with it, so that without both values nothing would be left. `timer`: seconds on battery;
    None without a measured capacity, 0 when the battery does not carry the site at all.
    """

    ignorelb: bool = False
    runtime_low: int | None = None
    charge_low: int | None = None
    timer: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """Something the deploy asks for; `blocks`: until then this UPS may guard nothing."""

    id: str
    text: str
    blocks: bool


def thresholds_of(readings: Readings, site: Site, known: Known) -> Thresholds:
    """Return what stock NUT watches for; own thresholds only where a discharge proved both."""
    timer = None
    if readings.refusals:
        return Thresholds(why="refused: it may guard nothing")
    if known.capacity_seconds is not None:
        timer = max(0, math.floor(known.capacity_seconds * site.derate - site.need))
    why = _why_not_own(readings, known)
    charge_low = None if why else _charge_low(readings, site, known)
    if not why and (charge_low is None or site.derate <= 0):
        why = "no charge carries the site"
    if why:
        return Thresholds(timer=timer, why=f"{why}: the timer decides, under the UPS's own LB")
    runtime_low = math.ceil((site.need + readings.grain) / site.derate)
    why = "runtime and charge moved in the discharge: own thresholds, the timer under them"
    return Thresholds(True, runtime_low, charge_low, timer, why)


def _why_not_own(readings: Readings, known: Known) -> str:
    rung = rung_of(readings, known)
    if rung != "runtime":
        return f"rung {rung}"
    if readings.charge is None:
        return "no charge that can be believed"
    if known.moved is None:
        return "nobody saw runtime and charge move"
    still = [name for name in ("runtime", "charge") if not known.saw_move(name)]
    return f"{' and '.join(still)} stood still in the discharge" if still else ""


def _charge_low(readings: Readings, site: Site, known: Known) -> int | None:
    """Return the lowest whole percentage that carries the site, or None; LB comes below it."""
    for percent in range(1, 100):
        left = charge_left(percent, readings.load, known)
        if left is not None and left * site.derate >= site.need:
            return percent
    return None


def demands_of(
    readings: Readings,
    known: Known,
    *,
    accept_lb_only: bool = False,
    mains_proven: bool | None = None,
) -> tuple[Demand, ...]:
    """Return what a deploy has to ask for before this UPS may guard anything.

    `accept_lb_only`: the town file says in clear that the UPS's own LB is enough for it.
    `mains_proven`: whether a real plug pull was seen as one; None: there was none.
    """
    if readings.refusals:
        text = f"another device, driver or setting: {', '.join(readings.refusals)}"
        return (Demand("refused", text, blocks=True),)
    return (
        *_capacity(readings, known, accept_lb_only=accept_lb_only),
        *_mains(readings, known, mains_proven),
        *_values(readings, known),
    )


def _capacity(readings: Readings, known: Known, *, accept_lb_only: bool) -> Iterator[Demand]:
    doubts = sorted(LB_DOUBTED & {*readings.warnings})
    if known.capacity_seconds is not None:
        return
    rung = rung_of(readings, known)
    lacks = "its time cap has" if rung == "runtime" else f"rung {rung} and the timer have"
    if not accept_lb_only:
        text = (
            f"a measured capacity: {lacks} no number without it; run `releve power measure` (deep"
            " test or plug pull), or say in the town file that its own LB is enough"
            " (low_battery_is_enough)"
        )
        yield Demand("capacity", text, blocks=True)
    elif doubts:
        text = f"a measured capacity: its own LB is not enough here ({', '.join(doubts)})"
        yield Demand("capacity", text, blocks=True)


def _mains(readings: Readings, known: Known, proven: bool | None) -> Iterator[Demand]:
    if proven is False:
        text = "a device that says OB within 10 s of a plug pull: this one did not"
        yield Demand("mains", text, blocks=True)
    elif proven is None and readings.input_voltage is None and readings.load is None:
        text = "a plug pull: without input voltage and load nothing shows that it sees the mains"
        yield Demand("mains", text, blocks=True)
    if "ST_OL_DISCHRG" in readings.warnings and known.ol_discharge is None:
        text = "a plug pull: what OL DISCHRG means on this device"
        yield Demand("ol-discharge", text, blocks=False)


def _values(readings: Readings, known: Known) -> Iterator[Demand]:
    warnings = warnings_of(readings, known)
    if "RT_TINY" in warnings:
        yield Demand(
            "unit", "the unit of its runtime, seconds or minutes (runtime_unit)", blocks=False
        )
    if rung_of(readings, known) == "voltage" and not known.saw_move("voltage"):
        text = "a deep test: the course of the voltage; until then only time on battery decides"
        yield Demand("voltage", text, blocks=False)
    if {"ST_OFF", "ST_BYPASS"} & {*warnings}:
        yield Demand("output", "its output on, and fed by the inverter", blocks=False)
