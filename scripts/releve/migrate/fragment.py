"""The part of a town file that a survey can write, and how it differs from the town file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from releve.migrate.identity import disk_entry, identity_entry
from releve.town.at_source import by_number, name_at_source
from releve.town.check import cross_check
from releve.town.load import read_source
from releve.town.model import Guest, Town

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from releve.migrate.sources.domain import NicFound
    from releve.migrate.survey import GuestSeen

FIRST_VMID = 100
CHOSEN = "chosen"


@dataclass(frozen=True, slots=True)
class Fragment:
    """Guests as entries of a town file; `chosen` are keys (guest, key) that nothing told."""

    guests: dict[str, dict[str, Any]] = field(default_factory=dict)
    chosen: frozenset[tuple[str, str]] = frozenset()


def name_there(seen: GuestSeen, town: Town, host: str) -> str:
    """Return by what the host knows a guest that was seen on it."""
    return str(seen.vmid) if by_number(town, host) else seen.domain.name


def known_guest(seen: GuestSeen, town: Town, host: str) -> tuple[str, Guest] | None:
    """Return the town file's entry for a guest that was seen on a host, if there is one.

    An entry of that host comes first; else one of its name that is said to be elsewhere.
    """
    there = name_there(seen, town, host)
    for name, guest in town.guests.items():
        if guest.source == host and name_at_source(town, name) == there:
            return name, guest
    for name, guest in town.guests.items():
        if guest.source != host and (guest.source_name or name) == seen.domain.name:
            return name, guest
    return None


def fragment_of(guests: Sequence[GuestSeen], town: Town, host: str) -> Fragment:
    """Return the guests of an old host as the town file would have them.

    What cannot be seen on a host (number, target, witness, ...) comes from the town file's entry;
    for a guest that it does not have yet, something possible is chosen and marked.
    """
    said = read_source(town.file).data.get("guests") or {}
    taken = {guest.vmid for guest in town.guests.values()}
    entries, chosen = {}, set()
    for seen in guests:
        known = known_guest(seen, town, host)
        name = known[0] if known else seen.key
        kept = {
            key: value
            for key, value in (said.get(name) or {}).items()
            if known and key not in {*SURVEYED, *IDENTITY, "source", "nics", "disks"}
        }
        if not known:
            kept = _choose(town, taken, seen.vmid)
            taken.add(kept["vmid"])
            chosen |= {(name, key) for key in kept}
        entries[name] = {**_entry(seen, town, host, known[1] if known else None), **kept}
        usual = str(kept["vmid"]) if by_number(town, host) else name
        if usual != (there := name_there(seen, town, host)):
            entries[name]["source_name"] = there
    return Fragment(entries, frozenset(chosen))


def _choose(town: Town, taken: set[int], wanted: int | None) -> dict[str, Any]:
    numbers = range(FIRST_VMID, 10**9)
    free = wanted is not None and wanted in numbers and wanted not in taken
    vmid = wanted if free else next(number for number in numbers if number not in taken)
    target = next(iter(town.hosts_of("node")), "?")
    storages = [name for name, one in town.storage.items() if one.host == target]
    return {"vmid": vmid, "target": target, "storage": next(iter(storages), "?")}


IDENTITY = (
    *("machine_version", "smbios", "vmgenid", "cpu", "clock", "tpm", "os", "scsi_controller"),
    "sockets",
)
SURVEYED = ("firmware", "machine", "memory_mib", "cpus", "autostart")


def surveyed(seen: GuestSeen) -> dict[str, Any]:
    """Return the plain values that an old host tells of a guest."""
    domain = seen.domain
    values = (domain.firmware, domain.chipset, domain.memory_mib, domain.cpus, seen.autostart)
    return dict(zip(SURVEYED, values, strict=True))


def _entry(seen: GuestSeen, town: Town, host: str, known: Guest | None) -> dict[str, Any]:
    addresses = {nic.mac: nic.address for nic in known.nics} if known else {}
    nics: list[dict[str, Any]] = []
    for nic in seen.domain.nics:
        entry: dict[str, Any] = {
            "mac": nic.mac,
            "network": network_of(nic, town),
            "model": nic.model,
        }
        if len(nic.vlans) == 1:
            entry["vlan"] = nic.vlans[0]
        if nic.mac and addresses.get(nic.mac):
            entry["address"] = str(addresses[nic.mac])
        nics.append(entry)
    disks = [
        {
            "name": disk.found.target,
            "format": disk.format,
            "size_mib": disk.size_mib,
            "bus": disk.found.bus,
            **disk_entry(disk.found),
        }
        for disk in seen.disks
    ]
    plain = {**surveyed(seen), **identity_entry(seen.domain)}
    return {"source": host, **plain, "nics": nics, "disks": disks}


def network_of(nic: NicFound, town: Town) -> str | None:
    """Return the town's network that a card hangs on: by its bridge, its name, or the only one."""
    for name, network in town.networks.items():
        if nic.source in {network.bridge, name}:
            return name
    return next(iter(town.networks)) if len(town.networks) == 1 else nic.source


def faults_of(fragment: Fragment, town: Town, host: str) -> list[str]:
    """Return why the town file would not be valid with these guests; [] when it would."""
    data = dict(read_source(town.file).data)
    others = {
        name: guest
        for name, guest in (data.get("guests") or {}).items()
        if town.guests[name].source != host
    }
    try:
        whole = Town.model_validate({**data, "guests": {**others, **fragment.guests}})
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']} (found {one['input']!r:.60})"
            for one in error.errors()
        ]
    return [f"{'.'.join(map(str, where))}: {text}" for where, text in cross_check(whole)]


