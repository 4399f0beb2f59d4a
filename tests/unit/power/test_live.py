"""Whatever a UPS says while its battery drains, the site stops in time, and not for a glitch."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releve.power.instant import Instant
from releve.power.ladder import Known, Site, Verdict
from releve.power.live import Live, read_state, write_state
from releve.power.measurement import Moved
from releve.power.readings import read
from releve.power.trend import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Vector = Callable[[float], dict[str, str] | None]


@pytest.fixture(autouse=True, scope="module")
def quick_disk() -> Iterator[None]:
    """Do not wait for the disk of the machine that tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield


CAPACITY, NEED, POLL = 1800, 600, 2
SITE = Site(need=NEED, derate=0.8)
BY_CLOCK = CAPACITY * 0.8 - NEED  # 840 s: where the time cap stands
IN_TIME = CAPACITY - NEED  # later than that a host would be cut
MEASURED = Known(capacity_seconds=CAPACITY)
LINE = {
    "ups.status": "OL", "battery.charge": "100", "battery.runtime": "1799", "ups.load": "30",
    "battery.voltage": "27.0", "input.voltage": "230", "input.voltage.nominal": "230",
    "driver.name": "usbhid-ups",
}  # fmt: skip


def at(seconds: float) -> Instant:
    return Instant(wall=1.7e9 + seconds, up=1000 + seconds, boot="a")


def true(left: float, share: float) -> dict[str, str]:
    """Return what an honest UPS says with so much left."""
    return {
        **LINE, "ups.status": "OB DISCHRG", "input.voltage": "0.0",
        "battery.charge": f"{100 * share:.0f}", "battery.runtime": f"{left:.0f}",
        "battery.voltage": f"{21 + 5 * share:.1f}",
    }  # fmt: skip


def honest(t: float) -> dict[str, str]:
    return true(max(CAPACITY - t, 1), max(CAPACITY - t, 0) / CAPACITY)


def lying(**values: str | None) -> Vector:
    """Return an honest UPS but for these values (`_` for `.`, None: absent)."""

    def vector(t: float) -> dict[str, str]:
        raw = {**honest(t), **{name.replace("_", "."): value for name, value in values.items()}}
        return {name: value for name, value in raw.items() if value is not None}

    return vector


def changed(change: Callable[[float], str]) -> Vector:
    return lambda t: {**honest(t), "battery.runtime": change(t)}


def stuck(t: float) -> dict[str, str]:
    """The driver answers, and polls nothing since it saw the cut."""
    return honest(min(t, 4))


def outage(
    folder: Path, vector: Vector, known: Known = MEASURED, restart: float | None = None
) -> tuple[float, Verdict]:
    """Cut the mains after five minutes on line; return when the site stops, and why."""
    file = folder / "state.json"
    live = Live(file, SITE, known)
    for t in range(-300, 0, POLL):
        assert live.look(at(t), read(LINE)).decision == "none"
    for t in range(0, CAPACITY + 1, POLL):
        if restart and t % restart == 0:
            live = Live(file, SITE, known)
        raw = vector(t)
        verdict = live.look(at(t), None if raw is None else read(raw))
        if verdict.decision == "stop":
            return t, verdict
    pytest.fail(f"never stopped: {verdict}")


# Every row ends the site in time with a measured capacity; `late`: by the clock at the latest.
LIES: dict[str, Vector] = {
    "good": honest,
    "absent": lying(battery_runtime=None),
    "0": lying(battery_runtime="0"),
    "N/A": lying(battery_runtime="N/A"),
    "frozen": lying(battery_runtime="1799"),
    "runtime and charge frozen": lying(battery_runtime="1799", battery_charge="100"),
    "ten times too high": changed(lambda t: f"{10 * (CAPACITY - t):.0f}"),
    "rising": changed(lambda t: f"{1700 + t:.0f}"),
    "rising fast": changed(lambda t: f"{1700 + 10 * t:.0f}"),
    "neither": lying(battery_runtime=None, battery_charge=None),
    "nothing but the status": lambda _t: {"ups.status": "OB"},
    "polls nothing": stuck,
    "text": lying(battery_runtime="29:59", battery_charge="full", battery_voltage="N/A"),
    "sentinel": lying(battery_runtime="65535", battery_charge="255"),
    "charge rising": lying(battery_runtime=None, battery_charge="100"),
}


