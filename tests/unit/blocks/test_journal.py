"""A journal survives a crash at any byte: whole lines stay, a torn one goes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.blocks import journal


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.data())
def test_a_torn_journal_keeps_its_whole_lines_and_goes_on(
    notes: list[str], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        first = journal.Journal(path)
        for note in notes:
            first.add("noted", note=note)
        first.close()
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")

        again = journal.Journal(path)
        again.add("resumed")
        again.close()
        events = journal.read(path)

    assert [event.get("note") for event in events[:-1]] == notes[:whole]
    assert events[-1]["event"] == "resumed"


def test_a_damaged_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "a"}\nnot json\n{"event": "b"}\n')

    with pytest.raises(journal.JournalError, match=r"journal\.jsonl:2"):
        journal.read(path)


def test_no_journal_is_no_event(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "none") == []
