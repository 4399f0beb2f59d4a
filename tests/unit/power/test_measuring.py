"""What must not begin is refused with its reason, and what has ended becomes a record."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.discharge import ALL, KilledError, PaperUps
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.errors import RefusedError
from releve.power import measuring, sampling
from releve.power.backstop import timer_of
from releve.power.measurement import Measurement, known_of
from releve.power.measuring import (
    alone,
    begin,
    checked,
    end,
    left_over,
    refusals,
    shown,
    who_would_be_cut,
)
from releve.power.readings import read
from releve.power.sampling import Journal, Request, Sampler

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "ups.status": "OL",
    "battery.charge": "100",
    "battery.runtime": "1500",
    "battery.voltage": "27.2",
    "ups.load": "30",
}
DEEP = Request("ups1", "deep", hold=True)
QUICK = Request("ups1", "quick")
PULL = Request("ups1", "plug-pull", hold=True)


def why(request: Request, changes: dict[str, str] | None = None, **more: Any) -> str:
    values = GOOD | (changes or {})
    told = {"commands": ALL, "result": ""} | more
    return "; ".join(refusals(request, read(values), **told))


@pytest.mark.parametrize("request_", [DEEP, QUICK, PULL])
def test_a_charged_ups_on_line_may_be_measured(request_: Request) -> None:
    assert why(request_) == ""
    assert why(request_, {"battery.charge": "N/A"}) == ""  # unknown is no low charge


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ups.status": "OB DISCHRG"}, "not on line"),
        ({"ups.status": "FSD OL"}, "a shutdown has begun"),
        ({"ups.status": "OL CAL"}, "a test is running"),
        ({"ups.status": "OL OVER"}, "is overloaded"),
        ({"ups.status": "OL BYPASS"}, "is bypassed"),
        ({"battery.charge": "97"}, "is at 97 % of 99 % needed"),
    ],
)
def test_what_speaks_against_a_deep_test(changes: dict[str, str], said: str) -> None:
    assert said in why(DEEP, changes)


def test_a_quick_test_needs_less() -> None:
    assert why(QUICK, {"battery.charge": "60"}) == ""
    assert "50 % needed" in why(QUICK, {"battery.charge": "40"})
    assert why(QUICK, busy=["a backup runs"]) == ""
    assert why(DEEP, busy=["a backup runs"]) == "a backup runs"
    assert why(PULL, busy=["guest 101 is locked (backup)"]) == "guest 101 is locked (backup)"


def test_a_disk_that_is_copied_just_now_is_not_disturbed(tmp_path: Path) -> None:
    lock = tmp_path / "compta-1" / "vda" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert measuring.copied_now(tmp_path) == []  # that move waits

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert measuring.copied_now(tmp_path) == ["disk vda of the move compta-1 is copied"]


def test_a_test_that_runs_or_is_not_offered() -> None:
    assert "a test is running" in why(QUICK, result="In progress")
    assert "offers no deep test" in why(DEEP, commands=("test.battery.start",))
    assert why(QUICK, commands=("test.battery.start",)) == ""
    assert "offers no quick test" in why(QUICK, commands=())
    assert why(PULL, commands=()) == ""
    stopped = Request("ups1", "deep", stop_charge=50, hold=True)
    assert "cannot be ended early" in why(stopped, commands=ALL[:2])


def test_a_deep_test_that_nobody_attends_ends_before_the_timer() -> None:
    assert "shut down after 600 s" in why(Request("ups1", "deep"), timer=600)
    assert "shut down after 600 s" in why(Request("ups1", "deep", stop_seconds=571), timer=600)
    assert why(Request("ups1", "deep", stop_seconds=570), timer=600) == ""
    assert why(DEEP, timer=60) == ""  # it is held


def test_the_timer_is_read_where_nut_reads_it() -> None:
    text = (
        "CMDSCRIPT /x\nAT ONBATT ups1@localhost START-TIMER on-battery-ups1 420\n"
        "AT ONLINE ups1@localhost CANCEL-TIMER on-battery-ups1\n"
        "AT ONBATT ups11@localhost START-TIMER on-battery-ups11 9\n"
    )
    assert timer_of("ups1", text) == 420
    assert timer_of("ups1", text + "AT ONBATT * START-TIMER all 99\n") == 99
    assert timer_of("ups2", text) is None


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "what_is_busy", list)
    monkeypatch.setattr(measuring, "who_would_be_cut", lambda _ups: [])
    monkeypatch.setattr(measuring, "text_of", lambda _file: "")


def patched(ups: PaperUps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Sampler that is made inside live by the clock of the paper UPS."""
    made = Sampler

    def with_clock(request: Request, device: Any, folder: Path, *, hold_file: Path) -> Sampler:
        return made(request, device, folder, clock=ups.now, sleep=ups.sleep, hold_file=hold_file)

    monkeypatch.setattr(measuring, "Sampler", with_clock)


