"""Which delays a UPS's driver really takes: `power.pyz delays` reads the devices from its input.

A delay that the device rounds down to 0 cuts the output under hosts that still unmount, and one
that a driver counts in minutes keeps the site dark for hours. The table is read in the drivers of
NUT 2.8.1 (blazer.c, nutdrv_qx_blazer-common.c, safenet.c, powerp-txt.c, huawei-ups2000.c,
mge-utalk.c, man usbhid-ups). Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode
from releve.power.lint.driver_values import RANGES
from releve.power.lint.drivers import MINUTES_ON, OPTIONS, Q_PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MINUTE = 60
OFF_LEAST = 60  # seconds; hosts that are still at their last unmounts need them
ON_LEAST = 120  # seconds; less, and the output may come on before it has gone off
# Below it some Q protocol devices go off and never return (man nutdrv_qx, man blazer_usb).
Q_ON_LEAST = 180
CYBERPOWER = "764"  # USB vendor
# driver -> the steps of offdelay from a minute on, and of ondelay, in seconds
STEPS = {
    "blazer_ser": (MINUTE, MINUTE),
    "blazer_usb": (MINUTE, MINUTE),
    "nutdrv_qx": (MINUTE, MINUTE),
    "powerpanel": (MINUTE, MINUTE),
    "safenet": (1, MINUTE),
    "huawei-ups2000": (6, MINUTE),
    "mge-utalk": (1, MINUTE),
}


@dataclass(frozen=True, slots=True)
class Device:
    """A UPS and the delays that were asked of it; seconds.

    `sets_delays`: its driver shall set them. `whole_minutes`: the device is known to drop the rest
    of a minute, as a CyberPower does.
    """

    driver: str
    offdelay: int
    ondelay: int
    sets_delays: bool = True
    whole_minutes: bool = False

    @property
    def steps(self) -> tuple[int, int]:
        """In which steps the two delays are taken; seconds."""
        own = STEPS.get(self.driver, (1, 1))
        return (max(own[0], MINUTE), max(own[1], MINUTE)) if self.whole_minutes else own

    @property
    def taken(self) -> tuple[int, int]:
        """The two delays as the device has them, the rest of a step dropped; seconds."""
        off, on = self.steps
        return self.offdelay // off * off, self.ondelay // on * on

    @property
    def on_too_soon(self) -> bool:
        """Whether the output may come on before it has gone off.

        Both counts begin with the command, but for the Q protocols: there the second one begins
        when the output has gone off ("SnRm" of blazer.c).
        """
        off, on = self.taken
        return on == 0 if self.driver in Q_PROTOCOL else on <= off

    @property
    def written(self) -> dict[str, int]:
        """The two as ups.conf has them, in the units of the driver."""
        unit = MINUTE if self.driver in MINUTES_ON else 1
        return {"offdelay": self.offdelay, "ondelay": self.ondelay // unit}

    def faults(self) -> Iterator[str]:
        """Yield why the driver or the device would not do what was asked, a sentence each."""
        if not self.sets_delays:
            return
        known = OPTIONS.get(self.driver)
        missing = [name for name in ("offdelay", "ondelay") if known and name not in known]
        if known is not None and (missing or not known):
            names = " and ".join(missing or ["offdelay", "ondelay"])
            yield (
                f"driver {self.driver} knows no {names} and ends at start with it: set the delays"
                " at the UPS and say so (delays_at: device in the town file)"
            )
        elif known is not None:
            yield from self._unfit()

    def _unfit(self) -> Iterator[str]:
        on_least = Q_ON_LEAST if self.driver in Q_PROTOCOL else ON_LEAST
        for name, asked, least, step in (
            ("offdelay", self.offdelay, OFF_LEAST, self.steps[0]),
            ("ondelay", self.ondelay, on_least, self.steps[1]),
        ):
            if asked < least:
                yield f"{name} {asked} s is too short: say {least} s or more"
            elif asked % step:
                down = asked // step * step
                unit = "whole minutes" if step == MINUTE else f"steps of {step} s"
                yield (
                    f"{name} {asked} s would be {down} s, since it is taken in {unit}: say {down} s"
                    f" or {down + step} s"
                )
            most = RANGES.get(self.driver, {}).get(name, (0, sys.maxsize))[1]
            written = self.written[name]
            if written > most:
                yield f"{name} {asked} s is more than driver {self.driver} takes"
        if self.on_too_soon:
            yield (
                f"ondelay {self.ondelay} s is not more than offdelay {self.offdelay} s, as they are"
                " counted: the output would come on before it has gone off"
            )


def default_on(driver: str) -> int:
    """Return the shortest ondelay that is safe with a driver; seconds."""
    return Q_ON_LEAST if driver in Q_PROTOCOL else ON_LEAST


def is_cyberpower(options: Mapping[str, Any]) -> bool:
    """Tell whether options of ups.conf match a CyberPower: by its vendor's number or name."""
    vendor = str(options.get("vendorid", "")).lower().removeprefix("0x").lstrip("0")
    names = " ".join(str(options.get(key, "")) for key in ("vendor", "product", "desc")).lower()
    return vendor == CYBERPOWER or "cyberpower" in names.replace(" ", "").replace("_", "")


def device_of(said: Mapping[str, Any]) -> Device:
    """Take a device of role nut_primary; raises KeyError, ValueError, TypeError."""
    driver = str(said["driver"])
    return Device(
        driver,
        int(said["offdelay"]),
        int(said["ondelay"]),
        bool(said["sets_delays"]),
        driver == "usbhid-ups" and is_cyberpower(said.get("options") or {}),
    )


def main(arguments: Sequence[str]) -> int:
    """Run the verb: devices as a JSON list on stdin, what is written and the faults on stdout."""
    parser = argparse.ArgumentParser(prog="power.pyz delays", description=__doc__)
    parser.parse_args(arguments)
    try:
        devices = {str(one["name"]): device_of(one) for one in json.load(sys.stdin)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"power.pyz delays: the input is no list of devices ({error!r})\n")
        return ExitCode.USAGE
    told = {name: one.written | {"faults": list(one.faults())} for name, one in devices.items()}
    sys.stdout.write(json.dumps(told) + "\n")
    return ExitCode.DONE
