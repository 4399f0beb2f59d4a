"""Destroy a guest, bring it back from the vault through a grant, and see what came back.

Nothing is destroyed before the vault itself has found the copy as it was sealed. The restored
guest is made anew from what the copy says of it, and nothing of it is booted before every block
was compared with the copy's manifest. Its chain then tells whether it is the copy: the witness
that was asked just before the freeze must be there, with the same sum.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from releve import witness
from releve.drills.evidence import Evidence
from releve.errors import CheckError, RefusedError
from releve.vault.site import CopyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.drills.copies import Console
    from releve.town import Town

PROGRAM = "/usr/local/sbin/releve-vault"
RTO_SECONDS = 4 * 3600
RPO_SECONDS = 24 * 3600
ANSWER_SECONDS = 300
BOOT_RECORD = 1
MOST_RECORDS = 20_000
"""Between the witness and the end of the copy: a freeze takes seconds, 10 records come in each."""


class Node(Protocol):
    """Where guests are destroyed and made: Proxmox VE, or what stands for it in tests."""

    def destroy(self, vmid: int) -> None:
        """Cut a guest's power and remove it with its volumes; one that is gone is no fault."""

    def make(self, vmid: int, said: dict[str, Any], sizes: dict[str, int]) -> dict[str, str]:
        """Make a guest from what a copy says of it, its volumes empty and not attached yet.

        `sizes` are those of the copy's disks; returns their volumes' paths on the node.
        """

    def attach(self, vmid: int) -> None:
        """Give the guest the volumes that `make` made."""

    def start(self, vmid: int) -> None:
        """Start it."""


class Copies(Protocol):
    """The sender on the node (`SenderHost`)."""

    def copies(self) -> dict[str, list[dict[str, Any]]]:
        """Return guest -> what the vault answered to each copy, oldest first."""

    def peek(self) -> dict[str, Any]:
        """Return what the granted copy says of itself; raises CopyError without a grant."""

    def fetch(self, targets: dict[str, str], number: int) -> dict[str, Any]:
        """Write the granted copy into volumes and return what was found."""


