"""What Prometheus reads of the UPSes: a text file for node_exporter's textfile collector.

Base units as Prometheus asks for (seconds, volts, ratios of 1); a value that is not known is
absent, never 0. Standard library only.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.power.readings import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from releve.power.battery import Outcome
    from releve.power.measurement import Measurement
    from releve.power.readings import Readings

FAMILIES = {
    "nut_ups_up": "Whether upsd has fresh data of the UPS.",
    "nut_ups_status": "Whether the status holds this word.",
    "nut_ups_battery_charge_ratio": "Charge of the battery, where the UPS measures it.",
    "nut_ups_battery_runtime_seconds": "Runtime left, as the UPS says.",
    "nut_ups_battery_voltage_volts": "Voltage of the battery.",
    "nut_ups_input_voltage_volts": "Voltage of the mains.",
    "nut_ups_load_ratio": "Load, of what the UPS can carry.",
    "releve_power_alarm": "Whether this is wrong now.",
    "releve_power_battery_capacity_seconds": "Runtime from full that was measured.",
    "releve_power_battery_replace_timestamp_seconds": "When the battery is due.",
    "releve_power_battery_test_timestamp_seconds": "When this kind of test was last made.",
    "releve_power_battery_test_passed": "Whether the last test of this kind passed.",
    "releve_power_changed_timestamp_seconds": "When the UPS last said something new.",
    "releve_power_commissioning": "Whether no capacity was ever measured.",
    "releve_power_spool_alarms": "Alarms that wait for being sent.",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of one UPS at a look; `readings` None: upsd had no fresh data."""

    ups: str
    readings: Readings | None
    alarms: Mapping[str, str]
    changed: float
    measured: Measurement | None = None
    due: datetime.date | None = None
    tests: tuple[Outcome, ...] = ()


class Page:
    """Rows by metric; what is None is left out."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[str, list[str]] = {name: [] for name in FAMILIES}

    def add(self, name: str, value: float | None, **labels: str) -> None:
        """Add a sample of one of FAMILIES."""
        if value is None:
            return
        inner = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
        where = f"{name}{{{inner}}}" if labels else name
        self.rows[name].append(f"{where} {float(value):.15g}")

    def text(self) -> str:
        """Return the file, metrics without a sample left out."""
        lines = []
        for name, rows in self.rows.items():
            if rows:
                lines += [f"# HELP {name} {FAMILIES[name]}", f"# TYPE {name} gauge", *rows]
        return "\n".join(lines) + "\n"


def text_of(snapshots: Iterable[Snapshot], waiting: int, topics: Iterable[str]) -> str:
    """Return the file; `topics` are the alarms that are told as 0 while they are not raised."""
    page, names = Page(), set(topics)
    for one in snapshots:
        _add_readings(page, one)
        for topic in sorted(names | one.alarms.keys()):
            page.add("releve_power_alarm", topic in one.alarms, ups=one.ups, alarm=topic)
        _add_battery(page, one)
    page.add("releve_power_spool_alarms", waiting)
    return page.text()


def write(file: Path, text: str) -> None:
    """Write the file whole or not at all; a collector takes no name but `*.prom`."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o644)
    part.replace(file)


def _add_readings(page: Page, one: Snapshot) -> None:
    readings = one.readings
    page.add("nut_ups_up", readings is not None, ups=one.ups)
    if readings is None:
        return
    for word in sorted(TOKENS | readings.status):
        page.add("nut_ups_status", word in readings.status, ups=one.ups, status=word)
    page.add("nut_ups_battery_charge_ratio", _ratio(readings.charge), ups=one.ups)
    page.add("nut_ups_battery_runtime_seconds", readings.runtime, ups=one.ups)
    page.add("nut_ups_battery_voltage_volts", readings.voltage, ups=one.ups)
    page.add("nut_ups_input_voltage_volts", readings.input_voltage, ups=one.ups)
    page.add("nut_ups_load_ratio", _ratio(readings.load), ups=one.ups)


def _add_battery(page: Page, one: Snapshot) -> None:
    capacity = one.measured.capacity_seconds if one.measured else None
    page.add("releve_power_commissioning", capacity is None, ups=one.ups)
    page.add("releve_power_battery_capacity_seconds", capacity, ups=one.ups)
    page.add("releve_power_changed_timestamp_seconds", one.changed, ups=one.ups)
    if one.due is not None:
        due = datetime.datetime.combine(one.due, datetime.time(), datetime.UTC).timestamp()
        page.add("releve_power_battery_replace_timestamp_seconds", due, ups=one.ups)
    for kind in ("quick", "deep"):
        tests = [test for test in one.tests if test.kind == kind]
        if tests:
            labels = {"ups": one.ups, "kind": kind}
            page.add("releve_power_battery_test_timestamp_seconds", tests[-1].at, **labels)
            page.add("releve_power_battery_test_passed", tests[-1].passed, **labels)


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
