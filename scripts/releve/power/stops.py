"""How Proxmox VE stops the guests of a host that goes down, and how long that may take.

The rules are those of its own code: `stopall` of pve-manager (PVE/API2/Nodes.pm), `_do_vm_stop`
of qemu-server (PVE/QemuServer.pm), `vm_stop` of pve-container (PVE/LXC.pm), read at the state of
August 2026. Standard library only; all times in seconds, none of them measured unless said so.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DEFAULT_DOWN = 180  # of a guest whose `startup` has no `down`, VM and container alike
MOST_WORKERS = 8
# A slot is free when a look finds the task ended, and is used after one more sleep of a second:
# `while (workers >= max) { look; sleep(1) }`.
POLL = 2
SPAWN = 0.25  # tasks are forked one after the other; generous, Perl needs about a tenth
# Kinds: qemu and lxc are Proxmox VE's; what stops a plain guest looks once a second, no more.
PLAIN = "plain"
PLAIN_POLL = 1
TASK = {"qemu": 1, "lxc": 1, PLAIN: 0}  # reading the configuration, giving the volumes back
BEFORE = {"qemu": 3, "lxc": 0, PLAIN: 0}  # the guest agent's ping may take so long
# After `down`: SIGTERM and ten looks, then SIGKILL and one more second; lxc-stop gets five.
FORCE = {"qemu": 11, "lxc": 5, PLAIN: 0}
TOOLS = 4  # pve-guests.service starts `vzdump -stop` and `pvesh`: two Perl programs
BACKUP_STOP = 15  # `vzdump -stop` waits so long for the backup that it ends
LAST_ACT = 8  # our own end of backups: for taking locks away when the waiting is over


class Handling(enum.Enum):
    """What is done before `stopall` with a running guest whose configuration says `lock`.

    `stopall` does the same with each: its task dies with "VM is locked (...)", it goes on at
    once, and the guest runs until it is cut.
    """

    ABORT = "the backup is ended, what it leaves of the lock is taken away"
    WAIT = "it ends by itself with the guest off; waited for, then named"
    RELEASE = "waited for, then the lock is taken away so that the guest stops in its turn"


# Every word that qemu-server's and pve-container's schema allow; suspended, create, rollback,
# clone and destroyed belong to guests that do not run as a rule, and these cost nothing.
LOCKS = {
    "backup": Handling.ABORT,
    "clone": Handling.RELEASE,
    "create": Handling.RELEASE,
    "destroyed": Handling.RELEASE,
    "disk": Handling.RELEASE,
    "fstrim": Handling.RELEASE,
    "migrate": Handling.RELEASE,
    "mounted": Handling.RELEASE,
    "rollback": Handling.RELEASE,
    "snapshot": Handling.RELEASE,
    "snapshot-delete": Handling.RELEASE,
    "suspended": Handling.RELEASE,
    "suspending": Handling.WAIT,
}


@dataclass(frozen=True, slots=True)
class Guest:
    """One guest as `stopall` sees it.

    `order` None: it has no start order and stops before all that have one. `down` None: no time
    of its own, 180 s. `vmid` None: not known, so neither is its place among those of its order.
    `measured` is what its last stop took, None when none was seen.
    """

    name: str
    order: int | None = None
    down: int | None = None
    vmid: int | None = None
    kind: str = "qemu"
    measured: float | None = None

    @property
    def limit(self) -> int:
        """When Proxmox VE stops it by force, from its power button on."""
        return DEFAULT_DOWN if self.down is None else self.down

    @property
    def worst(self) -> int:
        """The longest that its task takes, all of PVE's waits used up."""
        return BEFORE[self.kind] + self.limit + FORCE[self.kind] + TASK[self.kind]

    @property
    def expected(self) -> float:
        """What its last stop took, and never more than the worst; the worst when unknown."""
        if self.measured is None:
            return self.worst
        return min(self.worst, self.measured + TASK[self.kind])


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when something takes place, in seconds from the start of the whole."""

    name: str
    begin: float
    end: float


def guest_of(entry: Mapping[str, Any]) -> Guest:
    """Return a guest from the JSON of the settings; raises KeyError, TypeError, ValueError."""
    order, down, vmid = entry.get("order"), entry["stop_seconds"], entry.get("vmid")
    measured, kind = entry.get("measured_seconds"), str(entry.get("kind") or "qemu")
    if kind not in FORCE:
        message = f"{entry['name']}: kind {kind} is none of qemu, lxc, plain"
        raise ValueError(message)
    return Guest(
        name=str(entry["name"]),
        order=None if order is None else int(order),
        down=None if down is None else int(down),
        vmid=None if vmid is None else int(vmid),
        kind=kind,
        measured=None if measured is None else float(measured),
    )


def workers_of(cpus: int, max_workers: int | None = None) -> int:
    """Return how many guests stop at once: datacenter.cfg's max_workers, else by the CPUs."""
    return max_workers or min(max(1, cpus - 1), MOST_WORKERS)


