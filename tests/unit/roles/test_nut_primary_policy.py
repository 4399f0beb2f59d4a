"""Mode policy as role nut_primary writes it: virtual UPSes, who follows which, what decides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.worlds.role import RoleRun

from releve.errors import RefusedError
from releve.power.gate import Config as Gate
from releve.power.lint.model import Facts
from releve.power.lint.read import read_texts
from releve.power.lint.verdict import judge
from releve.power.policy import Config
from releve.power.rewake import Config as Rewake

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(
    live=True,
    addresses=frozenset({"127.0.0.1", "::1", "192.0.2.11"}),
    drivers=frozenset({"usbhid-ups", "releve-policy"}),
)


def client(name: str, address: str, **changed: Any) -> dict[str, Any]:
    told = {"name": name, "address": address, "mac": "", "stop_seconds": 1, "logs_in": True}
    return {**told, "devices": ["ups1"], "guests": [], "paths": PATHS, **changed}


PATHS = [{"via": "office", "powered_by": "ups1"}]
DEVICE = {
    "name": "ups1",
    "driver": "usbhid-ups",
    "options": {"serial": "G3M1"},
    "capacity_seconds": 1500,
    "thresholds": "own",
    "mode": "policy",
    "tiers": [{"name": "early", "hosts": ["caisse"], "after_seconds": 120, "below_seconds": 500}],
}
OTHER = {**DEVICE, "name": "ups2", "options": {"serial": "G3M2"}, "tiers": []}
VARIABLES: dict[str, Any] = {
    "nut_primary_password": "k3vQ8wZr-T1xN_b7Yh2mLd9s",
    "nut_primary_secondary_password": "u6Jf0pRz_W4cGq8Xa-E1tBn5",
    "nut_primary_hostsync": 120,
    "nut_primary_policy_proved": True,
    "nut_primary_devices": [DEVICE],
    "nut_primary_addresses": ["192.0.2.11"],
    "nut_primary_stop_seconds": 1,
    "nut_primary_clients": [
        client("nas", "192.0.2.12"),
        client("caisse", "192.0.2.31", logs_in=False, stop_seconds=45),
    ],
}


def written(**changed: Any) -> dict[str, str]:
    """Return each file that the role writes as text; the zipapp is left out."""
    unit = {"__nut_primary_guests_unit": {"stdout": ""}}
    files = RoleRun("nut_primary", {**VARIABLES, **changed}, unit).run()
    return {one.path: one.data.decode() for one in files if not one.path.endswith(".pyz")}


def lines(text: str, word: str) -> list[str]:
    return [" ".join(line.split()[:4]) for line in text.splitlines() if line.startswith(word)]


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return written()


def test_the_site_counts_and_each_tier_is_only_waited_for(files: dict[str, str]) -> None:
    assert lines(files["/etc/nut/upsmon.conf"], "MONITOR") == [
        "MONITOR ups1-site@localhost 1 primary",
        "MONITOR ups1-early@localhost 0 primary",
    ]


def test_nothing_virtual_cuts_and_nothing_of_stock_decides(files: dict[str, str]) -> None:
    sections = files["/etc/nut/ups.conf"].split("\n[")

    assert [one.partition("]")[0] for one in sections[1:]] == ["ups1", "ups1-site", "ups1-early"]
    assert ["sdorder = -1" in one for one in sections[1:]] == [False, True, True]
    assert "ignorelb" not in files["/etc/nut/ups.conf"]
    assert "START-TIMER" not in files["/etc/nut/upssched.conf"]
    assert "policy" in files["/usr/lib/nut/releve-policy"]


def test_the_driver_reads_what_is_written_for_it(files: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(files["/etc/releve/policy.json"])
    budget = json.loads(files["/etc/releve/power-budget.json"])["ups1"]
    site, early = Config.read(file, "ups1-site"), Config.read(file, "ups1-early")

    assert (site.source, site.tier.follows, early.tier.follows) == ("ups1", None, "ups1-site")
    assert (site.site.need, site.tier.after) == (budget["trigger"], budget["timer"])
    assert (early.site.need, early.tier.after) == (500 * budget["derate"], 120)
    assert (site.known.capacity_seconds, site.site.derate) == (1500, budget["derate"])
    assert early.tier.least >= 45
    assert dict(site.expected) == {"ups1-site": {"192.0.2.12"}, "ups1-early": frozenset()}
    assert (dict(early.expected), site.grace) == ({"ups1-early": frozenset()}, 180)
    assert site.tier.least < 45


def test_who_has_another_ups_is_known_to_stay(tmp_path: Path) -> None:
    both = ["ups1", "ups2"]
    caisse = client("caisse", "192.0.2.31", devices=["ups1"])
    nas = client("nas", "192.0.2.12", devices=both)
    file = tmp_path / "policy.json"

    def carried(**changed: Any) -> dict[str, bool]:
        files = written(nut_primary_devices=[DEVICE, OTHER], **changed)
        file.write_text(files["/etc/releve/policy.json"])
        budget = json.loads(files["/etc/releve/power-budget.json"])["ups1"]
        tiers = [Config.read(file, f"{one}").tier for one in ("ups1-site", "ups1-early")]
        assert all(tier.least >= budget["need"] for tier in tiers if tier.carried)
        return {tier.name: tier.carried for tier in tiers}

    assert carried(nut_primary_clients=[nas, caisse]) == {"ups1-site": True, "ups1-early": False}
    caisse["devices"] = both
    assert carried(nut_primary_clients=[nas, caisse])["ups1-early"]
    needs_both = carried(nut_primary_clients=[nas, caisse], nut_primary_min_supplies=2)
    assert not needs_both["ups1-site"]


def test_a_tier_never_stays_longer_than_the_site(tmp_path: Path) -> None:
    device = {**DEVICE, "tiers": [{"name": "early", "hosts": ["caisse"], "below_seconds": 1}]}
    file = tmp_path / "policy.json"
    file.write_text(written(nut_primary_devices=[device])["/etc/releve/policy.json"])
    site, early = Config.read(file, "ups1-site"), Config.read(file, "ups1-early")

    assert (early.site.need, early.tier.after) == (site.site.need, None)


def test_who_is_woken_and_who_must_be_there_follow_the_virtual_names(
    files: dict[str, str], tmp_path: Path
) -> None:
    for name in ("rewake.json", "power.json"):
        (tmp_path / name).write_text(files[f"/etc/releve/{name}"])
    woken = {one.ups: [host.name for host in one.hosts] for one in
             Rewake.read(tmp_path / "rewake.json")}  # fmt: skip
    guarded = {one.name: one.logins for one in Gate.read(tmp_path / "power.json").upses}

    assert woken == {"ups1-site": ["nas"], "ups1-early": ["caisse"]}
    assert guarded == {"ups1": (), "ups1-site": ("192.0.2.12",), "ups1-early": ()}


def test_the_linter_finds_nothing_to_say(files: dict[str, str]) -> None:
    nut = {path.rpartition("/")[2]: text for path, text in files.items() if "/etc/nut/" in path}

    assert [one.id for one in judge(read_texts(nut, FACTS)).findings] == []


def test_stock_beside_it_keeps_its_timer_and_its_name() -> None:
    stock = OTHER | {"mode": "stock"}
    files = written(nut_primary_devices=[DEVICE, stock])

    assert "AT ONBATT ups2@localhost START-TIMER" in files["/etc/nut/upssched.conf"]
    assert lines(files["/etc/nut/upsmon.conf"], "MONITOR ups2") == [
        "MONITOR ups2@localhost 1 primary"
    ]


def test_stock_alone_has_nothing_of_it() -> None:
    device = {**DEVICE, "mode": "stock", "tiers": []}
    files = written(nut_primary_devices=[device], nut_primary_policy_proved=False)

    assert not [path for path in files if "policy" in path]
    assert "releve-policy" not in files["/etc/nut/ups.conf"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"nut_primary_policy_proved": False}, "allowed once drills 1 and 3 have passed"),
        ({"nut_primary_clients": []}, "each of their hosts is a client of this UPS"),
        ({"nut_primary_devices": [{**DEVICE, "mode": "stock"}]}, "tiers need mode policy"),
        (
            {"nut_primary_devices": [DEVICE, OTHER | {"name": "ups1-site"}]},
            "has the name of another UPS",
        ),
    ],
)
def test_what_cannot_work_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        written(**changed)
