"""What a town file may say of its UPSes, and what the roles are told of it."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from releve.errors import InputError
from releve.power.measurement import Measurement, Moved
from releve.town import load_town
from releve.town.ansible_vars import inventory_of
from releve.town.inputs import nut

USB = {"ups__ups1__driver": "usbhid-ups"}
FIRST = {"driver": "usbhid-ups"}
SYNOLOGY = {"hosts__nas__kind": "client", "hosts__nas__system": "synology"}
RULE = {"hosts__nas__host_rule": {"planned_outage_seconds": 20, "after_seconds": 45}}
LAB = Path(__file__).parents[3] / "inventory/lab/town.yml"


def town(folder: Path, **changes: Any) -> Any:
    """Return the lab's town with these changes, `a__b=c` for a key of a section."""
    words = yaml.safe_load(LAB.read_text())
    for place, value in changes.items():
        *path, key = place.split("__")
        section = words
        for part in path:
            section = section.setdefault(part, {})
        if value is None:
            section.pop(key, None)
        else:
            section[key] = value
    (folder / "town.yml").write_text(yaml.safe_dump(words, sort_keys=False))
    return load_town(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"networks__office__powered_by": "ups7"}, 'ups has no "ups7"; did you mean "ups1"?'),
        ({"ups__ups1__host": "old"}, "old is an old host; NUT runs on a linux host that stays"),
        ({"hosts__pve1__system": "windows"}, "pve1 is a windows host"),
        ({"ups__ups1__clients": ["nas", "nas"]}, "nas is said twice"),
        ({"ups__ups1__clients": ["pve1"]}, "pve1 has the cable and is no client"),
        (
            {"ups__ups1__offdelay_seconds": 90, "ups__ups1__ondelay_seconds": 90},
            "90 must be more than offdelay_seconds (90)",
        ),
        ({**USB, "ups__ups1__offdelay_seconds": 30}, "30 s is too short: say 60 s or more"),
        (
            {**USB, "ups__ups1__offdelay_seconds": 90, "ups__ups1__options": {"vendorid": "0764"}},
            "90 s would be 60 s, since it is taken in whole minutes",
        ),
        (
            {"ups__ups1__driver": "nutdrv_qx", "ups__ups1__ondelay_seconds": 120},
            "120 s is too short: say 180 s or more",
        ),
        (
            {"ups__ups1__driver": "usb-hid"},
            'NUT has no driver "usb-hid"; did you mean "usbhid-ups"',
        ),
        ({"ups__ups1__driver": "snmp-ups", "ups__ups1__port": "auto"}, "ups.ups1.port: the driver"),
        ({**USB, "ups__ups1__options": {"poll": 5}}, "ups.ups1.options.poll: the driver"),
        ({**USB, "ups__ups1__options": {"vendorid": 463}}, "ups1.options.vendorid: 463 is a num"),
        ({**USB, "ups__ups1__options": {"privPassword": "x"}}, "nut_primary_secret_options: {ups1"),
        ({"ups__ups2": {"host": "pve1", **FIRST}, "ups__ups1": {"host": "pve1", **FIRST}}, "tells"),
        ({"ups__ups1__clients": ["old"]}, "old is an old host, on which nothing is installed"),
        ({"ups__ups1__clients": ["vault"]}, "where nobody of the site logs in: give it `system:"),
        ({"ups__ups1__clients": "nas"}, "must be a list, such as [one, another]"),
        ({"ups__ups1__driver": "apcsmart"}, "knows no offdelay and ondelay and ends at start"),
        ({"ups__ups1__tiers": {"early": {"hosts": ["nas"]}}}, "mode stock knows no tiers"),
        (
            {"ups__ups1__mode": "policy", "ups__ups1__tiers": {"early": {"hosts": ["vault"]}}},
            "vault is no client of this UPS",
        ),
        ({"hosts__vault__supplies": {"ups1": 1}}, "vault is neither the host nor a client"),
        ({"hosts__nas__min_supplies": 2}, "2 is more than the 1 that it has"),
        ({"ups__ups1__options": {"desc": 'a "b"'}}, 'NUT takes no ", no # and no backslash'),
        ({"ups__ups1__port": "auto 2"}, '"auto 2": write auto, a line such as /dev/ttyS0'),
        ({"ups__ups1__driver": "USB HID"}, '"USB HID": write it as `releve power scan` gives it'),
        (
            SYNOLOGY,
            "hosts.nas.system: a Synology asks for a UPS called `ups` and hears of no other",
        ),
        (SYNOLOGY, "this is ups1: call the UPS `ups`"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as refused:
        town(tmp_path, **changes)
    assert told in str(refused.value)
    assert str(refused.value).startswith("town.yml:")


def test_a_host_with_two_upses_monitors_both(tmp_path: Path) -> None:
    second = {"host": "nas", "driver": "snmp-ups", "port": "192.0.2.9", "clients": ["pve1"]}
    here = town(
        tmp_path,
        ups__ups2=second,
        hosts__pve1__supplies={"ups1": 1, "ups2": 1},
        hosts__nas__supplies={"ups1": 2, "ups2": 1},
        hosts__nas__min_supplies=2,
    )
    told = nut.inputs(here)

    assert [one["name"] for one in told["pve1"]["nut_primary_devices"]] == ["ups1"]
    assert told["pve1"]["nut_primary_remote"] == [
        {"ups": "ups2", "server": "198.51.100.12", "host": "nas", "supplies": 1}
    ]
    assert told["nas"]["nut_primary_min_supplies"] == 2
    assert told["nas"]["nut_primary_remote"][0]["supplies"] == 2
    assert set(inventory_of(here)["nut_primaries"]) == {"pve1", "nas"}
    assert "nut_secondaries" not in inventory_of(here) or not inventory_of(here)["nut_secondaries"]


def test_a_client_that_cannot_log_in_is_no_secondary_but_counts(tmp_path: Path) -> None:
    windows = {
        "kind": "client",
        "system": "windows",
        "address": "198.51.100.31",
        "network": "office",
        "stop_seconds": 45,
    }
    here = town(tmp_path, hosts__caisse=windows, ups__ups1__clients=["nas", "caisse"])
    told = nut.inputs(here)

    assert "caisse" not in told
    assert set(inventory_of(here)["nut_secondaries"]) == {"nas"}
    clients = {one["name"]: one for one in told["pve1"]["nut_primary_clients"]}
    assert clients["caisse"]["logs_in"] is False
    assert clients["caisse"]["stop_seconds"] == 45


def test_a_driver_that_needs_a_longer_return_is_given_it(tmp_path: Path) -> None:
    told = nut.inputs(town(tmp_path, ups__ups1__driver="blazer_usb"))
    own = nut.inputs(town(tmp_path, ups__ups1__driver="apcsmart", ups__ups1__delays_at="device"))

    assert told["pve1"]["nut_primary_devices"][0]["ondelay"] == 180
    assert "ondelay" not in own["pve1"]["nut_primary_devices"][0]


def test_a_ups_without_any_measurement_is_being_commissioned(tmp_path: Path) -> None:
    told = nut.inputs(town(tmp_path, ups__ups1__capacity_seconds=None))

    assert "capacity_seconds" not in told["pve1"]["nut_primary_devices"][0]


def record(folder: Path, **changes: Any) -> None:
    """Leave what was measured of the lab's UPS beside its town file."""
    moved = Moved(charge=True, runtime=True)
    sound = Measurement("ups1", date(2026, 5, 1), "deep", 900, 40.0, moved=moved, lb_seen=True)
    dataclasses.replace(sound, **changes).write(folder / "measured" / "ups1.json")


def test_what_was_measured_is_handed_over(tmp_path: Path) -> None:
    record(tmp_path)
    (device,) = nut.inputs(town(tmp_path, ups__ups1__capacity_seconds=None))["pve1"][
        "nut_primary_devices"
    ]

    assert device["capacity_seconds"] == 900
    assert device["record"]["on"] == "2026-05-01"
    assert "thresholds" not in device, "the ladder says them, on the host"


def test_a_ups_whose_own_word_is_enough_gets_no_thresholds_of_ours(tmp_path: Path) -> None:
    record(tmp_path)
    enough = town(tmp_path, ups__ups1__capacity_seconds=None, ups__ups1__low_battery_is_enough=True)
    (device,) = nut.inputs(enough)["pve1"]["nut_primary_devices"]

    assert device["low_battery_is_enough"] is True
    assert device["capacity_seconds"] == 900
    assert "thresholds" not in device


def test_the_unit_of_a_runtime_is_handed_over(tmp_path: Path) -> None:
    minutes = town(tmp_path, ups__ups1__runtime_unit="minutes")
    (device,) = nut.inputs(minutes)["pve1"]["nut_primary_devices"]

    assert device["runtime_unit"] == "minutes"


def test_mode_policy_decides_by_more_than_a_low_battery(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"town.yml:\d+: .*low_battery_is_enough: mode policy"):
        town(tmp_path, ups__ups1__mode="policy", ups__ups1__low_battery_is_enough=True)


def test_a_capacity_is_said_once(tmp_path: Path) -> None:
    record(tmp_path)
    with pytest.raises(InputError, match=r"measured/ups1.json says it, too \(900 s\)"):
        town(tmp_path, ups__ups1__capacity_seconds=240)


def test_a_record_that_is_not_sound_is_named(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / "measured" / "ups1.json").write_text("{")
    with pytest.raises(
        InputError, match=r"town.yml:\d+: ups.ups1: .*measured/ups1.json: is no JSON"
    ):
        town(tmp_path, ups__ups1__capacity_seconds=None)


def test_a_second_path_is_a_second_monitor_and_none_may_be_missed(tmp_path: Path) -> None:
    here = town(
        tmp_path,
        networks__cable={"cidr": "192.0.2.0/30", "bridge": "br1", "powered_by": "cable"},
        networks__office__powered_by="mains",
        hosts__pve1__also_at={"cable": "192.0.2.1"},
        hosts__nas__also_at={"cable": "192.0.2.2"},
    )
    told = nut.inputs(here)

    assert [one["server"] for one in told["nas"]["nut_secondary_monitors"]] == [
        "198.51.100.11",
        "192.0.2.1",
    ]
    assert told["nas"]["nut_secondary_min_supplies"] == 2
    assert told["pve1"]["nut_primary_addresses"] == ["198.51.100.11", "192.0.2.1"]
    (client,) = told["pve1"]["nut_primary_clients"]
    assert client["min_supplies"] == 2
    assert client["paths"] == [
        {"via": "office", "powered_by": "mains"},
        {"via": "cable", "powered_by": None},
    ]


def test_a_host_rule_knows_its_peers(tmp_path: Path) -> None:
    here = town(tmp_path, **RULE)
    told = nut.inputs(here)

    assert told["nas"]["nut_secondary_host_rule_seconds"] == 45
    assert "198.51.100.11" not in told["nas"]["nut_secondary_peers"]
    assert told["pve1"]["nut_primary_clients"][0]["host_rule"]["planned_outage_seconds"] == 20


def test_a_client_follows_its_tier_and_else_the_site(tmp_path: Path) -> None:
    more = {"ups__ups1__mode": "policy", "ups__ups1__tiers": {"early": {"hosts": ["nas"]}}}
    told = nut.inputs(town(tmp_path, **more))
    (device,) = told["pve1"]["nut_primary_devices"]

    assert [one["ups"] for one in told["nas"]["nut_secondary_monitors"]] == ["ups1-early"]
    assert device["mode"] == "policy"
    assert device["tiers"] == [
        {"name": "early", "hosts": ["nas"], "after_seconds": None, "below_seconds": None}
    ]
    assert told["pve1"]["nut_primary_clients"][0]["devices"] == ["ups1"]

    untiered = nut.inputs(town(tmp_path, ups__ups1__mode="policy"))
    assert [one["ups"] for one in untiered["nas"]["nut_secondary_monitors"]] == ["ups1-site"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hosts__nas__also_at": {"cable": "192.0.2.2"}}, 'networks has no "cable"'),
        ({"hosts__nas__also_at": {"office": "198.51.100.77"}}, "by its `address` already"),
        (
            {"hosts__vault__host_rule": {"planned_outage_seconds": 9, "after_seconds": 20}},
            "is no client of a UPS",
        ),
        (
            {"hosts__nas__kind": "client", "hosts__nas__system": "windows", **RULE},
            "hosts.nas.host_rule: nothing of ours runs on a windows host; remove it",
        ),
        (
            {"ups__ups2": {"host": "nas", **FIRST}, **RULE},
            "hosts.nas.host_rule: nas has the cable of a UPS and hears that one; remove it",
        ),
    ],
)
def test_paths_and_rules_that_lead_nowhere_are_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as refused:
        town(tmp_path, **changes)
    assert told in str(refused.value)


