"""Ansible reads the town file, and a wrong one lets no play reach any host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOWN = ROOT / "inventory" / "lab" / "town.yml"
BIN = Path(sys.executable).parent
PLAY = """---
- name: Leave a mark for every host
  hosts: all
  gather_facts: false
  tasks:
    - name: Write the mark
      ansible.builtin.command:
        argv: [touch, "{{ mark_folder }}/{{ inventory_hostname }}"]
        creates: "{{ mark_folder }}/{{ inventory_hostname }}"
"""


def ansible(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs with the project's configuration."""
    env = dict(
        os.environ, PATH=f"{BIN}:{os.environ['PATH']}", ANSIBLE_CONFIG=str(ROOT / "ansible.cfg")
    )
    return subprocess.run(
        [str(BIN / program), *words],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def play(tmp_path: Path, town: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the marking play over a town file, locally; return the run and the hosts it reached."""
    (tmp_path / "town.yml").write_text(town)
    (tmp_path / "play.yml").write_text(PLAY)
    marks = tmp_path / "marks"
    marks.mkdir()
    done = ansible(
        "ansible-playbook", "-i", str(tmp_path / "town.yml"), str(tmp_path / "play.yml"),
        "-e", f"mark_folder={marks} ansible_connection=local",
        "-e", f"ansible_python_interpreter={sys.executable}",
    )  # fmt: skip
    return done, {mark.name for mark in marks.iterdir()}


def test_a_right_file_reaches_every_host(tmp_path: Path) -> None:
    done, reached = play(tmp_path, TOWN.read_text())

    assert (done.returncode, reached) == (0, {"old", "pve1", "nas", "vault"}), done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: bay", "kind: bya"),
        ("    address: 198.51.100.12\n", ""),
        ("hosts:", "hosts: ["),
        ("plugin: releve_town\n", ""),
    ],
    ids=["wrong-word", "missing-key", "not-yaml", "taken-for-a-plain-inventory"],
)
def test_one_bad_host_among_four_stops_the_play_for_all(tmp_path: Path, old: str, new: str) -> None:
    assert old in TOWN.read_text()

    done, reached = play(tmp_path, TOWN.read_text().replace(old, new, 1))

    assert done.returncode != 0
    assert reached == set()
    assert "town.yml:" in done.stdout + done.stderr


def test_old_hosts_are_in_no_group_that_a_play_uses() -> None:
    listed = json.loads(ansible("ansible-inventory", "-i", str(TOWN), "--list").stdout)

    assert [name for name, group in listed.items() if "old" in group.get("hosts", [])] == [
        "old_hosts"
    ]
