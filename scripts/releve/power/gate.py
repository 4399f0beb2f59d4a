"""The gate: is this host really guarded, now? `power.pyz gate --config /etc/releve/power.json`.

Units can all be "active" while nobody is protected, so data are looked at: what upsd says of each
UPS and of who is logged in, NUT's files, the kill-power flag, and what `upsmon -K` says. Standard
library only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode, InputError, ReleveError
from releve.power.ageing import from_the_future
from releve.power.gate_checks import OTHER_STARTER, Check, Look, UpsLook, checks_of
from releve.power.lint.host import look as look_at_host
from releve.power.lint.read import read_directory
from releve.power.lint.units import read_units
from releve.power.lint.verdict import judge
from releve.power.measurement import known_of
from releve.power.starters import Starter, starters
from releve.power.trusted import Trust, trust_of
from releve.power.upsd import Upsd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from releve.power.lint.model import Configuration
    from releve.power.measurement import Measurement

CONFIG = Path("/etc/releve/power.json")
UPSMON = "/usr/sbin/upsmon"
ROOT = Path("/")  # where this host's drop-ins are
WAIT = 30.0  # seconds within which each UPS must have said something
LOGIN_WAIT = 60.0  # seconds within which each client must be back, after a restart of upsd


@dataclass(frozen=True, slots=True)
class Guard:
    """A UPS that guards this host: where its upsd is, and who must be logged in there.

    `low_battery_need`: its own "battery low" is enough when it leaves so many seconds; None: not.
    """

    name: str
    server: str = "127.0.0.1"
    port: int = 3493
    logins: tuple[str, ...] = ()
    low_battery_need: int | None = None

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Guard:
        """Take one out of JSON; raises KeyError, TypeError."""
        return cls(**{**content, "logins": tuple(content.get("logins", ()))})


@dataclass(frozen=True, slots=True)
class Config:
    """What must be true here; `role` is primary or secondary, `tls_ca` a file of authorities.

    `/etc/releve/power.json`: `{"format": 1, "role": "primary", "upses": [{"name": "ups1", "server":
    "127.0.0.1", "port": 3493, "logins": ["127.0.0.1", "192.0.2.12"]}]}`; a secondary names its
    servers and its own address. `nut`, `measured`, `tls_ca`, `tls_name` may be left out, and so
    may `accept`: ids of findings whose risk somebody has taken.
    """

    role: str
    upses: tuple[Guard, ...]
    nut: Path = Path("/etc/nut")
    measured: Path = Path("/etc/releve/measured")
    tls_ca: Path | None = None
    tls_name: str | None = None
    accept: frozenset[str] = frozenset()

    @classmethod
    def read(cls, file: Path) -> Config:
        """Read the file that the role writes; raises InputError."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content.pop("format") != 1 or content["role"] not in ("primary", "secondary"):
                message = "format is not 1, or role is neither primary nor secondary"
                raise ValueError(message)
            upses = tuple(Guard.parse(one) for one in content.pop("upses"))
            content["accept"] = frozenset(content.get("accept", ()))
            paths = {"nut", "measured", "tls_ca"} & {key for key in content if content[key]}
            return cls(upses=upses, **{**content, **{key: Path(content[key]) for key in paths}})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            message = (
                f"{file}: is no configuration of the gate ({error}); apply playbooks/power.yml"
            )
            raise InputError(message) from error


