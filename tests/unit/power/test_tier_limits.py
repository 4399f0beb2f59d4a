"""A battery test in mode policy is over before a tier stops: nothing holds a decision back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.discharge import PaperUps
from tests.unit.power.test_battery import Host
from tests.unit.power.test_measuring import DEEP, PULL, QUICK, why

from releve.errors import InputError
from releve.power import battery, measuring
from releve.power.tier_limits import Limits, limits_of

if TYPE_CHECKING:
    from pathlib import Path

TIERS = [
    {"name": "ups1-site", "need": 100, "after": 300},
    {"name": "ups1-lower", "need": 160, "after": 200},
]
POLICY = {
    "source": "ups1", "folder": "/nowhere", "record": None, "capacity_seconds": 600, "settle": 30,
    "alarm": 1800, "ladder": {"derate": 0.8, "lb_debounce": 5, "comms_hold": 30}, "tiers": TIERS,
}  # fmt: skip
GATE = {"format": 1, "role": "primary", "upses": [{"name": "ups1"}, {"name": "ups1-site"}]}


def limits(folder: Path, gate: object = GATE, policy: object = POLICY) -> Limits | None:
    (folder / "power.json").write_text(json.dumps(gate))
    (folder / "policy.json").write_text(json.dumps([policy]))
    return limits_of("ups1", folder / "power.json", folder / "policy.json")


def test_the_first_tier_that_stops_counts(tmp_path: Path) -> None:
    found = limits(tmp_path)

    assert found is not None
    assert found.seconds == 200
    assert found.runtime == pytest.approx(160 / 0.8)
    assert found.charge == pytest.approx(100 * 160 / (600 * 0.8))


def test_the_time_cap_of_a_tier_counts_too(tmp_path: Path) -> None:
    lower = {"name": "ups1-lower", "need": 400, "after": None}
    found = limits(tmp_path, policy=POLICY | {"tiers": [TIERS[0], lower]})

    assert found is not None
    assert found.seconds == pytest.approx(600 * 0.8 - 400)


def test_mode_stock_has_none_though_a_file_of_the_policy_is_left(tmp_path: Path) -> None:
    assert limits(tmp_path, GATE | {"upses": [{"name": "ups1"}]}) is None
    assert limits_of("ups1", tmp_path / "gone.json", tmp_path / "policy.json") is None


@pytest.mark.parametrize("wrong", [{}, {"source": "ups1", "tiers": [{"name": "ups1-site"}]}])
def test_a_file_that_cannot_be_read_lets_nothing_begin(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="policy"):
        limits(tmp_path, policy=wrong)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host, found = Host(tmp_path, monkeypatch), limits(tmp_path)
    for module in (battery, measuring):
        monkeypatch.setattr(module, "limits_of", lambda _ups: found)
    return host


def test_a_scheduled_test_ends_before_the_first_tier_stops(host: Host) -> None:
    ups = PaperUps(capacity=600)
    outcome = host.test(ups, "deep", stop_charge=10)

    assert ups.sent[-1] == "test.battery.stop"
    assert outcome.back_seconds is not None
    assert outcome.back_seconds < 200 - 20
    assert outcome.passed


def test_a_worn_battery_ends_its_test_before_the_runtime_stops_a_tier(host: Host) -> None:
    ups = PaperUps(capacity=300)  # 200 s of runtime stop the lower tier, after 100 s
    outcome = host.test(ups, "deep", stop_charge=10)

    assert outcome.back_seconds is not None
    assert outcome.back_seconds < 100
    assert outcome.low


def test_nothing_holds_the_policy_while_a_person_measures() -> None:
    first = Limits(seconds=200)

    assert "mode policy stops a tier after 200 s" in why(DEEP, limits=first)
    assert why(QUICK, limits=first) == why(PULL, limits=first) == ""
