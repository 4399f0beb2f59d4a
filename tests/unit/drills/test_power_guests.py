"""Level 2: guests of the lowest tier stop and start; the power and the guests are played."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from releve.drills.evidence import Check, Evidence
from releve.drills.power_guests import DOWN_SECONDS, FIRST, GuestDrill, Stop, lowest, stop_of
from releve.errors import CheckError, LaterError, RefusedError
from releve.pve.client import TaskError
from releve.pve.guests import State
from releve.town import load_town
from releve.town.model import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator

TOWN = load_town(Path(__file__).parents[3] / "inventory/lab")
BOOT, WORK, STOP = 1, 2, 3


@dataclass
class Clock:
    time: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Chain:
    """A guest's records: (kind, Unix milliseconds)."""

    clock: Clock
    records: list[tuple[int, float]] = field(default_factory=list)
    boots: int = 1
    unclean: int = 0
    silent: bool = False

    def add(self, kind: int) -> None:
        self.records.append((kind, self.clock() * 1000))

    def answer(self, line: str) -> str:
        words = line.split()
        if words[0] == "status":
            number = len(self.records)
            said: dict[str, Any] = {"newest": number, "sum": f"sum{number}", "chain": "whole",
                    "records": number, "boots": self.boots, "unclean": self.unclean,
                    "uptime_ms": 1, "ms": self.clock() * 1000}  # fmt: skip
        else:
            number = int(words[1])
            kind, ms = self.records[number - 1]
            said = {"record": number, "sum": f"sum{number}", "kind": kind, "ms": ms}
        return json.dumps(said)


@contextmanager
def witness(chain: Chain) -> Iterator[int]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode()
            if not chain.silent:
                self.wfile.write(chain.answer(line).encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@dataclass
class FakePower:
    """Guests with their settings; `takes` is how long each needs, None: for ever."""

    chains: dict[int, Chain]
    configs: dict[int, dict[str, object]]
    takes: dict[int, float | None]
    clock: Any
    clean: bool = True
    broken: bool = False
    up: set[int] = field(default_factory=set)
    off_at: dict[int, float] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)

    def exists(self, vmid: int) -> bool:
        return vmid in self.configs

    def state(self, vmid: int) -> State:
        if vmid in self.off_at and self.clock.time >= self.off_at[vmid] and vmid in self.up:
            self.up.discard(vmid)
            self.chains[vmid].add(STOP if self.clean else WORK)
        running = vmid in self.up
        return State(running, "running" if running else "stopped", None)

    def config(self, vmid: int) -> dict[str, object]:
        return self.configs[vmid]

    def shutdown(self, vmid: int, seconds: int) -> None:
        self.calls.append(("shutdown", vmid))
        takes = self.takes[vmid]
        self.off_at[vmid] = self.clock.time + (takes if takes is not None else 1e9)
        self.clock.time += min(seconds, takes if takes is not None else seconds)
        if takes is None or takes > seconds:
            message = "VM quit/powerdown failed - got timeout"
            raise TaskError(message)

    def start(self, vmid: int) -> None:
        self.calls.append(("start", vmid))
        if self.broken:
            message = "no space left"
            raise TaskError(message)
        self.up.add(vmid)
        self.off_at.pop(vmid, None)
        self.clock.time += 1
        self.chains[vmid].boots += 1
        self.chains[vmid].add(BOOT)


@dataclass
class Scene:
    drill: GuestDrill
    power: FakePower
    chains: dict[str, Chain]

    def run(self, folder: Path) -> dict[str, Check]:
        evidence = Evidence("power-2", folder)
        self.drill.run(self.drill.plan(), evidence)
        return {check.id: check for check in evidence.checks}


