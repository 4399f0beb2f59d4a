"""Mode policy in the shadow, on the files that role nut_primary writes for it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.worlds.scenarios import NAS, PVE, TOWN
from tests.worlds.site import UPS, files_of

from releve.errors import CheckError
from releve.power.cycle import Decision, Files
from releve.power.policy import Config
from releve.power.shadow import config, main, tiers
from releve.power.shadow.main import site_of
from releve.town.power import Ups

if TYPE_CHECKING:
    from pathlib import Path

SITE, EARLY = f"{UPS}-site", f"{UPS}-early"


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """What the role writes to the host with the UPS: path -> text."""
    tier = {"name": "early", "hosts": ["nas"], "after_seconds": 300}
    site = dataclasses.replace(
        TOWN,
        device={**TOWN.device, "mode": "policy", "tiers": [tier]},
        primary_variables={**TOWN.primary_variables, "nut_primary_policy_proved": True},
    )
    return {file.path: file.data.decode() for file in files_of(site, PVE) if b"\0" not in file.data}


@pytest.fixture
def etc(written: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path, text in written.items():
        if path.startswith("/etc/nut/"):
            (tmp_path / path.rpartition("/")[2]).write_text(text)
    (tmp_path / "policy.json").write_text(written["/etc/releve/policy.json"])
    monkeypatch.setattr(tiers, "SETTINGS", tmp_path / "policy.json")
    return tmp_path


def test_what_monitors_follow_is_what_the_role_writes(written: dict[str, str]) -> None:
    ups = Ups.model_validate({
        "host": "pve", "driver": "labups", "mode": "policy", "clients": ["nas", "gw"],
        "tiers": {"early": {"hosts": ["nas"], "after_seconds": 300}},
    })  # fmt: skip
    followed = config.monitoring(written["/etc/nut/upsmon.conf"]).monitors

    assert tuple(one.ups for one in followed) == ups.followed(UPS) == (SITE, EARLY)
    assert ups.followed_by(UPS, "nas") == EARLY
    assert ups.followed_by(UPS, "gw") == ups.followed_by(UPS, "pve") == SITE


def test_the_event_of_each_followed_name_is_looked_for(written: dict[str, str]) -> None:
    events = [one["event_file"] for one in json.loads(written["/etc/releve/rewake.json"])]

    assert events == [f"/var/lib/releve-rewake/event-{name}" for name in (SITE, EARLY)]


def test_the_real_ups_is_played_and_the_virtual_ones_run(written: dict[str, str]) -> None:
    text = written["/etc/nut/ups.conf"]
    new = config.ups_conf(text)

    assert config.virtual(text) == config.virtual(new) == {SITE: UPS, EARLY: UPS}
    assert config.sections(new) == config.sections(text) == (UPS, SITE, EARLY)
    assert new.count("driver = dummy-ups") == 1
    assert new.count("driver = releve-policy") == 2
    assert new.count("sdorder = -1") == 2
    assert "labups" not in new


def test_a_host_whose_policy_counts_the_time_has_two_turns(etc: Path) -> None:
    site = site_of(etc)

    assert site.primary
    assert not config.timers(site.upssched)
    assert site.timed
    assert [one.ups for one in site.looked_at] == [SITE, EARLY, UPS]


def test_a_site_without_a_time_has_one_turn(etc: Path) -> None:
    each: list[dict[str, Any]] = json.loads(tiers.SETTINGS.read_text())
    each[0]["tiers"][0]["after"] = None
    tiers.SETTINGS.write_text(json.dumps(each))

    assert not site_of(etc).timed


def test_a_client_has_one_turn_and_looks_at_what_it_follows(tmp_path: Path) -> None:
    for file in files_of(TOWN, NAS):
        if file.path.startswith("/etc/nut/"):
            text = file.data.decode().replace(f"MONITOR {UPS}@", f"MONITOR {EARLY}@")
            (tmp_path / file.path.rpartition("/")[2]).write_text(text)

    site = site_of(tmp_path)

    assert not site.timed
    assert {one.ups for one in site.looked_at} == {EARLY}


def test_only_the_times_are_made_short(written: dict[str, str], tmp_path: Path) -> None:
    text = written["/etc/releve/policy.json"]
    (tmp_path / "long.json").write_text(text)
    (tmp_path / "short.json").write_text(tiers.shortened(text, 2))

    for name in (SITE, EARLY):
        long, short = (Config.read(tmp_path / f"{kind}.json", name) for kind in ("long", "short"))
        assert short.tier.after == 2
        assert long.tier.after is not None
        assert long.tier.after > 2
        assert dataclasses.replace(long.tier, after=2) == short.tier
        assert dataclasses.replace(long, tier=short.tier) == short
    assert json.loads(tiers.shortened(text, 86_400)) == json.loads(text)  # never made longer


def test_why_a_tier_stops_is_read_where_the_policy_writes_it(tmp_path: Path) -> None:
    text = json.dumps([{"folder": str(tmp_path), "tiers": [{"name": SITE}]}])
    assert tiers.why(text, SITE) == ""
    decision = Decision("0a1b", "2026-11-29T10:00:00Z", "boot", "10 s on battery")
    Files(tmp_path).write(SITE, decision)

    assert tiers.why(text, SITE) == "10 s on battery"


def test_decisions_are_written_to_the_policy_s_own_folder(written: dict[str, str]) -> None:
    assert tiers.folders(written["/etc/releve/policy.json"]) == ("/var/lib/releve-policy",)


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"folder": 1, "tiers": []}]', '[{"tiers": 1}]'])
def test_settings_that_the_driver_could_not_read_are_said(text: str) -> None:
    with pytest.raises(CheckError, match=r"policy\.json cannot be read.*apply playbooks"):
        tiers.folders(text)


def test_a_ups_that_nobody_follows_is_named_with_those_that_are(
    etc: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("releve.power.shadow.witness.ETC", etc)
    monkeypatch.setattr("os.geteuid", lambda: 0)

    assert main(["--ups", UPS]) != 0
    assert f"no MONITOR line for {UPS}, but for {EARLY}, {SITE}" in capsys.readouterr().err
