"""The lab's names, and what each host of the town becomes."""

from __future__ import annotations

from pathlib import Path

from releve.lab.hosts import address_book, specs_of
from releve.lab.images import IMAGES
from releve.lab.topology import name_of
from releve.town import load_town

ROOT = Path(__file__).parents[3]
TOWN = load_town(ROOT / "inventory" / "lab")


def test_two_checkouts_never_share_a_lab(tmp_path: Path) -> None:
    assert name_of(tmp_path / "one") != name_of(tmp_path / "two")
    assert name_of(tmp_path / "one") == name_of(tmp_path / "two" / ".." / "one")


def test_the_vault_takes_no_login_and_may_seal(tmp_path: Path) -> None:
    vault = specs_of(TOWN, tmp_path)["vault"]
    assert not vault.login
    assert "LINUX_IMMUTABLE" in vault.options


def test_only_hosts_with_guests_get_a_bridge_and_tun(tmp_path: Path) -> None:
    specs = specs_of(TOWN, tmp_path)
    with_bridge = {name for name, spec in specs.items() if spec.bridge}
    with_tun = {name for name, spec in specs.items() if "/dev/net/tun" in spec.options}
    assert with_bridge == with_tun == {"old", "pve1"}


def test_the_old_host_has_no_repository(tmp_path: Path) -> None:
    old = specs_of(TOWN, tmp_path)["old"]
    assert not old.repository
    assert not any("/srv/apt" in option for option in old.options)


def test_every_host_knows_the_others_by_name() -> None:
    assert "198.51.100.13 vault.releve.example.org vault" in address_book(TOWN)


def test_an_image_is_built_anew_when_its_recipe_changes() -> None:
    keys = {image.key for image in IMAGES.values()}
    assert len(keys) == len(IMAGES)
