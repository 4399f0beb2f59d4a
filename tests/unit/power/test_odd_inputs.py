"""Clocks that were set, files that are damaged, peers that hang: what nobody writes on purpose."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.test_budget import GOOD

from releve.errors import InputError
from releve.power.ageing import LEAST, Age, derate_of
from releve.power.backups import ThisHost, run_all
from releve.power.believe import source_of
from releve.power.budget import budget_of
from releve.power.driver_socket import DriverSocket
from releve.power.gate_checks import UpsLook
from releve.power.hostrule import Config as RuleConfig
from releve.power.hostrule import HostRule, hears_anybody
from releve.power.ladder import Known, Moment, Site, as_on_battery, decide
from releve.power.late import unmounted
from releve.power.live import read_state
from releve.power.measurement import Moved, Point
from releve.power.notify import main as notify
from releve.power.readings import read
from releve.power.set_stock import _rewrite
from releve.power.spool import Alarm, raise_alarm, waiting
from releve.power.thresholds import thresholds_of
from releve.power.trend import State
from releve.power.upsd import User, place_of
from releve.power.watch import DAY, Memory, look
from releve.power.watch import Known as Told

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
TODAY = datetime.date(2027, 1, 15)
CURVE = (Point(0, 100, 27.0, 1800), Point(1800, 0, 21.0, 0))


# --- numbers that something is divided by --------------------------------------------------------


def test_a_battery_of_the_last_century_is_a_number_and_no_crash() -> None:
    share = derate_of(0.8, Age(installed=datetime.date(1987, 1, 1)), TODAY)
    assert share == LEAST
    assert derate_of(0.8, Age(measured_on=datetime.date(205, 1, 1)), TODAY) == LEAST

    old = dataclasses.replace(GOOD, battery_installed="1987-01-01", today="2027-01-15")
    assert any("fit a battery" in one for one in budget_of(old).faults)


@pytest.mark.parametrize("wrong", [{"derate": 0}, {"derate": -0.5}, {"derate": 80}, {"margin": 0},
                                   {"derate": math.nan}, {"margin": math.nan},
                                   {"margin": math.inf}])  # fmt: skip
def test_a_budget_is_made_of_shares_that_are_some(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="right is"):
        dataclasses.replace(GOOD, **wrong)


def test_the_ladder_never_raises_whatever_it_is_told_of_the_site() -> None:
    known = Known(1800, 30, CURVE, Moved(charge=True, runtime=True, voltage=True))
    values = {"ups.status": "OL", "battery.charge": "100", "battery.runtime": "1800",
              "battery.voltage": "27", "ups.load": "30"}  # fmt: skip
    readings = as_on_battery(read(values))
    for need in (0, 600):
        site = Site(need=need, derate=0)
        assert decide(readings, site, known, Moment(on_battery=5)).decision in {"stop", "ride"}
        assert thresholds_of(readings, site, known).runtime_low is None


# --- clocks ---------------------------------------------------------------------------------------


def test_a_test_of_tomorrow_hides_no_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    journal = tmp_path / "ups1.jsonl"
    journal.touch()
    os.utime(journal, (time.time() + DAY, time.time() + DAY))  # the clock was set back since
    monkeypatch.setenv("NOTIFYTYPE", "ONBATT")
    monkeypatch.setenv("UPSNAME", "ups1@localhost")

    assert notify(["event", "--spool", str(spool), "--tests", str(tmp_path)]) == 0

    assert [one.topic for one in waiting(spool)] == ["nut-onbatt"]


def test_maintenance_of_tomorrow_holds_no_rule_off(tmp_path: Path) -> None:
    file = tmp_path / "off"
    file.touch()
    os.utime(file, (time.time() + DAY, time.time() + DAY))
    fired: list[object] = []
    clock = iter(range(0, 10_000, 60))
    rule = HostRule(
        RuleConfig(("192.0.2.1",), after=300, maintenance=file),
        hears=lambda _config: not rule.armed,
        ask_mains=lambda _config: None,
        act=fired.append,
        clock=lambda: float(next(clock)),
    )
    for _ in range(10):
        rule.step()
    assert fired


def test_the_deadline_of_the_backups_goes_by_a_clock_that_nobody_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = ThisHost()
    before = host.now()
    assert abs(before - time.time()) < 5
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 10 * DAY)
    assert 0 <= host.now() - before < 5


def test_a_watch_whose_clock_was_ahead_says_silence_all_the_same() -> None:
    values = {"ups.status": "OL RB", "input.voltage": "230"}
    memory = Memory(NOW + 90 * DAY, NOW + 90 * DAY, NOW + 90 * DAY, NOW + 90 * DAY,
                    replace_looks=[NOW + 90 * DAY])  # fmt: skip
    known = Told(proof=NOW + 80 * DAY, tested=True)
    look(memory, NOW, values, known, TODAY)
    assert len(memory.replace_looks) == 1
    assert "frozen" in look(memory, NOW + 2 * DAY, values, known, TODAY)
    assert "no-proof" in look(memory, NOW + 20 * DAY, values, known, TODAY)
    assert "lost-contact" in look(memory, NOW + 21 * DAY, None, known, TODAY)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged",
    ['{"heard": "x", "changed": 1, "battery_moved": 1, "began": 1}',
     '{"heard": 1, "changed": 1, "battery_moved": 1, "began": 1, "values": [1]}',
     '{"heard": 1, "changed": 1, "battery_moved": 1, "began": 1, "unsafe_since": 7}',
     "[]", "null", "\x00\x00"],
)  # fmt: skip
def test_a_damaged_memory_is_begun_anew(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "ups1.json"
    file.write_text(damaged)
    assert Memory.read(file, NOW) == Memory(NOW, NOW, NOW, NOW)


def test_a_state_with_a_number_beyond_all_numbers_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "site.ladder.json"
    file.write_text(json.dumps({"spent": 10**400}))
    assert read_state(file) == State()


@pytest.mark.parametrize(
    "wrong",
    [
        {"severity": "odd"}, {"text": None}, {"at": 1e300}, {"ups": 7}, {"sent": [1]},
        {"id": "of-another-file"},
    ],
)  # fmt: skip
def test_an_alarm_that_nobody_could_send_keeps_no_other(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    raise_alarm(Alarm("budget", "ups1", "it does not fit"), tmp_path)
    odd = dataclasses.asdict(Alarm("x", "ups1", "odd", id="0-odd", at=1.0)) | wrong
    (tmp_path / "0-odd.json").write_text(json.dumps(odd))

    assert [one.text for one in waiting(tmp_path)] == ["it does not fit"]
    assert (tmp_path / "0-odd.unreadable").exists()


def test_an_alarm_with_half_a_character_arrives(tmp_path: Path) -> None:
    raise_alarm(Alarm("guest", "ups1", "r\udce9seau"), tmp_path)
    assert [one.text for one in waiting(tmp_path)] == ["r?seau"]


def test_the_tester_is_read_as_upsd_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "upsd.users"
    file.write_bytes(
        "# l'\xe9quipe\n[other]\npassword=no\n[tester] # tests\n"
        '  password = "k3v\\#Q8" # new\n  instcmds = test.battery.start\n'.encode("latin-1")
    )
    assert User.read(file, "tester").password == "k3v#Q8"  # noqa: S105  # of nobody


def test_a_remark_in_another_encoding_outlives_the_night(tmp_path: Path) -> None:
    file = tmp_path / "ups.conf"
    file.write_bytes(b"# \xe9\n[ups1]\n")
    file.chmod(0o640)
    _rewrite(file, lambda text: text + "ignorelb\n")
    assert file.read_bytes() == b"# \xe9\n[ups1]\nignorelb\n"
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_comment_and_a_slash_in_fstab_mount_nothing() -> None:
    storages = "dir: usb\n\tpath /mnt/usb\n\ndir: data\n\tpath /mnt/data\n"
    fstab = "#/dev/sdb1 /mnt/usb ext4 defaults 0 2\n/dev/sdc1 /mnt/data/ ext4 defaults 0 2\n"
    assert unmounted(storages, fstab, "/dev/sdc1 /mnt/data ext4 rw 0 0\n") == frozenset()
    assert unmounted(storages, fstab, "/dev/sda1 / ext4 rw 0 0\n") == {"data"}


# --- places and peers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1", ("192.0.2.1", 3493)),
        ("nas.example.org:3494", ("nas.example.org", 3494)),
        ("[2001:db8::1]:3494", ("2001:db8::1", 3494)),
        ("[::1]", ("::1", 3493)),
        ("2001:db8::1", ("2001:db8::1", 3493)),
    ],
)
def test_a_server_may_have_an_address_of_version_6(text: str, place: tuple[str, int]) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("target", ["ups1@h:70000", "ups1@h:x", "ups1@", "@h", "ups1@[::1]:0"])
def test_a_place_that_is_none_is_said(target: str) -> None:
    with pytest.raises(InputError, match="no such file, and no UPS@HOST"):
        source_of(target)


def test_a_rule_with_an_odd_server_hears_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        odd = ("192.0.2.1:x", "192.0.2.1:99999", "[::1:7")
        assert hears_anybody(RuleConfig((*odd, f"127.0.0.1:{port}"), after=60))
        assert not hears_anybody(RuleConfig(odd, after=60))


def test_a_peer_that_does_not_read_stops_no_driver(tmp_path: Path) -> None:
    driver = DriverSocket(tmp_path / "releve-policy-site")
    with socket.socket(socket.AF_UNIX) as deaf, socket.socket(socket.AF_UNIX) as upsd:
        for one in (deaf, upsd):
            one.connect(str(tmp_path / "releve-policy-site"))
            driver.serve(1)
        begun = time.monotonic()
        upsd.setblocking(False)
        heard = b""
        for number in range(200):
            driver.publish({"ups.status": "OL", "x": f"{number}" * 3000})
            heard += upsd.recv(1 << 20)
        assert time.monotonic() - begun < 20
        assert b'"199' in heard
    driver.close()


def test_a_tool_whose_child_holds_the_pipe_costs_its_time_and_no_more() -> None:
    begun = time.monotonic()
    odd = ["sh", "-c", "printf '\\351' >&2; exit 3"]
    faults = run_all([["sh", "-c", "sleep 30 & sleep 30"], odd], 1)
    assert time.monotonic() - begun < 10
    assert len(faults) == 2
    subprocess.run(["sh", "-c", "true"], check=True)


def test_what_is_not_told_is_no_number() -> None:
    seen = UpsLook("ups1", {"ups.status": "BOOST"}, frozenset(), frozenset(), 1.0)
    assert seen.mains_said
