"""What a lab's host keeps of Ansible's modules is never other code than the one that was sent."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from releve.lab.hosts import COMPILED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="nobody but root keeps any")
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
import compiled_modules
compiled_modules.FOLDER = sys.argv[3]
compiled = []
real = compiled_modules._compile
compiled_modules._compile = lambda path, source: (compiled.append(path), real(path, source))[1]
import payload
print(payload.WORD, len(compiled))
"""


def run_module(folder: Path, word: str) -> str:
    """Import a word from an archive as Ansible sends it; say it, and how often it was compiled."""
    archive = folder / f"ansible_x_payload_{word}" / "ansible_x.zip"
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("payload.py", f"WORD = {word!r}\n")
    argv = [sys.executable, "-B", "-c", PROGRAM, str(archive), str(COMPILED.parent)]
    done = subprocess.run(
        [*argv, str(folder / "kept")], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_module_is_compiled_once(tmp_path: Path) -> None:
    assert [run_module(tmp_path, "one") for _time in range(2)] == ["one 1", "one 0"]


def test_another_source_is_other_code(tmp_path: Path) -> None:
    assert [run_module(tmp_path, word) for word in ("one", "two", "one")] == [
        "one 1",
        "two 1",
        "one 0",
    ]


@pytest.mark.parametrize("content", [b"", b"\xe3\0\0", b"not marshal's"])
def test_what_a_power_cut_has_torn_is_compiled_again(tmp_path: Path, content: bytes) -> None:
    run_module(tmp_path, "one")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(content)

    assert [run_module(tmp_path, "one") for _time in range(2)] == ["one 1", "one 0"]


def test_a_host_that_can_keep_nothing_runs_it_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")

    each = [run_module(tmp_path, "one").split() for _time in range(2)]

    assert [word for word, _compiled in each] == ["one", "one"]
    assert "0" not in {compiled for _word, compiled in each}
