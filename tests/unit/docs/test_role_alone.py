"""The plain inventory that the documentation shows is one that both roles take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from releve.power.budget import budget_of
from releve.town.power_settings import made_of

CHECKOUT = Path(__file__).parents[3]
PAGE = CHECKOUT / "docs" / "how-to" / "use-a-role-alone.md"
BLOCK = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```", re.M | re.S)
SECRETS = {
    "nas": {"nut_primary_password": "own", "nut_primary_secondary_password": "theirs"},
    "pve": {"nut_secondary_password": "theirs"},
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Write the page's files and return what Ansible reads from them, by host."""
    folder = tmp_path_factory.mktemp("plain")
    for name, content in BLOCK.findall(PAGE.read_text()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    program = Path(sys.executable).with_name("ansible-inventory")
    said = subprocess.run(
        [program, "-i", folder / "hosts.ini", "--list"],
        cwd=CHECKOUT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    variables: dict[str, dict[str, Any]] = json.loads(said.stdout)["_meta"]["hostvars"]
    return variables


@pytest.mark.parametrize(("host", "role"), [("nas", "nut_primary"), ("pve", "nut_secondary")])
def test_the_role_takes_what_the_page_gives(
    hosts: dict[str, dict[str, Any]], host: str, role: str
) -> None:
    given = {name: value for name, value in hosts[host].items() if name.startswith("nut_")}
    specs = yaml.safe_load((CHECKOUT / "roles" / role / "meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]

    found = ArgumentSpecValidator(options).validate(given | SECRETS[host])

    assert found.error_messages == []
    without = ArgumentSpecValidator(options).validate(given)
    assert "missing required arguments" in str(without.error_messages)


def test_the_battery_of_the_page_carries_its_hosts(hosts: dict[str, dict[str, Any]]) -> None:
    defaults = yaml.safe_load((CHECKOUT / "roles/nut_primary/defaults/main.yml").read_text())
    values = {
        name.removeprefix("nut_primary_"): value
        for name, value in (defaults | hosts["nas"]).items()
        if name.startswith("nut_primary_")
    }
    (client,) = values["clients"]
    values["clients"] = [client | {"address": "192.0.2.11"}]  # a template of the page

    assert budget_of(made_of(values, "ups1", 1)).faults == []

    values["hostsync"] = defaults["nut_primary_hostsync"]
    (fault,) = budget_of(made_of(values, "ups1", 1)).faults
    said = str(hosts["nas"]["nut_primary_hostsync"])
    assert fault.endswith(f"raise it to {said} s (nut_primary_hostsync)")
