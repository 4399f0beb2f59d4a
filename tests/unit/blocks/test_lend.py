"""A block device is lent as NBD over SFTP: every byte, nothing written, no lie at its end."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from releve.blocks.errors import SourceError
from releve.blocks.sftp import PIECE, Sftp

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
SERVER = next((path for path in SERVERS if Path(path).exists()), "")
SCRIPTS = Path(__file__).parents[3] / "scripts"
SIZE = (3 << 20) + 1536
pytestmark = pytest.mark.skipif(not SERVER, reason="no sftp-server (openssh-sftp-server)")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    file = tmp_path / "disk"
    file.write_bytes(random.Random(3).randbytes(SIZE))  # noqa: S311  # no secret
    return file


def test_a_file_is_read_in_pieces_whatever_their_places(disk: Path) -> None:
    sftp = Sftp([SERVER, "-R"], str(disk))
    data = disk.read_bytes()

    for offset, length in ((0, 1), (0, SIZE), (PIECE - 1, 2), (SIZE - 5, 5), (512, 3 * PIECE)):
        assert sftp.read(offset, length) == data[offset : offset + length]
    with pytest.raises(SourceError, match=f"it ends at byte {SIZE}"):
        sftp.read(SIZE - 5, 6)
    sftp.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([SERVER, "-R"], "it cannot be opened there"),
        (["sh", "-c", "echo Permission denied >&2; exit 255"], "Permission denied"),
        (["sh", "-c", "echo Welcome to this old host, dear visitor"], "speaks no SFTP"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        Sftp(words, str(tmp_path / "gone"))


def test_a_connection_that_ends_gives_no_bytes(disk: Path) -> None:
    sftp = Sftp([SERVER, "-R"], str(disk))

    sftp.close()

    with pytest.raises(SourceError, match="the connection ended"):
        sftp.read(0, SIZE)


@pytest.fixture
def lent(disk: Path, tmp_path: Path) -> Iterator[str]:
    """Give the address at which the disk is lent."""
    place = tmp_path / "lend"
    words = ["--socket", f"{place}.sock", "--pid-file", f"{place}.pid", "--size", str(SIZE)]
    argv = [sys.executable, "-m", "releve.blocks.lend", *words, "--file", str(disk), "--", SERVER]
    subprocess.run([*argv, "-R"], env={"PYTHONPATH": str(SCRIPTS)}, timeout=30, check=True)
    yield f"nbd+unix:///?socket={place}.sock"
    subprocess.run(["kill", Path(f"{place}.pid").read_text().strip()], check=True)


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="no qemu-img (qemu-utils)")
def test_qemu_reads_what_is_lent_and_cannot_write_it(lent: str, disk: Path, tmp_path: Path) -> None:
    before, out = disk.read_bytes(), tmp_path / "out"

    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "raw", lent, out], timeout=60, check=True
    )
    written = subprocess.run(
        ["qemu-io", "-f", "raw", "-c", "write 0 512", lent],
        timeout=60, check=False, capture_output=True,
    )  # fmt: skip

    assert out.read_bytes()[:SIZE] == before
    assert b"Permission denied" in written.stderr
    assert disk.read_bytes() == before


def test_a_disk_that_is_shorter_than_its_host_said_is_not_lent(disk: Path, tmp_path: Path) -> None:
    place = tmp_path / "lend"
    words = ["--socket", f"{place}.sock", "--pid-file", f"{place}.pid", "--size", str(SIZE + 512)]
    argv = [sys.executable, "-m", "releve.blocks.lend", *words, "--file", str(disk), "--", SERVER]

    done = subprocess.run(
        [*argv, "-R"], env={"PYTHONPATH": str(SCRIPTS)}, timeout=30, check=False,
        capture_output=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert f"{disk}: it ends at byte".encode() in done.stderr
