"""What the two roles are given, judged as the roles ask it: one sentence for each fault."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from releve.power.inputs.verb import faults_of, main

ROLES = Path(__file__).parents[4] / "roles"
CLIENT = {
    "name": "pve", "address": "192.0.2.11", "mac": "", "devices": ["ups1"], "stop_seconds": 60,
    "logs_in": True,
}  # fmt: skip
GUEST = {"name": "web", "order": 1, "stop_seconds": 60}
REMOTE = {"ups": "a", "server": "192.0.2.9", "supplies": 1}
MONITOR = {"ups": "ups1", "server": "192.0.2.10", "supplies": 1}


def _file(role: str, name: str) -> Any:
    return yaml.safe_load((ROLES / role / name).read_text(encoding="utf-8"))


def asked(role: str, **changed: Any) -> dict[str, Any]:
    options = _file(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    values = _file(role, "defaults/main.yml")
    if role == "nut_primary":
        device = {"name": "ups1", "driver": "usbhid-ups"}
        values |= {
            "nut_primary_devices": [values["nut_primary_device"] | device],
            "nut_primary_addresses": ["192.0.2.10"],
            "nut_primary_clients": [CLIENT],
        }
    else:
        values |= {"nut_secondary_monitors": [MONITOR], "nut_secondary_address": "192.0.2.11"}
    values |= {f"{role}_{name}": value for name, value in changed.items()}
    return {"options": options, "values": values, "names": list(values)}


def primary(**changed: Any) -> list[str]:
    return faults_of("nut_primary", asked("nut_primary", **changed))


def secondary(**changed: Any) -> list[str]:
    return faults_of("nut_secondary", asked("nut_secondary", **changed))


def device(**changed: Any) -> list[dict[str, Any]]:
    (one,) = asked("nut_primary")["values"]["nut_primary_devices"]
    return [one | changed]


def test_good_inputs_are_taken() -> None:
    assert primary() == []
    assert primary(addresses=["192.0.2.10", "2001:db8::10"], firewall_also=["2001:db8::/64"]) == []
    assert primary(clients=[CLIENT | {"guests": [GUEST], "host_rule": None, "paths": []}]) == []
    assert primary(batteries={"ups2": None, "ups3": 900}, guests=[GUEST | {"vmid": 101}]) == []
    assert primary(devices=device(options={"pollfreq": 30, "override.battery.packs": 0.5})) == []
    assert primary(clients=[], remote=[REMOTE | {"server": "2001:db8::9"}]) == []
    assert secondary() == []
    assert secondary(monitors=[MONITOR, MONITOR | {"server": "nas.example.org"}]) == []
    assert secondary(passwords={"192.0.2.10": ""}, peers=["192.0.2.1"]) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"addresses": "192.0.2.10"}, 'nut_primary_addresses: "192.0.2.10" is no list'),
        ({"addresses": ["192.0.2.10/24"]}, "is no address such as"),
        ({"derate": 80}, "80 is not between 0.1 and 1: a share, 0.8 is 80 %"),
        ({"driver_poll": 30}, "30 is not between 1 and 10"),
        ({"devices": device(options=None)}, "nut_primary_devices[ups1].options: has no value"),
        ({"hostsync": None}, "nut_primary_hostsync: has no value"),
        ({"metrics_folder": "node_exporter"}, "does not begin with /"),
        ({"broadcast": "192.0.2.0/24"}, "is no IPv4 address such as 192.0.2.255"),
        ({"firewall_also": ["watch.example.org"]}, "is no address and no network"),
        ({"clients": [CLIENT | {"devices": ["ups-1"]}]}, 'there is no "ups-1"'),
        ({"clients": [CLIENT | {"devices": []}]}, "is empty, so nobody would wait"),
        ({"clients": [CLIENT | {"address": "pve"}]}, '"pve" is no address'),
        ({"clients": [CLIENT | {"address": "2001:DB8:0::B"}]}, "as 2001:db8::b, the way NUT does"),
        ({"clients": [CLIENT | {"mac": "02-00-5E-00-53-0B"}]}, "no address of a network card"),
        ({"clients": [CLIENT, CLIENT]}, "nut_primary_clients[pve]: is said twice"),
        ({"devices": device(battery_installed="03/2024")}, '"03/2024" is no date'),
        ({"devices": device(battery_installed="2026-02-30")}, '"2026-02-30" is no date'),
        ({"devices": device(battery_installed="1980-01-01")}, '"1980-01-01" is no date'),
        ({"devices": [], "clients": [CLIENT]}, "name a UPS in nut_primary_devices, which is empty"),
        ({"devices": device(driver="usbhid")}, 'devices[ups1].driver: "usbhid" is no longer'),
        ({"remote": [REMOTE | {"server": "192.0.2.9:3493"}]}, "remote[a].server"),
        ({"guests": [GUEST | {"stop_seconds": -60}]}, "guests[web].stop_seconds: -60 is not betw"),
        ({"guests": [GUEST | {"order": -1}]}, "guests[web].order: -1 is not between 0 and"),
        ({"guests": [GUEST | {"vmid": 7}]}, "guests[web].vmid: 7 is not between 100 and"),
        ({"guests": [{"name": "web", "order": 1}]}, "guests[web].stop_seconds: is missing"),
        ({"clients": [CLIENT | {"stop_seconds": -45}]}, "clients[pve].stop_seconds: -45 is not"),
        ({"clients": [CLIENT | {"abort_seconds": -1}]}, "clients[pve].abort_seconds: -1 is not"),
        (
            {"clients": [CLIENT | {"guests": [{"order": 1, "stop_seconds": 9}]}]},
            "guests[1].name: is",
        ),
        (
            {"clients": [CLIENT | {"guests": [GUEST | {"stop_seconds": "2m"}]}]},
            'clients[pve].guests[web].stop_seconds: "2m" is no whole number',
        ),
        (
            {"clients": [CLIENT | {"guests": [GUEST | {"stop_seconds": -2}]}]},
            "clients[pve].guests[web].stop_seconds: -2 is not between 1 and",
        ),
        (
            {"clients": [CLIENT | {"host_rule": {"after_seconds": 30}}]},
            "clients[pve].host_rule.planned_outage_seconds: is missing",
        ),
        ({"clients": [CLIENT | {"paths": [{"powered_by": "mains"}]}]}, "paths[1].via: is missing"),
        ({"remote": [REMOTE | {"supplies": -1}]}, "remote[a].supplies: -1 is not between 0 and"),
        ({"batteries": {"ups2": "1200"}}, 'batteries.ups2: "1200" is text: write 1200, without'),
        ({"batteries": {"ups2": -5}}, "nut_primary_batteries.ups2: -5 is not between 1 and 86400"),
        ({"devices": device(capacity_seconds=0)}, "capacity_seconds: 0 is not between 1 and"),
        ({"devices": device(offdelay=-1)}, "devices[ups1].offdelay: -1 is not between 0 and"),
        ({"devices": device(battery_life_months=0)}, "life_months: 0 is not between 1 and 240"),
        ({"devices": device(options={"serial": None})}, "options.serial: has no value"),
        ({"devices": device(options={"desc": ["a"]})}, 'options.desc: ["a"] is no text'),
    ],
)
def test_a_primary_is_told_what_is_wrong(changed: dict[str, Any], said: str) -> None:
    (found,) = primary(**changed)

    assert said in found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"address": "pve.example.org"}, "nut_secondary_address"),
        ({"monitors": [MONITOR | {"server": None}]}, "monitors[ups1].server: has no value"),
        ({"monitors": []}, "nut_secondary_monitors: is empty"),
        ({"monitors": [MONITOR, MONITOR]}, "is said twice of 192.0.2.10"),
        ({"monitors": [MONITOR | {"ups": "ups1@192.0.2.10"}]}, "is no name of a UPS"),
        ({"monitors": [MONITOR | {"server": "[2001:db8::1]"}]}, "no brackets"),
        ({"min_supplies": 2}, "2 is more than the 1 that its monitors feed"),
        ({"passwords": {"nas": ""}}, 'no monitor has the server "nas"; there is 192.0.2.10'),
        ({"peers": ["2001:db8::1"]}, "is no IPv4 address"),
        ({"silence_seconds": 0}, "0 is not between 1 and 600"),
        ({"tls": "false"}, "is neither true nor false"),
    ],
)
def test_a_secondary_is_told_what_is_wrong(changed: dict[str, Any], said: str) -> None:
    (found,) = secondary(**changed)

    assert said in found


def test_a_device_without_a_default_for_each_key_is_told_which() -> None:
    given = asked("nut_primary")
    del given["values"]["nut_primary_devices"][0]["thresholds"]

    assert faults_of("nut_primary", given) == [
        "nut_primary_device: has no thresholds: whoever sets it, sets each of its keys"
    ]


def test_secret_options_are_judged_by_their_names() -> None:
    snmp = {"snmp_version": "v3", "secLevel": "authNoPriv", "secName": "nut"}
    given = asked("nut_primary", devices=device(driver="snmp-ups", port="192.0.2.50", options=snmp))

    assert len(faults_of("nut_primary", given)) == 1  # it misses authPassword
    assert faults_of("nut_primary", given | {"secret_options": {"ups1": ["authPassword"]}}) == []
    (found,) = primary(
        devices=device(driver="netxml-ups", port="http://192.0.2.50", options={"password": "shown"})
    )
    assert "is a password, which runs would show" in found
    (found,) = faults_of(
        "nut_primary", asked("nut_primary") | {"secret_options": {"ups9": ["community"]}}
    )
    assert 'there is no UPS "ups9"; there is ups1' in found


def test_the_verb_prints_the_sentences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked("nut_secondary"))))
    assert main(["nut_secondary"]) == 0
    assert json.loads(capsys.readouterr().out) == []

    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    assert main(["nut_secondary"]) == 2
    assert "is none of a role" in capsys.readouterr().err
