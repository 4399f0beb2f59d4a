"""Make a plan: facts of all guests, verdicts, rungs, forecasts. Nothing is changed anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from releve.drills.evidence import now
from releve.errors import RefusedError
from releve.migrate.bandwidth import share
from releve.migrate.plan.forecast import Forecast, forecast
from releve.migrate.plan.frozen import SCHEMA, changes, seal
from releve.migrate.plan.order import order, waves
from releve.migrate.plan.terms import NO_TERMS, Terms
from releve.migrate.preflight.check import Result, Verdict, judge
from releve.migrate.preflight.gather import Gatherer
from releve.migrate.preflight.identity import compare, shown
from releve.migrate.preflight.table import CHECKS
from releve.migrate.preflight.waive import waivers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from releve.migrate.preflight.facts import Facts
    from releve.migrate.preflight.identity import Change
    from releve.town import Town


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """How one guest would move, and what stands in its way."""

    facts: Facts
    results: tuple[Result, ...]
    forecast: Forecast | None

    @property
    def name(self) -> str:
        """The guest's name in the town file."""
        return self.facts.name

    @property
    def stops(self) -> tuple[Result, ...]:
        """What stands in the way."""
        return tuple(result for result in self.results if result.stops)

    @property
    def possible(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.stops

    @property
    def waived(self) -> dict[str, str]:
        """Check -> reason, of those that were waived and would have said something."""
        return {result.id: result.waived for result in self.results if result.waived}

    @property
    def identity(self) -> list[Change]:
        """What the guest sees of its machine, now and on its node."""
        seen = self.facts.source
        return compare(seen.domain, shown(self.facts)) if seen and seen.domain else []

    @property
    def rungs(self) -> dict[str, dict[str, str]]:
        """Disk -> how it is read, why, and what the guest's stop follows."""
        disks = self.forecast.disks if self.forecast else ()
        return {
            disk.name: {
                "rung": disk.rung.name,
                "why": disk.rung.why,
                "downtime": disk.rung.downtime,
            }
            for disk in disks
        }

    def as_dict(self) -> dict[str, Any]:
        """Return what a plan file holds of it."""
        guest = self.facts.guest
        return {
            "source": guest.source,
            "target": guest.target,
            "possible": self.possible,
            "rungs": self.rungs,
            "identity": [change.as_dict() for change in self.identity],
            "forecast": self.forecast.as_dict() if self.forecast else None,
            "checks": [result.as_dict() for result in self.results],
            "matters": matters(self.facts),
        }


def matters(facts: Facts) -> dict[str, Any]:
    """Return what a frozen plan rests on: if any of it changes, the plan is void."""
    town, guest = facts.town, facts.guest
    networks = sorted({nic.network for nic in guest.nics})
    rest: dict[str, Any] = {
        "town.yml": {
            "guest": guest.model_dump(mode="json", exclude={"waive"}),
            "source": town.hosts[guest.source].model_dump(mode="json"),
            "target": town.hosts[guest.target].model_dump(mode="json"),
            "storage": town.storage[guest.storage].model_dump(mode="json"),
            "networks": {name: town.networks[name].model_dump(mode="json") for name in networks},
        }
    }
    seen = facts.source
    if seen is None:
        return {**rest, "source": None}
    rest["source"] = {
        "uuid": seen.uuid,
        "works": seen.running,
        "macs": list(seen.macs),
        "snapshots": list(seen.snapshots),
        "firmware": seen.firmware.file if seen.firmware else None,
        "disks": {
            disk.name: {
                "file": disk.file,
                "format": disk.format,
                "bus": disk.bus,
                "size": disk.size,
                "layers": [layer.file for layer in disk.layers],
            }
            for disk in seen.disks
        },
        "identity": seen.domain.fingerprint() if seen.domain else {},
    }
    return rest


def plan_guest(facts: Facts, terms: Terms) -> GuestPlan:
    """Judge one guest; raises InputError for a waiver that cannot be."""
    waivers = waivers_of(facts.town, facts.name, terms.waive)
    limit = share(facts.town, [facts.name], terms.bandwidth)
    facts = replace(facts, window=terms.window, bandwidth=limit)
    expected = forecast(facts)
    if expected is not None:
        facts = replace(facts, seed=expected.seed, downtime=expected.downtime)
    return GuestPlan(facts, tuple(judge(CHECKS, facts, waivers)), expected)


def make_plan(
    town: Town,
    names: Sequence[str],
    terms: Terms = NO_TERMS,
    seconds: float = 0,
    gather: Callable[[str], Facts] | None = None,
) -> tuple[dict[str, Any], list[GuestPlan]]:
    """Return a sealed plan and its guests in the order of their move.

    With `seconds` the way of the bytes is measured for about so long. `gather` gives a guest's
    facts; left out, the hosts are asked.
    """
    chosen = order(town, names)
    for name in chosen:
        waivers_of(town, name, terms.waive)  # what cannot be is said before any host is asked
    gather = gather or Gatherer(town, chosen, seconds).facts
    each = replace(terms, bandwidth=str(share(town, chosen, terms.bandwidth)))
    guests = [plan_guest(gather(name), each) for name in chosen]
    content = {
        "schema": SCHEMA,
        "made": now(),
        "town": town.town.name,
        "terms": terms.as_dict(),
        "possible": all(guest.possible for guest in guests),
        "waves": waves(town, names),
        "guests": {guest.name: guest.as_dict() for guest in guests},
        "space": space(guests),
    }
    return seal(content), guests


def space(guests: Sequence[GuestPlan]) -> dict[str, dict[str, int | None]]:
    """Return storage -> bytes that the plan needs there (10 % included) and bytes free."""
    found: dict[str, dict[str, int | None]] = {}
    for one in guests:
        name = one.facts.guest.storage
        need = one.facts.together.disks.get(name, 0)
        storage = one.facts.api.storages.get(name)
        free = None if storage is None else storage.free
        found[name] = {"needed": need + -(-need // 10), "free": free}
    return found


def refuse(guest: GuestPlan) -> None:
    """Raise RefusedError when something stands in the way, with all of it."""
    if guest.possible:
        return
    lines = [
        f"{stop.id}: {stop.value}{'; ' if stop.remedy else ''}{stop.remedy}" for stop in guest.stops
    ]
    raise RefusedError(f"{guest.name}: " + f"\n{guest.name}: ".join(lines))


def permit(
    town: Town,
    name: str,
    terms: Terms = NO_TERMS,
    frozen: Mapping[str, Any] | None = None,
    gather: Callable[[str], Facts] | None = None,
) -> dict[str, Any]:
    """Return what the journal of a run keeps of its plan; raises RefusedError when it must not.

    With a `frozen` plan nothing that it rests on may have changed, and its waivers and window
    hold; without one the guest is planned now. Nothing is changed.
    """
    if frozen is not None:
        terms = replace(
            terms,
            waive=(*_frozen_waivers(frozen, name), *terms.waive),
            window=frozen["terms"]["window_seconds"],
        )
    facts = (gather or Gatherer(town, [name]).facts)(name)
    guest = plan_guest(facts, terms)
    if frozen is not None:
        _refuse_changed(frozen, guest)
    refuse(guest)
    looked = sum(result.verdict is Verdict.PASSED for result in guest.results)
    plan = {"plan": frozen["sha256"], "terms": frozen["terms"]} if frozen is not None else {}
    return {**plan, "preflight": looked, "waived": guest.waived}


def _frozen_waivers(frozen: Mapping[str, Any], name: str) -> list[str]:
    guest = frozen["guests"].get(name)
    if guest is None:
        held = ", ".join(frozen["guests"])
        message = f"{name}: this plan does not hold it, but {held}; make a plan with it"
        raise RefusedError(message)
    if not guest["possible"]:
        stops = ", ".join(check["id"] for check in guest["checks"] if check["stops"])
        message = f"{name}: this plan was refused ({stops}); mend that, then plan again"
        raise RefusedError(message)
    checks = guest["checks"]
    return [f"{check['id']}={check['waived']}" for check in checks if check.get("waived")]


def _refuse_changed(frozen: Mapping[str, Any], guest: GuestPlan) -> None:
    if found := changes(frozen["guests"][guest.name]["matters"], matters(guest.facts)):
        since = f"changed since the plan of {frozen['made']} was frozen"
        lines = [f"{guest.name}: {since}: {line}; plan again" for line in found]
        raise RefusedError("\n".join(lines))