@pytest.mark.parametrize("vector", LIES.values(), ids=LIES)
@pytest.mark.parametrize("restart", [None, 50])
def test_a_lying_ups_stops_the_site_in_time(
    tmp_path: Path, vector: Vector, restart: float | None
) -> None:
    when, verdict = outage(tmp_path, vector, restart=restart)

    assert when <= IN_TIME, verdict
    assert when <= BY_CLOCK + 2 * POLL, verdict
    assert when >= 0.5 * BY_CLOCK or verdict.by == "comms", verdict


def test_an_old_battery_that_falls_faster_than_the_clock_is_believed(tmp_path: Path) -> None:
    worn = CAPACITY / 2
    when, verdict = outage(tmp_path, lambda t: true(max(worn - t, 1), max(worn - t, 0) / worn))

    assert verdict.by == "runtime"
    assert when <= worn - NEED


def test_a_runtime_that_fell_to_nothing_is_believed(tmp_path: Path) -> None:
    """From a plausible value to 0, with a charge that agrees."""
    known = dataclasses.replace(MEASURED, capacity_seconds=None)

    def vector(t: float) -> dict[str, str]:
        gone = t >= 100
        return {
            **honest(t),
            "battery.runtime": "0" if gone else f"{1700 - t:.0f}",
            "battery.charge": "15" if gone else "90",
        }

    when, verdict = outage(tmp_path, vector, known)

    assert (when, verdict.by) == (106, "runtime")


