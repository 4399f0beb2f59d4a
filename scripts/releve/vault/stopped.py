"""A guest that is off: its volumes are read from their files, as long as it stays off."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from typing import TYPE_CHECKING

from releve.blocks.errors import SourceError
from releve.blocks.nbd import close, connect, uri
from releve.vault.freeze import NbdDisk
from releve.vault.wire import DiskSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_SECONDS = 20


@contextlib.contextmanager
def stopped(
    folder: Path, volumes: dict[str, Path], is_off: Callable[[], bool]
) -> Iterator[list[NbdDisk]]:
    """Yield the disks of a guest that is off (name -> file or device of its volume).

    The volumes are not locked: a guest that is needed may start, and then the copy is given up.
    """

    def confirm() -> None:
        if not is_off():
            message = "the guest was started while it was copied: try again"
            raise SourceError(message)

    servers = []
    try:
        disks = []
        for name, volume in volumes.items():
            socket = folder / f"nbd-{name}.sock"
            socket.unlink(missing_ok=True)
            servers.append(_serve(volume, name, socket))
            size = _size(servers[-1], name, socket)
            disks.append(NbdDisk(size, uri(str(socket), name), None, confirm))
        confirm()
        yield disks
    finally:
        for server in servers:
            server.kill()
            server.wait()


def _serve(volume: Path, name: str, socket: Path) -> subprocess.Popen[bytes]:
    form = volume.suffix.removeprefix(".")
    driver = form if form in {"qcow2", "vmdk"} else "raw"
    block = "file" if volume.is_file() else "host_device"
    image = {
        "driver": driver,
        "read-only": True,
        "force-share": True,
        "file": {"driver": block, "filename": str(volume)},
    }
    words = ["--read-only", "--persistent", "--shared=4", "--export-name", name]
    return subprocess.Popen(["qemu-nbd", *words, f"--socket={socket}", f"json:{json.dumps(image)}"])


def _size(server: subprocess.Popen[bytes], name: str, socket: Path) -> DiskSize:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            handle = connect(uri(str(socket), name), stall=5)
        except SourceError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)
            continue
        size = int(handle.get_size())
        close(handle)
        return DiskSize(name, size)
