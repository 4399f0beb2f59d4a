"""The budget on the workstation is made of what role nut_primary would hand over."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from releve.errors import InputError
from releve.power.budget import Settings, budget_of
from releve.town import load_town
from releve.town.power_settings import made_of, settings_of, variables
from releve.town.stops import Stops

CHECKOUT = Path(__file__).parents[3]
EXAMPLE = CHECKOUT / "inventory" / "example" / "town.yml"


def town_in(folder: Path, **files: str) -> Path:
    """Copy the example's town file into a folder beside the given files of variables."""
    shutil.copy(EXAMPLE, folder / "town.yml")
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_yml", ".yml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "town.yml"


def test_defaults_of_the_role_and_what_the_town_file_says(tmp_path: Path) -> None:
    one = settings_of(load_town(town_in(tmp_path)), "ups1")

    assert (one.hostsync, one.finaldelay, one.offdelay) == (15, 5, 60)
    assert (one.capacity_seconds, one.stop_seconds, one.workers) == (1200, 90, 1)
    assert {guest["name"]: guest["stop_seconds"] for guest in one.guests} == {
        "population": 180, "school-server": 120,
    }  # fmt: skip
    assert [client["name"] for client in one.clients] == ["nas"]


def test_a_group_goes_before_the_default_and_a_host_before_the_group(tmp_path: Path) -> None:
    file = town_in(
        tmp_path,
        group_vars__all__x_yml="nut_primary_hostsync: 20\nnut_primary_margin: 2.0\n",
        group_vars__nut_primaries_yml="nut_primary_hostsync: 30\nnut_primary_finaldelay: 9\n",
        host_vars__pve1_yml="nut_primary_finaldelay: 7\n",
    )
    one = settings_of(load_town(file), "ups1")

    assert (one.margin, one.hostsync, one.finaldelay) == (2.0, 30, 7)


