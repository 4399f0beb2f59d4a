"""The page says what the evidence says: nothing hidden, nothing better than it was."""

from __future__ import annotations

import datetime
import html
import itertools
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from releve.cli.report import command
from releve.drills.report import Language, State, judge, read_records, render
from releve.drills.report.promises import EVIDENCE

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = datetime.datetime(2026, 11, 25, 9, 30, tzinfo=datetime.UTC)
SUBJECTS = {"compta", "dossiers", "old", "pve1", "nas"}


def check(id_: str, passed: bool = True, **values: Any) -> dict[str, Any]:
    """Return one check of an evidence file."""
    return {
        "id": id_,
        "passed": passed,
        "value": None,
        "unit": "",
        "limit": None,
        "note": "",
    } | values


def event(second: float, subject: str, what: str) -> dict[str, str]:
    """Return one event, so many seconds after the start."""
    return {"at": f"2026-11-25T08:12:{second:06.3f}Z", "subject": subject, "what": what}


RUN: dict[str, list[dict[str, Any]]] = {
    "survey": [check("town-equal", value=0, unit="differences", limit=0)],
    "provision": [check("second-run", value=0, unit="changes", limit=0)],
    "migrate": [
        check("compta.downtime", value=6.41, unit="s", limit=30),
        check("compta.no-record-lost", value=4211),
        check("compta.chain-whole", value="whole"),
    ],
    "power": [check("time-on-battery", value=71.3, unit="s", limit=120)],
    "copy": [check("compta.blocks-stored", value=2112, unit="blocks")],
    "restore": [check("rto", value=14.2, unit="s"), check("rpo", value=21.7, unit="s")],
}
EVENTS = {
    "migrate": [
        event(0, "compta", "seed began"),
        event(4.2, "compta", "guest off"),
        event(4.3, "compta", "source fenced"),
        event(10.6, "compta", "guest answers"),
    ],
    "power": [event(1, "mains", "mains are lost"), event(31, "mains", "mains are back")],
}


