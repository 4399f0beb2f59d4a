"""ups.conf: delays and thresholds of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.delays import MINUTE, OFF_LEAST, Q_ON_LEAST, Device, is_cyberpower
from releve.power.lint import drivers, looks, releases
from releve.power.lint.driver_values import wrong_values
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.parse import atoi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from releve.power.lint.model import Configuration, Option, Section

RULES = Rules()
FILE = "ups.conf"
LOW_MOST = 50  # percent
RUNTIME_LOW_MOST = 3600  # seconds; the same bound as RL_ABSURD of the readings
MEASURED = (
    "battery.charge", "battery.runtime", "battery.voltage", "input.voltage", "ups.load",
)  # fmt: skip
RATIO_LEAST = 0.7  # empty to full of one lead-acid battery is about 0.8


def _takes(section: Section, name: str) -> bool:
    return name in drivers.OPTIONS.get(section.driver, ())


def _number(section: Section, name: str) -> int | None:
    found = section.value(name) if _takes(section, name) else None
    return None if found is None else atoi(found)


def _spot(section: Section, option: Option | None, at: str = "") -> Spot:
    return Spot(FILE, option.line if option else section.line, at or section.name)


@RULES.refuse(
    "UC_POLLINTERVAL_INVALID",
    "pollinterval is not a number above 0, so that the driver ends at start",
    "set pollinterval to 2",
)
def poll_invalid(conf: Configuration) -> Iterator[Spot]:
    """Find what drivers/main.c calls fatal."""
    for one in conf.driver_options:
        if one.name == "pollinterval" and one.value is not None and atoi(one.value) <= 0:
            yield Spot(FILE, one.line)


@RULES.warn(
    "UC_POLL_SLOW",
    "the driver looks at the UPS only every {at} s",
    "set pollinterval to 2",
)
def poll_slow(conf: Configuration) -> Iterator[Spot]:
    """Find a driver that sleeps through a cut."""
    for one in conf.driver_options:
        seconds = atoi(one.value or "") if one.name == "pollinterval" else 0
        if seconds > 10:  # noqa: PLR2004
            yield Spot(FILE, one.line, str(seconds))


@RULES.refuse(
    "UC_OPTION_VALUE",
    "the driver of this device ends at start for the value of {at}, or for want of it",
    "see the driver's man page, too",
)
def option_value(conf: Configuration) -> Iterator[Spot]:
    """Find a value that a driver would die of."""
    for one in conf.sections:
        for name, option, right in wrong_values(one, conf.release):
            yield _spot(one, option, f"{one.name}:{name} (right is {right})")


@RULES.note(
    "UC_OFFDELAY_DEFAULT",
    "the off delay of [{at}] is not set, so that the driver's own few seconds hold",
    "set offdelay to 60 and ondelay to 120",
)
@looks.at_each_device
def off_default(one: Section) -> Iterator[Spot]:
    """Find a delay that nobody chose."""
    if _takes(one, "offdelay") and one.find("offdelay") is None:
        yield Spot(FILE, one.line, one.name)


@RULES.warn(
    "UC_OFFDELAY_SHORT",
    "the output of [{at}] goes off less than 60 s after the late hook",
    "set offdelay to 60 and ondelay to 120",
)
@looks.at_each_device
def off_short(one: Section) -> Iterator[Spot]:
    """Find a delay that leaves no time."""
    off = _number(one, "offdelay")
    if off is not None and off < OFF_LEAST:
        yield _spot(one, one.find("offdelay"))


@RULES.refuse(
    "UC_OFFDELAY_NEVER",
    "the off delay of [{at}] is below 0, which takes the command to cut back: the UPS is never cut",
    "set offdelay to 60 and ondelay to 120",
)
@looks.at_each_device
def off_never(one: Section) -> Iterator[Spot]:
    """Find a delay that HID's power devices take for no cut at all."""
    if one.driver in drivers.ON_DEFAULT and (_number(one, "offdelay") or 0) < 0:
        yield _spot(one, one.find("offdelay"))


@RULES.warn(
    "UC_CPS_OFFDELAY_NOT_60",
    "[{at}] is a CyberPower, which rounds its delays down to whole minutes: under 60 s means now",
    "set offdelay to 60 and ondelay to 120",
)
def cyberpower(conf: Configuration) -> Iterator[Spot]:
    """Find a delay that this maker does not have."""
    own = conf.release >= releases.CPS_DELAYS
    default = OFF_LEAST if own else drivers.OFF_DEFAULT["usbhid-ups"]
    for one in filter(_is_cyberpower, conf.sections):
        off = _number(one, "offdelay")
        off = default if off is None else off
        if off < OFF_LEAST or off % MINUTE:
            yield _spot(one, one.find("offdelay"))


