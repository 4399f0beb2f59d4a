"""Pools, tasks, nodes and the version: the small endpoints."""

from __future__ import annotations

import os
from typing import Any

from . import guestfile
from .access import changed
from .api import NODE, Answer, Call, Endpoint, need
from .formats import split_list
from .parameters import flag, number, text
from .refusal import fault
from .rights import load

POOL = text("pve-poolid", required=True)
MEMBERS = {
    "comment": text(),
    "vms": text("pve-vmid-list"),
    "storage": text("pve-storage-id-list"),
    "delete": flag(),
    "allow-move": flag(),
}
RELEASE = {"version": "9.2.11", "release": "9.2", "repoid": "14a22df35955d97d"}


def version(_call: Call) -> dict[str, str]:
    """Return the release of PVE that the double stands for."""
    return dict(RELEASE)


def list_nodes(call: Call) -> list[dict[str, Any]]:
    """Return the one node."""
    node = call.double.place.node
    row: dict[str, Any] = {
        "node": node,
        "id": f"node/{node}",
        "type": "node",
        "status": "online",
        "level": "",
    }
    if call.rights.has(f"/nodes/{node}", "Sys.Audit"):
        row |= {"maxcpu": os.cpu_count() or 1}
    return [row]


def list_pools(call: Call) -> list[dict[str, Any]]:
    """Return the pools that the caller may see, or one with its members."""
    content, rights = load(call.double.place), call.rights
    if "poolid" in call.values:
        rights.need(f"/pool/{call.values['poolid']}", "Pool.Audit")
        return [_whole(call, content, call.values["poolid"])]
    return [
        {"poolid": name} | ({"comment": pool["comment"]} if "comment" in pool else {})
        for name, pool in content["pools"].items()
        if rights.has(f"/pool/{name}", "Pool.Allocate", "Pool.Audit")
    ]


