"""Read /etc/network/interfaces (ifupdown, ifupdown2, ifupdown-ng): what each interface is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, Any

from releve.errors import InputError
from releve.migrate.sources.domain import Blocker

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_MAX = 2**20  # characters
HOOKS = {"up", "down", "pre-up", "post-up", "pre-down", "post-down"}
STARTS = {
    *("iface", "auto", "source", "source-directory", "mapping", "vlan", "no-auto-down"),
    *("no-scripts", "rename", "template", "default", "disable-defaults", "addon"),
}
TEMPLATE = re.compile(r"^\s*%|\$\{|<%", re.MULTILINE)
KINDS = (  # id, keys that begin so, methods, kinds of link
    ("net-vxlan", r"vxlan-.*", r"vxlan", r"vxlan"),
    ("net-vrf", r"vrf(-.*)?", r"vrf", r"vrf"),
    ("net-ppp", r"provider|pppd?-.*|ppp-.*", r"ppp|wvdial", r"ppp"),
    ("net-wifi", r"(wpa|wireless)-.*|wifi-.*|hostapd", r"wifi", r"wifi|wlan"),
    (
        "net-tunnel",
        r"tunnel-.*|endpoint|gre-.*",
        r"tunnel|v4tunnel|6to4|gre|ipip|sit",
        r"gre|gretap|ipip|sit|ip6gre|ip6tnl|tunnel|l2tp",
    ),
    ("net-wireguard", r"wireguard-.*", r"wireguard", r"wireguard"),
    ("net-batman", r"batman-.*", r"batman|batadv", r"batadv"),
    ("net-switch-os", r"clag.*|mstpctl-.*|address-virtual.*|es-sys-mac|vrrp.*", r"-", r"-"),
)


@dataclass(slots=True)
class Iface:
    """One interface, all its stanzas together; options in their order, keys with hyphens."""

    name: str
    families: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)

    def all(self, *keys: str) -> list[str]:
        """Return the values of options, in their order."""
        return [value for key, value in self.options if key in keys]

    def words(self, *keys: str) -> list[str]:
        """Return the words of options, such as the ports of a bridge over several lines."""
        return [word for value in self.all(*keys) for word in value.split()]

    @property
    def loopback(self) -> bool:
        """Whether it is the loopback, whatever it is called."""
        return self.name == "lo" or "loopback" in self.methods


@dataclass(slots=True)
class Network:
    """A whole file."""

    ifaces: dict[str, Iface] = field(default_factory=dict)
    auto: set[str] = field(default_factory=set)
    sources: list[str] = field(default_factory=list)
    mappings: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    template: bool = False

    @property
    def real(self) -> list[Iface]:
        """The interfaces without the loopback."""
        return [one for one in self.ifaces.values() if not one.loopback]


def read_interfaces(text: str, where: str) -> Network:
    """Return what a file says; raises InputError, naming `where`, when it is no such file."""
    if "\0" in text or len(text) > SIZE_MAX:
        message = f"{where}: this is no interfaces file: it is binary or too long"
        raise InputError(message)
    network = Network(template=bool(TEMPLATE.search(text)))
    current: Iface | None = None
    known = 0
    for line in _lines(text):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word in STARTS or word.startswith("allow-"):
            known += 1
            current = _start(network, word, rest)
        elif current is not None and not line.startswith("%"):
            current.options.append((word.replace("_", "-"), rest))
        elif not line.startswith("%"):
            network.odd.append(line[:60])
    if network.odd and not known:
        message = f"{where}: this is no interfaces file: it has no iface, auto or source line"
        raise InputError(message)
    return network


def _lines(text: str) -> Iterator[str]:
    """Yield the lines with their continuations, without comments and needless blanks."""
    for line in re.sub(r"\\\r?\n", " ", text).split("\n"):
        plain = " ".join(line.split())
        if plain and not plain.startswith("#"):
            yield plain


def _start(network: Network, word: str, rest: str) -> Iface | None:
    names = rest.split()
    if word == "iface" and names:
        iface = network.ifaces.setdefault(names[0], Iface(names[0]))
        words = names[1:]
        if words and words[0] in {"inet", "inet6", "ipx", "can"}:
            iface.families.append(words.pop(0))
        while len(words) > 1 and words[0] in {"inherits", "inherit"}:
            iface.options.append(("inherits", words[1]))
            del words[:2]
        iface.methods += words[:1]
        return iface
    if word in {"source", "source-directory"}:
        network.sources.append(rest)
    elif word == "mapping":
        network.mappings.append(rest)
        return Iface("")  # its lines are no options of an interface
    elif word in {"auto", "allow-auto", "allow-hotplug"} or word.startswith("allow-"):
        network.auto |= set(names)
    elif word in {"vlan", "template"}:
        return Iface("")
    return None


def ports_of(iface: Iface) -> list[str]:
    """Return the ports of a bridge that are named as they are."""
    words = iface.words("bridge-ports", "ovs-ports")
    if not words and is_bridge(iface):  # as ifupdown-ng has it
        words = iface.words("requires")
    return [word for word in words if word not in {"none", "glob", "regex"} and "$" not in word]


def is_bridge(iface: Iface) -> bool:
    """Say whether an interface is a bridge, Linux's or Open vSwitch's."""
    said = {*iface.words("ovs-type"), *iface.words("use", "link-type")}
    return bool(iface.all("bridge-ports")) or bool(said & {"OVSBridge", "bridge"})


def is_bond(iface: Iface) -> bool:
    """Say whether an interface is a bond."""
    keys = ("bond-slaves", "bond-mode", "slaves", "bond-members")
    said = {*iface.words("ovs-type"), *iface.words("use", "link-type")}
    return bool(iface.all(*keys)) or bool(said & {"OVSBond", "bond"})


def is_vlan(iface: Iface) -> bool:
    """Say whether an interface is a VLAN, by its options or by a number after a dot."""
    said = iface.all("vlan-raw-device", "vlan-id")
    return bool(said) or bool(re.fullmatch(r".+\.\d+", iface.name))


def is_hook(key: str) -> bool:
    """Say whether an option is a command to run."""
    return key in HOOKS


def network_blockers(network: Network) -> Iterator[Blocker]:
    """Yield why this file alone does not say what each interface is."""
    for source in network.sources:
        yield Blocker("net-source-include", f"more stands in {source}: read that too")
    for mapping in network.mappings:
        yield Blocker("net-mapping", f"a script chooses the setting of {mapping}")
    if network.template:
        yield Blocker("net-template", "it is a template: only the program that fills it in knows")
    for iface in network.real:
        for key, value in iface.options:
            if is_hook(key):
                yield Blocker("net-hook", f"{iface.name}: {key} {value[:60]}")
        yield from _kinds(iface)
        if not network.template:
            yield from _values(iface)
    yield from _loops(network)


def _kinds(iface: Iface) -> Iterator[Blocker]:
    links = iface.words("link-type", "use", "type", "mode", "tunnel-mode")
    for id_, key_like, method_like, link_like in KINDS:
        if (
            any(re.fullmatch(key_like, key) for key, _ in iface.options)
            or any(re.fullmatch(method_like, method) for method in iface.methods)
            or any(re.fullmatch(link_like, link) for link in links)
        ):
            yield Blocker(id_, f"{iface.name} is of a kind that the town file has not")


def _values(iface: Iface) -> Iterator[Blocker]:
    tests = {"address": ip_interface, "gateway": ip_address, "netmask": _netmask}
    for key, value in iface.options:
        test = tests.get(key)
        if test is None or value in {"", "none", "auto"}:
            continue
        try:
            test(value)
        except ValueError:
            text = f"{iface.name}: {key} {value[:40]!r} is no address"
            yield Blocker("net-value-invalid", text)


def _netmask(value: str) -> object:
    if re.fullmatch(r"[0-9]{1,3}", value):
        return ip_interface(f"::/{value}")
    try:
        return ip_interface(f"0.0.0.0/{value}")
    except ValueError:
        return ip_address(value)


def _loops(network: Network) -> Iterator[Blocker]:
    """Yield bridges, bonds and VLANs that stand upon themselves."""
    below = {
        iface.name: {
            *ports_of(iface),
            *iface.words("bond-slaves", "vlan-raw-device", "ovs-bonds", "inherits"),
        }
        for iface in network.real
    }
    for name, first in below.items():
        seen: set[str] = set()
        todo = set(first)
        while todo:
            one = todo.pop()
            if one == name:
                yield Blocker("net-loop", f"{name} stands upon itself")
                break
            if one not in seen:
                seen.add(one)
                todo |= below.get(one, set())


def network_notes(network: Network) -> Iterator[str]:
    """Yield what a person should know."""
    ports = {word for one in network.real for word in one.words("bridge-ports", "bond-slaves")}
    down = [
        one.name
        for one in network.real
        if one.name not in network.auto and one.name not in ports and ":" not in one.name
    ]
    if down:
        yield f"not brought up at boot by this file: {', '.join(down)}"
    missing = sorted(network.auto - network.ifaces.keys() - {"lo"})
    if missing:
        yield f"brought up but not defined here: {', '.join(missing)}"
    for line in network.odd:
        yield f"{line!r} belongs to no interface"
    if sum(len(one.all("gateway")) for one in network.real) > 1:
        yield "several gateways: only one route can be the default of a family"


def network_facts(network: Network) -> dict[str, Any]:
    """Return what the file says, plainly; the loopback is left out."""
    real = network.real
    yes = {"yes", "on", "1", "true"}
    return {
        "name": None,
        "disks": 0,
        "nics": 0,
        "ifaces": len(real),
        "iface_names": [one.name for one in real],
        "aliases": sum(":" in one.name for one in real),
        "bridges": [one.name for one in real if is_bridge(one)],
        "bridge_ports": sorted({port for one in real for port in ports_of(one)}),
        "bonds": [one.name for one in real if is_bond(one)],
        "vlans": [one.name for one in real if is_vlan(one)],
        "ovs": [one.name for one in real if one.all("ovs-type")],
        "vlan_aware": [one.name for one in real if yes & {*one.words("bridge-vlan-aware")}],
        "gateways": sum(len(one.all("gateway")) for one in real),
        "hooks": sum(is_hook(key) for one in real for key, _ in one.options),
        "sources": network.sources,
        "inet6": sum(one.families.count("inet6") for one in real),
    }
