"""What a shadow says of a host: turns, faults, and what is not as before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from releve.errors import InputError, LaterError, RefusedError
from releve.power.shadow import config
from releve.power.shadow.main import faults_of, refuse_unless_quiet, site_of, turn_of
from releve.power.shadow.witness import HostSeen, differences

BEFORE = HostSeen(
    processes={"nut-monitor.service": "901@145695", "nut-server.service": "898@145692"},
    files={"/etc/nut/upsmon.conf": "abc 0640 0:102"},
    flags=(),
    clients={"ups1": ("127.0.0.1", "198.51.100.12")},
    statuses={"ups1": "OL CHRG"},
)
FIRED = [
    {"at": 100.0, "kind": "played", "subject": "ups1", "what": "says OL"},
    {"at": 103.0, "kind": "played", "subject": "ups1", "what": "says OB DISCHRG"},
    {"at": 104.5, "kind": "notified", "subject": "shadow-notify", "what": "ONBATT ups1"},
    {"at": 105.0, "kind": "played", "subject": "ups1", "what": "says OB DISCHRG LB"},
    {"at": 112.25, "kind": "shutdown", "subject": "shadow-shutdown", "what": "uid 0"},
    {"at": 112.3, "kind": "flag", "subject": "host", "what": "kill-power flag written"},
    {"at": 112.4, "kind": "killpower", "subject": "host", "what": "upsmon -K ends with 0"},
]
SECURED = {"at": 100.5, "kind": "secured", "subject": "upsmon", "what": "Connected in SSL"}
CONFIGURED = {"argv": ["/sbin/shutdown", "-h", "+0"], "runs": True, "tls": False}
WHAT = config.Monitoring((), "/sbin/shutdown -h +0", "", "/run/nut/killpower")


def test_seconds_count_from_the_loss_of_the_mains() -> None:
    turn = turn_of("low", FIRED, "")

    seconds = {event["kind"]: event["seconds"] for event in turn["events"]}
    assert seconds["notified"] == 1.5
    assert seconds["shutdown"] == 9.25  # the low battery did not begin anew
    assert turn["events"][0]["seconds"] is None
    assert turn["events"][1]["at"] == "1970-01-01T00:01:43.000Z"
    assert turn["failed"] is None


def test_mains_that_come_back_begin_anew() -> None:
    back = {"at": 106.0, "kind": "played", "subject": "ups1", "what": "says OL"}
    again = {"at": 110.0, "kind": "played", "subject": "ups1", "what": "says OB DISCHRG"}
    turn = turn_of("timer", [*FIRED[:3], back, again, *FIRED[4:]], "")

    shutdown = next(event for event in turn["events"] if event["kind"] == "shutdown")
    assert shutdown["seconds"] == 2.25


def test_a_turn_that_does_not_reach_its_end_has_failed() -> None:
    assert turn_of("low", FIRED[:-1], "unshare: not permitted")["failed"] == (
        "it was ended before its end: unshare: not permitted"
    )
    said = turn_of("low", [*FIRED[:3], {"failed": "SHUTDOWNCMD was not called"}], "")
    assert said["failed"] == "SHUTDOWNCMD was not called"


def faults(*events: dict[str, Any], **changes: Any) -> list[str]:
    configured = CONFIGURED | {key: changes[key] for key in changes if key in CONFIGURED}
    return faults_of(WHAT, configured, [turn_of("low", list(events), "")])


def test_a_whole_turn_has_no_fault() -> None:
    assert faults(*FIRED) == []


def test_what_makes_the_proof_incomplete_is_named() -> None:
    assert "no SHUTDOWNCMD" in faults(*FIRED, argv=[])[0]
    assert faults(*FIRED, runs=False) == ["SHUTDOWNCMD: /sbin/shutdown is no program on this host"]
    assert faults(*FIRED[:5], FIRED[6]) == ["low: POWERDOWNFLAG was not written"]
    assert faults(*FIRED, tls=True) == ["low: TLS was asked for and was not spoken"]
    assert faults(SECURED, *FIRED, tls=True) == []
    assert faults(*FIRED[:5])[0].startswith("low: it was ended before its end")


def test_a_host_that_is_as_before_has_no_difference() -> None:
    again = replace(BEFORE, statuses={"ups1": "OL"})

    assert differences(BEFORE, again) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"processes": {**BEFORE.processes, "nut-monitor.service": "950@99"}},
            "process of nut-monitor.service: was 901@145695, is 950@99",
        ),
        ({"files": {}}, "file /etc/nut/upsmon.conf: was abc 0640 0:102, is not there"),
        ({"flags": ("/etc/killpower",)}, "flag /etc/killpower was not there before"),
        (
            {"clients": {"ups1": ("127.0.0.1",)}},
            "clients of ups1: was 127.0.0.1, 198.51.100.12, is 127.0.0.1",
        ),
        ({"statuses": {"ups1": "FSD OL"}}, "ups1 says FSD OL"),
    ],
)
def test_what_is_not_as_before_is_named(change: dict[str, Any], said: str) -> None:
    assert differences(BEFORE, replace(BEFORE, **change)) == [said]


def test_a_host_in_the_middle_of_something_is_refused() -> None:
    refuse_unless_quiet(BEFORE)
    with pytest.raises(RefusedError, match="/etc/killpower is there while the host runs"):
        refuse_unless_quiet(replace(BEFORE, flags=("/etc/killpower",)))
    for words in ("OB DISCHRG", "FSD OL"):
        with pytest.raises(LaterError, match=words):
            refuse_unless_quiet(replace(BEFORE, statuses={"ups1": words}))


def test_the_addresses_of_the_room_are_those_of_the_files(tmp_path: Any) -> None:
    (tmp_path / "upsmon.conf").write_text(
        "MONITOR a@localhost 1 x y primary\nMONITOR b@192.0.2.7 1 x y secondary\n"
    )
    (tmp_path / "upsd.conf").write_text("LISTEN 127.0.0.1\nLISTEN 192.0.2.1\nLISTEN 0.0.0.0\n")

    site = site_of(tmp_path)

    assert site.addresses == ("192.0.2.1", "192.0.2.7")
    assert site.names == {}
    assert site.primary


def test_a_host_without_a_ups_is_refused(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="follows no UPS"):
        site_of(tmp_path)
