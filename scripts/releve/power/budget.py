"""What an ordered shutdown needs against what the battery carries; standard library only.

Reads the settings as JSON on stdin and prints the budget as JSON: steps, need, thresholds, faults.
All times are whole seconds, rounded up; the worst case unless `expected` stands there.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode
from releve.power import hands
from releve.power.ageing import Age, days_to_come, derate_of
from releve.power.lack import Lack, too_small
from releve.power.shutdown_times import (
    NOTICE,
    guests_of,
    heard_end,
    held_of,
    logged_in,
    look,
    steps_of,
    timeline,
)
from releve.power.stock import numbers_of
from releve.power.stops import BACKUP_STOP, Span, guest_of, seconds
from releve.power.supply import Battery, Site, deaf

if TYPE_CHECKING:
    from collections.abc import Iterator

# Half the load runs for far more than twice as long: the tables of makers give 2.5 to 3.4 times.
LOAD_EXPONENT = 2
DISKS = "images"  # a share that guests' disks lie on


@dataclass(frozen=True, slots=True)
class Settings:
    """What the budget is made of; `capacity_seconds` was measured at the load of the site.

    Without a measured capacity the UPS is being commissioned: the shutdown then starts after
    `commissioning_seconds` on battery.

    A guest is {name, order, stop_seconds} and, where known, vmid, kind (qemu, lxc, plain) and
    measured_seconds (of its last stop); order and stop_seconds may be None (PVE's defaults); of
    kind plain: not Proxmox VE stops it, and stop_seconds are all that it takes. A
    client is {name, stop_seconds} and, where it differs, logs_in (true), guests (its own, it stays
    logged in until they have stopped), abort_seconds (its own), notice_seconds (until it sees the
    shutdown without a login) and serves ([images, backup, ...]: shares that the primary has
    mounted); where `ups` is named, also what `supply.deaf` asks for: the switches between, fed by
    which of `batteries` (UPS -> its capacity).

    `abort_seconds` go before the guests' stop, for the end of backups. `supplies` of the primary,
    of which it cannot do without `min_supplies`; `measured_alone`: with the whole load on this UPS.
    `derate` is that of a new battery when dates are given, ISO dates all of them; `record` is what
    was measured of the UPS (its `on` and `how` count here, and what it says of the cut). `device`
    is what `hands` asks for; `accept`: what somebody has taken on himself, by name, with the
    reason. The last four bear on what stock NUT is told, not on the budget.
    """

    capacity_seconds: int | None
    derate: float
    margin: float
    ride_through_seconds: int
    driver_poll: int
    pollfreq: int
    pollfreqalert: int
    hostsync: int
    finaldelay: int
    offdelay: int
    ondelay: int
    stop_seconds: int
    workers: int
    guests: list[dict[str, Any]]
    clients: list[dict[str, Any]]
    commissioning_seconds: int = 60
    abort_seconds: int = BACKUP_STOP
    stop_measured: float | None = None
    supplies: int = 1
    min_supplies: int = 1
    ups: str = ""
    batteries: dict[str, int | None] = field(default_factory=dict)
    measured_alone: bool = True
    battery_installed: str | None = None
    battery_life_months: int = 48
    record: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    accept: dict[str, Any] = field(default_factory=dict)
    today: str | None = None
    mode: str = "stock"
    thresholds: str = "ladder"
    low_battery_is_enough: bool = False
    runtime_unit: str = "seconds"

    def __post_init__(self) -> None:
        """Refuse what would be divided by; raises ValueError."""
        if not 0 < self.derate <= 1:
            message = f"derate is {self.derate:g}: right is a share above 0 and at most 1"
            raise ValueError(message)
        if not 1 <= self.margin < math.inf:
            message = f"margin is {self.margin:g}: right is 1 or more"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Budget:
    """The worst case of a shutdown, and where each trigger has to stand for it.

    `need` is from the trigger to the halt of the last host, `trigger` the same with the margin;
    `expected` is `need` with what was measured. `usable` is what the derated battery carries and
    `margin` what of it is left when the shutdown is over, waited for the mains as long as promised.
    `timer` is the time on battery after which the shutdown starts at the latest; `runtime_low`
    (seconds) and `charge_low` (percent) are the same moment as the UPS counts it; what needs a
    capacity is None while the UPS is being commissioned. `worst_spans` and `expected_spans` are
    the timelines, from the trigger on. `client_stop` is the longest that a client takes to be down
    from its logout on, `client_whole` from when it could hear.
    """

    capacity: int | None
    derate: float
    usable: int | None
    steps: list[tuple[str, int]]
    expected_steps: list[tuple[str, int]]
    need: int
    expected: int
    trigger: int
    timer: int
    runtime_low: int | None
    charge_low: int | None
    margin: int | None
    faults: list[str]
    warnings: list[str]
    worst_spans: list[Span] = field(default_factory=list)
    expected_spans: list[Span] = field(default_factory=list)
    client_stop: int = 0
    client_whole: int = 0


def budget_of(one: Settings) -> Budget:
    """Return the budget; it holds when `faults` is empty."""
    steps, expected_steps = steps_of(one, expected=False), steps_of(one, expected=True)
    need = sum(taken for _name, taken in steps)
    trigger = math.ceil(need * one.margin)
    derate = _derate(one)
    capacity = _capacity(one)
    usable = None if capacity is None else math.floor(capacity * derate)
    stops = [one.finaldelay + int(each["stop_seconds"]) for each in logged_in(one)]
    wholes = [math.ceil(heard_end(one, each, expected=False)) for each in logged_in(one)]
    return Budget(
        capacity=capacity,
        derate=derate,
        usable=usable,
        steps=steps,
        expected_steps=expected_steps,
        need=need,
        expected=sum(taken for _name, taken in expected_steps),
        trigger=trigger,
        timer=one.commissioning_seconds if usable is None else max(0, usable - trigger),
        runtime_low=None if usable is None else math.ceil(trigger / derate),
        charge_low=None if usable is None else min(99, math.ceil(100 * trigger / max(1, usable))),
        margin=None if usable is None else usable - one.ride_through_seconds - need,
        faults=list(_faults(one, need, trigger, usable)),
        warnings=_warnings(one, derate),
        worst_spans=timeline(one, expected=False),
        expected_spans=timeline(one, expected=True),
        client_stop=max(stops, default=0),
        client_whole=max(wholes, default=0),
    )


def guests_seconds(guests: list[dict[str, Any]], workers: int) -> int:
    """Return how long Proxmox VE takes to stop the guests when each takes all of its time."""
    return seconds([guest_of(guest) for guest in guests], workers)


def _derate(one: Settings) -> float:
    today, installed, measured = (
        None if text is None else datetime.date.fromisoformat(text)
        for text in (one.today, one.battery_installed, one.record.get("on"))
    )
    if today is None or (installed is None and measured is None):
        return one.derate
    age = Age(installed, one.battery_life_months, measured, one.record.get("how"))
    return derate_of(one.derate, age, today)


def _capacity(one: Settings) -> int | None:
    """Return what this UPS carries once the others that may fail have failed."""
    return None if one.capacity_seconds is None else math.floor(one.capacity_seconds * _share(one))


def _share(one: Settings) -> float:
    """Return what is left of the measured time when this UPS carries the others' load, too."""
    if one.measured_alone or one.supplies <= one.min_supplies:
        return 1.0
    return float((max(1, one.min_supplies) / one.supplies) ** LOAD_EXPONENT)


def _warnings(one: Settings, derate: float) -> list[str]:
    warnings = []
    if derate < one.derate:
        warnings.append(
            f"the battery has aged: {derate:g} of its measured capacity is counted on, not "
            f"{one.derate:g}; measure it anew (a deep test) or replace it"
        )
    unknown = [guest["name"] for guest in one.guests if guest.get("measured_seconds") is None]
    if unknown:
        warnings.append(f"no stop was measured yet of {', '.join(unknown)}: the worst is expected")
    return [*warnings, *hands.notes(one.device, one.clients, one.record, one.accept)]


def _faults(one: Settings, need: int, trigger: int, usable: int | None) -> list[str]:
    """Return one sentence for each reason why this cannot be deployed."""
    faults = []
    wanted = trigger + one.ride_through_seconds
    if usable is not None and usable < wanted:
        lack = Lack(need, trigger, usable, _derate(one), _capacity(one), _share(one))
        faults.append(too_small(one, lack))
    faults.extend(_guest_faults(one.guests))
    for client in one.clients:
        faults.extend(_guest_faults(client.get("guests") or []))
        faults.extend(_client_faults(one, client))
    if one.ups:
        batteries = {
            name: Battery(carries, one.derate)
            for name, carries in {**one.batteries, one.ups: one.capacity_seconds}.items()
        }
        faults.extend(deaf(one.clients, Site(one.ups, batteries, need, one.hostsync)))
        faults.extend(_untold(one))
    faults.extend(days_to_come(one.today, one.battery_installed, one.record.get("on")))
    if one.ondelay <= one.offdelay:
        faults.append(f"ondelay {one.ondelay} s must be more than offdelay {one.offdelay} s")
    if not 1 <= one.min_supplies <= one.supplies:
        faults.append(
            f"MINSUPPLIES {one.min_supplies} with {one.supplies} power supplies cannot be: "
            f"1 to {one.supplies}"
        )
    return [*faults, *hands.faults(one.device, one.clients, one.record, one.accept)]


def _untold(one: Settings) -> list[str]:
    """Return one sentence when clients would stop by nothing but a low battery nobody has proved.

    While other supplies carry the primary, its time on battery stops nobody (power-timer); upsmon
    of a client stops it HOSTSYNC after the low battery (is_ups_critical in NUT's upsmon.c).
    """
    names = [each["name"] for each in logged_in(one) if list(each.get("devices", ())) == [one.ups]]
    others = one.supplies - int(one.device.get("supplies", one.supplies))
    moved = one.record.get("moved") or {}
    proved = bool(moved.get("runtime") and moved.get("charge")) and one.thresholds == "ladder"
    if (
        not names
        or one.mode != "stock"
        or one.capacity_seconds is None
        or others < one.min_supplies
        or (proved or one.low_battery_is_enough or one.thresholds == "own")
    ):
        return []
    return [
        f"{', '.join(names)}: on {one.ups} alone, while other supplies carry its host, so that its"
        " time on battery stops nobody, and its low battery is not proved (runtime and charge did"
        " not both move in its test): feed them by the others too, or set its mode to policy, or"
        " low_battery_is_enough: true"
    ]


def _guest_faults(entries: list[dict[str, Any]]) -> Iterator[str]:
    for guest in guests_of(entries):
        if guest.down is None:
            yield (
                f"{guest.name} has no time of its own to stop (down), so {guest.limit} s count: "
                "set its stop_seconds"
            )
        elif guest.down == 0 and guest.kind == "lxc":
            # lxc-stop then returns at once, and `vm_stop` reads until the container has ended.
            yield (
                f"{guest.name} is a container with down=0, for which Proxmox VE waits without any "
                "limit (lxc-stop --timeout 0 kills nobody): set its stop_seconds to 1 or more"
            )


def _client_faults(one: Settings, client: dict[str, Any]) -> list[str]:
    name, stop = client["name"], int(client["stop_seconds"])
    # A client logs out when its shutdown starts; from then on only these delays wait for it.
    left = one.finaldelay + one.offdelay
    faults = []
    notice = 0 if client.get("logs_in", True) else int(client.get("notice_seconds", NOTICE))
    if stop + notice > left:
        late = f" and {notice} s to notice (it does not log in)" if notice else ""
        faults.append(
            f"{name} needs {stop} s to stop{late}, the output may go off {left} s after it has "
            f"begun: raise offdelay to {stop + notice - one.finaldelay} s (in a town file: "
            "offdelay_seconds)"
        )
    held = math.ceil(look(one) + held_of(one, client, expected=False))
    if client.get("guests") and client.get("logs_in", True) and held > one.hostsync:
        faults.append(
            f"{name} stays logged in for {held} s while its guests stop, HOSTSYNC waits "
            f"{one.hostsync} s: raise it to {held} s (nut_primary_hostsync)"
        )
    if client.get("guests") and not client.get("logs_in", True):
        faults.append(
            f"{name} has guests but does not log in, so nobody waits for them: let it log in"
        )
    if DISKS in (client.get("serves") or ()):
        faults.append(
            f"guests' disks lie on {name}, which stops at the first word while they still run: "
            "put them elsewhere, or let it stop after this host (mode policy)"
        )
    return faults


def with_live_day(one: Settings) -> Settings:
    """Return the settings with today's date where the battery's age has to be reckoned."""
    if one.today is None and (one.battery_installed or one.record):
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        return replace(one, today=today)
    return one


def as_json(one: Settings) -> dict[str, Any]:
    """Return the budget of today and the settings that it was made of, as JSON has them.

    `unseen` is what stock NUT watches for until the UPS was heard on its host.
    """
    budget = budget_of(with_live_day(one))
    unseen = numbers_of(one, budget).as_json()
    return asdict(budget) | {"settings": asdict(one), "unseen": unseen}


def main(_arguments: list[str]) -> int:
    """Read the settings on stdin, print the budget; exit code 2 for what are no settings."""
    try:
        told = as_json(Settings(**json.load(sys.stdin)))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        sys.stderr.write(
            f"power.pyz budget: the input is no settings of a budget ({error!r}); "
            "role nut_primary gives one JSON object for each UPS\n"
        )
        return ExitCode.USAGE
    json.dump(told, sys.stdout)
    return ExitCode.DONE
