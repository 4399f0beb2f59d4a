"""The stops that are counted are never shorter than those of Proxmox VE's own code."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.unit.power.stopall import Machine, Stopall

from releve.power.stops import (
    LOCKS,
    SPAWN,
    Guest,
    groups_of,
    guest_of,
    seconds,
    spans,
    workers_of,
)

SITES = 200


def machine(place: int, chance: random.Random) -> Machine:
    """Return a guest that takes any part of what PVE grants it."""
    kind = chance.choice(["qemu", "lxc"])
    return Machine(
        vmid=100 + place,
        order=chance.choice([None, 1, 2, 3]),
        down=chance.choice([None, 1, 5, 30, 60, 90]),
        kind=kind,
        fork=chance.uniform(0, SPAWN),
        ping=chance.uniform(0, 3) if kind == "qemu" else 0,
        off_after=chance.uniform(0, 250),
        term_after=chance.uniform(0, 12),
        cleanup=chance.uniform(0, 1),
    )


def slowest(one: Machine) -> Machine:
    """Return the same guest using up all of each wait."""
    ping = 3 if one.kind == "qemu" else 0
    never = 10_000.0
    return Machine(one.vmid, one.order, one.down, one.kind, SPAWN, ping, never, never, 1)


def guest(one: Machine, **changes: Any) -> Guest:
    entry = {"name": str(one.vmid), "order": one.order, "stop_seconds": one.down}
    return guest_of(entry | {"vmid": one.vmid, "kind": one.kind} | changes)


@pytest.mark.parametrize("seed", range(SITES))
def test_it_is_never_shorter_than_stopall(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # no secret
    machines = [machine(place, chance) for place in range(chance.randint(1, 14))]
    workers = chance.randint(1, 8)
    counted = seconds([guest(one) for one in machines], workers)
    unnumbered = seconds([guest(one, vmid=None) for one in machines], workers)

    assert Stopall(machines, workers).run() <= min(counted, unnumbered)
    slow = Stopall([slowest(one) for one in machines], workers).run()
    assert slow <= min(counted, unnumbered)
    # Tight: what is counted beyond it is the part of a second of each look, and of the rounding.
    assert counted - slow <= 2 + len(machines)


def test_a_guest_that_uses_all_of_its_time() -> None:
    # 3 for the agent's ping, 60, SIGTERM and 11, 1 for its volumes; 0.25 to fork, 2 for the looks
    assert seconds([Guest("compta", 1, 60, 101)], workers=1) == 78
    # lxc-stop gets 5 seconds for its kill, no agent is asked
    assert seconds([Guest("web", 1, 60, 102, "lxc")], workers=1) == 69


def test_what_another_program_stops_takes_its_time_and_a_look() -> None:
    assert seconds([Guest("paper", 1, 60, 101, "plain")], workers=1) == 61


def test_without_down_it_is_three_minutes() -> None:
    one, other = Guest("a", 1, None, 101), Guest("a", 1, 180, 101)

    assert seconds([one], 1) == seconds([other], 1)


def test_the_highest_order_stops_first_and_no_order_before_all() -> None:
    listed = [Guest("dc", 1, 9, 100), Guest("files", 2, 9, 101), Guest("new", None, 9, 102)]

    assert [one[0].name for one in groups_of(listed)] == ["new", "files", "dc"]


def test_among_equals_the_highest_number_stops_first() -> None:
    (group,) = groups_of([Guest("a", 1, 9, 100), Guest("c", 1, 9, 300), Guest("b", 1, 9, 200)])

    assert [one.name for one in group] == ["c", "b", "a"]


def test_groups_wait_for_each_other_and_spans_say_when() -> None:
    first, second = spans([Guest("dc", 1, 10, 100), Guest("files", 2, 10, 101)], workers=4)

    assert (first.name, second.name) == ("files", "dc")
    assert second.begin >= first.end


def test_expected_is_what_the_last_stop_took() -> None:
    one = Guest("compta", 1, 60, 101, measured=12.4)

    assert seconds([one], 1, expected=True) == 16  # 12.4 + 1 + 0.25 + 2, rounded up
    unknown = Guest("compta", 1, 60, 101)
    assert seconds([unknown], 1, expected=True) == seconds([unknown], 1)


@pytest.mark.parametrize(
    ("cpus", "most", "workers"),
    [(1, None, 1), (2, None, 1), (4, None, 3), (32, None, 8), (32, 2, 2)],
)
def test_how_many_stop_at_once(cpus: int, most: int | None, workers: int) -> None:
    assert workers_of(cpus, most) == workers


def test_every_lock_of_pve_has_a_way() -> None:
    machines = "backup clone create migrate rollback snapshot snapshot-delete suspending suspended"
    containers = "backup create destroyed disk fstrim migrate mounted rollback snapshot"

    assert set(machines.split()) | set(containers.split()) == set(LOCKS)


def test_a_kind_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="kind vz is none of qemu, lxc, plain"):
        guest_of({"name": "a", "order": 1, "stop_seconds": 9, "kind": "vz"})
