"""A raw value becomes a number only where it can be one; each other one is named."""

from __future__ import annotations

import pytest

from releve.power.readings import Readings, believable_date, number, read, seconds_of

SANE = {
    "battery.charge": "90",
    "battery.runtime": "1801",
    "battery.voltage": "26.4",
    "battery.voltage.nominal": "24",
    "driver.name": "usbhid-ups",
    "input.voltage": "231",
    "input.voltage.nominal": "230",
    "ups.delay.shutdown": "60",
    "ups.delay.start": "120",
    "ups.load": "25",
    "ups.status": "OL CHRG",
}


def reading(**changes: str | None) -> Readings:
    """Return what is read of a sane UPS with these variables changed (`_` for `.`)."""
    raw = {**SANE, **{name.replace("_", "."): value for name, value in changes.items()}}
    return read({name: value for name, value in raw.items() if value is not None})


def test_a_sane_ups_is_read_without_a_warning() -> None:
    found = reading()

    assert (found.mains, found.charge, found.runtime, found.grain) == ("on", 90, 1801, 0)
    assert (found.load, found.voltage, found.input_alive) == (25, 26.4, True)
    assert (found.delay_shutdown, found.delay_start) == (60, 120)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100", 100), ("089.0", 89), ("00687", 687), (" 5.2 ", 5.2), ("-60.0", -60), ("+3", 3),
        ("2.3e+02", 230), ("1.5E1", 15),
        ("36:00", None), ("1:57", None), ("95 %", None), ("100%", None), ("N/A", None), ("", None),
        ("XX.X", None), ("10000000.", None), ("1,5", None), ("nan", None), ("inf", None),
        ("1e999", None), ("0x64", None), ("\uff11\uff10", None), ("1_000", None), ("--5", None),
        (None, None),
    ],
)  # fmt: skip
def test_only_a_plain_decimal_is_a_number(text: str | None, value: float | None) -> None:
    assert number(text) == value


def test_a_comma_is_a_point_only_for_voltages() -> None:
    assert number("13,6", comma=True) == 13.6
    assert number("1,300.5", comma=True) is None

    found = reading(battery_voltage="26,4", battery_charge="90,5", battery_runtime="1801,0")

    assert (found.voltage, found.charge, found.runtime) == (26.4, None, None)
    assert found.warnings == ("CH_TEXT", "RT_TEXT", "BV_TEXT")


@pytest.mark.parametrize(
    ("status", "mains", "warnings"),
    [
        ("OL", "on", ()),
        ("OL CHRG TRIM", "on", ()),
        ("HB OL", "on", ()),
        ("OB DISCHRG", "off", ("ST_OB_INPUT_OK",)),
        ("OB OFF OB", "off", ("ST_OB_INPUT_OK", "ST_OFF")),
        ("TRIM", "on", ("ST_IMPLIED_OL",)),
        ("BOOST BYPASS", "on", ("ST_IMPLIED_OL", "ST_BYPASS")),
        ("OFF", "unknown", ("ST_NO_POWER_TOKEN", "ST_OFF")),
        ("CAL DISCHRG", "unknown", ("ST_NO_POWER_TOKEN", "ST_CAL")),
        ("WAIT", "unknown", ("ST_NO_POWER_TOKEN", "ST_WAIT")),
        ("", "unknown", ("ST_EMPTY",)),
        (None, "unknown", ("ST_MISSING",)),
        ("OL OB", "unknown", ("ST_OL_OB",)),
        ("OL DISCHRG OB", "unknown", ("ST_OL_OB",)),
        ("OL DISCHRG", "on", ("ST_OL_DISCHRG",)),
        ("OL LB", "on", ("ST_LB_ON_LINE", "CH_FULL_LB")),
        ("OB LB", "off", ("ST_OB_INPUT_OK", "CH_FULL_LB")),
        ("FSD OL", "on", ("ST_FSD",)),
        ("OL HE", "on", ("ST_ECO",)),
        ("OL ECO RB OVER", "on", ("ST_ECO", "ST_OVER", "ST_RB")),
        ("OL CAL", "on", ("ST_CAL",)),
        ("OL QUANTUM", "on", ("ST_UNKNOWN_TOKEN",)),
    ],
)
def test_the_status_is_read_by_its_words(
    status: str | None, mains: str, warnings: tuple[str, ...]
) -> None:
    found = reading(ups_status=status)

    assert found.mains == mains
    assert set(found.warnings) == set(warnings)


@pytest.mark.parametrize(
    ("runtime", "value", "warnings"),
    [
        (None, None, {"RT_MISSING"}),
        ("", None, {"RT_MISSING"}),
        ("N/A", None, {"RT_TEXT"}),
        ("64:41", None, {"RT_TEXT"}),
        ("0", None, {"RT_ZERO"}),
        ("00000", None, {"RT_ZERO"}),
        ("-1", None, {"RT_NEGATIVE"}),
        ("65535", None, {"RT_SENTINEL"}),
        ("3932100", None, {"RT_SENTINEL"}),
        ("4294967295", None, {"RT_SENTINEL"}),
        ("345601", None, {"RT_SENTINEL"}),
        ("32", None, {"RT_TINY"}),
        ("60", None, {"RT_TINY"}),
        ("61", 61, set()),
        ("1800", 1800, {"RT_GRAIN_60"}),
        ("21660", 21660, {"RT_GRAIN_60", "RT_HUGE"}),
        ("35551", 35551, {"RT_HUGE"}),
    ],
)
def test_a_runtime_is_believed_or_named(
    runtime: str | None, value: float | None, warnings: set[str]
) -> None:
    found = reading(battery_runtime=runtime)

    assert found.runtime == value
    assert set(found.warnings) == warnings


