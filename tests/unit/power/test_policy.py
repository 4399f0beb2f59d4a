"""The policy driver: what it reads, and what it publishes of it."""

from __future__ import annotations

import dataclasses
import json
import os
import socketserver
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from releve.errors import InputError
from releve.power.instant import Instant
from releve.power.live import write_state
from releve.power.policy import Config, Policy, _only_one, _tell_pid, main
from releve.power.trend import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIERS = [
    {"name": "ups1-site", "need": 20, "after": None},
    {"name": "ups1-lower", "need": 20, "after": 300, "least": 60},
]
CONTENT: dict[str, Any] = {
    "source": "ups1",
    "capacity_seconds": 60,
    "settle": 3,
    "alarm": 100,
    "ladder": {"derate": 0.8, "lb_debounce": 0, "comms_hold": 30},
    "tiers": TIERS,
}


@dataclass
class Upsd:
    """What the small upsd says of the real UPS; None: nothing fresh."""

    values: dict[str, str] | None = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    port: int = 0


def _answers(upsd: Upsd, line: str) -> list[str]:
    verb, _, rest = line.partition(" ")
    if verb == "LIST" and rest.startswith("CLIENT"):
        listed = [f"{rest} {address}" for address in upsd.clients]
        return [f"BEGIN {line}", *listed, f"END {line}"]
    if verb == "GET":
        return [f'{rest} "FSD OB LB"' if rest.endswith("ups.status") else "ERR VAR-NOT-SUPPORTED"]
    if upsd.values is None:
        return ["ERR DATA-STALE"]
    listed = [f'{rest} {name} "{value}"' for name, value in upsd.values.items()]
    return [f"BEGIN {line}", *listed, f"END {line}"]


@pytest.fixture
def upsd() -> Iterator[Upsd]:
    state = Upsd({"ups.status": "OL", "battery.charge": "100", "battery.runtime": "3001"})

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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps([{**CONTENT, "folder": str(tmp_path)}]))
    return file


def policy(file: Path, upsd: Upsd, tier: str = "ups1-site", boot: str = "boot-1") -> Policy:
    config = dataclasses.replace(Config.read(file, tier), port=upsd.port)
    return Policy(config, boot)


def test_a_tier_finds_itself_in_the_file(file: Path) -> None:
    site, lower = Config.read(file, "ups1-site"), Config.read(file, "ups1-lower")

    assert site.tier.follows is None
    assert (lower.tier.follows, lower.tier.after, lower.tier.least) == ("ups1-site", 300, 60)
    assert site.known.capacity_seconds == 60
    assert site.site.need == 20


@pytest.mark.parametrize("text", ["", "[]", "[{}]", '[{"tiers": [{"name": "ups1-site"}]}]'])
def test_a_file_that_says_too_little_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)

    with pytest.raises(InputError, match=r"policy\.json: tier ups1-site cannot be read"):
        Config.read(file, "ups1-site")


def test_it_publishes_where_the_power_comes_from_and_nothing_else_of_the_status(
    file: Path, upsd: Upsd
) -> None:
    driver = policy(file, upsd)
    assert upsd.values is not None

    upsd.values["ups.status"] = "OL CHRG CAL RB ALARM LB"
    assert (driver.step() or {})["ups.status"] == "OL"
    upsd.values["ups.status"] = "OB DISCHRG CAL"
    assert (driver.step() or {})["ups.status"] == "OB"


def test_a_low_battery_is_a_decision(file: Path, upsd: Upsd) -> None:
    driver = policy(file, upsd)
    assert upsd.values is not None
    driver.step()
    upsd.values["ups.status"] = "OB LB"

    seen = driver.step() or {}
    assert seen["ups.status"] == "FSD OB LB"
    kept = json.loads((file.parent / "ups1-site.json").read_text())
    assert seen["experimental.decision"] == kept["id"]

    upsd.values["ups.status"] = "OL"
    assert (driver.step() or {})["ups.status"] == "FSD OB LB"
    assert (policy(file, upsd, "ups1-lower").step() or {})["ups.status"] == "FSD OB LB"


def test_a_value_that_cannot_be_believed_is_not_published(file: Path, upsd: Upsd) -> None:
    upsd.values = {"ups.status": "OL", "battery.charge": "255", "battery.runtime": "65535"}

    assert (
        (policy(file, upsd).step() or {}).keys().isdisjoint({"battery.charge", "battery.runtime"})
    )


