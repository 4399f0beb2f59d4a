"""Who needs somebody's hands after a power cut: named, and refused until that is known and wanted.

Mains that come back while the site stops leave hosts off beside an output that never went away: a
UPS may ignore the command to cut, answer it and do nothing, or, on the network, never get it. The
UPS's host then boots by itself (POWEROFF_WAIT) and wakes the others, by their network card alone.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.power.lint import cuts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from releve.power.measurement import Measurement

MEASURE = "measure it to its end and answer what was seen (releve power measure --how plug-pull)"
CABLE = f"connect it by USB or a serial line, or {MEASURE}"
# Names for `accept`; the first two are findings of the linter.
NETWORK, NEVER = "UC_NETWORK_DRIVER_KILLPOWER", "UC_DRIVER_NEVER_CUTS"
NONE, ON_LINE, NO_RETURN = "cut-none", "cut-ignored-on-line", "cut-no-return"
OWN = "its own host"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a cut does not bring everybody back: `what` becomes of whom, and what would mend it."""

    id: str
    why: str
    what: tuple[str, ...]
    remedy: str

    @property
    def fault(self) -> str:
        """What a deploy is refused with."""
        return (
            f"{self.why}, so {', and '.join(self.what)}: {self.remedy}, or accept that by name,"
            f" nut_primary_accept: {{{self.id}: the reason}}"
        )

    def taken(self, reason: object) -> str:
        """Return what each deploy says of it once somebody has taken it."""
        return f"{', and '.join(self.what)}: {self.why}; accepted as {self.id} ({reason})"


def faults(
    device: Mapping[str, Any],
    clients: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
    accept: Mapping[str, Any],
) -> list[str]:
    """Return why this is not deployed.

    `device` has driver, port, options and supplies (of its own host).
    """
    return [one.fault for one in doubts(device, clients, record) if one.id not in accept]


def notes(
    device: Mapping[str, Any],
    clients: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
    accept: Mapping[str, Any],
) -> list[str]:
    """Return who may need hands: by what was accepted, else where nothing was measured."""
    found = list(doubts(device, clients, record))
    if found:
        return [one.taken(accept[one.id]) for one in found if one.id in accept]
    dark = _dark(clients)
    if not dark or (record.get("cut") == "proven" and record.get("cuts_on_line")):
        return []
    return [
        f"{', '.join(dark)} may stay dark until somebody presses the button, when the mains"
        " come back while the site stops: give the mac, for Wake-on-LAN"
    ]


def doubts(
    device: Mapping[str, Any], clients: Sequence[Mapping[str, Any]], record: Mapping[str, Any]
) -> Iterator[Doubt]:
    """Yield what is known to leave somebody off, or on; what is only unknown is none of it."""
    driver, cut = str(device.get("driver", "")), record.get("cut")
    port = str(device.get("port", ""))
    # A file is refused by a name of its own, UC_DUMMY_AS_SOURCE.
    never = cuts.never_cuts(driver, _options(device).get) and not cuts.is_simulated(driver, port)
    if record.get("returned") is False:
        every = [*(str(one["name"]) for one in clients), *([OWN] if device.get("supplies") else [])]
        yield from _doubt(
            NO_RETURN, "its output did not come back by itself after it was cut",
            [f"{_and(every)} {_s(every, 'stay')} dark until somebody switches it on"] if every
            else [], f"set its delays or its panel so that it does, then {MEASURE}",
        )  # fmt: skip
    dark = _dark(clients)
    button = f"{_and(dark)} {_s(dark, 'stay')} dark until somebody presses the button"
    staying = [button] if dark else []
    wake = f"give the mac of {_and(dark)}, for Wake-on-LAN, or " if dark else ""
    # Also with mains away, what is never cut stands on a battery that nobody switches off.
    own = f"{OWN} starts again after its wait and may lose its power as it runs"
    uncut = [*staying, own] if device.get("supplies") else staying
    enough = "" if own in uncut else wake
    if cut != "proven" and never:
        why = f"its driver ({driver}) cannot cut its output"
        yield from _doubt(NEVER, why, uncut, f"{enough}take a driver that can, or {MEASURE}")
    elif cut == "none":
        why = "it was measured that its output is never cut"
        yield from _doubt(NONE, why, uncut, f"{enough}{MEASURE}")
    elif cut != "proven" and cuts.over_network(driver, port):
        yield from _doubt(
            NETWORK, f"its cut is sent over the network ({driver}) at the very end, when that may"
            " be down, and nothing arms it before", uncut, CABLE,
        )  # fmt: skip
    elif record.get("cuts_on_line") is False:
        why = "it was measured that it ignores the command to cut while the mains are there"
        yield from _doubt(ON_LINE, why, staying, f"{wake}{MEASURE}")


def cut_in_words(made: Measurement) -> str:
    """Return what is known of the cut of a UPS, in words."""
    words = {
        "proven": "was seen to be cut",
        "offered": "offers a command to be cut, which nobody saw work",
        "none": "is not cut",
        None: "nobody knows whether it is cut",
    }
    told = [words[made.cut]]
    if made.cuts_on_line is not None:
        told.append(f"{'cut' if made.cuts_on_line else 'NOT cut'} while the mains are there")
    if made.off_seconds is not None:
        told.append(f"off for {made.off_seconds:g} s")
    if made.returned is not None:
        told.append("came back by itself" if made.returned else "did NOT come back by itself")
    return ", ".join(told)


def _doubt(identity: str, why: str, what: list[str], remedy: str) -> Iterator[Doubt]:
    if what:
        yield Doubt(identity, why, tuple(what), remedy)


def _options(device: Mapping[str, Any]) -> dict[str, str]:
    """Return its settings of ups.conf, whose names have no capitals for NUT."""
    return {key.lower(): str(one) for key, one in dict(device.get("options") or {}).items()}


def _dark(clients: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return who cannot be woken."""
    return [str(one["name"]) for one in clients if not one.get("mac") and not one.get("wake")]


def _and(names: Sequence[str]) -> str:
    return ", ".join(names)


def _s(names: Sequence[str], verb: str) -> str:
    return verb if len(names) > 1 else f"{verb}s"
