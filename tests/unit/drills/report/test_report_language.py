"""Every text of the page has its French, and numbers and dates follow the reader's habits."""

from __future__ import annotations

import ast
import datetime
import string
from pathlib import Path

import jinja2
import pytest
from jinja2.ext import extract_from_ast

import releve.drills.report
from releve.drills.report.language import (
    BYTE_UNITS,
    BYTES,
    LOCALES,
    MONTHS,
    UNITS,
    Language,
    read_po,
)
from releve.drills.report.words import say_subject
from releve.errors import InputError

PACKAGE = Path(releve.drills.report.__file__).parent
FRENCH = Language.of("fr")
ENGLISH = Language.of("en")


def texts_of_code() -> set[str]:
    """Return the constants given to mark, text and plural in the package."""
    found = set()
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            wanted = {"mark": 1, "text": 1, "plural": 2}.get(name, 0)
            found |= {
                argument.value
                for argument in node.args[:wanted]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            }
    return found


def texts_of_templates() -> set[str]:
    """Return the constants given to _ and plural in the templates."""
    found: set[str] = set()
    for file in PACKAGE.glob("templates/*.j2"):
        tree = jinja2.Environment(autoescape=True).parse(file.read_text())
        for _line, _function, message in extract_from_ast(tree, ("_", "plural")):
            parts = message if isinstance(message, tuple) else (message,)
            found |= {part for part in parts if part}
    return found


def wanted() -> set[str]:
    return texts_of_code() | texts_of_templates() | {*MONTHS, *BYTE_UNITS, *UNITS}


def po_strings() -> tuple[set[str], dict[str, tuple[str, ...]]]:
    text = (LOCALES / "fr.po").read_text()
    plurals = {
        ast.literal_eval(line.removeprefix("msgid_plural "))
        for line in text.splitlines()
        if line.startswith("msgid_plural ")
    }
    entries = read_po(text)
    return {*entries, *plurals}, entries


def test_every_text_is_found() -> None:
    assert {
        "The promises",
        "No record that was acknowledged is lost.",
        "{count} checks",
        "May",
    } <= wanted()


def test_every_text_has_its_french_and_none_is_left_over() -> None:
    known, _entries = po_strings()

    assert wanted() - known == set()
    assert known - wanted() == set()


def test_the_french_keeps_the_places_to_fill_in() -> None:
    _known, entries = po_strings()

    for msgid, forms in entries.items():
        assert all(forms), msgid
        for form in forms:
            assert names_in(form) == names_in(msgid) or len(forms) > 1, msgid
            assert names_in(form) <= names_in(msgid) | {"count"}, msgid


def names_in(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("value", "unit", "french", "english"),
    [
        (4211, "records", "4 211 enregistrements", "4,211 records"),
        (6.41, "s", "6,41 s", "6.41 s"),
        (0.0123, "s", "0,012 s", "0.012 s"),
        (580, "ms", "0,58 s", "0.58 s"),
        (125, "s", "2 min 5 s", "2 min 5 s"),
        (3600, "s", "1 h", "1 h"),
        (3 * 2**20, "B", "3 Mio", "3 MiB"),
        (1536, "KiB", "1,5 Mio", "1.5 MiB"),
        (True, "", "oui", "yes"),
        (None, "s", "", ""),
        ("raw", "", "raw", "raw"),
        ("2026-12-25T09:02:07Z", "", "25 décembre 2026, 10 h 02", "25 December 2026, 10:02"),
        ("2026-12-25T99:99", "", "2026-12-25T99:99", "2026-12-25T99:99"),
        (0, "", "0", "0"),
        (1.0, "", "1", "1"),
    ],
)
def test_values_read_as_in_the_readers_language(
    value: object, unit: str, french: str, english: str
) -> None:
    shown = FRENCH.quantity(value, unit), ENGLISH.quantity(value, unit)

    assert tuple(text.replace("\u202f", " ").replace("\xa0", " ") for text in shown) == (
        french,
        english,
    )


def test_dates_are_of_the_town() -> None:
    moment = datetime.datetime(2026, 7, 1, 22, 5, 9, tzinfo=datetime.UTC)

    assert FRENCH.date(moment).replace("\xa0", " ") == "2 juillet 2026"
    assert FRENCH.time(moment).replace("\xa0", " ") == "0 h 05"
    assert ENGLISH.time(moment, seconds=True) == "00:05:09"


def test_a_po_file_that_is_not_understood_is_refused() -> None:
    with pytest.raises(InputError, match="msgctxt"):
        read_po('msgctxt "x"\nmsgid "a"\nmsgstr "b"\n')


def test_the_page_knows_each_unit_that_evidence_is_written_in() -> None:
    written = {
        keyword.value.value
        for file in PACKAGE.parents[1].rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "unit" and isinstance(keyword.value, ast.Constant)
    }

    assert written
    assert written - {"s", "ms", *BYTES, *UNITS} == set()


def test_things_are_translated_and_hosts_keep_their_names() -> None:
    assert [say_subject(name, FRENCH) for name in ("mains", "nas")] == ["secteur", "nas"]
    assert say_subject("mains", ENGLISH) == "mains"
