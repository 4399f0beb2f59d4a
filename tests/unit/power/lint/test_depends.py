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
