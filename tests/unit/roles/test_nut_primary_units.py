"""What systemd is told of NUT's own units, and whom the role asks before it touches any of them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from tests.unit.power.test_stock import PRIMARY
from tests.worlds.role import ROLES, RoleRun


@pytest.mark.parametrize(
    "unit", ["nut-monitor.service", "nut-driver@.service", "nut-server.service"]
)
def test_what_guards_a_host_is_started_again_for_ever(unit: str) -> None:
    variables = {**PRIMARY, "nut_primary_stop_seconds": 60}
    files = RoleRun("nut_primary", variables, {"__nut_primary_guests_unit": {"stdout": ""}}).run()
    (drop_in,) = (one.data.decode() for one in files if one.path.endswith(f"/{unit}.d/releve.conf"))

    unit_part, _, service = drop_in.partition("[Service]")
    assert "\nStartLimitIntervalSec=0\n" in unit_part
    assert "\nRestartSec=1s\n" in service


def test_each_ups_of_a_primary_is_asked_before_anything_is_touched() -> None:
    folder = ROLES / "nut_primary/tasks"
    order = [
        one["ansible.builtin.import_tasks"]
        for one in yaml.safe_load((folder / "main.yml").read_text())
        if "ansible.builtin.import_tasks" in one
    ]
    assert order.index("preflight.yml") < order.index("install.yml")
    last = yaml.safe_load((folder / "preflight.yml").read_text())[-1]
    assert last["ansible.builtin.import_tasks"] == "mains.yml"

    listed, asked = yaml.safe_load((folder / "mains.yml").read_text())
    assert asked["ansible.builtin.include_role"]["tasks_from"] == "mains.yml"
    assert asked["vars"]["nut_secondary_monitors"] == "{{ __nut_primary_goes_by }}"
    remote = {"ups": "other", "server": "192.0.2.12"}
    variables: dict[str, Any] = {
        "nut_primary_devices": [{"name": "ups1"}],
        "__nut_primary_virtual": ["ups1-site"],
        "nut_primary_remote": [remote],
    }
    text = trust_as_template(listed["ansible.builtin.set_fact"]["__nut_primary_goes_by"])
    assert Templar(loader=DataLoader(), variables=variables).template(text) == [
        {"ups": "ups1", "server": "localhost"},
        {"ups": "ups1-site", "server": "localhost"},
        remote,
    ]


@pytest.mark.parametrize(
    ("said", "enough"), [("OL", True), ("BOOST", True), ("TRIM LB", True), ("OFF", False)]
)
def test_a_driver_that_says_boost_alone_is_waited_for_no_longer(said: str, *, enough: bool) -> None:
    block = yaml.safe_load((ROLES / "nut_primary/tasks/gate_device.yml").read_text())[0]["block"]
    text = trust_as_template("{{ " + block[0]["until"] + " }}")
    variables = {"__nut_primary_status": {"stdout": said}}

    assert Templar(loader=DataLoader(), variables=variables).template(text) is enough


@pytest.mark.parametrize(
    ("datacenter", "workers"),
    [
        (None, 3),
        ("keyboard: fr-be\n", 3),
        ("keyboard: fr-be\nmax_workers: 1\n", 1),
        ("max_workers: 2\nmax_workers: 12 \n#max_workers: 1\n", 12),
        ("max_workers: 0\n", 3),
        ("max_workers: 2\nmax_workers: many\n", 3),
        ("max_workers: 16 # many\n", 3),
    ],
)
def test_the_data_centre_says_how_many_guests_stop_at_once(
    datacenter: str | None, workers: int
) -> None:
    seen: dict[str, Any] = {"__nut_primary_guests_unit": {"stdout": ""}}
    if datacenter is not None:
        text = base64.b64encode(datacenter.encode()).decode()
        seen["__nut_primary_datacenter"] = {"stat": {"exists": True}}
        seen["__nut_primary_datacenter_text"] = {"content": text}
    run = RoleRun("nut_primary", {**PRIMARY, "nut_primary_stop_seconds": 60}, seen)
    run.run()

    (budget,) = run.variables["__nut_primary_budgets"].values()
    assert budget["settings"]["workers"] == workers
