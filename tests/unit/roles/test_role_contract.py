"""Every role says what it takes, in one place, and nobody passes it anything else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from releve.town import load_town
from releve.town.ansible_vars import inventory_of

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parents[1] for path in ROOT.glob("roles/*/tasks/main.yml"))


def specs(role: Path) -> dict[str, Any]:
    """Return the options of a role's main entry point."""
    content = yaml.safe_load((role / "meta/argument_specs.yml").read_text())
    options: dict[str, Any] = content["argument_specs"]["main"]["options"]
    return options


def sources(role: Path) -> str:
    """Return the text of everything in a role that can use a variable."""
    files = [
        path
        for folder in ("tasks", "handlers", "templates")
        for path in sorted((role / folder).rglob("*"))
        if path.is_file()
    ]
    return "\n".join(path.read_text() for path in files)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_specs_agree(role: Path) -> None:
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    stated = {
        name: option["default"] for name, option in specs(role).items() if "default" in option
    }

    assert defaults == stated


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_has_no_default_is_required(role: Path) -> None:
    for name, option in specs(role).items():
        assert ("default" in option) != option.get("required", False), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_each_input_is_used(role: Path) -> None:
    text = sources(role)

    assert [name for name in specs(role) if name not in text] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_has_no_hidden_default(role: Path) -> None:
    assert re.findall(r"\|\s*default\(", sources(role)) == []


def test_the_town_passes_no_unknown_input() -> None:
    known = {name for role in ROLES for name in specs(role)}
    groups = inventory_of(load_town(ROOT / "inventory/lab"))
    passed = {
        name for hosts in groups.values() for variables in hosts.values() for name in variables
    }

    unknown = {name for name in passed - known if not name.startswith("ansible_")}
    assert unknown == set()
