"""What is known of the town's UPSes and their batteries, as evidence `batteries`.

Asked of each UPS's host (`power.pyz state`). What nobody knows becomes no check at all: a check
that passes proves something.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from releve.drills.evidence import COMMISSIONING, Evidence
from releve.errors import ReleveError
from releve.power.at_host import SshHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from releve.power.at_host import Host
    from releve.town.model import Town

NAME = "batteries"
MEASURED = "measured"
LINK = ("lost-contact", "frozen", "no-proof")  # alarms that say that nobody would see a cut


def gather(town: Town, upses: Iterable[str], folder: Path, tell: Callable[[str], None]) -> Evidence:
    """Ask the hosts of these UPSes, write the evidence; who does not answer is a failed check."""
    names = list(upses)
    hosts = dict.fromkeys(town.ups[name].host for name in names)
    with Evidence(NAME, folder) as evidence:
        for host in hosts:
            mine = [name for name in names if town.ups[name].host == host]
            tell(f"{host}: {', '.join(mine)}")
            judge(town, host, mine, SshHost.of(town, mine[0]), evidence)
    return evidence


def judge(town: Town, host: str, names: list[str], shell: Host, evidence: Evidence) -> None:
    """Note what one host says of its UPSes."""
    try:
        told: dict[str, Any] = shell.call("state")
    except ReleveError as error:
        evidence.check(f"{host}.host-answers", passed=False, note=str(error))
        return
    for name in names:
        state = told["upses"].get(name)
        if state is None:
            note = "it is not watched there: apply playbooks/power.yml"
            evidence.check(f"{name}.link", passed=False, note=note)
            continue
        _measured(name, state, evidence)
        _tests(name, state, evidence)
        _life(name, state, told["at"], evidence)
    _stop(town, host, told["stop"], evidence)
    _alarms(host, told["alarms"], evidence)


def _measured(name: str, state: dict[str, Any], evidence: Evidence) -> None:
    record = state["record"]
    capacity = record["capacity_seconds"] if record else None
    value = COMMISSIONING if capacity is None else MEASURED
    evidence.check(f"{name}.state", passed=True, value=value)
    if state["rung"] is not None:
        note = "; ".join(state["warnings"])
        evidence.check(f"{name}.rung", state["rung"] != "refuse", state["rung"], note=note)
        decides = "own-thresholds" if state["own_thresholds"] else "own-word"
        evidence.check(f"{name}.decides", passed=True, value=decides)
    if state["timer"] is not None:
        evidence.check(f"{name}.timer", passed=True, value=state["timer"], unit="s")
    if record:
        evidence.check(f"{name}.measured-on", passed=True, value=record["on"])
        cuts = [one for one in record["history"] if one["how"] in {"plug-pull", "drill"}]
        if cuts:
            seen = cuts[-1]["ob_seen_seconds"]
            good = seen is not None and seen <= 10  # noqa: PLR2004  # OB_WITHIN_SECONDS
            evidence.check(f"{name}.on-battery-seen", good, seen, unit="s", limit=10)
        if (cut := _cut(record)) is not None:
            evidence.check(f"{name}.output-cut", passed=True, value=cut)
    if capacity is not None:
        least = record["until"] in {"test-end", "stopped"}
        note = "at least" if least else ""
        evidence.check(
            f"{name}.capacity-measured", passed=True, value=capacity, unit="s", note=note
        )


def _cut(record: dict[str, Any]) -> str | None:
    """Return what was seen of the cut; None: nobody saw, a command that is offered is no proof."""
    if record.get("returned") is False:
        return "stays-off"
    if record.get("cuts_on_line") is False:
        return "ignored-on-line"
    cut: str | None = record.get("cut")
    return None if cut == "offered" else {"proven": "seen-cut", "none": "never-cut"}.get(cut or "")


def _tests(name: str, state: dict[str, Any], evidence: Evidence) -> None:
    for kind in ("quick", "deep"):
        if (test := state[kind]) is not None:
            note = test["why"]
            evidence.check(f"{name}.{kind}-test", test["passed"], _moment(test["at"]), note=note)


def _life(name: str, state: dict[str, Any], at: str, evidence: Evidence) -> None:
    wrong = {topic: text for topic, text in state["wrong"].items() if topic in LINK}
    heard = state["status"] is not None
    note = "; ".join(wrong.values()) or state["error"]
    alive = heard and not wrong
    last = state["proof"] or (state["changed"] if heard else None)
    evidence.check(f"{name}.link", alive, None if last is None else _moment(last), note=note)
    if state["due"] is not None:
        good = state["due"] > at[:10]
        evidence.check(f"{name}.battery-due", good, state["due"], note=state["due_why"])


def _stop(town: Town, host: str, stop: dict[str, Any], evidence: Evidence) -> None:
    names = {guest.vmid: name for name, guest in town.guests.items() if guest.target == host}
    if stop["guests"] and stop["at"]:
        evidence.check(f"{host}.last-stop-at", passed=True, value=_moment(stop["at"]))
    for one in stop["guests"]:
        name = names.get(one["vmid"], one["name"])
        clean = one["end"] == "clean"
        evidence.check(f"{name}.last-stop", clean, one["end"], note=one["why"])


def _alarms(host: str, targets: list[dict[str, Any]], evidence: Evidence) -> None:
    evidence.check(f"{host}.alarm-targets", passed=True, value=len(targets))
    if not targets or any(one["at"] is None for one in targets):
        return
    note = ", ".join(one["shown"] for one in targets if one["seen"] is not True)
    seen = not note
    at = _moment(min(one["at"] for one in targets))
    evidence.check(
        f"{host}.alarms-seen", seen, at, note=f"not seen to arrive: {note}" if note else ""
    )


def _moment(unix: float) -> str:
    at = datetime.datetime.fromtimestamp(unix, tz=datetime.UTC)
    return at.isoformat(timespec="seconds")
