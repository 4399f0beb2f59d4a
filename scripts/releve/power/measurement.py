"""What was measured of a UPS: the record `measured/UPS.json`, read back only when it is sound.

The record lies beside the town file (`inventory/TOWN/measured/`) and is carried to the UPS's host
(`/etc/releve/measured/`). Without a record, or without `capacity_seconds` in it, a UPS is in
state *commissioning*: nothing is known that a shutdown could be reckoned with. Standard library
only: the UPS's host reads it too.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from releve.errors import InputError
from releve.power import whole

if TYPE_CHECKING:
    from pathlib import Path

How = Literal["quick", "deep", "plug-pull", "drill"]
Until = Literal["low-battery", "output-off", "test-end", "stopped"]
Cut = Literal["proven", "offered", "none"]
OnLineDischarge = Literal["mains", "battery"]

FORMAT = 1
AT_LEAST: tuple[Until, ...] = ("test-end", "stopped")  # the battery was not at its end
PULLS: tuple[How, ...] = ("plug-pull", "drill")  # the mains were really away, at a known moment
OB_WITHIN_SECONDS = 10.0  # a UPS that says "on battery" later may guard nothing
MOST_LOAD = 200.0  # percent; beyond that it is no percentage


class Point(NamedTuple):
    """One point of a discharge: seconds since its begin, percent, volts, seconds; None: unknown."""

    seconds: float
    charge: float | None
    voltage: float | None
    runtime: float | None


@dataclass(frozen=True, slots=True)
class Moved:
    """Which values changed while the battery was drained; what stands still is not believed."""

    charge: bool = False
    runtime: bool = False
    voltage: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of each measurement: enough for the trend of the battery."""

    on: datetime.date
    how: How
    capacity_seconds: int | None = None
    load_percent: float | None = None
    ob_seen_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The record. Seconds, percent, volts; None is "not known", never a number.

    `capacity_seconds` is the time from full to `until`, at `load_percent`: what was seen and never
    more, so with `until` "test-end" or "stopped" the battery holds at least that.
    `ob_seen_seconds` counts from the moment at which the mains went or the test was asked for.
    `ol_discharge` says which of the two `OL DISCHRG` means for this UPS. `cut`: whether the UPS
    was seen to switch its output off on command ("proven"), offers a command for it ("offered"),
    or offers others and not that, or was seen not to do it ("none"); `cuts_on_line`,
    `off_seconds`, `returned`: what it does with mains present, how long the output stayed off, and
    whether it came back. `history`: all measurements, oldest first, this one among them; empty in
    a record that stands alone.
    """

    ups: str
    on: datetime.date
    how: How
    capacity_seconds: int | None = None
    load_percent: float | None = None
    curve: tuple[Point, ...] = ()
    ob_seen_seconds: float | None = None
    moved: Moved = Moved()
    lb_seen: bool = False
    ol_discharge: OnLineDischarge | None = None
    cut: Cut | None = None
    cuts_on_line: bool | None = None
    off_seconds: float | None = None
    returned: bool | None = None
    until: Until | None = None
    history: tuple[Past, ...] = ()

    @property
    def commissioning(self) -> bool:
        """Whether nothing is known yet that a shutdown could be reckoned with."""
        return self.capacity_seconds is None

    @property
    def past(self) -> tuple[Past, ...]:
        """All measurements, oldest first, with the last one at the end."""
        return self.history or (self.summary(),)

    @property
    def mains_proven(self) -> bool | None:
        """Whether the last real cut was seen as one soon enough; None: there was none yet."""
        cuts = [one for one in self.past if one.how in PULLS]
        if not cuts:
            return None
        seen = cuts[-1].ob_seen_seconds
        return seen is not None and seen <= OB_WITHIN_SECONDS

    @classmethod
    def read(cls, file: Path) -> Measurement:
        """Read and validate a record; raises InputError with the file and the key that is wrong."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            message = f"{file}: cannot be read ({error.strerror}); measure with: power measure"
            raise InputError(message) from error
        except ValueError as error:
            message = f"{file}: is no JSON ({error}); measure again, or restore it from git"
            raise InputError(message) from error
        record = cls.parse(content, str(file))
        if record.ups != file.stem:
            message = f"{file}: ups: is the record of {record.ups}, not of {file.stem}"
            raise InputError(message)
        return record

    @classmethod
    def parse(cls, content: object, where: str) -> Measurement:
        """Validate decoded JSON; raises InputError that begins with `where`."""
        return _Reader(where, content).record()

    def as_json(self) -> str:
        """Return the record as it is written."""
        words = {"format": FORMAT, **dataclasses.asdict(self)}
        words["on"] = self.on.isoformat()
        words["curve"] = [list(point) for point in self.curve]
        words["history"] = [
            {**dataclasses.asdict(one), "on": one.on.isoformat()} for one in self.history
        ]
        return "{\n" + ",\n".join(_lines(words)) + "\n}\n"

    def write(self, file: Path) -> None:
        """Write the record, whole or not at all; raises OSError."""
        file.parent.mkdir(parents=True, exist_ok=True)
        whole.write(file, self.as_json())

    def summary(self) -> Past:
        """Return what the history keeps of this one; "at least" is no point of a trend."""
        capacity = None if self.until in AT_LEAST else self.capacity_seconds
        return Past(self.on, self.how, capacity, self.load_percent, self.ob_seen_seconds)

    def after(self, before: Measurement | None) -> Measurement:
        """Return the record that stands once this measurement follows on `before`.

        What a measurement could not see stays as it was known: a quick test sees no capacity, a
        test that was ended early sees less of it than there is, no test sees the output go off, so
        what was seen of that outlasts each list of commands.
        """
        if before is None:
            return dataclasses.replace(self, history=(self.summary(),))
        newer = dataclasses.replace(
            self,
            history=(*before.past, self.summary()),
            ol_discharge=self.ol_discharge or before.ol_discharge,
            cut=_cut_after(before.cut, self.cut),
            cuts_on_line=_first(self.cuts_on_line, before.cuts_on_line),
            off_seconds=_first(self.off_seconds, before.off_seconds),
            returned=_first(self.returned, before.returned),
        )
        if not self._sees_less_than(before):
            return newer
        moved = Moved(
            charge=self.moved.charge or before.moved.charge,
            runtime=self.moved.runtime or before.moved.runtime,
            voltage=self.moved.voltage or before.moved.voltage,
        )
        of_capacity = ("on", "how", "capacity_seconds", "load_percent", "curve", "lb_seen", "until")
        kept: dict[str, Any] = {name: getattr(before, name) for name in of_capacity}
        return dataclasses.replace(
            newer, moved=moved, ob_seen_seconds=before.ob_seen_seconds, **kept
        )

    def saw(
        self,
        *,
        cut: Cut | None = None,
        cuts_on_line: bool | None = None,
        returned: bool | None = None,
    ) -> Measurement:
        """Return the record with what somebody saw of its output; None: that was not seen."""
        return dataclasses.replace(
            self,
            cut=_first(cut, self.cut),
            cuts_on_line=_first(cuts_on_line, self.cuts_on_line),
            returned=_first(returned, self.returned),
        )

    def _sees_less_than(self, before: Measurement) -> bool:
        if self.capacity_seconds is None or before.capacity_seconds is None:
            return before.capacity_seconds is not None
        return self.until in AT_LEAST and self.capacity_seconds < before.capacity_seconds


