"""ups.conf: the devices and their drivers."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from releve.power.lint import cuts, drivers, looks, releases
from releve.power.lint.driver_values import MIBS
from releve.power.lint.finding import Rules, Spot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from releve.power.lint.model import Configuration, Section
    from releve.power.lint.releases import Release

RULES = Rules()
FILE = "ups.conf"
NEAR = 0.7  # so alike are a driver and its misspelling; drivers of other makers are not


def knows(conf: Configuration, driver: str) -> bool:
    """Tell whether a driver is there: on the host when it was looked at, else in its NUT."""
    if conf.facts.drivers is not None:
        return driver in conf.facts.drivers
    since = releases.DRIVERS.get(driver)
    packaged = driver in drivers.OPTIONS or driver in drivers.OURS
    return packaged if since is None else since <= conf.release


def is_simulated(section: Section) -> bool:
    """Tell whether a device is a file that somebody writes."""
    return cuts.is_simulated(section.driver, section.value("port") or "")


@RULES.refuse(
    "UC_NO_SECTION",
    "ups.conf has no device, so that there is nothing to serve and nothing to watch",
    "add a section for the UPS (`nut-scanner` finds it), or make this host a client",
)
def no_section(conf: Configuration) -> Iterator[Spot]:
    """Find a server without a device."""
    local = any(conf.is_own(one.host) for one in conf.monitors)
    serves = conf.mode in ("none", "standalone", "netserver") or (conf.mode is None and local)
    if conf.ups and not conf.sections and serves:
        yield Spot(FILE)


@RULES.warn(
    "UC_DUP_SECTION",
    "[{at}] is opened twice: NUT makes one device of both, in which the last settings win",
    "keep one section a device",
)
def twice(conf: Configuration) -> Iterator[Spot]:
    """Find sections of one name."""
    if conf.ups:
        yield from (Spot(FILE, line, name) for name, line in conf.ups.repeats)


@RULES.refuse(
    "UC_DUP_SECTION_CLASH",
    "two devices are both called [{at}]: NUT serves one of them alone",
    "give each device a name of its own; upsd minds no capitals",
)
def clash(conf: Configuration) -> Iterator[Spot]:
    """Find two devices in one section, or of one name but for capitals (ups_create of conf.c)."""
    seen: set[str] = set()
    for one in conf.sections:
        if one.name.lower() in seen:
            yield Spot(FILE, one.line, one.name)
        seen.add(one.name.lower())
    for name, line in conf.ups.repeats if conf.ups else ():
        section = conf.ups.section(name) if conf.ups else None
        for key in ("driver", "port", "serial") if section else ():
            values = {one.value for one in section.options if one.name == key} if section else {}
            if len(values) > 1:
                yield Spot(FILE, line, name)
                break


@RULES.refuse(
    "UC_NO_DRIVER",
    "[{at}] names no driver, so that nothing starts for it",
    "add `driver = ` with the name that `nut-scanner` gives",
)
def no_driver(conf: Configuration) -> Iterator[Spot]:
    """Find a device without a driver."""
    yield from (Spot(FILE, one.line, one.name) for one in conf.sections if not one.driver)


@RULES.refuse(
    "UC_NO_PORT",
    "[{at}] has no port, so that its driver does not start and upsd leaves the device out",
    "add `port = auto` for USB, else the line or the address",
)
def no_port(conf: Configuration) -> Iterator[Spot]:
    """Find a device without a port."""
    yield from (Spot(FILE, one.line, one.name) for one in conf.sections if not one.value("port"))


@RULES.refuse(
    "UC_PORT_AUTO",
    "the driver of [{at}] finds no device by itself, and ends at start with port = auto",
    "name the line (/dev/ttyS0, or better /dev/serial/by-id/...) or the address (netxml-ups wants"
    " http://ADDRESS)",
)
@looks.at_each_device
def port_auto(one: Section) -> Iterator[Spot]:
    """Find a word that only USB drivers know."""
    found = one.find("port") if one.driver in drivers.OPTIONS.keys() - drivers.FIND else None
    told = (one.value("porttype") or "").lower() == "usb"  # of apc_modbus; Debian's has no USB
    if found and found.value == "auto" and not told:
        yield Spot(FILE, found.line, one.name)


@RULES.refuse(
    "UC_PORT_TWICE",
    "[{at}] is on a line that another device of this file has, too: the driver that comes"
    " second ends",
    "give each its own line",
)
def port_twice(conf: Configuration) -> Iterator[Spot]:
    """Find two drivers on one line."""
    taken: set[str | None] = set()
    for one in conf.sections:
        found = one.find("port") if one.driver in drivers.SERIAL else None
        if found and (found.value or "").startswith("/dev/"):
            if found.value in taken:
                yield Spot(FILE, found.line, one.name)
            taken.add(found.value)


@RULES.refuse(
    "UC_DRIVER_GONE",
    "the driver of {at} was in older NUTs and is no longer in 2.8",
    "use its successor, with `nut-scanner` to see its options",
)
def driver_gone(conf: Configuration) -> Iterator[Spot]:
    """Find a driver of the past."""
    for one in conf.sections:
        if one.driver in drivers.GONE and not knows(conf, one.driver):
            yield _at_driver(one, f"[{one.name}] ({one.driver}, now {drivers.GONE[one.driver]})")


@RULES.refuse(
    "UC_UNKNOWN_DRIVER",
    "Debian's NUT {nut} has no such driver as {at}: its unit tries for ever while upsd and upsmon"
    " look active",
    "name the driver as `nut-scanner` does",
)
def unknown_driver(conf: Configuration) -> Iterator[Spot]:
    """Find a driver that is not there."""
    for one in conf.sections:
        if one.driver and not knows(conf, one.driver) and one.driver not in drivers.GONE:
            near = difflib.get_close_matches(one.driver, drivers.OPTIONS, n=1, cutoff=NEAR)
            perhaps = f", perhaps meant as {near[0]}" if near and knows(conf, near[0]) else ""
            found = one.find("driver")
            shown = f" ({one.driver}{perhaps})" if found and found.shown else ""
            yield _at_driver(one, f"[{one.name}] wants{shown}")


def _at_driver(section: Section, at: str = "") -> Spot:
    found = section.find("driver")
    return Spot(FILE, found.line if found else section.line, at or section.name)


@RULES.refuse(
    "UC_UNKNOWN_OPTION",
    "the driver of this device does not know the option {at} and ends at start",
    "remove it, or see what the driver takes with `/lib/nut/DRIVER -L`; maxretry, retrydelay,"
    " maxstartdelay and nowait belong before the first section",
)
def unknown_option(conf: Configuration) -> Iterator[Spot]:
    """Find what a driver would die of."""
    for section in conf.sections:
        for one in section.options if section.driver in drivers.OPTIONS else ():
            since = _since(section.driver)
            if not _takes(section.driver, one.name, since, conf.release):
                some = one.value is not None or one.name in since or _is_some_option(one.name)
                shown = one.shown and some
                name = releases.with_release(one.name, since) if shown else "(not shown)"
                yield Spot(FILE, one.line, f"{section.name}:{name}")


def _since(driver: str) -> Mapping[str, Release]:
    """Return which options a driver takes since a release only."""
    own = releases.OPTIONS.get(driver, {})
    return {**releases.COMMON, **(releases.USB if driver in drivers.USB else {}), **own}


def _takes(driver: str, name: str, since: Mapping[str, Release], release: Release) -> bool:
    if name in since:
        return since[name] <= release
    known = name in drivers.COMMON or name.lower() in drivers.OPTIONS[driver]
    return known or name.lower().startswith(drivers.PREFIXES)


def _is_some_option(name: str) -> bool:
    """Tell whether a lone word is an option of any driver; else it might be half a password."""
    every = drivers.COMMON | drivers.GLOBAL | frozenset().union(*drivers.OPTIONS.values())
    return name.lower() in every


@RULES.warn(
    "UC_USER_OTHER",
    "drivers shall run as {at}: unless the host has that user, and lets it at the device and at"
    " /run/nut, they end at start",
    "leave user out: Debian's NUT runs as user nut",
)
def user_other(conf: Configuration) -> Iterator[Spot]:
    """Find a user of another system, for whom get_user_pwent() ends a driver."""
    for one in conf.driver_options:
        if one.name == "user" and one.value not in ("nut", "root", None):
            yield Spot(FILE, one.line, one.value)


@RULES.warn(
    "UC_LINE_IGNORED",
    "NUT cannot use this line and goes on without it",
    "write `name = value`, a lone name for a flag, and a section's name without blanks",
)
def line_ignored(conf: Configuration) -> Iterator[Spot]:
    """Find lines without effect."""
    if conf.ups:
        yield from (Spot(FILE, line) for line in sorted({*conf.ups.ignored, *conf.ups.broken}))


@RULES.warn(
    "UC_GLOBAL_IGNORED",
    "{at} stands before the first section, where NUT {nut} does not know it: it counts for no"
    " device",
    "write it below the [name] of each device that it is for",
)
def global_ignored(conf: Configuration) -> Iterator[Spot]:
    """Find what do_global_args() of drivers/main.c and upsdrvctl leave out."""
    for one in conf.ups.globals if conf.ups and conf.sections else ():
        if one.name not in drivers.GLOBAL:
            shown = one.shown and (one.value is not None or _is_some_option(one.name))
            yield Spot(FILE, one.line, one.name if shown else "this line")


@RULES.refuse(
    "UC_DRIVERPATH_OTHER",
    "upsdrvctl looks for drivers in {at}, and Debian's are in /lib/nut: none is started, none cuts",
    "leave driverpath out",
)
def drivers_elsewhere(conf: Configuration) -> Iterator[Spot]:
    """Find the folder of a NUT that somebody built himself."""
    for one in conf.ups.globals if conf.ups and conf.sections else ():
        path = (one.value or "").rstrip("/").removeprefix("/usr")
        if one.name == "driverpath" and path != "/lib/nut":
            yield Spot(FILE, one.line, one.value or "")


@RULES.refuse(
    "UC_DUMMY_AS_SOURCE",
    "[{at}] is a simulated UPS (dummy-ups on a file): no cable, no stale data, nothing to cut",
    "use the driver of the real UPS",
)
def simulated(conf: Configuration) -> Iterator[Spot]:
    """Find a test rig in production."""
    yield from (_at_driver(one) for one in conf.sections if is_simulated(one) != _spare(conf, one))


@RULES.warn(
    "UC_DUMMY_BESIDE",
    "[{at}] is a simulated UPS (dummy-ups on a file) that no MONITOR line here watches: who follows"
    " it elsewhere is not guarded",
    "remove it",
)
def simulated_beside(conf: Configuration) -> Iterator[Spot]:
    """Find a test rig that was left beside the real device."""
    yield from (_at_driver(one) for one in conf.sections if _spare(conf, one))


def _spare(conf: Configuration, section: Section) -> bool:
    """Tell whether a device is simulated, and this host watches a real one in its place."""
    seen = [one for one in map(conf.section_of, conf.monitors) if one is not None]
    return is_simulated(section) and section not in seen and not all(map(is_simulated, seen))


@RULES.refuse(
    "UC_USB_AMBIGUOUS",
    "nothing tells the USB device of [{at}] from another one here: either driver may take either"
    " UPS, and the one that comes second ends",
    "add `serial = ` (or `busport = `) to each section",
)
def usb_ambiguous(conf: Configuration) -> Iterator[Spot]:
    """Find a driver that may take another's device."""
    found = [one for one in conf.sections if _is_usb(one)]
    for one in found:
        others = [other for other in found if other is not one and other.driver == one.driver]
        if any(_may_take(one, other) for other in others) and not one.find("allow_duplicates"):
            yield Spot(FILE, one.line, one.name)


