"""Storages of type dir, and the volumes in them."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .command import run
from .place import read_json, write_json
from .refusal import bad, fault

if TYPE_CHECKING:
    from .place import Place

KIB = 1024
UNITS = {"": 1, "M": KIB, "G": KIB * KIB}
VOLUME = re.compile(r"(?P<storage>[a-zA-Z][\w.-]*):(?P<vmid>\d+)/(?P<name>[^/\s]+\.(raw|qcow2))")
LOCAL = {
    "type": "dir",
    "path": "/var/lib/vz",
    "content": "backup,snippets,vztmpl,iso,rootdir,images",
    "prune-backups": "keep-all=1",
    "priority": 0,
}


class Storages:
    """The storages of one host."""

    def __init__(self, place: Place) -> None:
        """Keep where the definitions are."""
        self.path = place.config / "storage.json"
        self.node = place.node

    def all(self) -> dict[str, dict[str, Any]]:
        """Return name -> definition."""
        return read_json(self.path, {"local": dict(LOCAL)})

    def save(self, content: dict[str, dict[str, Any]]) -> None:
        """Write the definitions; as on PVE the order of sets changes, and with it the digest."""
        for definition in content.values():
            # PVE tells it only of the storage that is there before any is defined.
            definition.pop("priority", None)
            words = definition.get("content", "").split(",")
            definition["content"] = ",".join(random.sample(words, len(words)))
        write_json(self.path, content)

    def digest(self) -> str:
        """Return the digest of the file of definitions."""
        written = json.dumps(self.all(), sort_keys=True) if self.path.exists() else ""
        return hashlib.sha1(written.encode(), usedforsecurity=False).hexdigest()

    def one(self, name: str) -> dict[str, Any]:
        """Return one definition or refuse in PVE's words."""
        found = self.all().get(name)
        if found is None:
            raise fault(f"storage '{name}' does not exist")
        return found

    def usable(self, name: str, kind: str = "images") -> dict[str, Any]:
        """Return a storage that is enabled and may hold this kind of content."""
        definition = self.one(name)
        if definition.get("disable"):
            raise fault(f"storage '{name}' is disabled")
        if kind not in definition.get("content", "").split(","):
            raise fault(f"storage '{name}' does not support content-type '{kind}'")
        return definition

    def split(self, volume: str) -> tuple[str, int, Path]:
        """Return storage, owner and file of a volume like `vmdata:101/vm-101-disk-0.raw`."""
        parts = VOLUME.fullmatch(volume)
        if parts is None:
            raise fault(f"unable to parse volume ID '{volume}'")
        definition = self.one(parts["storage"])
        file = Path(definition["path"]) / "images" / parts["vmid"] / parts["name"]
        return parts["storage"], int(parts["vmid"]), file

    def allocate(self, storage: str, vmid: int, name: str, form: str, kib: int) -> str:
        """Make an empty volume and return its id."""
        definition = self.usable(storage)
        folder = Path(definition["path"]) / "images" / str(vmid)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / name
        if file.exists():
            raise fault(f"disk image '{file}' already exists")
        if form == "raw":
            with file.open("xb") as stream:
                stream.truncate(kib * KIB)
        else:
            run(["qemu-img", "create", "-q", "-f", form, str(file), f"{kib}K"])
        file.chmod(0o640)
        return f"{storage}:{vmid}/{name}"

    def free_name(self, storage: str, vmid: int, form: str) -> str:
        """Return the first name vm-VMID-disk-N that no volume has, whatever its format."""
        folder = Path(self.one(storage)["path"]) / "images" / str(vmid)
        taken = {path.stem for path in folder.glob("vm-*")} if folder.is_dir() else set()
        number = next(n for n in range(len(taken) + 1) if f"vm-{vmid}-disk-{n}" not in taken)
        return f"vm-{vmid}-disk-{number}.{form}"

    def listed(self, storage: str) -> list[dict[str, Any]]:
        """Return the volumes of a storage as the API lists them."""
        folder = Path(self.one(storage)["path"]) / "images"
        return [
            described(file) | {"volid": f"{storage}:{file.parent.name}/{file.name}"}
            for file in sorted(folder.glob("[0-9]*/*"))
            if file.suffix in {".raw", ".qcow2"}
        ]

    def free_all(self, vmid: int) -> None:
        """Remove every volume with a guest's number from the enabled storages."""
        for name, definition in self.all().items():
            if not definition.get("disable"):
                for row in self.listed(name):
                    if row["vmid"] == vmid:
                        self.split(row["volid"])[2].unlink()

    def space(self, storage: str) -> dict[str, Any]:
        """Return what GET nodes/{node}/storage/{storage}/status answers."""
        definition = self.one(storage)
        path = Path(definition["path"])
        active = path.is_dir() and not definition.get("disable")
        total, used, free = shutil.disk_usage(path) if active else (0, 0, 0)
        return {
            "type": definition["type"],
            "content": definition.get("content", ""),
            "active": int(active),
            "enabled": int(not definition.get("disable")),
            "shared": int(definition.get("shared", 0)),
            "total": total,
            "used": used,
            "avail": free,
        }


def described(file: Path) -> dict[str, Any]:
    """Return format, size, space used and age of a volume's file."""
    status = file.stat()
    form = file.suffix.removeprefix(".")
    size = status.st_size
    if form != "raw":
        size = json.loads(run(["qemu-img", "info", "-U", "--output=json", str(file)]))[
            "virtual-size"
        ]
    return {
        "content": "images",
        "format": form,
        "size": size,
        "used": status.st_blocks * 512,
        "ctime": int(status.st_ctime),
        "vmid": int(file.parent.name),
        "parent": None,
    }


def kib_of(size: str) -> int:
    """Return the KiB of `size` as PVE writes it: no unit is KiB, else M or G."""
    number, unit = (size[:-1], size[-1]) if size[-1] in UNITS else (size, "")
    if not number.isdigit():
        raise bad({"size": "value does not match the regex pattern"})
    return int(number) * UNITS[unit]


def readable(size: int) -> str:
    """Return a size in bytes as PVE writes it in configurations: the largest whole unit."""
    for unit, factor in (("G", KIB**3), ("M", KIB**2), ("K", KIB)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
