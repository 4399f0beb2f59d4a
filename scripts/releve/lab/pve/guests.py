"""Guests, through the API: create, configure, start, stop, remove."""

from __future__ import annotations

import itertools
import time
import uuid
from typing import TYPE_CHECKING, Any

from . import attach, guestfile, settings
from .access import changed
from .api import NODE, VMID, Call, Endpoint, need
from .formats import split_list
from .machines import this_qemu
from .parameters import flag, number, specification, text
from .refusal import Refusal, bad, denied, fault
from .rights import load

if TYPE_CHECKING:
    from .api import Double

MIB = 1 << 20
NOT_KEPT = {"node", "vmid", "pool", "delete", "digest", "force", "skiplock"}


def _asked(call: Call) -> dict[str, str]:
    """Return the settings of a request, as they are written in a configuration."""
    asked = {key: str(value) for key, value in call.values.items() if key not in NOT_KEPT}
    if "tags" in asked:
        asked["tags"] = ";".join(sorted({word.lower() for word in split_list(asked["tags"])}))
    return asked


def create(call: Call) -> str:
    """Make a guest in a task."""
    vmid, pool, double, rights = (
        call.values["vmid"], call.values.get("pool", ""), call.double, call.rights,
    )  # fmt: skip
    if pool and pool not in load(double.place)["pools"]:
        raise fault(f"pool '{pool}' does not exist")
    if not rights.has(f"/vms/{vmid}", "VM.Allocate") and not (
        pool and rights.has(f"/pool/{pool}", "VM.Allocate")
    ):
        raise denied()
    asked = _asked(call)
    settings.check_rights(rights, vmid, pool, asked)
    attach.check_disks(rights, double.storages, vmid, asked, {})
    settings.check_bridges(rights, asked, {})
    if vmid in guestfile.listed(double.place):
        node = double.place.node
        raise fault(f"unable to create VM {vmid} - VM {vmid} already exists on node '{node}'")
    settings.check_boot(asked)

    def work(_log: list[str]) -> None:
        with double.place.locked(f"{vmid}.conf"):
            try:
                config = attach.settle(double.storages, vmid, asked)
            except Refusal as refusal:
                raise fault(f"unable to create VM {vmid} - {refusal.message}") from refusal
            boot = config.get("boot") or settings.default_boot(config)
            config = _identity() | config | ({"boot": boot} if boot else {})
            guestfile.write(double.place, vmid, config)
        if pool:
            with changed(double.place) as content:
                content["pools"][pool]["vms"].append(vmid)

    return double.tasks.start("qmcreate", str(vmid), call.caller, work)


def _identity() -> dict[str, str]:
    version = ".".join(map(str, this_qemu().version))
    return {
        "meta": f"creation-qemu={version},ctime={int(time.time())}",
        "smbios1": f"uuid={uuid.uuid4()}",
        "vmgenid": str(uuid.uuid4()),
    }


def list_guests(call: Call) -> list[dict[str, Any]]:
    """Return the guests that the caller may see."""
    rights, place = call.rights, call.double.place
    return [
        _summary(call.double, vmid)
        for vmid in guestfile.listed(place)
        if rights.has(f"/vms/{vmid}", "VM.Audit")
    ]


def _summary(double: Double, vmid: int) -> dict[str, Any]:
    config = guestfile.read(double.place, vmid)
    pid = double.machines.pid(vmid)
    row: dict[str, Any] = {
        "vmid": vmid,
        "name": config.get("name", f"VM {vmid}"),
        "status": "stopped" if pid is None else "running",
        "cpus": int(config.get("cores", "1")) * int(config.get("sockets", "1")),
        "maxmem": int(config.get("memory", "512")) * MIB,
        "uptime": 0,
    }
    if pid is not None:
        started = (double.place.run / f"{vmid}.pid").stat().st_mtime
        row |= {"pid": pid, "uptime": max(0, int(time.time() - started))}
    row |= {key: config[key] for key in ("tags", "lock") if key in config}
    return row | ({"serial": 1} if "serial0" in config else {})


def get_config(call: Call) -> dict[str, Any]:
    """Return a guest's configuration and its digest."""
    return guestfile.shown(guestfile.read(call.double.place, call.values["vmid"]))


