"""Drop-ins of systemd: whether NUT's daemons still do what their files say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint import cuts
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.units import DAEMONS, GUESTS, Setting, has_word, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration

RULES = Rules()
MONITOR = "nut-monitor.service"
SERVICES = tuple(f"{name}.service" for name in DAEMONS)
# mode -> what it cannot do without
NEEDED = {
    "netclient": (MONITOR,),
    "standalone": (MONITOR, "nut-server.service", "nut-driver.target"),
    "netserver": (MONITOR, "nut-server.service", "nut-driver.target"),
}
SERVES_NOTHING = ("no", "false", "0", "off", "")
# Whatever these say, the daemons do what NUT's own files say.
HARMLESS = frozenset(
    [
        "After", "Before", "Description", "Documentation", "LimitNOFILE", "LogLevelMax", "Nice",
        "OOMScoreAdjust", "OnFailure", "PartOf", "Requires", "Restart", "RestartSec",
        "StandardError", "StandardOutput", "StartLimitBurst", "StartLimitInterval",
        "StartLimitIntervalSec", "SyslogIdentifier", "TimeoutStartSec", "UMask", "Wants",
        "WantedBy", "WatchdogSec",
    ]
)  # fmt: skip
JUDGED = frozenset(
    ["DeviceAllow", "DevicePolicy", "Environment", "ExecStart", "InaccessiblePaths",
     "PrivateDevices", "PrivateNetwork", "PrivateTmp", "ProtectSystem", "ReadOnlyPaths",
     "ReadWritePaths", "User"]
)  # fmt: skip


def _spot(one: Setting, at: str = "") -> Spot:
    return Spot(one.file, one.line, at or one.unit)


def _of_daemons(conf: Configuration, *keys: str) -> Iterator[Setting]:
    if conf.units:
        for service in SERVICES:  # nut-driver@ stands for its instances, too
            yield from conf.units.of(service, *keys)


@RULES.refuse(
    "SD_MASKED",
    "{at} is masked and is never started",
    "systemctl unmask it",
)
def masked(conf: Configuration) -> Iterator[Spot]:
    """Find a daemon that somebody has switched off for good."""
    needed = (*NEEDED.get(conf.mode or "", (MONITOR,)), "nut.target")
    for unit, file in conf.units.masked if conf.units else ():
        if unit in needed or (unit.startswith("nut-driver@") and conf.mode != "netclient"):
            yield Spot(file, at=unit)


@RULES.refuse(
    "SD_OTHER_FILES",
    "{at} reads its files from another folder than this one, so that nothing here counts",
    "remove NUT_CONFPATH from the drop-in, or lint that folder",
)
def other_files(conf: Configuration) -> Iterator[Spot]:
    """Find a daemon that reads something else."""
    for one in _of_daemons(conf, "Environment"):
        for word in words(one.value):
            name, _, value = word.partition("=")
            if name == "NUT_CONFPATH" and value.rstrip("/") != "/etc/nut":
                yield _spot(one)


@RULES.warn(
    "SD_OTHER_PROGRAM",
    "a drop-in starts another program or other options as {at}: what it does is not known here",
    "remove ExecStart from the drop-in; what NUT needs is in its own files",
)
def other_program(conf: Configuration) -> Iterator[Spot]:
    """Find a daemon that is another one."""
    yield from (_spot(one) for one in _of_daemons(conf, "ExecStart") if one.value)


@RULES.refuse(
    "SD_MONITOR_WITHOUT_ROOT",
    "upsmon is started as {at}: it cannot stop this host, and leaves no kill-power flag",
    "remove User from the drop-in; upsmon itself gives up what it does not need (RUN_AS_USER)",
)
def without_root(conf: Configuration) -> Iterator[Spot]:
    """Find a monitor that may not do its one thing."""
    found = conf.units.last(MONITOR, "User") if conf.units else None
    if found and found.value not in ("", "root", "0"):
        yield _spot(found, found.value)


@RULES.refuse(
    "SD_FLAG_NOT_WRITABLE",
    "the drop-in shuts upsmon off from the place of its kill-power flag ({at}): the UPS is never"
    " cut",
    "set POWERDOWNFLAG /run/nut/killpower, and ReadWritePaths=/run/nut where ProtectSystem=strict",
)
def flag_shut_off(conf: Configuration) -> Iterator[Spot]:
    """Find a flag that upsmon cannot write, or writes where nobody else looks."""
    flag = conf.upsmon.value("POWERDOWNFLAG") if conf.upsmon else None
    leads = any(one.is_primary for one in conf.monitors)
    if conf.units is None or flag is None or not leads:
        return
    flag = flag.replace("/var/run/", "/run/", 1) if flag.startswith("/var/run/") else flag
    if any(_below(flag, path) for path in _paths(conf, "ReadWritePaths")):
        return
    for key in ("ProtectSystem", "PrivateTmp", "ReadOnlyPaths", "InaccessiblePaths"):
        found = conf.units.last(MONITOR, key)
        if found and _shuts(found, flag):
            yield _spot(found, flag)


def _paths(conf: Configuration, key: str) -> list[str]:
    settings = conf.units.of(MONITOR, key) if conf.units else ()
    return [word.lstrip("-+") for one in settings for word in words(one.value)]


def _below(file: str, folder: str) -> bool:
    return file == folder or file.startswith(folder.rstrip("/") + "/")


def _shuts(found: Setting, flag: str) -> bool:
    value = found.value.lower()
    if found.key == "PrivateTmp":
        return value not in SERVES_NOTHING and flag.startswith(("/tmp/", "/var/tmp/"))  # noqa: S108  # judged
    if found.key != "ProtectSystem":
        return any(_below(flag, word.lstrip("-+")) for word in words(found.value))
    if value in SERVES_NOTHING:
        return False
    shut = ("/usr/", "/boot/", "/efi/") + (("/etc/",) if value == "full" else ())
    return value == "strict" or flag.startswith(shut)


@RULES.refuse(
    "SD_SHUT_OFF",
    "the drop-in shuts its program off from what it needs ({at}): no UPS is seen",
    "remove it; DeviceAllow=char-usb_device rw lets a driver at its cable under DevicePolicy",
)
def shut_off(conf: Configuration) -> Iterator[Spot]:
    """Find a driver without its cable, and a daemon alone in a network of its own."""
    network = [cuts.over_network(one.driver, one.value("port") or "") for one in conf.sections]
    cable = not network or not all(network)
    for service in SERVICES if conf.units else ():
        driver = service.startswith("nut-driver")
        keys = ("PrivateDevices", "DevicePolicy") if driver and cable else ()
        alone = ("PrivateNetwork",) if not driver or any(network) else ()
        for key in (*keys, *alone):
            found = conf.units.last(service, key) if conf.units else None
            if found and _keeps_off(conf, found):
                yield _spot(found, f"{key}={found.value}")


def _keeps_off(conf: Configuration, found: Setting) -> bool:
    allowed = conf.units is not None and conf.units.last(found.unit, "DeviceAllow")
    if found.key == "DevicePolicy":
        return found.value in ("closed", "strict") and not allowed
    return found.value.lower() not in SERVES_NOTHING


@RULES.refuse(
    "SD_GUESTS_UNWAITED",
    "this host has guests, and systemd stops its monitor beside them: the host with the cable"
    " thinks that it is down while they still stop",
    "set SHUTDOWNEXIT no in upsmon.conf, and After=nut-monitor.service for pve-guests.service",
)
def guests_unwaited(conf: Configuration) -> Iterator[Spot]:
    """Find a secondary that logs out before its guests are down; both halves are needed."""
    follows = conf.monitors and not any(one.is_primary for one in conf.monitors)
    if conf.units is None or conf.upsmon is None or not conf.units.has_guests or not follows:
        return
    after = has_word(conf.units.of(GUESTS, "After"), MONITOR)
    before = has_word(conf.units.of(MONITOR, "Before"), GUESTS)
    if not ((after or before) and conf.upsmon.stays):
        found = conf.upsmon.last("SHUTDOWNEXIT")
        yield Spot("upsmon.conf", found.number if found else 0)


@RULES.warn(
    "SD_IGNORED",
    "systemd ignores this line (or this file, which is not called *.conf)",
    "write KEY=VALUE under a [Section]",
)
def ignored(conf: Configuration) -> Iterator[Spot]:
    """Find a wish without effect."""
    yield from (Spot(file, line) for file, line in (conf.units.ignored if conf.units else ()))


@RULES.note(
    "SD_NOT_JUDGED",
    "{at} is set by a drop-in, and what it does to NUT is not judged here",
    "look at it yourself: `systemctl cat` shows the whole unit",
)
def not_judged(conf: Configuration) -> Iterator[Spot]:
    """Say what the linter cannot know."""
    for one in conf.units.settings if conf.units else ():
        key = one.key
        known = key in HARMLESS | JUDGED or key.startswith("X-")
        if one.unit != GUESTS and not known and one.section in ("Service", "Unit"):
            yield _spot(one, f"{one.unit} {key}")
