"""What the gate asks of what was seen; pure, standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from releve.power.delays import Device, is_cyberpower
from releve.power.doubts import DOUBTS
from releve.power.hands import cut_in_words
from releve.power.lint.drivers import OURS
from releve.power.readings import number, read, seconds_of
from releve.power.status import ON_LINE
from releve.power.thresholds import LB_DOUBTED
from releve.power.trusted import SOON_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from releve.power.lint.finding import Finding
    from releve.power.measurement import Measurement
    from releve.power.starters import Starter
    from releve.power.trusted import Trust

Verdict = Literal["passed", "warning", "failed"]
OTHER_STARTER = "no-other-starter"  # a name for `accept`, as the linter's are
IN_MEMORY = ("/run/", "/var/run/")
MODES = {"primary": ("netserver", "standalone"), "secondary": ("netclient",)}
LIVE_VOLTS = 40.0  # less is no mains, anywhere
CHARGE_LOW_MOST = 80  # percent; a UPS that is low there is low at the first look
_OTHERWISE_SAID = ("ST_FSD", "ST_EMPTY", "ST_MISSING", "ST_NO_POWER_TOKEN")  # by other checks
LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was measured, whether it is right, and what to do when it is not."""

    id: str
    value: str
    verdict: Verdict
    remedy: str
    ups: str = ""


@dataclass(frozen=True, slots=True)
class UpsLook:
    """What was seen of one UPS after `waited` seconds; `tls`: whether it is configured.

    `low_battery_need`: its own "battery low" was said to be enough, and so many seconds have to be
    left then; None: it was not said.
    """

    name: str
    variables: Mapping[str, str]
    clients: frozenset[str]
    logins: frozenset[str]
    waited: float
    record: Measurement | None = None
    record_error: str = ""
    error: str = ""
    tls: bool = False
    low_battery_need: int | None = None

    @property
    def status(self) -> frozenset[str]:
        """The words of its status."""
        return frozenset(self.variables.get("ups.status", "").split())

    @property
    def virtual(self) -> bool:
        """Whether our policy publishes it; the real UPS beside it answers for battery and mains."""
        return self.variables.get("driver.name") in OURS

    @property
    def mains_said(self) -> bool:
        """Whether it says where its power comes from."""
        return bool(self.status & (ON_LINE | {"OB"}))

    @property
    def missing(self) -> tuple[str, ...]:
        """Who should be logged in and is not; loopback has several addresses."""
        local = bool(self.clients & LOOPBACK)
        gone = {one for one in self.logins - self.clients if one not in LOOPBACK or not local}
        return tuple(sorted(gone))


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of the host: NUT's files, the kill-power flag, each UPS."""

    role: str
    mode: str | None
    faults: tuple[Finding, ...]
    flag: str | None
    flag_exists: bool
    flag_asked: int | None
    sections: tuple[str, ...]
    upses: tuple[UpsLook, ...]
    trusts: tuple[Trust, ...] = ()
    starters: tuple[Starter, ...] | None = None  # None: a host without guests
    starters_accepted: bool = False


def checks_of(look: Look) -> tuple[Check, ...]:
    """Return every check of a host, in a fixed order."""
    found = [_files(look), _mode(look), _flag_there(look), _flag_asked(look)]
    if look.role == "secondary":
        found += [_no_device(look), _flag_in_memory(look)]
    if look.starters is not None:
        found.append(_other_starters(look.starters, accepted=look.starters_accepted))
    for one in look.upses:
        found += _ups_checks(one, primary=look.role == "primary")
    return (*found, *map(_trusted, look.trusts))


def _check(identity: str, good: bool | None, value: str, remedy: str, ups: str = "") -> Check:
    """Make a check; None: neither good nor bad, a warning."""
    verdict: Verdict = "warning" if good is None else "passed" if good else "failed"
    return Check(identity, value, verdict, remedy, ups)


def _files(look: Look) -> Check:
    shown = "; ".join(f"{one.where} {one.id}" for one in look.faults) or "no fault"
    remedy = "run `power.pyz lint --host` for the sentences, or apply playbooks/power.yml"
    return _check("nut-files", not look.faults, shown, remedy)


def _mode(look: Look) -> Check:
    wanted = MODES[look.role]
    remedy = f"write MODE={wanted[0]} into /etc/nut/nut.conf, without blanks"
    return _check("mode", look.mode in wanted, f"MODE={look.mode or '(not set)'}", remedy)


