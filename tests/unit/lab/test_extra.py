"""What a scenario may ask of the lab, and which scenarios there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from releve.errors import InputError
from releve.lab import extra, molecule
from releve.lab.extra import Wish


def test_a_scenario_without_wishes_gets_one_plain_host(tmp_path: Path) -> None:
    assert extra.scenario_of(tmp_path).hosts == {"target": Wish()}


def test_wishes(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text("hosts:\n  target: {disk: /srv/vault}\n  other: {}\n")
    assert extra.scenario_of(tmp_path).hosts == {
        "target": Wish(disk="/srv/vault"),
        "other": Wish(),
    }


def test_an_unknown_wish_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text("hosts:\n  target: {disc: /srv/vault}\n")
    with pytest.raises(InputError, match=r"lab\.yml: hosts\.target\.disc"):
        extra.scenario_of(tmp_path)


def test_two_scenarios_never_share_a_host() -> None:
    base, other = Path("roles/base/molecule/default"), Path("roles/base/molecule/other")
    names = {
        extra.name_in(molecule.scenario_name(folder), host)
        for folder in (base, other)
        for host in ("target", "second")
    }
    assert len(names) == 4


def test_scenarios_are_found_by_role(tmp_path: Path) -> None:
    for role in ("base", "pve"):
        folder = tmp_path / "roles" / role / "molecule" / "default"
        folder.mkdir(parents=True)
        (folder / "molecule.yml").touch()

    assert molecule.scenarios(tmp_path) == [("base", "default"), ("pve", "default")]
    assert molecule.scenarios(tmp_path, ["pve"]) == [("pve", "default")]
    with pytest.raises(InputError, match="roles/nut"):
        molecule.scenarios(tmp_path, ["nut"])
