"""Level 1 of the power drill: every host's own NUT fires, and nothing is left of it.

What is played and how is in `releve.power.shadow`, which runs on each host; here its documents
become evidence.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from releve.command import CommandError
from releve.errors import CheckError, ExitCode, LaterError, RefusedError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping

    from releve.drills.evidence import Evidence

UNREACHED = 255  # ssh's own code
SECONDS = 400  # both turns, each with its own limit
KINDS = {
    "notified": "NOTIFYCMD is told that the mains are lost",
    "on-battery": "upsmon sees the loss of the mains",
    "timer-started": "the timer starts",
    "timer-cancelled": "the timer is cancelled: the mains are back",
    "timer-over": "the timer has run out",
    "script": "CMDSCRIPT is called",
    "low-battery": "upsmon sees the low battery",
    "policy": "the policy tells every tier to stop",
    "stand-in": "its server is played",
    "secured": "upsmon speaks TLS with its server",
    "fsd": "the shutdown is decided",
    "shutdown": "SHUTDOWNCMD is called, as a recorder",
    "flag": "the kill-power flag is written, in the drill's own memory",
}
TURNS = {"low": "low battery", "timer": "time on battery is over"}


class Host(Protocol):
    """A host with NUT, as level 1 asks it."""

    def carry(self, *words: str, timeout: float = ...) -> subprocess.CompletedProcess[str]:
        """Run a verb of the power programs there."""


def drill(
    followed: Mapping[str, str],
    hosts: Mapping[str, Host],
    evidence: Evidence,
    tell: Callable[[str], None],
) -> None:
    """Play the cut on all hosts at once; raises LaterError, RefusedError as a host says it.

    `followed`: host -> the UPS that its upsmon follows, a virtual one in mode policy.
    """
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        plays = {name: pool.submit(document_of, name, host, followed[name])
                 for name, host in hosts.items()}  # fmt: skip
    for name, play in plays.items():
        try:
            document = play.result()
        except (CommandError, CheckError) as error:
            evidence.check(f"{name}.shadow", passed=False, note=str(error))
            continue
        judge(name, document, evidence)
        tell(f"{name}: " + "; ".join(_told(turn) for turn in document["runs"]))


def document_of(name: str, host: Host, ups: str) -> dict[str, Any]:
    """Run the shadow on one host; returns its document.

    Raises LaterError or RefusedError when the host is in the middle of something, CheckError when
    it said nothing that can be read.
    """
    done = host.carry("shadow", "--ups", ups, timeout=SECONDS)
    said = (done.stderr.strip() or "no answer").splitlines()[-1]
    if done.returncode == UNREACHED:
        message = f"{name}: ssh does not reach it: {said}"
        raise CheckError(message)
    if done.returncode == ExitCode.LATER:
        raise LaterError(said)
    if done.returncode == ExitCode.REFUSED:
        raise RefusedError(said)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        message = f"{name}: the shadow ended with {done.returncode}: {said}"
        raise CheckError(message) from error
    return document


def judge(name: str, document: Mapping[str, Any], evidence: Evidence) -> None:
    """Write the checks and the timeline of one host."""
    for turn in document["runs"]:
        fired = _first(turn, "shutdown")
        evidence.check(
            f"{name}.fires-on-{turn['trigger']}",
            turn["failed"] is None and fired is not None,
            fired["seconds"] if fired else None,
            unit="s",
            note=turn["failed"] or f"after the loss of the mains; {TURNS[turn['trigger']]}",
        )
        for event in turn["events"]:
            if event["kind"] in KINDS:
                evidence.event(name, KINDS[event["kind"]], event["at"])
    configured = document["configured"]
    evidence.check(
        f"{name}.command",
        bool(configured["argv"]) and configured["runs"],
        " ".join(configured["argv"]),
        note="what SHUTDOWNCMD would have called",
    )
    turns = [f"{turn['trigger']}: {turn['failed']}" for turn in document["runs"]]
    others = [fault for fault in document["faults"] if fault not in turns]
    evidence.check(f"{name}.configuration", not others, note="; ".join(others))
    after = document["after"]
    same = f"{len(after['processes'])} services and {len(after['files'])} files are as before"
    evidence.check(
        f"{name}.nothing-left", not document["left"], note="; ".join(document["left"]) or same
    )


def _first(turn: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    return next((event for event in turn["events"] if event["kind"] == kind), None)


def _told(turn: Mapping[str, Any]) -> str:
    fired = _first(turn, "shutdown")
    if turn["failed"] or fired is None:
        return f"{TURNS[turn['trigger']]}: {turn['failed']}"
    return f"{TURNS[turn['trigger']]}: would stop after {fired['seconds']:g} s"