@pytest.mark.usefixtures("quiet")
def test_a_deep_test_becomes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ups = PaperUps(capacity=150)
    patched(ups, monkeypatch)

    made = begin(DEEP, ups, tmp_path / "state", tmp_path / "known", tmp_path / "hold")

    assert made.until == "low-battery"
    assert made.capacity_seconds == pytest.approx(135, abs=3)
    assert made.moved.charge
    assert made.moved.runtime
    assert made.cut == "offered"
    assert Measurement.read(tmp_path / "state" / "ups1.json") == made
    assert not any((tmp_path / "hold").iterdir())
    # asked again, it is the same one
    assert left_over("ups1", tmp_path / "state", tmp_path / "known") == made


@pytest.mark.usefixtures("quiet")
def test_what_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ups = PaperUps(left=0.5)
    patched(ups, monkeypatch)

    with pytest.raises(RefusedError, match="ups1: its battery is at 50 %"):
        begin(DEEP, ups, tmp_path / "state", tmp_path, tmp_path)

    assert ups.sent == []
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.usefixtures("quiet")
def test_a_killed_measurement_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups = PaperUps(capacity=150)
    patched(ups, monkeypatch)

    def kill() -> None:
        raise KilledError

    ups.at[60] = kill
    with pytest.raises(KilledError):
        begin(DEEP, ups, tmp_path, tmp_path, tmp_path)
    assert left_over("ups1", tmp_path, tmp_path) is None

    made = begin(DEEP, ups, tmp_path, tmp_path, tmp_path)  # the UPS is on battery by now

    assert ups.sent == ["test.battery.start.deep"]
    assert made.capacity_seconds == pytest.approx(135, abs=3)


@pytest.mark.usefixtures("quiet")
def test_a_host_that_went_down_measured_what_it_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups = PaperUps(capacity=150)
    patched(ups, monkeypatch)

    def pull() -> None:
        (tmp_path / "ups1.pulled").write_text(f"{ups.clock}")
        ups.mains = False

    def power_off() -> None:
        raise KilledError

    ups.at[10] = pull
    ups.at[110] = power_off
    with pytest.raises(KilledError):
        begin(PULL, ups, tmp_path, tmp_path / "known", tmp_path)
    monkeypatch.setattr(sampling, "boot_id", lambda: "the next one")

    made = left_over("ups1", tmp_path, tmp_path / "known")

    assert made is not None
    assert (made.how, made.until) == ("plug-pull", "stopped")
    assert made.capacity_seconds == pytest.approx(99, abs=2)
    assert made.mains_proven is True


@pytest.mark.usefixtures("quiet")
def test_progress_is_shown_from_any_line_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups = PaperUps()
    patched(ups, monkeypatch)
    begin(QUICK, ups, tmp_path, tmp_path, tmp_path)

    told = json.loads(json.dumps(shown("ups1", tmp_path, after=4)))

    assert told["end"] == "back"
    assert not told["running"]
    assert len(told["samples"]) == told["total"] - 4
    assert shown("ups9", tmp_path, 0)["total"] == 0


def test_the_newest_record_is_known(tmp_path: Path) -> None:
    old, new = tmp_path / "etc", tmp_path / "var"
    first = Measurement.parse(
        {"format": 1, "ups": "ups1", "on": "2026-05-31", "how": "deep", "capacity_seconds": 900},
        "here",
    ).after(None)
    first.write(old / "ups1.json")
    first.after(first).write(new / "ups1.json")

    newest = known_of("ups1", old, new)

    assert newest is not None
    assert len(newest.past) == 2
    assert known_of("ups2", old, new) is None
    assert isinstance(Journal.open(tmp_path / "none.jsonl").lines, list)


