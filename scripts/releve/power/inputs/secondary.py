"""What must hold of the inputs of role nut_secondary, types aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from releve.power.inputs import reach
from releve.power.inputs.devices import NAME
from releve.power.inputs.reach import DAY, no_address, no_ipv4, no_server, out_of_range

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "nut_secondary_"
RANGES = reach.RANGES | {"host_rule_seconds": (0, DAY), "silence_seconds": (1, 600)}


def faults(
    values: dict[str, Any], _known: dict[str, Any], _secret: dict[str, list[str]]
) -> Iterator[str]:
    """Yield a sentence for each fault; `values` are the inputs, with their full names.

    Of `nut_secondary_passwords` the servers alone are there.
    """
    yield from out_of_range(PREFIX, values, RANGES)
    yield from no_address(f"{PREFIX}address", values[f"{PREFIX}address"])
    yield from _monitors(values)
    for one in values.get(f"{PREFIX}peers") or ():
        yield from no_ipv4(f"{PREFIX}peers", one, "192.0.2.1")


def _monitors(values: dict[str, Any]) -> Iterator[str]:
    monitors = values[f"{PREFIX}monitors"]
    if not monitors:
        yield f"{PREFIX}monitors: is empty: name the UPS that feeds this host, and its server"
        return
    seen: set[tuple[str, str]] = set()
    for one in monitors:
        where = f"{PREFIX}monitors[{one['ups']}]"
        if not NAME.fullmatch(one["ups"]):
            yield f'{where}: "{one["ups"]}" is no name of a UPS; its server is said by itself'
        yield from no_server(f"{where}.server", one["server"])
        if (one["ups"], one["server"]) in seen:
            yield f"{where}: is said twice of {one['server']}; a second path has another address"
        seen.add((one["ups"], one["server"]))
    least, all_of = values[f"{PREFIX}min_supplies"], sum(one["supplies"] for one in monitors)
    if least > all_of:
        yield (
            f"{PREFIX}min_supplies: {least} is more than the {all_of} that its monitors feed:"
            " the host would shut down at once"
        )
    servers = [one["server"] for one in monitors]
    for server in values.get(f"{PREFIX}passwords") or ():
        if server not in servers:
            there = ", ".join(dict.fromkeys(servers))
            yield f'{PREFIX}passwords: no monitor has the server "{server}"; there is {there}'
