"""Which elements a libvirt definition may have, from its schema: anything else is said by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.sources.domain import Part

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Iterator

# Children of <domain>: read for the guest, or tuning of the old host, said in DROPPED below.
DOMAIN = {
    *("name", "uuid", "title", "description", "memory", "currentMemory", "maxMemory", "vcpu"),
    *("vcpus", "os", "features", "cpu", "clock", "devices", "genid", "metadata", "sysinfo"),
    *("on_poweroff", "on_reboot", "on_crash", "on_lockfailure", "pm", "perf", "launchSecurity"),
    *("idmap", "iothreads", "iothreadids", "defaultiothread", "cputune", "numatune", "blkiotune"),
    *("memtune", "memoryBacking", "resource", "seclabel", "keywrap", "bootloader"),
    *("bootloader_args", "throttlegroups", "cachetune", "memorytune", "hwuuid"),
}
DROPPED = {
    "cputune": "processor tuning of the old host",
    "numatune": "memory placement of the old host",
    "blkiotune": "disk weights of the old host",
    "memtune": "memory limits of the old host",
    "memoryBacking": "how the old host backs its memory",
    "iothreads": "I/O threads: PVE makes its own",
    "iothreadids": "I/O threads: PVE makes its own",
    "defaultiothread": "I/O threads: PVE makes its own",
    "throttlegroups": "disk limits of the old host",
    "resource": "the old host's control group",
    "seclabel": "the old host's security labels",
    "perf": "counters of the old host",
    "pm": "sleep states",
    "keywrap": "key wrapping",
    "on_lockfailure": "what follows a lost lock",
}
FEATURES_KEPT = {"acpi", "apic", "pae"}
KNOWN: dict[str, set[str]] = {
    "os": {
        *("type", "firmware", "loader", "nvram", "boot", "bootmenu", "bios", "smbios", "acpi"),
        *("kernel", "initrd", "cmdline", "dtb", "shim", "varstore", "init", "initarg", "initenv"),
        *("initdir", "inituser", "initgroup", "idmap"),
    },
    "cpu": {
        *("model", "vendor", "topology", "feature", "cache", "maxphysaddr", "numa", "arch"),
        *("microcode", "signature", "counter", "pages", "mce"),
    },
    "clock": {"timer"},
    "devices/disk": {
        *("source", "driver", "target", "alias", "address", "backingStore", "mirror", "iotune"),
        *("readonly", "shareable", "transient", "serial", "wwn", "vendor", "product", "boot"),
        *("encryption", "auth", "geometry", "blockio", "acpi", "throttlefilters", "backenddomain"),
        *("state", "snapshot", "metadata"),
    },
    "devices/interface": {
        *("source", "mac", "model", "target", "alias", "address", "driver", "bandwidth", "boot"),
        *("filterref", "link", "mtu", "coalesce", "tune", "guest", "script", "downscript", "port"),
        *(
            "virtualport",
            "vlan",
            "ip",
            "route",
            "rom",
            "acpi",
            "teaming",
            "backend",
            "backenddomain",
        ),
        *("portForward", "local"),
    },
}


def odd_parts(domain: ET.Element) -> Iterator[Part]:
    """Yield what the definition has beside its devices: dropped and said, or not known at all."""
    for child in domain:
        if child.tag in DROPPED:
            yield Part(child.tag, "dropped", DROPPED[child.tag])
        elif child.tag.startswith("{"):
            yield Part(child.tag.rpartition("}")[2], "dropped", f"an extension: {child.tag}")
        elif domain.tag == "domain" and child.tag not in DOMAIN:
            yield Part(child.tag, "unknown", f"<{child.tag}> is not known to this survey")
    for feature in domain.findall("features/*"):
        if feature.tag not in FEATURES_KEPT:
            names = "".join(f"/{child.tag}" for child in feature)
            yield Part(f"feature {feature.tag}{names}", "dropped", "PVE's own choice")
    for place, known in KNOWN.items():
        for element in domain.findall(place):
            for child in element:
                if child.tag not in known and not child.tag.startswith("{"):
                    where = f"{element.tag}/{child.tag}"
                    yield Part(where, "unknown", f"<{where}> is not known to this survey")