def test_a_runtime_that_stood_still_is_believed_again_once_it_falls(tmp_path: Path) -> None:
    """A UPS that is asked rarely, with a worn battery."""
    worn = 0.6 * CAPACITY
    when, verdict = outage(tmp_path, lambda t: true(worn - t // 100 * 100, max(worn - t, 0) / worn))

    assert (when, verdict.by) == (406, "runtime")


def test_a_runtime_of_0_with_a_full_battery_is_none(tmp_path: Path) -> None:
    when, verdict = outage(
        tmp_path, lambda t: {**honest(0), "battery.runtime": "0" if t >= 40 else "1700"}
    )

    assert verdict.by == "time"
    assert when > BY_CLOCK - POLL


def test_a_low_battery_stops_after_its_debounce_and_without_a_capacity(tmp_path: Path) -> None:
    def vector(t: float) -> dict[str, str]:
        return {**honest(0), "ups.status": "OB LB" if t >= 100 else "OB"}

    when, verdict = outage(tmp_path, vector, Known())

    assert (when, verdict.by) == (106, "lb")


def test_comms_that_stay_away_on_battery_stop_after_the_hold(tmp_path: Path) -> None:
    when, verdict = outage(tmp_path, lambda t: honest(t) if t < 100 else None)

    assert verdict.by == "comms"
    assert when == 98 + SITE.comms_hold


def test_a_sleep_of_ours_is_no_silence_of_the_ups(tmp_path: Path) -> None:
    """Restarted after an hour, into an outage that says nothing but its status."""
    file = tmp_path / "state.json"
    Live(file, SITE, MEASURED).look(at(0), read(LINE))
    live = Live(file, SITE, MEASURED)
    said = [live.look(at(3600 + t), read({"ups.status": "OB"})) for t in (0, 19, 20)]

    assert [one.decision for one in said] == ["ride", "ride", "stop"]
    assert live.state.on_battery == 60 + 20


def decisions(file: Path, *looks: tuple[float, dict[str, str] | None]) -> list[str]:
    """Return what is decided at these moments; the last look lasts until the next."""
    live = Live(file, SITE, MEASURED)
    said: list[str] = []
    for (start, raw), (end, _raw) in zip(
        looks, [*looks[1:], (looks[-1][0] + 1, None)], strict=True
    ):
        t = start
        while t < end:
            said.append(live.look(at(t), None if raw is None else read(raw)).decision)
            t += 1
    return said


OB = honest(0)
CUT = {"ups.status": "OB DISCHRG", "input.voltage": "0.0"}
# What is no value on line is none in the cut that follows.
MINUTES = {**LINE, "battery.runtime": "45"}
NO_CHARGE = {**LINE, "battery.charge": "0", "battery.runtime": "1799"}
NEITHER = {key: text for key, text in NO_CHARGE.items() if key != "battery.runtime"}


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([(0, LINE), (10, {**LINE, "ups.status": "OL LB RB"}), (12, LINE), (99, LINE)],
                     id="LB and RB for 2 s on line"),
        pytest.param([(0, LINE), (10, {**OB, "ups.status": "OB LB"}), (12, OB), (60, OB)],
                     id="LB in the first 2 s of an outage"),
        pytest.param([(0, LINE), (10, {**LINE, "ups.status": "OL CAL"}), (20, LINE), (99, None),
                      (200, LINE)], id="calibrated once, silent later"),
        pytest.param([(0, LINE), (10, {**LINE, "ups.status": "CAL DISCHRG"}), (90, LINE)],
                     id="calibrates without saying on line"),
        pytest.param([(0, LINE), (10, OB), (20, {**OB, "battery.runtime": "3"}), (22, OB),
                      (60, OB)], id="one odd runtime"),
        pytest.param([(0, LINE), (10, OB), (20, None), (45, OB), (60, LINE)],
                     id="25 s of silence on battery"),
        pytest.param([(0, LINE), (10, {**LINE, "ups.status": "OL OB"}), (12, LINE), (60, LINE)],
                     id="both for 2 s"),
        pytest.param([(0, LINE), (10, {**LINE, "ups.status": "OL OFF"}), (40, LINE)],
                     id="off blinks"),
        pytest.param([(0, LINE), (10, {**LINE, "ups.status": "OL DISCHRG", "battery.runtime": "9"}),
                      (300, LINE)], id="OL DISCHRG with a live input"),
        pytest.param([(0, {**LINE, "input.voltage": "0", "battery.runtime": "99"}), (300, LINE)],
                     id="an input that never was alive"),
        pytest.param([(0, MINUTES), (10, {**MINUTES, **CUT}), (60, MINUTES)],
                     id="a runtime that counts minutes"),
        pytest.param([(0, NO_CHARGE), (10, {**NO_CHARGE, **CUT}), (60, NO_CHARGE)],
                     id="a charge that is always 0"),
        pytest.param([(0, NEITHER), (10, {**NEITHER, **CUT}), (60, NEITHER)],
                     id="a charge that is always 0, and nothing else"),
    ],
)  # fmt: skip
def test_a_glitch_stops_nothing(
    tmp_path: Path, looks: list[tuple[float, dict[str, str] | None]]
) -> None:
    assert "stop" not in decisions(tmp_path / "state.json", *looks)


def test_what_was_none_on_line_is_believed_once_it_is_more_than_that(tmp_path: Path) -> None:
    emptied = {**LINE, "battery.charge": "1", "battery.runtime": "30"}
    said = decisions(
        tmp_path / "state.json", (0, emptied), (10, {**emptied, **CUT}),
        (20, {**LINE, **CUT, "battery.charge": "4", "battery.runtime": "70"}), (30, OB),
    )  # fmt: skip

    assert said[10:20] == ["ride"] * 10
    assert said[29] == "stop"


def test_what_was_none_on_line_is_none_after_a_restart(tmp_path: Path) -> None:
    live = Live(tmp_path / "state.json", SITE, MEASURED)
    live.look(at(0), read(NEITHER))
    live.look(at(10), read({**NEITHER, **CUT}))

    again = Live(tmp_path / "state.json", SITE, MEASURED)
    assert [again.look(at(t), read({**NEITHER, **CUT})).decision for t in range(12, 40)] == (
        ["ride"] * 28
    )


