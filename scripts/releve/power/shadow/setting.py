"""Where a turn is played: the host's files in the room, with what must not be real taken out."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from releve.power.shadow import config, sandbox, tiers

ETC = Path("/etc/nut")
RUN = Path("/run/nut")
TIMER_SECONDS = 5  # how long the timer runs in its turn
RECORDER = """\
#!/bin/sh
logger -t shadow-{name} -- "{said}"
{then}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played: `low` or `timer`; `base` is what each UPS said last, on line."""

    trigger: str
    names: dict[str, str]
    addresses: tuple[str, ...]
    base: dict[str, dict[str, str]]
    limit: float

    @classmethod
    def read(cls, line: str) -> Plan:
        """Read the line that `main` wrote."""
        said = json.loads(line)
        return cls(**{**said, "addresses": tuple(said["addresses"])})


def write_device(ups: str, values: dict[str, str]) -> None:
    """Write the file that dummy-ups reads, whole or not at all."""
    file = Path(config.FOLDER, f"{ups}.dev")
    part = file.with_suffix(".part")
    part.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    part.chmod(0o644)
    part.replace(file)


def enter(plan: Plan) -> dict[str, str]:
    """Make the room around this process; return the host's own files of NUT, as they were."""
    texts = {
        file.name: file.read_text(encoding="utf-8", errors="replace")
        for file in ETC.iterdir()
        if file.is_file()
    }
    folders = sandbox.folders_below(RUN)
    sandbox.enter(plan.addresses, plan.names, folders)
    sys.stdout.write(json.dumps({"namespace": str(Path("/proc/self/ns/pid").readlink())}) + "\n")
    RUN.mkdir(exist_ok=True)
    room = Path(config.FOLDER)
    room.mkdir(mode=0o755)
    _record(texts, room)
    _rewrite(plan, texts, room)
    if config.virtual(texts.get("ups.conf", "")):
        text = tiers.SETTINGS.read_text(encoding="utf-8")
        tiers.enter(text, room, short=plan.trigger == "timer")
    return texts


def _record(texts: dict[str, str], room: Path) -> None:
    """Write what is called in place of a command, and says so."""
    what = config.monitoring(texts["upsmon.conf"])
    script = config.script_of(texts.get("upssched.conf", ""))
    recorders = {
        "shutdown": ("uid $(id -u)", "exit 0"),
        # upssched tells of its timers only when it is asked to.
        "notify": (
            "$NOTIFYTYPE $UPSNAME",
            f'export NUT_DEBUG_LEVEL=1\nexec {what.notify or "true"} "$@"',
        ),
        "script": ("$*", f'exec {script or "true"} "$@"'),
    }
    for name, (said, then) in recorders.items():
        file = room / name
        file.write_text(RECORDER.format(name=name, said=said, then=then))
        file.chmod(0o755)


def _rewrite(plan: Plan, texts: dict[str, str], room: Path) -> None:
    """Copy /etc/nut with its modes and owners, rewrite the few lines, and put it in its place."""
    copy = room / "etc"
    shutil.copytree(ETC, copy, symlinks=False)
    for file in (ETC, *ETC.rglob("*")):
        sandbox.alike(copy / file.relative_to(ETC), file)
    timer = TIMER_SECONDS if plan.trigger == "timer" else None
    new = {"upsmon.conf": config.upsmon_conf(texts["upsmon.conf"])}
    if "upssched.conf" in texts:
        new["upssched.conf"] = config.upssched_conf(texts["upssched.conf"], timer)
    if "ups.conf" in texts:
        new["ups.conf"] = config.ups_conf(texts["ups.conf"])
    for name, text in new.items():
        (copy / name).write_text(text, encoding="utf-8")
    sandbox.bind(copy, str(ETC))
