"""A blind client stops itself when its time is over, and in no other case."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from releve.power.hostrule import (
    Config,
    HostRule,
    aside,
    hears_anybody,
    is_reply,
    mains,
    shut_down,
)
from releve.power.spool import waiting

if TYPE_CHECKING:
    from collections.abc import Callable


def at_once(work: Callable[[], object]) -> None:
    """Do beside what a test looks at right after."""
    work()


@dataclass
class World:
    """Whether somebody is heard, what the evidence says, what the clock shows."""

    hears: bool = True
    mains: bool | None = None
    now: float = 1000.0
    fired: list[float] = field(default_factory=list)
    broken: int = 0
    beside: Callable[[Callable[[], object]], None] = at_once

    def act(self, _config: Config) -> None:
        if self.broken:
            self.broken -= 1
            raise subprocess.CalledProcessError(1, "upsmon")
        self.fired.append(self.now)


def rule_in(world: World, **changes: object) -> HostRule:
    nowhere = Path("/nowhere/at-all")
    settings: dict[str, object] = {"servers": ("192.0.2.1",), "after": 30, "spool": nowhere}
    settings |= {"armed": nowhere, "noted": nowhere}
    config = Config(**(settings | changes))  # type: ignore[arg-type]
    return HostRule(
        config,
        hears=lambda _config: world.hears,
        ask_mains=lambda _config: world.mains,
        act=world.act,
        clock=lambda: world.now,
        beside=world.beside,
    )


def blind(rule: HostRule, world: World, seconds: int) -> None:
    world.hears = False
    for _ in range(seconds):
        rule.step()
        world.now += 1


def test_it_stops_the_host_once_when_its_time_is_over() -> None:
    world = World()
    rule = rule_in(world)
    rule.step()
    blind(rule, world, 100)

    assert world.fired == [1030.0]


def test_a_shorter_silence_is_nothing() -> None:
    world = World()
    rule = rule_in(world)
    rule.step()
    for _ in range(5):
        blind(rule, world, 29)
        world.hears = True
        rule.step()

    assert world.fired == []


def test_a_host_that_never_heard_anybody_is_not_sent_down_again() -> None:
    world = World()
    rule = rule_in(world)
    blind(rule, world, 600)

    assert world.fired == []


def test_evidence_of_the_mains_goes_before_time() -> None:
    world = World(mains=True)
    rule = rule_in(world)
    rule.step()
    blind(rule, world, 100)
    assert world.fired == []

    world.mains = None
    blind(rule, world, 1)
    assert len(world.fired) == 1


def test_evidence_that_they_are_gone_makes_it_sooner() -> None:
    world = World(mains=False)
    rule = rule_in(world)
    rule.step()
    blind(rule, world, 40)

    assert world.fired == [1005.0]


@pytest.mark.parametrize(("hours", "stops"), [(1, False), (5, True)])
def test_maintenance_holds_it_off_for_some_hours_only(
    tmp_path: Path, hours: int, stops: bool
) -> None:
    file = tmp_path / "off"
    file.touch()
    os.utime(file, (time.time() - hours * 3600,) * 2)
    world = World()
    rule = rule_in(world, maintenance=file)
    rule.step()
    blind(rule, world, 60)

    assert bool(world.fired) == stops


def test_a_shutdown_that_does_not_begin_is_tried_again() -> None:
    world = World(broken=2)
    rule = rule_in(world)
    rule.step()
    blind(rule, world, 60)

    assert world.fired == [1032.0]


def test_a_server_that_takes_connections_is_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert hears_anybody(Config((f"127.0.0.1:{port}",), 30))
    assert not hears_anybody(Config((f"127.0.0.1:{port}",), 30))


def test_a_look_takes_no_longer_the_more_are_listened_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = socket.getaddrinfo

    def resolve(host: str, *words: object, **more: object) -> object:
        if host.endswith("example.org"):  # behind a dead switch
            time.sleep(4)
            raise socket.gaierror
        return names(host, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    deaf = tuple(f"{number}.example.org" for number in range(5))
    begun = time.monotonic()
    assert not hears_anybody(Config(deaf, 30))
    assert time.monotonic() - begun < 2

    with socket.create_server(("127.0.0.1", 0)) as server:
        assert hears_anybody(Config((*deaf, f"127.0.0.1:{server.getsockname()[1]}"), 30))


def test_only_the_reply_to_its_own_ping_counts() -> None:
    head = bytes([0x45]) + bytes(19)

    assert is_reply(head + bytes([0, 0, 0, 0, 0x12, 0x34, 0, 1]), 0x1234)
    assert not is_reply(head + bytes([8, 0, 0, 0, 0x12, 0x34, 0, 1]), 0x1234)
    assert not is_reply(head + bytes([0, 0, 0, 0, 0x12, 0x35, 0, 1]), 0x1234)
    assert not is_reply(b"", 0x1234)


@pytest.mark.parametrize(("code", "there"), [(0, True), (1, False), (2, None), (127, None)])
def test_the_evidence_command_has_three_answers(code: int, there: bool | None) -> None:
    config = Config((), 30, evidence=("/bin/sh", "-c", f"exit {code}"))

    assert mains(config) is there
    assert mains(Config((), 30)) is None
    assert mains(Config((), 30, evidence=("/nowhere/at-all",))) is None


def test_the_alarm_is_set_before_the_host_goes(tmp_path: Path) -> None:
    alarm, down = tmp_path / "wakealarm", tmp_path / "down"
    alarm.touch()
    shut_down(Config((), 30, wake_after=900, wake_alarm=alarm, fsd=("/bin/cp", alarm, down)))  # type: ignore[arg-type]

    assert down.read_text() == "+900\n"


def test_a_host_without_a_clock_of_its_own_goes_down_all_the_same(tmp_path: Path) -> None:
    down = tmp_path / "down"
    fsd = ("/bin/touch", str(down))
    shut_down(Config((), 30, wake_after=900, wake_alarm=tmp_path / "no" / "rtc", fsd=fsd))

    assert down.exists()


def test_its_file_is_json(tmp_path: Path) -> None:
    file = tmp_path / "hostrule.json"
    file.write_text(json.dumps({"servers": ["192.0.2.1"], "after": 90, "maintenance": "/run/x"}))
    config = Config.read(file)

    assert config.servers == ("192.0.2.1",)
    assert config.maintenance == Path("/run/x")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Where a host with notifications keeps what it knows."""
    (tmp_path / "spool").mkdir()
    return {name: tmp_path / name for name in ("armed", "noted", "spool")}


