"""The gate opens for a host that is guarded, and names what is wrong with one that is not."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.power.certificates import authority
from tests.unit.power.lint.rendered import primary, secondary
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.errors import CheckError, InputError
from releve.power.gate import Config, Guard, Outside, document, look, main, passed
from releve.power.gate_checks import Check, Look, UpsLook, checks_of
from releve.power.measurement import Measurement
from releve.power.starters import Starter
from releve.power.trusted import Trust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENT, OWN = "192.0.2.12", "127.0.0.1"
VALUES = {"ups.status": "OL", "input.voltage": "231.0", "battery.charge": "100", "ups.load": "20"}
GOOD_UPS = UpsLook("ups1", VALUES, frozenset({OWN, CLIENT}), frozenset({OWN, CLIENT}), 0.0)
GOOD = Look("primary", "netserver", (), "/run/nut/killpower", False, 1, ("ups1",), (GOOD_UPS,))
RECORD = {
    "format": 1, "ups": "ups1", "on": "2026-05-31", "how": "plug-pull", "capacity_seconds": 1800,
    "load_percent": 26, "curve": [], "moved": {"charge": True, "runtime": True, "voltage": True},
    "ob_seen_seconds": 2,
}  # fmt: skip


def failed(seen: Look) -> set[str]:
    return {one.id for one in checks_of(seen) if one.verdict == "failed"}


def with_ups(**changed: Any) -> Look:
    return replace(GOOD, upses=(replace(GOOD_UPS, **changed),))


def check(seen: Look, identity: str) -> Check:
    return next(one for one in checks_of(seen) if one.id == identity)


def record(**changed: Any) -> Measurement:
    return Measurement.parse({**RECORD, **changed}, "here")


def test_a_guarded_host_passes_and_an_unmeasured_ups_is_only_said() -> None:
    assert failed(GOOD) == set()
    assert check(GOOD, "measured").verdict == "warning"
    assert check(GOOD, "measured").value == "commissioning: nothing was measured, not proved"
    assert check(with_ups(record=record()), "measured").value == "1800 s, on 2026-05-31"


def test_a_virtual_ups_is_not_asked_about_mains_and_battery() -> None:
    values = {"ups.status": "OL", "driver.name": "releve-policy"}
    seen = with_ups(variables=values)

    assert failed(seen) == set()
    assert {one.id for one in checks_of(seen)}.isdisjoint({"mains-state", "measured"})


@pytest.mark.parametrize(
    ("seen", "verdict", "said"),
    [
        ({}, "warning", "nobody knows whether it is cut"),
        ({"cut": "offered"}, "warning", "which nobody saw work"),
        ({"cut": "none"}, "warning", "is not cut"),
        ({"cut": "proven", "off_seconds": 62}, "passed", "was seen to be cut, off for 62 s"),
        ({"cut": "proven", "cuts_on_line": False}, "warning", "NOT cut while the mains"),
        ({"cut": "proven", "returned": False}, "warning", "did NOT come back by itself"),
    ],
)
def test_what_was_measured_of_the_cut_is_said(
    seen: dict[str, Any], verdict: str, said: str
) -> None:
    found = check(with_ups(record=record(**seen)), "cut")

    assert found.verdict == verdict
    assert said in found.value
    assert "cut" not in {one.id for one in checks_of(GOOD)}


@pytest.mark.parametrize(
    ("seen", "identity"),
    [
        (replace(GOOD, mode=None), "mode"),
        (replace(GOOD, mode="netclient"), "mode"),
        (replace(GOOD, flag_exists=True), "no-kill-power-flag"),
        (replace(GOOD, flag_asked=0), "late-hook-says-no"),
        (replace(GOOD, flag_asked=None), "late-hook-says-no"),
        (with_ups(variables={**VALUES, "ups.status": "OL FSD"}), "no-fsd"),
        (with_ups(clients=frozenset({OWN})), "all-logged-in"),
        (with_ups(clients=frozenset({CLIENT})), "all-logged-in"),
        (with_ups(variables={**VALUES, "ups.status": "WAIT"}), "status-seen"),
        (with_ups(record=record(ob_seen_seconds=12)), "mains-state"),
        (with_ups(record=record(ob_seen_seconds=None)), "mains-state"),
        (with_ups(variables={"ups.status": "OL", "ups.load": "0"}), "mains-state"),
        (with_ups(variables={**VALUES, "input.voltage": "0.0"}), "mains-state"),
        (with_ups(variables={**VALUES, "ups.status": "OL OB"}), "mains-state"),
    ],
)
def test_one_fault_fails_one_check(seen: Look, identity: str) -> None:
    assert failed(seen) == {identity}
    assert check(seen, identity).remedy


def test_upsd_that_is_away_is_said_with_its_reason() -> None:
    seen = with_ups(
        variables={}, clients=frozenset(), error="ups1: upsd says DATA-STALE", waited=30
    )

    assert failed(seen) == {"status-seen", "all-logged-in"}
    assert check(seen, "status-seen").value == "nothing after 30 s (ups1: upsd says DATA-STALE)"


def test_a_measured_cut_counts_more_than_a_voltage() -> None:
    blind = with_ups(variables={"ups.status": "OL"}, record=record())

    assert failed(blind) == set()
    assert check(blind, "mains-state").value == "the last real cut was seen within 10 s"


def test_loopback_is_one_address_whatever_its_form() -> None:
    assert failed(with_ups(clients=frozenset({"::1", CLIENT}))) == set()


def test_a_secondary_has_no_device_and_no_flag_on_disk() -> None:
    good = replace(GOOD, role="secondary", mode="netclient", sections=())

    assert failed(good) == set()
    assert failed(replace(good, sections=("ups1",))) == {"no-driver-section"}
    assert failed(replace(good, flag="/etc/killpower")) == {"flag-in-memory"}
    assert "measured" not in {one.id for one in checks_of(good)}


@dataclass
class Clock:
    """Time that passes by sleeping."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)

    def outside(self) -> Outside:
        return Outside(lambda: self.now, self.sleep, lambda: 1, lambda _conf: ())


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd(values=dict(VALUES), logged_in=[OWN, CLIENT])) as small:
        yield small


