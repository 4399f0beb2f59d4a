"""Read the raw values of a UPS as what they can be believed to be; standard library only.

Each value becomes a number, or None where it is missing, text, out of range, or known to be no
measurement; each reason is a warning by its id (`doubts.py` says them in words). None is never
replaced by a number here, and 0 never stands for "unknown".

The ranges come from 711 dumps of real UPSes in NUT's device dumps library (2026-04): what they
publish, and how it was wrong.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Mains = Literal["on", "off", "unknown"]

DAY = 86400
LONGEST_RUNTIME = 4 * DAY
LONG_RUNTIME = 6 * 3600
GRAIN = 60  # seconds; many UPSes count whole minutes
# NUT's drivers publish it where their LB comes of ups.conf's thresholds, and is no word of the UPS.
OWN_LOW = "driver.flag.ignorelb"
# Set by ups.conf (`override.battery.runtime.unit = minutes`) where a driver counts in minutes: who
# asks upsd learns it with the values.
UNIT = "battery.runtime.unit"
MINUTES = "minutes"
SUSPECT_MINUTES = 60  # up to here, with mains present, a runtime may be a count of minutes
SENTINELS = {65534, 65535, 65535 * 60, 2**32 - 1}  # "no value" of HID, and as minutes
FULL = 100
NO_CHARGE = 1  # percent; up to here it is no charge of a battery that is on line
FULL_ENOUGH = 80  # percent; a low battery at this charge contradicts itself
MOST_LOAD = 150
DEAD_INPUT = 40  # volts
MAINS_NOMINAL = 50  # volts; a nominal input below that is no mains voltage
MAINS_ALIVE = (0.75, 1.3)  # times nominal
BATTERY_NOMINAL = (0.75, 1.4)  # times nominal; lead-acid from empty to boost charge
LEAST_BATTERY = 1.5  # volts; less is no battery, not even one cell
CELL_MOST = 3.0  # volts of one lead-acid cell, float charge included
CELLS_FROM = 6  # volts nominal; a battery of that much has several cells
SHORT_DELAY = 60  # seconds; a host needs that long to halt
NO_TIMER = 65534

NO_UPS = {"pdu", "psu", "scd", "ats"}
# Drivers that reckon the charge from the battery voltage, or from nothing at all.
GUESSING_DRIVERS = {
    "megatec", "megatec_usb", "blazer_ser", "blazer_usb", "nutdrv_qx", "nutdrv_qx_cyber",
    "bestups", "fentonups", "mustek", "powermust", "powercom", "tripplite", "tripplite_usb",
}  # fmt: skip
# Drivers that NUT 2.8 no longer has; usbhid-ups, nutdrv_qx or powerpanel took their devices over.
GONE_DRIVERS = {
    "newhidups", "hidups", "megatec", "megatec_usb", "fentonups", "mustek", "powermust",
    "cpsups", "cyberpower", "newmge-shut", "energizerups", "esupssmart", "ippon", "nitram",
}  # fmt: skip
TOKENS = {
    "OL", "OB", "LB", "HB", "RB", "CHRG", "DISCHRG", "BYPASS", "CAL", "OFF", "OVER", "TRIM",
    "BOOST", "FSD", "ALARM", "TEST", "ECO", "HE", "WAIT",
}  # fmt: skip
# Words of the status that are an event and a metric, and trigger nothing by themselves.
TOLD = {
    "CAL": "ST_CAL", "OFF": "ST_OFF", "BYPASS": "ST_BYPASS", "OVER": "ST_OVER", "RB": "ST_RB",
    "ALARM": "ST_ALARM", "ECO": "ST_ECO", "HE": "ST_ECO", "WAIT": "ST_WAIT",
}  # fmt: skip
# Warnings after which nothing this device says about the mains can be used.
REFUSING = ("NOT_UPS", "ST_MISSING", "ST_EMPTY", "ST_NO_POWER_TOKEN", "ST_OL_OB", "ST_FSD",
            "ST_OB_BLIND")  # fmt: skip

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_FACTORY_DATES = re.compile(r"1980|2001[/-]09[/-]25|2001[/-]0[01]")
_DATES = (
    re.compile(r"(?P<y>\d{4})[/.-](?P<m>\d{1,2})[/.-](?P<d>\d{1,2})\b"),
    re.compile(r"(?P<m>\d{1,2})[/.-](?P<d>\d{1,2})[/.-](?P<y>\d{2}|\d{4})\b"),
    re.compile(r"(?P<d>\d{1,2})[/.-](?P<m>\d{1,2})[/.-](?P<y>\d{2}|\d{4})\b"),
    re.compile(r"(?P<m>\d{2})(?P<d>\d{2})(?P<y>\d{4})\b"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})\b"),
    re.compile(r"(?P<d>\d{1,2})[ .-]?[A-Za-z]{3}[ .-]?(?P<y>\d{4}|\d{2})\b"),
)
_CENTURIES = range(1985, 2100)


@dataclass(frozen=True, slots=True)
class Readings:
    """What can be believed: seconds, percent, volts; None: not known.

    `runtime` and `charge` are the UPS's own; what its driver only guesses is None, with the guess
    in `charge_guess`. `grain` is the step in which `runtime` counts (60 or 0 s). `load` is never
    0: an idle figure says nothing about the load of an outage. `input_alive` is None where nothing
    says what the input voltage should be. `voltage_per_cell`: the voltage is that of one cell.
    """

    status: frozenset[str]
    mains: Mains
    runtime: float | None = None
    grain: int = 0
    charge: float | None = None
    charge_guess: float | None = None
    load: float | None = None
    voltage: float | None = None
    voltage_per_cell: bool = False
    input_voltage: float | None = None
    input_alive: bool | None = None
    transfer_low: float | None = None
    delay_shutdown: int | None = None
    delay_start: int | None = None
    driver: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def low_battery(self) -> bool:
        """Whether the status says that the battery is low."""
        return "LB" in self.status

    @property
    def refusals(self) -> tuple[str, ...]:
        """The warnings for which this device cannot guard anything as it is."""
        return tuple(one for one in self.warnings if one in REFUSING)


def read(variables: Mapping[str, str]) -> Readings:
    """Return what the raw variables of a UPS can be believed to say; never fails."""
    return _Reader(variables).readings()


def number(text: str | None, *, comma: bool = False) -> float | None:
    """Return a plain decimal number, or None: no units, no `mm:ss`, no `N/A`, nothing infinite.

    Leading zeros are decimal (`089.0`). A decimal comma is read only where `comma` allows it.
    """
    text = (text or "").strip()
    if comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if not text.isascii() or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def seconds_of(variables: Mapping[str, str], name: str) -> float | None:
    """Return a runtime in seconds, whatever the device counts in; None: it is no number."""
    value = number(variables.get(name))
    minutes = (variables.get(UNIT) or "").strip() == MINUTES
    return value * GRAIN if value is not None and minutes else value


def believable_date(text: str) -> bool:
    """Whether a date is one that a battery may have: no factory default, no text, no nonsense."""
    text = text.strip()
    if _FACTORY_DATES.match(text):
        return False
    return any(found is not None and _fits(found) for found in (one.match(text) for one in _DATES))


def _fits(found: re.Match[str]) -> bool:
    """Whether year, month and day are such; a two-digit year is of 1985 to 2084."""
    parts = found.groupdict(default="1")
    year = int(parts["y"])
    full_year = year if year >= FULL else 1900 + year + (FULL if year < 85 else 0)  # noqa: PLR2004
    return (
        full_year in _CENTURIES
        and 1 <= int(parts.get("m", "1")) <= 12  # noqa: PLR2004  # months
        and 1 <= int(parts["d"]) <= 31  # noqa: PLR2004  # days
    )


class _Reader:
    """Reads one value after the other and keeps what is to be said about them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.raw = variables
        self.warnings: list[str] = []
        self.status = frozenset(re.split(r"[\s,]+", self.text("ups.status"))) - {""}
        self.driver = self.text("driver.name")

    def text(self, name: str) -> str:
        return (self.raw.get(name) or "").strip()

    def value(self, name: str, *, comma: bool = False) -> float | None:
        return number(self.raw.get(name), comma=comma)

    def warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def measured(self, name: str, kind: str, *, comma: bool = False) -> float | None:
        """Return a value; warn `<kind>_MISSING` or `<kind>_TEXT` where it is none."""
        text = self.text(name)
        value = number(text, comma=comma)
        if not text:
            self.warn(f"{kind}_MISSING")
        elif number(text) is None:
            self.warn(f"{kind}_TEXT")
        return value

    def readings(self) -> Readings:
        alive = self.input_alive()
        mains = self.mains(alive)
        charge = self.charge(mains)
        runtime = self.runtime(mains)
        self.thresholds()
        load = self.load()
        voltage, per_cell = self.voltage()
        self.device()
        shutdown, start = self.delays()
        guessing = self.driver in GUESSING_DRIVERS
        return Readings(
            status=self.status,
            mains=mains,
            runtime=runtime,
            grain=GRAIN if runtime is not None and runtime % GRAIN == 0 else 0,
            charge=None if guessing else charge,
            charge_guess=charge if guessing else None,
            load=load,
            voltage=voltage,
            voltage_per_cell=per_cell,
            input_voltage=self.input_volts(),
            input_alive=alive,
            transfer_low=self.transfer_low(),
            delay_shutdown=shutdown,
            delay_start=start,
            driver=self.driver,
            warnings=tuple(self.warnings),
        )

    def mains(self, alive: bool | None) -> Mains:
        """Return whether the mains are there, as the status says; the device's kind goes first."""
        if {self.text("device.type").lower(), self.text("ups.type").lower()} & NO_UPS:
            self.warn("NOT_UPS")
        status = self.status
        if not status:
            self.warn("ST_EMPTY" if "ups.status" in self.raw else "ST_MISSING")
        on, off = "OL" in status, "OB" in status
        if status and not on and not off:
            on = bool(status & {"TRIM", "BOOST"})
            self.warn("ST_IMPLIED_OL" if on else "ST_NO_POWER_TOKEN")
        if on and off:
            self.warn("ST_OL_OB")
        elif on:
            self.on_line(alive)
        elif off:
            self.on_battery(alive)
        if "FSD" in status:
            self.warn("ST_FSD")
        for token in sorted(status):
            if token in TOLD:
                self.warn(TOLD[token])
            elif token not in TOKENS:
                self.warn("ST_UNKNOWN_TOKEN")
        return "on" if on and not off else "off" if off and not on else "unknown"

    def on_line(self, alive: bool | None) -> None:
        if "LB" in self.status:
            self.warn("ST_LB_ON_LINE")
        if "DISCHRG" in self.status:
            self.warn("ST_OL_DISCHRG")
        if alive is False:
            self.warn("ST_OL_INPUT_DEAD")

    def on_battery(self, alive: bool | None) -> None:
        if alive:
            self.warn("ST_OB_INPUT_OK")
        knows = ("battery.charge", "battery.runtime", "battery.voltage")
        blind = not any(name.startswith(knows) and value for name, value in self.raw.items())
        if blind and not self.text("input.voltage") and "NOT_UPS" not in self.warnings:
            self.warn("ST_OB_BLIND")

    def input_volts(self) -> float | None:
        """Return the input voltage; one below 0 is nonsense, and no sign of a cut."""
        volts = self.value("input.voltage", comma=True)
        return volts if volts is not None and volts >= 0 else None

    def input_alive(self) -> bool | None:
        """Return whether the input carries mains, where a nominal value says what that is."""
        volts = self.input_volts()
        nominal = self.value("input.voltage.nominal", comma=True)
        if volts is None or nominal is None or nominal < MAINS_NOMINAL:
            return None
        least, most = MAINS_ALIVE
        if volts < DEAD_INPUT:
            return False
        return True if least * nominal <= volts <= most * nominal else None

    def transfer_low(self) -> float | None:
        volts = self.value("input.transfer.low", comma=True)
        return volts if volts is not None and volts >= MAINS_NOMINAL else None

    def charge(self, mains: Mains) -> float | None:
        charge = self.measured("battery.charge", "CH")
        if charge is None:
            return None
        if not 0 <= charge <= FULL:
            self.warn("CH_RANGE")
            return None
        if mains == "on" and charge <= NO_CHARGE:
            self.warn("CH_ZERO_ON_LINE")
            return None
        if charge >= FULL_ENOUGH and "LB" in self.status:
            self.warn("CH_FULL_LB")
        return charge

    def runtime(self, mains: Mains) -> float | None:
        runtime = self.measured("battery.runtime", "RT")
        if runtime is None:
            return None
        if runtime <= 0:
            self.warn("RT_ZERO" if runtime == 0 else "RT_NEGATIVE")
            return None
        sentinel = runtime in SENTINELS
        minutes = self.text(UNIT) == MINUTES
        runtime *= GRAIN if minutes else 1
        if sentinel or runtime > LONGEST_RUNTIME:
            self.warn("RT_SENTINEL")
            return None
        if mains == "on" and runtime <= SUSPECT_MINUTES and not minutes:
            self.warn("RT_TINY")
            return None
        if runtime > LONG_RUNTIME:
            self.warn("RT_HUGE")
        if runtime % GRAIN == 0:
            self.warn("RT_GRAIN_60")
        if self.text("driver.parameter.runtimecal"):
            self.warn("RT_GUESSED")
            return None
        return runtime

    def thresholds(self) -> None:
        """Look at the thresholds of the device itself: its LB is no better than these."""
        # Ours are high where the battery hardly carries the site; 0 is absurd whoever set it.
        ours = OWN_LOW in self.raw
        charge_low = self.value("battery.charge.low")
        most = FULL if ours else 90
        if charge_low is not None and not 0 < charge_low < most:
            self.warn("CL_ABSURD")
        runtime_low = seconds_of(self.raw, "battery.runtime.low")
        longest = LONGEST_RUNTIME if ours else 3600
        if runtime_low is not None and not 10 < runtime_low <= longest:  # noqa: PLR2004  # seconds
            self.warn("RL_ABSURD")

    def load(self) -> float | None:
        load = self.measured("ups.load", "LD")
        if load is not None and 1 <= load <= MOST_LOAD:
            return load
        if load is not None:
            self.warn("LD_ZERO" if 0 <= load < 1 else "LD_RANGE")
        for power in ("ups.power", "ups.realpower"):
            now, most = self.value(power), self.value(f"{power}.nominal")
            if now and most and now > 0 and most > 0:
                self.warn("LD_FROM_POWER")
                share = FULL * now / most
                return share if 1 <= share <= MOST_LOAD else None
        return None

    def voltage(self) -> tuple[float | None, bool]:
        """Return the battery voltage, and whether it is that of a single cell."""
        volts = self.measured("battery.voltage", "BV", comma=True)
        if volts is None:
            return None, False
        nominal = self.value("battery.voltage.nominal", comma=True) or 0
        least, most = BATTERY_NOMINAL
        fits = nominal <= 0 or least <= volts / nominal <= most
        if not fits and nominal > CELLS_FROM and LEAST_BATTERY < volts < CELL_MOST:
            self.warn("BV_PER_CELL")
            return volts, True
        if fits and volts > LEAST_BATTERY:
            return volts, False
        self.warn("BV_ABSURD")
        return None, False

    def device(self) -> None:
        dates = [self.raw.get(name) for name in ("battery.date", "battery.mfr.date")]
        if any(one is not None and not believable_date(one) for one in dates):
            self.warn("BD_BOGUS")
        timer = self.value("ups.timer.shutdown")
        if timer is not None and 0 < timer < NO_TIMER:
            self.warn("TM_ARMED")
        if self.driver in GONE_DRIVERS:
            self.warn("DRV_GONE")

    def delays(self) -> tuple[int | None, int | None]:
        """Return the delays before the output goes off and on again, where they are set."""
        shutdown, start = self.value("ups.delay.shutdown"), self.value("ups.delay.start")
        if shutdown is None:
            return None, _whole(start)
        if shutdown <= 0 or shutdown >= NO_TIMER:
            self.warn("DL_UNSET")
            return None, _whole(start)
        if shutdown < SHORT_DELAY:
            self.warn("DL_SHORT")
        if start is not None and start <= shutdown:
            self.warn("DL_ORDER")
        return _whole(shutdown), _whole(start)


def _whole(value: float | None) -> int | None:
    return None if value is None or value < 0 else int(value)