@dataclass(frozen=True, slots=True)
class Outside:
    """The effects, so that tests can stand in for them."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    flag_asked: Callable[[], int | None] = field(default_factory=lambda: flag_asked)
    trust_of: Callable[[Configuration], tuple[Trust, ...]] = trust_of
    starters: Callable[[Path], tuple[Starter, ...]] = starters


def flag_asked() -> int | None:
    """Ask `upsmon -K` as the late hook does: 0 would cut. None: it could not be asked."""
    try:
        run = subprocess.run([UPSMON, "-K"], capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.returncode


def look(config: Config, outside: Outside | None = None) -> Look:
    """Look at everything, each UPS until it is well or its time is over; raises InputError."""
    outside = outside or Outside()
    conf = look_at_host(read_directory(config.nut), config.nut)
    conf = replace(conf, units=read_units(ROOT))
    flag = conf.upsmon.value("POWERDOWNFLAG") if conf.upsmon else None
    start = outside.clock()
    upses = tuple(_until_well(config, one, start, outside) for one in config.upses)
    return Look(
        role=config.role,
        mode=conf.mode,
        faults=tuple(
            one
            for one in judge(conf).findings
            if one.level == "refuse" and one.id not in config.accept
        ),
        flag=flag,
        flag_exists=bool(conf.facts.flag_exists),
        flag_asked=outside.flag_asked(),
        sections=tuple(one.name for one in conf.sections),
        upses=upses,
        trusts=outside.trust_of(conf),
        starters=outside.starters(ROOT) if conf.units and conf.units.has_guests else None,
        starters_accepted=OTHER_STARTER in config.accept,
    )


def _until_well(config: Config, guard: Guard, start: float, outside: Outside) -> UpsLook:
    while True:
        waited = outside.clock() - start
        found = _once(config, guard, waited)
        needed = LOGIN_WAIT if found.mains_said else WAIT
        if (found.mains_said and not found.missing) or waited >= needed:
            return found
        outside.sleep(1.0)


def _once(config: Config, guard: Guard, waited: float) -> UpsLook:
    upsd = Upsd(guard.server, guard.port, tls_ca=config.tls_ca, tls_name=config.tls_name)
    variables: dict[str, str] = {}
    clients: frozenset[str] = frozenset()
    error = ""
    try:
        clients = upsd.clients(guard.name)
        variables = upsd.variables(guard.name)
    except ReleveError as fault:
        error = str(fault)
    record, unread = _record(config, guard.name)
    return UpsLook(
        guard.name, variables, clients, frozenset(guard.logins), waited, record, unread, error,
        config.tls_ca is not None, guard.low_battery_need,
    )  # fmt: skip


def _record(config: Config, ups: str) -> tuple[Measurement | None, str]:
    """Return what was measured, and why it does not count; a record of tomorrow proves nothing."""
    try:
        record = known_of(ups, config.measured)
    except InputError as error:
        return None, str(error)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    if record is not None and from_the_future(record.on, today):
        return None, (
            f"the record is of {record.on}, in the future of this host's clock ({today}): not"
            " proved"
        )
    return record, ""


def passed(checks: Sequence[Check]) -> bool:
    """Tell whether the gate opens; a warning does not shut it."""
    return all(one.verdict != "failed" for one in checks)


def document(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as JSON takes them."""
    verdict = "passed" if passed(checks) else "failed"
    return {"format": 1, "verdict": verdict, "checks": [asdict(one) for one in checks]}


def main(arguments: Sequence[str]) -> int:
    """Run the verb: exit 0 when the gate opens, 4 when it does not, 2 for a bad configuration."""
    parser = argparse.ArgumentParser(prog="power.pyz gate", description="Is this host guarded?")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    chosen = parser.parse_args(arguments)
    try:
        checks = checks_of(look(Config.read(chosen.config)))
    except ReleveError as error:
        sys.stderr.write(f"gate: {error}\n")
        return error.exit_code
    if chosen.json:
        sys.stdout.write(json.dumps(document(checks)) + "\n")
    else:
        for one in checks:
            about = f"{one.ups}: " if one.ups else ""
            remedy = "" if one.verdict == "passed" else f"; {one.remedy}"
            sys.stdout.write(f"{one.verdict:7} {one.id}: {about}{one.value}{remedy}\n")
    return ExitCode.DONE if passed(checks) else ExitCode.CHECK_FAILED
