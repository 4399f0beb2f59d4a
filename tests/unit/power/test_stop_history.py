"""How the guests ended is kept at the next boot, also when nobody stopped the host."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from releve.power import rest, stop_history
from releve.power.outcomes import End, started
from releve.power.spool import waiting
from releve.power.stop_history import (
    Life,
    ends_of,
    entry_of,
    host_seconds,
    journal_end,
    main,
    measured,
    note,
    read,
    sentence,
    this_life,
    update,
)

if TYPE_CHECKING:
    from pathlib import Path

STARTED = 0x6927F000
BEFORE, NOW = Life("aaa", STARTED - 5000), Life("bbb", STARTED + 600)


def task(folder: Path, kind: str, vmid: int | str, at: int, ended: float, *lines: str) -> None:
    """Write a task's log and its line in the index, as Proxmox VE does."""
    upid = f"UPID:pve1:{at & 0xFFFF:08X}:0000ABCD:{at:08X}:{kind}:{vmid}:root@pam:"
    log = folder / upid.split(":")[4][7] / upid
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(lines) + "\n")
    os.utime(log, (ended, ended))
    with (folder / "index").open("a") as index:
        index.write(f"{upid} {int(ended):08X} OK\n")


def stopped(folder: Path) -> None:
    """A host whose guests 101 and 102 were stopped, and whose guest 103 was passed by."""
    asked = [f"Stopping VM {vmid} (timeout = 60 seconds)" for vmid in (101, 102)]
    task(folder, "stopall", "", STARTED + 1, STARTED + 80, *asked, "TASK OK")
    task(folder, "qmshutdown", 101, STARTED + 2, STARTED + 14, "TASK OK")
    forced = "VM still running - terminating now with SIGTERM"
    task(folder, "qmshutdown", 102, STARTED + 3, STARTED + 75, forced, "TASK OK")


def entry(*guests: dict[str, Any], at: float = 1.0, host: float | None = None) -> dict[str, Any]:
    return {"at": at, "host_seconds": host, "guests": list(guests)}


def guest(vmid: int, end: End, seconds: float | None = None) -> dict[str, Any]:
    why = "" if end is End.CLEAN else "because"
    return {"vmid": vmid, "name": f"g{vmid}", "end": str(end), "why": why, "seconds": seconds}


def test_an_ordered_stop_is_read_from_the_records(tmp_path: Path) -> None:
    stopped(tmp_path)
    noted = {"boot": "aaa", "at": float(STARTED), "running": [101, 102, 103]}
    ends = {one.vmid: one.end for one in ends_of(noted, BEFORE, NOW, tmp_path)}

    assert ends == {101: End.CLEAN, 102: End.HARD, 103: End.CUT}


def test_without_a_note_who_was_started_was_cut(tmp_path: Path) -> None:
    stopped(tmp_path)  # of an earlier life: nothing that the last one can show for itself
    later = STARTED + 1000
    for vmid, kind, at in ((101, "qmstart", 10), (102, "vzstart", 11), (104, "qmstart", 12),
                           (102, "vzshutdown", 300), (104, "qmreboot", 400)):  # fmt: skip
        task(tmp_path, kind, vmid, later + at, later + at + 1, "TASK OK")
    before, now = Life("bbb", later), Life("ccc", later + 5000)
    ends = ends_of({"boot": "aaa", "running": [101]}, before, now, tmp_path)

    assert [(one.vmid, one.end, one.why) for one in ends] == [
        (101, End.CUT, stop_history.NO_STOP), (104, End.CUT, stop_history.NO_STOP),
    ]  # fmt: skip


def test_starts_of_the_life_that_goes_on_do_not_count(tmp_path: Path) -> None:
    task(tmp_path, "qmstart", 101, STARTED, STARTED + 1, "TASK OK")
    task(tmp_path, "qmstart", 102, STARTED + 700, STARTED + 701, "TASK OK")

    assert started(tmp_path, BEFORE.begun, NOW.begun) == [101]


def test_each_life_is_told_once_and_the_first_has_nothing_to_tell() -> None:
    seen: list[tuple[dict[str, Any], Life]] = []

    def look(own: dict[str, Any], before: Life) -> dict[str, Any]:
        seen.append((own, before))
        return entry()

    first, told = update({}, {"boot": "zzz"}, BEFORE, look)
    assert (told, first["stops"], seen) == (None, [], [])

    second, told = update(first, {"boot": "aaa", "at": 5}, NOW, look)
    assert told == entry()
    assert seen == [({"boot": "aaa", "at": 5}, BEFORE)]
    assert update(second, {"boot": "aaa"}, NOW, look) == (second, None)

    _, told = update(second, {"boot": "aaa", "at": 5}, Life("ccc", 9.0), look)
    assert seen[-1] == ({}, NOW), "the note of another life is none of this one"


