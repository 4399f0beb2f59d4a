"""What a killed run leaves, the next one clears; what belongs to others stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from releve.command import run
from releve.lab import guests, images
from releve.lab.podman import containers
from releve.lab.topology import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
UP = """
import pathlib, sys
from releve.lab.topology import Lab
Lab.of(pathlib.Path(sys.argv[1])).up(print)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give another checkout's place, so that its lab has another name than ours."""
    if os.geteuid() != 0:
        pytest.skip("the lab's containers need root: call scripts/test, which asks sudo")
    images.ensure(lambda _line: None)
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "inventory", root / "inventory")
    guests.ensure(Lab.of(root).town, lambda _line: None)
    yield root
    Lab.of(root).down()


def traces(lab: Lab) -> list[str]:
    """Return everything of a lab that this machine knows of."""
    netns = [f"netns {one.name}" for one in Path("/run/netns").glob(f"{lab.name}-*")]
    mounts = [
        line for line in Path("/proc/mounts").read_text().splitlines() if str(lab.root) in line
    ]
    loops = run(["losetup", "--list", "--noheadings"], timeout=10).stdout.splitlines()
    return [
        *(f"container {name}" for name in containers(f"{lab.name}-")),
        *netns,
        *mounts,
        *(line for line in loops if str(lab.root) in line),
    ]


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
def test_a_run_killed_at_any_moment_is_cleared(checkout: Path, seconds: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", UP, str(checkout)])
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lab = Lab.of(checkout)
    lab.down()

    assert traces(lab) == []


def test_a_lab_whose_processes_were_all_killed_comes_up_again(checkout: Path) -> None:
    lab = Lab.of(checkout)
    lab.up(lambda _line: None)
    lab.start_process("sleeper", ["sleep", "600"])
    for pid in _pids_of(lab):
        os.kill(pid, signal.SIGKILL)
    lab.up(lambda _line: None)
    assert lab.ask("compta", 60).whole
    lab.down()

    assert traces(lab) == []


def test_what_belongs_to_others_stays(checkout: Path, tmp_path: Path) -> None:
    lab = Lab.of(checkout)
    other, image = "rl-00000000-ws", tmp_path / "disk"
    run(["ip", "netns", "add", other], timeout=10)
    run(["truncate", "-s", "1M", str(image)], timeout=10)
    loop = run(["losetup", "--find", "--show", str(image)], timeout=10).stdout.strip()
    sleeper = subprocess.Popen(["nsenter", f"--net=/run/netns/{other}", "--", "sleep", "60"])
    try:
        lab.down()
        assert Path("/run/netns", other).exists()
        assert sleeper.poll() is None
        assert str(image) in run(["losetup", loop], timeout=10).stdout
    finally:
        sleeper.kill()
        sleeper.wait()
        run(["losetup", "--detach", loop], timeout=10)
        run(["ip", "netns", "delete", other], timeout=10)


def _pids_of(lab: Lab) -> set[int]:
    """Return all processes of a lab: in its namespaces, and podman's monitors of its containers."""
    found: set[int] = set()
    for namespace in Path("/run/netns").glob(f"{lab.name}-*"):
        found |= set(
            map(int, run(["ip", "netns", "pids", namespace.name], timeout=20).stdout.split())
        )
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{lab.name}-".encode() in words.read_bytes():
                found.add(int(words.parent.name))
        except OSError:
            continue
    return found - {os.getpid()}
