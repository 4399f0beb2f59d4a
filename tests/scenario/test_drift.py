"""A change by hand is told, and undone by the next run, which changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scenario import watch
from tests.scenario.stage import TOWN, changes, do, provision

if TYPE_CHECKING:
    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab

FILE = "/etc/nut/upsmon.conf"


@pytest.fixture
def protected(lab: Lab) -> None:
    """Let the site be guarded: the power cuts do it, where they are run."""
    provision(lab)
    if lab.console("nas", ["systemctl", "is-active", "nut-monitor"], check=False).returncode != 0:
        do(lab, "ansible-playbook", "-i", TOWN, "playbooks/power.yml")


@pytest.mark.usefixtures("protected")
def test_a_second_run_of_the_whole_site_changes_what_was_changed_by_hand_alone(lab: Lab) -> None:
    before = watch.console(lab, "nas", f"cat {FILE}")
    watch.console(lab, "nas", f"echo '# by hand' >> {FILE}")

    assert "nas" in do(lab, "releve", "drift", code=4)
    said = do(lab, "ansible-playbook", "-i", TOWN, "playbooks/site.yml")

    assert changes(said) == [
        ("nas", "nut_secondary : configure | Write the monitor"),
        ("nas", "nut_secondary : Restart the client's monitor"),
    ]
    assert watch.console(lab, "nas", f"cat {FILE}") == before
