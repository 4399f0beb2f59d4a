"""Who may need hands after a power cut is named, and refused where it is known and not accepted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.power.test_budget import GOOD, but

from releve.power import hands
from releve.power.budget import budget_of

WOKEN = {"name": "pve2", "mac": "02:00:5e:00:53:12", "stop_seconds": 45}
DARK: dict[str, Any] = {"name": "nas", "mac": "", "stop_seconds": 45}
USB = {"driver": "usbhid-ups", "port": "auto", "supplies": 1}
SPARE = USB | {"supplies": 0}  # feeds clients alone
SNMP = {"driver": "snmp-ups", "port": "192.0.2.9", "supplies": 1}
UNKNOWN: list[dict[str, Any]] = [
    {}, {"cut": None}, {"cut": "offered"}, {"cut": "proven"},
    {"cut": "offered", "cuts_on_line": True}, {"cut": "proven", "returned": True},
]  # fmt: skip


def ids(device: dict[str, Any], *clients: dict[str, Any], **record: Any) -> list[str]:
    return [one.id for one in hands.doubts(device, clients, record)]


@pytest.mark.parametrize("record", UNKNOWN)
def test_what_is_only_unknown_is_a_note_that_names_who_cannot_be_woken(
    record: dict[str, Any],
) -> None:
    clients = [WOKEN, DARK, {"name": "pc"}]

    assert hands.faults(USB, clients, record, {}) == []
    (said,) = hands.notes(USB, clients, record, {})
    assert said.startswith("nas, pc may stay dark until somebody presses the button")


def test_with_a_cut_that_was_seen_on_line_the_output_brings_them_back() -> None:
    assert hands.notes(USB, [DARK], {"cut": "proven", "cuts_on_line": True}, {}) == []
    assert ids(USB, DARK, cut="proven", cuts_on_line=True, returned=True) == []


def test_clients_that_can_be_woken_need_nobody() -> None:
    woken = [WOKEN, DARK | {"wake": ["/bin/true"]}]

    for record in (*UNKNOWN, {"cuts_on_line": False}):
        assert hands.faults(USB, woken, record, {}) == []
        assert hands.notes(USB, woken, record, {}) == []


@pytest.mark.parametrize(
    ("device", "record", "identity", "why"),
    [
        (SPARE, {"cut": "none"}, "cut-none", "its output is never cut"),
        (SPARE | {"driver": "al175"}, {}, "UC_DRIVER_NEVER_CUTS", "(al175) cannot cut"),
        (USB, {"cut": "offered", "cuts_on_line": False}, "cut-ignored-on-line", "ignores the"),
        (USB, {"cut": "proven", "cuts_on_line": False}, "cut-ignored-on-line", "ignores the"),
    ],
)
def test_what_is_known_to_leave_a_client_dark_is_refused_and_names_it(
    device: dict[str, Any], record: dict[str, Any], identity: str, why: str
) -> None:
    assert ids(device, WOKEN, DARK, **record) == [identity]
    (said,) = hands.faults(device, [WOKEN, DARK], record, {})
    assert why in said
    assert "nas stays dark until somebody presses the button: give the mac of nas" in said
    assert "pve2" not in said
    assert f"nut_primary_accept: {{{identity}: the reason}}" in said


CONTACTS = {"driver": "genericups", "port": "/dev/ttyS0", "supplies": 1}


@pytest.mark.parametrize(
    ("device", "record", "identity"),
    [
        (USB, {"cut": "none"}, "cut-none"),
        (SNMP, {"cut": "none"}, "cut-none"),  # a card that offers no command for it
        (USB | {"driver": "apc_modbus"}, {}, "UC_DRIVER_NEVER_CUTS"),
        (SNMP | {"driver": "apcupsd-ups"}, {"cut": "none"}, "UC_DRIVER_NEVER_CUTS"),
        (SNMP | {"driver": "ivtscd"}, {"cut": "offered"}, "UC_DRIVER_NEVER_CUTS"),
        (SNMP | {"driver": "dummy-ups", "port": "ups@nas"}, {}, "UC_DRIVER_NEVER_CUTS"),
        (CONTACTS | {"options": {"UpsType": 8}}, {}, "UC_DRIVER_NEVER_CUTS"),
    ],
)
def test_an_output_that_nothing_cuts_may_fail_under_its_own_host_whoever_can_be_woken(
    device: dict[str, Any], record: dict[str, Any], identity: str
) -> None:
    assert ids(device, WOKEN, **record) == [identity]
    (said,) = hands.faults(device, [WOKEN, DARK], record, {})
    assert "over the network" not in said
    assert "nas stays dark until somebody presses the button, and its own host starts" in said
    assert "give the mac" not in said  # it would not be enough
    assert ids(device, WOKEN, DARK, cut="proven", cuts_on_line=True) == []
    assert ids(device | {"supplies": 0}, WOKEN, **record) == []


@pytest.mark.parametrize("options", [{"upstype": "7"}, {"upstype": "8", "SD": "DTR"}, {}])
def test_contacts_that_have_a_line_for_it_can_cut(options: dict[str, str]) -> None:
    assert ids(CONTACTS | {"options": options}, DARK) == []


def test_a_file_in_place_of_a_ups_is_refused_by_the_linter_alone() -> None:
    assert ids(USB | {"driver": "dummy-ups", "port": "/var/lib/paper.dev"}, DARK) == []


@pytest.mark.parametrize(
    "device",
    [
        SNMP,
        SNMP | {"driver": "netxml-ups", "port": "http://192.0.2.9"},
        SNMP | {"driver": "generic_modbus", "port": "192.0.2.9:502"},
    ],
)
def test_a_ups_on_the_network_is_refused_with_who_stays_off_and_who_stays_on(
    device: dict[str, Any],
) -> None:
    (said,) = hands.faults(device, [WOKEN, DARK], {"cut": "offered"}, {})

    assert f"over the network ({device['driver']})" in said
    assert "nas stays dark until somebody presses the button, and its own host starts again" in said
    assert "connect it by USB or a serial line" in said
    assert ids(device, WOKEN) == [hands.NETWORK]  # it is about its own host, too
    assert ids(device, DARK, cut="proven") == []
    assert ids(device | {"supplies": 0}) == []  # nothing hangs on it
    assert ids(device | {"supplies": 0}, WOKEN) == []


def test_modbus_on_a_line_is_no_network() -> None:
    assert ids({"driver": "generic_modbus", "port": "/dev/ttyS0", "supplies": 1}, DARK) == []


def test_an_output_that_did_not_come_back_leaves_everybody_dark() -> None:
    record = {"cut": "proven", "cuts_on_line": True, "returned": False}

    (said,) = hands.faults(USB, [WOKEN, DARK], record, {})
    assert "pve2, nas, its own host stay dark until somebody switches it on" in said


def test_what_somebody_took_is_told_with_its_reason_each_time() -> None:
    taken = {hands.NETWORK: "the mayor lives next door", "other": "x"}

    assert hands.faults(SNMP, [DARK], {}, taken) == []
    (said,) = hands.notes(SNMP, [DARK], {}, taken)
    assert said.startswith("nas stays dark until somebody presses the button, and its own host")
    assert "accepted as UC_NETWORK_DRIVER_KILLPOWER (the mayor lives next door)" in said
    assert hands.faults(USB, [DARK], {"cut": "none"}, taken) != []


def test_the_budget_of_such_a_ups_does_not_hold() -> None:
    usb, network = but(device=USB, clients=[DARK]), but(device=SNMP, clients=[DARK])

    assert budget_of(usb).faults == []
    (fault,) = budget_of(network).faults
    assert "nas stays dark" in fault
    accepted = but(device=SNMP, clients=[DARK], accept={hands.NETWORK: "known"})
    assert budget_of(accepted).faults == []
    assert any("(known)" in one for one in budget_of(accepted).warnings)
    assert budget_of(GOOD).faults == []  # settings of an older deploy name no driver
