"""What Ansible told becomes what differs, and a failure names its task and its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from releve.errors import ReleveError
from releve.playbook import Difference, outcome, play
from releve.town.load import load_town

LAB = Path(__file__).parents[2] / "inventory" / "lab"


def told(*results: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """Return Ansible's JSON of a run with these results."""
    tasks = [{"task": {"name": task}, "hosts": {host: result}} for host, task, result in results]
    return {"plays": [{"tasks": tasks}]}


def test_only_what_changes_differs() -> None:
    run = told(("pve1", "a", {"changed": False}), ("pve1", "b", {"changed": True}))

    found = outcome("provision", run, 0)

    assert (found.tasks, found.differences) == (2, (Difference("pve1", "b", ()),))


def test_a_file_is_shown_as_its_lines() -> None:
    diff = {"before": "a\nb\n", "after": "a\nc\n", "after_header": "/etc/x"}

    found = outcome("provision", told(("pve1", "t", {"changed": True, "diff": [diff]})), 0)

    assert found.differences[0].lines == ("/etc/x", "@@ -1,2 +1,2 @@", " a", "-b", "+c")


def test_items_of_a_loop_are_shown() -> None:
    item = {"changed": True, "diff": {"before": {"state": "absent"}, "after": {"state": "file"}}}
    quiet = {"changed": False, "diff": {"before": "x", "after": "y"}}
    run = told(("pve1", "t", {"changed": True, "results": [item, quiet]}))

    lines = outcome("provision", run, 0).differences[0].lines

    assert any('+ "state": "file"' in line for line in lines)
    assert not any(line.strip("+") == "y" for line in lines)


def test_the_last_failure_gives_the_reason() -> None:
    run = told(
        ("nas", "gate | Wait", {"failed": True, "msg": ""}),
        ("nas", "gate | Say", {"failed": True, "msg": "nas is not\nlogged in"}),
    )

    with pytest.raises(ReleveError, match=r"power\.yml: nas: gate \| Say: nas is not logged in"):
        outcome("power", run, 2)


def test_what_a_rescue_mended_is_no_failure() -> None:
    run = told(("nas", "look", {"failed": True, "msg": "no"}), ("nas", "mend", {"changed": True}))

    assert [one.task for one in outcome("power", run, 0).differences] == ["mend"]


@pytest.mark.slow
def test_callbacks_of_a_persons_own_leave_the_json_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that times the tasks writes behind it."""
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "profile_tasks")
    (tmp_path / "one.yml").write_text(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n"
        "  tasks: [{name: see, ansible.builtin.debug: {}}]\n"
    )

    found = play(load_town(LAB), str(tmp_path / "one"))

    assert (found.tasks, found.differences) == (1, ())
