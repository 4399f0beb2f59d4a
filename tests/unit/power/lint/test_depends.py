"""Faults that depend on another file, on a script or on a number beside them."""

from __future__ import annotations

import pytest
from tests.unit.power.lint.rendered import primary
from tests.unit.power.lint.test_rules import changed, ids

from releve.power.lint.model import Facts


def test_a_script_in_place_of_upssched_may_not_stop_the_site_at_once() -> None:
    path = "/etc/nut/poweroff-guests.sh"
    files = changed(primary(), "upsmon.conf", "/usr/sbin/upssched", f'"{path} now"')
    stops = "#!/bin/sh\nlogger down\nsudo upsmon -c fsd\n"
    by_event = 'case "$NOTIFYTYPE" in\n LOWBATT) upsmon -c fsd ;;\n *) logger "$1" ;;\nesac\n'
    vain = stops.replace("sudo upsmon -c fsd", "/sbin/poweroff")  # user nut may not

    for text, found in ((stops, True), (by_event, False), (vain, False), ("", False)):
        assert ("UM_NOTIFYCMD_STOPS" in ids(files, Facts(scripts={path: text}))) is found
    as_root = changed(files, "upsmon.conf", "", "RUN_AS_USER root\n")
    assert "UM_NOTIFYCMD_STOPS" in ids(as_root, Facts(scripts={path: vain}))
    unknown = changed(files, "upsmon.conf", f'"{path} now"', path)
    assert "UM_NOTIFYCMD_STOPS" not in ids(unknown)


def test_a_script_that_waits_and_asks_before_it_stops_is_no_blip() -> None:
    path = "/usr/local/lib/releve/power-timer"
    at_once = 'case "$1$NOTIFYTYPE" in\n *ONBATT) upsmon -c fsd ;;\nesac\n'
    asks = at_once.replace("upsmon", "sleep 300\n upsc u ups.status | grep OB && upsmon")
    timer = changed(primary(), "upssched.conf", "", "AT ONBATT * EXECUTE gone-ONBATT\n")
    told = changed(primary(), "upsmon.conf", "/usr/sbin/upssched", path)

    for files, rule in ((timer, "US_BLIP_SHUTS_DOWN"), (told, "UM_NOTIFYCMD_STOPS")):
        for text in (at_once, asks.replace("| grep OB &&", ";"), asks.replace("sleep 300", "")):
            assert rule in ids(files, Facts(scripts={path: text}))
        assert rule not in ids(files, Facts(scripts={path: asks}))


def test_a_simulated_ups_that_is_watched_is_no_bystander() -> None:
    beside = "\n[test]\n  driver = dummy-ups\n  port = ups.dev\n"
    files = changed(primary(), "ups.conf", "", beside)
    watched = changed(files, "upsmon.conf", "ups1@localhost", "test@localhost")

    assert ids(files) == {"UC_DUMMY_BESIDE"}
    assert "UC_DUMMY_AS_SOURCE" in ids(watched)
    assert "UC_DUMMY_AS_SOURCE" in ids({"ups.conf": beside})


@pytest.mark.parametrize(("most", "refused"), [(0, True), (4, False), (1024, False), (2048, True)])
def test_upsd_opens_what_it_needs_and_what_it_may(most: int, *, refused: bool) -> None:
    files = changed(primary(), "upsd.conf", "", f"MAXCONN {most}\n")

    assert ids(files) == ({"UD_MAXCONN"} if refused else set())


@pytest.mark.parametrize(
    ("message", "crashes"),
    [
        ("UPS %s on battery", False),
        ("100%% of %s", False),
        ("UPS %s at 100%", False),
        ("on battery", False),
        ("%1$s, I say %1$s", False),
        ("UPS %s since %s", True),
        ("%d of %-10s", True),
        ("%n", True),
    ],
)
def test_a_message_names_the_ups_once(message: str, *, crashes: bool) -> None:
    files = changed(primary(), "upsmon.conf", "", f'NOTIFYMSG ONBATT "{message}"\n')

    assert ("UM_NOTIFYMSG_CRASH" in ids(files)) is crashes
    assert "UM_NOTIFYMSG_CRASH" not in ids(files, Facts(release=(2, 8, 4)))
    never = changed(files, "upsmon.conf", "NOTIFYMSG ONBATT", "NOTIFYMSG ECO")
    assert "UM_NOTIFYMSG_CRASH" not in ids(never)  # of NUT 2.8.3


def test_a_file_that_is_written_as_ups_conf_stops_nothing() -> None:
    files = changed(primary(), "upsmon.conf", "SHUTDOWNCMD ", "SHUTDOWNCMD = ")
    assert {"UM_SHUTDOWNCMD_NOOP", "UM_EQUALS"} <= ids(files)
    timers = changed(primary(), "upssched.conf", "CMDSCRIPT ", "CMDSCRIPT = ")
    assert "US_UNKNOWN_LINE" in ids(timers)


def test_two_names_that_differ_in_capitals_are_one_to_upsd() -> None:
    second = "\n[UPS1]\n  driver = usbhid-ups\n  port = auto\n  serial = b\n"

    assert "UC_DUP_SECTION_CLASH" in ids(changed(primary(), "ups.conf", "", second))
    assert "UC_DUP_SECTION_CLASH" not in ids(
        changed(primary(), "ups.conf", "", second.replace("UPS1", "UPS2"))
    )


def test_a_device_is_spared_where_another_one_is_cut() -> None:
    twice = "\n[ups2]\n  driver = snmp-ups\n  port = 192.0.2.7\n  sdorder = -1\n"
    files = changed(primary(), "ups.conf", "", twice)

    assert "UC_ALL_SPARED" not in ids(files)
    assert "UC_ALL_SPARED" in ids(
        changed(files, "ups.conf", "port = auto", "port = auto\nsdorder = -1")
    )
