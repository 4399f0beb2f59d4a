"""Level 4: a person, a plug and a UPS, all of them played."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from releve.drills.evidence import Evidence
from releve.drills.plug_pull import Floor, PlugPull, checklist, of_the_first
from releve.drills.ups_host import Sample
from releve.errors import LaterError, RefusedError
from releve.power.look import UpsSeen
from releve.town.power import Tier

if TYPE_CHECKING:
    from pathlib import Path

BUDGET = {"timer": 120, "runtime_low": None, "charge_low": None}
CLIENTS = ("198.51.100.12",)


@dataclass
class Scene:
    """Time, a UPS that notices after `lag`, and a person who heeds the screen."""

    lag: float = 1.0
    drain: float = 0.5  # percent a second
    heeds: bool = True
    early: float = 0.0  # seconds between pulling and saying so
    quits: str = ""  # address that logs out on battery
    word: str = "OB DISCHRG"
    time: float = 1000.0
    out_at: float | None = None
    in_at: float | None = None
    asked_at: float | None = None
    charge: float = 100.0
    shouts: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    shown: tuple[str, ...] = ()

    def clock(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        before = int(self.time)
        self.time += seconds
        assert self.time < 1450, "it never ends"
        if self.away:
            self.charge -= self.drain * seconds
        if int(self.time) != before:
            self.look()

    @property
    def away(self) -> bool:
        return self.out_at is not None and self.in_at is None

    def look(self) -> None:
        seen = self.out_at is not None and self.time - self.out_at >= self.lag and self.away
        status = self.word if seen else "OL"
        clients = tuple(one for one in CLIENTS if not (seen and one == self.quits))
        values = {"ups.status": status, "battery.charge": f"{self.charge:.0f}",
                  "input.voltage": "0" if self.away else "230", "ups.load": "40"}  # fmt: skip
        self.samples.append(Sample(f"2026-11-29T10:{int(self.time) % 3600 // 60:02}:"
                                   f"{int(self.time) % 60:02}Z", self.time,
                                   UpsSeen(values, clients)))  # fmt: skip

    # the watch

    @property
    def last(self) -> Sample | None:
        return self.samples[-1] if self.samples else None

    def first(self, word: str, since: float) -> Sample | None:
        return next(
            (one for one in self.samples
             if one.steady >= since and one.seen and word in one.seen.status), None)  # fmt: skip

    # the person

    def read(self, lines: tuple[str, ...]) -> None:
        self.shown = lines

    def out(self) -> bool:
        if self.out_at is None:
            self.out_at = self.time
        return self.time - self.out_at >= self.early

    def shout(self, line: str) -> None:
        self.shouts.append(line)
        self.asked_at = self.asked_at or self.time

    def back(self) -> bool:
        if self.heeds and self.asked_at and self.in_at is None and self.time > self.asked_at + 2:
            self.in_at = self.time
        return self.in_at is not None


def pull(scene: Scene, folder: Path, budget: dict[str, object] | None = None) -> tuple[
    PlugPull, Evidence
]:  # fmt: skip
    scene.look()
    one = PlugPull("ups1", "pve1", CLIENTS, scene, scene, budget or dict(BUDGET),
                   clock=scene.clock, sleep=scene.sleep)  # fmt: skip
    return one, Evidence("power-4", folder)


def failed(evidence: Evidence) -> set[str]:
    return {check.id for check in evidence.checks if not check.passed}


def test_a_ups_that_sees_its_mains_go_passes(tmp_path: Path) -> None:
    scene = Scene(lag=2.0)
    one, evidence = pull(scene, tmp_path)

    record = one.run(evidence)

    assert failed(evidence) == set()
    assert scene.in_at is not None
    assert scene.out_at is not None
    assert 60 <= scene.in_at - scene.out_at <= 70  # half of the site's own timer, and a person
    assert len(scene.shouts) >= 1
    assert "60 s on battery" in scene.shouts[0]
    assert record.how == "plug-pull"
    assert record.cut is None  # the site went on: nothing was there to be cut
    assert record.capacity_seconds is None  # 60 s say nothing of how long it lasts
    assert record.ob_seen_seconds is not None
    assert 2 <= record.ob_seen_seconds <= 4
    assert record.moved.charge
    assert not record.moved.runtime
    assert record.mains_proven
    (charge,) = [series for series in evidence.series if series.quantity == "charge"]
    assert charge.points[0][1] == 100
    assert [event.what for event in evidence.events][:2] == ["mains are lost", "on battery"]


def test_a_ups_that_never_says_so_may_guard_nothing(tmp_path: Path) -> None:
    scene = Scene(lag=10_000)
    one, evidence = pull(scene, tmp_path)

    record = one.run(evidence)

    assert failed(evidence) == {"on-battery-seen"}
    note = next(check.note for check in evidence.checks if check.id == "on-battery-seen")
    assert "may not guard anything" in note
    assert "PUT THE PLUG BACK NOW" in scene.shouts[0]
    assert scene.in_at is not None
    assert scene.out_at is not None
    assert scene.in_at - scene.out_at < 20
    assert record.mains_proven is False


def test_a_ups_that_says_so_too_late_is_refused(tmp_path: Path) -> None:
    scene = Scene(lag=11)
    one, evidence = pull(scene, tmp_path)
    one.run(evidence)

    assert "on-battery-seen" in failed(evidence)


@pytest.mark.parametrize(
    ("changes", "budget", "why"),
    [
        ({"drain": 5.0}, {"timer": 600}, "the battery is at"),
        ({"drain": 5.0}, {"timer": 600, "charge_low": 70}, "the battery is at 8"),
        ({"word": "OB LB"}, {"timer": 600}, "its battery is low"),
        ({}, {"timer": 40}, "20 s on battery"),
        ({"drain": 0.1}, {"timer": 5000}, "300 s on battery"),
    ],
)
def test_the_plug_is_asked_for_at_the_first_floor(
    tmp_path: Path, changes: dict[str, object], budget: dict[str, object], why: str
) -> None:
    scene = Scene(**changes)  # type: ignore[arg-type]
    one, evidence = pull(scene, tmp_path, {"timer": 120} | budget)
    one.run(evidence)

    assert why in scene.shouts[0]


def test_who_does_not_hear_is_called_again_and_again(tmp_path: Path) -> None:
    scene = Scene(heeds=False)
    one, evidence = pull(scene, tmp_path)
    with pytest.raises(AssertionError, match="never ends"):
        one.run(evidence)

    assert len(scene.shouts) > 30


def test_who_pulls_first_and_says_so_later_loses_no_time(tmp_path: Path) -> None:
    scene = Scene(early=50.0)
    one, evidence = pull(scene, tmp_path)
    one.run(evidence)

    seen = next(check for check in evidence.checks if check.id == "on-battery-seen")
    assert seen.passed
    assert seen.value == 0.0
    assert scene.in_at is not None
    assert scene.out_at is not None
    assert scene.in_at - scene.out_at < 70


def test_a_client_that_goes_away_is_named(tmp_path: Path) -> None:
    scene = Scene(quits=CLIENTS[0])
    one, evidence = pull(scene, tmp_path)
    one.run(evidence)

    assert failed(evidence) == {"clients-stay"}


def test_a_shutdown_in_the_middle_is_named(tmp_path: Path) -> None:
    scene = Scene(word="FSD OB")
    one, evidence = pull(scene, tmp_path)
    one.run(evidence)

    assert "no-shutdown" in failed(evidence)


def test_nobody_is_asked_for_anything_before_all_is_well(tmp_path: Path) -> None:
    for scene, why in (
        (Scene(samples=[], quits=""), "not logged in"),
        (Scene(word="OB", lag=-1), "says OB"),
        (Scene(word="OL OFF", lag=-1), "says OFF OL"),
    ):
        one, evidence = pull(scene, tmp_path)
        if why == "not logged in":
            one.clients = (*CLIENTS, "198.51.100.99")
        else:
            scene.samples[-1] = Sample(
                "x", scene.time, UpsSeen({"ups.status": scene.word}, CLIENTS)
            )
        with pytest.raises(LaterError, match=why):
            one.run(evidence)
        assert scene.shown == ()
        assert scene.out_at is None


def test_a_ups_without_data_is_waited_for_and_then_named(tmp_path: Path) -> None:
    scene = Scene()
    one, evidence = pull(scene, tmp_path)
    scene.samples[:] = [Sample("x", 1000.0, None, "DATA-STALE")]
    scene.look = lambda: None  # type: ignore[method-assign]
    with pytest.raises(LaterError, match="DATA-STALE"):
        one.run(evidence)


def test_a_site_that_would_stop_at_once_is_refused() -> None:
    with pytest.raises(RefusedError, match="too soon to put a plug back"):
        Floor.of({"timer": 5}, UpsSeen({"ups.status": "OL"}, ()))


def test_the_floor_is_half_way_to_the_sites_own_shutdown() -> None:
    seen = UpsSeen({"ups.status": "OL", "battery.charge": "100", "battery.runtime": "1800"}, ())

    known = Floor.of({"timer": 400, "charge_low": 30, "runtime_low": 600}, seen)
    assert known == Floor(200, 65, 1200)
    assert Floor.of({"timer": 400}, seen) == Floor(200, 50, None)
    assert Floor.of({"timer": 400, "runtime_low": 600}, UpsSeen({}, ())).runtime is None


def test_the_checklist_says_when_the_plug_goes_back() -> None:
    text = "\n".join(checklist("ups1", "pve1", Floor(60, 50, 400)))

    assert all(word in text for word in ("ups1", "pve1", "60 s", "50 %", "400 s", "10 s"))


def test_the_tier_that_stops_first_says_when_the_plug_goes_back() -> None:
    tiers = [Tier(hosts=("a",), after_seconds=60), Tier(hosts=("b",), below_seconds=900),
             Tier(hosts=("c",))]  # fmt: skip

    assert of_the_first(BUDGET, tiers) == BUDGET | {"timer": 60, "runtime_low": 900}
    assert of_the_first(BUDGET | {"runtime_low": 1000}, tiers)["runtime_low"] == 1000
    assert of_the_first(BUDGET, []) == BUDGET
    assert Floor.of(of_the_first(BUDGET, tiers), UpsSeen({}, ())).seconds == 30


def test_a_tier_that_is_told_to_stop_is_a_shutdown(tmp_path: Path) -> None:
    class Tiered(Scene):
        def look(self) -> None:
            super().look()
            last = self.samples[-1]
            assert last.seen is not None
            status = "FSD OB LB" if self.away else "OL"
            followed = {"ups1-site": "OB", "ups1-early": status}
            seen = UpsSeen(last.seen.variables, CLIENTS, followed)
            self.samples[-1] = Sample(last.at, last.steady, seen)

    one, evidence = pull(Tiered(), tmp_path)

    one.run(evidence)

    assert failed(evidence) == {"no-shutdown"}