def test_two_batteries_of_a_host_are_not_drained_at_once(tmp_path: Path) -> None:
    with (
        alone("ups1", tmp_path),
        pytest.raises(RefusedError, match="ups2: a UPS of this host is being measured"),
        alone("ups2", tmp_path),
    ):
        raise AssertionError
    with alone("ups2", tmp_path):
        pass


@pytest.mark.usefixtures("quiet")
def test_a_deep_test_is_ended_when_somebody_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ups = PaperUps()
    patched(ups, monkeypatch)

    def ask() -> None:
        end("ups1", tmp_path)

    ups.at[40] = ask
    made = begin(DEEP, ups, tmp_path, tmp_path / "known", tmp_path / "hold")

    assert ups.sent == ["test.battery.start.deep", "test.battery.stop"]
    assert made.until == "stopped"
    assert 20 < (made.capacity_seconds or 0) < 60
    with pytest.raises(RefusedError, match="no deep test goes on"):
        end("ups1", tmp_path)


@pytest.mark.usefixtures("quiet")
def test_only_a_deep_test_that_can_be_stopped_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(RefusedError) as error:
            end("ups1", tmp_path)
        said.append(str(error.value))

    for request, offers in ((QUICK, ALL), (DEEP, ("test.battery.start.deep",))):
        ups = PaperUps(offers=offers, capacity=100)
        patched(ups, monkeypatch)
        ups.at[8] = ask
        begin(request, ups, tmp_path, tmp_path / "known", tmp_path / "hold")

    assert "no deep test goes on" in said[0]
    assert "offers no test.battery.stop" in said[1]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("ours", "until"), [(True, "stopped"), (False, "low-battery")])
def test_a_low_battery_by_thresholds_of_ours_is_no_end_of_a_battery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool, until: str
) -> None:
    """NUT shuts the site down at it: the capacity is what was seen until then, and more."""
    ups = PaperUps(capacity=200, low_at=0.8)
    ups.says = lambda values: (
        (values | {"driver.flag.ignorelb": "enabled"} if ours else values)
        | {"ups.status": values["ups.status"] + (" FSD" if "LB" in values["ups.status"] else "")}
    )  # fmt: skip
    patched(ups, monkeypatch)

    made = begin(DEEP, ups, tmp_path, tmp_path / "known", tmp_path / "hold")

    assert made.until == until
    assert made.capacity_seconds == pytest.approx(40, abs=3)
    assert made.lb_seen is not ours
    assert made.curve[-1].seconds < 50  # nothing of the time in which the load falls
    assert made.past[-1].capacity_seconds == (None if ours else made.capacity_seconds)


@pytest.mark.parametrize(
    ("logged_in", "told"),
    [
        (["127.0.0.1", "192.0.2.12"], []),
        (["::1", "192.0.2.12", "192.0.2.99"], []),
        (["127.0.0.1"], ["192.0.2.12 is not logged in at ups1: its power would go"]),
        (["192.0.2.12"], ["this host's own monitor is not logged in at ups1"]),
    ],
)
def test_nobody_is_measured_into_the_dark(
    tmp_path: Path, logged_in: list[str], told: list[str]
) -> None:
    """A deep test ends at "battery low": who does not hear of it loses its power as it runs."""
    with serving(SmallUpsd(dict(GOOD), logged_in=logged_in)) as upsd:
        config = tmp_path / "power.json"
        guard = {"name": "ups1", "port": upsd.link.port, "logins": ["192.0.2.12"]}
        config.write_text(json.dumps({"format": 1, "role": "primary", "upses": [guard]}))

        assert who_would_be_cut("ups1", config) == told
        assert "does not name it" in who_would_be_cut("ups2", config)[0]
    assert who_would_be_cut("ups1", config)  # nobody answers any more
    assert "apply playbooks/power.yml" in who_would_be_cut("ups1", tmp_path / "none.json")[0]


def test_who_would_be_cut_is_no_matter_of_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "what_is_busy", list)
    monkeypatch.setattr(measuring, "text_of", lambda _file: "")
    monkeypatch.setattr(measuring, "who_would_be_cut", lambda _ups: ["nas is not logged in"])

    assert checked(QUICK, PaperUps())["refusals"] == []
    for request in (DEEP, PULL):
        assert checked(request, PaperUps())["refusals"] == ["nas is not logged in"]
