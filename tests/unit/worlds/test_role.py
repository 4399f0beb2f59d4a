"""A world's hosts get what the roles would write, and what a role refuses is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from tests.worlds.scenarios import GATEWAY, NAS, OWN, PVE, TOWN, changed, with_host
from tests.worlds.site import UPS, files_of

from releve.errors import RefusedError

PATIENT = {"nut_primary_poweroff_wait_seconds": 600}
CYBERPOWER = {"vendorid": "0764"}


def test_the_primary_gets_all_of_the_role_in_the_safe_order() -> None:
    files = [file.path for file in files_of(TOWN, PVE) if not file.folder]

    nut = [path for path in files if path.startswith("/etc/nut/")]

    assert nut[0] == "/etc/nut/nut.conf"
    assert "/etc/nut/ups.conf" in nut
    assert {"/etc/nut/upsmon.conf", "/etc/nut/upsd.users", "/etc/releve/rewake.json"} < set(files)


def test_templates_are_rendered_as_ansible_does_it() -> None:
    written = {file.path: file for file in files_of(TOWN, PVE)}
    monitor = written["/etc/nut/upsmon.conf"]

    assert (monitor.mode, monitor.owner, monitor.group) == (0o640, "root", "nut")
    assert b"{{" not in monitor.data
    assert f"MONITOR {UPS}@localhost 1 primary".encode() in monitor.data
    woken = json.loads(written["/etc/releve/rewake.json"].data)[0]["hosts"]
    assert [host["name"] for host in woken] == ["nas", "gw"]


def test_only_a_host_with_guests_gets_the_boot_gate() -> None:
    gate = "/usr/local/lib/releve/boot-gate"
    patient = {"nut_primary_hostsync": 20}
    as_nas = dataclasses.replace(TOWN, primary="nas", primary_variables=patient)

    assert gate in {file.path for file in files_of(TOWN, PVE)}
    assert gate not in {file.path for file in files_of(as_nas, NAS)}
    assert gate in {file.path for file in files_of(as_nas, PVE)}


def test_a_battery_that_is_too_weak_is_refused_in_the_role_s_words() -> None:
    with pytest.raises(RefusedError, match="or fit a battery that is measured at"):
        files_of(changed(measured=25), PVE)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"driver": "usbhid-ups", "offdelay": 20}, "offdelay 20 s is too short"),
        (
            {"driver": "usbhid-ups", "offdelay": 90, "ondelay": 150, "options": CYBERPOWER},
            "offdelay 90 s would be 60 s.*ondelay 150 s would be 120 s",
        ),
        ({"driver": "nutdrv_qx", "offdelay": 60, "ondelay": 120}, "say 180 s or more"),
        ({"driver": "apcsmart"}, "knows no offdelay and ondelay"),
    ],
)
def test_delays_that_a_driver_does_not_take_are_refused(device: dict[str, Any], said: str) -> None:
    site = changed(device={"offdelay": 60, "ondelay": 180, **device}, primary_variables=PATIENT)
    with pytest.raises(RefusedError, match=said):
        files_of(site, PVE)


def test_a_driver_that_counts_in_minutes_is_told_minutes() -> None:
    device = {"driver": "blazer_usb", "offdelay": 60, "ondelay": 180}
    site = changed(device=device, capacity=3000, measured=3000, primary_variables=PATIENT)
    written = {file.path: file.data for file in files_of(site, PVE)}

    assert b"offdelay = 60\n  ondelay = 3\n" in written["/etc/nut/ups.conf"]


def test_a_client_that_drives_a_ups_is_refused() -> None:
    site = with_host(GATEWAY, own_device="[ups]\n  driver = usbhid-ups\n")

    with pytest.raises(RefusedError, match="would cut that UPS"):
        files_of(site, site.host("gw"))


def test_in_mode_policy_a_client_follows_its_tier_and_the_primary_all_of_them() -> None:
    site = dataclasses.replace(TOWN, mode="policy")
    written = {host.name: {one.path: one for one in files_of(site, host)} for host in site.hosts}
    monitors = {name: files["/etc/nut/upsmon.conf"].data for name, files in written.items()}
    decisions = written["pve1"]["/var/lib/releve-policy"]

    assert b"MONITOR ups1-site@localhost 1 primary" in monitors["pve1"]
    assert b"MONITOR ups1-edge@localhost 0 primary" in monitors["pve1"]
    assert f"MONITOR ups1-edge@{PVE.address} 1 secondary".encode() in monitors["gw"]
    assert f"MONITOR ups1-site@{PVE.address} 1 secondary".encode() in monitors["nas"]
    assert site.followed("pve1") == ["ups1-site", "ups1-edge"]
    assert (decisions.folder, decisions.owner, decisions.mode) == (True, "nut", 0o750)


def test_plain_nut_has_nothing_of_ours() -> None:
    ours = {file.path: file.data for file in files_of(OWN, PVE)}
    plain = {file.path: file.data for file in files_of(dataclasses.replace(OWN, mode="plain"), PVE)}

    assert b"ignorelb" in ours["/etc/nut/ups.conf"]
    assert b"POWEROFF_WAIT" in ours["/etc/nut/nut.conf"]
    assert all(path.startswith("/etc/nut/") for path in plain)
    for word in (b"ignorelb", b"override.", b"upssched", b"\nPOWEROFF_WAIT"):
        assert not any(word in data for data in plain.values()), word
