"""The drill of the new server: a second run changes nothing, and a change by hand is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.drills.evidence import Evidence
from releve.playbook import Outcome, play, variables
from releve.pve.client import Address, Pve
from releve.pve.objects import MIGRATE_ROLE, objects_of
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.town import Town

PLAYBOOK = "provision"
# Both are harmless while they last: sshd is not reloaded, and no migration runs meanwhile.
FILE = "/etc/ssh/sshd_config.d/10-releve.conf"
LINE = "PasswordAuthentication yes"


def run(town: Town, folder: Path, tell: Callable[[str], None]) -> Evidence:
    """Set the town's hosts up and return the evidence; `tell` gets a line for each step."""
    node = next(iter(town.hosts_of("node")))
    with Evidence(PLAYBOOK, folder) as evidence:

        def step(what: str, *, check: bool = False) -> Outcome:
            tell(what)
            evidence.event(node, what)
            return play(town, PLAYBOOK, check=check)

        first = step("first run")
        evidence.event(node, f"{len(first.differences)} changes")
        second = step("second run")
        evidence.check(
            "second-run",
            not second.differences,
            len(second.differences),
            limit=0,
            note=_named(second),
        )
        tell("change by hand")
        path = _change_by_hand(town, node)
        evidence.event(node, f"changed by hand: {FILE}, rights on {path}")
        seen = step("compare", check=True)
        text = "\n".join(line for one in seen.differences for line in one.lines)
        evidence.check("drift-seen", LINE in text and path in text, note=_named(seen))
        step("third run")
        gone = step("compare again", check=True)
        evidence.check("drift-gone", not gone.differences, note=_named(gone))
    return evidence


def _change_by_hand(town: Town, node: str) -> str:
    """Do what a tired administrator does: edit a file, take rights away; return their path."""
    Ssh.to(town, node).run(f"echo '{LINE}' >> {FILE}")
    entry = next(iter(objects_of(town, node)["acl"]))
    path, _, who = entry.rpartition(" ")
    pve = Pve.with_password(Address.of(town, node), str(variables(town, node)["pve_api_password"]))
    side = {"tokens" if "!" in who else "users": who}
    pve.ask("PUT", "/access/acl", {"path": path, "roles": MIGRATE_ROLE, "delete": 1, **side})
    return path


def _named(outcome: Outcome) -> str:
    return ", ".join(f"{one.host}: {one.task}" for one in outcome.differences)
