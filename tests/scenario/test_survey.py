"""The survey reads the old host as it is, and the host does not notice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from releve.command import run
from releve.lab.run import environment

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
STATE = """
for name in compta dossiers; do
  virsh dumpxml --inactive $name; virsh domstate $name; virsh dominfo $name | grep Autostart
done
find /etc /root -type f -exec sha256sum {} + | sort
dpkg-query -W
ls -l /root /tmp /var/lib/libvirt/images | grep -v '^total'
"""


def survey(lab: Lab, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the survey in a folder of its own, at the workstation's place."""
    releve = lab.root / ".venv" / "bin" / "releve"
    argv = lab.workstation([str(releve), "survey", "old", "-i", str(lab.town.folder)])
    return run(argv, timeout=300, check=False, env=environment(lab), cwd=str(folder))


def failed(folder: Path) -> set[str]:
    evidence: Any = json.loads((folder / "build/evidence/survey.json").read_text())
    return {check["id"] for check in evidence["checks"] if not check["passed"]}


def test_the_old_host_is_as_the_town_file_says_and_stays_so(lab: Lab, tmp_path: Path) -> None:
    before = lab.console("old", ["sh", "-c", STATE]).stdout
    done = survey(lab, tmp_path)
    after = lab.console("old", ["sh", "-c", STATE]).stdout

    assert done.returncode == 0, done.stdout + done.stderr
    assert failed(tmp_path) == set()
    # The images grow while the guests work: their sizes are not the survey's doing.
    assert without_images(after) == without_images(before)


def without_images(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.endswith((".raw", ".qcow2"))]


@pytest.fixture
def compta_not_started_by_itself(lab: Lab) -> Iterator[None]:
    """Let the old host differ from the town file in one thing."""
    lab.console("old", ["virsh", "autostart", "--disable", "compta"])
    yield
    lab.console("old", ["virsh", "autostart", "compta"])


@pytest.mark.usefixtures("compta_not_started_by_itself")
def test_a_difference_is_named_and_ends_with_3(lab: Lab, tmp_path: Path) -> None:
    done = survey(lab, tmp_path)

    assert done.returncode == 3, done.stdout + done.stderr
    assert "guests.compta.autostart: the town file says True, old says False" in done.stdout
    assert failed(tmp_path) == {"town-equal"}
    assert "autostart: false" in (tmp_path / "build/survey/old.yml").read_text()