def known_of(ups: str, *folders: Path) -> Measurement | None:
    """Return the newest record of a UPS in some folders, None: there is none that can be read."""
    found = []
    for folder in folders:
        file = folder / f"{ups}.json"
        if file.exists():
            one = Measurement.read(file)
            found.append((len(one.past), one.on, one))
    return max(found, key=lambda one: one[:2])[2] if found else None


def _cut_after(before: Cut | None, now: Cut | None) -> Cut | None:
    """Return what is known of the cut; a list of commands, that of `now`, says less than eyes."""
    return before if before in ("proven", "none") and now != "proven" else _first(now, before)


def _first(one: Any, other: Any) -> Any:  # noqa: ANN401  # of any one type
    return other if one is None else one


def _lines(words: dict[str, Any]) -> list[str]:
    """Return one line a key, and one a point of a list: what a diff of the file shows well."""
    lines = []
    for key, value in words.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(json.dumps(one) for one in value) + "\n ]"
        lines.append(f' "{key}": {text}')
    return lines


class _Reader:
    """Takes one value after the other out of decoded JSON, and says which one is wrong."""

    def __init__(self, where: str, content: object) -> None:
        self.where = where
        if not isinstance(content, dict):
            raise InputError(f"{where}: is {_said(content)}; right is one JSON object")
        self.words: dict[str, Any] = content

    def wrong(self, key: str, value: object, right: str) -> InputError:
        return InputError(f"{self.where}: {key}: {_said(value)} is wrong; right is {right}")

    def record(self) -> Measurement:
        known = {"format", *(field.name for field in dataclasses.fields(Measurement))}
        for key in self.words:
            if key not in known:
                raise self.wrong("key", key, f"one of {', '.join(sorted(known))}")
        if self.words.get("format") != FORMAT:
            raise self.wrong("format", self.words.get("format"), f"{FORMAT}")
        capacity = self.seconds("capacity_seconds")
        return Measurement(
            ups=self.name("ups"),
            on=self.date("on"),
            how=self.one_of("how", How),
            capacity_seconds=_whole(capacity),
            load_percent=self.load("load_percent"),
            curve=self.curve(),
            ob_seen_seconds=self.seconds("ob_seen_seconds", zero=True),
            moved=self.moved(),
            lb_seen=self.truth("lb_seen") or False,
            ol_discharge=self.maybe_one_of("ol_discharge", OnLineDischarge),
            cut=self.maybe_one_of("cut", Cut),
            cuts_on_line=self.truth("cuts_on_line"),
            off_seconds=self.seconds("off_seconds", zero=True),
            returned=self.truth("returned"),
            until=self.maybe_one_of("until", Until),
            history=self.history(),
        )

    def name(self, key: str) -> str:
        value = self.words.get(key)
        if not isinstance(value, str) or not value or "/" in value:
            raise self.wrong(key, value, "the name of a UPS")
        return value

    def date(self, key: str) -> datetime.date:
        value = self.words.get(key)
        try:
            return datetime.date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            raise self.wrong(key, value, "a date such as 2026-05-31") from None

    def one_of(self, key: str, kind: Any) -> Any:  # noqa: ANN401  # a Literal
        value = self.words.get(key)
        if value not in get_args(kind):
            raise self.wrong(key, value, " or ".join(get_args(kind)))
        return value

    def maybe_one_of(self, key: str, kind: Any) -> Any:  # noqa: ANN401  # a Literal
        return None if self.words.get(key) is None else self.one_of(key, kind)

    def truth(self, key: str) -> bool | None:
        value = self.words.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, value, "true, false or null")
        return value

    def number(self, key: str, right: str) -> float | None:
        try:
            return _number(self.words.get(key))
        except ValueError:
            raise self.wrong(key, self.words.get(key), right) from None

    def seconds(self, key: str, *, zero: bool = False) -> float | None:
        """Return a time; 0 is one only where `zero`: a capacity of 0 s would be "unknown"."""
        right = f"seconds, {'0 or more' if zero else 'above 0'}, or null when not known"
        value = self.number(key, right)
        if value is not None and (value < 0 or not (value or zero)):
            raise self.wrong(key, value, right)
        return value

    def load(self, key: str) -> float | None:
        right = "a percentage above 0, or null when not known"
        value = self.number(key, right)
        if value is not None and not 0 < value <= MOST_LOAD:
            raise self.wrong(key, value, right)
        return value

    def moved(self) -> Moved:
        value = self.words.get("moved", {})
        names = {field.name for field in dataclasses.fields(Moved)}
        right = f"true or false for each of {', '.join(sorted(names))}"
        if not isinstance(value, dict) or not set(value) <= names:
            raise self.wrong("moved", value, right)
        if not all(isinstance(one, bool) for one in value.values()):
            raise self.wrong("moved", value, right)
        return Moved(**value)

    def curve(self) -> tuple[Point, ...]:
        curve: list[Point] = []
        for number, row in enumerate(self.rows("curve", list)):
            key = f"curve[{number}]"
            try:
                seconds, charge, voltage, runtime = map(_number, row)
            except ValueError:
                right = "[seconds, charge, voltage, runtime], null for unknown"
                raise self.wrong(key, row, right) from None
            if seconds is None or seconds < 0 or (curve and seconds <= curve[-1].seconds):
                raise self.wrong(key, row, "a time later than that of the point before it")
            if any(one is not None and one < 0 for one in (charge, voltage, runtime)):
                raise self.wrong(key, row, "nothing below 0")
            if charge is not None and charge > 100:  # noqa: PLR2004  # percent
                raise self.wrong(key, row, "a charge of at most 100")
            curve.append(Point(seconds, charge, voltage, runtime))
        return tuple(curve)

    def rows(self, key: str, kind: type) -> list[Any]:
        value = self.words.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise self.wrong(key, value, f"a list of {'lists' if kind is list else 'objects'}")
        return value

    def history(self) -> tuple[Past, ...]:
        rows = enumerate(self.rows("history", dict))
        past = []
        for number, row in rows:
            inner = _Reader(f"{self.where}: history[{number}]", row)
            capacity = _whole(inner.seconds("capacity_seconds"))
            past.append(
                Past(
                    inner.date("on"),
                    inner.one_of("how", How),
                    capacity,
                    inner.load("load_percent"),
                    inner.seconds("ob_seen_seconds", zero=True),
                )
            )
        return tuple(past)


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        message = "no number"
        raise ValueError(message)
    return value


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _said(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:60]
