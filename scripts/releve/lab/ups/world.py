"""Mains, battery and output relay of the lab's UPS; runs outside of all hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from releve.drills.evidence import now as utc_now
from releve.lab.ups.battery import Battery, load_of
from releve.lab.ups.lies import Liar
from releve.lab.ups.machines import Machines, State
from releve.lab.ups.selftest import SelfTest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# cyc: shutdown.return cycles the output even on line; ign: it is ignored there, and a countdown
# that runs is dropped when the mains come back; deaf: it says OK and does nothing (real UPSes of
# all three kinds exist).
Behaviour = Literal["cyc", "ign", "deaf"]


@dataclass(slots=True)
class Journal:
    """What happened, one JSON line each: `{at, subject, what, kind, ...}`."""

    file: Path

    def note(self, subject: str, kind: str, what: str, **more: object) -> None:
        """Append one event."""
        line = {"at": utc_now(), "subject": subject, "kind": kind, "what": what, **more}
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


@dataclass(slots=True)
class World:
    """One UPS, the hosts that it feeds, and their Wake-on-LAN addresses (MAC -> host)."""

    ups: str
    folder: Path
    machines: Machines
    journal: Journal
    battery: Battery
    fed: tuple[str, ...]
    wake: dict[str, str] = field(default_factory=dict)
    # Whether another UPS holds a host: then it loses nothing here, and gains nothing.
    carried: Callable[[str], bool] = lambda _host: False
    behaviour: Behaviour = "cyc"
    words: tuple[str, ...] = ()  # said besides, for as long as they stand here
    liar: Liar = field(default_factory=Liar)
    low_battery_seconds: float = 15.0
    mains: bool = True
    comms: bool = True
    output: bool = True
    cut_at: float | None = None
    on_at: float | None = None
    ondelay: float = 3.0
    states: dict[str, State] = field(default_factory=dict)
    test: SelfTest = field(default_factory=SelfTest)

    @property
    def charging(self) -> bool:
        """Whether the output is fed by the mains: they are there, and no test runs."""
        return self.mains and not self.test.running

    def prepare(self) -> None:
        """Make the folders; the driver writes as user nut of its host."""
        for name in (f"{self.ups}.cmd.d", "control.d"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.ups}.cmd.d").chmod(0o1777)
        self.journal.file.touch()

    def tick(self, now: float, seconds: float, called: list[str]) -> None:
        """Let `seconds` pass, up to `now` (a steady clock); `called`: MACs heard on the wire."""
        self._look_at_hosts()
        self._obey_controls()
        load = load_of(sum(state is State.RUNNING for state in self.states.values()), len(self.fed))
        self.battery.step(seconds, mains=self.charging, output=self.output, load=load)
        nearly_empty = self.battery.runtime(load) < self.low_battery_seconds / 2
        self.test.step(now, mains=self.mains, nearly_empty=nearly_empty)
        self._obey_driver(now)
        self._move_relay(now)
        for address in called:
            self._wake(self.wake.get(address))
        self._publish(load)

    def _look_at_hosts(self) -> None:
        for host in self.fed:
            state = self.machines.state(host)
            before = self.states.get(host)
            if state is before:
                continue
            self.states[host] = state
            if before is not None:
                self.journal.note(host, state.value, f"{state.value}")
            # NUT's hook reboots after POWEROFF_WAIT; a container can only end there.
            if before is State.WAITING and state is State.HALTED and self.output:
                self._power_on(host, "POWEROFF_WAIT is over and the output is on: it starts again")

    def _obey_controls(self) -> None:
        for order in _take(self.folder / "control.d"):
            self.obey(order)

    def obey(self, order: dict[str, Any]) -> None:
        """Do to the UPS what a person or a fault does; unknown words are left alone."""
        if "mains" in order:
            self.mains = order["mains"] == "on"
            self.journal.note("mains", f"mains-{order['mains']}", _mains_words(self.mains))
        if "behaviour" in order:
            self.behaviour = order["behaviour"]
        if "comms" in order:
            self.comms = bool(order["comms"])
        if "charge" in order:
            self.battery.left = self.battery.capacity_seconds * float(order["charge"]) / 100
        if "words" in order:
            self.words = tuple(order["words"])
        if "lies" in order:
            self.liar.lies = dict(order["lies"])
        if "silent" in order:
            self.liar.silent = bool(order["silent"])
        if "wake" in order:
            self._wake(order["wake"])

    def _obey_driver(self, now: float) -> None:
        for order in _take(self.folder / f"{self.ups}.cmd.d"):
            command = order["command"]
            self.journal.note(self.ups, "command", f"{command} from {order['from']}")
            if command in {"shutdown.return", "shutdown.stayoff", "load.off"}:
                self._arm(now, command, order)
            elif command == "shutdown.stop":
                self.cut_at = None
            else:
                self.test.obey(command, now, mains=self.mains)

    def _arm(self, now: float, command: str, order: dict[str, Any]) -> None:
        if self.behaviour == "deaf":
            self.journal.note(self.ups, "ignored", f"{command} is ignored: this UPS only says OK")
        elif self.mains and self.behaviour == "ign":
            self.journal.note(self.ups, "ignored", f"{command} is ignored: the mains are there")
        elif self.output and self.cut_at is None:
            self.ondelay = float(order["ondelay"])
            self.cut_at = now + (0 if command == "load.off" else float(order["offdelay"]))

    def _move_relay(self, now: float) -> None:
        if self.cut_at is not None and self.mains and self.behaviour == "ign":
            self.cut_at = None
            self.journal.note(self.ups, "ignored", "the countdown is dropped: the mains are back")
        if self.cut_at is not None and now >= self.cut_at:
            self._off("as commanded")
        elif self.output and self.battery.empty and not self.mains:
            self._off("battery empty")
        if not self.output and self.mains:
            if self.on_at is None:
                self.on_at = now + self.ondelay
            elif now >= self.on_at:
                self._on()
        if not self.mains:
            self.on_at = None

    def _off(self, why: str) -> None:
        self.output, self.cut_at, self.on_at = False, None, None
        self.test.cut()
        self.journal.note(self.ups, "output-off", f"output off: {why}")
        met = {host: self.machines.state(host) for host in self.fed if not self.carried(host)}
        for host, state in met.items():
            clean = state is not State.RUNNING
            words = "was down" if clean else "UNCLEAN: lost its power while it ran"
            self.journal.note(host, "cut", f"{words} ({state.value})", clean=clean)
        for host, state in met.items():
            if state is not State.HALTED:
                self.machines.cut(host)
            self.states[host] = State.HALTED

    def _on(self) -> None:
        self.output, self.on_at = True, None
        self.journal.note(self.ups, "output-on", "output on")
        for host in self.fed:
            if not self.carried(host):
                self._power_on(host, "powers on with the output")

    def _wake(self, host: str | None) -> None:
        if host in self.fed and self.output and self.states.get(host) is State.HALTED:
            self._power_on(host, "woken over the network")

    def _power_on(self, host: str, why: str) -> None:
        self.journal.note(host, "power-on", why)
        self.machines.power_on(host)

    def _publish(self, load: float) -> None:
        runtime = self.battery.runtime(load)
        words = ["OL", *(["CHRG"] if not self.battery.full else [])]
        if not self.charging:
            words = ["OB", "DISCHRG", *(["LB"] if runtime < self.low_battery_seconds else [])]
        words += [] if self.output else ["OFF"]
        words += [word for word in self.words if word not in words]
        values = {
            "ups.status": " ".join(words),
            "ups.mfr": "releve",
            "ups.model": "lab",
            "ups.load": f"{100 * load:.0f}",
            "battery.charge": f"{self.battery.charge:.0f}",
            "battery.runtime": f"{runtime:.0f}",
            "battery.voltage": f"{self.battery.voltage:.1f}",
            "ups.test.result": self.test.result,
            "input.voltage": "230" if self.mains else "0",
        }
        state = {"comms": self.comms, "vars": self.liar.tell(values)}
        part = self.folder / f".{self.ups}.part"
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(self.folder / f"{self.ups}.json")


def _take(folder: Path) -> list[dict[str, Any]]:
    """Return the orders in a folder and remove them; one still being written begins with a dot."""
    orders = []
    for file in sorted(folder.iterdir()):
        if not file.name.startswith("."):
            orders.append(json.loads(file.read_text(encoding="utf-8")))
            file.unlink()
    return orders


def _mains_words(on: bool) -> str:
    return "mains are back" if on else "mains are lost"
