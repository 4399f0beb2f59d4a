"""Programs that die on battery, where nothing else than the time would end it in time."""

from __future__ import annotations

from tests.worlds.run import Event
from tests.worlds.scenarios import Scenario, begun_by, changed, mains, off_comes_last, times

# A UPS that never says that it is low: what is left is the time on battery, or policy's reckoning.
MUTE = changed(low_battery=0)
NO_TIMER = "this UPS never says that it is low, and plain NUT has no timer"
SECOND_CLOCK = 38.0  # seconds: 10 s after upssched's timer, and a poll


def _killed(at: float, pattern: str) -> Event:
    """Return the death of programs of the host with the cable; `pattern`: of their command line."""
    return Event(at, "do", ("pve1", "pkill", "-KILL", "-f", pattern))


def _dying(number: str, title: str, *deaths: Event) -> Scenario:
    return Scenario(
        number,
        title,
        (*mains(2, 66), *deaths),
        95,
        {"plain": "cut", "stock": "clean", "policy": "clean"},
        site=MUTE,
        why={"plain": NO_TIMER},
        checks=(off_comes_last, begun_by(SECOND_CLOCK), times("nas", 1), times("pve1", 1)),
    )


# systemd takes upssched with upsmon, of whose unit it is.
UPSMON, UPSSCHED, REWAKE = "^/[a-z/]*/ups(mon|sched)", "^/[a-z/]*/upssched", "power.pyz rewake"
DEATHS = (
    _dying("P1", "upsmon dies twice on battery", _killed(14, UPSMON), _killed(25, UPSMON)),
    _dying("P2", "upssched dies on battery", _killed(10, UPSSCHED)),
    _dying("P3", "rewake dies on battery, then upsmon", _killed(8, REWAKE), _killed(15, UPSMON)),
)
