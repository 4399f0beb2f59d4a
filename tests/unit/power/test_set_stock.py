"""The night changes NUT's files only where they have to change, and only in a calm moment."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.test_stock import GOOD, ONE

from releve.errors import InputError
from releve.lab.ups.labups import section_of
from releve.power import set_stock
from releve.power.budget import as_json
from releve.power.guests import Live, Node
from releve.power.set_stock import Found, Here, find, main, restart_driver, set_all
from releve.power.spool import Alarm, waiting
from releve.power.stock import MARK, standing_of
from releve.power.stops import Guest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UPS_CONF = f"[ups1]\n  driver = usbhid-ups\n  {MARK}\n  port = auto\n"
SCHED = "AT ONBATT ups1@localhost START-TIMER on-battery-ups1 840\n"


@pytest.fixture
def nut(tmp_path: Path) -> Path:
    folder = tmp_path / "nut"
    folder.mkdir()
    (folder / "ups.conf").write_text(UPS_CONF)
    (folder / "ups.conf").chmod(0o640)
    (folder / "upssched.conf").write_text(SCHED)
    return folder


NOBODY = Node((), 1)


def running(text: str) -> dict[str, str]:
    """Return what a driver says that has read this ups.conf."""
    settings = section_of(text, "ups1")
    low = {
        key.removeprefix("override."): value
        for key, value in settings.items()
        if key.startswith("override.")
    }
    return {**low, **({"driver.flag.ignorelb": "enabled"} if "ignorelb" in settings else {})}


def here(nut: Path, node: Node = NOBODY, driver: str | None = None, **said: str) -> Here:
    """Return this host; `driver`: the ups.conf that the driver has read, None: the one there is."""
    texts = ((nut / "ups.conf").read_text(), (nut / "upssched.conf").read_text())
    ours = running(texts[0] if driver is None else driver)
    values = {**GOOD, **ours, **{key.replace("_", "."): value for key, value in said.items()}}
    return Here(node, {}, lambda _ups: {}, lambda _ups: values, texts)


def run(nut: Path, found: list[Found]) -> tuple[list[str], list[str]]:
    restarted: list[str] = []
    return list(set_all(found, nut, restarted.append)), restarted


BUDGETS = {"ups1": as_json(ONE)}
UPSES = ("ups1", "ups2")


def test_a_ups_that_was_heard_gets_its_thresholds_and_a_second_look_changes_nothing(
    nut: Path,
) -> None:
    done, restarted = run(nut, find(BUDGETS, here(nut)))
    (sentence,) = done

    assert restarted == ["ups1"]
    assert sentence.startswith(
        "ups1: a low battery is now override.battery.runtime.low = 750, "
        "override.battery.charge.low = 42 ("
    )
    assert (nut / "ups.conf").read_text() == UPS_CONF.replace(
        MARK,
        f"{MARK}\n  ignorelb\n  override.battery.runtime.low = 750\n"
        "  override.battery.charge.low = 42",
    )
    assert (nut / "ups.conf").stat().st_mode & 0o777 == 0o640
    assert run(nut, find(BUDGETS, here(nut))) == ([], [])
    assert sorted(file.name for file in nut.iterdir()) == ["ups.conf", "upssched.conf"]


def test_the_drivers_of_other_upses_are_not_made_old_by_it(nut: Path) -> None:
    file, then = nut / "ups.conf", 1_700_000_000_000_000_000
    os.utime(file, ns=(then, then))

    def fails(_ups: str) -> None:
        raise InputError("did not start")

    with pytest.raises(InputError):
        list(set_all(find(BUDGETS, here(nut)), nut, fails))
    assert file.stat().st_mtime_ns > then, "this driver is older than its section"

    file.write_text(UPS_CONF)
    os.utime(file, ns=(then, then))
    assert run(nut, find(BUDGETS, here(nut)))[1] == ["ups1"]
    assert file.stat().st_mtime_ns == then
    assert "ignorelb" in file.read_text()


class Killed(BaseException):
    """As by SIGKILL: nothing after it runs."""


@pytest.mark.parametrize("before", ["", "  ignorelb\n  override.battery.runtime.low = 700\n"
                                        "  override.battery.charge.low = 39\n"])  # fmt: skip
def test_who_was_killed_before_the_driver_s_restart_is_mended_by_the_next_night(
    nut: Path, before: str
) -> None:
    old = UPS_CONF.replace(f"{MARK}\n", f"{MARK}\n{before}")
    (nut / "ups.conf").write_text(old)

    def killed(_ups: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        list(set_all(find(BUDGETS, here(nut)), nut, killed))
    written = (nut / "ups.conf").read_text()
    assert written != old

    by_day = dataclasses.replace(here(nut, driver=old), hold=True)
    assert run(nut, find(BUDGETS, by_day)) == ([], [])
    assert run(nut, find(BUDGETS, here(nut, driver=old, ups_status="OB"))) == ([], [])

    (found,) = find(BUDGETS, here(nut, driver=old))
    assert not found.stands
    done, restarted = run(nut, [found])
    assert restarted == ["ups1"]
    assert done == ["ups1: its driver went by another low battery than ups.conf says: restarted"]
    assert (nut / "ups.conf").read_text() == written
    assert run(nut, find(BUDGETS, here(nut))) == ([], [])


def test_thresholds_that_were_taken_away_and_still_run_are_seen(nut: Path) -> None:
    run(nut, find(BUDGETS, here(nut)))
    own = (nut / "ups.conf").read_text()
    (nut / "ups.conf").write_text(UPS_CONF)
    (found,) = find(BUDGETS, here(nut, driver=own, battery_runtime="0"))

    assert not found.lines_differ
    assert run(nut, [found])[1] == ["ups1"]


@pytest.mark.parametrize("status", ["OB", "OL CAL", "OL DISCHRG", "OL FSD"])
def test_no_driver_is_restarted_in_a_moment_that_needs_it(nut: Path, status: str) -> None:
    (nut / "upssched.conf").write_text(SCHED.replace("840", "900"))
    done, restarted = run(nut, find(BUDGETS, here(nut, ups_status=status)))

    assert (done, restarted) == (["ups1: the timer goes from 900 to 840 s on battery"], [])
    assert (nut / "ups.conf").read_text() == UPS_CONF
    assert (nut / "upssched.conf").read_text() == SCHED


def test_a_new_guest_brings_the_timer_forward_and_one_of_the_plan_still_counts(nut: Path) -> None:
    planned = {"name": "web", "order": 1, "stop_seconds": 30, "vmid": 103, "kind": "qemu"}
    budgets = {"ups1": as_json(dataclasses.replace(ONE, guests=[planned]))}
    new = Live(Guest("new", 1, 30, 104), 104)
    renamed = Live(Guest("www", 1, 30, 103), 103)

    def timer(*guests: Live) -> int:
        (found,) = find(budgets, here(nut, Node(guests, 1)))
        return found.numbers.timer or 0

    assert timer() == timer(renamed) == budgets["ups1"]["timer"]
    assert timer(new) == timer(new, renamed) < timer()


@pytest.mark.parametrize("said", ["ladder", "own", "device"])
def test_a_guest_that_does_not_fit_stops_no_site_at_a_blip(nut: Path, said: str) -> None:
    one = dataclasses.replace(ONE, thresholds=said, ride_through_seconds=120)
    endless = Live(Guest("endless", 1, 9000, 104), 104)
    (found,) = find({"ups1": as_json(one)}, here(nut, Node((endless,), 1)))
    numbers = found.numbers

    assert numbers.timer == 120
    if said != "device":
        assert numbers.runtime_low == 1320 / 0.8
        assert (numbers.charge_low or 100) <= 92


def test_a_value_that_is_away_for_a_night_is_no_longer_watched(nut: Path) -> None:
    run(nut, find(BUDGETS, here(nut)))
    done, restarted = run(nut, find(BUDGETS, here(nut, battery_runtime="0")))

    assert restarted == ["ups1"]
    assert "the UPS's own word" in done[0]
    assert (nut / "ups.conf").read_text() == UPS_CONF


def test_between_the_nights_own_thresholds_neither_come_nor_go(nut: Path) -> None:
    def hold(**said: str) -> list[Found]:
        return find(BUDGETS, dataclasses.replace(here(nut, NOBODY, **said), hold=True))

    assert run(nut, hold()) == ([], [])
    assert (nut / "ups.conf").read_text() == UPS_CONF

    run(nut, find(BUDGETS, here(nut)))
    before = (nut / "ups.conf").read_text()
    assert run(nut, hold(battery_runtime="0")) == ([], [])

    (nut / "ups.conf").write_text(before.replace("runtime.low = 750", "runtime.low = 749"))
    assert run(nut, hold())[1] == ["ups1"], "too late is mended at once"
    assert (nut / "ups.conf").read_text() == before


def test_a_device_that_counts_in_minutes_is_told_in_minutes_and_reckoned_in_seconds(
    nut: Path,
) -> None:
    unit = "  override.battery.runtime.unit = minutes\n"
    (nut / "ups.conf").write_text(UPS_CONF + unit)
    budgets = {"ups1": as_json(dataclasses.replace(ONE, runtime_unit="minutes"))}
    said = {"battery_runtime": "29", "battery_runtime_unit": "minutes"}

    assert run(nut, find(budgets, here(nut, NOBODY, **said)))[1] == ["ups1"]
    assert "override.battery.runtime.low = 14\n" in (nut / "ups.conf").read_text()
    assert standing_of((nut / "ups.conf").read_text(), "", "ups1").runtime_low == 14 * 60
    assert run(nut, find(budgets, here(nut, NOBODY, **said))) == ([], [])


@pytest.mark.parametrize("capacity", [1800, None])
def test_where_its_own_word_is_enough_nothing_of_ours_stands_above_it(
    nut: Path, capacity: int | None
) -> None:
    record = {} if capacity is None else ONE.record
    one = dataclasses.replace(
        ONE, low_battery_is_enough=True, capacity_seconds=capacity, record=record
    )
    (found,) = find({"ups1": as_json(one)}, here(nut))

    assert (found.numbers.lines, found.numbers.timer) == ((), capacity and 840)
    (nut / "upssched.conf").write_text(SCHED if capacity else "")
    assert run(nut, find({"ups1": as_json(one)}, here(nut))) == ([], [])


def test_a_timer_that_only_a_deploy_can_add_is_named(nut: Path) -> None:
    (nut / "upssched.conf").write_text("")
    done, _ = run(nut, find(BUDGETS, here(nut)))

    assert done[0] == "ups1: a timer comes or goes by a deploy only: run playbooks/power.yml"


@pytest.fixture
def verb(
    nut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run the verb with a UPS that says GOOD; returns its code and what it printed."""

    def say(_ups: str) -> dict[str, str]:
        return {**GOOD, **running((nut / "ups.conf").read_text())}

    monkeypatch.setattr(set_stock, "said_by", lambda _link: say)
    monkeypatch.setattr(set_stock, "restart_driver", lambda _ups: None)
    (tmp_path / "spool").mkdir()
    (tmp_path / "budgets.json").write_text(json.dumps(BUDGETS))
    places = [f"--{name}={tmp_path / name}" for name in ("nut", "spool", "measured", "pve")]

    def run_verb(*options: str, budgets: str = str(tmp_path / "budgets.json")) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main([*places, "--budgets", budgets, *options])
        return code, out.getvalue()

    return run_verb


