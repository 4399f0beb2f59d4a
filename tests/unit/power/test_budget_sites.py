"""Whole sites, simulated: no budget is too short, and none longer than due."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.power.stopall import Machine, Stopall

from releve.power.budget import Settings, budget_of

SITES = 150


@dataclass
class Site:
    """A site with chances of its own; `whole` of each time it is given it takes, 0 to 1."""

    chance: random.Random
    whole: bool
    settings: dict[str, Any] = field(default_factory=dict)
    machines: list[Machine] = field(default_factory=list)

    def part(self, most: float) -> float:
        return most if self.whole else self.chance.uniform(0, most)

    def draw(self) -> Settings:
        chance = self.chance
        self.machines = [self.machine(place) for place in range(chance.randint(0, 10))]
        return Settings(
            capacity_seconds=None,
            derate=0.8,
            margin=1.25,
            ride_through_seconds=120,
            driver_poll=chance.randint(1, 10),
            pollfreq=chance.choice([1, 2, 5, 30]),
            pollfreqalert=chance.choice([1, 2, 5]),
            hostsync=chance.choice([0, 15, 60, 240]),
            finaldelay=chance.choice([0, 5, 30]),
            offdelay=3000,
            ondelay=4000,
            stop_seconds=chance.randint(5, 120),
            workers=chance.randint(1, 8),
            guests=[
                {
                    "name": str(one.vmid),
                    "order": one.order,
                    "stop_seconds": one.down,
                    "vmid": one.vmid if chance.random() < 0.8 else None,
                    "kind": one.kind,
                }
                for one in self.machines
            ],
            clients=[self.client(place) for place in range(chance.randint(0, 3))],
            abort_seconds=chance.choice([15, 30]),
        )

    def machine(self, place: int) -> Machine:
        chance, never = self.chance, 10_000.0
        kind = chance.choice(["qemu", "qemu", "lxc"])
        return Machine(
            vmid=100 + place,
            order=chance.choice([None, 1, 2, 3, 4]),
            down=chance.choice([None, 20, 60, 90, 120]),
            kind=kind,
            fork=self.part(0.25),
            ping=self.part(3) if kind == "qemu" else 0,
            off_after=never if self.whole else chance.uniform(0, 200),
            term_after=never if self.whole else chance.uniform(0, 12),
            cleanup=self.part(1),
        )

    def client(self, place: int) -> dict[str, Any]:
        logs_in = self.chance.random() < 0.6
        return {
            "name": f"client{place}", "logs_in": logs_in,
            "stop_seconds": self.chance.randint(5, 400),
        }  # fmt: skip

    def run(self, one: Settings) -> float:
        """Return when the last of all is down, from the trigger on."""
        fsd = self.part(one.driver_poll) + self.part(max(one.pollfreq, one.pollfreqalert))
        ends, logouts = [], [fsd]
        for client in one.clients:
            if client["logs_in"]:
                seen = fsd + self.part(max(one.pollfreq, one.pollfreqalert)) + one.finaldelay
                is_dead = self.whole or self.chance.random() < 0.2
                logouts.append(10_000 if is_dead else seen)
                ends.append(seen + self.part(client["stop_seconds"]))
            else:
                ends.append(fsd + self.part(5) + self.part(client["stop_seconds"]))
        # upsmon leaves when more than HOSTSYNC whole seconds are over, at a look of four a second.
        synced = min(max(logouts), fsd + one.hostsync + 1 + self.part(1))
        clock = max(fsd, synced) + one.finaldelay
        budget = budget_of(one)
        upsd = min(clock + budget.client_stop, fsd + budget.client_whole)
        if self.machines:
            clock += self.part(one.abort_seconds) + self.part(4)
            clock += Stopall(self.machines, one.workers).run()
        return max([max(clock, upsd) + self.part(one.stop_seconds), *ends])


@pytest.mark.parametrize("seed", range(SITES))
def test_no_site_takes_longer_than_its_budget(seed: int) -> None:
    site = Site(random.Random(seed), whole=False)  # noqa: S311  # no secret
    settings = site.draw()
    need = budget_of(settings).need

    for _ in range(5):
        assert site.run(settings) <= need


@pytest.mark.parametrize("seed", range(SITES))
def test_a_site_that_takes_all_of_its_time_just_fits(seed: int) -> None:
    site = Site(random.Random(seed), whole=True)  # noqa: S311  # no secret
    settings = site.draw()
    budget = budget_of(settings)
    taken = site.run(settings)

    assert taken <= budget.need
    if any(guest["vmid"] is None for guest in settings.guests):
        return  # a place that is not known costs more than a look
    if settings.hostsync < max(settings.pollfreq, settings.pollfreqalert):
        return  # who is left before it has heard is counted, and waited for by nobody
    # Parts of a second for each look and each rounding.
    assert budget.need - taken <= 4 + len(settings.guests)