def test_before_the_first_word_nothing_is_fresh(file: Path, upsd: Upsd) -> None:
    upsd.values = None

    assert policy(file, upsd).step() is None


def test_a_boot_after_a_cut_is_no_decision(file: Path, upsd: Upsd) -> None:
    cut = State(wall=1.7e9, up=5, boot="an earlier one", drained=True, on_battery=900, spent=40)
    write_state(file.parent / "ups1-lower.ladder.json", cut)
    heard, upsd.values = upsd.values, None
    driver = policy(file, upsd, "ups1-lower")

    assert driver.step() is None  # `after` is over in the state, and nothing is heard yet
    upsd.values = heard
    assert (driver.step() or {})["ups.status"] == "OL"
    assert not (file.parent / "ups1-lower.json").exists()


def boots_on_battery(file: Path, upsd: Upsd, grace: float) -> Policy:
    """Return the driver of a host that boots on a battery that an earlier cut has spent."""
    said = json.loads(file.read_text())[0]
    said["tiers"][0]["expected"] = {"ups1-site": ["198.51.100.12", "198.51.100.13"]}
    file.write_text(json.dumps([{**said, "grace": grace}]))
    spent = State(wall=1.7e9, up=5, boot="an earlier one", drained=True, on_battery=900, spent=900)
    write_state(file.parent / "ups1-site.ladder.json", spent)
    upsd.values = {"ups.status": "OB", "battery.charge": "90", "battery.runtime": "50"}
    return policy(file, upsd, boot=Instant.now().boot)


def test_after_a_boot_on_battery_the_clients_log_in_before_the_site_is_decided(
    file: Path, upsd: Upsd
) -> None:
    driver = boots_on_battery(file, upsd, 1000)

    assert (driver.step() or {})["ups.status"] == "OB"
    upsd.clients = ("198.51.100.13",)
    assert (driver.step() or {})["ups.status"] == "OB"
    upsd.clients = ("198.51.100.13", "198.51.100.12", "127.0.0.1")
    assert (driver.step() or {})["ups.status"] == "FSD OB LB"


def test_a_client_that_never_comes_is_not_waited_for_longer_than_the_grace(
    file: Path, upsd: Upsd
) -> None:
    assert (boots_on_battery(file, upsd, 0).step() or {})["ups.status"] == "FSD OB LB"


def test_a_driver_that_starts_again_in_the_same_boot_waits_for_nobody(
    file: Path, upsd: Upsd
) -> None:
    boots_on_battery(file, upsd, 1000).step()

    again = policy(file, upsd, boot=Instant.now().boot)

    assert (again.step() or {})["ups.status"] == "FSD OB LB"


@pytest.mark.parametrize(
    ("ago", "first"), [(5, "OB"), (1001, "FSD OB LB"), (-5, "FSD OB LB"), (None, "FSD OB LB")]
)
def test_a_client_that_was_just_woken_logs_in_before_the_site_is_decided(
    file: Path, upsd: Upsd, ago: float | None, first: str
) -> None:
    """`ago`: seconds since rewake woke somebody, None never; negative: the clock was set back."""
    boots_on_battery(file, upsd, 1000).step()
    said = json.loads(file.read_text())[0]
    file.write_text(json.dumps([{**said, "woken": str(file.parent)}]))
    if ago is not None:
        (file.parent / "woken-ups1-site").touch()
        os.utime(file.parent / "woken-ups1-site", (time.time() - ago,) * 2)
    driver = policy(file, upsd, boot=Instant.now().boot)

    assert (driver.step() or {})["ups.status"] == first
    upsd.clients = ("198.51.100.13", "198.51.100.12")
    assert (driver.step() or {})["ups.status"] == "FSD OB LB"


def test_it_never_cuts_power(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-a", "ups1-site", "-k"]) == 0
    assert capsys.readouterr().out == ""


def test_a_second_driver_of_a_tier_leaves_the_first_one_alone(tmp_path: Path) -> None:
    pid = tmp_path / "ups1-site.pid"
    first = _only_one(pid)
    _tell_pid(first)
    with pytest.raises(InputError, match=r"ups1-site\.pid: the driver of this tier runs already"):
        _only_one(pid)

    assert pid.read_text() == f"{os.getpid()}\n"
    os.close(first)  # as at its end, however it came
    os.close(_only_one(pid))


def test_a_full_disk_keeps_no_driver_from_serving(caplog: pytest.LogCaptureFixture) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    _tell_pid(full)
    os.close(full)

    assert "no pid file" in caplog.text
