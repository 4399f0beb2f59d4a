"""A limit by the hours of the week: which rate holds when, and what is said of a bad one."""

from __future__ import annotations

import datetime
import math

import pytest

from releve.blocks.extents import Range
from releve.blocks.pace import Jobs, Meter, forecast
from releve.blocks.schedule import ScheduleError, parse

MONDAY = datetime.date(2026, 11, 23)
PAUSE, FREE = 0.0, math.inf


def at(day: str, clock: str) -> datetime.datetime:
    number = ("mo", "tu", "we", "th", "fr", "sa", "su").index(day)
    time = datetime.time.fromisoformat(clock)
    moment = datetime.datetime.combine(MONDAY + datetime.timedelta(days=number), time)
    return moment.astimezone()


@pytest.mark.parametrize(
    ("text", "day", "clock", "rate"),
    [
        ("0", "mo", "12:00", FREE),
        ("12.5", "su", "03:00", 12.5),
        ("mo-fr 08:00-18:00 20", "mo", "08:00", 20),
        ("mo-fr 08:00-18:00 20", "fr", "17:59", 20),
        ("mo-fr 08:00-18:00 20", "fr", "18:00", FREE),
        ("mo-fr 08:00-18:00 20", "sa", "12:00", FREE),
        ("mo,we 20", "tu", "12:00", FREE),
        ("mo,we 20", "we", "00:00", 20),
        ("fr-mo 20", "su", "12:00", 20),
        ("fr-mo 20", "tu", "12:00", FREE),
        ("22:00-06:00 5", "mo", "23:00", 5),
        ("22:00-06:00 5", "mo", "05:59", 5),
        ("22:00-06:00 5", "mo", "06:00", FREE),
        ("sa 20:00-02:00 50", "su", "01:59", 50),
        ("sa 20:00-02:00 50", "sa", "01:00", FREE),
        ("su 20:00-02:00 50", "mo", "01:00", 50),
        ("mo 12:00-13:00 unlimited; MO-FR 08:00-18:00 20", "mo", "12:30", FREE),
        ("mo 12:00-13:00 unlimited; mo-fr 08:00-18:00 20;", "mo", "13:30", 20),
        ("mo-fr 08:00-18:00 pause; 40", "tu", "09:00", PAUSE),
        ("mo-fr 08:00-18:00 pause; 40", "tu", "19:00", 40),
        ("08:00-24:00 3", "tu", "23:59", 3),
    ],
)
def test_the_first_window_that_holds_decides(text: str, day: str, clock: str, rate: float) -> None:
    assert parse(text).rate(at(day, clock)) == rate


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fast", "'fast' is no rate"),
        ("", "write 0 for no limit"),
        ("pause", "a pause that never ends"),
        ("mo-fr pause; sa,su pause; 5", "a pause that never ends"),
        ("-5", "'-5' is no rate"),
        ("mo-fr 08:00-18:00", "'08:00-18:00' is no rate"),
        ("mo-fr 08:00-18:00 0", "'0' is no rate"),
        ("mo-fr 08:00-18:00 20 MiB/s", "'mib/s' is no rate"),
        ("lu-ve 08:00-18:00 20", "'lu-ve' is no day"),
        ("mo-xx 20", "'mo-xx' is no day"),
        ("mo 8:00-18 20", "'8:00-18' are no hours"),
        ("mo 25:00-26:00 20", "are no hours"),
        ("mo 08:61-09:00 20", "are no hours"),
        ("mo 08:00-08:00 20", "begins when it ends"),
        ("every mo 08:00-09:00 20", "more than days, hours and a rate"),
        ("mo 08:00-09:00 20, tu 30", "more than days, hours and a rate"),
    ],
)
def test_a_bad_schedule_is_named(text: str, reason: str) -> None:
    with pytest.raises(ScheduleError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    "text",
    ["0", "20", "mo-fr 08:00-18:00 20", "sa 20:00-02:00 pause; mo,we 0.125; 40", "22:00-24:00 7.5"],
)
def test_a_schedule_is_written_as_it_is_read(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text).shared(3))).shared(1) == parse(str(parse(text).shared(3)))


def test_a_share_of_little_is_still_something() -> None:
    assert str(parse("0.001; mo pause").shared(100)) == "0.001; mo pause"


def test_hours_are_those_of_the_zone_that_was_named() -> None:
    limit = parse("mo 08:00-09:00 5", "America/New_York")
    noon = datetime.datetime(2026, 11, 23, 13, 30, tzinfo=datetime.UTC)

    assert limit.rate(noon) == 5
    assert limit.rate(noon + datetime.timedelta(hours=1)) == FREE


@pytest.mark.parametrize("zone", ["Europe/Bruxelles", "../etc/passwd", "/etc/passwd"])
def test_a_zone_that_is_not_known_is_named(zone: str) -> None:
    with pytest.raises(ScheduleError, match="time zone"):
        parse("mo 08:00-09:00 5", zone)
    assert parse("5", zone).zone is None, "a plain number needs no clock"


def test_a_seed_that_runs_past_an_edge_changes_its_rate_there() -> None:
    """Without that the second piece would come after an hour: it was promised at the old rate."""
    moments = [at("mo", "08:59")] * 3

    def clock() -> datetime.datetime:
        return moments.pop() if moments else at("mo", "09:00")

    limit = parse("08:00-09:00 0.001; 09:00-10:00 1000")
    jobs = Jobs(iter([Range(0, 4 << 20), Range(4 << 20, 4 << 20)]), limit, clock)

    assert len(list(jobs)) == 2


def test_nothing_is_given_out_in_a_pause_and_all_after_it() -> None:
    moments = [at("mo", "09:59"), at("mo", "09:59"), at("mo", "10:00")]
    asked: list[datetime.datetime] = []

    def clock() -> datetime.datetime:
        asked.append(moments[min(len(asked), 2)])
        return asked[-1]

    jobs = Jobs(iter([Range(0, 1), Range(1, 1)]), parse("09:00-10:00 pause"), clock)

    assert list(jobs) == [Range(0, 1), Range(1, 1)]
    assert asked[:3] == moments, "a job was given out before the pause ended"


def test_a_stop_ends_even_a_pause() -> None:
    def clock() -> datetime.datetime:
        jobs.stop()
        return at("mo", "09:30")

    jobs = Jobs(iter([Range(0, 1)]), parse("09:00-10:00 pause"), clock)

    assert list(jobs) == []


def test_a_meter_forecasts_what_is_left_and_a_last_round() -> None:
    meter = Meter(todo=1000)

    said = meter.say(0)
    assert (said["rate"], said["eta"], said["downtime"]) == (0, None, None)

    said = meter.say(500)
    assert said["rate"]
    assert said["downtime"] is not None
    assert said["eta"] is not None
    assert said["eta"] <= said["downtime"]
    assert meter.say(1000)["eta"] == 0


def test_a_forecast_is_bytes_by_rate() -> None:
    assert forecast(600, 200.0) == 3.0
    assert forecast(0, 0.0) == 0.0
    assert forecast(1, 0.0) is None
