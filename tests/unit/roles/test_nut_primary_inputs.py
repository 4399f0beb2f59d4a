"""What role nut_primary does with what a plain inventory gives it: refused first, never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.worlds.role import RoleRun

from releve.errors import RefusedError
from releve.power.lint.parse import nut_lines

SNMP = {
    "name": "ups1",
    "driver": "snmp-ups",
    "port": "192.0.2.50",
    "options": {"snmp_version": "v3", "secLevel": "authNoPriv", "secName": "nut"},
    "capacity_seconds": 1200,
}
TAKEN = {"UC_NETWORK_DRIVER_KILLPOWER": "the caretaker has a key"}
CLIENT = {
    "name": "nas", "address": "192.0.2.12", "mac": "", "stop_seconds": 45, "logs_in": True,
    "devices": ["ups1"], "paths": [{"via": "cable", "powered_by": "ups1"}],
}  # fmt: skip
VARIABLES: dict[str, Any] = {
    "nut_primary_password": "k3vQ8wZr-T1xN_b7Yh2mLd9s",
    "nut_primary_secondary_password": "u6Jf0pRz_W4cGq8Xa-E1tBn5",
    "nut_primary_devices": [{"name": "ups1", "driver": "usbhid-ups", "capacity_seconds": 1200}],
    "nut_primary_addresses": ["192.0.2.11"],
    "nut_primary_stop_seconds": 60,
    "nut_primary_tls": False,
}


def written(**changed: Any) -> dict[str, str]:
    seen = {"__nut_primary_guests_unit": {"stdout": ""}}
    files = RoleRun("nut_primary", {**VARIABLES, **changed}, seen).run()
    return {one.path: one.data.decode() for one in files if not one.path.endswith(".pyz")}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"nut_primary_addresses": "192.0.2.11"}, r'is no list: write \["192.0.2.11"\]'),
        ({"nut_primary_firewall": "no"}, "is neither true nor false"),
        ({"nut_primary_hostsnyc": 60}, 'did you mean "nut_primary_hostsync"'),
        ({"nut_primary_device": {"mode": "stock"}}, "whoever sets it, sets each of its keys"),
        ({"nut_primary_notify_urls": "ntfys://x/y"}, "nut_primary_notify_urls is no list"),
        ({"nut_primary_notify_urls": ["a@example.org"]}, "nut_primary_notify_urls is no list"),
    ],
)
def test_what_was_not_meant_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        written(**changed)


def test_a_target_of_alarms_that_is_none_is_not_shown() -> None:
    with pytest.raises(RefusedError) as refused:
        written(nut_primary_notify_urls=["only-a-password"])

    assert "only-a-password" not in str(refused.value)


def test_secret_options_go_into_ups_conf() -> None:
    given = {"ups1": {"authPassword": "not-for-everybody"}}

    conf = written(
        nut_primary_devices=[SNMP], nut_primary_secret_options=given, nut_primary_accept=TAKEN
    )

    assert '  authPassword = "not-for-everybody"\n' in conf["/etc/nut/ups.conf"]
    assert [path for path, text in conf.items() if "not-for-everybody" in text] == [
        "/etc/nut/ups.conf"
    ]


@pytest.mark.parametrize(
    "secret", ["pa#ss word", 'say "hi"', "back\\slash\\", "$HOME `id` 'x'", " ", 12345678]
)
def test_a_secret_reaches_the_driver_as_it_was_given(secret: str | int) -> None:
    conf = written(
        nut_primary_devices=[SNMP],
        nut_primary_secret_options={"ups1": {"authPassword": secret}},
        nut_primary_accept=TAKEN,
    )

    (line,) = (one for one in nut_lines(conf["/etc/nut/ups.conf"]) if "authPassword" in one.words)
    assert (line.words, line.broken) == (("authPassword", "=", str(secret)), False)


@pytest.mark.parametrize("secret", ["two\nlines", "end\n", "Grüße", "", None, ["x"], True])
def test_a_secret_that_ups_conf_cannot_hold_is_refused_unseen(secret: object) -> None:
    with pytest.raises(RefusedError, match="a value of nut_primary_secret_options is") as refused:
        written(
            nut_primary_devices=[SNMP],
            nut_primary_secret_options={"ups1": {"authPassword": secret}},
            nut_primary_accept=TAKEN,
        )
    assert "Grüße" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    ["too-few", "sixteen-letters-#", "with a blank here", "Grüße-aus-dem-Rathaus",
     "back\\slash-and-more", "sixteen-letters-x\n", 'quote"quote"quote"', "$1$sixteen-letters",
     1234567890123456, None],
)  # fmt: skip
@pytest.mark.parametrize("name", ["password", "secondary_password", "test_password"])
def test_a_password_that_nut_cannot_read_is_refused_unseen(name: str, wrong: object) -> None:
    with pytest.raises(RefusedError, match="NUT password has at least 16") as refused:
        written(**{f"nut_primary_{name}": wrong})
    assert str(wrong).strip() not in str(refused.value)


def test_a_ups_on_the_network_is_refused_until_somebody_takes_it() -> None:
    """The notes of the budget are shown at each run, and kept on the host with it."""
    given = {"nut_primary_devices": [SNMP], "nut_primary_clients": [CLIENT]}
    passwords = {"nut_primary_secret_options": {"ups1": {"authPassword": "not-for-everybody"}}}

    with pytest.raises(RefusedError, match=r"^ups1: its cut .*snmp-ups.*nas stays dark.*USB"):
        written(**given, **passwords)
    files = written(**given, **passwords, nut_primary_accept=TAKEN)

    kept = json.loads(files["/etc/releve/power-budget.json"])["ups1"]
    assert kept["faults"] == []
    (said,) = [one for one in kept["warnings"] if "the caretaker has a key" in one]
    assert said.startswith("nas stays dark until somebody presses the button")


def test_another_server_may_have_an_ipv6_address() -> None:
    remote = {"ups": "ups9", "server": "2001:db8::9", "supplies": 1, "tls": False}

    files = written(nut_primary_remote=[remote])

    assert "MONITOR ups9@[2001:db8::9] 1 secondary" in files["/etc/nut/upsmon.conf"]
    assert "\n1 ups9@[2001:db8::9]\n" in files["/usr/local/lib/releve/power-timer"]
