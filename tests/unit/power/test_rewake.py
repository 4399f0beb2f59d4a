"""Rewake against a small upsd: it wakes who is missing, and nobody when that would hurt."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import socket
import socketserver
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from releve.power.backstop import Backstop
from releve.power.errand import Errand
from releve.power.instant import Instant
from releve.power.rewake import AWAY, BACK, TRIES, Config, Host, Rewake, ask_upsd, wake
from releve.power.upsd import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAS = Host("nas", "198.51.100.12", "52:54:00:91:01:02")
GATEWAY = Host("gw", "198.51.100.14", "52:54:00:91:01:04")


@dataclass
class Upsd:
    """What the small upsd says; `port` 0 until it listens."""

    status: str = "OL"
    charge: str | None = "100"
    clients: list[str] = field(default_factory=lambda: [NAS.address, GATEWAY.address])
    stale: bool = False
    port: int = 0


def _answers(upsd: Upsd, line: str) -> list[str]:
    if line == "LIST CLIENT ups1":
        listed = [f"CLIENT ups1 {address}" for address in upsd.clients]
        return ["BEGIN LIST CLIENT ups1", *listed, "END LIST CLIENT ups1"]
    if upsd.stale:
        return ["ERR DATA-STALE"]
    if line == "GET VAR ups1 ups.status":
        return [f'VAR ups1 ups.status "{upsd.status}"']
    if line == "GET VAR ups1 battery.charge" and upsd.charge is not None:
        return [f'VAR ups1 battery.charge "{upsd.charge}"']
    return ["ERR VAR-NOT-SUPPORTED"]


@pytest.fixture
def upsd() -> Iterator[Upsd]:
    state = Upsd()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for raw in self.rfile:
                answer = "".join(f"{one}\n" for one in _answers(state, raw.decode().strip()))
                self.wfile.write(answer.encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        server.shutdown()


@dataclass
class Site:
    """A rewake with a clock of its own, and whom it woke when."""

    upsd: Upsd
    event_file: Path
    min_charge: float = 40
    hosts: tuple[Host, ...] = (NAS, GATEWAY)
    now: float = 0.0
    woken: list[tuple[float, str]] = field(default_factory=list)
    rewake: Rewake | None = None

    def start(self, backstop: Backstop | None = None) -> Site:
        config = Config(
            ups="ups1",
            hosts=self.hosts,
            event_file=self.event_file,
            alive_file=self.event_file.with_name("alive"),
            broadcast="127.0.0.1",
            settle=10,
            grace=20,
            retry=30,
            quiet=15,
            min_charge=self.min_charge,
            charge_wait=100,
            port=self.upsd.port,
            flag_file=self.event_file.with_name("killpower"),
            woken_file=self.event_file.with_name("woken"),
        )
        self.rewake = Rewake(
            config,
            wake_host=lambda host, _broadcast: self.woken.append((self.now, host.name)),
            clock=lambda: self.now,
            backstop=backstop,
        )
        return self

    def run(self, until: float) -> None:
        assert self.rewake is not None
        while self.now < until:
            self.now += 1
            self.rewake.step()

    @property
    def open(self) -> bool:
        return self.event_file.exists()


@pytest.fixture
def site(upsd: Upsd, tmp_path: Path) -> Site:
    return Site(upsd, tmp_path / "event").start()


def test_the_event_opens_on_disk_at_the_first_look_on_battery(site: Site) -> None:
    site.run(3)
    assert not site.open

    site.upsd.status = "OB DISCHRG"
    site.run(4)

    assert site.open
    assert site.event_file.read_text().endswith("Z\non battery\n")


def test_a_forced_shutdown_opens_the_event_with_the_mains_present(site: Site) -> None:
    site.upsd.status = "FSD OL"
    site.run(1)

    assert site.open


@pytest.mark.parametrize("forced", [True, False])
def test_its_own_end_opens_the_event_only_when_upsmon_forces_this_host_down(
    site: Site, *, forced: bool
) -> None:
    assert site.rewake is not None
    if forced:
        site.event_file.with_name("killpower").touch()
    site.upsd.stale = True
    site.run(3)
    site.rewake.leave()

    assert site.open is forced


def test_who_is_missing_is_woken_again_and_again(site: Site) -> None:
    site.upsd.status = "OB DISCHRG"
    site.run(30)
    site.upsd.status, site.upsd.clients = "OL CHRG", [GATEWAY.address]
    site.run(101)

    assert site.woken == [(41, "nas"), (71, "nas"), (101, "nas")]


def test_each_wake_leaves_its_moment_for_who_waits_for_logins(site: Site) -> None:
    woken = site.event_file.with_name("woken")
    site.upsd.status = "OB DISCHRG"
    site.run(30)
    site.upsd.status, site.upsd.clients = "OL CHRG", [GATEWAY.address]
    site.run(40)
    assert not woken.exists()
    site.run(42)
    assert woken.exists()
    woken.unlink()
    site.run(60)
    assert not woken.exists()
    site.run(72)
    assert woken.exists()


def test_without_an_event_nobody_is_woken(site: Site) -> None:
    site.upsd.clients = []
    site.run(200)

    assert site.woken == []


def test_the_event_closes_when_all_have_been_in_for_a_while(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status = "OL"
    site.run(3 + 14)
    assert site.open

    site.run(3 + 15)
    assert not site.open


def test_a_host_that_leaves_again_starts_the_while_anew(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status = "OL"
    site.run(12)
    site.upsd.clients = [NAS.address]
    site.run(13)
    site.upsd.clients = [NAS.address, GATEWAY.address]
    site.run(28)
    assert site.open

    site.run(29)
    assert not site.open


def test_who_never_logs_in_is_woken_once_in_each_event(site: Site) -> None:
    site.hosts = (NAS, dataclasses.replace(GATEWAY, logs_in=False))
    site.upsd.clients = [NAS.address]
    site.start()
    for _event in range(2):
        site.woken.clear()
        site.upsd.status = "OB"
        site.run(site.now + 2)
        site.upsd.status = "OL"
        site.run(site.now + 60)
        assert [name for _at, name in site.woken] == ["gw"]
        assert not site.open


@pytest.mark.parametrize("fails", [1, 3, 100])
def test_who_never_logs_in_is_tried_again_while_it_cannot_be_woken(site: Site, fails: int) -> None:
    site.hosts = (NAS, dataclasses.replace(GATEWAY, logs_in=False))
    site.upsd.clients = [NAS.address]
    site.start()
    assert site.rewake is not None
    tried: list[float] = []

    def unreachable(_host: Host, _broadcast: str) -> None:
        tried.append(site.now)
        if len(tried) <= fails:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    site.rewake._wake = unreachable
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status = "OL"
    site.run(20 + 30 * TRIES)

    assert tried == [20 + 30 * number for number in range(min(fails + 1, TRIES))]
    site.run(site.now + 20)
    assert not site.open


def test_who_never_logs_in_and_cannot_be_woken_keeps_no_event_open(site: Site) -> None:
    site.hosts = (NAS, Host("pc", GATEWAY.address, logs_in=False))
    site.upsd.clients = [NAS.address]
    site.start()
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status = "OL"
    site.run(60)

    assert (site.open, site.woken) == (False, [])


def test_an_event_stays_open_until_who_never_logs_in_may_be_woken(site: Site) -> None:
    site.hosts = (NAS, dataclasses.replace(GATEWAY, logs_in=False))
    site.upsd.clients = [NAS.address]
    site.start()
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.charge = "OL", "20"
    site.run(60)
    assert (site.open, site.woken) == (True, [])

    site.upsd.charge = "41"
    site.run(90)
    assert [name for _at, name in site.woken] == ["gw"]
    assert not site.open


def test_an_open_event_survives_the_reboot(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(2)

    after = Site(site.upsd, site.event_file).start()
    after.upsd.status, after.upsd.clients = "OL", [NAS.address]
    after.run(21)

    assert after.woken == [(20, "gw")]


def test_after_a_boot_the_hosts_get_time_to_come_by_themselves(site: Site) -> None:
    site.event_file.touch()
    after = Site(site.upsd, site.event_file).start()
    after.upsd.clients = []
    after.run(19)

    assert after.woken == []


@pytest.mark.parametrize("status", ["FSD OL", "OB", "OL OB", "OFF", "OL OFF", ""])
def test_nobody_is_woken_while(site: Site, status: str) -> None:
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.clients = status, []
    site.run(200)

    assert site.woken == []
    assert site.open


def test_nobody_is_woken_into_an_empty_battery(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.charge, site.upsd.clients = "OL CHRG", "39", []
    site.run(100)
    assert site.woken == []

    site.upsd.charge = "40"
    site.run(101)
    assert [name for _at, name in site.woken] == ["nas", "gw"]


def test_a_charge_that_never_rises_keeps_nobody_dark_for_ever(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(until=3)
    site.upsd.status, site.upsd.charge, site.upsd.clients = "OL", "0", []
    site.run(until=100)
    assert site.woken == []

    site.run(until=110)

    assert {name for _at, name in site.woken} == {"nas", "gw"}


def test_mains_that_are_only_boosted_are_there(site: Site) -> None:
    site.upsd.status, site.upsd.clients = "OB", []
    site.run(5)
    site.upsd.status = "BOOST"
    site.run(60)
    assert {name for _at, name in site.woken} == {"nas", "gw"}


@pytest.mark.parametrize("charge", ["nan", "inf", "-1", "255", "N/A", "1_0", ""])
def test_a_charge_that_is_none_keeps_nobody_dark(site: Site, charge: str) -> None:
    site.upsd.charge = charge
    assert site.rewake is not None
    assert ask_upsd(site.rewake.config).charge is None


def test_an_event_that_the_disk_did_not_take_is_kept_once_it_does(
    upsd: Upsd, tmp_path: Path
) -> None:
    site = Site(upsd, tmp_path / "full" / "event").start()
    upsd.status = "OB"
    site.run(3)
    upsd.status, upsd.clients = "OL", []
    (tmp_path / "full").mkdir()
    site.run(4)

    assert site.open


def test_its_end_in_the_middle_of_a_write_leaves_the_event_on_disk(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.rewake is not None
    fsync, rewake = os.fsync, site.rewake

    def ended(number: int) -> None:  # as by the handler of a signal that comes just then
        monkeypatch.setattr(os, "fsync", fsync)
        rewake.leave()
        raise SystemExit(number)

    site.upsd.status = "OB"
    monkeypatch.setattr(os, "fsync", ended)
    with pytest.raises(SystemExit):
        site.run(1)

    assert site.event_file.read_text().endswith("Z\non battery\n")


def last_word(site: Site) -> str:
    return site.event_file.read_text().splitlines()[-1]


def test_the_last_word_on_the_mains_outlives_the_ups_and_this_host(site: Site) -> None:
    site.upsd.status, site.upsd.clients = "OB", []
    site.run(2)
    opened = site.event_file.read_text().splitlines()[0]
    site.upsd.stale = True
    site.run(200)
    assert last_word(site) == AWAY

    after = Site(site.upsd, site.event_file).start()
    after.run(3)
    assert last_word(after) == AWAY
    after.upsd.stale = False
    for status, word in (("OL", BACK), ("FSD OL", BACK), ("OB", AWAY), ("OL OB", AWAY)):
        after.upsd.status = status
        after.run(after.now + 1)
        assert last_word(after) == word
    assert after.event_file.read_text() == f"{opened}\n{AWAY}\n"


def test_a_person_may_say_that_the_mains_are_back_until_the_ups_is_heard(site: Site) -> None:
    site.upsd.status, site.upsd.clients = "OB", []
    site.run(2)
    site.upsd.stale = True
    site.run(3)
    with site.event_file.open("a") as file:
        file.write(f"{BACK}\n")
    assert site.rewake is not None
    site.rewake.leave()  # as a deploy restarts it
    after = Site(site.upsd, site.event_file).start()
    after.run(30)
    assert last_word(after) == BACK

    after.upsd.stale = False
    after.run(31)
    assert last_word(after) == AWAY
    after.upsd.status = "OL"
    after.run(60)
    assert after.woken  # the event is still open


def test_a_new_event_has_its_own_word(site: Site) -> None:
    for _ in range(2):
        site.upsd.status = "OB"
        site.run(site.now + 2)
        assert last_word(site) == AWAY
        site.upsd.status = "OL"
        site.run(site.now + 30)
        assert not site.open


class Slow(Errand):
    """A command that takes some seconds of the site's clock."""

    def __init__(self, site: Site, seconds: float, fault: str = "") -> None:
        self.site, self.end, self.found = site, site.now + seconds, fault

    def fault(self) -> str | None:
        return self.found if self.site.now >= self.end else None