def boot(places: dict[str, Path]) -> None:
    places["armed"].unlink()


def told(places: dict[str, Path]) -> list[tuple[str, str]]:
    return [(one.severity, one.text) for one in waiting(places["spool"])]


def test_that_it_fired_waits_on_disk_and_the_next_boot_tells_that_the_host_is_back(
    places: dict[str, Path],
) -> None:
    world = World()
    rule = rule_in(world, **places)
    rule.step()
    assert told(places) == []

    blind(rule, world, 40)
    ((severity, text),) = told(places)
    assert severity == "failure"
    assert text == (
        "it has heard neither a UPS's server nor a peer for 30 s: the mains are taken as gone,"
        " it stops"
    )

    boot(places)
    again = rule_in(world, **places)
    blind(again, world, 100)
    assert len(told(places)) == 1, "nobody is heard yet"
    world.hears = True
    for _ in range(3):
        again.step()
    _, (severity, back) = told(places)
    assert severity == "success"
    assert text in back

    boot(places)
    rule_in(world, **places).step()
    assert len(told(places)) == 2, "an ordinary boot tells nothing"


def test_a_shutdown_that_does_not_begin_is_told_once(places: dict[str, Path]) -> None:
    world = World(broken=5)
    rule = rule_in(world, **places)
    rule.step()
    blind(rule, world, 60)

    refused, stopped = (text for _, text in told(places))
    assert "for 30 s and its shutdown does not begin: " in refused
    assert "for 35 s: the mains are taken as gone" in stopped


def test_a_disk_that_hangs_delays_no_stop(places: dict[str, Path]) -> None:
    os.mkfifo(places["noted"].with_name(".noted.part"))  # who opens it waits for ever
    world = World(beside=aside)
    rule = rule_in(world, **places)
    rule.step()
    begun = time.monotonic()
    blind(rule, world, 40)

    assert world.fired == [1030.0]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("gone", ["spool", "noted"])
def test_a_disk_that_takes_nothing_stops_no_rule(places: dict[str, Path], gone: str) -> None:
    world = World()
    for _ in range(2):
        rule = rule_in(world, **{**places, gone: places[gone] / "no" / "folder"})
        world.hears = True
        rule.step()
        blind(rule, world, 40)
        boot(places)

    assert len(world.fired) == 2


def test_one_that_has_to_start_again_while_nobody_is_heard_goes_on(
    places: dict[str, Path],
) -> None:
    world = World()
    rule_in(world, **places).step()
    blind(rule_in(world, **places), world, 40)
    assert len(world.fired) == 1

    # Not with others to listen for: they may be wrong, and nobody has heard them yet.
    blind(rule_in(world, **places, servers=("192.0.2.9",)), world, 100)
    assert len(world.fired) == 1
