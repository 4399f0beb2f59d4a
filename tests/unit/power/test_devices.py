"""Devices as they are sold, one oddity each: what each of them can be believed about.

Decided by the table of the ladder (docs/explanation/ups-ladder.md) before the reader saw them. The
site needs 600 s, a measured battery carries 1,800 s, four fifths of it are counted on.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from releve.power.dump import parse
from releve.power.ladder import (
    Known,
    Moment,
    Site,
    as_on_battery,
    decide,
    rung_of,
    warnings_of,
)
from releve.power.readings import read

# A line-interactive UPS of 24 V on USB, of which nothing has to be said.
PLAIN = {
    "device.type": "ups", "driver.name": "usbhid-ups", "ups.status": "OL",
    "battery.charge": "100", "battery.runtime": "3001", "ups.load": "20",
    "battery.voltage": "27.2", "battery.voltage.nominal": "24.0",
    "input.voltage": "231.0", "input.voltage.nominal": "230",
}  # fmt: skip
Values = dict[str, str | None]
NO_RUNTIME: Values = {"battery.runtime": None}
NO_CHARGE: Values = {"battery.charge": None}
NO_LOAD: Values = {"ups.load": None}
NO_VOLTAGE: Values = {"battery.voltage": None}
NO_INPUT: Values = {"input.voltage": None, "input.voltage.nominal": None}
QX: Values = {"driver.name": "nutdrv_qx", **NO_RUNTIME}


class Device(NamedTuple):
    changed: Values
    rung: str
    now: str
    on_battery: str
    warnings: str = ""


def with_runtime(text: str) -> Values:
    return {"battery.runtime": text}


def with_status(text: str, **values: str) -> Values:
    return {"ups.status": text, **{name.replace("_", "."): one for name, one in values.items()}}


DEVICES: dict[str, Device] = {
    "plain": Device({}, "runtime", "none", "ride"),
    # --- runtime ---------------------------------------------------------------------------------
    "just enough": Device(with_runtime("750"), "runtime", "none", "ride"),
    "a second less": Device(with_runtime("749"), "runtime", "none", "stop"),
    "whole minutes, enough": Device(with_runtime("840"), "runtime", "none", "ride", "RT_GRAIN_60"),
    "whole minutes, a minute less": Device(
        with_runtime("780"), "runtime", "none", "stop", "RT_GRAIN_60"
    ),
    "leading zeros": Device(with_runtime("00749"), "runtime", "none", "stop"),
    "seconds with a point": Device(with_runtime("1234.5"), "runtime", "none", "ride"),
    "ten hours": Device(with_runtime("36000"), "runtime", "none", "ride", "RT_HUGE RT_GRAIN_60"),
    "no runtime": Device(NO_RUNTIME, "estimate", "none", "ride", "RT_MISSING"),
    "empty": Device(with_runtime(""), "estimate", "none", "ride", "RT_MISSING"),
    "nought": Device(with_runtime("0"), "estimate", "none", "ride", "RT_ZERO"),
    "minus one": Device(with_runtime("-1"), "estimate", "none", "ride", "RT_NEGATIVE"),
    "65535": Device(with_runtime("65535"), "estimate", "none", "ride", "RT_SENTINEL"),
    "2147483647": Device(with_runtime("2147483647"), "estimate", "none", "ride", "RT_SENTINEL"),
    "as large as can be": Device(with_runtime("9" * 400), "estimate", "none", "ride", "RT_TEXT"),
    "a clock": Device(with_runtime("36:00"), "estimate", "none", "ride", "RT_TEXT"),
    "with its unit": Device(with_runtime("3600 s"), "estimate", "none", "ride", "RT_TEXT"),
    "a comma": Device(with_runtime("1,200"), "estimate", "none", "ride", "RT_TEXT"),
    "not a number": Device(with_runtime("nan"), "estimate", "none", "ride", "RT_TEXT"),
    "Arabic digits": Device(with_runtime("\u0663\u0660"), "estimate", "none", "ride", "RT_TEXT"),
    "minutes, it seems": Device(with_runtime("45"), "estimate", "none", "ride", "RT_TINY"),
    "45 s on battery are 45 s": Device(
        with_runtime("45") | with_status("OB DISCHRG") | NO_INPUT, "runtime", "stop", "stop"
    ),
    "minutes, as was said": Device(
        with_runtime("20") | {"battery.runtime.unit": "minutes"}, "runtime", "none", "ride",
        "RT_GRAIN_60",
    ),
    "few minutes, as was said": Device(
        with_runtime("12") | {"battery.runtime.unit": "minutes"}, "runtime", "none", "stop",
        "RT_GRAIN_60",
    ),
    "reckoned from a table": Device(
        {"driver.parameter.runtimecal": "240,100,720,50"}, "estimate", "none", "ride", "RT_GUESSED"
    ),
    # --- charge and load -------------------------------------------------------------------------
    "42 %": Device(NO_RUNTIME | {"battery.charge": "42"}, "estimate", "none", "ride", "RT_MISSING"),
    "41 %": Device(NO_RUNTIME | {"battery.charge": "41"}, "estimate", "none", "stop", "RT_MISSING"),
    "89 % with zeros": Device(
        NO_RUNTIME | {"battery.charge": "089.0"}, "estimate", "none", "ride", "RT_MISSING"
    ),
    "a charge beside a runtime stops nobody": Device(
        {"battery.charge": "5"}, "runtime", "none", "ride"
    ),
    "no load": Device(NO_RUNTIME | NO_LOAD, "charge", "none", "ride", "RT_MISSING LD_MISSING"),
    "a load of nothing": Device(
        NO_RUNTIME | {"ups.load": "0"}, "charge", "none", "ride", "RT_MISSING LD_ZERO"
    ),
    "a load of 562020": Device({"ups.load": "562020"}, "runtime", "none", "ride", "LD_RANGE"),
    "a load of 2.3e254": Device({"ups.load": "2.3e254"}, "runtime", "none", "ride", "LD_RANGE"),
    "a load in watts": Device(
        NO_RUNTIME | NO_LOAD | {"ups.realpower": "120", "ups.realpower.nominal": "480"},
        "estimate", "none", "ride", "RT_MISSING LD_MISSING LD_FROM_POWER",
    ),
    "0 % on line": Device(
        NO_RUNTIME | {"battery.charge": "0"}, "voltage", "none", "ride",
        "RT_MISSING CH_ZERO_ON_LINE",
    ),
    "0 % on battery": Device(
        NO_RUNTIME | NO_INPUT | with_status("OB", battery_charge="0"), "estimate", "stop", "stop",
        "RT_MISSING",
    ),
    "255 %": Device(
        NO_RUNTIME | {"battery.charge": "255"}, "voltage", "none", "ride", "RT_MISSING CH_RANGE"
    ),
    "100.5 %": Device(
        NO_RUNTIME | {"battery.charge": "100.5"}, "voltage", "none", "ride", "RT_MISSING CH_RANGE"
    ),
    "a sign behind it": Device(
        NO_RUNTIME | {"battery.charge": "97%"}, "voltage", "none", "ride", "RT_MISSING CH_TEXT"
    ),
    # --- voltage, and nothing at all -------------------------------------------------------------
    "a Q protocol, charge guessed": Device(
        QX, "voltage", "none", "ride", "RT_MISSING CH_GUESSED"
    ),
    "a Q protocol of 40 %, which is no charge": Device(
        QX | {"battery.charge": "40"}, "voltage", "none", "ride", "RT_MISSING CH_GUESSED"
    ),
    "a Q protocol without a voltage": Device(
        QX | NO_VOLTAGE, "time", "none", "ride", "RT_MISSING BV_MISSING"
    ),
    "one cell of many": Device(
        {"battery.voltage": "2.27"}, "runtime", "none", "ride", "BV_PER_CELL"
    ),
    "no such battery": Device({"battery.voltage": "4.0"}, "runtime", "none", "ride", "BV_ABSURD"),
    "a voltage with a comma": Device(
        {"battery.voltage": "27,3"}, "runtime", "none", "ride", "BV_TEXT"
    ),
    "a voltage with a point behind": Device(
        {"battery.voltage": "10000000."}, "runtime", "none", "ride", "BV_TEXT"
    ),
    "contacts alone": Device(
        NO_RUNTIME | NO_CHARGE | NO_LOAD | NO_VOLTAGE | NO_INPUT | {"driver.name": "genericups"},
        "time", "none", "ride", "RT_MISSING CH_MISSING LD_MISSING BV_MISSING",
    ),
    # --- status ----------------------------------------------------------------------------------
    "charging and low": Device(
        with_status("OL CHRG LB", battery_charge="12"), "runtime", "none", "stop", "ST_LB_ON_LINE"
    ),
    "full and low": Device(
        with_status("OL LB"), "runtime", "none", "stop", "ST_LB_ON_LINE CH_FULL_LB"
    ),
    "low": Device(
        NO_INPUT | with_status("OB LB", battery_charge="12"), "runtime", "stop", "stop"
    ),
    "boost alone": Device(with_status("BOOST"), "runtime", "none", "ride", "ST_IMPLIED_OL"),
    "trim beside it": Device(with_status("OL TRIM"), "runtime", "none", "ride"),
    "commas between": Device(with_status("OL,CHRG"), "runtime", "none", "ride"),
    "small letters": Device(
        with_status("ol chrg"), "refuse", "refuse", "refuse", "ST_NO_POWER_TOKEN ST_UNKNOWN_TOKEN"
    ),
    "an alarm before it": Device(
        with_status("ALARM OL CHRG"), "runtime", "none", "ride", "ST_ALARM"
    ),
    "economy": Device(with_status("OL ECO HE"), "runtime", "none", "ride", "ST_ECO"),
    "a word of tomorrow": Device(
        with_status("OL OVERHEAT"), "runtime", "none", "ride", "ST_UNKNOWN_TOKEN"
    ),
    "an APC that says DISCHRG on the mains": Device(
        with_status("OL DISCHRG"), "runtime", "none", "ride", "ST_OL_DISCHRG"
    ),
    "on battery with its mains": Device(
        with_status("OB DISCHRG"), "runtime", "ride", "ride", "ST_OB_INPUT_OK"
    ),
    "on line without": Device(
        with_status("OL", input_voltage="0.0"), "runtime", "none", "ride", "ST_OL_INPUT_DEAD"
    ),
    "both": Device(with_status("OL OB"), "refuse", "refuse", "refuse", "ST_OL_OB"),
    "off": Device(with_status("OFF"), "refuse", "refuse", "refuse", "ST_NO_POWER_TOKEN ST_OFF"),
    "on line, output off": Device(with_status("OL OFF"), "runtime", "none", "ride", "ST_OFF"),
    "no word": Device(with_status(""), "refuse", "refuse", "refuse", "ST_EMPTY"),
    "no status": Device({"ups.status": None}, "refuse", "refuse", "refuse", "ST_MISSING"),
    "waiting": Device(
        with_status("WAIT"), "refuse", "refuse", "refuse", "ST_NO_POWER_TOKEN ST_WAIT"
    ),
    "a shutdown that nobody set": Device(
        with_status("OL FSD"), "refuse", "refuse", "refuse", "ST_FSD"
    ),
    "a PDU": Device({"device.type": "PDU"}, "refuse", "refuse", "refuse", "NOT_UPS"),
    # --- what else it says -----------------------------------------------------------------------
    "its own thresholds": Device(
        {"battery.charge.low": "95", "battery.runtime.low": "3"}, "runtime", "none", "ride",
        "CL_ABSURD RL_ABSURD",
    ),
    "delays": Device(
        {"ups.delay.shutdown": "20", "ups.delay.start": "20"}, "runtime", "none", "ride",
        "DL_SHORT DL_ORDER",
    ),
    "no delays": Device(
        {"ups.delay.shutdown": "-1", "ups.timer.shutdown": "-1"}, "runtime", "none", "ride",
        "DL_UNSET",
    ),
    "a timer that runs": Device(
        {"ups.timer.shutdown": "55"}, "runtime", "none", "ride", "TM_ARMED"
    ),
    "a date of the factory": Device(
        {"battery.mfr.date": "2001/09/25"}, "runtime", "none", "ride", "BD_BOGUS"
    ),
    "a maker for a date": Device(
        {"battery.mfr.date": "CPS"}, "runtime", "none", "ride", "BD_BOGUS"
    ),
    "a real date": Device({"battery.date": "11/24/25"}, "runtime", "none", "ride"),
    "a driver of the past": Device(
        {"driver.name": "newhidups"}, "runtime", "none", "ride", "DRV_GONE"
    ),
}  # fmt: skip


def printed(changed: Values) -> str:
    values = PLAIN | changed
    return "".join(f"{name}: {value}\n" for name, value in values.items() if value is not None)


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_believed_as_far_as_it_can_be(name: str) -> None:
    device = DEVICES[name]
    readings = read(parse(printed(device.changed)).variables)
    site, known = Site(need=600, derate=0.8), Known(capacity_seconds=1800)
    moment = Moment(on_battery=10, spent=10, lb_held=site.lb_debounce)
    told = (
        rung_of(readings),
        decide(readings, site, known, moment).decision,
        decide(as_on_battery(readings), site, known, moment).decision,
    )
    assert told == (device.rung, device.now, device.on_battery)
    assert {*warnings_of(readings)} == {*device.warnings.split()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_dump_is_read_in_whatever_it_was_kept(encoding: str) -> None:
    text = "Init SSL without certificate database\r\n" + printed({"ups.id": "r\xe9seau"})
    values = parse(text.replace("\n", "\r\n").encode(encoding)).variables
    assert {name: values[name] for name in PLAIN} == PLAIN