def differences(
    guests: Sequence[GuestSeen], town: Town, host: str, apart: Collection[str] = ()
) -> list[str]:
    """Return one line per difference: `town.yml:LINE: key: what each says; what to do`.

    `apart` are names that the host has, of guests that are not compared.
    """
    source = read_source(town.file)
    lines, met = [], set()
    for seen in guests:
        known = known_guest(seen, town, host)
        if known is None:
            text = f"{host} has this guest and the town file has not; add it from the fragment"
            lines.append(source.fault(("guests", seen.key), text))
            continue
        name, guest = known
        met.add(name)
        lines += [
            source.fault(("guests", name, *where), f"the town file says {ours}, {host} {theirs}")
            for where, ours, theirs in _compare(seen, guest, town, host)
        ]
    for name, guest in town.guests.items():
        if guest.source == host and name not in met and name_at_source(town, name) not in apart:
            text = f"the town file says it is on {host}, which has no such guest; remove it"
            lines.append(source.fault(("guests", name), text))
    return lines


Values = dict[str, dict[str, Any]]  # name of a card or disk -> what is said of it
Difference = tuple[tuple[str | int, ...], object, object]


def _compare(seen: GuestSeen, guest: Guest, town: Town, host: str) -> Iterator[Difference]:
    """Yield (where, what the town file says, what the host says) for one guest."""
    if guest.source != host:
        yield ("source",), guest.source, f"has it; write {host}, or remove it there"
    for key, value in surveyed(seen).items():
        if getattr(guest, key) != value:
            yield (key,), getattr(guest, key), f"says {value}; write {value}"
    yield from _compare_identity(seen, guest)
    ours: Values = {nic.mac: {"network": nic.network, "model": nic.model} for nic in guest.nics}
    theirs: Values = {
        nic.mac or "?": {"network": network_of(nic, town), "model": nic.model}
        for nic in seen.domain.nics
    }
    yield from _compare_lists("nics", ours, theirs)
    ours = {
        disk.name: {"format": disk.format, "size_mib": disk.size_mib, "bus": disk.bus}
        for disk in guest.disks
    }
    theirs = {
        disk.found.target: {
            "format": disk.format,
            "size_mib": disk.size_mib,
            "bus": disk.found.bus,
        }
        for disk in seen.disks
    }
    yield from _compare_lists("disks", ours, theirs)


def _compare_identity(seen: GuestSeen, guest: Guest) -> Iterator[Difference]:
    """Yield what the town file says of the guest's identity and the host does not.

    What it does not say is no difference: the fragment has it, and the plan names the change.
    """
    ours = guest.model_dump(mode="json", include={*IDENTITY}, exclude_unset=True)
    found = identity_entry(seen.domain)
    for key, value in ours.items():
        theirs = found.get(key, Guest.model_fields[key].get_default())
        if key == "smbios":
            theirs = {name: theirs.get(name) for name in value} if found.get(key) else {}
        if value != theirs:
            yield (key,), value, f"says {theirs}; write {theirs}"


def _compare_lists(key: str, ours: Values, theirs: Values) -> Iterator[Difference]:
    for index, (name, values) in enumerate(ours.items()):
        if name not in theirs:
            yield (key, index), name, "has none such; remove it"
            continue
        for part, value in values.items():
            found = theirs[name][part]
            if found != value:
                yield (key, index, part), value, f"says {found}; write {found}"
    for name in theirs.keys() - ours.keys():
        yield (key,), "nothing", f"has {name}; add it from the fragment"


def render(fragment: Fragment, guests: Iterable[GuestSeen], host: str, when: str) -> str:
    """Return the fragment as YAML, each guest with what was seen of it as comments."""
    lines = [
        "---",
        f"# What {host} holds, seen {when}: guests for the town file.",
        f'# What stands beside "{CHOSEN}" cannot be seen on a host: look at it before use.',
        "guests:" if fragment.guests else "guests: {}",
    ]
    for (name, entry), seen in zip(fragment.guests.items(), guests, strict=True):
        lines += [f"  # {line}" for line in _comments(seen)]
        lines.append(f"  {name}:")
        text = yaml.dump(entry, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=200)
        for line in text.splitlines():
            key = line.split(":")[0]
            mark = f"  # {CHOSEN}" if (name, key) in fragment.chosen else ""
            lines.append(f"    {line}{mark}")
    return "\n".join(lines) + "\n"


class _Indented(yaml.SafeDumper):
    """Writes lists as people do: indented below their key."""

    def increase_indent(
        self, flow: bool = False, indentless: bool = False
    ) -> None:  # yaml's own signature
        super().increase_indent(flow, indentless=False)


def _comments(seen: GuestSeen) -> Iterator[str]:
    yield f"{seen.domain.name}: {seen.state}, {seen.domain.machine or 'default machine'}"
    for disk in seen.disks:
        where = " on ".join(disk.layers or (disk.found.source or "no path",))
        allocated = "?" if disk.allocated_mib is None else disk.allocated_mib
        yield f"disk {disk.found.target}: {allocated} MiB of {disk.size_mib} allocated, {where}"
    yield from seen.notes
    for blocker in seen.blockers:
        yield f"BLOCKED {blocker.id}: {blocker.text}"
