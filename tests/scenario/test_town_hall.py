"""The town hall is taken over, stage by stage; each seeded fault is found by its name.

The tests of this file are one story and run in its order: what a stage leaves, the next one needs.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.scenario import watch
from tests.scenario.stage import (
    GUESTS,
    ROOT,
    VOLUME_PATIENCE,
    await_newer,
    do,
    evidence,
    failed,
    provision,
)

from releve.migrate.status import status

if TYPE_CHECKING:
    from pathlib import Path

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab


class TestProvision:
    def test_hosts_are_set_up_and_a_change_by_hand_is_found_and_undone(self, lab: Lab) -> None:
        do(lab, "releve", "drill", "provision")

        assert failed("provision") == set()


@pytest.fixture(scope="class")
def provisioned(lab: Lab) -> None:
    """Let the node be set up: TestProvision does it, where it is run."""
    provision(lab)


@pytest.mark.usefixtures("provisioned")
class TestMigrate:
    def test_a_guest_that_ignores_the_power_button_goes_on_where_it_is(self, lab: Lab) -> None:
        lab.deafen("compta")

        do(lab, "releve", "migrate", "run", "compta", code=None)

        assert "compta.power-off" in failed("migrate")
        await_newer(lab, "compta")
        lab.console("old", ["virsh", "reset", "compta"])
        lab.ask("compta", VOLUME_PATIENCE)

    def test_a_flipped_byte_on_the_target_is_found(self, lab: Lab) -> None:
        do(lab, "releve", "migrate", "run", "compta", code=None, RELEVE_FAULT="target-byte-flipped")

        assert "compta.target-equals-manifest" in failed("migrate")
        await_newer(lab, "compta")

    def test_a_fenced_guest_that_is_started_again_is_found(self, lab: Lab) -> None:
        do(
            lab,
            "releve",
            "migrate",
            "run",
            "compta",
            code=None,
            RELEVE_FAULT="source-started-again",
        )

        assert "compta.source-fenced" in failed("migrate")
        do(lab, "releve", "migrate", "rollback", "compta", "--yes")
        await_newer(lab, "compta")

    def test_a_verifier_that_lies_is_found_by_others(self, lab: Lab, tmp_path: Path) -> None:
        """With the product's verifier broken and a byte flipped, the independent eyes see it."""
        broken = tmp_path / "scripts"
        shutil.copytree(ROOT / "scripts", broken)
        break_the_verifier(broken / "releve" / "blocks")

        do(
            lab, "releve", "migrate", "run", "compta", "--hold",
            RELEVE_FAULT="target-byte-flipped", PYTHONPATH=str(broken),
        )  # fmt: skip

        assert watch.disks_differ(lab, "compta")
        do(lab, "releve", "migrate", "rollback", "compta", "--yes")
        await_newer(lab, "compta")

    def test_a_controller_killed_after_the_power_off_leaves_nobody_in_the_dark(
        self, lab: Lab
    ) -> None:
        before = lab.ask("compta")

        do(
            lab,
            "releve",
            "migrate",
            "run",
            "compta",
            code=None,
            RELEVE_FAULT="kill-after-guest-off",
        )

        assert lab.ask("compta", VOLUME_PATIENCE).boots == before.boots + 1
        assert lab.console("old", ["systemctl", "is-active", "libvirtd"]).stdout == "active\n"

    def test_a_change_of_mind_restores_the_very_definition(self, lab: Lab) -> None:
        """The first gate stays shut after the target served writes: it says so, and asks."""
        look = "virsh dumpxml --inactive --security-info compta; ls -R /etc/libvirt/qemu"
        before = watch.console(lab, "old", look)
        with watch.Asking(lab, "compta") as asking:
            lab.ask("compta")

            said = do(
                lab, "releve", "migrate", "run", "compta", "--on-shut-gate", "ask",
                code=1, answer="y\n", RELEVE_FAULT="health-gate-shut",
            )  # fmt: skip

            await_newer(lab, "compta")
            asking.hear("old", 5)
            spells = watch.spells(asking.heard())
        assert [port for port, _ in spells] == ["old", "pve1", "old"]
        assert min(times for _, times in spells) >= 5, spells
        lost = re.search(r"what it wrote in \d+ s on the target will be lost \((\d+) records", said)
        assert lost, said
        assert int(lost[1]) >= 3
        assert "Roll back?" in said
        assert watch.console(lab, "old", look) == before
        assert watch.console(lab, "old", "grep -c . /root/.ssh/authorized_keys") == "1\n"
        assert lab.ask("compta").whole
        assert lab.console("pve1", ["pgrep", "-c", "qemu-system"], check=False).stdout == "0\n"

    def test_whoever_says_no_stays_where_the_guest_works_now(self, lab: Lab) -> None:
        """To both who ask, the run and `rollback`; the way back stays open."""
        there = "virsh list --all --name; ls /var/lib/libvirt/images"
        said = do(
            lab, "releve", "migrate", "run", "compta", "--on-shut-gate", "ask",
            code=1, answer="n\n", RELEVE_FAULT="health-gate-shut",
        )  # fmt: skip
        assert "Roll back?" in said
        assert "compta: not rolled back" in said
        before, old = lab.ask("compta"), watch.console(lab, "old", there)
        with watch.Asking(lab, "compta") as asking:
            said = do(lab, "releve", "migrate", "rollback", "compta", code=5, answer="n\n")

            await_newer(lab, "compta")
            asking.hear("pve1", 5)
            spells = watch.spells(asking.heard())
        assert "compta: not rolled back" in said
        assert [port for port, _ in spells] == ["pve1"]
        assert status("compta")["stage"] == "started"
        assert lab.ask("compta").boots == before.boots
        assert watch.console(lab, "old", there) == old

        do(lab, "releve", "migrate", "rollback", "compta", answer="y\n")

        await_newer(lab, "compta")
        assert lab.ask("compta").whole


