"""Survey a host: let pyinfra read it, compare it with the town file, keep the evidence."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import releve
from releve.command import run
from releve.drills.evidence import Evidence, now
from releve.errors import InputError
from releve.migrate.fragment import (
    differences,
    faults_of,
    fragment_of,
    known_guest,
    name_there,
    render,
)
from releve.migrate.recorded import guests_recorded
from releve.migrate.survey import guests_seen, read_survey
from releve.ssh import Ssh
from releve.town.hint import hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from releve.migrate.survey import GuestSeen, HostReading
    from releve.town import Town

CHECKOUT = Path(releve.__file__).parents[2]
FOLDER = Path("build/survey")
SECTIONS = {"domains": "guests", "states": "guests", "etc": "files", "packages": "packages"}
PLAIN_TOOLS = ("qemu-img", "sha256sum", "find", "sed", "sort", "cut")
TOOLS = {"libvirt": ("virsh", *PLAIN_TOOLS), "pve": ("qm", "pct", "pvesm", *PLAIN_TOOLS)}
PAGES = {"esxi": "migrate-from-esxi", "hyperv": "migrate-from-hyper-v", "files": "move-files"}
TIMEOUT = 900.0  # seconds; hashing /etc of an old machine with slow disks takes minutes
SHOWN = 5  # lines of a change that a note shows


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What a survey says: `faults` block a move or make it doubtful, `differences` do not."""

    host: str
    fragment: Path
    guests: tuple[str, ...]
    faults: tuple[str, ...]
    differences: tuple[str, ...]
    containers: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the result as `--json` prints it."""
        return {**asdict(self), "fragment": str(self.fragment)}


def survey_host(town: Town, host: str, recorded: Path | None = None) -> SurveyResult:
    """Survey an old host of the town, or read again what was `recorded` of it.

    `recorded` is the file of an earlier survey, or a folder of listings of an ESXi or Hyper-V host.
    Writes build/survey/HOST.json (what was read), build/survey/HOST.yml (the fragment) and
    build/evidence/survey.json. Raises InputError when `host` cannot be surveyed.
    """
    hypervisor = _hypervisor(town, host)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Evidence("survey", Path("build/evidence")) as evidence:
        evidence.event(host, "survey started")
        if recorded is not None and recorded.is_dir():
            guests, faults = guests_recorded(recorded, hypervisor, town.guests)
            evidence.check("listings-read", not faults, len(guests), note="; ".join(faults))
        elif hypervisor not in TOOLS:
            message = (
                f"{host}: a {hypervisor} host is surveyed from listings in a folder: give --from"
                f" FOLDER (docs/how-to/{PAGES[hypervisor]}.md)"
            )
            raise InputError(message)
        else:
            file = recorded or read_host(town, host)
            reading = read_survey(file)
            guests, faults = guests_seen(reading, town.guests), _unchanged(evidence, reading)
            evidence.hash(file)
        evidence.event(host, "survey finished")
        result = _judge(evidence, town, host, guests, faults)
        evidence.hash(result.fragment)
    return result


def _hypervisor(town: Town, host: str) -> str:
    """Return what runs the guests of an old host; raises InputError when there is no such host."""
    old = town.hosts_of("old")
    if host not in old:
        message = f"{town.file.name}: hosts: no old host {host!r}{hint(host, list(old))}"
        raise InputError(message)
    return old[host].hypervisor or "libvirt"


def read_host(town: Town, host: str) -> Path:
    """Let pyinfra read the host and return the file with what it says.

    Raises CommandError when the host does not answer, InputError when it lacks a program.
    """
    tools = " ".join(TOOLS[_hypervisor(town, host)])
    asked = Ssh.to(town, host).run(f"for t in {tools}; do command -v $t || echo lacks $t; done")
    lacking = [line.split()[1] for line in asked.stdout.splitlines() if line.startswith("lacks ")]
    if lacking:
        message = f"{host}: it lacks {', '.join(lacking)}, without which it cannot be surveyed"
        raise InputError(message)
    file = (FOLDER / f"{host}.json").resolve()
    file.unlink(missing_ok=True)
    deploys = CHECKOUT / "pyinfra_deploys"
    if not deploys.is_dir():
        message = f"{deploys} is not there: a survey needs a checkout of the project"
        raise InputError(message)
    argv = [sys.executable, "-m", "pyinfra", "-y", "--limit", host]
    argv += ["--data", f"survey_file={file}"]
    argv += [str(deploys / "inventory.py"), str(deploys / "survey_old_host.py")]
    env = {**os.environ, "RELEVE_INVENTORY": str(town.file)}
    run(argv, timeout=TIMEOUT, cwd=str(CHECKOUT), env=env)
    return file


def _judge(
    evidence: Evidence, town: Town, host: str, seen: Sequence[GuestSeen], faults: Sequence[str]
) -> SurveyResult:
    guests = [one for one in seen if not one.container and not one.broken]
    apart = {name_there(one, town, host) for one in seen if one not in guests}
    broken = [f"{host}: {one.broken}" for one in seen if one.broken]
    containers = tuple(
        f"{host}: {one.domain.name} ({one.vmid}): {one.domain.notes[0]}"
        for one in seen
        if one.container
    )
    unknown = [f"{one.key}: {part.text}" for one in seen for part in one.domain.unknown]
    parts = sum(len(one.domain.parts) for one in guests)
    evidence.check("devices-named", not unknown, parts, unit="devices", note="; ".join(unknown))
    blocked = [
        f"{host}: {one.domain.name}: {blocker.text} ({blocker.id})"
        for one in guests
        if known_guest(one, town, host)
        for blocker in one.blockers
    ]
    evidence.check("definitions-read", not broken, len(seen), note="; ".join(broken))
    evidence.check("blockers", not blocked, len(blocked), limit=0, note="; ".join(blocked))
    fragment = fragment_of(guests, town, host)
    invalid = faults_of(fragment, town, host)
    evidence.check("fragment-valid", not invalid, note="; ".join(invalid))
    lines = differences(guests, town, host, apart)
    evidence.check("town-equal", not lines, len(lines), limit=0, note="; ".join(lines))
    file = FOLDER / f"{host}.yml"
    said = render(fragment, guests, host, now()) + "".join(f"# {line}\n" for line in containers)
    file.write_text(said, encoding="utf-8")
    return SurveyResult(
        host=host,
        fragment=file,
        guests=tuple(fragment.guests),
        faults=(*faults, *broken, *unknown, *blocked, *(f"{file}: {one}" for one in invalid)),
        differences=tuple(lines),
        containers=containers,
    )


def _unchanged(evidence: Evidence, reading: HostReading) -> list[str]:
    """Check that the host is the same before and after, and return what is not."""
    faults = []
    for section, unit in SECTIONS.items():
        changed = reading.changed(section)
        seen = len(reading.before.get(section, ()))
        note = "; ".join(changed[:SHOWN]) or ("" if seen else "nothing was read")
        evidence.check(f"{section}-unchanged", seen > 0 and not changed, seen, unit=unit, note=note)
        if note:
            faults.append(f"{reading.host}: {section} changed while it was read: {note}")
    return faults