def test_the_files_of_a_group_are_those_that_ansible_reads(tmp_path: Path) -> None:
    town = town_in(
        tmp_path,
        group_vars__nut_primaries_yml="nut_primary_hostsync: 20\n",  # not read: there is a folder
        group_vars__nut_primaries__a_yml="nut_primary_hostsync: 21\nnut_primary_margin: 2.0\n",
    )
    more = {
        "group_vars/all.json": '{"nut_primary_abort_seconds": 31}',
        "group_vars/nodes.yaml": "nut_primary_finaldelay: 8",
        "group_vars/nut_primaries/b.yaml": "nut_primary_pollfreq: 6",
        "group_vars/nut_primaries/c/d": "nut_primary_pollfreqalert: 3",
        "group_vars/nut_primaries/.e.yml": "nut_primary_driver_poll: 9",
        "group_vars/nut_primaries/f.yml~": "nut_primary_driver_poll: 9",
        "group_vars/nut_primaries/g.txt": "nut_primary_driver_poll: 9",
        "host_vars/pve1/h.yml": "nut_primary_ride_through_seconds: 99",
    }
    for name, text in more.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    program = Path(sys.executable).with_name("ansible-inventory")
    said = subprocess.run(
        [program, "-i", town, "--host", "pve1"],
        cwd=CHECKOUT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    defaults = yaml.safe_load((CHECKOUT / "roles/nut_primary/defaults/main.yml").read_text())
    expected = defaults | json.loads(said.stdout)

    found = variables(load_town(town), "pve1")

    assert found == {
        name.removeprefix("nut_primary_"): value
        for name, value in expected.items()
        if name.startswith("nut_primary_") and not name.endswith("password")
    }
    assert (found["hostsync"], found["margin"], found["finaldelay"]) == (21, 2.0, 8)


def test_secrets_are_passed_by_and_templates_are_refused(tmp_path: Path) -> None:
    file = town_in(tmp_path, group_vars__all__secrets_yml="$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    assert settings_of(load_town(file), "ups1").hostsync == 15

    file = town_in(tmp_path, group_vars__all__x_yml='nut_primary_hostsync: "{{ x }}"\n')
    with pytest.raises(InputError, match=r"x\.yml: nut_primary_hostsync: a template"):
        settings_of(load_town(file), "ups1")


def test_a_device_without_all_of_its_keys_is_told_which(tmp_path: Path) -> None:
    file = town_in(tmp_path, group_vars__all__x_yml="nut_primary_device: {port: auto}\n")
    with pytest.raises(InputError, match=r"nut_primary_device has no (offdelay|battery_installed)"):
        settings_of(load_town(file), "ups1")


def test_a_share_that_is_none_is_told(tmp_path: Path) -> None:
    town = load_town(town_in(tmp_path, group_vars__all_yml="nut_primary_derate: 0\n"))
    with pytest.raises(InputError, match="ups1: a variable of role nut_primary: derate is 0"):
        settings_of(town, "ups1")


def test_the_cpus_of_the_host_say_how_many_stop_at_once(tmp_path: Path) -> None:
    assert settings_of(load_town(town_in(tmp_path)), "ups1", cpus=4).workers == 3


def test_a_ups_that_is_none_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no UPS ups9; there are ups1"):
        settings_of(load_town(town_in(tmp_path)), "ups9")


def test_a_ups_on_the_network_is_seen_before_any_host_is_asked(tmp_path: Path) -> None:
    taken = "nut_primary_accept: {UC_NETWORK_DRIVER_KILLPOWER: the caretaker has a key}\n"
    for given, many in ({}, 1), ({"group_vars__all__x_yml": taken}, 0):
        file = town_in(tmp_path, **given)
        text = file.read_text().replace("driver: usbhid-ups", "driver: snmp-ups")
        file.write_text(text.replace("port: auto", "port: 192.0.2.9"))

        faults = budget_of(settings_of(load_town(file), "ups1")).faults
        assert len([one for one in faults if "snmp-ups" in one]) == many


def test_a_driver_that_cannot_cut_is_seen_by_the_options_of_the_device(tmp_path: Path) -> None:
    file = town_in(tmp_path)
    contacts = "driver: genericups\n    delays_at: device\n    options: {upstype: '8'}"
    text = file.read_text().replace("driver: usbhid-ups", contacts)
    file.write_text(text.replace("port: auto", "port: /dev/ttyS0"))

    (fault,) = budget_of(settings_of(load_town(file), "ups1")).faults
    assert "its driver (genericups) cannot cut its output" in fault


def test_the_role_hands_over_what_the_settings_take() -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/nut_primary/tasks/budget.yml").read_text())
    handed = next(task["vars"]["__nut_primary_settings"] for task in tasks if "vars" in task)
    taken = {one.name for one in fields(Settings)}

    assert set(handed) <= taken
    # The day is looked up where it is reckoned.
    assert taken - set(handed) == {"today"}
    plain = {
        name for name, value in handed.items() if re.search(r"nut_primary_" + name, str(value))
    }
    assert {"hostsync", "margin", "abort_seconds", "min_supplies"} <= plain


def test_what_stops_took_is_read_beside_the_town_file(tmp_path: Path) -> None:
    file = town_in(tmp_path)
    Stops({201: 31.5, 999: 1.0}, 44.0).write(tmp_path, "pve1")
    one = settings_of(load_town(file), "ups1")

    assert {guest["name"]: guest.get("measured_seconds") for guest in one.guests} == {
        "population": 31.5, "school-server": None,
    }  # fmt: skip
    assert (one.stop_measured, one.stop_seconds) == (44.0, 90)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"guests": {}, "host": 1e400}', r"host\.pve1\.json: is wrong; right is"),
        ('{"guests": {"201": NaN}, "host": null}', r"host\.pve1\.json: is wrong; right is"),
        ('{"guests": {"201": -1}, "host": null}', r"host\.pve1\.json: is wrong; right is"),
        ('{"guests": {"x": 1}, "host": null}', r"host\.pve1\.json: is wrong; right is"),
        ('{"guests": {}}', r"host\.pve1\.json: is wrong; right is"),
        ("{", r"host\.pve1\.json: cannot be read .*; run: releve power stops"),
    ],
)
def test_a_file_of_stops_that_is_not_sound_is_named(tmp_path: Path, text: str, told: str) -> None:
    file = town_in(tmp_path, measured__host_pve1_json="")
    (tmp_path / "measured" / "host.pve1.json").write_text(text)

    with pytest.raises(InputError, match=told):
        load_town(file)


