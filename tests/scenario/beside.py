"""Towns beside the lab's own: the same node, other old hosts and other guests.

A scenario that needs an old host of another kind makes it with `releve.lab.extra`, names it in a
town of its own, and moves its guests to the lab's node with the very commands a person types.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from tests.scenario import stage

from releve.town import load_town

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from releve.lab.topology import Lab

LENT = (".tokens", ".vault-key", "group_vars")
DELETE = """
import pathlib, sys
from releve.pve.guests import Guests
from releve.town import load_town
guests, vmid = Guests.of(load_town(pathlib.Path(sys.argv[1])), sys.argv[2]), int(sys.argv[3])
if guests.exists(vmid):
    guests.stop(vmid)
    guests.delete(vmid)
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 15) as link:
    link.sendall(sys.argv[3].encode() + b"\\n")
    print(link.makefile().readline())
"""


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
        return stage.do(self.lab, *words, code=code, answer=answer, cwd=self.folder, **env)

    def ask(self, guest: str, words: str) -> dict[str, Any]:
        """Ask a guest beside its witness, such as `identity`: what it sees of its machine."""
        of = self.lab.town.guests[guest]
        assert of.witness is not None
        address, port = str(of.nics[0].address), str(of.witness.port + 1)
        argv = self.lab.workstation([sys.executable, "-c", ASK, address, port, words])
        said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
        answer: dict[str, Any] = json.loads(said)
        return answer

    def delete(self, node: str, vmid: int) -> None:
        """Take a guest away from its node; one that is not there is no fault."""
        line = f"qm unlock {vmid} >/dev/null 2>&1 || :"
        self.lab.console(node, ["sh", "-c", line])
        self.do("python", "-c", DELETE, str(self.folder), node, str(vmid))

    def evidence(self, name: str) -> dict[str, Any]:
        """Return what a command left as evidence."""
        return stage.evidence(name, self.folder)

    def failed(self, name: str) -> set[str]:
        """Return the checks of a command that did not pass."""
        return stage.failed(name, self.folder)


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