def _is_cyberpower(section: Section) -> bool:
    """Tell whether the options, or the name that somebody gave it, say so."""
    said = {option.name.lower(): option.value or "" for option in section.options}
    named = {**said, "desc": f"{said.get('desc', '')} {section.name}"}
    return section.driver == "usbhid-ups" and is_cyberpower(named)


def _on_seconds(section: Section) -> int | None:
    """Return the on delay in seconds, None when it is not set or switched off (-1)."""
    on = _number(section, "ondelay")
    if on is None or on < 0:
        return None
    return on * MINUTE if section.driver in drivers.MINUTES_ON else on


def _on_too_soon(section: Section) -> bool:
    on, off = _on_seconds(section), _number(section, "offdelay")
    if on is None:
        return False
    if section.driver in drivers.MINUTES_ON & drivers.Q_PROTOCOL and on < Q_ON_LEAST:
        return True
    set_here = off is not None
    off = drivers.OFF_DEFAULT.get(section.driver) if off is None else off
    if off is None:
        return False
    minutes = _is_cyberpower(section) and set_here
    return Device(section.driver, off, on, whole_minutes=minutes).on_too_soon


@RULES.refuse(
    "UC_ONDELAY_LE_OFFDELAY",
    "[{at}] may come on before it has gone off, and then stays off for ever",
    "set offdelay to 60 and ondelay to 120 (blazer counts ondelay in minutes: 3)",
)
def on_too_soon(conf: Configuration) -> Iterator[Spot]:
    """Find a return that comes too soon."""
    yield from (_spot(one, one.find("ondelay")) for one in conf.sections if _on_too_soon(one))


@RULES.warn(
    "UC_ONDELAY_Q_SHORT",
    "[{at}] comes on less than 180 s after it went off, which some Q protocol devices never do",
    "set ondelay to 180",
)
@looks.at_each_device
def on_short(one: Section) -> Iterator[Spot]:
    """Find a return that old firmware does not know; blazer's is refused."""
    on = _on_seconds(one) or 0
    if one.driver in drivers.Q_PROTOCOL and 0 < on < Q_ON_LEAST and not _on_too_soon(one):
        yield _spot(one, one.find("ondelay"))


@RULES.warn(
    "UC_ONDELAY_DEFAULT_LOW",
    "the off delay of [{at}] is not below the driver's own on delay, which nobody set",
    "set ondelay at least 60 above offdelay",
)
@looks.at_each_device
def on_default_low(one: Section) -> Iterator[Spot]:
    """Find an off delay that has outgrown the default of the other."""
    off, default = _number(one, "offdelay"), drivers.ON_DEFAULT.get(one.driver)
    unset = one.find("ondelay") is None
    if off is not None and default is not None and unset and off >= default:
        yield _spot(one, one.find("offdelay"))


@RULES.warn(
    "UC_OVERRIDE_DELAY_IS_COSMETIC",
    "[{at}] overrides ups.delay.*: that changes what is shown, and with most drivers nothing that"
    " the UPS does",
    "use offdelay and ondelay",
)
@looks.at_each_device
def cosmetic(one: Section) -> Iterator[Spot]:
    """Find a delay that is only displayed."""
    for option in one.options:
        if option.name.lower().startswith("override.ups.delay."):
            yield _spot(one, option)
            break


def _low(section: Section, what: str) -> Iterator[Option]:
    names = {f"override.battery.{what}.low", f"default.battery.{what}.low"}
    yield from (one for one in section.options if one.name.lower() in names)


@RULES.warn(
    "UC_OVERRIDE_LOW_WITHOUT_IGNORELB",
    "[{at}] overrides battery.charge.low or battery.runtime.low, which nobody looks at",
    "add `ignorelb`, so that the driver compares with them itself",
)
@looks.at_each_device
def override_unused(one: Section) -> Iterator[Spot]:
    """Find a threshold that is never looked at."""
    found = [*_low(one, "charge"), *_low(one, "runtime")]
    overrides = [option for option in found if option.name.lower().startswith("override.")]
    if overrides and one.find("ignorelb") is None:
        yield _spot(one, overrides[0])


@RULES.warn(
    "UC_IGNORELB_ALONE",
    "[{at}] ignores the UPS's own low battery and sets no threshold in its place: where the UPS"
    " publishes none either, its driver ends at start",
    "add override.battery.charge.low and override.battery.runtime.low, as the budget says",
)
@looks.at_each_device
def ignore_alone(one: Section) -> Iterator[Spot]:
    """Find a UPS whose low battery may never be said."""
    found = [*_low(one, "charge"), *_low(one, "runtime")]
    if one.find("ignorelb") and not any(atoi(option.value or "") > 0 for option in found):
        yield _spot(one, one.find("ignorelb"))