def test_a_guest_that_was_not_stopped_since_keeps_its_figure() -> None:
    before, now = Stops({1: 5.0, 2: 6.0}, 9.0), Stops({2: 7.0}, None)

    assert now.after(before) == Stops({1: 5.0, 2: 7.0}, 9.0)


def with_storage(folder: Path, server: str, content: str) -> Path:
    file = town_in(folder)
    text = file.read_text()
    shared = f"""storage:
  shared:
    host: pve1
    type: dir
    path: /mnt/shared
    content: [{content}]
    server: {server}
"""
    assert "\nstorage:\n" in text
    file.write_text(text.replace("storage:\n", shared, 1))
    return file


@pytest.mark.parametrize("content", ["images", "backup, iso"])
def test_a_share_that_the_node_has_mounted_is_of_its_server(tmp_path: Path, content: str) -> None:
    one = settings_of(load_town(with_storage(tmp_path, "nas", content)), "ups1")
    (nas,) = one.clients

    assert nas["serves"] == content.split(", ")
    faults = " ".join(budget_of(one).faults)
    assert ("guests' disks lie on nas" in faults) == (content == "images")
    assert dict(budget_of(one).steps)["shares whose server is gone"] == 30


@pytest.mark.parametrize(
    ("server", "told"), [("nsa", 'did you mean "nas"?'), ("pve1", "is the node itself")]
)
def test_a_share_of_nobody_is_refused(tmp_path: Path, server: str, told: str) -> None:
    with pytest.raises(InputError, match=r"storage\.shared\.server: .*" + re.escape(told)):
        load_town(with_storage(tmp_path, server, "images"))


@pytest.mark.parametrize(
    ("said", "supplies", "alone"),
    [(None, 0, True), (None, 1, False), (True, 1, True), (False, 0, False)],
)
def test_a_capacity_measured_beside_another_ups_is_no_whole_one(
    tmp_path: Path, said: bool | None, supplies: int, alone: bool
) -> None:
    values = variables(load_town(town_in(tmp_path)), "pve1")
    (one,) = values["devices"]
    values["devices"] = [one | {"measured_alone": said}]
    values["remote"] = [{"ups": "ups2", "server": "192.0.2.9", "supplies": supplies}]

    assert made_of(values, "ups1", 1).measured_alone is alone


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('nut_primary_hostsync: "20 s"', 'nut_primary_hostsync: "20 s" is no whole number'),
        ("nut_primary_pollfreq: 0", "nut_primary_pollfreq: 0 is not between 1 and 60"),
        ("nut_primary_hostsnyc: 60", 'there is no such input; did you mean "nut_primary_hostsync'),
        ("nut_primary_guests: [{name: 1, order: 1, stop_seconds: 9}]", "[1].name 1 is no text"),
    ],
)
def test_what_the_role_would_refuse_is_told_with_its_line(
    tmp_path: Path, line: str, told: str
) -> None:
    file = town_in(tmp_path, group_vars__nut_primaries_yml=f"nut_primary_margin: 2\n{line}\n")

    with pytest.raises(InputError) as error:
        settings_of(load_town(file), "ups1")
    assert told in str(error.value)
    assert str(error.value).startswith("nut_primaries.yml:2: ")


@pytest.mark.parametrize("text", ["- nut_primary_hostsync: 20\n", "nut_primary_hostsync\n", "3\n"])
def test_a_file_that_holds_no_variables_is_told(tmp_path: Path, text: str) -> None:
    file = town_in(tmp_path, group_vars__nut_primaries_yml=text)

    with pytest.raises(InputError, match=r"^nut_primaries\.yml:1: must hold variables, each with"):
        settings_of(load_town(file), "ups1")


def test_a_value_that_is_encrypted_by_itself_is_passed_by(tmp_path: Path) -> None:
    encrypted = "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"
    file = town_in(
        tmp_path,
        group_vars__all__x_yml=f"nut_primary_hostsync: 20\nnut_primary_test_password: {encrypted}",
    )

    assert settings_of(load_town(file), "ups1").hostsync == 20