@RULES.warn(
    "UC_USB_ALLOW_DUPLICATES",
    "[{at}] takes the first USB device that it gets, so that two UPSes may swap their names",
    "match each by its serial number or by its USB port",
)
def usb_duplicates(conf: Configuration) -> Iterator[Spot]:
    """Find devices that are told apart by luck."""
    yield from (
        Spot(FILE, one.line, one.name) for one in conf.sections if one.find("allow_duplicates")
    )


def _is_usb(section: Section) -> bool:
    blind = section.driver in ("bcmxcp_usb", "richcomm_usb")
    port = section.value("port") or "auto"
    return (section.driver in drivers.USB or blind) and not port.startswith("/dev/tty")


def _may_take(one: Section, other: Section) -> bool:
    """Tell whether all that `one` asks for is also said of `other`."""
    for name in drivers.USB_MATCH:
        asked, said = one.value(name), other.value(name)
        if asked is not None and (said is None or asked.lower() != said.lower()):
            return False
    return True


@RULES.refuse(
    "UC_USB_MATCH_BY_DEVICE_NUMBER",
    "[{at}] is matched by its USB device number, which changes at each plug and boot: the driver"
    " then finds nothing",
    "match by serial number, or by `busport`",
)
@looks.at_each_device
def usb_number(one: Section) -> Iterator[Spot]:
    """Find a match that does not last."""
    found = one.find("device") if _is_usb(one) else None
    if found:
        yield Spot(FILE, found.line, one.name)