def host(folder: Path, files: dict[str, str], upsd: SmallUpsd, **changed: Any) -> Config:
    nut = folder / "nut"
    nut.mkdir(exist_ok=True)
    for name, text in files.items():
        (nut / name).write_text(text)
        (nut / name).chmod(0o644)
    content = {
        "format": 1,
        "role": "primary",
        "nut": str(nut),
        "measured": str(folder / "measured"),
        "upses": [{"name": "ups1", "port": upsd.link.port, "logins": [OWN, CLIENT]}],
    }
    file = folder / "power.json"
    file.write_text(json.dumps(content | changed))
    return Config.read(file)


def test_a_real_answer_is_looked_at_once(tmp_path: Path, upsd: SmallUpsd) -> None:
    clock = Clock()
    seen = look(host(tmp_path, primary(), upsd), clock.outside())

    assert clock.slept == []
    assert (seen.mode, seen.sections, seen.flag_exists) == ("netserver", ("ups1",), False)
    assert failed(seen) - {"nut-files"} == set()  # 192.0.2.11 is not of this machine


@pytest.mark.parametrize(("days", "counts"), [(0, True), (1, True), (2, False), (400, False)])
def test_a_record_of_a_day_that_has_not_come_proves_nothing(
    tmp_path: Path, upsd: SmallUpsd, days: int, counts: bool
) -> None:
    day = datetime.datetime.now(tz=datetime.UTC).date() + datetime.timedelta(days=days)
    config = host(tmp_path, primary(), upsd)
    config.measured.mkdir(exist_ok=True)
    record(on=day.isoformat()).write(config.measured / "ups1.json")

    measured = check(look(config, Clock().outside()), "measured")

    assert measured.verdict == ("passed" if counts else "warning")
    assert counts or f"the record is of {day}, in the future of this host's clock" in measured.value


def test_a_client_that_comes_late_is_waited_for(tmp_path: Path, upsd: SmallUpsd) -> None:
    upsd.logged_in.remove(CLIENT)
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now == 5:
            upsd.logged_in.append(CLIENT)

    seen = look(host(tmp_path, primary(), upsd), replace(clock.outside(), sleep=sleep))
    assert clock.now == 5
    assert "all-logged-in" not in failed(seen)


def test_who_never_comes_is_named_after_a_minute(tmp_path: Path, upsd: SmallUpsd) -> None:
    upsd.logged_in.remove(CLIENT)
    clock = Clock()
    seen = look(host(tmp_path, primary(), upsd), clock.outside())

    assert clock.now == 60
    assert check(seen, "all-logged-in").value == f"missing: {CLIENT}"