def put_config(call: Call) -> None:
    """Change a configuration at once."""
    _change(call)


def post_config(call: Call) -> str:
    """Change a configuration in a task."""
    vmid, double = call.values["vmid"], call.double
    guestfile.read(double.place, vmid)

    def work(log: list[str]) -> None:
        log.append(f"update VM {vmid}: " + " ".join(f"-{key}" for key in _asked(call)))
        _change(call)

    return double.tasks.start("qmconfig", str(vmid), call.caller, work)


def _change(call: Call) -> None:
    vmid, double, rights = call.values["vmid"], call.double, call.rights
    asked, removed = _asked(call), split_list(call.values.get("delete", ""))
    if call.values.get("skiplock") and not rights.root:
        raise bad({"skiplock": "Only root may use this option."})
    if not asked and not removed:
        raise fault("no options specified")
    for key in removed:
        if specification(settings.SETTINGS, key) is None:
            raise bad({"delete": f"unknown option '{key}'"})
    settings.check_rights(rights, vmid, "", [*asked, *removed])
    with double.place.locked(f"{vmid}.conf"):
        old = guestfile.read(double.place, vmid)
        if call.values.get("digest", guestfile.digest(old)) != guestfile.digest(old):
            raise fault("checksum mismatch (file change by other user?)")
        if old.get("lock") and not call.values.get("skiplock"):
            raise fault(f"VM is locked ({old['lock']})")
        attach.check_disks(rights, double.storages, vmid, asked, old)
        settings.check_bridges(rights, asked, old)
        new = _without(double, old, removed, remove=bool(call.values.get("force")))
        settings.check_boot(new | asked)
        _change_running(double, vmid, old, {**asked, **dict.fromkeys(removed, "")})
        guestfile.write(double.place, vmid, new | attach.settle(double.storages, vmid, asked))


def _without(
    double: Double, old: dict[str, str], removed: list[str], *, remove: bool
) -> dict[str, str]:
    """Take keys out; a disk becomes unused, or (with `remove`) its volume goes."""
    new = {key: value for key, value in old.items() if key not in removed}
    for slot in removed:
        if slot not in old or not (guestfile.DISK.match(slot) or slot.startswith("unused")):
            continue
        volume = old[slot].split(",")[0]
        if remove or slot.startswith("unused"):
            double.storages.split(volume)[2].unlink(missing_ok=True)
        else:
            free = next(n for n in itertools.count() if f"unused{n}" not in new)
            new[f"unused{free}"] = volume
    return new


def _change_running(
    double: Double, vmid: int, old: dict[str, str], changes: dict[str, str]
) -> None:
    """Bring changes to a running guest: links at once, a few settings later, others not."""
    if double.machines.pid(vmid) is None:
        return
    for key, value in changes.items():
        if key in settings.CHANGED_WHILE_RUNNING or old.get(key) == value:
            continue
        before = guestfile.nics({key: old.get(key, "")}).get(key)
        after = guestfile.nics({key: value}).get(key)
        if not before or not after or _but_link(before) != _but_link(after):
            message = "the double changes only the link of a running guest's network card"
            raise fault(f"hotplug problem - {key}: {message}")
        double.machines.set_link(vmid, key, up=after.get("link_down") != "1")


def _but_link(nic: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in nic.items() if key != "link_down"}


def current(call: Call) -> dict[str, Any]:
    """Return whether a guest runs and what QEMU says of it."""
    vmid, double = call.values["vmid"], call.double
    state = double.machines.state(vmid)
    answer = _summary(double, vmid) | {"qmpstatus": state, "ha": {"managed": 0}}
    if state != "stopped":
        version = ".".join(map(str, this_qemu().version))
        machine = guestfile.read(double.place, vmid).get("machine", "pc")
        answer |= {"running-qemu": version, "running-machine": machine}
    return answer


def start(call: Call) -> str:
    """Start a guest in a task."""
    vmid, machines = call.values["vmid"], call.double.machines
    return _task(call, "qmstart", lambda: machines.start(vmid))


