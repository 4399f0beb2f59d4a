"""A run that is told to end, or is killed, leaves no host running and no namespace behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.worlds import switch

from releve.lab import network

pytestmark = [pytest.mark.lab, pytest.mark.root]
ROOT = Path(__file__).parents[2]


def wait_for_hosts(run: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes of the hosts of a run once three have booted."""
    for _turn in range(600):
        assert run.poll() is None, "the run has ended by itself"
        hosts = [name for name in namespaces(run) if name.count("-") > switch.PREFIX.count("-") + 1]
        each = [network.processes(name) for name in hosts]
        if len(each) >= 3 and all(each):
            return [pid for pids in each for pid in pids]
        time.sleep(0.1)
    raise AssertionError(namespaces(run))


def namespaces(run: subprocess.Popen[bytes]) -> list[str]:
    """Return the namespaces of a run's worlds."""
    return network.namespaces(f"{switch.PREFIX}{run.pid}-")


def alive(pids: list[int]) -> list[int]:
    """Return those that still run, after a while in which they may end."""
    for _turn in range(100):
        left = [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
        if not left:
            break
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_who_is_ended_leaves_nothing(how: signal.Signals) -> None:
    if os.geteuid() != 0:
        pytest.skip("the worlds' namespaces need root: call scripts/test, which asks sudo")
    words = [sys.executable, "-m", "tests.worlds", "--mode", "stock", "1", "2"]
    run = subprocess.Popen(words, cwd=ROOT)
    try:
        pids = wait_for_hosts(run)
        run.send_signal(how)
        code = run.wait(timeout=60)
    finally:
        run.kill()

    assert alive(pids) == []
    if how is signal.SIGKILL:
        switch.sweep()  # as the next run begins
    else:
        assert code == 130
        assert not (ROOT / "build/worlds/1-stock/disks").exists()
    assert namespaces(run) == []
