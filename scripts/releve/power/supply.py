"""Does a client hear of the shutdown when the mains are gone: what feeds the path between.

A switch that dies with the mains makes its clients deaf: none of four set-ups of NUT saved them,
and the primary lost its whole HOSTSYNC on their dead connections (measured on NUT 2.8.1). Three
things help, in this order: the switch is fed by the UPS; a second path that is, with MINSUPPLIES
equal to the number of paths; a rule on the client itself, when its window is not empty. Pure;
standard library only.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAINS = "mains"
CABLE = "cable"  # `via` of a path without any switch
OUTAGE_FACTOR = 1.5  # a planned outage of a switch may take that much longer than planned


class How(enum.StrEnum):
    """By what a client hears of the shutdown."""

    FED = "the switch is fed by the UPS"
    SECOND_PATH = "a second path, MINSUPPLIES equal to the number of paths"
    HOST_RULE = "the client decides by itself when it is blind"


@dataclass(frozen=True, slots=True)
class Path:
    """One way from the UPS's host to a client.

    `via` is the switch, or "cable" for a cable of its own. `powered_by` is the UPS that feeds the
    switch, "mains" when none does, None when nobody has said; a cable needs none.
    """

    via: str
    powered_by: str | None = None


@dataclass(frozen=True, slots=True)
class HostRule:
    """A client that shuts itself down after `after` seconds without any sign of the others.

    `planned_outage` is the longest that its switch is away on purpose (an update of its
    firmware). `after` None: to be computed.
    """

    planned_outage: int
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Battery:
    """What a UPS carries: seconds measured at the site's load (None: never), and the derate."""

    capacity: int | None
    derate: float

    @property
    def usable(self) -> int | None:
        """What is counted on, None when nothing was measured."""
        return None if self.capacity is None else math.floor(self.capacity * self.derate)


@dataclass(frozen=True, slots=True)
class Client:
    """A host that follows a UPS over the network.

    `min_supplies` is MINSUPPLIES of its upsmon, where each path is one MONITOR line of value 1.
    `stop_seconds` is what its own stop takes.
    """

    name: str
    paths: tuple[Path, ...]
    min_supplies: int = 1
    stop_seconds: int = 60
    rule: HostRule | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Between which seconds a host rule may fire, both ends left out."""

    above: int
    below: int

    @property
    def is_empty(self) -> bool:
        """Whether no whole second lies between."""
        return self.below - self.above < 2  # noqa: PLR2004  # one whole number between two

    @property
    def middle(self) -> int:
        """The second that is farthest from a false alarm and from being too late."""
        return (self.above + self.below) // 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one client: how it hears of the shutdown, or the one sentence why it does not."""

    client: str
    how: How | None
    fault: str | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """The UPS that decides, all UPSes, and what the site's shutdown takes (from the budget)."""

    ups: str
    batteries: Mapping[str, Battery]
    need: int
    hostsync: int

    @property
    def battery(self) -> Battery:
        """The battery of the UPS that decides."""
        return self.batteries[self.ups]


def window_of(rule: HostRule, site: Site, stop_seconds: int) -> Window | None:
    """Return when a host rule may fire; None when the battery was never measured.

    Later than any planned outage; earlier than what is left when the site's shutdown, a primary
    that waits for the dead and the client's own stop are taken off the derated capacity.
    """
    usable = site.battery.usable
    if usable is None:
        return None
    above = math.ceil(rule.planned_outage * OUTAGE_FACTOR)
    return Window(above, usable - site.need - site.hostsync - stop_seconds)


def judge(client: Client, site: Site) -> Verdict:
    """Say how a client hears of the shutdown when the mains are gone."""
    if not client.paths:
        return _refused(client, f"no path from {site.ups}'s host is known: name its switch")
    alive = [path for path in client.paths if _lives(path, site)]
    if len(alive) == len(client.paths):
        return Verdict(client.name, How.FED)
    if alive and client.min_supplies == len(client.paths):
        return Verdict(client.name, How.SECOND_PATH)
    if client.rule is not None:
        return _by_rule(client, client.rule, site)
    if alive:
        why = (
            f"it has {len(client.paths)} paths, one of which dies with the mains, and MINSUPPLIES "
            f"{client.min_supplies}: a path that was last seen on line counts as good for ever; "
            f"set MINSUPPLIES {len(client.paths)}"
        )
        return _refused(client, why)
    return _refused(client, _why_dead(client.paths[0], site))


