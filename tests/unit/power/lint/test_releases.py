"""A directory is judged as the NUT reads it that will, whichever release that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from releve.cli.power_lint import command
from releve.errors import InputError
from releve.power.lint.host import facts_of, installed_release
from releve.power.lint.model import Facts
from releve.power.lint.read import read_texts
from releve.power.lint.releases import release_of
from releve.power.lint.verb import main
from releve.power.lint.verdict import judge

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.lint.finding import Finding

# As people have them: an Eaton behind a Debian 13, a Syndome whose driver cuts by hand.
MONITOR = (
    "MONITOR ups1@192.0.2.5 1 mon k3vQ8wZrT1xN secondary\nMINSUPPLIES 1\n"
    'SHUTDOWNCMD "/sbin/shutdown -h +0"\n'
)
SYNDOME = "[ups1]\n driver = blazer_ser\n port = /dev/ttyS0\n offdelay = 60\n ondelay = 3\n"
HEAD = "CMDSCRIPT /bin/cmd\nPIPEFN /run/nut/a.pipe\nLOCKFN /run/nut/a.lock\n"
USB = "[ups1]\n driver = usbhid-ups\n port = auto\n offdelay = 60\n ondelay = 120\n"


def findings(file: str, text: str, release: str) -> list[Finding]:
    conf = read_texts({file: text}, Facts(release=release_of(release)))
    return [one for one in judge(conf).findings if one.level != "note"]


def test_a_flag_in_tmp_is_lost_where_that_is_in_memory() -> None:
    text = "MONITOR ups1@localhost 1 a b primary\nPOWERDOWNFLAG /tmp/killpower\n"

    for release, lost in (("2.8.0", False), ("2.8.1", True)):
        found = {one.id for one in findings("upsmon.conf", text, release)}
        assert ("UM_FLAG_GONE" in found) is lost


@pytest.mark.parametrize(
    ("file", "text", "identity", "since"),
    [
        ("upsmon.conf", f"{MONITOR}SHUTDOWNEXIT no\n", "UM_UNKNOWN_DIRECTIVE", "2.8.1"),
        ("upsmon.conf", f"{MONITOR}OFFDURATION 30\n", "UM_UNKNOWN_DIRECTIVE", "2.8.1"),
        ("upsmon.conf", f"{MONITOR}ALARMCRITICAL 1\n", "UM_UNKNOWN_DIRECTIVE", "2.8.3"),
        ("upsmon.conf", f"{MONITOR}OBLBDURATION 15\n", "UM_UNKNOWN_DIRECTIVE", "2.8.3"),
        ("upsmon.conf", f"{MONITOR}NOTIFYFLAG NOTCAL SYSLOG\n", "UM_BAD_FLAG", "2.8.2"),
        ("upsmon.conf", f"{MONITOR}NOTIFYFLAG NOTECO SYSLOG\n", "UM_BAD_FLAG", "2.8.3"),
        ("upsmon.conf", f"{MONITOR}NOTIFYFLAG OFF SYSLOG\n", "UM_BAD_FLAG", "2.8.1"),
        ("upssched.conf", f"{HEAD}AT NOTCAL * EXECUTE tell\n", "US_UNKNOWN_EVENT", "2.8.2"),
        ("upsd.conf", "ALLOW_NOT_ALL_LISTENERS 1\n", "UD_UNKNOWN_DIRECTIVE", "2.8.2"),
        ("ups.conf", f"{USB} onlinedischarge_calibration\n", "UC_UNKNOWN_OPTION", "2.8.1"),
        ("ups.conf", f"{USB} onlinedischarge_onbattery\n", "UC_UNKNOWN_OPTION", "2.8.2"),
        ("ups.conf", f"{USB} lbrb_log_delay_sec = 3\n", "UC_UNKNOWN_OPTION", "2.8.3"),
        ("ups.conf", f"{USB} usb_hid_ep_in = 1\n", "UC_UNKNOWN_OPTION", "2.8.2"),
        ("ups.conf", f"{USB} busport = 002\n", "UC_UNKNOWN_OPTION", "2.8.1"),
        ("ups.conf", f"{USB} maxretry = 3\n", "UC_UNKNOWN_OPTION", "2.8.3"),
        ("ups.conf", f"{USB} allow_killpower\n", "UC_UNKNOWN_OPTION", "2.8.1"),
    ],
)
def test_what_came_later_is_told_with_its_release(
    file: str, text: str, identity: str, since: str
) -> None:
    patch = int(since.rpartition(".")[2])
    (found,) = findings(file, text, f"2.8.{patch - 1}")

    assert found.id == identity
    assert f"(of NUT {since})" in found.text
    assert findings(file, text, since) == findings(file, text, "2.9.0") == []


def test_a_cut_by_hand_that_the_driver_of_debian_13_dies_of() -> None:
    text = f"{SYNDOME} allow_killpower\n sdcommands = shutdown.return\n"
    (found, _guess) = findings("ups.conf", text, "2.8.1")

    assert (found.id, found.at) == ("UC_UNKNOWN_OPTION", "ups1:sdcommands (of NUT 2.8.3)")
    assert {one.level for one in findings("ups.conf", text, "2.8.3")} == {"warn"}


@pytest.mark.parametrize(
    ("driver", "since"), [("apc_modbus", "2.8.1"), ("hwmon_ina219", "2.8.3"), ("failover", "2.8.4")]
)
def test_a_driver_that_came_later_is_unknown_before(driver: str, since: str) -> None:
    text = f"[ups1]\n driver = {driver}\n port = x\n any = 1\n"
    before = f"2.8.{int(since[-1]) - 1}"

    assert "UC_UNKNOWN_DRIVER" in {one.id for one in findings("ups.conf", text, before)}
    assert "UC_UNKNOWN_DRIVER" not in {one.id for one in findings("ups.conf", text, since)}


def test_a_cyberpower_has_delays_of_its_own_by_now() -> None:
    text = "[ups1]\n driver = usbhid-ups\n port = auto\n vendorid = 0764\n"

    assert [one.id for one in findings("ups.conf", text, "2.8.1")] == ["UC_CPS_OFFDELAY_NOT_60"]
    assert findings("ups.conf", text, "2.8.3") == []


def test_the_release_is_said_on_the_command_line_or_in_the_facts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "upsmon.conf").write_text(f"{MONITOR}OBLBDURATION 15\n")
    facts = tmp_path / "facts.json"
    facts.write_text('{"nut": "2.8.4-1"}')

    assert main([str(tmp_path)]) == 0
    assert "upsmon 2.8.1 does not know OBLBDURATION (of NUT 2.8.3)" in capsys.readouterr().out
    for more in (["--nut", "2.8.3"], ["--facts", str(facts)]):
        assert main([str(tmp_path), *more]) == 0
        assert "0 findings" in capsys.readouterr().out
        assert "0 findings" in CliRunner().invoke(command, [str(tmp_path), *more]).output


@pytest.mark.parametrize("said", ["2.7.4", "2.8", "sid", "", "2.8.1234"])
def test_what_is_no_release_is_told_with_one_that_is(said: str) -> None:
    with pytest.raises(InputError, match=r"is no release of NUT since 2\.8\.0; say it as 2\.8\.1"):
        release_of(said)


def test_facts_say_their_release() -> None:
    assert facts_of({"nut": "2.8.1-5+deb13u1"}).release == (2, 8, 1)
    assert facts_of({}).release is None


@pytest.mark.parametrize(
    ("printed", "release"),
    [
        ("echo 'Network UPS Tools upscmd 2.8.0' >&2", (2, 8, 0)),
        ("echo 'Network UPS Tools upsc 2.8.1' >&2", (2, 8, 1)),
        ("echo 'Network UPS Tools upsc 2.8.4 release'", (2, 8, 4)),
        ("echo 'Network UPS Tools upsc 2.7.4'", None),
        ("echo nothing", None),
        ("exit 1", None),
    ],
)
def test_a_host_is_asked_for_its_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, release: object
) -> None:
    program = tmp_path / "upsc"
    program.write_text(f"#!/bin/sh\n{printed}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert installed_release() == release


MODBUS = "[ups1]\n driver = apc_modbus\n port = 192.0.2.7:502\n"
BLIND = "UC_DRIVER_NEVER_CUTS"


@pytest.mark.parametrize(
    ("text", "release", "told"),
    [
        (MODBUS, "2.8.1", BLIND),
        (MODBUS, "2.8.2", "UC_NETWORK_DRIVER_KILLPOWER"),
        ("[ups1]\n driver = ve-direct\n port = /dev/ttyS0\n", "2.8.4", BLIND),
        ("[ups1]\n driver = failover\n port = ups1\n", "2.8.4", ""),
        (f"{MODBUS} sdcommands = load.off\n", "2.8.3", "UC_NETWORK_DRIVER_KILLPOWER"),
        ("[ups1]\n driver = ivtscd\n port = /dev/ttyS0\n sdcommands = x\n", "2.8.1", BLIND),
    ],
)
def test_whether_a_driver_can_cut_depends_on_the_release(
    text: str, release: str, told: str
) -> None:
    about = {BLIND, "UC_NETWORK_DRIVER_KILLPOWER"}
    found = {one.id for one in findings("ups.conf", text, release)}

    assert found & about == {*filter(None, [told])}
