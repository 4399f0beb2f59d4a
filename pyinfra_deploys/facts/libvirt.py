"""What a libvirt host says of its guests: read-only connections, nothing is started or written."""

from __future__ import annotations

import json
import shlex
from typing import Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

VIRSH = "LC_ALL=C virsh -r -c qemu:///system"


class DomainNames(FactBase[list[str]]):
    """Names of all guests, running or not, sorted."""

    @override
    def command(self) -> str:
        return f"{VIRSH} list --all --name"

    @override
    def process(self, output: list[str]) -> list[str]:
        return sorted(line.strip() for line in output if line.strip())


class DomainDefinition(FactBase[str]):
    """The XML that libvirt would start a guest from."""

    @override
    def command(self, domain: str) -> str:
        return f"{VIRSH} dumpxml --inactive -- {shlex.quote(domain)}"


class DomainState(FactBase[dict[str, Any]]):
    """State, autostart and names of snapshots of one guest."""

    @override
    def command(self, domain: str) -> str:
        name = shlex.quote(domain)
        return (
            f"{VIRSH} domstate -- {name} && "
            f"{VIRSH} dominfo -- {name} | sed -n 's/^Autostart: *//p' && "
            f"{VIRSH} snapshot-list --name -- {name}"
        )

    @override
    def process(self, output: list[str]) -> dict[str, Any]:
        state, autostart, *snapshots = [line.strip() for line in output if line.strip()]
        return {"state": state, "autostart": autostart == "enable", "snapshots": snapshots}


class DiskChain(FactBase[dict[str, Any]]):
    """A disk and what it stands on, as qemu-img sees them: {"chain": [...]} or {"error": ...}.

    The format comes from the guest's definition: a guest may write what it likes into a raw disk,
    also the header of another format. Without one libvirt takes the disk as raw, and so do we.
    """

    @override
    def command(self, path: str, format_: str) -> str:
        words = f"--backing-chain --output=json -f {shlex.quote(format_)} {shlex.quote(path)}"
        return (
            "share=; if qemu-img --help | grep '^ *info ' | grep -q ' .-U. '; then share=-U; fi; "
            f"if found=$(qemu-img info $share {words} 2>&1); then echo found; else echo error; fi; "
            "printf '%s\\n' \"$found\""
        )

    @override
    def process(self, output: list[str]) -> dict[str, Any]:
        verdict, *lines = output
        text = "\n".join(lines)
        return {"chain": json.loads(text)} if verdict == "found" else {"error": text.strip()}


class LibvirtVersion(FactBase[list[str]]):
    """What `virsh version` says: library, API and hypervisor."""

    @override
    def command(self) -> str:
        return f"{VIRSH} version"

    @override
    def process(self, output: list[str]) -> list[str]:
        return [line.strip() for line in output if line.strip()]
