"""What keeps a battery true is installed by role nut_primary, and its programs read it alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from tests.unit.roles.test_nut_primary_policy import DEVICE, written
from tests.worlds.role import ROLES

from releve.power.notify import Config as Alarms
from releve.power.watching import config_of

if TYPE_CHECKING:
    from pathlib import Path

STOCK = {key: value for key, value in DEVICE.items() if key != "tiers"} | {"mode": "stock"}
UNITS = "/etc/systemd/system"
NEVER = "2000-01-01"
PASSWORD = "x7Kp2mVq-R4sT_y9Zb1nHc5w"  # noqa: S105  # of nobody


def files(**changed: object) -> dict[str, str]:
    return written(nut_primary_devices=[STOCK], **changed)


def calendars(made: dict[str, str]) -> dict[str, str]:
    timers = {kind: made[f"{UNITS}/releve-battery-{kind}@.timer"] for kind in ("quick", "deep")}
    return {kind: re.findall(r"^OnCalendar=(.*)$", text, re.M)[0] for kind, text in timers.items()}


@pytest.mark.parametrize(
    ("changed", "quick", "deep", "tested"),
    [
        ({}, NEVER, NEVER, False),  # nobody may start a test
        ({"nut_primary_test_password": PASSWORD}, "Mon *-*-* 10:30", NEVER, True),
        (
            {"nut_primary_test_password": PASSWORD, "nut_primary_test_deep": "*-05-01 22:00"},
            "Mon *-*-* 10:30",
            "*-05-01 22:00",
            True,
        ),
        (
            {"nut_primary_test_password": PASSWORD, "nut_primary_test_quick": ""},
            NEVER,
            NEVER,
            False,
        ),
    ],
)
def test_tests_are_made_when_the_town_says_and_their_absence_is_watched(
    tmp_path: Path, changed: dict[str, object], quick: str, deep: str, *, tested: bool
) -> None:
    made = files(**changed)
    file = tmp_path / "watch.json"
    file.write_text(made["/etc/releve/watch.json"])

    assert calendars(made) == {"quick": quick, "deep": deep}
    assert [(one.name, one.tested) for one in config_of(file)] == [("ups1", tested)]


def test_a_test_that_must_not_begin_now_is_made_an_hour_later() -> None:
    unit = files(nut_primary_test_password=PASSWORD)[f"{UNITS}/releve-battery-quick@.service"]

    assert "Restart=on-failure" in unit
    assert "75" not in re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.M)[0].split()
    assert "RestartSec=1h" in unit


def test_alarms_go_where_the_town_says(tmp_path: Path) -> None:
    urls = ["mailtos://u:p@smtp.example.org", "ntfys://ntfy.example.org/t"]
    made = files(nut_primary_notify_urls=urls, nut_primary_site="Exempleville")
    file = tmp_path / "notify.json"
    file.write_text(made["/etc/releve/notify.json"])

    assert [one.url for one in Alarms.read(file).targets] == urls
    assert Alarms.read(file).site == "Exempleville"
    # raised by an event, sent at once, and again each minute while something lies there
    assert "EXECUTE notify" in made["/etc/nut/upssched.conf"]
    assert "/var/spool/releve-notify" in made[f"{UNITS}/releve-notify.path"]
    assert "OnCalendar=minutely" in made[f"{UNITS}/releve-notify.timer"]


def test_tests_of_each_ups_stay_on_the_schedule() -> None:
    file = ROLES / "nut_primary" / "vars" / "main.yml"
    names = DataLoader().load_from_file(str(file), trusted_as_template=True)
    names["nut_primary_devices"] = [{"name": "ups1"}, {"name": "UPS-2.a"}]

    timers = Templar(loader=DataLoader(), variables=names).template(names["__nut_primary_timers"])

    assert sorted(timers) == [
        "releve-battery-deep@UPS-2.a.timer",
        "releve-battery-deep@ups1.timer",
        "releve-battery-quick@UPS-2.a.timer",
        "releve-battery-quick@ups1.timer",
    ]