def test_the_verb_prints_what_the_role_writes_and_changes_nothing(
    verb: Callable[..., tuple[int, str]], nut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = verb()
    content = json.loads(said)

    assert (code, content["changed"]) == (0, [])
    assert content["ups"]["ups1"]["lines"][0] == "ignorelb"
    assert (content["ups"]["ups1"]["timer"], content["ups"]["ups1"]["stands"]) == (840, False)
    assert (nut / "ups.conf").read_text() == UPS_CONF

    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(BUDGETS)))
    assert json.loads(verb(budgets="-")[1]) == content


def test_what_was_set_is_told_once(
    verb: Callable[..., tuple[int, str]], nut: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert verb("--set", "--tell", "--quiet")[0] == 0
    (alarm,) = waiting(tmp_path / "spool")

    assert (alarm.topic, alarm.ups, alarm.severity) == ("thresholds", "ups1", "info")
    assert standing_of((nut / "ups.conf").read_text(), "", "ups1").runtime_low == 750


def test_a_driver_that_does_not_start_keeps_nobody_from_the_next_ups(
    verb: Callable[..., tuple[int, str]],
    nut: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (nut / "ups.conf").write_text(UPS_CONF + UPS_CONF.replace("ups1", "ups2"))
    (nut / "upssched.conf").write_text(SCHED + SCHED.replace("ups1", "ups2").replace("840", "900"))
    (tmp_path / "budgets.json").write_text(json.dumps(dict.fromkeys(UPSES, BUDGETS["ups1"])))

    def restart(ups: str) -> None:
        if ups == "ups1":
            raise InputError("nut-driver@ups1.service: did not start")

    monkeypatch.setattr(set_stock, "restart_driver", restart)
    code, said = verb("--set", "--tell", "--quiet")

    assert (code, said.splitlines()[-1]) == (
        2,
        "power.pyz thresholds: nut-driver@ups1.service: did not start",
    )
    assert standing_of((nut / "ups.conf").read_text(), "", "ups2").runtime_low == 750
    assert [alarm.text.partition(" is ")[0] for alarm in waiting(tmp_path / "spool")] == [
        "the timer goes from 900 to 840 s on battery",
        "a low battery",
        "not all could be set: nut-driver@ups1.service: did not start",
    ]


@pytest.mark.parametrize("record", ["{", '{"on": "2026-05-02", "capacity_seconds": 1800}'])
def test_a_record_that_cannot_be_read_keeps_nobody_from_the_next_ups(
    verb: Callable[..., tuple[int, str]], nut: Path, tmp_path: Path, record: str
) -> None:
    (nut / "ups.conf").write_text(UPS_CONF + UPS_CONF.replace("ups1", "ups2"))
    (nut / "upssched.conf").write_text(SCHED + SCHED.replace("ups1", "ups2"))
    (tmp_path / "budgets.json").write_text(json.dumps(dict.fromkeys(UPSES, BUDGETS["ups1"])))
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "ups1.json").write_text(record)

    assert verb()[0] == 2
    assert verb("--set", "--hold", "--tell", "--quiet")[0] == 2
    assert not waiting(tmp_path / "spool"), "each night, and not every five minutes"

    code, said = verb("--set", "--tell", "--quiet")
    assert (code, "ups1: its record cannot be read" in said) == (2, True)
    assert standing_of((nut / "ups.conf").read_text(), "", "ups1").runtime_low is None
    assert standing_of((nut / "ups.conf").read_text(), "", "ups2").runtime_low == 750
    assert [alarm.severity for alarm in waiting(tmp_path / "spool")] == ["info", "failure"]


def test_a_full_spool_keeps_nothing_from_being_set(
    verb: Callable[..., tuple[int, str]], nut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_alarm: Alarm, _spool: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (nut / "upssched.conf").write_text(SCHED.replace("840", "900"))
    monkeypatch.setattr(set_stock, "raise_alarm", full)
    code, said = verb("--set", "--tell", "--quiet")

    assert (code, said.count("nobody is told")) == (0, 2)
    assert standing_of((nut / "ups.conf").read_text(), "", "ups1").runtime_low == 750


@pytest.mark.parametrize(
    ("text", "told"), [("", "no budget can be read there"), ('{"ups1": {}}', "run playbooks/power")]
)
def test_a_host_without_a_budget_is_told_how_to_get_one(
    verb: Callable[..., tuple[int, str]], tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "budgets.json").write_text(text)
    code, said = verb()

    assert code == 2
    assert told in said


def test_a_file_that_is_not_ours_is_named(verb: Callable[..., tuple[int, str]], nut: Path) -> None:
    (nut / "ups.conf").write_text("[ups1]\n  driver = usbhid-ups\n")
    code, said = verb("--set")

    assert code == 2
    assert "[ups1] is not as the role wrote it; run playbooks/power.yml" in said


@pytest.mark.parametrize(("fails", "is_there"), [(0, True), (2, True), (9, False)])
def test_a_restart_that_another_one_cancels_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int, is_there: bool
) -> None:
    program = tmp_path / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n'
        f'[ "$1" != restart ] || [ "$(grep -c ^restart {tmp_path}/asked)" -gt {fails} ] || '
        "{ echo 'Job canceled.' >&2; exit 1; }\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    if is_there:
        restart_driver("ups1", wait=0)
        assert (tmp_path / "asked").read_text().count("restart nut-driver@ups1") == fails + 1
    else:
        with pytest.raises(InputError, match=r"nut-driver@ups1\.service: Job canceled\.; see"):
            restart_driver("ups1", wait=0)


def test_a_restart_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexec sleep 9\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(set_stock, "RESTART_SECONDS", 0.1)

    with pytest.raises(InputError, match=r"nut-driver@ups1\.service: systemctl has not answered"):
        restart_driver("ups1", wait=0)
