"""Towns beside the lab's own: the same node, other old hosts and other guests.

A scenario that needs an old host of another kind makes it with `releve.lab.extra`, names it in a
town of its own, and moves its guests to the lab's node with the very commands a person types.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from releve.lab.run import environment
from releve.town import load_town

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from releve.lab.topology import Lab

LENT = (".tokens", ".vault-key", "group_vars")


@dataclass(frozen=True)
class Beside:
    """One such town: `folder` holds its town.yml and all that commands leave in `build`."""

    lab: Lab
    folder: Path

    @classmethod
    def of(cls, lab: Lab, name: str, changes: Mapping[str, Any]) -> Beside:
        """Make the town `name`: the lab's town file with `changes` merged in; None takes away."""
        folder = lab.state / "towns" / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "build").mkdir(parents=True)
        (folder / "build" / "lab").symlink_to(lab.state)
        for lent in LENT:
            (folder / lent).symlink_to(lab.town.folder / lent)
        content = yaml.safe_load(lab.town.file.read_text())
        for section, key in (
            ("ssh", "identity_file"), ("ssh", "known_hosts_file"), ("pve", "ca_file")
        ):  # fmt: skip
            content[section][key] = str((lab.town.folder / content[section][key]).resolve())
        (folder / "town.yml").write_text(yaml.safe_dump(merged(content, changes), sort_keys=False))
        return cls(dataclasses.replace(lab, town=load_town(folder)), folder)

    def do(self, *words: str, code: int | None = 0, answer: str = "", **env: str) -> str:
        """Run a program in this town's folder; return all it said. `code` None: any but 0."""
        program = shutil.which(words[0], path=environment(self.lab)["PATH"])
        assert program is not None
        done = subprocess.run(
            self.lab.workstation([program, *words[1:]]),
            cwd=self.folder,
            env=environment(self.lab) | env,
            input=answer,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout[-6000:]
        assert (done.returncode == code) if code is not None else done.returncode, done.stdout[
            -6000:
        ]
        return done.stdout

    def evidence(self, name: str) -> dict[str, Any]:
        """Return what a command left as evidence."""
        file = self.folder / "build" / "evidence" / f"{name}.json"
        content: dict[str, Any] = json.loads(file.read_text())
        return content

    def failed(self, name: str) -> set[str]:
        """Return the checks of a command that did not pass."""
        return {check["id"] for check in self.evidence(name)["checks"] if not check["passed"]}


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `content` with `changes`, mapping by mapping; None takes a key away."""
    result = dict(content)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result
