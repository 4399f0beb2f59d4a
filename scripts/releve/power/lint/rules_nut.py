"""nut.conf: which daemons the host runs, as Debian's wrappers of upsd and upsmon read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.power.lint.address import is_loopback
from releve.power.lint.finding import Rules, Spot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration

RULES = Rules()
FILE = "nut.conf"
KNOWN = ("none", "standalone", "netserver", "netclient")


def _line(conf: Configuration) -> int:
    return conf.nut.lines.get("MODE", 0) if conf.nut else 0


def _computed(conf: Configuration) -> int | None:
    """Return the line that works MODE out, or that reads another file where it may stand."""
    if conf.nut is None or conf.mode is not None:
        return None
    return conf.nut.computed.get("MODE", conf.nut.computed.get("."))


@RULES.refuse(
    "NC_MODE_NONE",
    "MODE=none starts no daemon, and the late hook takes the wrapper's success for a set"
    " kill-power flag, so that an ordinary power-off cuts the UPS",
    "set MODE=netserver where the UPS is plugged in and MODE=netclient elsewhere",
)
def mode_none(conf: Configuration) -> Iterator[Spot]:
    """Find the package's default."""
    if conf.mode == "none":
        yield Spot(FILE, _line(conf))


@RULES.refuse(
    "NC_MODE_SPACES",
    "the shell of the late hook takes MODE with blanks around the equals sign for a command:"
    " the daemons may run, but `upsmon -K` fails and the UPS is never cut",
    "write MODE=netserver without blanks",
)
def mode_spaces(conf: Configuration) -> Iterator[Spot]:
    """Find a MODE that only systemd understands."""
    if conf.nut and "MODE" not in conf.nut.values:
        yield from (Spot(FILE, one.line) for one in conf.nut.strays if one.name == "MODE")


@RULES.refuse(
    "NC_MODE_MISSING",
    "MODE is not set: the wrappers of upsd and upsmon exit with a fault and nothing is started",
    "set MODE=netserver where the UPS is plugged in and MODE=netclient elsewhere",
)
def mode_missing(conf: Configuration) -> Iterator[Spot]:
    """Find a nut.conf without MODE."""
    missing = conf.mode is None and _computed(conf) is None
    if conf.nut and missing and conf.nut.open_line is None:
        yield Spot(FILE)


@RULES.warn(
    "NC_MODE_COMPUTED",
    "MODE comes of a command or of another file, so that nothing here tells which daemons run",
    "write MODE=netserver, or netclient",
)
def mode_computed(conf: Configuration) -> Iterator[Spot]:
    """Find a MODE that only the host's own shell can tell."""
    line = _computed(conf)
    if line is not None:
        yield Spot(FILE, line)


@RULES.refuse(
    "NC_MODE_LATE",
    "the late hook reads another MODE than the daemons, which have their variables of systemd, too:"
    " `upsmon -K` fails there and the UPS is never cut",
    "write MODE=netserver, with nothing to expand",
)
def mode_late(conf: Configuration) -> Iterator[Spot]:
    """Find a MODE that hangs on a variable which the shell does not have."""
    told = conf.nut is not None and "MODE" in conf.nut.values and conf.mode in KNOWN
    if conf.nut and told and conf.nut.late.get("MODE") != conf.mode:
        yield Spot(FILE, _line(conf))


@RULES.refuse(
    "NC_MODE_UNKNOWN",
    "MODE is none of netserver, netclient and standalone, so that the wrappers of upsd and upsmon"
    " exit with a fault (capitals, a Windows line end and a no-break space count, and of"
    " MODE=${MODE:-...} they get these very letters, by systemd)",
    "write one of the three in small letters",
)
def mode_unknown(conf: Configuration) -> Iterator[Spot]:
    """Find a MODE that Debian's wrappers do not know."""
    if conf.mode is not None and conf.mode not in KNOWN:
        yield Spot(FILE, _line(conf))


@RULES.refuse(
    "NC_SHELL_ERROR",
    "a quote is opened and never closed: the shell that reads nut.conf gives up and no daemon"
    " starts",
    "close the quote",
)
def shell_error(conf: Configuration) -> Iterator[Spot]:
    """Find what no shell can read."""
    if conf.nut and conf.nut.open_line is not None:
        yield Spot(FILE, conf.nut.open_line)


@RULES.warn(
    "NC_STANDALONE_OPEN",
    "the mode is standalone, yet upsd listens to the network at {at}",
    "set MODE=netserver if others depend on this UPS, else listen on 127.0.0.1 only",
)
def standalone_open(conf: Configuration) -> Iterator[Spot]:
    """Find a server that says that it is none."""
    if conf.mode == "standalone" and conf.upsd:
        for one in conf.upsd.listens:
            if not is_loopback(one.address):
                yield Spot("upsd.conf", one.line, one.address)
                return


@RULES.refuse(
    "NC_CLIENT_WITH_DRIVERS",
    "a client (MODE=netclient) has the device [{at}] in ups.conf: once a kill-power flag is there,"
    " its own shutdown cuts that UPS under all others",
    "remove the section, or make this host the primary",
)
def client_with_drivers(conf: Configuration) -> Iterator[Spot]:
    """Find a client that could cut."""
    if conf.mode == "netclient":
        yield from (Spot("ups.conf", one.line, one.name) for one in conf.sections)
