"""Guests on a PVE node: volumes, creation, power, removal, with an API token's rights."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from releve.pve.client import Pve, PveError
from releve.pve.identity import disk_options, identity_settings
from releve.pve.tokens import MIGRATE
from releve.town.order import start_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.town import Town
    from releve.town.model import Guest

KIB = 1024
TASK_SECONDS = 60
MARGIN_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of a storage: its id for PVE, and where its bytes are on the node."""

    id: str
    path: Path
    bytes: int


@dataclass(frozen=True, slots=True)
class State:
    """Whether a guest runs; `detail` is QEMU's word (running, paused, shutdown, stopped)."""

    running: bool
    detail: str
    pid: int | None


class Guests:
    """The guests of one node."""

    def __init__(self, pve: Pve, node: str) -> None:
        """Keep whose rights are used and which node is meant."""
        self.pve = pve
        self.node = node

    @classmethod
    def of(cls, town: Town, node: str, token_id: str = MIGRATE) -> Guests:
        """Return the guests of a node of the town, with the migration's token."""
        return cls(Pve.of(town, node, token_id), node)

    def exists(self, vmid: int) -> bool:
        """Say whether the token sees a guest of this number."""
        rows = self.pve.get(f"/nodes/{self.node}/qemu")
        return any(int(row["vmid"]) == vmid for row in rows)

    def allocate(self, storage: str, vmid: int, size: int) -> Volume:
        """Make an empty raw volume of at least `size` bytes (whole KiB) and return it.

        The volume gets the first free name. Make the guest first: a token whose rights hang on
        its pool may not see where the volume of an unknown guest is.
        """
        at = f"/nodes/{self.node}/storage/{storage}/content"
        taken = {str(row["volid"]) for row in self.pve.get(at, vmid=vmid)}
        names = (f"vm-{vmid}-disk-{number}" for number in itertools.count())
        name = next(name for name in names if not any(f"/{name}." in volume for volume in taken))
        kib = -(-size // KIB)
        volume = self.pve.post(at, vmid=vmid, filename=f"{name}.raw", size=str(kib), format="raw")
        return self.volume(storage, str(volume))

    def volume(self, storage: str, volume_id: str) -> Volume:
        """Return where a volume is."""
        at = f"/nodes/{self.node}/storage/{storage}/content/{volume_id}"
        answer = self.pve.get(at)
        return Volume(volume_id, Path(answer["path"]), int(answer["size"]))

    def create(self, vmid: int, settings: dict[str, object]) -> None:
        """Make a guest from PVE's settings (see `settings_of`)."""
        self._do("POST", f"/nodes/{self.node}/qemu", {"vmid": vmid, **settings})

    def configure(self, vmid: int, **settings: object) -> None:
        """Change settings of a guest."""
        self.pve.ask("PUT", f"{self._at(vmid)}/config", settings)

    def config(self, vmid: int) -> dict[str, object]:
        """Return a guest's settings."""
        return dict(self.pve.get(f"{self._at(vmid)}/config"))

    def attach(
        self,
        vmid: int,
        slots: dict[str, Volume],
        options: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """Give volumes to a stopped guest, `{"virtio0": volume}`, and boot from the first.

        `options` has what the guest reads of a disk, such as `{"virtio0": {"serial": "A1"}}`.
        """
        disks: dict[str, object] = {}
        for slot, volume in slots.items():
            words = [f"{key}={value}" for key, value in (options or {}).get(slot, {}).items()]
            disks[slot] = ",".join([volume.id, *words])
        self.configure(vmid, **disks)
        self.configure(vmid, boot=f"order={next(iter(slots))}")

    def set_links(self, vmid: int, *, up: bool) -> None:
        """Plug or unplug the cables of all network cards, of a running guest too."""
        cards = {
            key: _with_link(str(value), up=up)
            for key, value in self.config(vmid).items()
            if key.startswith("net") and key.removeprefix("net").isdigit()
        }
        if cards:
            self.pve.ask("PUT", f"{self._at(vmid)}/config", dict(cards))

    def start(self, vmid: int) -> None:
        """Start a guest; raises TaskError with PVE's reason."""
        self._do("POST", f"{self._at(vmid)}/status/start", {})

    def shutdown(self, vmid: int, seconds: int, *, force: bool = False) -> None:
        """Press the power button and wait; raises TaskError when the guest does not stop in time.

        With `force` its power is cut then.
        """
        parameters: dict[str, object] = {"timeout": seconds, "forceStop": force}
        at = f"{self._at(vmid)}/status/shutdown"
        self._do("POST", at, parameters, seconds + MARGIN_SECONDS)

    def stop(self, vmid: int) -> None:
        """Cut a guest's power; a stopped guest is no fault."""
        self._do("POST", f"{self._at(vmid)}/status/stop", {})

    def delete(self, vmid: int) -> None:
        """Remove a stopped guest and every volume with its number.

        PVE leaves by itself the volumes that the guest does not name, and ours names its disks
        only when they hold what they should.
        """
        self._do("DELETE", self._at(vmid), {"purge": True, "destroy-unreferenced-disks": True})

    def state(self, vmid: int) -> State:
        """Return whether a guest runs."""
        answer = self.pve.get(f"{self._at(vmid)}/status/current")
        pid = answer.get("pid")
        running = answer["status"] == "running"
        return State(running, str(answer["qmpstatus"]), None if pid is None else int(pid))

    def agent_answers(self, vmid: int) -> bool:
        """Say whether the guest's QEMU agent answers a ping."""
        try:
            self.pve.post(f"{self._at(vmid)}/agent/ping")
        except PveError:
            return False
        return True

    def _at(self, vmid: int) -> str:
        return f"/nodes/{self.node}/qemu/{vmid}"

    def _do(
        self, method: str, path: str, parameters: dict[str, object], seconds: float = TASK_SECONDS
    ) -> None:
        self.pve.wait(str(self.pve.ask(method, path, parameters)), seconds)


def settings_of(town: Town, name: str) -> dict[str, object]:
    """Return PVE's settings of a guest of the town: no disk yet, cables out, no start at boot."""
    guest = town.guests[name]
    settings: dict[str, object] = {
        "name": name,
        "memory": guest.memory_mib,
        "bios": "ovmf" if guest.firmware == "uefi" else "seabios",
        "serial0": "socket",
        "onboot": False,
        "startup": startup_of(town, name),
        **identity_settings(guest),
    }
    if guest.pool:
        settings["pool"] = guest.pool
    if guest.health.agent:
        settings["agent"] = 1
    if guest.firmware == "uefi":
        settings["efidisk0"] = f"{guest.storage}:1,efitype=4m,pre-enrolled-keys=0"
    if guest.tpm:
        settings["tpmstate0"] = f"{guest.storage}:1,version=v{guest.tpm}"
    for number, nic in enumerate(guest.nics):
        bridge = town.networks[nic.network].bridge
        tag = f",tag={nic.vlan}" if nic.vlan else ""
        settings[f"net{number}"] = f"{nic.model}={nic.mac},bridge={bridge}{tag},link_down=1"
    return settings


BY_ROOT = ("startup", "vmgenid")
"""What no token of ours may set: PVE asks for Sys.Modify on / and for root itself
(check_vm_modify_config_perm in qemu-server's PVE/API2/Qemu.pm)."""


def by_root(vmid: int, settings: Mapping[str, object], lock: str = "") -> str:
    """Return the shell line for root on the node that sets what a token may not, "" for nothing.

    `lock` is why the guest shall be left alone: until root takes it away PVE refuses to start,
    change or remove it, whoever asks.
    """
    words = [f"--skiplock 1 --lock {lock}"] if lock else []
    words += [f"--{key} {shlex.quote(str(settings[key]))}" for key in BY_ROOT if key in settings]
    return f"qm set {vmid} {' '.join(words)}" if words else ""


def by_token(settings: Mapping[str, object]) -> dict[str, object]:
    """Return the rest."""
    return {key: value for key, value in settings.items() if key not in BY_ROOT}


def slots_of(guest: Guest) -> list[str]:
    """Return the slot of each disk of a guest, in the order of the town file."""
    slots: list[str] = []
    for disk in guest.disks:
        number = sum(slot.startswith(disk.bus) for slot in slots)
        slots.append(f"{disk.bus}{number}")
    return slots


def options_of(guest: Guest) -> dict[str, dict[str, str]]:
    """Return what each slot of a guest needs so that the guest reads the same of its disk."""
    shown = [
        {key: quote(text, safe="") for key, text in disk_options(disk).items()}
        for disk in guest.disks
    ]
    return dict(zip(slots_of(guest), shown, strict=True))


def startup_of(town: Town, name: str) -> str:
    """Return a guest's place in the order of start, and its seconds to stop.

    A guest starts after those that it needs, and so stops before them.
    """
    return f"order={start_order(town)[name]},down={town.guests[name].stop_seconds}"


def _with_link(nic: str, *, up: bool) -> str:
    words = [word for word in nic.split(",") if not word.startswith("link_down=")]
    return ",".join(words if up else [*words, "link_down=1"])