def shutdown(call: Call) -> str:
    """Press a guest's power button in a task, and wait for it."""
    vmid, double = call.values["vmid"], call.double

    def work() -> None:
        known = guestfile.startup(guestfile.read(double.place, vmid))[2]
        seconds = call.values.get("timeout", known)
        double.machines.shutdown(vmid, seconds, force=bool(call.values.get("forceStop")))

    return _task(call, "qmshutdown", work)


def stop(call: Call) -> str:
    """Cut a guest's power in a task."""
    vmid, machines = call.values["vmid"], call.double.machines
    return _task(call, "qmstop", lambda: machines.stop(vmid))


def _task(call: Call, kind: str, work: Any) -> str:  # noqa: ANN401  # any callable without arguments
    vmid = str(call.values["vmid"])
    return call.double.tasks.start(kind, vmid, call.caller, lambda _log: work())


def delete(call: Call) -> str:
    """Remove a guest, its volumes, its entries and its place in pools, in a task."""
    vmid, double = call.values["vmid"], call.double
    config = guestfile.read(double.place, vmid)
    if config.get("protection") == "1":
        raise fault(f"can't remove VM {vmid} - protection mode enabled")
    if double.machines.pid(vmid) is not None:
        raise fault(f"VM {vmid} is running - destroy failed")

    def work(_log: list[str]) -> None:
        with double.place.locked(f"{vmid}.conf"):
            kept = guestfile.read(double.place, vmid)
            if kept.get("lock"):
                raise fault(f"VM is locked ({kept['lock']})")
            for volume in attach.volumes_of(kept):
                if double.storages.split(volume)[1] == vmid:
                    double.storages.split(volume)[2].unlink(missing_ok=True)
            if call.values.get("destroy-unreferenced-disks"):
                double.storages.free_all(vmid)
            (double.place.guests / f"{vmid}.conf").unlink()
        with changed(double.place) as content:
            for pool in content["pools"].values():
                pool["vms"] = [one for one in pool["vms"] if one != vmid]
            path = f"/vms/{vmid}"
            content["acl"] = [entry for entry in content["acl"] if entry["path"] != path]

    return double.tasks.start("qmdestroy", str(vmid), call.caller, work)


_ANY = (
    "VM.Config.Disk", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network",
    "VM.Config.HWType", "VM.Config.Options", "VM.Config.Cloudinit",
)  # fmt: skip
_HERE = "/nodes/{node}/qemu/{vmid}"
_GUEST = {"node": NODE, "vmid": VMID}
_configure = need("/vms/{vmid}", *_ANY, every=False)
_power = need("/vms/{vmid}", "VM.PowerMgmt")
_see = need("/vms/{vmid}", "VM.Audit")
_CHANGES = (
    _GUEST
    | settings.SETTINGS
    | {
        "delete": text("pve-configid-list"),
        "digest": text(max_length=40),
        "force": flag(requires="delete"),
        "skiplock": flag(),
    }
)
_TIMEOUT = {"timeout": number(0)}
ENDPOINTS = (
    Endpoint("GET", "/nodes/{node}/qemu", {"node": NODE, "full": flag()}, list_guests),
    Endpoint(
        "POST",
        "/nodes/{node}/qemu",
        _GUEST | settings.SETTINGS | {"pool": text("pve-poolid")},
        create,
    ),
    Endpoint(
        "DELETE",
        _HERE,
        _GUEST | {"purge": flag(), "destroy-unreferenced-disks": flag()},
        delete,
        need("/vms/{vmid}", "VM.Allocate"),
    ),
    Endpoint("GET", f"{_HERE}/config", _GUEST, get_config, _see),
    Endpoint("PUT", f"{_HERE}/config", _CHANGES, put_config, _configure),
    Endpoint("POST", f"{_HERE}/config", _CHANGES, post_config, _configure),
    Endpoint("GET", f"{_HERE}/status/current", _GUEST, current, _see),
    Endpoint("POST", f"{_HERE}/status/start", _GUEST | _TIMEOUT, start, _power),
    Endpoint(
        "POST",
        f"{_HERE}/status/shutdown",
        _GUEST | _TIMEOUT | {"forceStop": flag()},
        shutdown,
        _power,
    ),
    Endpoint("POST", f"{_HERE}/status/stop", _GUEST | _TIMEOUT, stop, _power),
)
