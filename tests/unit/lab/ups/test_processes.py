"""The hosts' first processes are looked up when somebody needs one, and then for all hosts."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

from releve.lab.ups import __main__ as ups

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Hall:
    """Its hosts are called as they are."""

    def part(self, name: str) -> str:
        return name

    def power_on(self, host: str) -> None:
        raise AssertionError(host)


def await_that(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_podman_is_asked_when_somebody_lacks_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[str, ...]] = []

    def podman(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        looks.append(words[-2:])
        return subprocess.CompletedProcess(words, 0, f"{len(looks)}\n0\n", "")

    monkeypatch.setattr(ups, "podman", podman)
    monkeypatch.setattr(ups, "LOOK", 0.02)
    ended = threading.Event()
    try:
        processes = ups.Processes(Hall(), ("pve1", "nas"), ended)
        time.sleep(0.2)
        assert looks == [("pve1", "nas")]

        assert processes("pve1") == 1
        assert await_that(lambda: processes.pids["pve1"] > 1)
        assert processes("nas") == 0
    finally:
        ended.set()
