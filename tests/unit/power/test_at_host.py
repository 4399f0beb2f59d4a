"""A measurement is agreed to, followed from afar, taken up again, and kept as its record."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.discharge import KilledError, PaperUps

from releve.errors import CheckError, RefusedError
from releve.power import measuring, sampling
from releve.power.at_host import CHECKLIST, Asked, AwayError, Remote, try_alarms, verdict
from releve.power.measurement import Measurement
from releve.power.notify import code_of
from releve.power.sampling import Sampler

if TYPE_CHECKING:
    from pathlib import Path

    from releve.power.sampling import Request


class PaperHost:
    """The programs of the UPS's host, here; what begins there is over when it returns."""

    def __init__(self, ups: PaperUps, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ups, self.folder, self.started = ups, folder, 0
        self.places = ["--folder", str(folder), "--known", str(folder / "known")]
        self.places += ["--hold-folder", str(folder / "hold")]

        def with_clock(request: Request, device: Any, folder: Path, *, hold_file: Path) -> Sampler:
            return Sampler(
                request, device, folder, clock=ups.now, sleep=ups.sleep, hold_file=hold_file
            )

        monkeypatch.setattr(measuring, "Sampler", with_clock)
        monkeypatch.setattr(measuring, "UpsOfHost", lambda _ups: ups)
        monkeypatch.setattr(measuring, "what_is_busy", list)
        monkeypatch.setattr(measuring, "who_would_be_cut", lambda _ups: [])
        monkeypatch.setattr(measuring, "UPSSCHED", folder / "upssched.conf")
        monkeypatch.setattr(measuring, "monotonic", ups.now)

    def call(self, *words: str) -> Any:
        verb, what, *rest = words
        assert verb == "measure"
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = measuring.main([what, *rest, *self.places])
        if code:
            raise CheckError(str(code))
        return json.loads(said.getvalue())

    def start(self, ups: str, *words: str) -> None:
        self.started += 1
        with contextlib.suppress(KilledError), contextlib.redirect_stdout(io.StringIO()):
            measuring.main(["begin", ups, *words, *self.places])


class Person:
    """Who answers at the terminal."""

    def __init__(self, agrees: bool = True) -> None:
        self.agrees, self.read, self.asked = agrees, list[str](), list[str]()

    def confirm(self, sentence: str) -> bool:
        self.asked.append(sentence)
        return self.agrees


def remote(host: PaperHost, asked: Asked, person: Person, pull: Any = None) -> Remote:
    def nothing(_seconds: float) -> None:
        host.ups.clock += 1

    return Remote(
        host, asked, person.read.append, person.confirm, pull or person.read.append, nothing
    )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PaperHost:
    return PaperHost(PaperUps(capacity=150), tmp_path, monkeypatch)


def test_a_deep_test_says_what_it_does_and_becomes_a_record(host: PaperHost) -> None:
    (host.folder / "upssched.conf").write_text("AT ONBATT * START-TIMER on-battery-ups1 60\n")
    person = Person()
    one = remote(host, Asked("ups1", "deep"), person)

    plan = " ".join(one.plan())
    made = one.run(attended=True)

    assert "charge 100 %, load 30 %, 2 min left" in plan
    assert "NUT shuts the site down in order" in plan
    assert "The timer of 60 s on battery waits" in plan
    assert made.until == "low-battery"
    assert any("OB DISCHRG" in line or "DISCHRG OB" in line for line in person.read)
    assert "capacity: 1" in verdict(made)[0]
    assert "at least" not in verdict(made)[0]


def test_thresholds_of_ours_are_told_before_anything_happens(host: PaperHost) -> None:
    one = remote(host, Asked("ups1", "deep"), Person())
    assert "thresholds of ours" not in " ".join(one.plan())

    host.ups.says = lambda values: values | {"driver.flag.ignorelb": "enabled"}

    assert "thresholds of ours" in " ".join(one.plan())


def test_what_is_refused_is_refused_before_anything_happens(host: PaperHost) -> None:
    host.ups.left = 0.4

    with pytest.raises(RefusedError, match="40 % of 99 %"):
        remote(host, Asked("ups1", "deep"), Person()).plan()
    assert host.started == 0


def test_a_sampler_that_died_is_started_again_and_the_test_is_not(host: PaperHost) -> None:
    def kill() -> None:
        raise KilledError

    host.ups.at[40] = kill

    made = remote(host, Asked("ups1", "deep"), Person()).run(attended=True)

    assert host.started == 2
    assert host.ups.sent == ["test.battery.start.deep"]
    assert made.until == "low-battery"


def test_a_host_that_goes_down_at_low_battery_is_waited_for(
    host: PaperHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, looks = Person(), list[int]()
    call = host.call

    def down() -> None:
        raise KilledError

    def away_for_a_while(*words: str) -> Any:
        if words[1] == "show" and host.started and len(looks) < 8:
            looks.append(1)
            if len(looks) < 8:
                message = "pve1: ssh does not reach it: refused"
                raise AwayError(message)
            monkeypatch.setattr(sampling, "boot_id", lambda: "another")
        return call(*words)

    host.ups.at[100] = down
    host.call = away_for_a_while  # type: ignore[method-assign]
    made = remote(host, Asked("ups1", "deep"), person).run(attended=True)

    assert host.started == 1  # nobody drains the battery again after the boot
    assert made.capacity_seconds is not None
    assert sum("ssh does not reach it" in line for line in person.read) == 1


def test_a_host_that_stays_away_is_asked_later(host: PaperHost) -> None:
    call = host.call

    def gone(*words: str) -> Any:
        if host.started:
            message = "pve1: ssh does not reach it: refused"
            raise AwayError(message)
        return call(*words)

    host.call = gone  # type: ignore[method-assign]
    with pytest.raises(AwayError) as error:
        remote(host, Asked("ups1", "quick"), Person()).run(attended=True)
    assert error.value.exit_code == 75


def test_who_interrupts_is_told_that_it_goes_on(host: PaperHost) -> None:
    person = Person()
    one = remote(host, Asked("ups1", "deep"), person)

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    one.sleep = interrupt
    host.start = lambda *_words: None  # type: ignore[method-assign]  # it has just begun
    with pytest.raises(KeyboardInterrupt):
        one.run(attended=True)
    assert "it goes on at its host" in person.read[-1]


def test_a_deep_test_is_ended_from_afar(host: PaperHost) -> None:
    one = remote(host, Asked("ups1", "deep"), Person())
    host.ups.at[40] = one.end

    made = one.run(attended=True)

    assert made.until == "stopped"
    assert verdict(made)[0].startswith("capacity: at least ")


def test_one_that_goes_on_is_followed_and_not_begun(host: PaperHost) -> None:
    def kill() -> None:
        raise KilledError

    host.ups.at[40] = kill
    host.start("ups1", "--how", "deep", "--hold")
    one = remote(host, Asked("ups1", "quick"), Person())
    assert one.running()

    made = one.run(attended=True)

    assert made.how == "deep"
    assert host.ups.sent == ["test.battery.start.deep"]


def test_the_record_of_an_earlier_one_is_not_taken_for_the_new_one(host: PaperHost) -> None:
    remote(host, Asked("ups1", "quick"), Person()).run(attended=True)
    host.start = lambda *_words: None  # type: ignore[method-assign]  # a unit that fails at once

    with pytest.raises(CheckError, match="nobody looks at it"):
        remote(host, Asked("ups1", "quick"), Person()).run(attended=True)


def test_a_plug_is_pulled_only_by_who_agrees_to_every_sentence(host: PaperHost) -> None:
    person = Person(agrees=False)

    with pytest.raises(RefusedError, match="Somebody stands at the UPS"):
        remote(host, Asked("ups1", "plug-pull"), person).run(attended=False)

    assert person.asked == [CHECKLIST[0]]
    assert host.started == 0


def test_a_plug_that_is_pulled(host: PaperHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill() -> None:
        raise KilledError

    # In this test the sampler does not live beside the person: it is started again after the pull.
    host.ups.at[12] = kill
    host.ups.at[120] = lambda: setattr(host.ups, "mains", True)

    def pull(_words: str) -> None:
        host.ups.mains = False

    monkeypatch.setattr(sampling, "PULL_SECONDS", 600)
    person = Person()

    made = remote(host, Asked("ups1", "plug-pull"), person, pull).run(attended=False)

    assert person.asked == list(CHECKLIST)
    assert made.how == "plug-pull"
    assert made.ob_seen_seconds is not None
    assert host.ups.sent == []


def pulled_to_the_end(
    host: PaperHost, monkeypatch: pytest.MonkeyPatch, *answers: bool
) -> tuple[Measurement, Person]:
    """Pull the plug until the host itself goes down, and answer what is asked when it is back."""
    person, looks = Person(), list[int]()
    call, left = host.call, list(answers)

    def down() -> None:
        raise KilledError

    def away_for_a_while(*words: str) -> Any:
        if words[1] == "show" and host.started > 1 and len(looks) < 4:
            looks.append(1)
            if len(looks) < 4:
                message = "pve1: ssh does not reach it: refused"
                raise AwayError(message)
            monkeypatch.setattr(sampling, "boot_id", lambda: "another")
        return call(*words)

    def confirm(sentence: str) -> bool:
        person.asked.append(sentence)
        return sentence in CHECKLIST or left.pop(0)

    host.ups.at[12] = down  # the sampler is started again after the pull
    host.ups.at[120] = down
    host.call = away_for_a_while  # type: ignore[method-assign]
    monkeypatch.setattr(sampling, "PULL_SECONDS", 600)
    one = remote(host, Asked("ups1", "plug-pull"), person, lambda _: _pull(host))
    one.confirm = confirm
    made = one.run(attended=False)
    assert not left
    return made, person


def _pull(host: PaperHost) -> None:
    host.ups.mains = False


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ((False,), ("offered", None, None)),  # nobody looked
        ((True, True, False, True), ("proven", None, True)),
        ((True, True, True, True), ("proven", True, True)),
        ((True, True, False, False), ("proven", None, False)),
        ((True, False, True), ("offered", False, None)),  # it may still cut on battery
        ((True, False, False), ("none", None, None)),
    ],
)
def test_who_saw_the_end_of_a_pull_is_asked_what_the_output_did(
    host: PaperHost,
    monkeypatch: pytest.MonkeyPatch,
    answers: tuple[bool, ...],
    known: tuple[str, bool | None, bool | None],
) -> None:
    made, person = pulled_to_the_end(host, monkeypatch, *answers)

    assert (made.cut, made.cuts_on_line, made.returned) == known
    assert "once the last host had stopped?" in person.asked[len(CHECKLIST)]
    # Kept on the host, where the next measurement goes on from it.
    assert Measurement.read(host.folder / "ups1.json") == made
    assert remote(host, Asked("ups1", "quick"), Person()).collected() == made


def test_a_site_that_stayed_up_is_asked_nothing(
    host: PaperHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PULL_SECONDS", 600)
    person = Person()
    remote(host, Asked("ups1", "deep"), person).run(attended=True)

    assert person.asked == []


def test_a_plug_that_goes_back_while_the_site_stops_is_asked_about_later(
    host: PaperHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise KilledError

    def stops() -> None:
        host.ups.mains = True
        host.ups.says = lambda values: values | {"ups.status": f"FSD {values['ups.status']}"}

    host.ups.at[12], host.ups.at[60] = down, stops
    monkeypatch.setattr(sampling, "PULL_SECONDS", 600)
    person = Person()
    remote(host, Asked("ups1", "plug-pull"), person, lambda _: _pull(host)).run(attended=False)

    assert person.asked == list(CHECKLIST)
    assert person.read[-1].startswith("ups1: the site goes down. Once all is back")


def test_what_was_seen_can_be_said_later(host: PaperHost) -> None:
    remote(host, Asked("ups1", "quick"), Person()).run(attended=True)

    made = remote(host, Asked("ups1", "quick"), Person()).asked_what_was_seen()

    assert (made.cut, made.cuts_on_line, made.returned) == ("proven", True, True)
    assert verdict(made)[-1] == (
        "its output: was seen to be cut, cut while the mains are there, came back by itself"
    )


def test_nothing_measured_is_an_error(host: PaperHost) -> None:
    with pytest.raises(CheckError, match="nothing was measured"):
        remote(host, Asked("ups1", "quick"), Person()).collected()


def test_a_verdict_says_who_may_guard_nothing() -> None:
    record = {"format": 1, "ups": "ups1", "on": "2026-05-31", "how": "plug-pull"}
    late = Measurement.parse(record | {"ob_seen_seconds": 30}, "here")
    short = Measurement.parse(record | {"capacity_seconds": 90, "until": "stopped"}, "here")

    assert any(line.startswith("REFUSED") for line in verdict(late))
    assert "still being commissioned" in verdict(late)[0]
    assert verdict(short)[0] == "capacity: at least 90 s from full, to stopped"
    assert "no more" in verdict(short)[1]


def test_alarms_are_seen_to_arrive_or_not() -> None:
    seeds: list[str] = []
    kept: list[tuple[str, ...]] = []

    class Mailer:
        def call(self, *words: str) -> Any:
            if words[1] == "seen":
                kept.append(words[2:])
                return {}
            seeds.append(words[-1])
            names = ("a", "b", "c")
            return [{"target": one, "shown": f"mail {one}", "sent": one != "c"} for one in names]

        def start(self, ups: str, *words: str) -> None:
            raise NotImplementedError

    def ask(words: str) -> str:
        return code_of(seeds[0], "a") if words.endswith("mail a") else "0000 or so"

    assert [row["seen"] for row in try_alarms(Mailer(), ask)] == [True, False, None]
    assert [row["seen"] for row in try_alarms(Mailer(), None)] == [None, None, None]
    assert seeds[0] != seeds[1]
    assert kept == [("--yes", "a", "--no", "b")]  # once: nobody was asked the second time