def test_stale_data_are_waited_for_half_a_minute(tmp_path: Path, upsd: SmallUpsd) -> None:
    upsd.stale = True
    clock = Clock()
    seen = look(host(tmp_path, primary(), upsd), clock.outside())

    assert clock.now == 30
    assert "status-seen" in failed(seen)


def test_a_flag_and_a_fault_of_the_files_are_found(tmp_path: Path, upsd: SmallUpsd) -> None:
    flag = tmp_path / "killpower"
    flag.touch()
    files = primary()
    files["upsmon.conf"] = files["upsmon.conf"].replace("/run/nut/killpower", str(flag))
    files["nut.conf"] = "MODE = netserver\n"
    seen = look(host(tmp_path, files, upsd), Clock().outside())

    assert {"nut-files", "no-kill-power-flag"} <= failed(seen)
    assert "NC_MODE_SPACES" in check(seen, "nut-files").value


def test_a_secondary_asks_its_server(tmp_path: Path, upsd: SmallUpsd) -> None:
    config = host(tmp_path, secondary(__nut_secondary_over_tls=[]), upsd, role="secondary")

    assert failed(look(config, Clock().outside())) == set()


def test_tls_by_the_right_authority_passes_and_by_another_fails(
    tmp_path: Path, upsd: SmallUpsd
) -> None:
    right, upsd.certificate = authority(tmp_path, "right")
    wrong, _pair = authority(tmp_path, "wrong")
    named = {"tls_name": "ups.example.org"}
    good = look(host(tmp_path, primary(), upsd, tls_ca=str(right), **named), Clock().outside())
    bad = look(host(tmp_path, primary(), upsd, tls_ca=str(wrong), **named), Clock().outside())

    assert check(good, "tls").verdict == "passed"
    assert {"tls", "status-seen"} <= failed(bad)
    assert "CERTIFICATE_VERIFY_FAILED" in check(bad, "tls").value


def test_tls_for_another_name_or_none_at_all_fails(tmp_path: Path, upsd: SmallUpsd) -> None:
    right, pair = authority(tmp_path, "right")
    none = look(host(tmp_path, primary(), upsd, tls_ca=str(right)), Clock().outside())
    upsd.certificate = pair
    other = host(tmp_path, primary(), upsd, tls_ca=str(right), tls_name="nas.example.org")

    assert "offers no TLS" in check(none, "tls").value
    assert "tls" in failed(look(other, Clock().outside()))
    upsd.certificate = None
    with pytest.raises(CheckError, match="offers no TLS"):
        replace(upsd.link, tls_ca=right).variables("ups1")


@pytest.mark.parametrize(
    ("trust", "verdict", "said"),
    [
        (Trust("ups1@nas", "ups1", days=300), "passed", "is trusted and ends in 300 days"),
        (Trust("ups1@nas", "ups1", days=29), "warning", "ends in 29 days"),
        (Trust("ups1@nas", "ups1", "certificate has expired"), "failed", "ups1@nas: certificate"),
    ],
)
def test_what_the_monitor_trusts_is_looked_at(trust: Trust, verdict: str, said: str) -> None:
    found = check(replace(GOOD, trusts=(trust,)), "trusted-certificate")

    assert (found.verdict, found.ups) == (verdict, "ups1")
    assert said in found.value


CYBERPOWER = {
    **VALUES, "driver.name": "usbhid-ups", "ups.vendorid": "0764", "ups.mfr": "CPS",
    "driver.parameter.offdelay": "60", "ups.delay.shutdown": "60", "ups.delay.start": "120",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "verdict", "said"),
    [
        ({}, "passed", "off after 60 s, on after 120 s"),
        ({"ups.delay.shutdown": "90"}, "failed", "would be 60 s"),
        ({"ups.delay.shutdown": "20"}, "failed", "offdelay 20 s is too short"),
        ({"ups.delay.start": "60"}, "failed", "ondelay 60 s is too short"),
        ({"ups.delay.shutdown": "125", "ups.delay.start": "179"}, "failed", "come on before"),
        ({"ups.vendorid": "", "ups.delay.start": "150"}, "failed", "whole minutes"),  # by its maker
        ({"ups.vendorid": "051d", "ups.mfr": "APC", "ups.delay.start": "150"}, "passed", "150 s"),
        ({"driver.name": "nutdrv_qx", "ups.mfr": "Voltronic"}, "failed", "180 s or more"),
    ],
)  # fmt: skip
def test_delays_are_read_back_as_the_device_counts_them(
    changed: dict[str, str], verdict: str, said: str
) -> None:
    found = check(with_ups(variables={**CYBERPOWER, **changed}), "delays-taken")

    assert found.verdict == verdict
    assert said in found.value


