"""What a host's network files say of each interface."""

from __future__ import annotations

import pytest

from releve.errors import InputError
from releve.migrate.sources.interfaces import network_blockers, network_facts, read_interfaces
from releve.migrate.sources.ip_json import ip_facts, read_ip

PLAIN = """\
auto lo
iface lo inet loopback
auto vmbr0
iface vmbr0 inet static
    address 192.0.2.2/24
    gateway 192.0.2.1
    bridge_ports eno1 \\
        eno2
    bridge-ports bond0
    bridge-vlan-aware yes
iface eno1 inet manual
auto zmgmt
iface zmgmt
    vlan-raw-device vmbr0
iface eth0.5 inet6 auto
"""


def blockers(text: str) -> set[str]:
    return {one.id for one in network_blockers(read_interfaces(PLAIN + text, "interfaces"))}


def test_a_plain_file_is_read() -> None:
    facts = network_facts(read_interfaces(PLAIN, "interfaces"))

    assert facts["iface_names"] == ["vmbr0", "eno1", "zmgmt", "eth0.5"]
    assert facts["bridge_ports"] == ["bond0", "eno1", "eno2"]
    assert (facts["bridges"], facts["vlan_aware"]) == (["vmbr0"], ["vmbr0"])
    assert facts["vlans"] == ["zmgmt", "eth0.5"]
    assert (facts["gateways"], facts["inet6"]) == (1, 1)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", set()),
        ("source /etc/network/interfaces.d/*\n", {"net-source-include"}),
        ("iface x\n  post-up echo 1\n", {"net-hook"}),
        ("iface x\n  address 192.0.2.300\n", {"net-value-invalid"}),
        ("iface x\n  address 192.0.2.3\n  netmask 255.255.255.0\n", set()),
        ("iface x\n  netmask 255.0.255.0\n", set()),
        ("iface x\n  vxlan-id 5\n", {"net-vxlan"}),
        ("iface x\n  vrf mgmt\n", {"net-vrf"}),
        ("iface x inet ppp\n", {"net-ppp"}),
        ("iface x\n  wpa-ssid home\n", {"net-wifi"}),
        ("iface x inet6 v4tunnel\n", {"net-tunnel"}),
        ("iface x\n  use wireguard\n", {"net-wireguard"}),
        ("mapping eth0\n  script /x\n", {"net-mapping"}),
        ("%for v in range(3):\niface x${v}\n%endfor\n", {"net-template"}),
        ("iface a\n  bridge-ports b\niface b\n  bridge-ports a\n", {"net-loop"}),
    ],
)
def test_what_the_file_alone_does_not_say_blocks(more: str, found: set[str]) -> None:
    assert blockers(more) == found


def test_open_vswitch_bridges_are_bridges() -> None:
    text = "iface br inet manual\n  ovs_type OVSBridge\n  ovs_ports eno1\n"
    facts = network_facts(read_interfaces(text, "interfaces"))

    assert (facts["bridges"], facts["bridge_ports"], facts["ovs"]) == (["br"], ["eno1"], ["br"])


def test_links_are_read_from_a_list_or_a_map() -> None:
    row = '{"ifname": "br0", "linkinfo": {"info_kind": "bridge"}}'
    loop = '{"ifname": "lo", "link_type": "loopback"}'

    for text in (f"[{loop}, {row}]", f'{{"lo": {loop}, "br0": {row}}}'):
        assert ip_facts(read_ip(text, "x"))["bridges"] == ["br0"]


@pytest.mark.parametrize("text", ["", "[1]", '[{"name": "x"}]', "{", "[" * 100000])
def test_what_is_no_list_of_links_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^x: [^\n]+$"):
        read_ip(text, "x")


def test_what_is_no_interfaces_file_is_refused() -> None:
    with pytest.raises(InputError, match="no interfaces file"):
        read_interfaces("some words\n", "x")
