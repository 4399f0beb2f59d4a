"""Random timelines are the same for ever, and an excuse is one only with its alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.worlds import fuzz, sweep
from tests.worlds.fuzz import SILENT, SWITCH, events_of, excuse_of
from tests.worlds.run import Event
from tests.worlds.verdict import Outcome

if TYPE_CHECKING:
    from tests.worlds.site import Mode


def outcome(*unclean: str, logs: tuple[tuple[float, str, str], ...] = ()) -> Outcome:
    empty: dict[str, list[float]] = {}
    return Outcome((), (), (), unclean, empty, empty, empty, [30.0], [], (), list(logs))


ALARM = ((6.0, "nas", "nut-monitor: Communications with UPS ups1@198.51.100.11 lost"),)
DEAD_SWITCH = (Event(2, "mains", "off"), Event(5, "switch", "off"), Event(40, "switch", "on"))


def test_a_seed_is_a_timeline_that_begins_and_ends_with_the_mains() -> None:
    for seed in fuzz.SEEDS:
        events = events_of(seed)
        mains = [event for event in events if event.what == "mains"]

        assert events == events_of(seed)
        assert [event.value for event in mains][:2] == ["off", "on"]
        assert mains[-1].value == "on"
        assert len(mains) >= 4


def test_seeds_have_faults_of_every_kind() -> None:
    kinds = {event.what for seed in fuzz.SEEDS for event in events_of(seed)}

    assert kinds == {"mains", "comms", "do", "switch"}


def test_in_mode_policy_either_driver_is_killed_and_the_rest_is_the_same() -> None:
    killed: dict[Mode, set[str]] = {"stock": set(), "policy": set()}
    for seed in fuzz.SEEDS:
        for mode, found in killed.items():
            events = fuzz.job_of(seed, mode).events
            assert [(one.at, one.what) for one in events] == [
                (one.at, one.what) for one in events_of(seed)
            ]
            found |= {one.value[-1] for one in events if one.what == "do"}

    assert killed["stock"] == {"labups -a"}
    assert killed["policy"] == set(fuzz.KILLED)


def test_a_dead_switch_explains_clients_alone_and_only_after_its_alarm() -> None:
    assert excuse_of(DEAD_SWITCH, outcome("nas", logs=ALARM)) == SWITCH
    assert excuse_of(DEAD_SWITCH, outcome("nas")) == ""
    assert excuse_of(DEAD_SWITCH, outcome("pve1", "nas", logs=ALARM)) == ""


def test_a_switch_that_was_dead_in_an_earlier_outage_explains_nothing() -> None:
    later = (*DEAD_SWITCH[:2], Event(8, "switch", "on"), Event(20, "mains", "off"))

    assert excuse_of(later, outcome("nas", logs=ALARM)) == ""


def test_a_silent_ups_explains_a_cut_that_began_in_its_silence() -> None:
    silence = (Event(4, "comms", value=False), Event(9, "comms", value=True))

    within = (*silence, Event(6, "mains", "off"))
    before = (*silence, Event(2, "mains", "off"))
    assert excuse_of(within, outcome("pve1", logs=ALARM)) == SILENT
    assert excuse_of(before, outcome("pve1", logs=ALARM)) == ""


def test_the_sweep_goes_in_half_seconds_over_both_kinds_of_ups() -> None:
    jobs = sweep.jobs("stock")
    moments = [job.events[1].at for job in jobs if job.site.behaviour == "cyc"]

    assert moments[1] - moments[0] == 0.5
    assert (moments[0], moments[-1]) == (sweep.DECISION, sweep.OFF)
    assert {job.site.behaviour for job in jobs} == {"cyc", "ign"}
    assert len({job.name for job in jobs}) == len(jobs)