def test_only_so_many_stops_are_kept() -> None:
    history: dict[str, Any] = {}
    for number in range(stop_history.KEPT + 10):
        life = Life(f"boot{number}", float(number))
        history, _ = update(history, {}, life, lambda _own, before: entry(at=before.begun))

    assert [one["at"] for one in history["stops"]][-1] == stop_history.KEPT + 8
    assert len(history["stops"]) == stop_history.KEPT


def test_who_did_not_end_clean_is_named_and_nobody_else() -> None:
    mixed = entry(guest(101, End.CLEAN), guest(102, End.HARD), guest(103, End.CUT))

    assert sentence(mixed) == "g102 (102) was hard-stopped: because; g103 (103) was cut: because"
    assert sentence(entry(guest(101, End.CLEAN))) == ""


def test_only_clean_stops_are_a_measure_and_the_newest_counts() -> None:
    stops = [
        entry(guest(101, End.CLEAN, 12.0), guest(102, End.CLEAN, 8.0), host=21.5),
        entry(guest(101, End.CLEAN, 14.5), guest(102, End.HARD, 60.0)),
    ]

    assert measured({"stops": stops}) == {"guests": {"101": 14.5, "102": 8.0}, "host": 21.5}
    assert measured({}) == {"guests": {}, "host": None}


@pytest.mark.parametrize(
    ("noted", "last_word", "seconds"),
    [({"guests_down_at": 100.0}, 112.34, 12.3), ({"guests_down_at": 100.0}, None, None),
     ({"guests_down_at": 100.0}, 99.0, None), ({}, 112.0, None)],
)  # fmt: skip
def test_the_hosts_own_stop_is_from_its_guests_end_to_its_journals(
    noted: dict[str, Any], last_word: float | None, seconds: float | None
) -> None:
    assert host_seconds(noted, last_word) == seconds
    assert entry_of(noted, [], {}, last_word)["host_seconds"] == seconds


def test_the_end_of_the_guests_is_added_to_the_note_of_this_stop_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "stop.json"
    rest.note_down(file, "aaa", 5.0)
    assert not file.exists()

    note(file, {"boot": "aaa", "running": [101]})
    rest.note_down(file, "bbb", 5.0)
    assert read(file) == {"boot": "aaa", "running": [101]}

    rest.note_down(file, "aaa", 5.0)
    assert read(file) == {"boot": "aaa", "running": [101], "guests_down_at": 5.0}


def test_the_verb_keeps_tells_and_is_quiet_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(tmp_path / "tasks")
    (tmp_path / "spool").mkdir()
    note(tmp_path / "history.json", {"boot": "aaa", "begun": BEFORE.begun, "stops": []})
    note(tmp_path / "stop.json", {"boot": "aaa", "at": float(STARTED), "running": [101, 102, 103]})
    monkeypatch.setattr(stop_history, "this_life", lambda: NOW)
    options = [
        f"--{name}={tmp_path / file}"
        for name, file in (("history", "history.json"), ("record", "stop.json"),
                           ("tasks", "tasks"), ("spool", "spool"))
    ]  # fmt: skip

    for _ in range(2):
        assert main(["--keep", *options]) == 0
    (alarm,) = waiting(tmp_path / "spool")
    assert alarm.text.startswith("102 (102) was hard-stopped: VM still running")
    assert "103 (103) was cut: nobody asked it to stop" in alarm.text

    capsys.readouterr()
    assert main(["--measured", *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"guests": {"101": 12.0}, "host": None}


def test_who_did_not_end_clean_is_told_though_the_disk_keeps_no_history(tmp_path: Path) -> None:
    history, spool = tmp_path / "history.json", tmp_path / "spool"
    spool.mkdir()
    task(tmp_path, "qmstart", 101, STARTED, STARTED + 2, "TASK OK")
    note(history, {"boot": "aaa", "begun": STARTED - 5000})
    (tmp_path / ".history.json.part").mkdir()  # nothing can be written in its place

    with pytest.raises(OSError, match="history"):
        stop_history.keep(history, tmp_path / "none", tmp_path, spool)

    assert [alarm.topic for alarm in waiting(spool)] == ["guest-stops"]


def test_a_container_that_starts_again_has_another_life(tmp_path: Path) -> None:
    kernel = tmp_path / "sys" / "kernel" / "random"
    kernel.mkdir(parents=True)
    (kernel / "boot_id").write_text("aaaa-bbbb\n")
    (tmp_path / "stat").write_text("cpu  1 2\nbtime 1700000000\n")
    (tmp_path / "1").mkdir()
    lives = []
    for ticks in (0, 500 * os.sysconf("SC_CLK_TCK")):
        (tmp_path / "1" / "stat").write_text(f"1 (systemd) S {'0 ' * 18}{ticks} 0 0\n")
        lives.append(this_life(tmp_path))

    assert lives[0].boot != lives[1].boot
    assert [one.begun for one in lives] == [1700000000, 1700000500]
    assert journal_end(*lives) is None, "its journal goes on"


def test_a_history_that_is_none_is_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "history.json"
    file.write_text("{")

    assert read(file) == {}
    assert "is no JSON" in caplog.text