def test_a_ups_that_never_says_ob_is_overruled_by_its_input(tmp_path: Path) -> None:
    dead = {**LINE, "input.voltage": "0.0", "battery.runtime": "700"}
    said = decisions(tmp_path / "state.json", (0, LINE), (10, dead), (30, dead))

    assert said[:15] == ["none"] * 15
    assert said[-1] == "stop"


@pytest.mark.parametrize("falls", [True, False])
def test_ol_dischrg_without_an_input_voltage_is_told_by_the_charge(
    tmp_path: Path, falls: bool
) -> None:
    blind = {name: value for name, value in LINE.items() if not name.startswith("input")}
    file = tmp_path / "state.json"
    live = Live(file, SITE, MEASURED)
    for t in range(0, 1000, POLL):
        charge = f"{100 - t / 18:.0f}" if falls else "100"
        raw = {**blind, "ups.status": "OL DISCHRG", "battery.charge": charge}
        verdict = live.look(at(t), read(raw))
        if verdict.decision == "stop":
            break

    assert (verdict.decision == "stop") == falls
    if falls:
        assert t <= BY_CLOCK + POLL


def test_outages_close_together_add_up(tmp_path: Path) -> None:
    """Where no charge is believed, what earlier outages took is remembered."""
    blind, line = {"ups.status": "OB"}, {"ups.status": "OL"}
    live = Live(tmp_path / "state.json", SITE, MEASURED)
    on_battery = 0
    for t in range(10_000):
        off = t % 210 >= 10
        on_battery += off
        if live.look(at(t), read(blind if off else line)).decision == "stop":
            break

    assert on_battery == pytest.approx(BY_CLOCK, abs=60)


def test_a_device_that_never_publishes_a_value_is_not_refused_on_battery(tmp_path: Path) -> None:
    said = decisions(
        tmp_path / "state.json", (0, {"ups.status": "OL"}), (10, {"ups.status": "OB"}), (200, OB)
    )

    assert set(said[10:]) == {"ride"}


def test_a_reboot_in_an_outage_goes_on_counting(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    first = Live(file, SITE, MEASURED)
    first.look(at(0), read(LINE))
    for t in range(2, 600, POLL):
        first.look(at(t), read(OB))
    second = Live(file, SITE, MEASURED)
    verdict = second.look(Instant(wall=1.7e9 + 900, up=20, boot="b"), read(OB))

    assert (verdict.decision, verdict.by) == ("stop", "time")


def after_a_cut(file: Path) -> Live:
    """Return the ladder of a host that boots, of which the last that is known is on battery."""
    write_state(file, State(wall=1.7e9, up=5, boot="a", drained=True, on_battery=900, spent=900))
    live = Live(file, SITE, MEASURED)
    for t in range(0, 300, POLL):
        verdict = live.look(Instant(wall=1.7e9 + 9000 + t, up=20 + t, boot="b"), None)
        assert verdict.decision == "none"
    return live


def test_a_boot_after_a_cut_stops_nobody_while_the_ups_is_not_heard_yet(tmp_path: Path) -> None:
    live = after_a_cut(tmp_path / "state.json")

    assert live.look(Instant(wall=1.7e9 + 9400, up=420, boot="b"), read(LINE)).decision == "none"
    assert live.look(Instant(wall=1.7e9 + 9402, up=422, boot="b"), read(OB)).decision == "ride"


def test_a_boot_on_battery_counts_on_once_the_ups_is_heard(tmp_path: Path) -> None:
    live = after_a_cut(tmp_path / "state.json")
    verdict = live.look(Instant(wall=1.7e9 + 9400, up=420, boot="b"), read(OB))

    assert (verdict.decision, verdict.by) == ("stop", "time")


def test_a_clock_that_goes_back_takes_nothing_away(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_state(file, State(wall=1.7e9, up=5, boot="a", drained=True, on_battery=500, spent=500))
    live = Live(file, SITE, MEASURED)
    live.look(Instant(wall=0, up=5, boot="b"), read(OB))

    assert live.state.on_battery == 500


def test_a_charge_that_moved_shortens_the_next_outage(tmp_path: Path) -> None:
    known = Known(capacity_seconds=CAPACITY, moved=Moved(charge=True))
    half = {**LINE, "battery.charge": "50", "battery.runtime": "0"}
    live = Live(tmp_path / "state.json", SITE, known)
    for t in range(4):
        live.look(at(t), read(half))
    said = {}
    for t in range(4, 300):
        raw = {**half, "ups.status": "OB", "battery.charge": "49"}
        said[t] = live.look(at(t), read(raw))
    stopped = next(t for t, verdict in said.items() if verdict.decision == "stop")

    assert said[stopped].by == "time"
    assert stopped == pytest.approx(CAPACITY * 0.8 * 0.5 - NEED, abs=10)


def test_our_own_fsd_does_not_blind_it(tmp_path: Path) -> None:
    live = Live(tmp_path / "state.json", SITE, MEASURED)
    held = read({**honest(0), "ups.status": "FSD OB"})
    verdict = live.look(at(0), held, frozenset({"ST_FSD"}))

    assert (verdict.decision, verdict.by) == ("ride", "runtime")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '{"on_battery": "x"}', '{"lowest": 3}', '{"lowest": {"at": null}}',
     '{"drain": [1]}', '{"drained": 1}', '{"unknown": 1}', '{"spent": null}', '{"loads": ["x"]}'],
)  # fmt: skip
def test_a_broken_state_is_a_new_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(text, encoding="utf-8")

    live = Live(file, SITE, MEASURED)

    assert live.look(at(0), read(OB)).decision == "ride"
    assert json.loads(file.read_text(encoding="utf-8"))["drained"] is True


