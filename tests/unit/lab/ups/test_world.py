"""The lab's UPS does what UPSes do: it empties, cuts, and gives power back; each cut is judged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from releve.lab.ups.battery import Battery
from releve.lab.ups.machines import State
from releve.lab.ups.world import Journal, World

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Hosts:
    """Hosts without a body."""

    states: dict[str, State] = field(default_factory=dict)

    def state(self, host: str) -> State:
        return self.states[host]

    def cut(self, host: str) -> None:
        self.states[host] = State.HALTED

    def power_on(self, host: str) -> None:
        self.states[host] = State.RUNNING


@dataclass
class Bench:
    """A world of 60 s of battery with two hosts, and its clock."""

    world: World
    hosts: Hosts
    folder: Path
    now: float = 0.0

    def run(self, seconds: float, *called: str) -> None:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.world.tick(self.now, 0.1, list(called))

    def order(self, **what: Any) -> None:
        (self.folder / "control.d" / "order").write_text(json.dumps(what))

    def driver(self, command: str) -> None:
        order = {"command": command, "offdelay": 3, "ondelay": 5, "from": "pve1"}
        (self.folder / "ups1.cmd.d" / "order").write_text(json.dumps(order))

    def kinds(self, subject: str) -> list[str]:
        return [line["kind"] for line in self.lines() if line["subject"] == subject]

    def lines(self) -> list[dict[str, Any]]:
        text = (self.folder / "events.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def cuts(self) -> dict[str, bool]:
        return {one["subject"]: one["clean"] for one in self.lines() if one["kind"] == "cut"}

    def status(self) -> str:
        content = json.loads((self.folder / "ups1.json").read_text())
        return str(content["vars"]["ups.status"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    hosts = Hosts({"pve1": State.RUNNING, "nas": State.RUNNING})
    world = World(
        "ups1",
        tmp_path,
        hosts,
        Journal(tmp_path / "events.jsonl"),
        Battery(60),
        ("pve1", "nas"),
        wake={"52:54:00:91:01:02": "nas"},
    )
    world.prepare()
    return Bench(world, hosts, tmp_path)


def test_a_cut_of_the_mains_is_on_battery_and_costs_charge(bench: Bench) -> None:
    bench.run(1)
    assert bench.status() == "OL"

    bench.order(mains="off")
    bench.run(30)

    assert bench.status() == "OB DISCHRG"
    assert bench.world.battery.left == pytest.approx(30, abs=0.5)


def test_the_last_seconds_are_low_battery(bench: Bench) -> None:
    bench.order(mains="off")
    bench.run(46)

    assert bench.status() == "OB DISCHRG LB"


def test_an_empty_battery_cuts_who_still_runs_and_calls_it_unclean(bench: Bench) -> None:
    bench.order(mains="off")
    bench.run(20)
    bench.hosts.states["nas"] = State.HALTED
    bench.run(70)

    assert bench.cuts() == {"pve1": False, "nas": True}
    assert bench.hosts.states["pve1"] is State.HALTED


def test_power_comes_back_to_all_hosts_after_its_delay(bench: Bench) -> None:
    bench.order(mains="off")
    bench.run(5)
    bench.hosts.states.update(pve1=State.WAITING, nas=State.HALTED)
    bench.driver("shutdown.return")
    bench.run(4)
    assert bench.cuts() == {"pve1": True, "nas": True}

    bench.order(mains="on")
    bench.run(4)
    assert bench.status() == "OL OFF"
    bench.run(2)

    assert bench.hosts.states == {"pve1": State.RUNNING, "nas": State.RUNNING}


def test_without_mains_the_output_stays_off(bench: Bench) -> None:
    bench.order(mains="off")
    bench.run(1)
    bench.hosts.states.update(pve1=State.HALTED, nas=State.HALTED)
    bench.driver("shutdown.return")
    bench.run(60)

    assert "output-on" not in bench.kinds("ups1")


def test_a_ups_that_cycles_on_line_brings_everybody_back(bench: Bench) -> None:
    bench.hosts.states.update(pve1=State.WAITING, nas=State.HALTED)
    bench.driver("shutdown.return")
    bench.run(10)

    assert bench.kinds("ups1") == ["command", "output-off", "output-on"]
    assert bench.hosts.states["nas"] is State.RUNNING


def test_a_ups_that_ignores_it_on_line_leaves_the_waiting_host_to_its_reboot(bench: Bench) -> None:
    bench.order(behaviour="ign")
    bench.run(1)
    bench.hosts.states.update(pve1=State.WAITING, nas=State.HALTED)
    bench.driver("shutdown.return")
    bench.run(10)
    bench.hosts.states["pve1"] = State.HALTED
    bench.run(1)

    assert bench.kinds("ups1") == ["command", "ignored"]
    assert bench.hosts.states == {"pve1": State.RUNNING, "nas": State.HALTED}


def test_a_magic_packet_wakes_a_dark_host_only_with_power(bench: Bench) -> None:
    bench.hosts.states["nas"] = State.HALTED
    bench.run(1, "52:54:00:91:01:ff")
    assert bench.kinds("nas") == []

    bench.run(0.1, "52:54:00:91:01:02")
    assert bench.kinds("nas") == ["power-on"]
    assert bench.hosts.states["nas"] is State.RUNNING


def test_a_magic_packet_is_lost_on_a_host_without_power(bench: Bench) -> None:
    bench.world.output = False
    bench.hosts.states["nas"] = State.HALTED
    bench.run(1, "52:54:00:91:01:02")

    assert bench.hosts.states["nas"] is State.HALTED


def test_the_battery_charges_faster_than_it_empties(bench: Bench) -> None:
    bench.order(charge=50)
    bench.run(0.1)
    bench.run(7.5)

    assert bench.world.battery.full


def test_a_deaf_ups_takes_the_command_and_does_nothing(bench: Bench) -> None:
    bench.order(behaviour="deaf", mains="off")
    bench.run(1)
    bench.driver("shutdown.return")
    bench.run(10)

    assert bench.kinds("ups1") == ["command", "ignored"]
    assert bench.world.output


def test_words_are_said_besides_for_a_while(bench: Bench) -> None:
    bench.order(words=["LB", "RB"])
    bench.run(1)
    assert bench.status() == "OL LB RB"

    bench.order(words=[])
    bench.run(1)
    assert bench.status() == "OL"


def test_a_lie_reaches_what_is_published(bench: Bench) -> None:
    bench.order(lies={"battery.runtime": "absent", "ups.status": "frozen"})
    bench.run(1)
    bench.order(mains="off")
    bench.run(5)

    values = json.loads((bench.folder / "ups1.json").read_text())["vars"]
    assert "battery.runtime" not in values
    assert values["ups.status"] == "OL"
    assert bench.world.battery.left < 56


def test_a_host_that_another_ups_carries_loses_nothing(bench: Bench) -> None:
    bench.world.carried = lambda host: host == "pve1"
    bench.order(mains="off")
    bench.run(70)
    bench.order(mains="on")
    bench.run(5)

    assert bench.cuts() == {"nas": False}
    assert bench.hosts.states["pve1"] is State.RUNNING
    assert bench.kinds("pve1") == []


def test_a_quick_test_is_on_battery_for_a_while_with_the_mains_there(bench: Bench) -> None:
    bench.run(1)
    bench.driver("test.battery.start.quick")
    bench.run(2)
    assert bench.status() == "OB DISCHRG"

    bench.run(10)

    assert bench.status() == "OL"
    assert bench.world.test.result == "Done and passed"
    assert bench.kinds("ups1") == ["command"]  # nothing was cut


def test_a_deep_test_ends_before_the_battery_does_or_when_told(bench: Bench) -> None:
    bench.driver("test.battery.start.deep")
    bench.run(50)
    assert bench.status() == "OB DISCHRG LB"
    bench.run(15)
    assert bench.status() == "OL CHRG"
    assert bench.world.output

    bench.run(60)
    bench.driver("test.battery.start.deep")
    bench.run(5)
    bench.driver("test.battery.stop")
    bench.run(1)
    assert bench.world.test.result == "Aborted"
    assert "OL" in bench.status()


def test_a_ups_that_switches_itself_off_ends_its_test(bench: Bench) -> None:
    bench.driver("test.battery.start.deep")
    bench.run(5)
    bench.driver("shutdown.return")
    bench.run(4)
    assert not bench.world.output
    bench.run(8)

    assert bench.world.output
    assert "OL" in bench.status()
    assert bench.world.test.result == "Aborted"


def test_the_voltage_of_the_battery_falls_while_it_is_drained(bench: Bench) -> None:
    def volts() -> float:
        said = json.loads((bench.folder / "ups1.json").read_text())
        return float(said["vars"]["battery.voltage"])

    bench.run(1)
    full = volts()
    bench.order(mains="off")
    bench.run(20)

    assert 21 < volts() < full < 30


def test_a_real_cut_takes_the_place_of_a_test(bench: Bench) -> None:
    bench.driver("test.battery.start.deep")
    bench.run(5)
    bench.order(mains="off")
    bench.run(5)

    assert bench.status() == "OB DISCHRG"
    assert not bench.world.test.running
    bench.driver("test.battery.start.quick")
    bench.run(1)
    assert not bench.world.test.running
