"""The town hall before anything is done to it: its guests work, and power behaves as power does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.scenario.stage import WRITE_PATIENCE

from releve.command import CommandError, run

if TYPE_CHECKING:
    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
GUESTS = ("compta", "dossiers")
BOOT_SECONDS = 60
RECORDS = 10  # as many a guest writes in a second


def state_of(lab: Lab, guest: str) -> str:
    return lab.console("old", ["virsh", "domstate", guest]).stdout.strip()


def await_state(lab: Lab, guest: str, wanted: str, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while (state := state_of(lab, guest)) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return state


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_works(lab: Lab, guest: str) -> None:
    first = lab.ask(guest, BOOT_SECONDS)
    deadline = time.monotonic() + WRITE_PATIENCE
    while (second := lab.ask(guest)).newest - first.newest < RECORDS:
        assert time.monotonic() < deadline

    assert second.whole
    assert second.boots == 1
    assert second.mac == lab.town.guests[guest].nics[0].mac


def test_the_old_host_has_no_python(lab: Lab) -> None:
    with pytest.raises(CommandError):
        lab.ssh("old", "command -v python3 || command -v python")


def test_nothing_leads_out_of_the_lab(lab: Lab) -> None:
    route = lab.workstation(["ip", "route", "get", "203.0.113.1"])
    assert run(route, timeout=10, check=False).returncode != 0
    with pytest.raises(CommandError):
        lab.ssh("pve1", "ip route get 203.0.113.1")


def test_the_vault_lets_nobody_in(lab: Lab) -> None:
    with pytest.raises(CommandError, match="Permission denied"):
        lab.ssh("vault", "true")


@pytest.mark.parametrize("host", ["pve1", "nas", "vault"])
def test_a_host_whose_power_was_cut_comes_back_with_its_disk(lab: Lab, host: str) -> None:
    lab.console(host, ["sh", "-c", "echo kept > /root/mark; echo gone > /run/mark; sync"])
    lab.power_cut(host)
    assert not lab.running(host)
    lab.power_on(host)
    lab.await_ready(host)

    assert lab.console(host, ["cat", "/root/mark"]).stdout == "kept\n"
    assert lab.console(host, ["test", "-e", "/run/mark"], check=False).returncode == 1


def test_guests_of_a_host_whose_power_was_cut_come_back_and_say_so(lab: Lab) -> None:
    before = {guest: lab.ask(guest, BOOT_SECONDS) for guest in GUESTS}
    lab.power_cut("old")
    lab.power_on("old")
    lab.await_ready("old")

    for guest in GUESTS:
        after = lab.ask(guest, BOOT_SECONDS)
        assert after.whole
        assert after.newest > before[guest].newest
        assert after.boots == before[guest].boots + 1
        assert after.unclean == before[guest].unclean + 1


@pytest.mark.parametrize("guest", GUESTS)
def test_the_power_button_stops_a_guest_in_order(lab: Lab, guest: str) -> None:
    before = lab.ask(guest, BOOT_SECONDS)
    lab.console("old", ["virsh", "shutdown", guest])
    assert await_state(lab, guest, "shut off", 20) == "shut off"
    lab.console("old", ["virsh", "start", guest])
    after = lab.ask(guest, BOOT_SECONDS)

    assert after.whole
    assert after.boots == before.boots + 1
    assert after.unclean == before.unclean


def test_a_deaf_guest_ignores_the_power_button(lab: Lab) -> None:
    lab.ask("compta", BOOT_SECONDS)
    lab.deafen("compta")
    lab.console("old", ["virsh", "shutdown", "compta"])
    assert await_state(lab, "compta", "shut off", 5) == "running"
    lab.console("old", ["virsh", "destroy", "compta"])
    lab.console("old", ["virsh", "start", "compta"])
    assert lab.ask("compta", BOOT_SECONDS).whole
