"""Whatever stage a run was stopped at, one command brings the guest back, and nobody meets twice.

The way back from a half copy is in test_migrate_crash, from what is held or stands at a shut gate
in test_town_hall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scenario import watch
from tests.scenario.move import left
from tests.scenario.stage import await_newer, do, provision

from releve.migrate.status import status

if TYPE_CHECKING:
    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
LOOK = "virsh dumpxml --inactive --security-info compta; ls -R /etc/libvirt/qemu"


@pytest.fixture(scope="module", autouse=True)
def ready(lab: Lab) -> None:
    """Let the node be set up."""
    provision(lab)
    await_newer(lab, "compta")


@pytest.mark.parametrize(
    ("last", "stage", "starts"),
    [
        ("seeded", "seeded", 0),
        ("guest-off", "cutover", 1),
        ("verified", "verified", 1),
        ("moved", "moved", 1),
        ("audited", "audited", 1),
    ],
)
def test_a_run_that_dies_at_a_stage_is_rolled_back(
    lab: Lab, last: str, stage: str, starts: int
) -> None:
    """`last` is what it noted last; the guest starts so often at its source."""
    before, defined = lab.ask("compta"), watch.console(lab, "old", LOOK)
    with watch.Asking(lab, "compta") as asking:
        do(lab, "releve", "migrate", "run", "compta", code=None, RELEVE_FAULT=f"kill-after-{last}")
        assert status("compta")["stage"] == stage

        said = do(lab, "releve", "migrate", "rollback", "compta", "--yes")

        await_newer(lab, "compta")
        asking.hear("old", 1)
        ports = [port for port, _ in watch.spells(asking.heard())]
    worked = stage in {"moved", "audited"}
    assert ports == (["old", "pve1", "old"] if worked else ["old"])
    assert ("will be lost" if worked else "no write is lost") in said
    after = lab.ask("compta")
    assert after.whole
    assert after.newest > before.newest
    assert (after.boots, after.unclean) == (before.boots + starts, before.unclean)
    assert watch.console(lab, "old", LOOK) == defined
    assert left(lab) == ""
    assert lab.console("pve1", ["pgrep", "-c", "qemu-system"], check=False).stdout == "0\n"


def test_a_rollback_that_dies_is_ended_by_the_next_one(lab: Lab) -> None:
    """It dies when the target is off and the source is not yet on."""
    before = lab.ask("compta")
    do(lab, "releve", "migrate", "run", "compta", "--hold")
    words = ("releve", "migrate", "rollback", "compta", "--yes")
    do(lab, *words, code=None, RELEVE_FAULT="kill-after-target-stopped")
    refused = do(lab, "releve", "migrate", "run", "compta", code=5)
    assert "a rollback was begun and did not end" in refused

    do(lab, *words)

    await_newer(lab, "compta")
    after = lab.ask("compta")
    assert (after.boots, after.whole) == (before.boots + 1, True)