def _flag_there(look: Look) -> Check:
    there = "there" if look.flag_exists else "not there"
    value = f"{look.flag or 'no flag is configured'}: {there}"
    remedy = (
        "remove the file, then restart nut-server and nut-monitor, on the primary first: with it"
        " the next power-off cuts the output for all"
    )
    return _check("no-kill-power-flag", not look.flag_exists, value, remedy)


def _flag_asked(look: Look) -> Check:
    value = "upsmon -K " + (
        "could not be asked" if look.flag_asked is None else f"exits {look.flag_asked}"
    )
    remedy = (
        "an exit of 0 makes the late hook cut the output at any power-off: mend MODE and the flag;"
        " where it could not be asked, install nut-client"
    )
    return _check("late-hook-says-no", look.flag_asked not in (0, None), value, remedy)


def _no_device(look: Look) -> Check:
    value = f"ups.conf has {', '.join(look.sections) or 'no section'}"
    remedy = "remove the section: this host's own shutdown would cut that UPS"
    return _check("no-driver-section", not look.sections, value, remedy)


def _flag_in_memory(look: Look) -> Check:
    good = look.flag is None or look.flag.startswith(IN_MEMORY)
    remedy = "set POWERDOWNFLAG /run/nut/killpower, where it dies with the boot"
    return _check("flag-in-memory", good, look.flag or "no flag is configured", remedy)


def _ups_checks(ups: UpsLook, *, primary: bool) -> Iterator[Check]:
    seen = f"{' '.join(sorted(ups.status)) or 'nothing'} after {ups.waited:.0f} s"
    yield _check(
        "status-seen",
        ups.mains_said and not ups.error,
        f"{seen} ({ups.error})" if ups.error else seen,
        "look at journalctl -u nut-driver@* and at the cable; on a client at its server's address",
        ups.name,
    )
    real = primary and not ups.virtual  # whoever has the cable answers for the UPS itself
    if ups.variables and real:
        yield _mains(ups)
        yield _own_thresholds(ups)
        yield from _delays(ups)
    yield _check(
        "no-fsd",
        "FSD" not in ups.status,
        "FSD is set" if "FSD" in ups.status else "no FSD",
        "restart nut-server, then nut-monitor, on the primary first: who logs in is sent down",
        ups.name,
    )
    missing = ", ".join(ups.missing)
    yield _check(
        "all-logged-in",
        not ups.missing,
        f"missing: {missing}" if missing else f"{len(ups.logins)} of {len(ups.logins)}",
        "nobody waits for who is missing: see journalctl -u nut-monitor there; a wrong password"
        " says ACCESS-DENIED",
        ups.name,
    )
    if ups.tls:
        yield _check(
            "tls",
            not ups.error,
            ups.error or "the certificate is of the configured authority",
            "give upsd a certificate of the authority that the clients trust, or them that one",
            ups.name,
        )
    known = ups.record is not None and not ups.record.commissioning
    if ups.variables and real and ups.low_battery_need is not None and not known:
        yield _low_battery(ups)
    if real:
        yield _measured(ups)
    if real and ups.record is not None:
        yield _cut(ups.name, ups.record)


def _mains(ups: UpsLook) -> Check:
    """Ask whether a cut of the mains would be seen: by a pull of the plug, else by a voltage."""
    proven = ups.record.mains_proven if ups.record else None
    readings = read(ups.variables)
    doubts = [one for one in readings.refusals if one not in _OTHERWISE_SAID]
    volts = readings.input_voltage
    if doubts:
        good, value = False, "; ".join(DOUBTS[one] for one in doubts)
    elif proven is not None:
        good, value = proven, f"the last real cut was {'' if proven else 'not '}seen within 10 s"
    elif volts is None:
        good, value = False, "no input voltage, and no cut was measured yet"
    else:
        alive = volts >= LIVE_VOLTS and "ST_OL_INPUT_DEAD" not in readings.warnings
        good = alive or "OB" in ups.status
        value = f"input.voltage {volts:g} V; no cut was measured yet"
    remedy = "pull the plug with `releve power measure`: a UPS that never says OB may guard nothing"
    return _check("mains-state", good, value, remedy, ups.name)


def _other_starters(found: tuple[Starter, ...], *, accepted: bool) -> Check:
    """Ask who else starts guests: it would bring up whom a shutdown has just stopped."""
    places = (f"{one.file}:{one.line} (begun by {one.begun_by})" for one in found)
    value = "; ".join(places) or "nobody but Proxmox VE"
    remedy = (
        "disable it, or let it start nothing unless each UPS says OL; then accept"
        f" {OTHER_STARTER} with the reason"
    )
    good = True if not found else None if accepted else False
    return _check(OTHER_STARTER, good, value, remedy)


