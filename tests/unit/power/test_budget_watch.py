"""The nightly look names what changed, and fails only when the budget no longer holds."""

from __future__ import annotations

import dataclasses
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from releve.power.budget import Settings, as_json
from releve.power.budget_watch import (
    Watched,
    alone,
    changes,
    entry_of,
    guest_faults,
    main,
    settings_from,
    watch,
    with_node,
    with_record,
)
from releve.power.guests import Live, Node
from releve.power.stops import Guest
from releve.power.tasks import Task, task_of

if TYPE_CHECKING:
    from pathlib import Path

ONE = Settings(
    capacity_seconds=1200, derate=0.8, margin=1.25, ride_through_seconds=120, driver_poll=2,
    pollfreq=5, pollfreqalert=2, hostsync=15, finaldelay=5, offdelay=60, ondelay=120,
    stop_seconds=60, workers=1, clients=[{"name": "nas", "stop_seconds": 45}],
    guests=[
        {"name": "compta", "order": 1, "stop_seconds": 60, "vmid": 101, "kind": "qemu"},
        {"name": "dossiers", "order": 2, "stop_seconds": 90, "vmid": 102, "kind": "qemu"},
    ],
    today="2026-11-02",
)  # fmt: skip
COMPTA = Live(Guest("compta", 1, 60, 101), 101)
DOSSIERS = Live(Guest("dossiers", 2, 90, 102), 102)


def look(*guests: Live, record: dict[str, Any] | None = None, then: str = "") -> Watched:
    deployed = as_json(dataclasses.replace(ONE, record={"on": then} if then else {}))
    return watch("ups1", deployed, record or {}, Node(guests, 1), {})


def test_a_site_as_it_was_deployed_holds() -> None:
    watched = look(COMPTA, DOSSIERS)

    assert (watched.changes, watched.faults) == ([], [])


def test_a_new_guest_that_still_fits_the_battery_moves_the_thresholds() -> None:
    watched = look(COMPTA, DOSSIERS, Live(Guest("web", 2, 30, 103), 103))

    assert watched.changes == ["guest web is new: order 2, 30 s"]
    (fault,) = watched.faults
    assert "the shutdown now needs 425 s with its margin, but starts for 367 s" in fault
    assert "run playbooks/power.yml" in fault


def test_a_guest_without_down_is_named() -> None:
    watched = look(COMPTA, DOSSIERS, Live(Guest("new", None, None, 103), 103))

    assert watched.changes == ["guest new is new: no order, no down (180 s)"]
    assert any(fault.startswith("new has no time of its own to stop") for fault in watched.faults)


def test_a_longer_stop_that_the_battery_cannot_carry() -> None:
    watched = look(Live(Guest("compta", 1, 600, 101), 101), DOSSIERS)

    assert watched.changes == ["guest compta: order 1, 60 s became order 1, 600 s"]
    assert "the battery carries 960 s" in watched.faults[0]


def test_a_guest_that_is_gone_is_no_fault() -> None:
    watched = look(COMPTA)

    assert (watched.changes, watched.faults) == (["guest dossiers is gone"], [])


@pytest.mark.parametrize(("told", "gone"), [(True, 2), (False, 0)], ids=["pve", "no-pve"])
def test_only_proxmox_ve_can_tell_that_a_guest_is_gone(told: bool, gone: int) -> None:
    watched = watch("ups1", as_json(ONE), {}, Node((), 1, told=told), {})

    assert len(watched.changes) == gone


def test_a_host_without_proxmox_ve_still_ages() -> None:
    old = dataclasses.replace(ONE, capacity_seconds=650, battery_installed="2015-01-01")
    deployed = as_json(dataclasses.replace(old, today="2015-02-01"))
    deployed["settings"]["today"] = None  # as a deploy leaves it: the host's own day counts
    watched = watch("ups1", deployed, {}, Node((), 1, told=False), {})

    assert "the battery carries" in watched.faults[0]


def test_fewer_that_stop_side_by_side_count() -> None:
    deployed = as_json(dataclasses.replace(ONE, workers=3))
    watched = watch("ups1", deployed, {}, Node((COMPTA, DOSSIERS), 1), {})

    assert watched.changes == ["workers: 3 became 1"]


def test_a_smaller_capacity_measured_since_is_believed() -> None:
    record = {"on": "2026-11-01", "how": "deep", "capacity_seconds": 400}
    watched = look(COMPTA, DOSSIERS, record=record, then="2026-01-01")

    assert watched.changes == ["capacity_seconds: 1200 became 400"]
    assert "the battery carries 320 s (400 s measured" in watched.faults[0]


def test_a_measurement_that_lets_the_timer_stand_too_late_is_a_fault() -> None:
    record = {"on": "2026-11-01", "how": "deep", "capacity_seconds": 700}
    (fault,) = look(COMPTA, DOSSIERS, record=record, then="2026-01-01").faults

    assert "after 193 s on battery at the latest, the timer is at 593 s" in fault


def test_an_older_measurement_changes_nothing() -> None:
    one = dataclasses.replace(ONE, record={"on": "2026-11-02"})

    assert with_record(one, {"on": "2026-11-01", "capacity_seconds": 1}) is one
    assert with_record(one, {}) is one


def test_what_a_later_version_has_written_is_read() -> None:
    content = dataclasses.asdict(ONE) | {"something_new": 1}

    assert settings_from(content) == ONE
    assert changes(ONE, settings_from(content)) == []