class Folder:
    """A folder of evidence files."""

    def __init__(self, path: Path) -> None:
        """Write the evidence of a run in which all went well."""
        self.path = path
        for name, checks in RUN.items():
            self.write(name, checks, EVENTS.get(name, []))

    def write(self, file: str, found: list[dict[str, Any]], told: Any = (), **changes: Any) -> None:
        """Write one evidence file; `passed` is derived as the real writer does it."""
        content = {
            "name": file,
            "passed": bool(found) and all(one["passed"] for one in found),
            "started": "2026-11-25T08:12:00.000Z",
            "ended": "2026-11-25T08:13:10.000Z",
            "checks": found,
            "events": list(told),
            "hashes": {},
        } | changes
        (self.path / f"{file}.json").write_text(json.dumps(content))

    def page(self, lang: str = "en") -> str:
        """Return the report of this folder."""
        records = read_records(self.path, EVIDENCE)
        return render(
            "Relève-sur-Lesse",
            records,
            judge(records),
            Language.of(lang),
            subjects=SUBJECTS,
            written=WRITTEN,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with the evidence of a run in which all went well."""
    return Folder(tmp_path)


VOID = {"meta", "link", "br", "img", "input", "hr", "path", "circle", "rect"}


class Elements(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    """Return what a person reads, in one line."""
    return " ".join(
        html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S)).split()
    )


def state(folder: Folder) -> State:
    return judge(read_records(folder.path, EVIDENCE)).state


def test_a_good_run_is_told_with_its_figures(folder: Folder) -> None:
    text = text_of(folder.page())

    assert "Everything that was tried in this run holds." in text
    assert "5 promises of 6 are proved. Not tried in this run: the accounts." in text
    for figure in (
        "6.41 s",
        "4,211",
        "on battery (limit 2 min) 71.3 s",
        "2,112 blocks",
        "14.2 s",
    ):
        assert figure in text
    assert "What did not hold" not in text


def test_the_card_of_the_move_says_what_an_alderman_asks(folder: Folder) -> None:
    until = "2026-12-05T07:00:00+00:00"
    move = [
        check("compta.preflight", value=73),
        check("compta.bytes-seed", value=1 << 30, unit="B"),
        check("compta.downtime", value=6.41, unit="s", limit=30),
        check("compta.no-record-lost", value=4211),
        check("compta.way-back", value=until),
    ]
    folder.write("migrate", move)

    text = text_of(folder.page())
    card = text[text.index("The services leave the old server") : text.index("6 checks, none")]

    assert "without service: compta (limit 30 s) 6.41 s" in card.replace("\N{NO-BREAK SPACE}", " ")
    assert "records found again: compta 4,211" in card
    assert "way back open until: compta" in card
    assert "December" in card
    assert '<div class="long">' in folder.page(), "a day takes the whole width of the card"
    assert "73" not in card
    assert "GiB" not in card


def test_a_failed_check_is_named_first_and_turns_the_verdict(folder: Folder) -> None:
    lost = check("compta.no-record-lost", passed=False, value=3, note="4208 to 4210")
    folder.write("migrate", [check("compta.chain-whole"), lost])

    text = text_of(folder.page())

    assert state(folder) is State.FAILED
    assert "One promise is broken: the move." in text
    assert "holds." not in text[: text.index("The promises")]
    failures = text[text.index("What did not hold") : text.index("The promises")]
    assert "compta: No record that was acknowledged is lost. Seen: 3." in failures
    assert "4208 to 4210" in failures
    assert "compta.no-record-lost" in failures


def test_a_check_nobody_translated_is_shown_all_the_same(folder: Folder) -> None:
    folder.write("copy", [check("brand-new_check", passed=False, note="odd")])

    page = folder.page("fr")

    assert '<span lang="en">brand new check</span>' in page
    assert "<code>brand-new_check</code>" in page


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"passed": True}, "it says that all passed, and a check in it failed"),
        ({"checks": [], "passed": False}, "it holds no check at all"),
        ({"name": "copy"}, "it is the evidence of something else"),
        ({"ended": "2026-11-25T08:00:00Z"}, "it ends before it starts"),
        ({"started": "2026-11-25T08:12:00"}, "started: "),
        ({"extra": 1}, "extra: "),
        ({"checks": [{"id": "x", "passed": "yes"}]}, "checks.0.passed: "),
    ],
)
def test_evidence_that_contradicts_itself_is_a_failure(
    folder: Folder, change: dict[str, Any], doubt: str
) -> None:
    folder.write("restore", [check("rto", passed=False)], **change)

    text = text_of(folder.page())

    assert "One promise is broken: the return from a copy." in text
    assert "The evidence cannot be believed." in text
    assert doubt in text


def test_a_file_that_denies_its_own_checks_is_a_failure(folder: Folder) -> None:
    folder.write("power", [check("time-on-battery")], passed=False)

    assert "no check in it did" in text_of(folder.page())
    assert state(folder) is State.FAILED


def test_a_torn_file_is_a_failure(folder: Folder) -> None:
    whole = (folder.path / "power.json").read_text()
    (folder.path / "power.json").write_text(whole[:-20])

    text = text_of(folder.page())

    assert "One promise is broken: the power cut." in text
    assert "it is not JSON" in text


def test_missing_evidence_is_said(folder: Folder) -> None:
    (folder.path / "copy.json").unlink()
    (folder.path / "migrate.json").unlink()

    text = text_of(folder.page())

    assert "3 promises of 6 are proved. Proved in part: the move." in text
    assert "Not tried in this run: the safe copies and the accounts." in text
    assert "Without evidence in this run: Moving the services." in text
    assert "migrate.json Not there: this was not tried in this run." in text


def test_nothing_tried_is_not_success(tmp_path: Path) -> None:
    records = read_records(tmp_path, EVIDENCE)

    assert judge(records).state is State.UNTRIED


@pytest.mark.parametrize(
    ("value", "found", "told"),
    [
        ("commissioning", State.PARTLY, True),
        (900, State.PROVED, False),
    ],
)
def test_a_battery_that_nobody_measured_proves_nothing(
    folder: Folder, value: int | str, *, found: State, told: bool
) -> None:
    folder.write("power", [*RUN["power"], check("ups1.capacity", value=value)])
    records = read_records(folder.path, EVIDENCE)
    ups = next(one for one in judge(records).promises if one.promise.id == "ups")
    page = text_of(folder.page("fr"))

    assert ups.state is found
    assert ("Pas prouvé : personne n'a encore mesuré" in page) is told


def test_evidence_of_several_days_is_said(folder: Folder) -> None:
    folder.write("copy", [check("sealed")], started="2026-11-20T08:00:00Z")

    assert "it is not of one run" in text_of(folder.page())


def test_a_hashed_file_that_changed_is_said(folder: Folder, tmp_path: Path) -> None:
    file = tmp_path / "manifest"
    file.write_text("other")
    folder.write("copy", [check("sealed")], hashes={str(file): "0" * 64, "/no/such": "1" * 64})

    text = text_of(folder.page())

    assert f"{file} ( changed since )".replace("( ", "(").replace(" )", ")") in text
    assert "/no/such (no longer there)" in text


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_hostile_text_stays_text(folder: Folder, lang: str) -> None:
    evil = '</text></svg><script>alert("x")</script>'
    folder.write(
        "migrate",
        [check(f"a{evil}", passed=False, value=evil, unit=evil, limit=evil, note=evil)],
        [event(1, evil, evil), event(2, "compta", "{0.__class__}")],
        hashes={evil: evil},
    )

    page = folder.page(lang)

    assert "<script" not in page
    assert 'alert("' not in page
    assert "{0.__class__}" in page
    Elements(page)


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_page_needs_nothing_else(folder: Folder, lang: str) -> None:
    page = folder.page(lang)
    elements = Elements(page)

    for tag, attributes in elements.tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "base"}
        for name in ("src", "srcset", "action", "data", "poster"):
            assert name not in attributes
        if href := attributes.get("href"):
            assert href.startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in page
    assert "@import" not in page
    assert f'<html lang="{lang}">' in page


def test_the_page_can_be_walked_without_eyes(folder: Folder) -> None:
    page = folder.page()
    tags = Elements(page).tags
    names = [tag for tag, _attributes in tags]
    ids = [attributes["id"] for _tag, attributes in tags if "id" in attributes]

    assert (names.count("main"), names.count("h1"), names.count("header")) == (1, 1, 1)
    levels = [int(name[1]) for name in names if re.fullmatch(r"h[1-6]", name)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(ids) == len(set(ids))
    for tag, attributes in tags:
        for reference in (attributes.get("aria-labelledby") or "").split():
            assert reference in ids
        if tag == "svg" and attributes.get("role") == "img":
            assert "aria-labelledby" in attributes
        elif tag == "svg":
            assert attributes["aria-hidden"] == "true"


def test_the_command_writes_the_page_and_says_by_its_code_what_it_found(
    folder: Folder, tmp_path: Path
) -> None:
    output = tmp_path / "report" / "index.html"
    argv = ["-i", "inventory/lab", "--evidence", str(folder.path), "--output", str(output)]

    good = CliRunner().invoke(command, argv, standalone_mode=False)
    folder.write("copy", [check("sealed", passed=False)])
    bad = CliRunner().invoke(command, argv, standalone_mode=False)

    assert (good.return_value, bad.return_value) == (0, 4)
    assert "vault failed" in bad.output
    assert '<html lang="fr">' in output.read_text()
