"""The lines of NUT's daemons that mean something."""

from __future__ import annotations

import pytest

from releve.power.shadow.hearing import Heard, of_syslog


@pytest.mark.parametrize(
    ("tag", "text", "kind"),
    [
        ("upsmon", "UPS ups1@localhost on battery", "on-battery"),
        ("upsmon", "UPS ups1@198.51.100.11 battery is low", "low-battery"),
        ("upsmon", "UPS ups1@198.51.100.11: forced shutdown in progress", "forced"),
        ("upsmon", "Connected to NUT server 198.51.100.11 in SSL", "secured"),
        ("upsmon", "Can not connect to NUT server nas in SSL, continue unencrypted", ""),
        ("upsmon", "Executing automatic power-fail shutdown", "decided"),
        ("upsmon", "New timer: on-battery-ups1 (5 seconds)", "timer-started"),
        ("upssched", "Cancelling timer: on-battery-ups1", "timer-cancelled"),
        ("upssched", "Event: on-battery-ups1", "timer-over"),
        ("upsd", "Client primary@127.0.0.1 set FSD on UPS [ups1]", "fsd"),
        ("shadow-notify", "ONBATT ups1@localhost", "notified"),
        ("shadow-notify", "LOWBATT ups1@localhost", "told"),
        ("shadow-script", "on-battery-ups1", "script"),
        ("shadow-shutdown", "uid 0", "shutdown"),
        # What a script says is its own affair, whatever it sounds like.
        ("power-timer", "on-battery-ups1 has run out: the site is shut down", ""),
        ("upsd", "uid 0", ""),
        ("shadow-script", "Executing automatic power-fail shutdown", "script"),
    ],
)
def test_what_a_line_means(tag: str, text: str, kind: str) -> None:
    assert Heard(0.0, tag, text).kind == kind


@pytest.mark.parametrize(
    "data",
    [
        b"<13>Nov 29 23:52:53 shadow-shutdown: uid 0",
        b"<13>Nov  9 03:02:53 shadow-shutdown[17]: uid 0\0",
        b"<29>shadow-shutdown[17]: uid 0\n",
    ],
)
def test_a_datagram_of_the_log(data: bytes) -> None:
    assert of_syslog(data, 7.5) == Heard(7.5, "shadow-shutdown", "uid 0")


def test_a_datagram_that_is_none() -> None:
    assert of_syslog(b"whatever", 1.0) is None
