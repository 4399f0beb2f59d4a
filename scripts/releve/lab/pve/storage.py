"""Storages and their volumes, through the API."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import NODE, VMID, Call, Endpoint, need
from .formats import split_list
from .parameters import Parameter, flag, one_of, text
from .refusal import Refusal, bad, fault
from .volumes import described, kib_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .api import Double

TYPES = (
    "btrfs", "cephfs", "cifs", "dir", "esxi", "iscsi", "iscsidirect", "lvm", "lvmthin", "nfs",
    "pbs", "rbd", "zfs", "zfspool",
)  # fmt: skip
NAME = text("pve-storage-id", required=True)
OWNER = Parameter("integer", minimum=100, maximum=999_999_999, format="pve-vmid")
SETTINGS = {
    "content": text("pve-storage-content-list"),
    "disable": flag(),
    "nodes": text("pve-node-list"),
    "shared": flag(),
    "mkdir": flag(),
    "create-base-path": flag(),
    "create-subdirs": flag(),
    "is_mountpoint": text(),
    "preallocation": one_of("off", "metadata", "falloc", "full"),
    "prune-backups": text("#prune"),
}
TYPE_DEFAULT = "images,rootdir"
SEEN = ("Datastore.Audit", "Datastore.AllocateSpace")


@contextlib.contextmanager
def changed(double: Double, failure: str) -> Iterator[dict[str, dict[str, Any]]]:
    """Give the definitions to change and save them; faults get PVE's prefix `failure: `."""
    with double.place.locked("storage.cfg"):
        content = double.storages.all()
        try:
            yield content
        except Refusal as refusal:
            raise fault(f"{failure}: {refusal.message}") from refusal
        double.storages.save(content)


def list_storages(call: Call) -> list[dict[str, Any]]:
    """Return the definitions that the caller may see."""
    storages, rights = call.double.storages, call.rights
    return [
        {"storage": name, "digest": storages.digest(), **definition}
        for name, definition in storages.all().items()
        if call.values.get("type", definition["type"]) == definition["type"]
        and rights.has(f"/storage/{name}", *SEEN, "Datastore.Allocate")
    ]


def get_storage(call: Call) -> dict[str, Any]:
    """Return one definition."""
    name = call.values["storage"]
    definition = call.double.storages.one(name)
    return {"storage": name, "digest": call.double.storages.digest(), **definition}


def create_storage(call: Call) -> dict[str, str]:
    """Define a storage of type dir and make its folders."""
    name, kind = call.values["storage"], call.values["type"]
    if kind != "dir":
        raise fault(f"the double knows storages of type dir only, not {kind}")
    if "path" not in call.values:
        raise fault("missing value for required option 'path'")
    with changed(call.double, "create storage failed") as content:
        if name in content:
            raise fault(f"storage ID '{name}' already defined")
        fields = {key: value for key, value in call.values.items() if key != "storage"}
        content[name] = {"content": TYPE_DEFAULT} | fields
        _settle(content[name])
        if not content[name].get("disable"):
            _activate(name, content[name])
    return {"storage": name, "type": kind}


def _settle(definition: dict[str, Any]) -> None:
    """Write what PVE writes for an empty or a switched-off setting."""
    if definition.get("content") == "":
        definition["content"] = "none"
    if definition.get("disable") == 0:
        del definition["disable"]


def _activate(name: str, definition: dict[str, Any]) -> None:
    path = Path(definition["path"])
    expected = str(definition.get("is_mountpoint", "no")) not in {"no", "0"}
    if expected and not path.is_mount():
        message = f"unable to activate storage '{name}' - directory is expected to be a mount point"
        raise fault(f"{message} but is not mounted: '{path}'")
    path.mkdir(parents=True, exist_ok=True)
    if "images" in definition["content"].split(","):
        (path / "images").mkdir(exist_ok=True)


def update_storage(call: Call) -> dict[str, str]:
    """Change a definition."""
    name, failure = call.values["storage"], "update storage failed"
    removed = split_list(call.values.get("delete", ""))
    with changed(call.double, failure) as content:
        if name not in content:
            raise fault(f"storage '{name}' does not exist")
        if (
            call.values.get("digest", call.double.storages.digest())
            != call.double.storages.digest()
        ):
            message = "detected modified configuration - file changed by other user? Try again."
            raise fault(message)
        for key in removed:
            _check_removal(key, call.values)
            content[name].pop(key, None)
        content[name] |= {key: call.values[key] for key in SETTINGS.keys() & call.values.keys()}
        content[name].setdefault("content", TYPE_DEFAULT)
        _settle(content[name])
    return {"storage": name, "type": content[name]["type"]}


def _check_removal(key: str, values: dict[str, Any]) -> None:
    if key == "path":
        raise fault("unable to delete required option 'path'")
    if key not in SETTINGS:
        raise fault(f"no such option '{key}'")
    if key in values:
        raise fault(f"cannot set and delete property '{key}' at the same time!")


def delete_storage(call: Call) -> None:
    """Forget a storage; what it holds stays on the disk."""
    name = call.values["storage"]
    with changed(call.double, "delete storage failed") as content:
        if content.pop(name, None) is None:
            raise fault(f"storage '{name}' does not exist")


