"""Prepare a Linux guest while it works at its source: card names, fstab, initramfs.

`prepare.sh` does it, inside the guest. What it found is kept on the workstation, so that a plan
knows what it cannot see from the guest's host.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.command import CommandError, run
from releve.drills.evidence import now
from releve.errors import ExitCode, InputError, ReleveError
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from releve.town import Town

SCRIPT = Path(__file__).with_name("prepare.sh")
FOLDER = Path("build/migrate/prepare")
MINUTES = 15  # an initramfs of an old machine takes its time
ENDS = {0: ExitCode.DONE, 3: ExitCode.CHANGES, 4: ExitCode.CHECK_FAILED}
END = "RELEVE"  # of the here-document in which the script is pasted
_LINE = re.compile(r"^(good|left) ([a-z-]+): (.*)$")
_COUNT = re.compile(r"^changed (\d+), left (\d+)$", re.M)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the script said: each line for a person, check -> what is good, and how it ended."""

    lines: tuple[str, ...]
    good: Mapping[str, str]
    code: ExitCode


def pasted(words: Sequence[str] = ("--check",)) -> str:
    """Return lines to paste at the guest's console, as root."""
    then = f"sh prepare.sh {' '.join(words)}".strip()
    return f"cat >prepare.sh <<'{END}'\n{SCRIPT.read_text(encoding='utf-8')}{END}\n{then}\n"


def prepare(
    town: Town,
    name: str,
    words: Sequence[str] = (),
    execute: Callable[[Sequence[str], str], tuple[int, str]] | None = None,
) -> Prepared:
    """Run the script in a guest of the town, by ssh; `words` are `--check` or `--undo` or none.

    `execute(argv, stdin)` gives (exit code, what was printed); left out, it is run. Raises
    InputError when the town file does not say how to log in, ReleveError when the script failed.
    """
    argv = login(town, name).argv(_shell(town, name, words))
    code, said = (execute or _run)(argv, SCRIPT.read_text(encoding="utf-8"))
    found = read(said, code)
    if found is None:
        last = said.strip().splitlines()[-1:] or ["it printed nothing"]
        message = f"{name}: preparing it failed (exit {code}): {last[0]}"
        raise ReleveError(message)
    if "--undo" in words:
        forget(name)
    else:
        keep(name, found)
    return found


def login(town: Town, name: str) -> Ssh:
    """Return the way into a guest, with the ssh options of the town's hosts."""
    guest = town.guests[name]
    address = guest.nics[0].address if guest.nics else None
    if guest.login is None or address is None:
        missing = "login" if guest.login is None else "nics[0].address"
        message = (
            f"guests.{name}.{missing}: is missing, so nobody can log in to it; add it, or paste"
            f" what `releve migrate prepare {name} --print` prints at its console"
        )
        raise InputError(message)
    return Ssh(name, str(address), guest.login, Ssh.options_of(town))


def _shell(town: Town, name: str, words: Sequence[str]) -> str:
    root = "" if town.guests[name].login == "root" else "sudo -n "
    return f"{root}sh -s -- {' '.join(words)}".rstrip()


def _run(argv: Sequence[str], script: str) -> tuple[int, str]:
    done = run(argv, timeout=MINUTES * 60, check=False, stdin=script)
    if done.returncode in {255, 127} or not done.stdout:
        why = (done.stderr.strip() or "no message").splitlines()[-1]
        raise CommandError(argv, f"exit {done.returncode}: {why}", done.returncode)
    return done.returncode, done.stdout


def read(said: str, code: int) -> Prepared | None:
    """Return what the script printed; None when it did not come to its end."""
    if code not in ENDS or not _COUNT.search(said):
        return None
    lines = tuple(said.splitlines())
    good: dict[str, str] = {}
    for line in lines:
        if found := _LINE.match(line):
            verdict, id_, text = found.groups()
            if verdict == "good":
                good[id_] = text
    return Prepared(lines, good, ENDS[code])


def keep(name: str, found: Prepared, folder: Path = FOLDER) -> None:
    """Keep what is good in a guest."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.json.part"
    part.write_text(
        json.dumps({"at": now(), "good": dict(found.good)}, indent=1) + "\n", encoding="utf-8"
    )
    part.replace(folder / f"{name}.json")


def forget(name: str, folder: Path = FOLDER) -> None:
    """Forget it: what was good was undone."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def kept(name: str, folder: Path = FOLDER) -> dict[str, str]:
    """Return check -> what is good in a guest, with the day on which that was seen."""
    try:
        content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        day = str(content["at"])[:10]
        return {str(id_): f"{text} (seen inside, {day})" for id_, text in content["good"].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