def slowly(site: Site, seconds: float, fault: str = "") -> Callable[[Host, str], Errand]:
    def slow(host: Host, _broadcast: str) -> Errand:
        site.woken.append((site.now, host.name))
        return Slow(site, seconds, fault)

    return slow


def test_mains_that_go_while_somebody_is_woken_wake_nobody_else(site: Site) -> None:
    assert site.rewake is not None
    site.rewake._wake = slowly(site, 30)
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.clients = "OL", []
    site.run(25)
    site.upsd.status = "OB"
    site.run(100)
    assert [name for _at, name in site.woken] == ["nas"]

    site.rewake._wake = lambda host, _broadcast: site.woken.append((site.now, host.name))
    site.upsd.status = "OL"
    site.run(200)
    assert {name for _at, name in site.woken[1:]} == {"nas", "gw"}


def test_a_slow_command_keeps_the_others_of_its_round(site: Site) -> None:
    assert site.rewake is not None
    site.rewake._wake = slowly(site, 25)
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.clients = "OL", []
    site.run(69)

    assert site.woken == [(20, "nas"), (45, "gw")]
    site.run(70)  # the next round begins when this one is over
    assert site.woken[2:] == [(70, "nas")]


@pytest.mark.parametrize("fault", ["", "it ended with code 1"])
def test_a_command_counts_by_how_it_ends(site: Site, fault: str) -> None:
    site.hosts = (dataclasses.replace(GATEWAY, logs_in=False),)
    site.start()
    assert site.rewake is not None
    site.rewake._wake = slowly(site, 5, fault)
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status = "OL"
    site.run(24)
    woken = site.event_file.with_name("woken")
    assert not woken.exists()

    site.run(60)
    assert woken.exists() == (not fault)
    assert [at for at, _name in site.woken] == ([20, 50] if fault else [20])
    assert site.open is bool(fault)


