"""The town hall in mode policy: our driver decides, stock upsmon stops the same hosts as cleanly.

Allowed once drills 1 and 3 have passed, as test_power has it; the way back to stock is a play, too.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.scenario.beside import Beside
from tests.scenario.stage import GUESTS, TOWN, changed, do
from tests.scenario.test_power import GUARDED, Site, power_off_cuts_nobody
from tests.scenario.test_power import site as site  # noqa: PLC0414  # a fixture is named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
POLICY = {"mode": "policy", "tiers": {"early": {"hosts": ["nas"], "after_seconds": 8}}}
PROVED = {"nut_primary_policy_proved": True}
PLAY = "playbooks/power.yml"


@pytest.fixture(scope="module")
def town(lab: Lab, site: Site) -> Iterator[Beside]:
    """Give the town with its UPS in mode policy; afterwards it is as before."""
    assert site.runs("compta")
    here = Beside.of(lab, "policy", {"ups": {"ups1": POLICY}})
    (here.folder / "group_vars").unlink()
    for name in ("group_vars", "measured"):
        shutil.copytree(lab.town.folder / name, here.folder / name)
    file = here.folder / "group_vars" / "nut_primaries" / "proved.yml"
    file.write_text(yaml.safe_dump(PROVED))
    yield here
    do(lab, "ansible-playbook", "-i", TOWN, PLAY)


def play(town: Beside, *options: str, code: int | None = 0) -> str:
    """Run the play of this town."""
    return do(
        town.lab, "ansible-playbook", "-i", str(town.folder / "town.yml"), PLAY, *options,
        code=code, RELEVE_INVENTORY=str(town.folder),
    )  # fmt: skip


def test_who_has_not_proved_it_is_refused(town: Beside) -> None:
    not_yet = json.dumps({"nut_primary_policy_proved": False})
    said = play(town, "-e", not_yet, "--limit", "pve1", code=None)

    assert "mode policy is allowed once drills 1 and 3 have passed" in " ".join(said.split())


def test_the_play_goes_over_to_it_once(town: Beside) -> None:
    play(town)

    assert changed(play(town)) == 0


def test_the_shadow_sees_every_host_follow_its_own_tier(town: Beside) -> None:
    town.do("releve", "drill", "power", "--lab", "--level", "1")

    told = {(one["subject"], one["what"]) for one in town.evidence("power-1")["events"]}
    for host in GUARDED:
        assert (host, "SHUTDOWNCMD is called, as a recorder") in told


def test_a_cut_is_survived_tier_by_tier_and_unattended(town: Beside) -> None:
    boots = {name: town.lab.ask(name) for name in GUESTS}
    town.do("releve", "drill", "power", "--lab")

    assert town.failed("power") == set()
    for name in GUESTS:
        after = town.lab.ask(name, 120)
        assert after.whole
        assert (after.boots, after.unclean) == (boots[name].boots + 1, boots[name].unclean)


def test_an_ordinary_power_off_cuts_nobody(town: Beside, site: Site) -> None:
    assert town.lab.running("nas")
    power_off_cuts_nobody(site)


def test_a_plug_is_pulled_and_put_back(town: Beside) -> None:
    town.do("releve", "drill", "power", "--lab", "--level", "4")

    assert town.failed("power-4") == set()
