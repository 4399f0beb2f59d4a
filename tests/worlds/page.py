"""The page docs/explanation/power-scenarios.md: what happens in each scenario in each mode.

It shows what runs have seen (seen.json, measured.json), and says where there was none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.worlds import measured, seen
from tests.worlds.catalogue import DEATHS, LIES, REPORTS, SWITCHES, TWENTY
from tests.worlds.full_run import CHOSEN, MODES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.worlds.scenarios import Scenario
    from tests.worlds.site import Mode

FILE = Path(__file__).parents[2] / "docs" / "explanation" / "power-scenarios.md"
WHERE: tuple[seen.Where, ...] = ("", "-full")
COLUMNS: dict[Mode, str] = {"plain": "plain NUT", "stock": "stock", "policy": "policy"}
WORDS = {
    "rides": "rides it out",
    "clean": "clean, all back",
    "early": "clean, all back, but too early",
    "refused": "refused",
    "cut": "**cut while running**",
    "dark": "**stays dark**",
}
HEAD = """\
# What a power cut does, scenario by scenario

Written by `python -m tests.worlds --page`, not by hand, from what runs of the worlds have seen.
`scripts/test power` runs every cell of these tables again and fails where one ends otherwise. A
cell whose world was not run since it was last changed says *not run*; an empty one has no world.

Each scenario runs in a small world of its own: three hosts (one with the UPS's cable and with
guests, a NAS, a gateway), each with the real upsd, upsmon, upssched, upsdrvctl and shutdown hook
of Debian 13 (NUT 2.8.1), on the configuration that the roles write, with shorter delays; the
switch, the mains, the battery and the output relay are simulated. A host is cut *while running*
when the output goes off before its file systems are down.

- **plain NUT**: the same monitors and users without what is ours: no own thresholds, no timer of
  the time on battery, no last wait (POWEROFF_WAIT), no boot gate, nobody who wakes.
- **stock**: what the roles set up by default.
- **policy**: the same site in mode policy, with the gateway in a tier of its own. Each host has a
  boot number of its own, as the decisions need it.

In every scenario it is also checked that no power command reaches the UPS before the last host's
file systems are down, and none at all when nobody was shut down.
"""
CAUSES = """\
## What no program can save

- **A UPS that goes on saying OL while it is on battery.** Nobody can know; the alarm that comes
  first is the weekly quick test, which must show and come back, and a level-4 drill before this
  UPS may guard anything.
- **A driver that is dead before the cut.** upsmon says so within seconds (COMMBAD, then NOCOMM
  every few minutes): that alarm is a matter of minutes, not of days.
- **A switch that loses its power with the mains.** The clients do not hear of the cut. The deploy
  refuses a client whose path is not fed by the UPS and that has no second one.
- **A client that never stops.** The others wait HOSTSYNC for it, then go down in time; it is cut.
"""


LIES_HEAD = """\
The mains go for 25 s and are back just before a UPS that then ignores the command is told to cut:
the hosts can come back by nothing but `rewake`, which asks for the charge.
"""
DEATHS_HEAD = """\
The UPS of these worlds never says that it is low, so that the time on battery is all that is left.
upssched's timer is gone with the program that dies; `rewake`'s clock acts ten seconds after it.
"""
FULL_HEAD = """\
A few of the scenarios again, but each host is a systemd container of Debian 13 to which Ansible has
applied `playbooks/power.yml`: NUT from its packages under its own units, TLS, the firewall, stops
and boots in systemd's order. Guests, switch, mains, battery and relay are simulated as in the light
worlds, and the verdict is the same function's. The same hosts live through one row after the other,
but those of 8-B and D3, which are others; in D3 a client has NUT's server installed, too. In 14 the
host with the cable is rebooted by `reboot` after a cut: nothing is cut, and no command reaches the
UPS. In P1 upsmon is killed for the second time just when it has told FSD.
"""
MEASURED = """\
## Measured

**Sweep**: the mains come back at each half second of a shutdown, from before the decision to after
the output is off, for a UPS that cycles on line and for one that ignores the command there; NUT's
default poll times, each host's in another phase. **Fuzz**: random timelines of cuts, lost data,
dead drivers and dead switches, the same ones for ever; *explained* are those which a cause on the
list below explains, with its alarm before the output went off; *s*: the longest time for which the
power side of a world stood still, since the machine had other work.
"""


def render() -> str:
    """Return the whole page."""
    return "\n".join(
        (
            HEAD,
            "## The twenty\n",
            table(TWENTY),
            "## From reports of other sites\n",
            table(REPORTS),
            "## Dead switches\n",
            table(SWITCHES),
            "## A UPS that cannot be believed\n",
            LIES_HEAD,
            table(LIES),
            "## A program that dies on battery\n",
            DEATHS_HEAD,
            table(DEATHS),
            "## The same in full hosts\n",
            FULL_HEAD,
            full_table(),
            MEASURED,
            _measured(),
            CAUSES,
        )
    )


def _measured() -> str:
    """Return the counts of the sweeps and fuzzes that were run."""
    kinds = ("rides", "clean", "mixed", "dark", "cut", "early", "excused", "lag")
    rows = [
        "| | worlds run | nobody stops | clean, all back | half up | somebody dark "
        "| cut while running | commanded too early | explained | s |",
        f"|-|{'-|' * (len(kinds) + 1)}",
    ]
    for name, one in measured.read().items():
        counts = " | ".join(str(getattr(one, kind)) for kind in kinds)
        rows.append(f"| {name.replace('-', ', ')} | {one.worlds} of {one.planned} | {counts} |")
    return "\n".join((*rows, ""))


def _cell(scenario: Scenario, mode: Mode, where: seen.Where = "") -> str:
    """Return how a scenario ended when it was last run, and whether it should have."""
    found = seen.read(scenario, mode, where)
    if found is None:
        return "not run"
    if found.wrong:
        return f"{WORDS[found.end]}; wrong: {'; '.join(found.wrong)}"
    return WORDS[scenario.expected[mode]]


def table(scenarios: Iterable[Scenario]) -> str:
    listed = list(scenarios)
    modes = [mode for mode in COLUMNS if any(mode in one.expected for one in listed)]
    rows = [
        f"| | what happens | {' | '.join(COLUMNS[mode] for mode in modes)} |",
        f"|-|-|{'-|' * len(modes)}",
    ]
    for one in listed:
        cells = [_cell(one, mode) if mode in one.expected else "" for mode in modes]
        rows.append(f"| {one.id} | {one.title} | {' | '.join(cells)} |")
    notes = [
        f"- {one.id}, {COLUMNS[mode]}: {words}."
        for one in listed
        for mode, words in one.why.items()
        if mode in modes
    ]
    return "\n".join((*rows, "", *notes, ""))


def full_table() -> str:
    """Return what ran on full hosts beside what the light worlds have seen."""
    heads = [f"{COLUMNS[mode]}, {kind}" for mode in MODES for kind in ("light", "full")]
    rows = [
        f"| | what happens | {' | '.join(heads)} |",
        f"|-|-|{'-|' * len(heads)}",
    ]
    for one in CHOSEN:
        cells = [_cell(one, mode, where) for mode in MODES for where in WHERE]
        rows.append(f"| {one.id} | {one.title} | {' | '.join(cells)} |")
    return "\n".join((*rows, ""))
