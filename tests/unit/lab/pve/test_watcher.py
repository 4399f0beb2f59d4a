"""QEMU ends after its guest's power-off, unless somebody holds it back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from releve.lab.pve.place import Place
from releve.lab.pve.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Greets as QEMU does, tells that its guest has powered off, and stays.
QEMU = """
import json, socket, sys, time
link = socket.socket(socket.AF_UNIX); link.connect(sys.argv[1])
link.sendall(b'{"QMP": {}}\\n'); link.recv(100)
event = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}}
link.sendall(json.dumps(event).encode() + b"\\n")
time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A host with a watcher."""
    place = Place(tmp_path, "pve1")
    place.prepare()
    threading.Thread(target=Watcher(place).serve, daemon=True).start()
    while not place.events.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    return place


@pytest.fixture
def qemu(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """The QEMU of guest 101."""
    process = subprocess.Popen([sys.executable, "-c", QEMU, str(place.events)])
    (place.run / "101.pid").write_text(f"{process.pid}\n")
    yield process
    process.kill()
    process.wait()


def test_a_guest_that_has_powered_off_is_ended(qemu: subprocess.Popen[bytes]) -> None:
    assert qemu.wait(timeout=10) != 0


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_guest_that_is_held_back_stays_until_it_is_let_go(place: Place, end: bytes) -> None:
    """A JSON text needs no line end: qmeventd reads it as soon as it is whole."""
    with socket.socket(socket.AF_UNIX) as holder:
        holder.connect(str(place.events))
        holder.sendall(json.dumps({"vzdump": {"vmid": "101"}}).encode() + end)
        time.sleep(0.2)
        process = subprocess.Popen([sys.executable, "-c", QEMU, str(place.events)])
        (place.run / "101.pid").write_text(f"{process.pid}\n")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    assert process.wait(timeout=10) != 0
