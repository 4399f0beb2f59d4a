"""What role nut_primary would hand to the budget, read without Ansible and without any host.

The same values in the same order of precedence: the role's defaults, the town's group_vars, what
follows from the town file, the town's host_vars. Only plain values count.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.playbook import CHECKOUT
from releve.power.budget import Settings
from releve.power.inputs.primary import RANGES
from releve.power.inputs.reach import out_of_range
from releve.power.inputs.typed import misspelt, wrong_types
from releve.power.stops import workers_of
from releve.town.ansible_vars import inventory_of
from releve.town.inputs import role_inputs
from releve.town.load import VAULTED, Source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from releve.town.model import Town

ROLE = "nut_primary"
ENCRYPTED = "$ANSIBLE_VAULT"  # a whole file
ENDINGS = ("", ".yml", ".yaml", ".json")  # of files with variables, as Ansible looks for them
PLAIN = (
    "commissioning_seconds",
    "derate",
    "margin",
    "ride_through_seconds",
    "driver_poll",
    "pollfreq",
    "pollfreqalert",
    "hostsync",
    "finaldelay",
    "abort_seconds",
    "stop_seconds",
    "stop_measured",
    "min_supplies",
    "guests",
    "accept",
)
OF_DEVICE = (
    "capacity_seconds",
    "offdelay",
    "ondelay",
    "battery_installed",
    "battery_life_months",
    "record",
    "mode",
    "thresholds",
    "low_battery_is_enough",
    "runtime_unit",
)


def settings_of(town: Town, ups: str, cpus: int = 1) -> Settings:
    """Return the settings of one UPS's budget; `cpus` of its host, 1 when not known: the worst.

    Raises InputError when the town has no such UPS, or a value is none that can be read here.
    """
    if ups not in town.ups:
        message = f"{town.file.name}: no UPS {ups}; there are {', '.join(town.ups) or 'none'}"
        raise InputError(message)
    return made_of(variables(town, town.ups[ups].host), ups, cpus)


def unguarded(town: Town) -> Iterator[str]:
    """Yield a sentence for each node with guests that hangs on no UPS: no budget counts it."""
    guarded = {name for ups in town.ups.values() for name in (ups.host, *ups.clients)}
    for node in town.hosts_of("node"):
        guests = [name for name, guest in town.guests.items() if guest.target == node]
        if guests and node not in guarded:
            yield f"{node} is at no UPS: a cut ends {', '.join(guests)} while they run"


def made_of(values: Mapping[str, Any], ups: str, cpus: int) -> Settings:
    """Return the settings that `tasks/budget.yml` of the role makes of its variables.

    `values` have no prefix and hold the role's defaults, too. Raises InputError when the role is
    not told of such a UPS.
    """
    devices = {one["name"]: values["device"] | one for one in values.get("devices", ())}
    if ups not in devices:
        message = f"{ups}: role {ROLE} is not told of it; is it in the town file?"
        raise InputError(message)
    device = devices[ups]
    if missing := [name for name in OF_DEVICE if name not in device]:
        message = f"{ROLE}_device has no {missing[0]}: whoever sets it, sets each of its keys"
        raise InputError(message)
    supplies = [int(one["supplies"]) for one in (*devices.values(), *values["remote"])]
    try:
        return Settings(
            **{name: values[name] for name in PLAIN},
            **{name: device[name] for name in OF_DEVICE},
            ups=ups,
            batteries={name: one["capacity_seconds"] for name, one in devices.items()}
            | values["batteries"],
            workers=workers_of(cpus),
            supplies=sum(supplies),
            measured_alone=_alone(device, sum(supplies)),
            device={name: device[name] for name in ("driver", "port", "options", "supplies")},
            clients=[one for one in values["clients"] if ups in one["devices"]],
        )
    except ValueError as error:
        message = f"{ups}: a variable of role {ROLE}: {error}"
        raise InputError(message) from error


def _alone(device: Mapping[str, Any], supplies: int) -> bool:
    """Return whether its capacity was measured with the whole load; unknown beside others: no."""
    said: bool | None = device["measured_alone"]
    return int(device["supplies"]) == supplies if said is None else said


def variables(town: Town, host: str) -> dict[str, Any]:
    """Return the role's variables of a host, without the role's name in front.

    Raises InputError for a value that is a template.
    """
    found: dict[str, Any] = {}
    groups = ["all", *(group for group, hosts in inventory_of(town).items() if host in hosts)]
    for file in (
        CHECKOUT / "roles" / ROLE / "defaults" / "main.yml",
        *(file for group in groups for file in _files(town.folder / "group_vars", group)),
    ):
        found |= _of_role(file)
    found |= {
        name.removeprefix(f"{ROLE}_"): value
        for name, value in role_inputs(town)[host].items()
        if name.startswith(f"{ROLE}_")
    }
    for file in _files(town.folder / "host_vars", host):
        found |= _of_role(file)
    return found


def _files(folder: Path, name: str) -> Iterator[Path]:
    """Return the files of a group or a host as Ansible reads them: a folder's, or else one file."""
    found = [path for ending in ENDINGS if (path := folder / f"{name}{ending}").exists()][:1]
    for path in found:
        yield from _inside(path) if path.is_dir() else found


def _inside(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~") or path.suffix not in ENDINGS:
            continue
        if path.is_file():
            yield path
        elif not path.suffix:
            yield from _inside(path)


def _of_role(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as stream:
        if stream.readline().startswith(ENCRYPTED):
            return {}
    source = read_source(file)
    if not isinstance(source.data or {}, dict):
        raise InputError(source.fault((), "must hold variables, each with its name and a colon"))
    found = {}
    for name, value in (source.data or {}).items():
        if not str(name).startswith(f"{ROLE}_") or name.endswith("password") or value == VAULTED:
            continue
        if isinstance(value, str) and "{{" in value:
            message = f"{file}: {name}: a template; the budget is reckoned from plain values only"
            raise InputError(message)
        found[name] = value
    if faults := list(_faults(source, found)):
        raise InputError("\n".join(faults))
    return {name.removeprefix(f"{ROLE}_"): value for name, value in found.items()}


def _faults(source: Source, values: dict[str, Any]) -> Iterator[str]:
    """Yield what the role would refuse of these, as far as it is no matter of a host."""
    options = _options()
    sentences = [*misspelt(values, options), *wrong_types(options, values)]
    # Shares are the budget's own matter.
    ranges = {name: range_ for name, range_ in RANGES.items() if name not in ("derate", "margin")}
    for text in sentences or out_of_range(f"{ROLE}_", values, ranges):
        name, _, rest = text.partition(": ")
        top = re.split(r"[\[.]", name)[0]
        yield source.fault((top,), f"{name.removeprefix(top)} {rest}".strip())


@functools.cache
def _options() -> dict[str, Any]:
    file = CHECKOUT / "roles" / ROLE / "meta" / "argument_specs.yml"
    options: dict[str, Any] = read_source(file).data["argument_specs"]["main"]["options"]
    return options
