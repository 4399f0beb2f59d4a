"""Guests start after whom they need."""

from __future__ import annotations

from pathlib import Path

from releve.town import load_town
from releve.town.inputs import nut
from releve.town.order import start_order

LAB = Path(__file__).parents[3] / "inventory" / "lab"


def test_a_guest_starts_after_each_that_it_needs() -> None:
    assert start_order(load_town(LAB)) == {"compta": 1, "dossiers": 2}


def test_the_host_of_the_ups_knows_its_guests_and_clients() -> None:
    variables = nut.inputs(load_town(LAB))

    assert [one["name"] for one in variables["pve1"]["nut_primary_guests"]] == [
        "compta",
        "dossiers",
    ]
    assert variables["pve1"]["nut_primary_clients"][0]["address"] == "198.51.100.12"
    assert variables["pve1"]["nut_primary_broadcast"] == "198.51.100.255"
    assert variables["nas"]["nut_secondary_monitors"] == [
        {"ups": "ups1", "server": "198.51.100.11", "host": "pve1", "supplies": 1}
    ]