@pytest.fixture(scope="class")
def moved(lab: Lab) -> None:
    """Let both guests work on the node: test_migrate_crash moves them, where it is run."""
    away = [guest for guest in GUESTS if status(guest)["stage"] != "audited"]
    if away:
        do(lab, "releve", "migrate", "run", *away)


@pytest.mark.usefixtures("moved")
class TestVault:
    def test_each_guest_is_copied_and_sealed(self, lab: Lab) -> None:
        do(lab, "python", "-m", "releve.lab.vault_setup")

        do(lab, "releve", "copy", "run", "--lab")

        assert failed("copy") == set()
        for guest in GUESTS:
            assert watch.unsealed(lab, newest_copy(lab, guest)) == []

    def test_a_guest_whose_copy_was_altered_is_not_destroyed(self, lab: Lab) -> None:
        copy = newest_copy(lab, "dossiers")
        watch.alter(lab, copy)
        assert watch.unsealed(lab, copy) == []

        do(lab, "releve", "drill", "restore", "dossiers", "--lab", code=None)

        assert "dossiers.copy-as-sealed" in failed("restore")
        await_newer(lab, "dossiers")

    def test_a_destroyed_guest_comes_back(self, lab: Lab) -> None:
        held = lab.ask("compta")

        do(lab, "releve", "drill", "restore", "compta", "--lab")

        assert failed("restore") == set()
        after = watch.chain(lab, "compta")
        assert after["chain"] == "whole"
        assert after["boots"] == held.boots + 1


def test_the_report_says_what_was_proved(lab: Lab) -> None:
    do(lab, "releve", "report")

    page = (ROOT / "build/report/index.html").read_text()
    downtimes = [c for c in evidence("migrate")["checks"] if c["id"].endswith(".downtime")]
    assert downtimes
    assert f"{downtimes[0]['value']:.3g}".replace(".", ",") in page


def newest_copy(lab: Lab, guest: str) -> str:
    """Return the folder of a guest's last copy, at the vault's console."""
    listed = watch.console(lab, "vault", f"ls -d /srv/vault/copies/*/{guest}/[0-9]*").split()
    return sorted(listed)[-1]


def break_the_verifier(blocks: Path) -> None:
    """Let the mover's verification find every block right."""
    check = blocks / "check.py"
    text = check.read_text()
    assert text.count("for one in wrong:") == 1
    check.write_text(text.replace("for one in wrong:", "for one in ():"))
