"""What must hold of the inputs of role nut_primary, types aside."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from releve.power.inputs import reach
from releve.power.inputs.devices import SECRET, device_faults
from releve.power.inputs.reach import (
    DAY,
    no_address,
    no_card,
    no_ipv4,
    no_network,
    no_server,
    out_of_range,
)
from releve.power.inputs.typed import wrong_types

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "nut_primary_"
RANGES = reach.RANGES | {
    "commissioning_seconds": (1, DAY),
    "derate": (0.1, 1),
    "driver_poll": (1, 10),  # data are stale after MAXAGE, 15 s
    "gate_seconds": (1, 3600),
    "hostsync": (1, DAY),
    "margin": (1, 10),
    "policy_alarm_seconds": (1, DAY),
    "policy_debounce_seconds": (0, 3600),
    "policy_silence_seconds": (1, 3600),
    "poweroff_wait_seconds": (1, DAY),
    "rewake_charge_wait": (0, 7 * DAY),
    "rewake_grace": (0, DAY),
    "rewake_min_charge": (0, 100),
    "rewake_quiet": (0, DAY),
    "rewake_retry": (1, DAY),
    "rewake_settle": (0, DAY),
    "ride_through_seconds": (0, DAY),
    "stop_measured": (0, DAY),
    "stop_seconds": (1, DAY),
    "test_deep_stop_charge": (10, 99),
}
UNSEEN = "not-shown-here"  # in place of a secret
FORGOTTEN = date(1990, 12, 31)  # a UPS that lost its own says 1970 or 1980
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def faults(
    values: dict[str, Any], known: dict[str, Any], secret: dict[str, list[str]]
) -> Iterator[str]:
    """Yield a sentence for each fault; `values` are the inputs, with their full names.

    `known` are the role's argument specs; `nut_primary_devices` hold the defaults already.
    `secret`: the names of the secret options of each UPS.
    """
    yield from out_of_range(PREFIX, values, RANGES)
    yield from _batteries(values.get(f"{PREFIX}batteries") or {})
    yield from _devices(values, known, secret)
    yield from _addresses(values)
    yield from _clients(values)
    for one in values.get(f"{PREFIX}remote") or ():
        yield from no_server(f"{PREFIX}remote[{one['ups']}].server", one["server"])
    folder = values.get(f"{PREFIX}metrics_folder") or ""
    if folder and not folder.startswith("/"):
        yield f'{PREFIX}metrics_folder: "{folder}" does not begin with /'


def _batteries(batteries: dict[str, Any]) -> Iterator[str]:
    """Judge the seconds of other UPSes; None is one that was never measured."""
    wrong = list(wrong_types({name: {"type": "int"} for name in batteries}, batteries))
    ranges = dict.fromkeys(batteries, reach.OF_ENTRIES["capacity_seconds"])
    for text in wrong or out_of_range("", batteries, ranges):
        yield f"{PREFIX}batteries.{text}"


def _devices(
    values: dict[str, Any], known: dict[str, Any], secret: dict[str, list[str]]
) -> Iterator[str]:
    devices = values[f"{PREFIX}devices"]
    wanted = [key for key in known[f"{PREFIX}devices"]["options"] if key not in ("name", "driver")]
    missing = [key for key in wanted if any(key not in one for one in devices)]
    if missing:
        yield (
            f"{PREFIX}device: has no {', '.join(missing)}: whoever sets it, sets each of its keys"
        )
        return
    least = known[f"{PREFIX}device"]["default"]
    empty = [
        f"{PREFIX}devices[{one['name']}].{key}: has no value"
        for one in devices
        for key in wanted
        if one[key] is None and least[key] is not None
    ]
    if empty:
        yield from empty
        return
    for one in devices:
        installed = one["battery_installed"]
        if installed is not None and not _is_date(str(installed)):
            at = f"{PREFIX}devices[{one['name']}].battery_installed"
            yield f'{at}: "{installed}" is no date such as 2026-03-01'
    for one in devices:
        for key in SECRET:
            if key in one["options"]:
                at = f"{PREFIX}devices[{one['name']}].options.{key}"
                yield f"{at}: is a password, which runs would show: see {PREFIX}secret_options"
    for name in secret.keys() - {one["name"] for one in devices}:
        there = ", ".join(one["name"] for one in devices)
        yield f'{PREFIX}secret_options: there is no UPS "{name}"; there is {there}'
    whole = [
        one | {"options": one["options"] | dict.fromkeys(secret.get(one["name"], ()), UNSEEN)}
        for one in devices
    ]
    for fault in device_faults(whole, values.get(f"{PREFIX}accept") or ()):
        yield f"{PREFIX}devices[{fault.device}].{fault.key}: {fault.text}"


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and date.fromisoformat(text) > FORGOTTEN
    except ValueError:
        return False


def _addresses(values: dict[str, Any]) -> Iterator[str]:
    for one in values[f"{PREFIX}addresses"]:
        yield from no_address(f"{PREFIX}addresses", one)
    for one in values.get(f"{PREFIX}firewall_also") or ():
        yield from no_network(f"{PREFIX}firewall_also", one)
    yield from no_ipv4(f"{PREFIX}broadcast", values[f"{PREFIX}broadcast"], "192.0.2.255")


def _clients(values: dict[str, Any]) -> Iterator[str]:
    devices = [one["name"] for one in values[f"{PREFIX}devices"]]
    there = ", ".join(devices) or f"a UPS in {PREFIX}devices, which is empty"
    seen: set[str] = set()
    for client in values.get(f"{PREFIX}clients") or ():
        where = f"{PREFIX}clients[{client['name']}]"
        if client["name"] in seen:
            yield f"{where}: is said twice"
        seen.add(client["name"])
        yield from no_address(f"{where}.address", client["address"])
        yield from no_card(f"{where}.mac", client["mac"])
        for ups in client["devices"]:
            if ups not in devices:
                yield f'{where}.devices: there is no "{ups}", so nobody would wait; name {there}'
        if not client["devices"]:
            yield f"{where}.devices: is empty, so nobody would wait; name {there}"
