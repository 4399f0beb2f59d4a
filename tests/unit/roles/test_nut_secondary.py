"""A client's monitor as role nut_secondary writes it, at our servers and at other makers'."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from tests.worlds.role import ROLES, RoleRun

from releve.errors import RefusedError

OURS = {"ups": "ups1", "server": "192.0.2.11", "supplies": 1, "tls": False}
SYNOLOGY = {"ups": "ups", "server": "192.0.2.9", "supplies": 1, "tls": False, "user": "monuser"}
VARIABLES: dict[str, Any] = {
    "nut_secondary_monitors": [OURS, SYNOLOGY],
    "nut_secondary_address": "192.0.2.12",
    "nut_secondary_password": "u6Jf0pRz_W4cGq8Xa-E1tBn5",
    "nut_secondary_passwords": {"192.0.2.9": "secret"},
    "nut_secondary_tls": False,  # certificates are fetched from a host
    "groups": {"all": []},
}
GUESTS = {"stdout": "pve-guests.service enabled"}


def written(
    *, guests: bool = False, seen: dict[str, Any] | None = None, **changed: Any
) -> dict[str, str]:
    """Return each file that the role writes as text; the zipapp is left out."""
    found = {
        "__nut_secondary_guests_unit": GUESTS if guests else {"stdout": ""},
        "__nut_secondary_device": {"stat": {"exists": False}},
    }
    files = RoleRun("nut_secondary", {**VARIABLES, **changed}, found | (seen or {})).run()
    return {one.path: one.data.decode() for one in files if not one.path.endswith(".pyz")}


def monitors(files: dict[str, str]) -> list[str]:
    text = files["/etc/nut/upsmon.conf"]
    return [line for line in text.splitlines() if line.startswith("MONITOR")]


def test_each_server_has_its_own_user_and_password() -> None:
    assert monitors(written()) == [
        'MONITOR ups1@192.0.2.11 1 secondary "u6Jf0pRz_W4cGq8Xa-E1tBn5" secondary',
        'MONITOR ups@192.0.2.9 1 monuser "secret" secondary',
    ]


def test_one_user_for_all_servers_is_said_once() -> None:
    every = {"host": "", "certificate": "", "tls": False, "user": "monuser"}
    plain = {key: value for key, value in SYNOLOGY.items() if key != "user"}
    given: dict[str, Any] = {"nut_secondary_password": "secret", "nut_secondary_passwords": {}}
    files = written(nut_secondary_monitor=every, nut_secondary_monitors=[plain], **given)

    assert monitors(files) == ['MONITOR ups@192.0.2.9 1 monuser "secret" secondary']


def test_nothing_is_touched_in_a_power_cut() -> None:
    def says(status: str) -> dict[str, Any]:
        return {"__nut_secondary_mains": {"results": [{"item": OURS, "stdout": status}]}}

    for status in ("OL CHRG", ""):  # nobody answers where nothing is installed yet
        assert monitors(written(seen=says(status)))
    for status in ("OB DISCHRG", "FSD OL"):
        with pytest.raises(RefusedError, match=f"ups1 says {status}: nothing was touched"):
            written(seen=says(status))


def test_a_monitor_that_fails_is_started_for_ever() -> None:
    drop_in = written()["/etc/systemd/system/nut-monitor.service.d/releve.conf"]

    assert "StartLimitIntervalSec=0\n" in drop_in
    assert "RestartSec=1s\n" in drop_in  # five in 10 s is what the limit takes


@pytest.mark.parametrize(
    "changed",
    [
        {"nut_secondary_password": "secret"},
        {"nut_secondary_passwords": {"192.0.2.9": "with#hash"}},
        {"nut_secondary_passwords": {"192.0.2.9": ""}},
        {"nut_secondary_password": "sixteen-letters-x\n"},
        {"nut_secondary_password": 1234567890123456},  # 1234_5678_9012_3456 of a hosts.ini
        {"nut_secondary_passwords": {"192.0.2.9": None}},
    ],
)
def test_a_password_that_nut_cannot_read_or_that_can_be_guessed_is_refused(
    changed: dict[str, Any],
) -> None:
    with pytest.raises(RefusedError, match=r"ups1?@192\.0\.2\.(9|11): a NUT password has"):
        written(**changed)


def test_only_a_host_with_guests_looks_after_their_stop() -> None:
    units = {
        f"/etc/systemd/system/releve-guests-{what}.service" for what in ("stop", "rest", "ended")
    }

    assert not units & set(written())
    files = written(guests=True, nut_secondary_abort_seconds=44)
    assert units <= set(files)
    stop = files["/etc/systemd/system/releve-guests-stop.service"]
    assert "abort-backups --deadline 44\n" in stop
    assert "TimeoutStopSec=54s" in stop


@pytest.mark.parametrize("server", ["2001:db8::10", "nas.example.org"])
def test_a_server_is_written_as_nut_takes_it(server: str) -> None:
    files = written(nut_secondary_monitors=[OURS | {"server": server}], nut_secondary_passwords={})

    shown = f"[{server}]" if ":" in server else server
    assert monitors(files) == [
        f'MONITOR ups1@{shown} 1 secondary "u6Jf0pRz_W4cGq8Xa-E1tBn5" secondary'
    ]


def test_what_was_not_meant_is_refused_before_anything_is_written() -> None:
    with pytest.raises(RefusedError, match=r'nut_secondary_pollfreq: "5" is text: write 5'):
        written(nut_secondary_pollfreq="5")


@pytest.mark.parametrize(("seconds", "there"), [(0, False), (300, True)])
def test_a_host_rule_that_runs_is_no_older_than_its_settings(seconds: int, *, there: bool) -> None:
    file = ROLES / "nut_secondary" / "vars" / "main.yml"
    names = DataLoader().load_from_file(str(file), trusted_as_template=True)
    names["nut_secondary_host_rule_seconds"] = seconds

    files = Templar(loader=DataLoader(), variables=names).template(
        names["__nut_secondary_all_files"]
    )

    assert ("/etc/releve/hostrule.json" in files.get("releve-hostrule.service", ())) == there