def test_a_low_runtime_on_battery_is_believed() -> None:
    assert reading(battery_runtime="32", ups_status="OB", input_voltage="0").runtime == 32


def test_a_runtime_that_the_driver_reckons_is_none() -> None:
    found = reading(driver_parameter_runtimecal="210,100,660,50")

    assert found.runtime is None
    assert "RT_GUESSED" in found.warnings


@pytest.mark.parametrize(
    ("charge", "value", "warnings"),
    [
        (None, None, {"CH_MISSING"}),
        ("full", None, {"CH_TEXT"}),
        ("-197.6", None, {"CH_RANGE"}),
        ("100.5", None, {"CH_RANGE"}),
        ("255", None, {"CH_RANGE"}),
        ("000", None, {"CH_ZERO_ON_LINE"}),
        ("1", None, {"CH_ZERO_ON_LINE"}),
        ("2", 2, set()),
        ("100.0", 100, set()),
    ],
)
def test_a_charge_is_believed_or_named(
    charge: str | None, value: float | None, warnings: set[str]
) -> None:
    found = reading(battery_charge=charge)

    assert found.charge == value
    assert set(found.warnings) == warnings


def test_an_empty_battery_is_believed_when_the_mains_are_gone() -> None:
    assert reading(battery_charge="0", ups_status="OB LB", input_voltage="0").charge == 0


@pytest.mark.parametrize("driver", ["blazer_usb", "nutdrv_qx", "tripplite", "tripplite_usb"])
def test_a_charge_that_the_driver_guesses_is_kept_apart(driver: str) -> None:
    found = reading(driver_name=driver)

    assert (found.charge, found.charge_guess) == (None, 90)


@pytest.mark.parametrize(
    ("load", "value", "warning"),
    [
        (None, None, "LD_MISSING"),
        ("0", None, "LD_ZERO"),
        ("0.2", None, "LD_ZERO"),
        ("520", None, "LD_RANGE"),
        ("-3", None, "LD_RANGE"),
        ("2.3e254", None, "LD_RANGE"),
        ("low", None, "LD_TEXT"),
    ],
)
def test_a_load_is_believed_or_named(load: str | None, value: float | None, warning: str) -> None:
    found = reading(ups_load=load)

    assert found.load == value
    assert found.warnings == (warning,)


def test_a_missing_load_is_reckoned_from_the_power() -> None:
    found = reading(ups_load="0", ups_power="186", ups_power_nominal="1000")

    assert found.load == pytest.approx(18.6)
    assert set(found.warnings) == {"LD_ZERO", "LD_FROM_POWER"}


@pytest.mark.parametrize(
    ("volts", "nominal", "warning", "believed"),
    [
        (None, "24", "BV_MISSING", False),
        ("10000000.", "0.0", "BV_TEXT", False),
        ("0.0", "24", "BV_ABSURD", False),
        ("0.0", None, "BV_ABSURD", False),
        ("1.0", "1.0", "BV_ABSURD", False),
        ("16.0", "24", "BV_ABSURD", False),
        ("26.2", "12", "BV_ABSURD", False),
        ("2.29", "96", "BV_PER_CELL", True),
        ("2.29", None, None, True),
        ("540.3", "0.0", None, True),
        ("25.6", "-1.00", None, True),
        ("4.113", "4.180", None, True),
    ],
)
def test_a_battery_voltage_is_held_against_its_nominal(
    volts: str | None, nominal: str | None, warning: str | None, believed: bool
) -> None:
    found = reading(battery_voltage=volts, battery_voltage_nominal=nominal)

    assert (found.voltage is not None) == believed
    assert found.warnings == ((warning,) if warning else ())


@pytest.mark.parametrize(
    ("volts", "nominal", "status", "warning"),
    [
        ("0.0", "120", "OL", "ST_OL_INPUT_DEAD"),
        ("0.0", None, "OL", None),  # nothing says that it is in volts of the mains
        ("1.0", "1", "OL", None),
        ("5.0", None, "OL", None),
        ("0.0", "120", "OB", None),
        ("118", "120", "OB", "ST_OB_INPUT_OK"),
        ("606.62", None, "OB", None),
        ("2320", "230", "OB", None),
        ("-6437.0", "120", "OL", None),  # nonsense, and no sign of a cut
    ],
)
def test_the_input_voltage_is_evidence_only_beside_a_nominal(
    volts: str, nominal: str | None, status: str, warning: str | None
) -> None:
    found = reading(input_voltage=volts, input_voltage_nominal=nominal, ups_status=status)

    assert found.warnings == ((warning,) if warning else ())


