"""What an old Proxmox VE says of its guests: its files and its own lists, nothing is changed."""

from __future__ import annotations

import shlex
from typing import Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

FOLDERS = {"qemu-server": "qm list", "lxc": "pct list"}
MARK = "== releve guest "


class PveGuests(FactBase[list[dict[str, Any]]]):
    """Each guest's file: its number, folder and text. Guests of other nodes are not there."""

    @override
    def command(self) -> str:
        return (
            "for f in /etc/pve/qemu-server/*.conf /etc/pve/lxc/*.conf; do "
            f'[ -f "$f" ] || continue; echo "{MARK}$f"; cat "$f" && echo; done'
        )

    @override
    def process(self, output: list[str]) -> list[dict[str, Any]]:
        guests: list[dict[str, Any]] = []
        for line in output:
            if line.startswith(MARK):
                folder, file = line.removeprefix(MARK).split("/")[-2:]
                number = file.removesuffix(".conf")
                guests.append({"vmid": int(number), "folder": folder, "lines": []})
            elif guests:
                guests[-1]["lines"].append(line)
        for guest in guests:
            guest["text"] = "\n".join(guest.pop("lines")) + "\n"
        return guests


class PveStates(FactBase[dict[int, str]]):
    """Number -> running, stopped, paused ... as `qm list` and `pct list` say."""

    @override
    def command(self) -> str:
        return "LC_ALL=C; export LC_ALL; qm list; pct list"

    @override
    def process(self, output: list[str]) -> dict[int, str]:
        states = {}
        columns: list[str] = []
        for line in output:
            words = line.split()
            if words[:1] == ["VMID"]:
                columns = [word.lower() for word in words]
            elif words and words[0].isdigit() and "status" in columns:
                place = columns.index("status")
                states[int(words[0])] = words[place] if len(words) > place else "unknown"
        return states


class PveVolumePath(FactBase[str]):
    """Where a volume is, as PVE's storage says; "" when it cannot say."""

    @override
    def command(self, volume: str) -> str:
        return f"pvesm path {shlex.quote(volume)} 2>/dev/null; :"

    @override
    def process(self, output: list[str]) -> str:
        return output[0].strip() if output else ""


class PveVersion(FactBase[list[str]]):
    """Versions of PVE, of its kernel and of QEMU, and the storages that it has."""

    @override
    def command(self) -> str:
        return "pveversion; qemu-system-x86_64 --version | sed -n 1p; pvesm status 2>/dev/null; :"

    @override
    def process(self, output: list[str]) -> list[str]:
        return [line.strip() for line in output if line.strip()]