def test_a_state_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    live = Live(tmp_path / "nowhere" / "state.json", SITE, MEASURED)

    assert live.look(at(0), read(OB)).decision == "ride"


STATUSES = ["OL", "OB", "OB LB", "OL DISCHRG", "OL CAL", "", "FSD"]
STEPS = st.lists(
    st.tuples(
        st.floats(0.5, 20),
        st.none()
        | st.fixed_dictionaries(
            {"ups.status": st.sampled_from(STATUSES)},
            optional={
                "battery.charge": st.sampled_from(["0", "15", "50", "100", "N/A", "-1"]),
                "battery.runtime": st.sampled_from(["0", "30", "600", "1800", "65535", "x"]),
                "battery.voltage": st.sampled_from(["0", "21", "26,5", "27"]),
                "input.voltage": st.sampled_from(["0", "180", "230", "-5"]),
                "input.transfer.low": st.just("200"),
                "ups.load": st.sampled_from(["0", "10", "90", "520"]),
            },
        ),
    ),
    max_size=60,
)  # fmt: skip


@given(STEPS)
def test_no_course_of_events_raises_and_every_state_survives_a_restart(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, dict[str, str] | None]]
) -> None:
    file = tmp_path_factory.mktemp("live") / "state.json"
    live, t = Live(file, SITE, MEASURED), 0.0
    for step, raw in steps:
        t += step
        verdict = live.look(at(t), None if raw is None else read(raw))
        assert verdict.decision in ("none", "ride", "stop")
    write_state(file, live.state)

    assert read_state(file) == live.state


RAWS = st.dictionaries(
    st.sampled_from(["battery.charge", "battery.runtime", "battery.voltage", "ups.load"]),
    st.sampled_from(["0", "15", "50", "100", "700", "1800", "65535", "N/A", "-1", "27,1", ""]),
)


@given(st.lists(RAWS | st.none(), min_size=1, max_size=12), st.floats(4, 20))
def test_the_measured_capacity_ends_every_outage(
    tmp_path_factory: pytest.TempPathFactory, raws: list[dict[str, str] | None], poll: float
) -> None:
    """Whatever is said, or nothing, while the status is on battery."""
    live = Live(tmp_path_factory.mktemp("live") / "state.json", SITE, MEASURED)
    live.look(at(0), read(OB))
    t, turn = 0.0, 0
    while True:
        t, turn = t + poll, turn + 1
        raw = raws[turn % len(raws)]
        found = None if raw is None else read({**raw, "ups.status": "OB", "device.type": "ups"})
        if live.look(at(t), found).decision == "stop":
            break

        assert t <= BY_CLOCK + poll
