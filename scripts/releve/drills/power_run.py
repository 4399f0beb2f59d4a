"""Run a level of the power drill on a town: put its parts together, keep the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.drills import plug_pull, power_guests, power_paper, power_shadow
from releve.drills.evidence import Evidence
from releve.drills.mains import LabMains
from releve.drills.power import PowerDrill
from releve.drills.power_after import judge_flags
from releve.drills.ups_host import UpsHost, Watch, hosts_of
from releve.playbook import variables
from releve.pve.guests import Guests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.drills.plug_pull import Person
    from releve.drills.power_guests import Stop
    from releve.drills.power_levels import Level
    from releve.power.measurement import Measurement
    from releve.town.model import Town

    Agree = Callable[[list[Stop]], None]

MEASURED = "measured"  # folder beside the evidence's, of the records that a drill makes


def run_paper(town: Town, ups: str, level: Level, folder: Path) -> Evidence:
    """Level 0: nothing is touched."""
    with Evidence(level.evidence, folder) as evidence:
        told = variables(town, town.ups[ups].host)
        power_paper.drill(town, ups, told, hosts_of(town, ups), evidence)
    return evidence


def run_shadow(
    town: Town, ups: str, level: Level, folder: Path, tell: Callable[[str], None]
) -> Evidence:
    """Level 1: nothing stops; raises LaterError, RefusedError as a host says it."""
    with Evidence(level.evidence, folder) as evidence:
        hosts = hosts_of(town, ups)
        followed = {name: town.ups[ups].followed_by(ups, name) for name in hosts}
        power_shadow.drill(followed, hosts, evidence, tell)
        judge_flags(hosts, evidence)
    return evidence


def run_guests(
    town: Town, ups: str, level: Level, folder: Path, tell: Callable[[str], None], *, agree: Agree
) -> Evidence:
    """Level 2: `agree` is asked before anything stops, and raises to say no."""
    host = town.ups[ups].host
    drill = power_guests.GuestDrill(town, host, Guests.of(town, host), tell)
    stops = drill.plan()
    agree(stops)
    with Evidence(level.evidence, folder) as evidence:
        drill.run(stops, evidence)
        judge_flags(hosts_of(town, ups), evidence)
    return evidence


def run_whole(
    town: Town, ups: str, lab: Path, folder: Path, tell: Callable[[str], None]
) -> tuple[Evidence, Measurement]:
    """Level 3, in the lab; raises as `PowerDrill.run`."""
    drill = PowerDrill(town, LabMains(lab, ups), ups, tell)
    evidence = drill.run(folder)
    return evidence, drill.record()


def run_plug(
    town: Town, ups: str, level: Level, folder: Path, person: Person
) -> tuple[Evidence, Measurement]:
    """Level 4: the plug of the UPS is pulled; raises LaterError, RefusedError before that."""
    name = town.ups[ups].host
    host = UpsHost.of(town, ups)
    deployed = power_paper.deployed_budget(name, ups, host)
    budget = plug_pull.of_the_first(deployed, town.ups[ups].tiers.values())
    clients = tuple(str(town.hosts[one].address) for one in town.secondaries(ups))
    with Watch.of(host, ups) as watch:
        pull = plug_pull.PlugPull(ups, name, clients, person, watch, budget)
        with Evidence(level.evidence, folder) as evidence:
            record = pull.run(evidence)
            judge_flags(hosts_of(town, ups), evidence)
    return evidence, record
