"""A server that is forced down waits for its clients, as long as upsmon would have."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.power import await_clients
from releve.power.instant import Instant
from releve.power.rewake import Config, Look, Rewake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NAS = "198.51.100.12"
SECONDS = 15.0
LOGOUT_ALONE = await_clients.Patience(SECONDS)
UNTIL_DOWN = await_clients.Patience(SECONDS, stop=8.0, whole=18.0)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "killpower").touch()
    return Config(
        ups="ups1",
        hosts=(),
        event_file=tmp_path / "event-ups1",
        alive_file=tmp_path / "alive",
        broadcast="127.0.0.1",
        settle=1,
        grace=1,
        retry=1,
        quiet=1,
        min_charge=0,
        flag_file=tmp_path / "killpower",
    )


@dataclass
class Time:
    """A clock that goes on while somebody waits; the NAS logs in at `into` and out at `out`."""

    out: float
    into: float = 0.0
    now: float = 1000.0
    waited: float = 0.0
    asked: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds

    def ask(self, _configs: Iterable[Config]) -> frozenset[str]:
        return frozenset({NAS} if self.into <= self.waited < self.out else ())

    def wait(
        self, *configs: Config, patience: await_clients.Patience = LOGOUT_ALONE
    ) -> frozenset[str]:
        return await_clients.await_clients(configs, patience, self.ask, self.sleep, self.clock)

    def clock(self) -> Instant:
        return Instant(wall=0, up=self.now, boot="this")


@pytest.mark.parametrize(("out", "waited"), [(0, 0), (6, 6), (99, SECONDS)])
def test_it_waits_until_nobody_is_there_and_no_longer_than_upsmon(
    config: Config, out: float, waited: float
) -> None:
    time = Time(out)
    left = time.wait(config)

    assert time.waited == waited
    assert left == (frozenset() if out < SECONDS else {NAS})


@pytest.mark.parametrize(("ago", "waited"), [(3, SECONDS - 3), (20, 0)])
def test_what_upsmon_has_waited_counts(config: Config, ago: float, waited: float) -> None:
    time = Time(out=99)
    config.forced_file.write_text(f"this {time.now - ago}\n")

    time.wait(config)

    assert time.waited == waited


@pytest.mark.parametrize(
    ("out", "waited"),
    [(0, 8), (6, 5.5 + 8), (14.5, 14 + 8), (99, SECONDS)],
    ids=["gone before", "leaves", "leaves at last", "stays"],
)
def test_who_has_logged_out_is_waited_for_until_it_is_down(
    config: Config, out: float, waited: float
) -> None:
    time = Time(out)
    time.wait(config, patience=UNTIL_DOWN)

    assert time.waited == waited


@pytest.mark.parametrize(("ago", "waited"), [(4, 8), (12, 6), (18, 0), (60, 0)])
def test_who_could_hear_for_long_is_down(config: Config, ago: float, waited: float) -> None:
    time = Time(out=0)
    config.forced_file.write_text(f"this {time.now - ago}\n")

    time.wait(config, patience=UNTIL_DOWN)

    assert time.waited == waited


def test_who_logs_in_meanwhile_is_waited_for(config: Config) -> None:
    time = Time(into=5, out=9)
    time.wait(config, patience=UNTIL_DOWN)

    assert time.waited == 8.5 + 8


def test_one_that_never_leaves_costs_no_more_than_hostsync(config: Config) -> None:
    time = Time(out=99)
    config.forced_file.write_text(f"this {time.now - SECONDS}\n")

    left = time.wait(config, patience=UNTIL_DOWN)

    assert left == {NAS}
    assert time.waited == 3  # until who else there was is down, 18 s after it could hear


@pytest.mark.parametrize("left", ["earlier 1.0\n", "", "this", "this soon\n", "\xe9"])
def test_what_an_earlier_boot_has_left_shortens_no_wait(config: Config, left: str) -> None:
    time = Time(out=99)
    config.forced_file.write_text(left)

    time.wait(config)

    assert time.waited == SECONDS


@pytest.mark.parametrize("site", ["this 995.0\n", None])
def test_a_tier_that_was_told_long_ago_costs_the_others_no_wait(
    config: Config, site: str | None
) -> None:
    time = Time(out=99)
    tier = dataclasses.replace(config, ups="ups1-tier")
    tier.forced_file.write_text("this 400.0\n")
    if site:
        config.forced_file.write_text(site)

    time.wait(config, tier)

    assert time.waited == (SECONDS - 5 if site else SECONDS)


def test_a_clock_that_is_set_changes_no_wait(config: Config) -> None:
    rewake = Rewake(config, lambda _config: Look(frozenset({"FSD"}), 100.0, frozenset()))
    rewake.step()
    now = Instant.now()

    assert await_clients.since_forced([config], now) < 5
    later = Instant(now.wall - 3600, now.up + 9, now.boot)
    assert 9 <= await_clients.since_forced([config], later) < 14
    os.utime(config.forced_file, (0, 0))
    assert await_clients.since_forced([config], now) < 5


def test_since_when_clients_can_hear_is_known_while_they_can(config: Config) -> None:
    status = "OL"
    rewake = Rewake(config, lambda _config: Look(frozenset(status.split()), 100.0, frozenset()))
    seen = []
    for status in ("OL", "FSD OB", "FSD OB LB", "OL"):  # noqa: B007  # read by the look
        rewake.step()
        seen.append(config.forced_file.exists())

    assert seen == [False, True, True, False]


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd(logged_in=["127.0.0.1", NAS], stale=True)) as running:
        yield running


def test_clients_are_listed_without_data_and_this_host_is_none(
    config: Config, upsd: SmallUpsd
) -> None:
    there = dataclasses.replace(config, server=upsd.link.server, port=upsd.link.port)

    assert await_clients.logged_in([there]) == {NAS}
    assert await_clients.logged_in([dataclasses.replace(there, port=1)]) == frozenset()


@pytest.mark.parametrize("flag", [True, False])
def test_an_ordinary_stop_waits_for_nobody(
    config: Config,
    upsd: SmallUpsd,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    flag: bool,
) -> None:
    if not flag:
        config.flag_file.unlink()
    values = {
        key: str(value) if key.endswith("_file") else value
        for key, value in dataclasses.asdict(config).items()
        if value is not None
    }
    file = tmp_path / "rewake.json"
    file.write_text(json.dumps([values | {"hosts": [], "port": upsd.link.port}]))

    assert await_clients.main(["0.2", "--config", str(file)]) == 0
    assert (NAS in caplog.text) == flag


@pytest.mark.parametrize("content", [None, "{", "3", "[{}]"])
def test_a_file_that_is_none_keeps_no_host_from_stopping(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "rewake.json"
    if content is not None:
        file.write_text(content)
    assert await_clients.main(["5", "--config", str(file)]) == 0
