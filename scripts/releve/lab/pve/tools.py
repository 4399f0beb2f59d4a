"""The few commands of a PVE host that are called over ssh: qm and pvesm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import guestfile
from .machines import Machines
from .parameters import flag, verify
from .refusal import fault
from .settings import SETTINGS

if TYPE_CHECKING:
    from .place import Place

QM = (
    "usage: qm list | qm config VMID | qm status|start|stop VMID | qm shutdown VMID [SECONDS]"
    " | qm set VMID --KEY VALUE ... | qm unlock VMID"
)
BY_ROOT = {"lock", "onboot", "startup", "vmgenid"}
SKIP = {"skiplock": flag()}
PVESM = "usage: pvesm path VOLUME | pvesm list STORAGE | pvesm status"


def qm(place: Place, words: list[str]) -> str:
    """Do what `qm WORDS` does and return what it prints; raises Refusal."""
    machines = Machines(place)
    if words == ["list"]:
        rows = [
            f"{vmid:>10} {guestfile.read(place, vmid).get('name', ''):<20} {_state(machines, vmid)}"
            for vmid in guestfile.listed(place)
        ]
        return "\n".join(["      VMID NAME                 STATUS", *rows])
    if words[:1] == ["set"] and len(words) > 2 and len(words) % 2 == 0:  # noqa: PLR2004
        return _set(place, words[1], words[2:])
    if len(words) not in {2, 3} or not words[1].isdigit():
        raise fault(QM)
    verb, vmid = words[0], int(words[1])
    if verb == "status":
        guestfile.read(place, vmid)
        return f"status: {_state(machines, vmid)}"
    if verb == "config":
        return "\n".join(f"{key}: {value}" for key, value in guestfile.read(place, vmid).items())
    if verb == "start":
        machines.start(vmid)
    elif verb == "stop":
        machines.stop(vmid)
    elif verb == "unlock":
        _unlock(place, vmid)
    elif verb == "shutdown":
        seconds = guestfile.startup(guestfile.read(place, vmid))[2]
        machines.shutdown(vmid, int(words[2]) if words[2:] else seconds, force=False)
    else:
        raise fault(QM)
    return ""


def _set(place: Place, vmid: str, words: list[str]) -> str:
    """Write settings as root; only those that need no work on volumes or a running guest."""
    keys = [word.removeprefix("--") for word in words[::2]]
    asked = verify(SETTINGS | SKIP, dict(zip(keys, words[1::2], strict=True)))
    skip = asked.pop("skiplock", 0)
    with place.locked(f"{vmid}.conf"):
        old = guestfile.read(place, int(vmid))
        if old.get("lock") and not skip:
            raise fault(f"VM is locked ({old['lock']})")
        if other := sorted(asked.keys() - BY_ROOT):
            raise fault(f"the double's qm set knows {', '.join(sorted(BY_ROOT))}, not {other[0]}")
        guestfile.write(place, int(vmid), old | {key: str(asked[key]) for key in asked})
    return f"update VM {vmid}: {' '.join(f'-{key} {asked[key]}' for key in asked)}"


def _unlock(place: Place, vmid: int) -> None:
    """Take a guest's lock away; one that has none is no fault."""
    with place.locked(f"{vmid}.conf"):
        config = guestfile.read(place, vmid)
        config.pop("lock", None)
        guestfile.write(place, vmid, config)


def _state(machines: Machines, vmid: int) -> str:
    return "stopped" if machines.pid(vmid) is None else "running"


def pvesm(place: Place, words: list[str]) -> str:
    """Do what `pvesm WORDS` does and return what it prints; raises Refusal."""
    storages = Machines(place).storages
    match words:
        case ["path", volume]:
            return str(storages.split(volume)[2])
        case ["list", storage]:
            return "\n".join(str(row["volid"]) for row in storages.listed(storage))
        case ["status"]:
            return "\n".join(
                f"{name} {row['type']} {'active' if row['active'] else 'inactive'} {row['avail']}"
                for name, row in ((name, storages.space(name)) for name in storages.all())
            )
        case _:
            raise fault(PVESM)