def list_node_storages(call: Call) -> list[dict[str, Any]]:
    """Return the storages of the node with their space."""
    storages, rights = call.double.storages, call.rights
    rows = []
    for name, definition in storages.all().items():
        if not rights.has(f"/storage/{name}", *SEEN):
            continue
        if call.values.get("storage", name) != name:
            continue
        wanted = set(split_list(call.values.get("content", "")))
        if wanted - set(definition["content"].split(",")):
            continue
        space = storages.space(name)
        fraction = space["used"] / space["total"] if space["total"] else 0
        rows.append({"storage": name, "used_fraction": fraction, **space})
    return rows


def storage_status(call: Call) -> dict[str, Any]:
    """Return the space of one storage."""
    name = call.values["storage"]
    if name not in call.double.storages.all():
        raise bad({"storage": "No such storage."})
    return call.double.storages.space(name)


def list_volumes(call: Call) -> list[dict[str, Any]]:
    """Return the volumes of a storage."""
    rows = call.double.storages.listed(call.values["storage"])
    return [
        row
        for row in rows
        if call.values.get("vmid", row["vmid"]) == row["vmid"]
        and call.values.get("content", "images") == "images"
    ]


def allocate_volume(call: Call) -> str:
    """Make an empty volume and return its id."""
    values = call.values
    form = values.get("format") or ("qcow2" if values["filename"].endswith(".qcow2") else "raw")
    if not values["filename"].endswith(f".{form}"):
        raise bad({"filename": f"file name does not match format '{form}'"})
    kib = kib_of(values["size"])
    name, storage = values["filename"], values["storage"]
    return call.double.storages.allocate(storage, values["vmid"], name, form, kib)


def get_volume(call: Call) -> dict[str, Any]:
    """Return the file, the format and the size of a volume."""
    volume = _volume(call)
    storage, vmid, file = call.double.storages.split(volume)
    call.rights.need(f"/storage/{storage}", "Datastore.Audit")
    call.rights.need(f"/vms/{vmid}", "VM.Config.Disk")
    if not file.exists():
        raise fault(f"volume '{volume}' does not exist")
    seen = described(file)
    return {"path": str(file), **{key: seen[key] for key in ("format", "size", "used")}}


def delete_volume(call: Call) -> str:
    """Remove a volume in a task, which succeeds too when there is none."""
    volume = _volume(call)
    storage, vmid, file = call.double.storages.split(volume)
    call.rights.need(f"/storage/{storage}", "Datastore.Allocate")

    def work(log: list[str]) -> None:
        if not file.exists():
            log.append(f"disk image '{file}' does not exist")
        file.unlink(missing_ok=True)
        log.append(f"Removed volume '{volume}'")

    return call.double.tasks.start("imgdel", f"{vmid}@{storage}", call.caller, work)


def _volume(call: Call) -> str:
    name = str(call.values["volume"])
    return name if ":" in name else f"{call.values['storage']}:{name}"


_allocate = need("/storage", "Datastore.Allocate")
_seen = need("/storage/{storage}", *SEEN, every=False)
_ON = {"node": NODE, "storage": NAME}
_VOLUME = {"node": NODE, "storage": text("pve-storage-id"), "volume": text(required=True)}
_HERE = "/nodes/{node}/storage/{storage}"
ENDPOINTS = (
    Endpoint("GET", "/storage", {"type": one_of(*TYPES)}, list_storages),
    Endpoint(
        "POST",
        "/storage",
        {
            "storage": NAME,
            "type": one_of(*TYPES, required=True),
            "path": text("pve-storage-path"),
            **SETTINGS,
        },
        create_storage,
        _allocate,
    ),
    Endpoint(
        "GET",
        "/storage/{storage}",
        {"storage": NAME},
        get_storage,
        need("/storage/{storage}", "Datastore.Allocate"),
    ),
    Endpoint(
        "PUT",
        "/storage/{storage}",
        {
            "storage": NAME,
            "delete": text("pve-configid-list", max_length=4096),
            "digest": text(max_length=64),
            **SETTINGS,
        },
        update_storage,
        _allocate,
    ),
    Endpoint("DELETE", "/storage/{storage}", {"storage": NAME}, delete_storage, _allocate),
    Endpoint(
        "GET",
        "/nodes/{node}/storage",
        {
            "node": NODE,
            "storage": text("pve-storage-id"),
            "content": text("pve-storage-content-list"),
        },
        list_node_storages,
    ),
    Endpoint("GET", f"{_HERE}/status", _ON, storage_status, _seen),
    Endpoint(
        "GET",
        f"{_HERE}/content",
        _ON | {"content": text("pve-storage-content"), "vmid": OWNER},
        list_volumes,
        _seen,
    ),
    Endpoint(
        "POST",
        f"{_HERE}/content",
        _ON
        | {
            "vmid": VMID,
            "filename": text(required=True),
            "size": text(required=True, pattern=r"\d+[MG]?"),
            "format": one_of("raw", "qcow2"),
        },
        allocate_volume,
        need("/storage/{storage}", "Datastore.AllocateSpace"),
    ),
    Endpoint("GET", f"{_HERE}/content/{{volume}}", _VOLUME, get_volume),
    Endpoint("DELETE", f"{_HERE}/content/{{volume}}", _VOLUME, delete_volume),
)