def groups_of(guests: Iterable[Guest]) -> list[list[Guest]]:
    """Return the guests as they stop: group after group, the highest order and number first."""
    groups: dict[float, list[Guest]] = {}
    for guest in guests:
        groups.setdefault(math.inf if guest.order is None else guest.order, []).append(guest)
    return [
        sorted(groups[order], key=lambda guest: -(guest.vmid or 0))
        for order in sorted(groups, reverse=True)
    ]


def spans(guests: Iterable[Guest], workers: int, *, expected: bool = False) -> list[Span]:
    """Return when each guest's stop begins and ends, from the start of `stopall` on.

    Without `expected` each takes its worst time. What is returned is never earlier than what
    `stopall` does when no guest takes longer: a slot that is free sooner only lets the next
    guest begin sooner.
    """
    laid: list[Span] = []
    clock = 0.0
    for group in groups_of(guests):
        times = [guest.expected if expected else guest.worst for guest in group]
        clock = _lay_out(laid, group, times, max(1, workers), clock)
    return laid


def seconds(guests: Sequence[Guest], workers: int, *, expected: bool = False) -> int:
    """Return how long `stopall` takes, whole seconds, rounded up; 0 without guests."""
    total = 0.0
    for group in groups_of(guests):
        times = [guest.expected if expected else guest.worst for guest in group]
        total += max(
            _lay_out([], group, times, max(1, workers), 0.0),
            _bound(group, times, max(1, workers)),
        )
    return math.ceil(total)


def _lay_out(
    laid: list[Span], group: list[Guest], times: list[float] | list[int], workers: int, clock: float
) -> float:
    """Append the spans of one group as list scheduling gives them; return when it is over."""
    running: list[float] = []
    spawn, poll = _costs(group)
    for guest, time in zip(group, times, strict=True):
        clock += spawn
        running.append(clock + time)
        laid.append(Span(guest.name, clock, clock + time))
        if len(running) >= workers:
            first = min(running)
            running.remove(first)
            clock = max(clock, first) + poll
    if not running:
        return clock
    return max(clock + 1, max(running) + poll)


def _costs(group: list[Guest]) -> tuple[float, int]:
    """Return what it costs to begin a stop, and to see its end."""
    if all(guest.kind == PLAIN for guest in group):
        return 0.0, PLAIN_POLL
    return SPAWN, POLL


def _bound(group: list[Guest], times: list[float] | list[int], workers: int) -> float:
    """Return what no order of the group exceeds; 0 when the order is known by the numbers.

    Graham, 1966: a list in any order ends before the mean load plus what the longest adds.
    """
    if all(guest.vmid is not None for guest in group):
        return 0.0
    spawn, poll = _costs(group)
    slots, spawns = [time + poll for time in times], spawn * len(times)
    if len(group) <= workers:
        return max(slots) + spawns
    return sum(slots) / workers + max(slots) * (workers - 1) / workers + spawns
