"""The networks and the machines of a town."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import Field

from releve.town.fields import BRIDGE_PATTERN, Mac, Name, Seconds, Section, Whole


class Network(Section):
    """One IPv4 network and the bridge that guests use for it."""

    cidr: IPv4Network = Field(description="Its addresses, such as 192.0.2.0/24.")
    bridge: str = Field(pattern=BRIDGE_PATTERN, description="Its bridge on old hosts and nodes.")
    powered_by: Name | None = Field(
        default=None,
        description=(
            "What feeds its switch: a UPS, `mains`, or `cable` where there is no switch. Clients"
            " of a UPS hear nothing through a switch that is dark."
        ),
    )


class HostRule(Section):
    """A host that shuts itself down when it hears nobody any more; the last of three remedies."""

    planned_outage_seconds: Seconds = Field(
        description="Longest that its switch is away on purpose, as for an update of its firmware."
    )
    after_seconds: Seconds = Field(
        description="Blind, after which it stops; refused outside of the window that is computed."
    )


class Host(Section):
    """One machine that is not a guest."""

    kind: Literal["old", "node", "bay", "vault", "client"] = Field(
        description=(
            "old: to be left; node: Proxmox VE; bay: disks on the network; vault: copies;"
            " client: only follows a UPS."
        )
    )
    system: Literal["linux", "windows", "synology", "other"] = Field(
        default="linux",
        description=(
            "What runs there; only linux logs in at a UPS's host and is waited for. A Synology"
            " hears of no UPS but one that is called `ups`."
        ),
    )
    address: IPv4Address = Field(description="Where ssh reaches it.")
    network: Name = Field(description="Which of `networks` the address is of.")
    also_at: dict[Name, IPv4Address] = Field(
        default={}, description="Network -> its address there, where it has more than one."
    )
    hypervisor: Literal["libvirt", "pve", "esxi", "hyperv", "files"] | None = Field(
        default=None,
        description="Of an old host; files: image files lie there, whatever ran their guests.",
    )
    mac: Mac | None = Field(default=None, description="For Wake-on-LAN.")
    stop_seconds: Seconds = Field(default=60, description="Time to halt, its guests stopped.")
    supplies: dict[Name, Annotated[int, Field(gt=0, le=8), Whole]] = Field(
        default={},
        description="UPS -> how many of its power supplies; left out: one of each UPS it is at.",
    )
    host_rule: HostRule | None = Field(
        default=None, description="What it does when it hears nobody; else nothing."
    )
    min_supplies: int = Field(
        default=1, gt=0, le=8, description="Power supplies that it cannot do without."
    )