def test_a_voltage_below_zero_is_none() -> None:
    assert reading(input_voltage="-6437.0").input_voltage is None
    assert reading(input_voltage="0.0").input_voltage == 0


@pytest.mark.parametrize(
    ("shutdown", "start", "warnings"),
    [
        ("20", "30", {"DL_SHORT"}),
        ("020", "000", {"DL_SHORT", "DL_ORDER"}),
        ("60", "60", {"DL_ORDER"}),
        ("-1", "-1", {"DL_UNSET"}),
        ("0", "2", {"DL_UNSET"}),
        ("65535", None, {"DL_UNSET"}),
        (None, "0", set()),
        ("120", None, set()),
    ],
)
def test_the_delays_are_looked_at(
    shutdown: str | None, start: str | None, warnings: set[str]
) -> None:
    assert set(reading(ups_delay_shutdown=shutdown, ups_delay_start=start).warnings) == warnings


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"battery_charge_low": "100"}, "CL_ABSURD"),
        ({"battery_charge_low": "0"}, "CL_ABSURD"),
        ({"battery_runtime_low": "3"}, "RL_ABSURD"),
        ({"battery_runtime_low": "7200"}, "RL_ABSURD"),
        ({"battery_mfr_date": "CPS"}, "BD_BOGUS"),
        ({"battery_date": "2001/09/25"}, "BD_BOGUS"),
        ({"ups_timer_shutdown": "60"}, "TM_ARMED"),
        ({"driver_name": "newhidups"}, "DRV_GONE"),
        ({"device_type": "pdu"}, "NOT_UPS"),
    ],
)
def test_what_else_is_wrong_is_named(changes: dict[str, str], warning: str) -> None:
    assert reading(**changes).warnings == (warning,)


@pytest.mark.parametrize(
    "changes",
    [
        {"battery_charge_low": "89"},
        {"battery_runtime_low": "3600"},
        {"battery_date": "10/25/93"},
        {"ups_timer_shutdown": "65535"},
        {"ups_timer_shutdown": "-60"},
        {"ups_mfr_date": "00/00/00"},
        {"device_type": "HAT"},
    ],
)
def test_what_is_right_is_not_named(changes: dict[str, str]) -> None:
    assert reading(**changes).warnings == ()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2022/10/25", True), ("2021-04-15", True), ("10/25/93", True), ("08/08/2015", True),
        ("11/6/03", True), ("11172014", True), ("12OCT04", True), ("31/12/2019", True),
        ("13.05.2019", True), ("20190513", True), ("32/12/2019", False), ("20191350", False),
        ("CPS", False), ("not set", False), ("", False), ("?", False), ("1", False),
        ("2001/09/25", False), ("2001/01/01", False), ("1980/01/01", False), ("00/00/00", False),
        ("2065/165/165", False), ("3150/08/01", False), ("2007/13/01", False),
    ],
)  # fmt: skip
def test_a_date_is_one_that_a_battery_may_have(text: str, good: bool) -> None:
    assert believable_date(text) == good


def test_on_battery_without_a_value_is_refused() -> None:
    blind = read({"ups.status": "OB", "battery.type": "PbAcid", "driver.name": "usbhid-ups"})

    assert blind.refusals == ("ST_OB_BLIND",)
    assert read({"ups.status": "OB", "battery.charge": "50"}).refusals == ()


@pytest.mark.parametrize(
    ("text", "value", "warned"),
    [
        ("20", 1200, False), ("1", 60, False), ("65535", None, True), ("0", None, False),
        ("9999", None, True), ("20:00", None, False), ("-3", None, False),
    ],
)  # fmt: skip
def test_minutes_are_minutes_only_where_the_site_says_so(
    text: str, value: float | None, warned: bool
) -> None:
    found = reading(battery_runtime=text, battery_runtime_unit="minutes")

    assert found.runtime == value
    assert ("RT_SENTINEL" in found.warnings) is warned
    assert "RT_TINY" not in found.warnings
    assert found.grain == (60 if value else 0)


@pytest.mark.parametrize("unit", [None, "seconds", "Minutes", ""])
def test_a_small_runtime_is_never_multiplied_by_a_guess(unit: str | None) -> None:
    found = reading(battery_runtime="20", battery_runtime_unit=unit)

    assert found.runtime is None
    assert "RT_TINY" in found.warnings


def test_a_threshold_in_minutes_makes_sense() -> None:
    low = {"battery_runtime": "20", "battery_runtime_low": "5"}

    assert "RL_ABSURD" in reading(**low).warnings
    assert "RL_ABSURD" not in reading(**low, battery_runtime_unit="minutes").warnings
    assert seconds_of({"battery.runtime.low": "5"}, "battery.runtime.low") == 5


def test_thresholds_of_ours_are_not_judged_as_the_device_s() -> None:
    ours = {"battery_charge_low": "93", "battery_runtime_low": "4000"}

    assert {"CL_ABSURD", "RL_ABSURD"} <= {*reading(**ours).warnings}
    assert reading(**ours, driver_flag_ignorelb="enabled").warnings == ()
