"""The weekend plan: needed guests first, each tried by somebody, and time left to go back."""

from __future__ import annotations

import ast
import datetime
import re
import string
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from jinja2.ext import extract_from_ast
from tests.unit.migrate.preflight.good import broken, good, town

from releve.drills.report.language import read_po
from releve.errors import InputError
from releve.migrate.plan import Terms, make_plan, weekend_page
from releve.migrate.plan.weekend import BACK_MARGIN, Weekend, weekend
from releve.town.model import Person

ZONE = zoneinfo.ZoneInfo("Europe/Brussels")
DAY = datetime.date(2026, 12, 5)
PEOPLE = {
    "admin": Person(name="Camille Dupont", phone="+32 2 555 01 00"),
    "counter": Person(name="Zoé <Lambert>", email="zoe@releve.example.org"),
}
PACKAGE = Path(weekend_page.__file__).parent
TOWN = town(application="Comptabilité", tested_by=("counter",)).model_copy(
    update={"people": PEOPLE}
)


def plan(waive: tuple[str, ...] = ()) -> dict[str, Any]:
    return make_plan(TOWN, ["compta"], Terms(waive), gather=lambda _name: good())[0]


def both(seed: int = 60, downtime: int = 100) -> dict[str, Any]:
    """Return a plan of two guests, one of which needs the other."""
    content = plan()
    guest = {**content["guests"]["compta"]}
    guest["forecast"] = {"seed_seconds": seed, "downtime_seconds": downtime}
    names = ("compta", "dossiers")
    return {**content, "waves": [[n] for n in names], "guests": dict.fromkeys(names, guest)}


def laid_out(content: dict[str, Any]) -> Weekend:
    return weekend(content, TOWN, DAY, ZONE)


def test_a_needed_guest_is_moved_and_tried_before_the_next_one_stops() -> None:
    steps = laid_out(both()).steps
    stops = {s.values["guest"]: s for s in steps if s.kind == "stop"}
    tests = [s for s in steps if s.kind == "test"]

    assert stops["dossiers"].begin >= tests[0].end
    assert tests[0].begin >= stops["compta"].end
    assert tests[0].who == ("counter",)


def test_the_seeds_end_before_the_first_stop() -> None:
    steps = laid_out(both(seed=7200)).steps
    start = next(s.begin for s in steps if s.kind == "hold")

    assert all(s.end <= start for s in steps if s.kind == "seed")
    assert min(s.begin for s in steps) <= start - datetime.timedelta(hours=8)


def test_the_deadline_leaves_a_way_back_three_times_as_long_as_forecast() -> None:
    found = laid_out(both())

    assert (found.end - found.deadline).total_seconds() >= BACK_MARGIN * found.back
    assert found.decision <= found.deadline
    assert found.fits


def test_a_weekend_that_is_too_short_is_said_to_be() -> None:
    found = laid_out(both(downtime=17 * 3600))
    said = weekend_page.text(found, both(), TOWN, weekend_page.speaker("fr", "Europe/Brussels"))

    assert not found.fits
    assert "LE TEMPS NE SUFFIT PAS" in said


def test_the_page_is_french_names_people_and_escapes_what_they_are_called() -> None:
    content = plan(("copy-fresh=vérifiée à la main",))
    language = weekend_page.speaker("fr", "Europe/Brussels")
    found = laid_out(content)

    html = weekend_page.page(found, content, TOWN, language)
    said = weekend_page.text(found, content, TOWN, language)

    assert "Samedi\N{NO-BREAK SPACE}5\N{NO-BREAK SPACE}décembre" in html
    assert "Essayer Comptabilité" in said
    assert "Zoé &lt;Lambert&gt;" in html
    assert "Point de non-retour\N{NO-BREAK SPACE}: dimanche" in said
    assert not re.search(r" [:;!?]", said), "a mark may begin a line"
    assert f"<h1>{TOWN.town.name}\N{NO-BREAK SPACE}: le week-end du déménagement</h1>" in html
    assert '<code class="do">releve migrate cutover compta --now</code>' in html
    assert "+32 2 555 01 00" in said
    assert content["sha256"] in said
    assert not re.search(r"https?://|<script|src=", html)


def test_a_guest_that_nobody_tries_is_named() -> None:
    found = laid_out(both())
    said = weekend_page.text(found, both(), TOWN, weekend_page.speaker("en", "UTC"))

    assert found.untested == ("dossiers",)
    assert "NOBODY TRIES IT: dossiers" in said


def test_without_a_forecast_there_is_no_weekend() -> None:
    facts = broken("source", None)
    content = make_plan(TOWN, ["compta"], gather=lambda _name: facts)[0]

    with pytest.raises(InputError, match="compta: no forecast"):
        laid_out(content)


def texts() -> set[str]:
    found: set[str] = set()
    for name in ("weekend.py", "weekend_page.py"):
        for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
            if isinstance(node, ast.Call) and node.args:
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0]
                if called in {"mark", "text", "say"} and isinstance(first, ast.Constant):
                    found.add(str(first.value))
    tree = Environment(autoescape=True).parse((PACKAGE / "templates/weekend.html.j2").read_text())
    for _line, _name, message in extract_from_ast(tree, ("_",)):
        found.add(str(message[0] if isinstance(message, tuple) else message))
    return found


def test_every_text_has_its_french_with_the_same_gaps_and_no_other_is_kept() -> None:
    french = read_po((PACKAGE / "locale/fr.po").read_text())

    assert set(french) == texts()
    for english, (translated,) in french.items():
        gaps = [{name for _, name, _, _ in string.Formatter().parse(one) if name} for one in
                (english, translated)]  # fmt: skip
        assert gaps[0] == gaps[1], english
