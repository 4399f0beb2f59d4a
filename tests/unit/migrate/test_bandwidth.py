"""What the town allows of a line reaches the worker, in equal parts, by the town's clock."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.migrate.migrate_rig import World, rig
from tests.unit.migrate.preflight.good import broken

from releve.blocks.schedule import UNLIMITED, parse
from releve.errors import InputError
from releve.migrate.bandwidth import share
from releve.migrate.plan import Terms
from releve.migrate.plan.make import plan_guest
from releve.town import load_town
from releve.town.model import Migrate

if TYPE_CHECKING:
    from releve.town import Town

LAB = Path(__file__).parents[3] / "inventory" / "lab"
OFFICE = "mo-fr 08:00-18:00 20; sa pause; 80"
BOTH = ("compta", "dossiers")


def town(**migrate: Any) -> Town:
    return load_town(LAB).model_copy(update={"migrate": Migrate(**migrate)})


@pytest.mark.parametrize(
    ("said", "kept"), [(0, "0"), (20, "20"), (12.5, "12.5"), ("20", "20"), (OFFICE, OFFICE)]
)
def test_a_town_says_a_number_or_a_schedule(said: Any, kept: str) -> None:
    assert town(bandwidth=said).migrate.bandwidth == kept


def test_a_line_is_shared_by_those_that_are_copied_at_once() -> None:
    one = town(bandwidth=OFFICE, parallel=2)

    assert str(share(one, BOTH)) == "mo-fr 08:00-18:00 10; sa pause; 40"
    assert str(share(one, ["compta"])) == OFFICE, "a guest alone has the whole line"
    assert str(share(one, BOTH, parallel=1)) == OFFICE
    assert str(share(one, BOTH, "7")) == "3.5"
    assert not share(one, BOTH, "0").windows


def test_the_hours_are_those_of_the_town() -> None:
    limit = share(town(bandwidth=OFFICE), ["compta"])
    winter = datetime.datetime(2026, 11, 23, 7, 30, tzinfo=datetime.UTC)
    summer = datetime.datetime(2026, 7, 20, 6, 30, tzinfo=datetime.UTC)

    assert [limit.rate(moment) for moment in (winter, summer)] == [20, 20]
    assert limit.rate(winter - datetime.timedelta(hours=1)) == 80


def test_a_limit_that_cannot_be_is_refused_before_anything_moves() -> None:
    with pytest.raises(InputError, match="'quick' is no rate"):
        share(town(), BOTH, "quick")


def test_seed_and_audit_are_held_to_it_and_what_delays_the_stop_is_not(tmp_path: Path) -> None:
    one = rig(World(), tmp_path)
    one.bandwidth = share(one.town, ["compta"], OFFICE)

    one.go_on()

    told = (OFFICE, "Europe/Brussels")
    assert one.world.limits["seed"] == told
    assert one.world.limits["audit"] == told
    assert one.world.limits["round"] == (None, None)


def test_a_plan_reckons_with_the_mean_of_the_week_and_says_so() -> None:
    facts = broken("path.rate", 100e6)
    free = plan_guest(facts, Terms()).forecast
    held = plan_guest(facts, Terms(bandwidth="mo-fr pause; 10")).forecast
    assert free
    assert held

    assert held.seed / free.seed == pytest.approx(100e6 / (10 * 2**20 * 2 / 7))
    assert held.assumed[-1] == "3 MiB/s for the seed, the mean of the schedule's week"
    assert held.downtime == pytest.approx(free.downtime, rel=0.5), "the stop is not slowed down"
    assert parse("0").mean(50) == 50
    assert parse("mo unlimited; 7").rate(datetime.datetime(2026, 11, 23, 12, 0)) == UNLIMITED  # noqa: DTZ001