def test_a_command_that_hangs_holds_up_no_look(upsd: Upsd, tmp_path: Path) -> None:
    hanging = Host("nas", NAS.address, wake=("/bin/sleep", "60"))
    site = Site(upsd, tmp_path / "event", hosts=(hanging,)).start()
    assert site.rewake is not None
    running: list[Errand | None] = []

    def real(host: Host, broadcast: str) -> Errand | None:
        errand = wake(host, broadcast)
        running.append(errand)
        return errand

    site.rewake._wake = real
    upsd.status = "OB"
    site.run(2)
    upsd.status, upsd.clients = "OL", []
    began = time.monotonic()
    site.run(25)
    upsd.status = "OB"
    site.run(26)

    assert time.monotonic() - began < 10
    assert site.event_file.with_name("battery-ups1").exists()  # the clock has begun
    (errand,) = running
    assert errand is not None
    errand._until = 0
    assert "was killed" in str(errand.fault())


def test_a_ups_without_a_charge_still_gets_its_hosts_back(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.charge, site.upsd.clients = "OL", None, []
    site.run(30)

    assert site.woken


def test_mains_that_flicker_are_not_steady(site: Site) -> None:
    site.upsd.clients = []
    for start in range(0, 200, 8):
        site.upsd.status = "OB"
        site.run(start + 1)
        site.upsd.status = "OL"
        site.run(start + 8)

    assert site.woken == []


def test_stale_data_says_nothing(site: Site) -> None:
    site.upsd.status = "OB"
    site.run(2)
    site.upsd.status, site.upsd.clients, site.upsd.stale = "OL", [], True
    site.run(100)
    assert site.woken == []

    site.upsd.stale = False
    site.run(105)
    assert site.woken == []
    site.run(120)
    assert site.woken


def test_it_shows_that_it_lives_only_while_it_understands_the_ups(site: Site) -> None:
    alive = site.event_file.with_name("alive")
    site.upsd.stale = True
    site.run(1)
    assert not alive.exists()

    site.upsd.stale = False
    site.run(2)
    assert alive.exists()


def test_the_time_on_battery_is_counted_through_silence_until_the_mains_are_back(
    site: Site, upsd: Upsd
) -> None:
    kept = site.event_file.with_name("battery-ups1")
    upsd.status = "OB DISCHRG"
    site.run(2)
    since = kept.read_text()
    upsd.stale = True
    site.run(4)
    assert kept.read_text() == since

    upsd.stale, upsd.status = False, "OL"
    site.run(6)
    assert not kept.exists()


def test_each_look_goes_to_the_clock_of_the_time_on_battery(site: Site, upsd: Upsd) -> None:
    called: list[str] = []

    def ask(ups: str) -> Errand:
        called.append(ups)
        return Slow(site, 0)

    conf = site.event_file.with_name("upssched.conf")
    conf.write_text("AT ONBATT ups1@localhost START-TIMER on-battery-ups1 20\n")
    site.start(
        Backstop(
            "ups1",
            site.event_file.with_name("battery-ups1"),
            lambda _line: None,
            ask,
            now=lambda: Instant(0.0, site.now, "boot"),
            upssched=conf,
        )
    )
    upsd.status = "OB"
    site.run(15)
    upsd.stale = True
    site.run(25)
    assert called == []

    site.run(40)
    assert called == ["ups1"]


def test_upsd_that_is_away_is_no_answer(site: Site, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        file = tmp_path / "rewake.json"
        file.write_text(
            json.dumps(
                [
                    {
                        "ups": "ups1",
                        "hosts": [{"name": "nas", "address": NAS.address, "mac": NAS.mac}],
                        "event_file": str(tmp_path / "event"),
                        "alive_file": str(tmp_path / "alive"),
                        "broadcast": "198.51.100.255",
                        "settle": 1,
                        "grace": 1,
                        "retry": 1,
                        "quiet": 1,
                        "min_charge": 1,
                        "port": closed.getsockname()[1],
                    }
                ]
            )
        )
        (config,) = Config.read(file)

        with pytest.raises(NoAnswerError):
            ask_upsd(config)
    assert config.hosts == (Host("nas", NAS.address, NAS.mac),)


def test_a_missing_host_gets_its_magic_packet() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(2)
        wake(NAS, "127.0.0.1", heard.getsockname()[1])

        assert heard.recv(1024) == b"\xff" * 6 + bytes.fromhex("525400910102") * 16


def test_a_host_without_a_way_to_be_woken_is_an_error() -> None:
    with pytest.raises(OSError, match="neither a MAC nor a command"):
        wake(Host("nas", NAS.address), "127.0.0.1")


def ended(errand: Errand | None) -> str:
    """Wait for a command; return what went wrong."""
    assert errand is not None
    until = time.monotonic() + 10
    while (fault := errand.fault()) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    return fault


def test_a_command_is_run_instead_of_the_packet(tmp_path: Path) -> None:
    mark = tmp_path / "woken"
    touch = ("/usr/bin/touch", str(mark))

    assert ended(wake(Host("nas", NAS.address, NAS.mac, touch), "127.0.0.1")) == ""
    assert mark.exists()


def test_a_command_that_fails_has_woken_nobody() -> None:
    host = Host("nas", NAS.address, wake=("/bin/false",))
    assert ended(wake(host, "127.0.0.1")) == "it ended with code 1"

    with pytest.raises(FileNotFoundError):
        wake(dataclasses.replace(host, wake=("/nonexistent",)), "127.0.0.1")


def test_what_a_command_has_started_ends_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "late"
    errand = Errand(("/bin/sh", "-c", f"sleep 1; touch {mark}; sleep 60"), 0.1)

    assert "had not ended after 0.1 s" in ended(errand)
    time.sleep(1.5)
    assert not mark.exists()