@dataclass(frozen=True, slots=True)
class RestoreDrill:
    """One guest, its node, its sender there, and the vault's console."""

    town: Town
    name: str
    node: Node
    sender: Copies
    console: Console
    say: Callable[[str], None]

    def run(self, folder: Path) -> Evidence:
        """Destroy and restore; write the evidence. Raises RefusedError when no copy is known."""
        told = self.sender.copies().get(self.name, [])
        if not told:
            message = f"{self.name}: no copy of it was ever brought: releve copy run {self.name}"
            raise RefusedError(message)
        before = self._ask(5)
        with Evidence("restore", folder) as evidence:
            self._run(evidence, told[-1], before)
        return evidence

    def _run(self, evidence: Evidence, told: dict[str, Any], before: witness.Status) -> None:
        vmid = self.town.guests[self.name].vmid
        self._verify_at_vault(evidence, int(told["copy"]))
        self.say(f"{self.name}: destroying guest {vmid}")
        begun = time.monotonic()
        self.node.destroy(vmid)
        evidence.event(self.name, "guest destroyed")
        ticket = self._grant(evidence)
        try:
            self._bring_back(evidence, told, vmid)
        finally:
            self.console.run([PROGRAM, "revoke", ticket])
            evidence.event(self.town_vault, "grant revoked")
        self.node.attach(vmid)
        self.node.start(vmid)
        evidence.event(self.name, "guest started from its copy")
        after = self._ask(ANSWER_SECONDS)
        seconds = time.monotonic() - begun
        evidence.event(self.name, "guest answers")
        self.say(f"{self.name}: answers again after {seconds:.1f} s")
        self._compare(evidence, told, before, after)
        self._check(
            evidence,
            "rto",
            passed=seconds <= RTO_SECONDS,
            value=round(seconds, 1),
            unit="s",
            limit=RTO_SECONDS,
        )
        self._see_grant_ended(evidence)

    @property
    def town_vault(self) -> str:
        """The vault's name."""
        assert self.town.vault is not None  # noqa: S101  # the caller looked
        return self.town.vault.host

    def _verify_at_vault(self, evidence: Evidence, number: int) -> None:
        """Let the vault compare the copy with its manifest; raises CheckError when it differs."""
        self.say(f"{self.name}: comparing copy {number} with its manifest, at the vault")
        of = f"{self.town.guests[self.name].target}/{self.name}"
        code, said = self.console.run([PROGRAM, "verify", of, str(number)], check=False)
        note = " ".join(said.split())[-300:]
        self._check(evidence, "copy-as-sealed", passed=code == 0, value=number, note=note)
        if code != 0:
            message = (
                f"{self.name}: copy {number} is not as it was sealed, so the guest was not"
                f" destroyed: {note}"
            )
            raise CheckError(message)

    def _grant(self, evidence: Evidence) -> str:
        node = self.town.guests[self.name].target
        words = ["grant", f"{node}/{self.name}", "--to", node, "--hours", "1"]
        ticket = self.console.run([PROGRAM, *words])[1].split()[0]
        evidence.event(self.town_vault, "grant opened at the console")
        return ticket

    def _bring_back(self, evidence: Evidence, told: dict[str, Any], vmid: int) -> None:
        """Fill fresh volumes from the copy; raises CheckError before anything could boot."""
        peeked = self.sender.peek()
        sizes = {disk["name"]: int(disk["size"]) for disk in peeked["disks"]}
        targets = self.node.make(vmid, peeked["files"], sizes)
        self.say(f"{self.name}: bringing copy {told['copy']} back")
        came = self.sender.fetch(targets, int(told["copy"]))
        evidence.event(self.name, "copy arrived")
        whole = not came["faults"]
        note = "; ".join(came["faults"]) or "every block, and the text files"
        self._check(
            evidence, "copy-equals-manifest", passed=whole, value=came["bytes"], unit="B", note=note
        )
        same = came["facts"].get("disks") == told["disks"]
        self._check(
            evidence,
            "copy-as-told",
            passed=same,
            value=int(told["copy"]),
            note="the roots that the sender was told when it brought the copy",
        )
        self._check(
            evidence,
            "target-equals-manifest",
            passed=whole and bool(came["written"]),
            note="read back from the disk",
        )
        if not (whole and same and came["written"]):
            message = f"{self.name}: what came back is not the copy; it was not booted: {note}"
            raise CheckError(message)

    def _compare(
        self,
        evidence: Evidence,
        told: dict[str, Any],
        before: witness.Status,
        after: witness.Status,
    ) -> None:
        self._check(evidence, "chain-whole", passed=after.whole, value=after.chain)
        held = told["witness"]
        found = self._record(held["record"]) if held else None
        equal = found is not None and found.sum == held["sum"] and after.newest >= held["record"]
        self._check(
            evidence,
            "chain-equal",
            passed=equal,
            value=held["record"] if held else None,
            note="record asked just before the freeze, with the same sum",
        )
        last = self._last_of_copy(held["record"]) if equal else None
        lost = (before.ms - last.ms) / 1000 if last else None
        self._check(
            evidence,
            "rpo",
            passed=lost is not None and lost <= RPO_SECONDS,
            value=None if lost is None else round(lost, 3),
            unit="s",
            limit=RPO_SECONDS,
            note="" if last is None else f"newest record {before.newest}, restored {last.n}",
        )

    def _last_of_copy(self, first: int) -> witness.Record | None:
        """Return the last record before the boot from the copy."""
        last = None
        for number in range(first, first + MOST_RECORDS):
            one = self._record(number)
            if one is None or (one.kind == BOOT_RECORD and number > first):
                return last
            last = one
        return None

    def _see_grant_ended(self, evidence: Evidence) -> None:
        try:
            self.sender.peek()
        except CopyError as error:
            self._check(evidence, "grant-ended", passed=True, note=str(error)[-160:])
        else:
            self._check(evidence, "grant-ended", passed=False, note="the copy can still be read")

    def _check(
        self,
        evidence: Evidence,
        id_: str,
        *,
        passed: bool,
        value: str | float | None = None,
        unit: str = "",
        limit: float | None = None,
        note: str = "",
    ) -> None:
        evidence.check(f"{self.name}.{id_}", passed, value, unit=unit, limit=limit, note=note)

    def _place(self) -> tuple[str, int]:
        guest = self.town.guests[self.name]
        address = next((str(nic.address) for nic in guest.nics if nic.address), None)
        if guest.witness is None or address is None:
            message = f"{self.name}: it has no witness, so nobody could tell what came back"
            raise RefusedError(message)
        return address, guest.witness.port

    def _ask(self, seconds: float) -> witness.Status:
        return witness.await_answer(*self._place(), seconds)

    def _record(self, number: int) -> witness.Record | None:
        return witness.record(*self._place(), number)
