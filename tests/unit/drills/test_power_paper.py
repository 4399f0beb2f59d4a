"""Level 0: the budget of the town file, the one that is deployed, and the linter's word."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from releve.command import CommandError
from releve.drills.evidence import Check, Evidence
from releve.drills.power_paper import DEPLOYED, drill, settings_of
from releve.errors import InputError, LaterError
from releve.power.budget import budget_of
from releve.town import load_town
from releve.town.inputs.nut import inputs

if TYPE_CHECKING:
    from releve.town.model import Town

LAB = Path(__file__).parents[3] / "inventory/lab"
TIMES = LAB / "group_vars" / "nut_primaries" / "lab_times.yml"
FOLDER = tempfile.TemporaryDirectory()


def measured() -> Town:
    """Return the lab's town with a UPS whose capacity it knows."""
    words = yaml.safe_load((LAB / "town.yml").read_text())
    words["ups"]["ups1"]["capacity_seconds"] = 240
    file = Path(FOLDER.name) / "town.yml"
    file.write_text(yaml.safe_dump(words, sort_keys=False))
    return load_town(file)


TOWN = measured()
VARIABLES = inputs(TOWN)["pve1"] | yaml.safe_load(TIMES.read_text())
SOUND = {"format": 1, "verdict": "ok", "findings": []}


@dataclass
class FakeHost:
    report: Any = field(default_factory=lambda: SOUND)
    files: dict[str, str] = field(default_factory=dict)
    carried: list[tuple[str, ...]] = field(default_factory=list)

    def carry(self, *words: str, timeout: float = 1) -> subprocess.CompletedProcess[str]:
        self.carried.append(words)
        said = self.report if isinstance(self.report, str) else json.dumps(self.report)
        return subprocess.CompletedProcess(words, 0, said, "what went wrong\n")

    def read(self, file: str) -> str | None:
        return self.files.get(file)

    def processors(self) -> int:
        return 3


def hosts() -> dict[str, FakeHost]:
    budget = asdict(budget_of(settings_of(VARIABLES, "ups1", 3)))
    files = {DEPLOYED: json.dumps({"ups1": budget})}
    return {"pve1": FakeHost(files=files), "nas": FakeHost()}


def judged(folder: Path, here: dict[str, FakeHost], **changes: Any) -> dict[str, Check]:
    evidence = Evidence("power-0", folder)
    drill(TOWN, "ups1", VARIABLES | changes, here, evidence)
    return {check.id: check for check in evidence.checks}


def test_a_sound_town_passes(tmp_path: Path) -> None:
    here = hosts()
    checks = judged(tmp_path, here)

    assert all(check.passed for check in checks.values()), checks
    assert checks["budget"].limit == 240
    assert set(checks) == {"measured", "budget", "pve1.budget-deployed", "pve1.files", "nas.files"}
    assert here["nas"].carried == [("lint", "/etc/nut", "--host", "--json")]


def test_the_settings_are_those_of_the_role() -> None:
    settings = settings_of(VARIABLES, "ups1", 3)

    assert settings.workers == 2
    assert settings.hostsync == 10  # the lab's
    assert settings.finaldelay == 5  # the role's own
    assert [client["name"] for client in settings.clients] == ["nas"]
    assert settings_of(VARIABLES, "ups1", 64).workers == 8
    assert settings_of(VARIABLES, "ups1", 1).workers == 1
    assert settings_of(VARIABLES | {"nut_primary_hostsync": 40}, "ups1", 3).hostsync == 40
    with pytest.raises(InputError, match="ups9"):
        settings_of(VARIABLES, "ups9", 3)


def test_a_battery_that_cannot_carry_it_is_named(tmp_path: Path) -> None:
    checks = judged(tmp_path, hosts(), nut_primary_stop_seconds=400)

    assert not checks["budget"].passed
    assert "the battery carries" in checks["budget"].note
    assert not checks["pve1.budget-deployed"].passed
    assert "run playbooks/power.yml" in checks["pve1.budget-deployed"].note


def test_a_battery_that_was_never_measured_is_no_proof(tmp_path: Path) -> None:
    (device,) = VARIABLES["nut_primary_devices"]
    unknown = {key: value for key, value in device.items() if key != "capacity_seconds"}
    checks = judged(tmp_path, hosts(), nut_primary_devices=[unknown])

    assert not checks["measured"].passed
    assert not checks["budget"].passed


@pytest.mark.parametrize("text", ["", "{}", "no json"])
def test_a_host_without_a_budget_is_named(tmp_path: Path, text: str) -> None:
    here = hosts()
    here["pve1"].files = {DEPLOYED: text}

    assert not judged(tmp_path, here)["pve1.budget-deployed"].passed


def test_what_the_linter_refuses_fails_and_what_it_warns_of_is_shown(tmp_path: Path) -> None:
    finding = {"level": "warn", "where": "upsmon.conf:3", "text": "POLLFREQ is long"}
    here = hosts()
    here["pve1"].report = SOUND | {"findings": [finding]}
    here["nas"].report = SOUND | {"findings": [finding, finding | {"level": "refuse"}]}

    checks = judged(tmp_path, here)

    assert checks["pve1.files"].passed
    assert checks["pve1.files"].note == "upsmon.conf:3: POLLFREQ is long"
    assert not checks["nas.files"].passed
    assert checks["nas.files"].value == 1


@pytest.mark.parametrize("report", ["", "[]", '{"findings": [{}]}'])
def test_a_linter_that_says_nothing_is_no_proof(tmp_path: Path, report: str) -> None:
    here = hosts()
    here["nas"].report = report

    check = judged(tmp_path, here)["nas.files"]

    assert not check.passed
    assert "what went wrong" in check.note


class AwayHost(FakeHost):
    def processors(self) -> int:
        raise CommandError(["ssh", "pve1", "nproc"], "exit 255: No route to host", 255)


def test_a_host_that_is_away_ends_the_drill_for_later(tmp_path: Path) -> None:
    hosts = {"pve1": AwayHost(), "nas": FakeHost()}

    with pytest.raises(LaterError, match=r"pve1 does not answer: .* No route to host"):
        drill(TOWN, "ups1", VARIABLES, hosts, Evidence("power-0", tmp_path))