def test_guests_that_no_stop_reaches_are_named() -> None:
    ha = dataclasses.replace(COMPTA, ha=True)
    hook = dataclasses.replace(DOSSIERS, hookscript="local:snippets/hook.pl")
    locked = Live(Guest("web", 1, 9, 103), 103, lock="snapshot")
    backup = Live(Guest("old", 1, 9, 104), 104, lock="backup")
    found = guest_faults(Node((ha, hook, locked, backup), 1), [])

    assert [fault.split("; ")[0].split(":")[0] for fault in found] == [
        "guest compta (101) is managed by HA",
        "guest dossiers (102) has a hookscript (local",
        "guest web (103) is locked (snapshot) and no task works on it",
    ]
    assert found[2].endswith("qm unlock 103")


def test_a_snapshot_in_the_making_is_no_fault() -> None:
    task = task_of("UPID:pve1:00000010:0000ABCD:6927F000:qmsnapshot:103:root@pam:")
    assert isinstance(task, Task)
    locked = Live(Guest("web", 1, 9, 103), 103, lock="snapshot")

    assert guest_faults(Node((locked,), 1), [task]) == []


def test_an_open_console_does_not_excuse_a_lock() -> None:
    task = task_of("UPID:pve1:0000162E:0000ABCD:6927F000:vncproxy:103:root@pam:")
    assert task is not None
    locked = Live(Guest("web", 1, 30, 103), 103, lock="snapshot")

    assert len(guest_faults(Node((locked,), 1), [task])) == 1


@pytest.mark.parametrize("lock", ["migrate", "create", "clone"])
def test_a_guest_in_the_making_counts_for_nothing(lock: str) -> None:
    half = Live(Guest("web", None, None, 103), 103, lock=lock, up=False)
    watched = look(COMPTA, DOSSIERS, half)

    assert (watched.changes, watched.faults) == ([], [])
    assert guest_faults(Node((half,), 1), []) == []


def test_a_guest_in_the_making_is_planned_as_the_town_has_it() -> None:
    half = Live(Guest("dossiers", None, None, 102), 102, lock="migrate", up=False)
    planned = with_node(ONE, Node((COMPTA, half), 2), {}, planned=True)

    assert planned.guests == [entry_of(COMPTA, None), ONE.guests[1]]


def test_a_planned_guest_is_not_another_one_of_its_name() -> None:
    here = Live(Guest("compta", 1, 20, 999), 999)  # names need not be one's own there

    planned = with_node(ONE, Node((here,), 1), {}, planned=True)

    assert [(one["name"], one["vmid"]) for one in planned.guests] == [
        ("compta", 999), ("compta", 101), ("dossiers", 102),
    ]  # fmt: skip
    unnumbered = dataclasses.replace(ONE, guests=[{**ONE.guests[0], "vmid": None}])
    assert len(with_node(unnumbered, Node((here,), 1), {}, planned=True).guests) == 1


def test_a_stopped_guest_that_may_be_started_counts() -> None:
    off = Live(Guest("new", None, None, 103), 103, up=False)
    backed_up = Live(Guest("other", None, None, 104), 104, lock="backup", up=False)

    assert len(look(COMPTA, DOSSIERS, off, backed_up).changes) == 2


def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    (tmp_path / "pve" / "qemu-server").mkdir(parents=True, exist_ok=True)
    code = main(
        ["--budgets", str(tmp_path / "budgets.json"), "--pve", str(tmp_path / "pve"),
         "--measured", str(tmp_path), *options]
    )  # fmt: skip
    told = capsys.readouterr()
    return code, told.out + told.err


def test_its_verdict_is_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "budgets.json").write_text(json.dumps({"ups1": as_json(ONE)}))
    folder = tmp_path / "pve" / "qemu-server"
    folder.mkdir(parents=True)
    (folder / "101.conf").write_text("name: compta\nstartup: order=1,down=60\n")
    (folder / "102.conf").write_text("name: dossiers\nstartup: order=2,down=90\n")
    assert run(tmp_path, capsys)[0] == 0

    (folder / "103.conf").write_text("name: new\n")
    code, told = run(tmp_path, capsys)
    assert code == 4
    assert "ups1: changed: guest new is new: no order, no down (180 s)\n" in told
    assert json.loads(run(tmp_path, capsys, "--json")[1])["ups"]["ups1"]["faults"]


def test_a_deploy_counts_the_guests_that_nobody_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pve" / "qemu-server"
    folder.mkdir(parents=True)

    def deploy() -> tuple[int, dict[str, Any]]:
        budgets = {"ups1": as_json(ONE)}
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(budgets)))
        code, told = run(tmp_path, capsys, "--on", "deploy", "--budgets", "-", "--json")
        found: dict[str, Any] = json.loads(told)["ups"]["ups1"]
        return code, found

    assert deploy()[0] == 0  # what is not here yet was planned for

    (folder / "103.conf").write_text("name: web\nstartup: order=2,down=30\n")
    code, found = deploy()
    assert (code, found["faults"]) == (0, [])  # the deploy sets the thresholds for it

    (folder / "104.conf").write_text("name: big\nstartup: order=2,down=900\nlock: rollback\n")
    code, found = deploy()
    assert code == 4
    assert "needs" in found["faults"][0]
    assert len(found["faults"]) == 1
    assert "guest big is new: order 2, 900 s" in found["changes"]


def test_a_host_without_a_budget_is_told_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(tmp_path, capsys)

    assert code == 2
    assert "run playbooks/power.yml" in told


def test_two_looks_come_one_after_the_other_though_a_deploy_writes_between(tmp_path: Path) -> None:
    budgets, second = tmp_path / "budgets.json", threading.Event()

    def look() -> None:
        with alone(budgets):
            second.set()

    budgets.write_text("{}")
    with alone(budgets):
        budgets.with_suffix(".new").write_text("{}")
        budgets.with_suffix(".new").replace(budgets)
        other = threading.Thread(target=look)
        other.start()
        assert not second.wait(0.3)
    other.join(5)

    assert second.is_set()
