"""The networks and the machines of a town."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import Field

from releve.town.fields import Mac, Name, Seconds, Section


class Network(Section):
    """One IPv4 network and the bridge that guests use for it."""

    cidr: IPv4Network = Field(description="Its addresses, such as 192.0.2.0/24.")
    bridge: str = Field(
        pattern=r"^[a-z][a-z0-9]{0,14}$", description="Its bridge on old hosts and nodes."
    )
    powered_by: Name | None = Field(
        default=None,
        description=(
            "What feeds its switch: a UPS, or `mains`. Clients of a UPS hear nothing through a"
            " switch that is dark."
        ),
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
        description="What runs there; only linux logs in at a UPS's host and is waited for.",
    )
    address: IPv4Address = Field(description="Where ssh reaches it.")
    network: Name = Field(description="Which of `networks` the address is of.")
    hypervisor: Literal["libvirt", "pve", "esxi", "hyperv", "files"] | None = Field(
        default=None,
        description="Of an old host; files: image files lie there, whatever ran their guests.",
    )
    mac: Mac | None = Field(default=None, description="For Wake-on-LAN.")
    stop_seconds: Seconds = Field(default=60, description="Time to halt, its guests stopped.")
    supplies: dict[Name, Annotated[int, Field(gt=0, le=8)]] = Field(
        default={},
        description="UPS -> how many of its power supplies; left out: one of each UPS it is at.",
    )
    min_supplies: int = Field(
        default=1, gt=0, le=8, description="Power supplies that it cannot do without."
    )
