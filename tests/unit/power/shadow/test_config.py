"""The shadow's copy of a configuration: only the few lines that must not be real differ."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from releve.power.shadow import config

CHECKOUT = Path(__file__).parents[4]
PLACES = (
    os.environ.get("RELEVE_SHARED"),
    str(CHECKOUT / "../shared"),
    str(CHECKOUT / "../../shared"),
)
CONF = next(
    (found for place in PLACES if place and (found := Path(place, "cases/ups/conf")).is_dir()),
    CHECKOUT.parent / "shared/cases/ups/conf",
)

UPSMON = """\
# a comment with SHUTDOWNCMD "/sbin/halt"
MONITOR ups1@localhost 1 primary "se\\#cret" primary
MONITOR ups2@[2001:db8::7]:3494 0 observer "x y" secondary
MINSUPPLIES 1
SHUTDOWNCMD "/bin/sh -c \\"sync; /sbin/shutdown -h +0\\""
POWERDOWNFLAG /etc/killpower
NOTIFYCMD /usr/sbin/upssched
NOTIFYFLAG ONBATT SYSLOG+EXEC
CERTVERIFY 1
"""


def test_what_upsmon_conf_says() -> None:
    said = config.monitoring(UPSMON)

    assert said.monitors == (
        config.Monitor("ups1", "localhost", 3493, 1, primary=True),
        config.Monitor("ups2", "2001:db8::7", 3494, 0, primary=False),
    )
    assert said.shutdown == '/bin/sh -c "sync; /sbin/shutdown -h +0"'
    assert said.flag == "/etc/killpower"
    assert said.faults == ()


@pytest.mark.parametrize(
    ("line", "host", "port"),
    [
        ("MONITOR u@nas 1 a b secondary", "nas", 3493),
        ("MONITOR u@192.0.2.7:99 1 a b slave", "192.0.2.7", 99),
        ("MONITOR u@[2001:db8::7] 1 a b slave", "2001:db8::7", 3493),
        ("MONITOR u 1 a b master", "localhost", 3493),
    ],
)
def test_where_a_monitor_line_leads(line: str, host: str, port: int) -> None:
    (one,) = config.monitoring(line).monitors

    assert (one.host, one.port) == (host, port)


@pytest.mark.parametrize(
    "line",
    [
        'MONITOR u@h 1 a "open',
        "MONITOR u@h 1 a b",
        'MONITOR u@h 1 a "b#c" primary',
        "MONITOR u@2001:db8::7 1 a b slave",  # upsmon splits at the first colon
    ],
)
def test_a_line_that_nut_cannot_read_is_a_fault(line: str) -> None:
    said = config.monitoring(f"\n{line}\n")

    assert said.monitors == ()
    assert said.faults[0].startswith("upsmon.conf:2: ")


def test_only_what_must_not_be_real_is_rewritten() -> None:
    new = config.upsmon_conf(UPSMON)

    said = config.monitoring(new)
    assert said.shutdown == f"{config.FOLDER}/shutdown"
    assert said.notify == f"{config.FOLDER}/notify"
    assert said.flag == config.FLAG
    kept = [line for line in UPSMON.splitlines() if line.split()[0] not in
            {"SHUTDOWNCMD", "POWERDOWNFLAG", "NOTIFYCMD"}]  # fmt: skip
    assert new.splitlines()[: len(kept)] == kept


def test_a_directive_of_several_lines_goes_whole() -> None:
    new = config.upsmon_conf(
        'MONITOR u@h 1 a b primary # here\nSHUTDOWNCMD "/bin/a; \\\n /bin/b"\nDEADTIME 15\n'
    )

    assert "/bin/b" not in new
    assert "DEADTIME 15" in new
    assert config.monitoring(new).shutdown == f"{config.FOLDER}/shutdown"
    assert config.upsmon_conf("").count("SHUTDOWNCMD") == 1


def test_a_flag_in_memory_stays_where_it_is_and_none_stays_none() -> None:
    in_memory = config.upsmon_conf("POWERDOWNFLAG /run/nut/other\nSHUTDOWNCMD /bin/x\n")
    none = config.upsmon_conf("SHUTDOWNCMD /bin/x\n")

    assert config.monitoring(in_memory).flag == "/run/nut/other"
    assert config.monitoring(none).flag == ""
    assert config.monitoring(none).notify == ""


UPSSCHED = """\
CMDSCRIPT /usr/local/lib/releve/power-timer
PIPEFN /run/nut/upssched/upssched.pipe
AT ONBATT ups1@localhost START-TIMER on-battery-ups1 600
AT ONBATT * EXECUTE tell
AT ONLINE ups1@localhost CANCEL-TIMER on-battery-ups1
AT COMMBAD * START-TIMER silent 30
"""


def test_the_timer_keeps_its_length_unless_it_is_its_turn() -> None:
    long = config.upssched_conf(UPSSCHED)
    short = config.upssched_conf(UPSSCHED, 5)

    assert config.timers(long) == (config.Timer("on-battery-ups1", 600),)
    assert config.timers(short) == (config.Timer("on-battery-ups1", 5),)
    assert "AT COMMBAD * START-TIMER silent 30" in short
    assert config.script_of(short) == config.script_of(long) == f"{config.FOLDER}/script"


def test_a_timer_is_never_made_longer() -> None:
    text = "AT ONBATT * START-TIMER soon 2\n"

    assert config.timers(config.upssched_conf(text, 5))[0].seconds == 2


def test_thresholds_stay_and_the_device_goes() -> None:
    text = """\
