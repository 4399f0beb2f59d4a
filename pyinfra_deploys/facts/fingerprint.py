"""The state of a host as lists that can be compared: had anything been changed, a line differs."""

from __future__ import annotations

from pyinfra.api.facts import FactBase
from typing_extensions import override

VIRSH = "LC_ALL=C virsh -r -c qemu:///system"
SECTIONS = {
    "domains": (
        f'{VIRSH} list --all --name | sort | while IFS= read -r name; do [ -z "$name" ] || '
        f'printf "%s %s\\n" "$({VIRSH} dumpxml --inactive -- "$name" | sha256sum)" "$name"; done'
    ),
    "states": (
        f'{VIRSH} list --all --name | sort | while IFS= read -r name; do [ -z "$name" ] || '
        f'printf "%s %s\\n" "$({VIRSH} domstate -- "$name")" "$name"; done'
    ),
    "etc": (
        "find /etc -xdev -type f -exec sha256sum {} + | sort; "
        "find /etc -xdev -exec ls -ldn {} + | sed 's/  */ /g' | cut -d' ' -f1,3,4,9- | sort"
    ),
    "packages": (
        "if command -v dpkg-query >/dev/null; "
        "then dpkg-query -W -f '${Package} ${Version} ${Architecture} ${Status}\\n' | sort; "
        "else rpm -qa | sort; fi"
    ),
}
PVE_SECTIONS = {
    **SECTIONS,
    "domains": (
        "for f in /etc/pve/qemu-server/*.conf /etc/pve/lxc/*.conf /etc/pve/storage.cfg; do "
        '[ ! -f "$f" ] || sha256sum "$f"; done'
    ),
    "states": "{ qm list; pct list; } | sed 's/  */ /g' | cut -d' ' -f1-4",
}
MARK = "== releve section "


class HostFingerprint(FactBase[dict[str, list[str]]]):
    """Definitions and states of guests, /etc and packages; `moment` keeps two readings apart."""

    @override
    def command(self, moment: str, hypervisor: str = "libvirt") -> str:
        sections = PVE_SECTIONS if hypervisor == "pve" else SECTIONS
        shown = "; ".join(f"echo '{MARK}{name}'; {text}" for name, text in sections.items())
        return f": {moment}; export LC_ALL=C; {shown}"

    @override
    def process(self, output: list[str]) -> dict[str, list[str]]:
        sections: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in output:
            if line.startswith(MARK):
                lines = sections.setdefault(line.removeprefix(MARK), [])
            else:
                lines.append(line)
        return sections
