"""The old host at its end: frozen, its guests retired by their names, its disks wiped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.scenario import watch
from tests.scenario.beside import Beside
from tests.scenario.stage import GUESTS, ROOT, do, provision

from releve.migrate.status import status

if TYPE_CHECKING:
    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
IMAGES = "/var/lib/libvirt/images"
RECORDS = ROOT / "build/migrate/old.wiped.jsonl"
TIMER = "dnf-automatic.timer"  # one of those that are frozen; the lab's old host has none
HAS_TIMER = f"""
cd /usr/lib/systemd/system
printf '[Timer]\\nOnCalendar=yearly\\n[Install]\\nWantedBy=timers.target\\n' > {TIMER}
printf '[Service]\\nExecStart=/bin/true\\n' > {TIMER.removesuffix("timer")}service
systemctl daemon-reload
systemctl enable --now --quiet {TIMER}
"""
ASK = f"systemctl is-enabled {TIMER}; systemctl is-active {TIMER}; true"


@pytest.fixture(scope="module")
def town(lab: Lab) -> Beside:
    """Give the lab's town, where a soak lasts no time."""
    away = [guest for guest in GUESTS if status(guest)["stage"] not in {"audited", "retired"}]
    if away:
        provision(lab)
        do(lab, "releve", "migrate", "run", *away)
    return Beside.of(lab, "retired", {"migrate": {"soak_days": 0}})


def deploy(lab: Lab, town: Beside, name: str, *data: str, code: int = 0) -> str:
    """Let pyinfra do one of our deploys at the old host."""
    words = ["pyinfra", "-y", "--limit", "old", "pyinfra_deploys/inventory.py"]
    words += [f"pyinfra_deploys/{name}.py", *(w for one in data for w in ("--data", one))]
    return do(lab, *words, code=code, RELEVE_INVENTORY=str(town.folder))


def test_a_frozen_host_upgrades_nothing_until_it_is_thawed(lab: Lab, town: Beside) -> None:
    watch.console(lab, "old", HAS_TIMER)
    ask = f"set +e; {ASK}"

    deploy(lab, town, "freeze_old_host")
    frozen = watch.console(lab, "old", ask).split()
    deploy(lab, town, "freeze_old_host", "frozen=no")

    assert frozen == ["masked-runtime", "inactive"]
    assert watch.console(lab, "old", ask).split() == ["enabled", "active"]


def test_nothing_is_wiped_without_a_name_or_while_there_is_a_way_back(
    lab: Lab, town: Beside
) -> None:
    before = watch.console(lab, "old", f"sha256sum {IMAGES}/*")

    assert "nothing was wiped" in deploy(lab, town, "retire_old_host", code=5)
    said = deploy(lab, town, "retire_old_host", "confirm=old", code=5)

    assert "compta is audited, not retired" in said
    assert watch.console(lab, "old", f"sha256sum {IMAGES}/*") == before


def test_what_retired_guests_left_is_wiped_with_a_record_and_nothing_else(
    lab: Lab, town: Beside
) -> None:
    watch.console(lab, "old", f"echo theirs > {IMAGES}/stranger.raw")
    retire = ("releve", "migrate", "retire")
    do(lab, *retire, "compta", code=5, answer="compta\n")  # the lab's soak is not over
    folder = str(town.folder)
    do(lab, *retire, "compta", code=5, answer="dossiers\n", RELEVE_INVENTORY=folder)
    for guest in GUESTS:
        do(lab, *retire, guest, answer=f"{guest}\n", RELEVE_INVENTORY=folder)

    deploy(lab, town, "retire_old_host", "confirm=old")

    left = watch.console(lab, "old", f"ls {IMAGES}").split()
    assert {"compta.moved-by-releve.xml", "stranger.raw"} <= set(left)
    assert not {"compta.raw", "dossiers.qcow2"} & set(left)
    records = [json.loads(line) for line in RECORDS.read_text().splitlines()]
    assert [one["guest"] for one in records] == list(GUESTS)
    for one in records:
        assert one["bytes"] > 0
        assert {"serial", "method", "at"} <= one.keys()
    assert "no way back" in do(lab, "releve", "migrate", "rollback", "compta", code=5)
    assert all(lab.ask(guest).whole for guest in GUESTS)