def _pool(content: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in content["pools"]:
        raise fault(f"pool '{name}' does not exist")
    pool: dict[str, Any] = content["pools"][name]
    return pool


def _whole(call: Call, content: dict[str, Any], name: str) -> dict[str, Any]:
    pool, place = _pool(content, name), call.double.place
    members: list[dict[str, Any]] = []
    for vmid in pool["vms"]:
        if vmid in guestfile.listed(place):
            title = guestfile.read(place, vmid).get("name", f"VM {vmid}")
            running = call.double.machines.pid(vmid) is not None
            row: dict[str, Any] = {"id": f"qemu/{vmid}", "vmid": vmid, "node": place.node}
            row |= {"type": "qemu"}
            members.append(row | {"name": title, "status": "running" if running else "stopped"})
    known = call.double.storages.all()
    for storage in pool["storage"]:
        if storage in known:
            row = {"id": f"storage/{place.node}/{storage}", "storage": storage, "type": "storage"}
            members.append(row | {"node": place.node, "status": "available"})
    comment = {"comment": pool["comment"]} if "comment" in pool else {}
    return {"poolid": name, "members": members} | comment


def get_pool(call: Call) -> dict[str, Any]:
    """Return one pool with its members."""
    return _whole(call, load(call.double.place), call.values["poolid"])


def create_pool(call: Call) -> None:
    """Make a pool; the parent of a nested one must be there."""
    name = call.values["poolid"]
    with changed(call.double.place, "create pool failed") as content:
        if name in content["pools"]:
            raise fault(f"pool '{name}' already exists")
        parent = name.rpartition("/")[0]
        if parent and parent not in content["pools"]:
            raise fault(f"parent '{parent}' of pool '{name}' does not exist")
        comment = call.values.get("comment")
        content["pools"][name] = {"vms": [], "storage": []}
        content["pools"][name] |= {"comment": comment} if comment else {}


def update_pool(call: Call) -> None:
    """Change the comment, or add or (with `delete`) remove members."""
    name, values = call.values["poolid"], call.values
    with changed(call.double.place, "update pools failed") as content:
        pool = _pool(content, name)
        if "comment" in values:
            pool["comment"] = values["comment"]
            if not values["comment"]:
                del pool["comment"]
        for vmid in map(int, split_list(values.get("vms", ""))):
            call.rights.need(f"/vms/{vmid}", "VM.Allocate")
            _move_guest(content, name, vmid, values)
        for storage in split_list(values.get("storage", "")):
            call.rights.need(f"/storage/{storage}", "Datastore.Allocate")
            _member(pool["storage"], storage, f"Storage '{storage}'", values)


def _member(members: list[Any], one: object, said: str, values: dict[str, Any]) -> None:
    if values.get("delete"):
        if one not in members:
            raise fault(f"{said} is not a pool member")
        members.remove(one)
        return
    if one in members:
        raise fault(f"{said} is already a pool member")
    members.append(one)


def _move_guest(content: dict[str, Any], name: str, vmid: int, values: dict[str, Any]) -> None:
    for other, pool in content["pools"].items():
        if other != name and vmid in pool["vms"] and not values.get("delete"):
            if not values.get("allow-move"):
                owner = f"VM {vmid} belongs already to pool '{other}'"
                raise fault(f"{owner} and 'allow-move' is not set")
            pool["vms"].remove(vmid)
    _member(content["pools"][name]["vms"], vmid, f"VM {vmid}", values)


def delete_pool(call: Call) -> None:
    """Remove an empty pool."""
    name = call.values["poolid"]
    with changed(call.double.place, "delete pool failed") as content:
        pool = _pool(content, name)
        inside = [f"pool '{one}'" for one in content["pools"] if one.startswith(f"{name}/")]
        # Members that are no longer there do not count.
        guests, storages = guestfile.listed(call.double.place), call.double.storages.all()
        inside += [f"VM {vmid}" for vmid in pool["vms"] if vmid in guests]
        inside += [f"storage '{one}'" for one in pool["storage"] if one in storages]
        if inside:
            raise fault(f"pool '{name}' is not empty (contains {inside[0]})")
        del content["pools"][name]


def task_status(call: Call) -> dict[str, Any]:
    """Return whether a task runs, or how it ended."""
    return call.double.tasks.status(call.rights, call.values["upid"])


def task_log(call: Call) -> Answer:
    """Return the lines that a task wrote."""
    values = call.values
    lines, total = call.double.tasks.log(
        call.rights, values["upid"], values.get("start", 0), values.get("limit", 50)
    )
    return Answer(lines, {"total": total})


_allocate = need("/pool/{poolid}", "Pool.Allocate")
_ONE = "/pools/{poolid}"
_TASK = {"node": NODE, "upid": text(required=True)}
ENDPOINTS = (
    Endpoint("GET", "/version", {}, version),
    Endpoint("GET", "/nodes", {}, list_nodes),
    Endpoint("GET", "/pools", {"poolid": text("pve-poolid")}, list_pools),
    Endpoint("POST", "/pools", {"poolid": POOL, "comment": text()}, create_pool, _allocate),
    Endpoint("PUT", "/pools", {"poolid": POOL} | MEMBERS, update_pool, _allocate),
    Endpoint("DELETE", "/pools", {"poolid": POOL}, delete_pool, _allocate),
    Endpoint("GET", _ONE, {"poolid": POOL}, get_pool, need("/pool/{poolid}", "Pool.Audit")),
    Endpoint("PUT", _ONE, {"poolid": POOL} | MEMBERS, update_pool, _allocate),
    Endpoint("DELETE", _ONE, {"poolid": POOL}, delete_pool, _allocate),
    Endpoint("GET", "/nodes/{node}/tasks/{upid}/status", _TASK, task_status),
    Endpoint(
        "GET",
        "/nodes/{node}/tasks/{upid}/log",
        _TASK | {"start": number(0), "limit": number(0)},
        task_log,
    ),
)