maxretry = 3
pollinterval = 15
[ups1]
  driver = usbhid-ups
  port = auto  # any
  vendorid = 051d
  ignorelb
  override.battery.runtime.low = 200
[ups2]
  driver = snmp-ups
  port = 192.0.2.9
"""
    new = config.ups_conf(text)

    assert config.sections(new) == ("ups1", "ups2")
    assert new.count("driver = dummy-ups") == 2
    assert "override.battery.runtime.low = 200" in new
    assert new.splitlines().index("ignorelb") < new.splitlines().index("[ups2]")
    assert not any(word in new for word in ("usbhid", "vendorid", "auto", "192.0.2.9", "maxretry"))


def test_where_upsd_listens() -> None:
    assert config.listens("LISTEN 192.0.2.1\nLISTEN ::1 3500\n") == (
        ("192.0.2.1", 3493),
        ("::1", 3500),
    )
    assert config.listens("# LISTEN 192.0.2.1\n") == (("127.0.0.1", 3493),)


@pytest.mark.skipif(not CONF.is_dir(), reason="the real configurations are not here")
def test_no_real_configuration_keeps_a_command_of_its_own() -> None:
    found = 0
    for file in CONF.rglob("*upsmon.conf*"):
        text = file.read_text(encoding="utf-8", errors="replace")
        said = config.monitoring(config.upsmon_conf(text))
        assert said.shutdown == f"{config.FOLDER}/shutdown", file
        assert said.notify in {"", f"{config.FOLDER}/notify"}, file
        assert said.flag == "" or said.flag.startswith("/run/"), file
        assert said.monitors == config.monitoring(text).monitors, file
        found += 1
    for file in CONF.rglob("*upssched.conf*"):
        text = file.read_text(encoding="utf-8", errors="replace")
        new = config.upssched_conf(text)
        assert config.script_of(new) in {"", f"{config.FOLDER}/script"}, file
        assert config.timers(new) == config.timers(text), file
        found += 1
    for file in CONF.rglob("*ups.conf"):
        new = config.ups_conf(file.read_text(encoding="utf-8", errors="replace"))
        drivers = [line for line in new.splitlines() if line.startswith("driver =")]
        assert set(drivers) <= {"driver = dummy-ups"}, file
        found += 1
    assert found > 30
