"""Words, numbers and dates in the language of the reader.

English stands in the code; other languages are `locale/*.po`, read as they are, so that neither
a build step nor a tool of gettext's is needed.
"""

from __future__ import annotations

import ast
import datetime
import math
import re
import zoneinfo
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from releve.errors import InputError

LOCALES = Path(__file__).parent / "locale"
LANGUAGES = ("fr", "en")
THIN = "\N{NARROW NO-BREAK SPACE}"
HARD = "\N{NO-BREAK SPACE}"
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
MINUTE, HOUR = 60, 3600
BYTES = {"B": 0, "bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
# Units that evidence uses and that have another name in another language.
UNITS = (
    *("records", "blocks", "changes", "differences", "files", "guests", "hosts", "copies"),
    *("rounds", "extents", "obstacles", "devices"),
)
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
# French puts a blank before these marks that never ends a line, and inside of its quotes.
_BEFORE, _AFTER = re.compile(r" (?=[:;!?»])"), re.compile(r"(?<=«) ")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:")
_STRING = r'"(?:\\.|[^"\\])*"'
_ENTRY = re.compile(rf"(msgid_plural|msgid|msgstr(?:\[\d\])?)\s+((?:{_STRING}\s*)+)")


def read_po(text: str) -> dict[str, tuple[str, ...]]:
    """Return msgid -> its translation (one form, or one per plural form) of a .po file's text.

    Knows what our files use: no context, nothing fuzzy; raises InputError on anything else.
    """
    entries: dict[str, tuple[str, ...]] = {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        if rest := _ENTRY.sub("", block).strip():
            message = f"a .po file holds {rest.splitlines()[0]!r}, which is not understood"
            raise InputError(message)
        msgid, forms = "", []
        for key, strings in _ENTRY.findall(block):
            value = "".join(ast.literal_eval(part) for part in re.findall(_STRING, strings))
            if key == "msgid":
                msgid = value
            elif key != "msgid_plural":
                forms.append(value)
        if msgid:
            entries[msgid] = tuple(forms)
    return entries


@dataclass(frozen=True, slots=True)
class Language:
    """One language, with the time zone of the town."""

    code: str
    zone: datetime.tzinfo
    zone_name: str
    _catalogue: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, timezone: str = "Europe/Brussels") -> Self:
        """Return the language `code` (fr or en); without time zone data the zone is UTC, named."""
        catalogue: dict[str, tuple[str, ...]] = {}
        if code != "en":
            catalogue = read_po((LOCALES / f"{code}.po").read_text(encoding="utf-8"))
        try:
            return cls(code, zoneinfo.ZoneInfo(timezone), timezone, catalogue)
        except zoneinfo.ZoneInfoNotFoundError:
            return cls(code, datetime.UTC, "UTC", catalogue)

    def knows(self, msgid: str) -> bool:
        """Whether the text is shown in this language: English is, by being the code's own."""
        return self.code == "en" or bool("".join(self._catalogue.get(msgid, ())))

    def text(self, msgid: str, /, **values: object) -> str:
        """Return a text in this language, with its `{name}` filled in."""
        shown = self._set(self._catalogue.get(msgid, (msgid,))[0] or msgid)
        return shown.format(**values) if values else shown

    def _set(self, text: str) -> str:
        """Return a text of the catalogue as a printer of this language sets it."""
        return _AFTER.sub(HARD, _BEFORE.sub(HARD, text)) if self.code == "fr" else text

    def plural(self, one: str, many: str, count: int, /, **values: object) -> str:
        """Return the form of a text that fits `count`, which it may show as {count}."""
        forms = self._catalogue.get(one, (one, many))
        several = count > 1 if self.code == "fr" else count != 1
        return self._set(forms[-1 if several else 0]).format(count=self.number(count), **values)

    def listing(self, items: list[str]) -> str:
        """Return "a, b and c"."""
        if len(items) < 2:  # noqa: PLR2004  # one item needs no "and"
            return "".join(items)
        return self.text("{many} and {last}", many=", ".join(items[:-1]), last=items[-1])

    def number(self, value: float) -> str:
        """Return a number with this language's marks, three significant digits if not whole."""
        if isinstance(value, float) and not math.isfinite(value):
            return "?"
        if isinstance(value, int) or value == int(value):
            text = f"{int(value):,}"
        else:
            decimals = max(0, 2 - math.floor(math.log10(abs(value))))
            text = f"{value:,.{min(decimals, 3)}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
        if self.code == "fr":
            text = text.replace(",", THIN).replace(".", ",")
        return text

    def duration(self, seconds: float) -> str:
        """Return a time span: 0.42 s, 12.5 s, 2 min 5 s, 1 h 2 min."""
        if abs(seconds) < 2 * MINUTE:
            return f"{self.number(seconds)}{HARD}s"
        whole = round(seconds)
        if whole < HOUR:
            large, small, units = whole // MINUTE, whole % MINUTE, ("min", "s")
        else:
            large, small, units = whole // HOUR, whole % HOUR // MINUTE, ("h", "min")
        text = f"{self.number(large)}{HARD}{units[0]}"
        return f"{text}{HARD}{small}{HARD}{units[1]}" if small else text

    def quantity(self, value: object, unit: str) -> str:
        """Return a measured value with its unit, in words a person reads."""
        if isinstance(value, bool):
            return self.text("yes") if value else self.text("no")
        if value is None:
            return ""
        if not isinstance(value, int | float):
            return self._moment(str(value)) or f"{value} {unit}".strip()
        if unit in {"s", "ms"}:
            return self.duration(value / 1000 if unit == "ms" else value)
        if unit in BYTES:
            return self._bytes(value, BYTES[unit])
        return f"{self.number(value)}{HARD}{self.text(unit) if unit else ''}".rstrip(HARD)

    def is_moment(self, value: object) -> bool:
        """Whether a value is a day and hour in ISO 8601 with its zone."""
        return isinstance(value, str) and bool(self._moment(value))

    def _moment(self, text: str) -> str:
        """Return a day and hour if the text is one in ISO 8601 with its zone, else ""."""
        if not _ISO.match(text):
            return ""
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            return ""
        return "" if moment.tzinfo is None else f"{self.date(moment)}, {self.time(moment)}"

    def _bytes(self, value: float, power: int) -> str:
        while abs(value) >= 1024 and power < len(BYTE_UNITS) - 1:  # noqa: PLR2004  # KiB and up
            value, power = value / 1024, power + 1
        return f"{self.number(value)}{HARD}{self.text(BYTE_UNITS[power])}"

    def date(self, moment: datetime.datetime) -> str:
        """Return the day, as in a letter."""
        local = moment.astimezone(self.zone)
        day = "1er" if self.code == "fr" and local.day == 1 else str(local.day)
        return HARD.join((day, self.text(MONTHS[local.month - 1]), str(local.year)))

    def day(self, text: str) -> str:
        """Return a day that is written as 2026-05-31; anything else as it is."""
        try:
            day = datetime.date.fromisoformat(text)
        except ValueError:
            return text
        return self.date(datetime.datetime.combine(day, datetime.time(12), tzinfo=self.zone))

    def time(self, moment: datetime.datetime, *, seconds: bool = False) -> str:
        """Return the hour and minute, or with seconds for tables."""
        local = moment.astimezone(self.zone)
        if seconds:
            return f"{local:%H:%M:%S}"
        return f"{local.hour}{HARD}h{HARD}{local:%M}" if self.code == "fr" else f"{local:%H:%M}"
