"""Proxmox VE's `stopall`, line by line on a clock of its own, for tests of the budget.

Written from pve-manager's PVE/API2/Nodes.pm (stopall, get_start_stop_list), qemu-server's
`_do_vm_stop` and pve-container's `vm_stop`; nothing of the code under test is used here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LONG_MAX = 2**63 - 1


@dataclass
class Machine:
    """A guest as it behaves: what it takes of each of the waits that PVE grants it."""

    vmid: int
    order: int | None
    down: int | None
    kind: str = "qemu"
    fork: float = 0.1
    ping: float = 0.0  # of the agent, until 3
    off_after: float = 5.0  # from the power button until it is off by itself
    term_after: float = 0.5  # from SIGTERM until its QEMU is gone
    cleanup: float = 0.2
    lock: str | None = None
    ended: float | None = None
    forced: bool = False


def vm_task(machine: Machine, timeout: int) -> float:
    """Return how long `_do_vm_stop` takes; sets `forced`."""
    clock = machine.ping
    off = clock + machine.off_after
    count = 0
    while count < timeout and clock < off:
        count += 1
        clock += 1
    if count < timeout:
        return clock + machine.cleanup
    machine.forced = True
    off = min(off, clock + machine.term_after)
    count = 0
    while count < 10 and clock < off:
        count += 1
        clock += 1
    if count >= 10:
        clock += 1
    return clock + machine.cleanup


def ct_task(machine: Machine, timeout: int) -> float:
    """Return how long `lxc-stop --timeout` takes, its kill included; sets `forced`.

    With 0 it returns at once and kills nobody; its task then waits for the container all the same.
    """
    if timeout == 0 or machine.off_after < timeout:
        return machine.off_after + machine.cleanup
    machine.forced = True
    return timeout + min(machine.term_after, 5) + machine.cleanup


@dataclass
class Stopall:
    """One run; `clock` is its own time, which only sleeping and forking move on."""

    machines: list[Machine]
    max_workers: int
    clock: float = 0.0
    workers: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        for vmid in list(self.workers):
            if self.workers[vmid] <= self.clock:
                del self.workers[vmid]

    def run(self) -> float:
        groups: dict[int, dict[int, Machine]] = {}
        for machine in self.machines:
            order = LONG_MAX if machine.order is None else machine.order
            groups.setdefault(order, {})[machine.vmid] = machine
        for order in sorted(groups, reverse=True):
            self.workers = {}
            for vmid in sorted(groups[order], reverse=True):
                machine = groups[order][vmid]
                self.clock += machine.fork
                timeout = 180 if machine.down is None else machine.down
                if machine.lock:
                    self.workers[vmid] = self.clock + machine.cleanup
                else:
                    task = vm_task if machine.kind == "qemu" else ct_task
                    self.workers[vmid] = self.clock + task(machine, timeout)
                    machine.ended = self.workers[vmid]
                while len(self.workers) >= self.max_workers:
                    self.look()
                    self.clock += 1
            while self.workers:
                self.look()
                self.clock += 1
        return self.clock