def test_delays_that_are_the_device_s_own_are_only_said() -> None:
    own = {**CYBERPOWER, "driver.name": "apc_modbus", "ups.delay.shutdown": "20"}
    del own["driver.parameter.offdelay"]
    short = {**own, "driver.name": "mge-shut"}

    assert check(with_ups(variables=own), "delays-taken").verdict == "passed"  # it takes none
    assert check(with_ups(variables=short), "delays-taken").verdict == "warning"
    assert "delays-taken" not in {one.id for one in checks_of(GOOD)}


def test_who_else_starts_guests_is_named_and_may_be_accepted() -> None:
    other = Starter("/etc/cron.d/x", "/opt/watch.sh", 7)
    seen = replace(GOOD, starters=(other,))

    assert failed(seen) == {"no-other-starter"}
    assert check(seen, "no-other-starter").value == "/opt/watch.sh:7 (begun by /etc/cron.d/x)"
    taken = replace(seen, starters_accepted=True)
    assert check(taken, "no-other-starter").verdict == "warning"
    assert check(replace(GOOD, starters=()), "no-other-starter").verdict == "passed"
    assert "no-other-starter" not in {one.id for one in checks_of(GOOD)}


@pytest.mark.parametrize(
    "changed",
    [{"format": 2}, {"role": "tertiary"}, {"upses": 3}, {"upses": [{}]}, {"odd": 1}],
)
def test_a_bad_configuration_is_an_error_of_usage(
    tmp_path: Path, upsd: SmallUpsd, changed: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"power\.json: is no configuration of the gate"):
        host(tmp_path, primary(), upsd, **changed)
    assert main(["--config", str(tmp_path / "power.json")]) == 2


def test_the_verb_exits_by_the_verdict(
    tmp_path: Path, upsd: SmallUpsd, capsys: pytest.CaptureFixture[str]
) -> None:
    host(tmp_path, primary(), upsd)
    config = str(tmp_path / "power.json")

    assert main(["--config", config, "--json"]) == 4  # no upsmon here to ask
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "failed"
    assert {"id", "ups", "value", "verdict", "remedy"} == set(said["checks"][0])
    assert main(["--config", config]) == 4
    assert "failed  late-hook-says-no: upsmon -K could not be asked; " in capsys.readouterr().out


def test_a_warning_does_not_shut_the_gate() -> None:
    checks = checks_of(GOOD)

    assert passed(checks)
    assert document(checks)["verdict"] == "passed"
    assert Guard.parse({"name": "ups1"}).logins == ()


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({"battery.runtime.low": "400"}, "passed", "leaves 400 s"),
        ({"battery.runtime.low": "120"}, "failed", "leaves 120 s, and the shutdown needs 371 s"),
        (
            {"battery.runtime.low": "7", "battery.runtime.unit": "minutes"},
            "passed",
            "leaves 420 s",
        ),
        ({}, "warning", "nobody knows"),
        ({"battery.runtime.low": "400", "battery.charge.low": "0"}, "failed", ""),
        ({"battery.runtime.low": "400", "ups.status": "OL LB"}, "failed", ""),
    ],
)
def test_a_low_battery_that_decides_alone_has_to_leave_enough(
    changes: dict[str, str], verdict: str, words: str
) -> None:
    seen = with_ups(variables={**VALUES, **changes}, low_battery_need=371)
    found = check(seen, "low-battery-is-enough")

    assert found.verdict == verdict
    assert words in found.value


def test_once_measured_or_never_said_its_low_battery_is_not_asked_about() -> None:
    measured = with_ups(record=record(), low_battery_need=371)

    assert "low-battery-is-enough" not in {one.id for one in checks_of(measured)}
    assert "low-battery-is-enough" not in {one.id for one in checks_of(GOOD)}
