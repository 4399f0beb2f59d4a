"""Who was stopped by force is never called clean, whatever its task says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from releve.power.outcomes import Asked, End, Record, asked_of, judge, last, outcomes

if TYPE_CHECKING:
    from pathlib import Path

STARTED = 0x6927F000


def upid(kind: str, vmid: int | str, pid: int, started: int = STARTED) -> str:
    return f"UPID:pve1:{pid:08X}:0000ABCD:{started:08X}:{kind}:{vmid}:root@pam:"


@pytest.mark.parametrize(
    ("lines", "seconds", "end"),
    [
        (["TASK OK"], 12, End.CLEAN),
        (["Unexpected: VM shutdown command failed, but VM not running anymore..", "TASK OK"], 9,
         End.CLEAN),
        (["TASK WARNINGS: 1"], 9, End.CLEAN),
        (["VM still running - terminating now with SIGTERM", "TASK OK"], 61, End.HARD),
        (["VM quit/powerdown failed - terminating now with SIGTERM", "TASK OK"], 4, End.HARD),
        (["VM still running - terminating now with SIGTERM",
          "VM still running - terminating now with SIGKILL", "TASK OK"], 72, End.HARD),
        # A container that was killed leaves no word: lxc-stop says nothing and all is "OK".
        (["TASK OK"], 60, End.HARD),
        (["TASK ERROR: VM is locked (backup)"], 0, End.CUT),
        (["TASK ERROR: can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout"], 10,
         End.CUT),
        (["container did not stop", "TASK ERROR: container did not stop"], 66, End.CUT),
        ([], 3, End.CUT),
        (["VM still running - terminating now with SIGTERM"], 61, End.CUT),
    ],
)  # fmt: skip
def test_how_a_guest_ended(lines: list[str], seconds: float, end: End) -> None:
    stop = judge(Record(101, lines, seconds), Asked(60))

    assert stop.end is end
    assert (stop.why == "") == (end is End.CLEAN)


def test_the_reason_is_pves_own() -> None:
    stop = judge(Record(101, ["TASK ERROR: VM is locked (snapshot)"], 0), Asked(60))

    assert stop.why == "Proxmox VE did not stop it: VM is locked (snapshot)"


def test_a_paused_guest_is_ended_as_it_stands() -> None:
    asked = asked_of(
        [
            "Stopping VM 102 (timeout = 60 seconds)",
            "Stopping VM 101 (timeout = 90 seconds)",
            "VM is paused - stop instead of shutdown",
            "Stopping CT 100 (timeout = 180 seconds)",
        ]
    )

    assert asked == {102: Asked(60), 101: Asked(90, paused=True), 100: Asked(180)}
    assert judge(Record(101, ["TASK OK"], 1), asked[101]).end is End.HARD
    assert judge(Record(102, ["TASK OK"], 1), asked[102]).end is End.CLEAN


def test_a_guest_that_nobody_stopped_was_cut() -> None:
    stops = outcomes([Record(101, ["TASK OK"], 5)], {101: Asked(60)}, [101, 103])

    assert [(one.vmid, one.end) for one in stops] == [(101, End.CLEAN), (103, End.CUT)]


def test_what_was_refused_first_may_have_stopped_later() -> None:
    refused = Record(101, ["TASK ERROR: VM is locked (backup)"], 0)
    stops = outcomes([refused, Record(101, ["TASK OK"], 5)], {101: Asked(60)}, [101])

    assert [one.end for one in stops] == [End.CLEAN]


def write(folder: Path, name: str, lines: list[str], ended: float) -> None:
    """Write a task's log where Proxmox VE has it; its last line is of `ended`."""
    started = name.split(":")[4]
    file = folder / started[7] / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.utime(file, (ended, ended))


def test_the_records_of_a_stop_are_read(tmp_path: Path) -> None:
    whole = upid("stopall", "", 1000)
    clean = upid("qmshutdown", 101, 1001)
    forced = upid("vzshutdown", 102, 1002, STARTED + 15)
    by_hand = upid("qmshutdown", 104, 1003, STARTED + 9000)
    write(tmp_path, whole, [
        "Stopping VM 101 (timeout = 60 seconds)", "Stopping CT 102 (timeout = 30 seconds)",
        "Stopping VM 103 (timeout = 30 seconds)", "TASK OK",
    ], STARTED + 50)  # fmt: skip
    write(tmp_path, clean, ["TASK OK"], STARTED + 12)
    write(tmp_path, forced, ["TASK OK"], STARTED + 46)
    write(tmp_path, by_hand, ["TASK OK"], STARTED + 9010)
    # The index has got the end of one only at the next boot: its time is not used.
    (tmp_path / "index").write_text(f"{clean} 6927FFFF OK\n{by_hand} 69281400 OK\n")
    (tmp_path / "active").write_text(f"{whole} 0\n{forced} 1 6927FFFF OK\n")

    stops = {one.vmid: one for one in last(tmp_path, were_running=[101, 102, 103, 105])}

    assert {vmid: one.end for vmid, one in stops.items()} == {
        101: End.CLEAN, 102: End.HARD, 103: End.CUT, 105: End.CUT,
    }  # fmt: skip
    assert stops[101].seconds == 12
    assert stops[102].why == "it took 31 s of the 30 s that it had"


def test_a_second_stopall_is_of_the_same_stop_only_when_that_was_noted(tmp_path: Path) -> None:
    first, second = upid("stopall", "", 1000), upid("stopall", "", 2000, STARTED + 300)
    clean = upid("qmshutdown", 101, 1001, STARTED + 1)
    write(tmp_path, first, ["Stopping VM 101 (timeout = 60 seconds)", "TASK OK"], STARTED + 20)
    write(tmp_path, second, ["Stopping VM 102 (timeout = 60 seconds)", "TASK OK"], STARTED + 320)
    write(tmp_path, clean, ["TASK OK"], STARTED + 9)
    (tmp_path / "index").write_text(
        "".join(f"{one} 6927FFFF OK\n" for one in (first, clean, second))
    )

    assert [one.vmid for one in last(tmp_path)] == [102]
    assert [one.vmid for one in last(tmp_path, begun=STARTED - 3.5)] == [101, 102]
    assert [one.vmid for one in last(tmp_path, begun=STARTED - 90_000)] == [102]


def test_without_any_stop_there_is_nothing(tmp_path: Path) -> None:
    assert last(tmp_path) == []
