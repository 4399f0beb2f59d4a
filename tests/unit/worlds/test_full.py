"""Full hosts are configured as the light ones, by the playbook, and shown beside them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tests.worlds import full_run, page, seen
from tests.worlds.full import Place
from tests.worlds.scenarios import changed
from tests.worlds.site import variables_of

if TYPE_CHECKING:
    import pytest
    from tests.worlds.site import Mode

ROOT = Path(__file__).parents[3]
REBOOT = "14"


def test_the_playbook_finds_every_host_with_what_the_light_worlds_tell_the_role() -> None:
    site = changed(mode="policy")
    inventory = Place(site, Path("/nowhere"), 0).inventory()
    plays = yaml.safe_load((ROOT / "playbooks/power.yml").read_text())
    hosts = {name: one for group in inventory.values() for name, one in group["hosts"].items()}

    assert set(inventory) == {play["hosts"] for play in plays}
    assert set(hosts) == set(site.addresses)
    for host in site.hosts:
        told = variables_of(site, host)
        kept = {name: value for name, value in told.items() if not name.endswith("_tls")}
        assert kept.items() <= hosts[host.name].items()
    assert hosts["pve1"]["nut_primary_tls"]
    assert hosts["nas"]["nut_secondary_tls"]


def test_what_runs_on_the_same_hosts_is_told_the_same_to_their_roles() -> None:
    for mode, name in itertools.product(full_run.MODES, full_run.PLACES):
        first, *others = full_run.of_place(name)
        site = first.site_in(mode)
        for scenario in others:
            for host in site.hosts:
                own = scenario.site_in(mode)
                assert variables_of(own, own.host(host.name)) == variables_of(site, host), scenario


def test_a_few_of_each_are_there_and_a_reboot_after_a_cut() -> None:
    ids = {one.id for one in full_run.CHOSEN}

    assert ids == set(full_run.IDS)
    assert REBOOT in ids
    assert sum(one.startswith("V") for one in ids) >= 1
    assert sum(not one.startswith("V") for one in ids) >= 3


def test_the_page_shows_both_kinds_of_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "FILE", tmp_path / "seen.json")
    scenario = full_run.CHOSEN[0]
    stock: Mode = "stock"
    seen.keep({(scenario.id, stock): seen.seen_now(scenario, stock, "clean", [])}, "-full")

    row = next(line for line in page.full_table().splitlines() if line.startswith("| 1 "))

    assert [cell.strip() for cell in row.split("|")[3:-1]] == [
        "not run", "clean, all back", "not run", "not run"]  # fmt: skip