@RULES.warn(
    "UC_LOW_TOO_HIGH",
    "the site is stopped with half of the battery left ({at})",
    "take the threshold from the budget",
)
@looks.at_each_device
def low_too_high(one: Section) -> Iterator[Spot]:
    """Find a threshold that gives the battery away."""
    named = [option for option in one.options if option.name.lower() == "lowbatt"]
    for option in [*_low(one, "charge"), *named]:
        if atoi(option.value or "") >= LOW_MOST:
            text = f"{one.name}:{option.name}={atoi(option.value or '')}"
            yield _spot(one, option, text)


def _runtimes_that(are_wrong: Callable[[int], bool]) -> looks.Find:
    """Return what finds a battery.runtime.low of some kind."""

    @looks.at_each_device
    def find(one: Section) -> Iterator[Spot]:
        wrong = (option for option in _low(one, "runtime") if are_wrong(atoi(option.value or "")))
        yield from (_spot(one, option) for option in wrong)

    return find


RULES.warn(
    "UC_RUNTIME_LOW_HUGE",
    "battery.runtime.low of [{at}] is more than an hour: the battery is low as soon as it is used",
    "take the threshold from the budget; it is in seconds",
)(_runtimes_that(lambda seconds: seconds > RUNTIME_LOW_MOST))


@RULES.refuse(
    "UC_OVERRIDE_STATUS",
    "[{at}] overrides ups.status: whatever happens, that is what everybody is told",
    "remove the line",
)
@looks.at_each_device
def status_frozen(one: Section) -> Iterator[Spot]:
    """Find a UPS that can no longer say that it is on battery."""
    found = one.find("override.ups.status")
    if found:
        yield _spot(one, found)


@RULES.warn(
    "UC_OVERRIDE_MEASURED",
    "an override takes the place of what the UPS measures ({at}): it never changes again",
    "remove the line",
)
@looks.at_each_device
def measured_frozen(one: Section) -> Iterator[Spot]:
    """Find a measured value that was made to stand still."""
    for name in MEASURED:
        found = one.find(f"override.{name}")
        if found:
            yield _spot(one, found, f"{one.name}:{found.name}")


RULES.warn(
    "UC_RUNTIME_LOW_SHORT",
    "battery.runtime.low of [{at}] is less than a minute: no host stops in that",
    "take the threshold from the budget; it is in seconds",
)(_runtimes_that(lambda seconds: 0 < seconds < MINUTE))


RULES.warn(
    "UC_RUNTIME_LOW_NEGATIVE",
    "battery.runtime.low of [{at}] is negative: the runtime never counts",
    "leave it out, or take it from the budget",
)(_runtimes_that(lambda seconds: seconds < 0))


def _volts(section: Section, end: str) -> float | None:
    for option in section.options:
        if option.name.lower() in (
            f"override.battery.voltage.{end}",
            f"default.battery.voltage.{end}",
        ):
            try:
                return float(option.value or "")
            except ValueError:
                return None
    return None


@RULES.warn(
    "UC_QX_NO_VOLTAGE_RANGE",
    "[{at}] speaks a Q protocol and has no battery.voltage.low and .high: its charge is a guess",
    "set both from a measured discharge",
)
@looks.at_each_device
def no_voltage_range(one: Section) -> Iterator[Spot]:
    """Find a charge that is made of nothing."""
    known = _volts(one, "low") is not None and _volts(one, "high") is not None
    if one.driver in drivers.Q_PROTOCOL and not known:
        yield Spot(FILE, one.line, one.name)


@RULES.warn(
    "UC_VOLTAGE_RANGE_ODD",
    "battery.voltage.low and .high of [{at}] are not of one battery",
    "set both from a measured discharge (about 10.4 and 13.0 for each 12 V block)",
)
@looks.at_each_device
def voltage_odd(one: Section) -> Iterator[Spot]:
    """Find two ends that do not belong together."""
    low, high = _volts(one, "low"), _volts(one, "high")
    if low is not None and high is not None and not RATIO_LEAST * high <= low < high:
        yield Spot(FILE, one.line, one.name)


@RULES.warn(
    "UC_RUNTIMECAL_GUESS",
    "the runtime of [{at}] is worked out by the driver from runtimecal: an estimate",
    "measure the curve with a deep test and let the time on battery decide beneath it",
)
@looks.at_each_device
def runtimecal(one: Section) -> Iterator[Spot]:
    """Find a runtime that nobody measured."""
    found = one.find("runtimecal")
    if found and _takes(one, "runtimecal"):
        yield _spot(one, found)
