"""What our roles write is found good, and each seeded misconfiguration of it is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.lint.rendered import (
    ADDRESS,
    PRIMARY_PASSWORD,
    SECONDARY_PASSWORD,
    primary,
    secondary,
)

from releve.power.lint.model import Access, Facts
from releve.power.lint.read import read_texts
from releve.power.lint.verdict import Report, judge

if TYPE_CHECKING:
    from collections.abc import Callable

Files = dict[str, str]
RIGHT = Access(0o640, "root", "nut")
HOST = Facts(
    live=True,
    addresses=frozenset({"127.0.0.1", "::1", ADDRESS}),
    drivers=frozenset({"usbhid-ups", "dummy-ups"}),
    access=dict.fromkeys(primary(), RIGHT),
    flag_exists=False,
)
CLIENT = replace(
    HOST, addresses=frozenset({"192.0.2.12"}), access=dict.fromkeys(secondary(), RIGHT)
)


def report(files: Files, facts: Facts = HOST) -> Report:
    return judge(read_texts(files, facts))


def client_report(files: Files, facts: Facts = CLIENT) -> Report:
    return judge(replace(read_texts(files, facts), server=read_texts(primary())))


def changed(files: Files, name: str, old: str, new: str) -> Files:
    assert old in files[name], f"{name} has no {old}"
    return {**files, name: files[name].replace(old, new)}


def refused(found: Report) -> set[str]:
    return {one.id for one in found.findings if one.level == "refuse"}


def test_what_the_roles_write_is_ok() -> None:
    assert report(primary()).findings == ()
    assert client_report(secondary()).findings == ()


def test_a_client_with_guests_is_ok() -> None:
    files = secondary(__nut_secondary_guests_unit={"stdout": "pve-guests.service"})

    assert client_report(files).findings == ()


SEEDED: dict[str, Callable[[], tuple[Files, Facts]]] = {
    "NC_MODE_NONE": lambda: (
        changed(primary(), "nut.conf", "MODE=netserver", "MODE=none"), HOST,
    ),
    "NC_MODE_SPACES": lambda: (
        changed(primary(), "nut.conf", "MODE=netserver", "MODE = netserver"), HOST,
    ),
    "FM_UPSMON_UNREADABLE": lambda: (
        primary(),
        replace(HOST, access={**HOST.access, "upsmon.conf": Access(0o600, "root", "root")}),
    ),
    "FM_USERS_UNREADABLE": lambda: (
        primary(),
        replace(HOST, access={**HOST.access, "upsd.users": Access(0o600, "root", "root")}),
    ),
    "UD_LISTEN_ABSENT": lambda: (
        changed(primary(), "upsd.conf", ADDRESS, "192.0.2.99"), HOST,
    ),
    "UM_NO_MONITOR": lambda: (  # upsmon's parser gives the whole line up
        primary(nut_primary_password="k3vQ8wZr#T1xN_b7Yh2mLd9s"), HOST,  # noqa: S106
    ),
    "UC_UNKNOWN_DRIVER": lambda: (
        changed(primary(), "ups.conf", "usbhid-ups", "usbhidups2"), HOST,
    ),
    "HS_KILLPOWER_STRAY": lambda: (primary(), replace(HOST, flag_exists=True)),
    "UC_ONDELAY_LE_OFFDELAY": lambda: (
        changed(primary(), "ups.conf", "ondelay = 120", "ondelay = 60"), HOST,
    ),
    "UM_WRONG_PASSWORD": lambda: (
        changed(primary(), "upsmon.conf", PRIMARY_PASSWORD, SECONDARY_PASSWORD), HOST,
    ),
    "UM_CERTPATH_ABSENT": lambda: (
        changed(primary(), "upsmon.conf", "/etc/nut/tls-trusted", "/etc/nut/ca"),
        replace(HOST, paths={"/etc/nut/ca": False}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("identity", SEEDED)
def test_a_seeded_fault_of_the_primary_is_refused_by_name(identity: str) -> None:
    found = report(*SEEDED[identity]())

    assert found.verdict == "refuse"
    assert identity in refused(found)


@pytest.mark.parametrize(
    ("identity", "old", "new"),
    [
        ("UM_WRONG_PASSWORD", SECONDARY_PASSWORD, "u6Jf0pRz_W4cGq8Xa-E1tBn6"),
        ("UM_USER_NOT_IN_UPSD_USERS", "1 secondary", "1 nobody"),
        ("UM_UPS_NOT_IN_UPS_CONF", "ups1@", "ups2@"),
        ("UM_NOBODY_LISTENS", f"ups1@{ADDRESS}", f"ups1@{ADDRESS}:3494"),
    ],
)
def test_a_client_that_its_server_would_turn_away_is_refused(
    identity: str, old: str, new: str
) -> None:
    assert refused(client_report(changed(secondary(), "upsmon.conf", old, new))) == {identity}


def test_a_client_with_a_driver_section_is_refused() -> None:
    files = {**secondary(), "ups.conf": primary()["ups.conf"]}

    assert refused(client_report(files)) == {"NC_CLIENT_WITH_DRIVERS"}
    files["nut.conf"] = primary()["nut.conf"]
    assert "UM_SECONDARY_WITH_DRIVERS" in refused(client_report(files))


def test_a_fault_names_its_line_and_one_cause() -> None:
    files = changed(primary(), "ups.conf", "ondelay = 120", "ondelay = 60")

    (found,) = report(files).findings
    line = files["ups.conf"].splitlines().index("  ondelay = 60") + 1
    assert found.where == f"ups.conf:{line}"


def test_a_hash_in_a_password_is_refused_on_both_sides() -> None:
    cut = "k3vQ8wZr#T1xN_b7Yh2mLd9s"
    found = refused(report(primary(nut_primary_password=cut)))
    plain = changed(primary(), "upsmon.conf", f'"{PRIMARY_PASSWORD}"', cut)
    users = changed(primary(), "upsd.users", f'"{PRIMARY_PASSWORD}"', cut)

    assert "UM_NO_MONITOR" in found
    assert "UM_MONITOR_FATAL" in refused(report(plain))
    assert "UU_PASSWORD_CUT" in refused(report(users))


def test_no_finding_shows_a_password() -> None:
    secrets = {"A1b2#C3d4E5f6G7h8": "A1b2 C3d4E5f6G7h8", "Zz9\\yY8xX7wW6vV5": "Zz9 yY8xX7wW6vV5"}
    for secret, parts in secrets.items():
        for quote in ('"', ""):
            files = primary(nut_primary_password=secret)
            files = {
                name: text.replace('"' + secret, quote + secret) for name, text in files.items()
            }
            files["ups.conf"] += f'  authPassword\n  "{secret}"\n  {secret}\n'
            files["upsd.users"] += f"[odd]\n{secret}\npassword {secret}\n"
            files["upsmon.conf"] += f"{secret}\nCERTIDENT {secret}\n"
            found = report(files)
            shown = json.dumps(found.document())
            assert found.verdict == "refuse"
            assert not [part for part in parts.split() if part in shown]