@RULES.warn(
    "UC_NETWORK_DRIVER_KILLPOWER",
    "[{at}] is cut over the network, which may be down when the late hook sends the command",
    "connect it by USB or a serial line, or see by a plug pull to its end that it is cut",
)
def network_driver(conf: Configuration) -> Iterator[Spot]:
    """Find a UPS that the late hook cannot reach."""
    for one in conf.sections:
        able = not cuts.never_cuts(one.driver, one.value, conf.release)
        if able and cuts.over_network(one.driver, one.value("port") or ""):
            yield _at_driver(one)


@RULES.warn(
    "UC_DRIVER_NEVER_CUTS",
    "the driver of [{at}] cannot cut its output: hosts that have stopped stay off when the mains"
    " come back first",
    "set POWEROFF_WAIT in nut.conf so that this host restarts then, and let it wake the others",
)
def never_cuts(conf: Configuration) -> Iterator[Spot]:
    """Find a UPS that the late hook calls in vain; what a copy shows is cut by its own driver."""
    for one in conf.sections:
        there = knows(conf, one.driver) and one.driver not in cuts.COPIES
        if there and cuts.never_cuts(one.driver, one.value, conf.release):
            yield _at_driver(one)


@RULES.warn(
    "UC_SNMP_MIB_UNKNOWN",
    "snmp-ups of NUT 2.8 has no table of that name ({at}) and ends at start",
    "leave mibs out, or take a name of snmp-ups(8); `pw` is called eaton_pw_nm2 now, `pxgx_ups`"
    " eaton_pxg_ups",
)
@looks.at_each_device
def mib_unknown(one: Section) -> Iterator[Spot]:
    """Find a table that was renamed, or never was."""
    found = one.find("mibs") if one.driver == "snmp-ups" else None
    if found and found.value not in MIBS:
        yield Spot(FILE, found.line, f"{one.name}:{found.value}")


@RULES.warn(
    "UC_SNMP_DEFAULT_COMMUNITY",
    "[{at}] uses a default SNMP community: whoever is on the network may read, or cut",
    "set a community of its own, or SNMP v3",
)
@looks.at_each_device
def default_community(one: Section) -> Iterator[Spot]:
    """Find an open door."""
    version = (one.value("snmp_version") or "v1").lower()
    community = one.value("community") or "public"
    if one.driver == "snmp-ups" and version != "v3" and community in ("public", "private"):
        found = one.find("community")
        yield Spot(FILE, found.line if found else one.line, one.name)