def test_a_card_whose_passwords_are_elsewhere_is_taken(tmp_path: Path) -> None:
    card = {"snmp_version": "v3", "secLevel": "authPriv", "secName": "nut"}
    changes = {"ups__ups1__driver": "snmp-ups", "ups__ups1__port": "198.51.100.50"}

    assert town(tmp_path, **changes, ups__ups1__options=card).ups["ups1"].options == card


def test_an_old_host_follows_by_its_own_means(tmp_path: Path) -> None:
    other = town(tmp_path, ups__ups1__clients=["old"], hosts__old__system="other")

    assert other.secondaries("ups1") == ()
    assert "nut_secondaries" not in inventory_of(other)


@pytest.mark.parametrize(
    ("host", "system", "playbook"),
    [
        ("nas", "synology", "provision"),
        ("pve1", "other", "provision"),
        ("vault", "windows", "vault"),
    ],
)
def test_what_a_playbook_sets_up_is_linux(
    tmp_path: Path, host: str, system: str, playbook: str
) -> None:
    with pytest.raises(InputError) as refused:
        town(tmp_path, **{f"hosts__{host}__system": system})

    assert f"hosts.{host}.system: playbooks/{playbook}.yml sets up each" in str(refused.value)
    assert f"a {system} host is `kind: client`" in str(refused.value)


def test_a_vault_that_never_logs_in_is_one_all_the_same(tmp_path: Path) -> None:
    assert town(tmp_path, hosts__vault__system="other").hosts["vault"].kind == "vault"


def test_a_synology_follows_what_is_called_ups(tmp_path: Path) -> None:
    named = {"ups__ups1": None, "ups__ups": {"host": "pve1", **FIRST, "clients": ["nas"]}}
    fed = {"networks__office__powered_by": "ups", **SYNOLOGY}
    assert town(tmp_path, **named, **fed).ups["ups"].clients == ("nas",)

    with pytest.raises(InputError, match="mode policy shows it ups-site: write `mode: stock`"):
        town(tmp_path, **named, **fed, ups__ups__mode="policy")


def test_a_synology_with_two_upses_needs_one_that_is_called_so(tmp_path: Path) -> None:
    second = {"host": "vault", **FIRST, "clients": ["nas"]}
    assert town(tmp_path, **SYNOLOGY, ups__ups=second).hosts["nas"].system == "synology"