def _trusted(trust: Trust) -> Check:
    """Ask whether this host's monitor would be let in by the certificate that its server shows."""
    soon = trust.days is not None and trust.days < SOON_DAYS
    value = f"{trust.system}: " + (
        trust.fault or f"its certificate is trusted and ends in {trust.days} days"
    )
    remedy = (
        "upsmon gives up the connection to a server with another certificate: apply role"
        " nut_primary there, then the role of this host, which fetches the certificate"
    )
    good = False if trust.fault else None if soon else True
    return _check("trusted-certificate", good, value, remedy, trust.ups)


def _own_thresholds(ups: UpsLook) -> Check:
    """Ask whether the UPS itself calls its battery low before it has carried anything."""
    charge = number(ups.variables.get("battery.charge.low"))
    runtime = seconds_of(ups.variables, "battery.runtime.low")
    capacity = ups.record.capacity_seconds if ups.record else None
    shown = f"charge.low {_told(charge, ' %')}, runtime.low {_told(runtime, ' s')}"
    ours = "driver.flag.ignorelb" in ups.variables
    early = (charge or 0) >= CHARGE_LOW_MOST or (capacity is not None and (runtime or 0) > capacity)
    remedy = (
        f"set them lower at the UPS (`upsrw`, below {CHARGE_LOW_MOST} %), or measure it for own"
        " thresholds (ignorelb): as it is, each short cut stops the site"
    )
    return _check("own-thresholds", ours or not early, shown, remedy, ups.name)


def _told(value: float | None, unit: str) -> str:
    return "not told" if value is None else f"{value:g}{unit}"


def _low_battery(ups: UpsLook) -> Check:
    """Ask whether the UPS's own "battery low" is enough where nothing else stops the site."""
    doubts = sorted(LB_DOUBTED & {*read(ups.variables).warnings})
    left, need = seconds_of(ups.variables, "battery.runtime.low"), ups.low_battery_need or 0
    if doubts:
        good: bool | None = False
        value = "; ".join(DOUBTS[one] for one in doubts)
    elif left is None:
        good, value = None, f"nobody knows what its low battery leaves of the {need} s needed"
    else:
        good, value = left >= need, f"it leaves {left:g} s, and the shutdown needs {need} s"
    remedy = (
        "set battery.runtime.low at the UPS (`upsrw`) above the need, or measure the UPS and remove"
        " low_battery_is_enough"
    )
    return _check("low-battery-is-enough", good, value, remedy, ups.name)


def _delays(ups: UpsLook) -> Iterator[Check]:
    """Ask whether the cut comes as late, and lasts as long, as the device counts; if it tells."""
    values = ups.variables
    off, on = (number(values.get(f"ups.delay.{name}")) for name in ("shutdown", "start"))
    if off is None or on is None:
        return
    told = {
        "vendorid": values.get("ups.vendorid", ""),
        "vendor": f"{values.get('ups.mfr', '')} {values.get('device.mfr', '')}",
        "product": values.get("ups.model", ""),
    }
    driver = values.get("driver.name", "")
    whole = driver == "usbhid-ups" and (is_cyberpower(told) or "CPS" in told["vendor"].split())
    device = Device(driver, int(off), int(on), whole_minutes=whole)
    faults = [one for one in device.faults() if "ends at start" not in one]
    # Delays that nobody asked the driver for are the device's own, and a matter of its panel.
    asked = "driver.parameter.offdelay" in values
    good = True if not faults else False if asked else None
    shown = "; ".join(faults) or f"off after {off:g} s, on after {on:g} s"
    remedy = "say offdelay_seconds and ondelay_seconds so in the town file, or set them at the UPS"
    yield _check("delays-taken", good, shown, remedy, ups.name)


def _measured(ups: UpsLook) -> Check:
    if ups.record_error:
        value = ups.record_error
    elif ups.record is None or ups.record.commissioning:
        value = "commissioning: nothing was measured, not proved"
    else:
        value = f"{ups.record.capacity_seconds} s, on {ups.record.on.isoformat()}"
    known = ups.record is not None and not ups.record.commissioning
    remedy = "measure it with `releve power measure`"
    return _check("measured", True if known else None, value, remedy, ups.name)


def _cut(ups: str, record: Measurement) -> Check:
    """Say what was seen of the cut; whom it leaves in the dark is refused by the budget."""
    seen = record.cut == "proven" and record.cuts_on_line is not False
    good = True if seen and record.returned is not False else None
    remedy = "pull the plug to the end and say what was seen (`releve power measure`)"
    return _check("cut", good, cut_in_words(record), remedy, ups)
