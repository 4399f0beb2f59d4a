"""What the hosts say of their UPSes becomes checks, and a page that claims nothing beyond them."""

from __future__ import annotations

import copy
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from releve.drills.batteries import judge
from releve.drills.evidence import Evidence
from releve.drills.report import Language, State, read_records, render
from releve.drills.report import judge as judge_promises
from releve.drills.report.promises import EVIDENCE
from releve.errors import LaterError
from releve.town import load_town

if TYPE_CHECKING:
    from releve.town.model import Town

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"
NOW = "2026-11-30T09:00:00+00:00"
WEEK_AGO = 1795426200.0
RECORD = {
    "format": 1, "ups": "ups1", "on": "2026-05-31", "how": "deep", "capacity_seconds": 240,
    "until": "low-battery",
    "history": [{"on": "2026-05-30", "how": "plug-pull", "capacity_seconds": None,
                 "load_percent": 40, "ob_seen_seconds": 1.2}],
}  # fmt: skip
TEST = {"at": WEEK_AGO, "passed": True, "why": ""}
GOOD: dict[str, Any] = {
    "format": 1,
    "at": NOW,
    "upses": {
        "ups1": {
            "rung": "runtime", "warnings": [], "own_thresholds": True, "status": "OL", "error": "",
            "timer": 17, "changed": WEEK_AGO + 9, "proof": WEEK_AGO, "tested": True, "wrong": {},
            "record": RECORD, "quick": TEST, "deep": None, "due": "2029-03-01",
            "due_why": "it was installed on 2025-03-01 and is counted on for 48 months",
        }
    },
    "stop": {"at": WEEK_AGO, "guests": [
        {"vmid": 101, "name": "?", "end": "clean", "why": ""},
        {"vmid": 102, "name": "?", "end": "clean", "why": ""},
    ]},
    "alarms": [{"shown": "mailtos 1a2b3c4d", "at": WEEK_AGO, "sent": True, "seen": True}],
}  # fmt: skip


class Told:
    """A host that says one thing, or does not answer."""

    def __init__(self, document: dict[str, Any] | None) -> None:
        self.document = document

    def call(self, *words: str) -> Any:
        assert words == ("state",)
        if self.document is None:
            message = "pve1: ssh does not reach it"
            raise LaterError(message)
        return self.document

    def start(self, ups: str, *words: str) -> None:
        raise NotImplementedError


def said(**changed: Any) -> dict[str, Any]:
    """Return the good answer with other values for the UPS."""
    document = copy.deepcopy(GOOD)
    document["upses"]["ups1"] |= changed
    return document


@pytest.fixture(scope="module")
def town() -> Town:
    return load_town(LAB)


def evidence_of(town: Town, document: dict[str, Any] | None, folder: Path) -> Evidence:
    with Evidence("batteries", folder) as evidence:
        judge(town, "pve1", ["ups1"], Told(document), evidence)
    return evidence


def failed(evidence: Evidence) -> set[str]:
    return {one.id for one in evidence.checks if not one.passed}


def page(town: Town, folder: Path, lang: str = "fr") -> str:
    records = read_records(folder, EVIDENCE)
    subjects = {*town.hosts, *town.guests, *town.ups}
    written = render("Relève", records, judge_promises(records), Language.of(lang),
                     subjects=subjects, written=records["batteries"].content.ended)  # type: ignore[union-attr]  # fmt: skip
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", written, flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def test_a_battery_that_is_well_is_told_in_french(town: Town, tmp_path: Path) -> None:
    assert failed(evidence_of(town, GOOD, tmp_path)) == set()
    text = page(town, tmp_path)

    for words in (
        "Mesuré ups1", "le temps restant que l'onduleur", "nos propres seuils",
        "4 min, le 31 mai 2026", "après 1,2 s", "Essai court réussi, le 23 novembre 2026",
        "Essai long jamais fait", "avant le 1er mars 2029", "compta arrêté proprement",
        "Alarmes bien arrivées, le 23 novembre 2026",
        "elle a été installée le 1er mars 2025 et l'on compte sur elle pendant 48 mois",
    ):  # fmt: skip
        assert words in text.replace("\N{NO-BREAK SPACE}", " "), words
    assert "mise en service" not in text


