"""Which drivers of NUT can tell a UPS to cut its output, and by which way.

Read in NUT's sources, v2.8.0 to v2.8.5: the body of upsdrv_shutdown() in drivers/*.c, which is all
that the late hook calls, and which a command of `upscmd` does not stand for. In those of NEVER_CUT
it sends nothing: it logs "shutdown not supported" (fatalx in 2.8.0) and ends, is empty
(clone-outlet, ve-direct), says that it is a NOOP (liebert-gxe), or waits for the mains (ivtscd).
genericups raises the line that its table (drivers/genericups.h) has for `upstype`, where it has
one, or that `SD` names. What another driver tries may fail at the device: only a measurement knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint.parse import atoi
from releve.power.lint.releases import COMMON, DEBIAN_13, Release

if TYPE_CHECKING:
    from collections.abc import Callable

# The first release whose driver can; None: none up to 2.8.5.
NEVER_CUT: dict[str, Release | None] = {
    "al175": None,
    "apc_modbus": (2, 8, 2),
    "apcupsd-ups": None,  # asks the daemon of apcupsd, over the network
    "asem": None,
    "generic_gpio_libgpiod": None,
    "hwmon_ina219": None,
    "ivtscd": None,
    "liebert": None,
    "liebert-gxe": None,
    "nhs_ser": None,
    "nut-ipmipsu": None,
    "nut-upower": None,
    "nutdrv_hashx": None,
    "phoenixcontact_modbus": None,
    "powerman-pdu": None,
    "socomec_jbus": None,
    "ve-direct": None,
}
# Publish what another driver, or a file, says. They never cut either; where the other driver is on
# a host that is stopped, too, that one does.
COPIES = frozenset(["clone", "clone-outlet", "dummy-ups", "failover"])
# "none" and "unknown" in the table of genericups, 4 and 23 by lines that all fall.
CONTACTS_WITHOUT_CUT = frozenset([4, 8, 16, 17, 18, 23])
# The cut goes over the network, which may be down when the late hook sends it: always, or where the
# port is an address (upsdrv_shutdown of each says that it cannot count on one by then).
NETWORK = frozenset(["netxml-ups", "snmp-ups"])
NETWORK_OR_LINE = frozenset(["adelsystem_cbi", "apc_modbus", "generic_modbus"])


def never_cuts(
    driver: str, value: Callable[[str], str | None], release: Release = DEBIAN_13
) -> bool:
    """Tell whether a driver has no way to cut; `value` returns an option of its section."""
    if value("sdcommands") and release >= COMMON["sdcommands"]:
        return False  # tried in place of the driver's own way
    if driver == "genericups":
        return atoi(value("upstype") or "-1") in CONTACTS_WITHOUT_CUT and value("sd") is None
    able = NEVER_CUT.get(driver)
    return driver in COPIES or (driver in NEVER_CUT and (able is None or release < able))


def is_simulated(driver: str, port: str) -> bool:
    """Tell whether a device is a file that somebody writes; NAME@HOST repeats a real one."""
    return driver == "dummy-ups" and "@" not in port


def over_network(driver: str, port: str) -> bool:
    """Tell whether a device is reached over the network."""
    line = port.startswith("/") or port in ("", "auto")
    return driver in NETWORK or (driver in NETWORK_OR_LINE and not line)