def faults(clients: Iterable[Client], site: Site) -> list[str]:
    """Return one sentence for each client that would not hear of the shutdown."""
    verdicts = (judge(client, site) for client in clients)
    return [verdict.fault for verdict in verdicts if verdict.fault is not None]


def deaf(clients: Iterable[Mapping[str, Any]], site: Site) -> list[str]:
    """Return one sentence for each client, as the budget's settings have it, that hears nothing.

    A client is {name, stop_seconds} with `paths` ([{via, powered_by}]), `min_supplies` and
    `host_rule` ({planned_outage_seconds, after_seconds}); without any path nobody knows.
    """
    return faults((_client_of(one) for one in clients), site)


def _client_of(one: Mapping[str, Any]) -> Client:
    rule = one.get("host_rule")
    return Client(
        str(one["name"]),
        tuple(Path(path["via"], path.get("powered_by")) for path in one.get("paths") or ()),
        int(one.get("min_supplies") or 1),
        int(one["stop_seconds"]),
        HostRule(rule["planned_outage_seconds"], rule.get("after_seconds")) if rule else None,
    )


def supply_faults(host: str, supplies: Mapping[str, int], min_supplies: int) -> list[str]:
    """Return what is wrong with a host's power supplies: UPS -> how many it feeds, MINSUPPLIES."""
    total = sum(supplies.values())
    if any(count < 1 for count in supplies.values()) or not supplies:
        return [f"{host}: each UPS it lists must feed at least one of its power supplies"]
    if not 1 <= min_supplies <= total:
        return [
            f"{host}: MINSUPPLIES {min_supplies} with {total} power supplies: upsmon refuses 0, and"
            f" with more than {total} the host shuts down at once; 1 to {total} would do"
        ]
    return []


def _lives(path: Path, site: Site) -> bool:
    """Tell whether a path outlives the shutdown of the site."""
    if path.via == CABLE or path.powered_by == site.ups:
        return True
    if path.powered_by is None or path.powered_by not in site.batteries:
        return False
    other, own = site.batteries[path.powered_by].usable, site.battery.usable
    return other is not None and own is not None and other >= own


def _by_rule(client: Client, rule: HostRule, site: Site) -> Verdict:
    window = window_of(rule, site, client.stop_seconds)
    if window is None:
        return _refused(
            client, f"a host rule needs {site.ups}'s capacity, which was never measured"
        )
    sums = (
        f"later than {window.above} s ({rule.planned_outage} s of planned outage x "
        f"{OUTAGE_FACTOR:g}) and earlier than {window.below} s ({site.battery.usable} s of battery"
        f" - {site.need} s of shutdown - {site.hostsync} s HOSTSYNC - {client.stop_seconds} s of "
        "its own stop)"
    )
    if window.is_empty:
        cure = f"feed its switch from {site.ups}"
        return _refused(client, f"its host rule would have to fire {sums}, which cannot be: {cure}")
    after = window.middle if rule.after is None else rule.after
    if not window.above < after < window.below:
        return _refused(client, f"its host rule fires after {after} s, it has to be {sums}")
    return Verdict(client.name, How.HOST_RULE, after=after)


def _why_dead(path: Path, site: Site) -> str:
    cure = (
        f"feed it from {site.ups}, or give the client a second path with MINSUPPLIES 2, or a host "
        "rule"
    )
    if path.powered_by is None:
        return f"nobody has said what feeds {path.via} (powered_by: a UPS or mains)"
    if path.powered_by == MAINS:
        return f"{path.via} is fed by the mains and dies with them: {cure}"
    if path.powered_by not in site.batteries:
        return f"{path.via} is fed by {path.powered_by}, which is no UPS of this town: {cure}"
    other, own = site.batteries[path.powered_by].usable, site.battery.usable
    return (
        f"{path.via} is fed by {path.powered_by}, which carries {_told(other)} against "
        f"{_told(own)} of {site.ups}: {cure}"
    )


def _told(seconds: int | None) -> str:
    return "an unknown time" if seconds is None else f"{seconds} s"


def _refused(client: Client, why: str) -> Verdict:
    return Verdict(
        client.name, None, f"{client.name} would not hear of a shutdown without mains: {why}"
    )