@pytest.mark.parametrize(
    ("changed", "bad", "words"),
    [
        ({"record": None}, set(), "Being commissioned: not proved ups1"),
        ({"record": RECORD | {"capacity_seconds": None}}, set(), "Measured time never measured"),
        ({"record": RECORD | {"until": "stopped"}}, set(), "at least 4 min, on 31 May 2026"),
        ({"record": RECORD | {"cut": "proven"}}, set(), "at the end goes off on command"),
        ({"record": RECORD | {"cut": "offered"}}, set(), "Its output at the end never seen"),
        ({"record": RECORD | {"cut": "none"}}, set(), "Its output at the end stays on"),
        (
            {"record": RECORD | {"cut": "proven", "cuts_on_line": False}},
            set(),
            "stays on when the mains are back early",
        ),
        (
            {"record": RECORD | {"cut": "proven", "returned": False}},
            set(),
            "goes off and does not come back",
        ),
        ({"record": RECORD | {"history": []}}, set(), "A real cut is noticed never tried"),
        (
            {"record": RECORD | {"history": [{"how": "drill", "ob_seen_seconds": None}]}},
            {"ups1.on-battery-seen"},
            "A real cut is noticed never",
        ),
        (
            {"quick": TEST | {"passed": False, "why": "it did not show"}},
            {"ups1.quick-test"},
            "not passed, on 23 November 2026",
        ),
        (
            {"wrong": {"frozen": "nothing changed"}},
            {"ups1.link"},
            "nothing changed",
        ),
        ({"status": None, "rung": None, "error": "stale"}, {"ups1.link"}, "stale"),
        ({"wrong": {"battery-due": "soon"}}, set(), "by 1 March 2029"),
        ({"due": "2026-11-30"}, {"ups1.battery-due"}, "by 30 November 2026"),
        ({"due": None}, set(), "New battery not known when"),
        ({"rung": "refuse"}, {"ups1.rung"}, "it may guard nothing"),
    ],
)
def test_what_is_wrong_or_not_known_is_told(
    town: Town, tmp_path: Path, changed: dict[str, Any], bad: set[str], words: str
) -> None:
    assert failed(evidence_of(town, said(**changed), tmp_path)) == bad
    assert words in page(town, tmp_path, "en").replace("\N{NO-BREAK SPACE}", " ")


def test_a_guest_that_was_stopped_by_force_is_never_called_clean(
    town: Town, tmp_path: Path
) -> None:
    document = copy.deepcopy(GOOD)
    document["stop"]["guests"][0] |= {"end": "hard-stopped", "why": "it took 15 s of the 15 s"}

    assert failed(evidence_of(town, document, tmp_path)) == {"compta.last-stop"}
    assert "compta stopped by force" in page(town, tmp_path, "en")


@pytest.mark.parametrize(
    ("alarms", "bad", "words"),
    [
        ([], set(), "Alarms nobody is told"),
        ([{"shown": "ntfy 1", "at": None, "sent": None, "seen": None}], set(), "never tried"),
        ([{"shown": "ntfy 1", "at": 1.0, "sent": True, "seen": None}], {"pve1.alarms-seen"},
         "not all arrived"),
        ([{"shown": "ntfy 1", "at": 1.0, "sent": True, "seen": False}], {"pve1.alarms-seen"},
         "not seen to arrive: ntfy 1"),
    ],
)  # fmt: skip
def test_alarms_that_nobody_saw_are_told(
    town: Town, tmp_path: Path, alarms: list[dict[str, Any]], bad: set[str], words: str
) -> None:
    document = GOOD | {"alarms": alarms}

    assert failed(evidence_of(town, document, tmp_path)) == bad
    assert words in page(town, tmp_path, "en")


def test_a_host_that_does_not_answer_is_told(town: Town, tmp_path: Path) -> None:
    assert failed(evidence_of(town, None, tmp_path)) == {"pve1.host-answers"}
    assert "Its host does not answer pve1: ssh does not reach it" in page(town, tmp_path, "en")


@pytest.mark.parametrize(
    ("document", "state"),
    [(GOOD, State.UNTRIED), (said(quick=TEST | {"passed": False}), State.FAILED)],
)
def test_batteries_break_a_promise_and_prove_none(
    town: Town, tmp_path: Path, document: dict[str, Any], state: State
) -> None:
    evidence_of(town, document, tmp_path)
    promises = judge_promises(read_records(tmp_path, EVIDENCE)).promises

    assert {one.promise.id: one.state for one in promises}["ups"] is state


def test_the_evidence_is_read_back(town: Town, tmp_path: Path) -> None:
    file = evidence_of(town, GOOD, tmp_path).path

    assert json.loads(file.read_text())["name"] == "batteries"
    assert not read_records(tmp_path, EVIDENCE)["batteries"].faults