@pytest.fixture
def scene() -> Iterator[Scene]:
    clock = Clock()
    chains = {name: Chain(clock) for name in TOWN.guests}
    for chain in chains.values():
        chain.add(BOOT)
        chain.add(WORK)
    with witness(chains["compta"]) as one, witness(chains["dossiers"]) as other:
        ports = {"compta": one, "dossiers": other}
        guests = {
            name: guest.model_copy(update={
                "witness": Witness(port=ports[name]),
                "nics": (guest.nics[0].model_copy(update={"address": "127.0.0.1"}),),
            })
            for name, guest in TOWN.guests.items()
        }  # fmt: skip
        town = TOWN.model_copy(update={"guests": guests})
        vmids = {name: guest.vmid for name, guest in guests.items()}
        power = FakePower(
            {vmids[name]: chain for name, chain in chains.items()},
            {vmids["compta"]: {"startup": "order=1,down=15"},
             vmids["dossiers"]: {"startup": "order=2,down=15"}},
            dict.fromkeys(vmids.values(), 4.0),
            clock,
            up=set(vmids.values()),
        )  # fmt: skip
        drill = GuestDrill(town, "pve1", power, lambda _line: None, clock, clock.sleep)
        yield Scene(drill, power, chains)


@pytest.mark.parametrize(
    ("startup", "order", "seconds"),
    [
        ("order=2,down=30", 2, 30),
        ("order=3,up=5", 3, DOWN_SECONDS),
        ("down=45", FIRST, 45),
        ("", FIRST, DOWN_SECONDS),
    ],
)
def test_a_guests_place_is_that_of_its_live_settings(
    startup: str, order: float, seconds: int
) -> None:
    assert stop_of("a", 1, {"startup": startup}) == Stop("a", 1, order, seconds)


def test_who_has_no_order_stops_first() -> None:
    ordered, other, free = Stop("a", 1, 9, 1), Stop("b", 2, 9, 1), Stop("c", 3, FIRST, 1)

    assert lowest([ordered, other]) == [ordered, other]
    assert lowest([ordered, free]) == [free]


def test_the_lowest_tier_stops_and_comes_back(scene: Scene, tmp_path: Path) -> None:
    checks = scene.run(tmp_path)

    assert all(check.passed for check in checks.values()), checks
    assert {call for call, _vmid in scene.power.calls} == {"shutdown", "start"}
    assert {vmid for _call, vmid in scene.power.calls} == {102}  # compta went on
    assert checks["dossiers.in-time"].limit == 15
    assert checks["dossiers.in-time"].value == pytest.approx(4, abs=0.6)


def test_who_needs_longer_is_named_with_the_remedy_and_not_cut(
    scene: Scene, tmp_path: Path
) -> None:
    scene.power.takes[102] = 31.0
    checks = scene.run(tmp_path)

    assert not checks["dossiers.in-time"].passed
    assert "more than 31 s" in checks["dossiers.in-time"].note
    assert checks["dossiers.clean-stop"].passed
    assert checks["dossiers.back"].passed
    assert 102 in scene.power.up


def test_who_ignores_its_power_button_is_left_as_it_is(scene: Scene, tmp_path: Path) -> None:
    scene.power.takes[102] = None
    checks = scene.run(tmp_path)

    assert not checks["dossiers.in-time"].passed
    assert "does not heed its power button" in checks["dossiers.in-time"].note
    assert ("start", 102) not in scene.power.calls
    assert 102 in scene.power.up
    assert not checks["dossiers.back"].passed


def test_a_stop_that_is_none_is_named(scene: Scene, tmp_path: Path) -> None:
    scene.power.clean = False
    checks = scene.run(tmp_path)

    assert not checks["dossiers.clean-stop"].passed
    assert checks["dossiers.whole"].passed


def test_a_guest_that_does_not_start_is_named(scene: Scene, tmp_path: Path) -> None:
    scene.power.broken = True
    check = scene.run(tmp_path)["dossiers.back"]

    assert not check.passed
    assert check.note == "no space left"


def test_a_locked_guest_is_waited_for(scene: Scene) -> None:
    scene.power.configs[102]["lock"] = "backup"
    with pytest.raises(LaterError, match=r"dossiers is locked \(backup\)"):
        scene.drill.plan()


def test_a_host_without_guests_is_refused(scene: Scene) -> None:
    scene.power.up.clear()
    with pytest.raises(RefusedError, match="no guest"):
        scene.drill.plan()


def test_a_guest_that_does_not_answer_before_is_not_stopped(scene: Scene, tmp_path: Path) -> None:
    scene.chains["dossiers"].silent = True
    with pytest.raises(CheckError, match="cannot prove anything"):
        scene.run(tmp_path)

    assert scene.power.calls == []
