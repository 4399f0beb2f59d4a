"""The report: one page that says what was proved, what failed, and what nobody tried."""

from releve.drills.report.language import Language
from releve.drills.report.page import render
from releve.drills.report.promises import Judgement, State, judge
from releve.drills.report.read import Record, read_records

__all__ = ["Judgement", "Language", "Record", "State", "judge", "read_records", "render"]
