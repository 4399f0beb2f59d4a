"""A process is ended only when number, start time and run all match."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from releve.lab import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[processes.Mark]:
    mark = processes.start("sleeper", SLEEP, tmp_path / "run", tmp_path / "log", "this-run")
    yield mark
    mark.end()


def test_a_noted_process_is_found_and_ended(mark: processes.Mark, tmp_path: Path) -> None:
    assert processes.noted(tmp_path / "run") == {"sleeper": mark}
    assert mark.alive
    mark.end()
    assert not mark.alive


def test_a_number_that_now_belongs_to_another_is_left_alone(mark: processes.Mark) -> None:
    for other in (replace(mark, start=mark.start - 1), replace(mark, run="that-run")):
        assert not other.alive
        other.end()
    assert mark.alive


def test_a_note_that_was_cut_short_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"pid": 12')
    assert processes.noted(tmp_path) == {}


def test_our_own_line_of_processes_is_known() -> None:
    assert {os.getpid(), os.getppid()} <= processes.ancestors()


def test_those_that_name_a_text_are_found_and_ended(tmp_path: Path) -> None:
    sleepers = [
        subprocess.Popen([*SLEEP, str(tmp_path / name)]) for name in ("part-1", "part-2", "other")
    ]
    for one in sleepers:  # the kernel shows a process before its words
        while not Path(f"/proc/{one.pid}/cmdline").read_bytes():
            time.sleep(0.01)
    found = processes.naming(str(tmp_path / "part-"))
    processes.end_all(found)

    assert set(found) == {one.pid for one in sleepers[:2]}
    assert [one.poll() is None for one in sleepers] == [False, False, True]
    sleepers[2].kill()
    sleepers[2].wait()
