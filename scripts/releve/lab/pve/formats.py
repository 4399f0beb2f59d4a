"""Formats of string parameters: a function each, which raises FormatError in PVE's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .privileges import PRIVILEGES
from .properties import FormatError, PropertyString

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMATS", "PROPERTY_STRINGS", "FormatError"]

CONTENT = {"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}
LOWEST_VMID = 100
SPLIT = re.compile(r"[,;\s]+")


def split_list(written: str) -> list[str]:
    """Return the words of one of PVE's lists."""
    return [word for word in SPLIT.split(written) if word]


def _matches(pattern: str, sentence: str) -> Callable[[str, str], None]:
    compiled = re.compile(pattern)

    def check(_name: str, written: str) -> None:
        if not compiled.fullmatch(written):
            raise FormatError(sentence.format(written))

    return check


def _each(check: Callable[[str, str], None]) -> Callable[[str, str], None]:
    def check_all(name: str, written: str) -> None:
        for word in split_list(written):
            check(name, word)

    return check_all


def _vmid(_name: str, written: str) -> None:
    if not written.isdigit() or int(written) < LOWEST_VMID:
        message = "value does not look like a valid VM ID"
        raise FormatError(message)


def _privilege(_name: str, written: str) -> None:
    if written not in PRIVILEGES:
        message = f"invalid privilege '{written}'"
        raise FormatError(message)


def _content(_name: str, written: str) -> None:
    if written not in CONTENT:
        message = f"invalid content type '{written}'"
        raise FormatError(message)


def _boot(_name: str, written: str) -> None:
    words = written.removeprefix("order=").split(";")
    if not all(re.fullmatch(r"[a-z]+\d+", word) for word in words if word):
        message = "invalid boot order"
        raise FormatError(message)


def _startup(_name: str, written: str) -> None:
    for word in written.split(","):
        if not re.fullmatch(r"(order=)?\d+|(up|down)=\d+", word):
            message = f"unable to parse startup options '{written}'"
            raise FormatError(message)


DISK = {
    "file": "volume",
    "import-from": "source",
    "format": "raw|cow|qcow|qed|qcow2|vmdk|cloop",
    "size": r"\d+(\.\d+)?[KMGT]?",
    "cache": "none|writethrough|writeback|unsafe|directsync",
    "aio": "native|threads|io_uring",
    "discard": "ignore|on",
    "backup": "boolean",
    "iothread": "boolean",
    "media": "cdrom|disk",
    "serial": r"\S{1,60}",
    "ssd": "boolean",
    "wwn": r"0x[0-9a-fA-F]{16}",
}
TEXT = r"[A-Za-z0-9+/]+={0,2}"
SMBIOS = {
    "base64": "boolean",
    "uuid": r"[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}",
    **dict.fromkeys(("family", "manufacturer", "product", "serial", "sku", "version"), TEXT),
}
MODELS = (
    "e1000, e1000-82540em, e1000-82544gc, e1000-82545em, e1000e, i82551, i82557b, i82559er, "
    "ne2k_isa, ne2k_pci, pcnet, rtl8139, virtio, vmxnet3"
)
NIC = {
    "model": "|".join(MODELS.split(", ")),
    "macaddr": "mac",
    "bridge": r"[a-zA-Z][a-zA-Z0-9_.-]{0,14}",
    "firewall": "boolean",
    "link_down": "boolean",
    "mtu": r"\d+",
    "queues": r"\d+",
    "rate": r"\d+(\.\d+)?",
    "tag": r"\d+",
}
PROPERTY_STRINGS = {
    "disk": PropertyString("file", DISK),
    "efidisk": PropertyString(
        "file",
        {
            "file": "volume",
            "import-from": "source",
            "format": DISK["format"],
            "size": DISK["size"],
            "efitype": "2m|4m",
            "pre-enrolled-keys": "boolean",
        },
    ),
    "tpmstate": PropertyString(
        "file",
        {
            "file": "volume",
            "import-from": "source",
            "size": DISK["size"],
            "version": "v1.2|v2.0",
        },
    ),
    "unused": PropertyString("file", {"file": "volume"}),
    "nic": PropertyString("model", NIC, alias=("model", "macaddr")),
    "memory": PropertyString("current", {"current": "integer 16"}),
    "smbios1": PropertyString("", SMBIOS),
    "cpu": PropertyString(
        "cputype",
        {
            "cputype": r"[A-Za-z0-9][\w.-]*",
            "flags": r"[+-][\w.-]+(;[+-][\w.-]+)*",
            "hidden": "boolean",
        },
    ),
    "machine": PropertyString("type", {"type": r"(pc|q35|pc-(i440fx|q35)-\d+(\.\d+)+(\+pve\d+)?)"}),
    "agent": PropertyString("enabled", {"enabled": "boolean", "type": "virtio|isa"}),
    "vga": PropertyString("type", {"type": "std|virtio|none|serial0|serial1|cirrus|vmware|qxl"}),
    "prune": PropertyString(
        "",
        {
            f"keep-{span}": r"\d+"
            for span in ("all", "last", "hourly", "daily", "weekly", "monthly", "yearly")
        },
    ),
}

USER = r"(?=.{3,64}$)[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+"
FORMATS: dict[str, Callable[[str, str], None]] = {
    "pve-vmid": _vmid,
    "pve-vmid-list": _each(_vmid),
    "pve-node": _matches(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", "invalid node name"),
    "pve-node-list": _each(_matches(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", "invalid node")),
    "pve-userid": _matches(USER, "value '{}' does not look like a valid user name"),
    "pve-userid-list": _each(_matches(USER, "value '{}' does not look like a valid user name")),
    "pve-tokenid-list": _each(_matches(USER + r"![A-Za-z][A-Za-z0-9._-]+", "invalid token '{}'")),
    "pve-roleid": _matches(r"[A-Za-z0-9._-]+", "role name '{}' contains invalid characters"),
    "pve-roleid-list": _each(_matches(r"[A-Za-z0-9._-]+", "invalid role name '{}'")),
    "pve-groupid-list": _each(_matches(r"[A-Za-z0-9._-]+", "group name '{}' is invalid")),
    "pve-priv-list": _each(_privilege),
    "pve-poolid": _matches(
        r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}", "pool name '{}' contains invalid characters"
    ),
    "pve-storage-id": _matches(
        r"[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]", "storage ID '{}' contains illegal characters"
    ),
    "pve-storage-id-list": _each(_matches(r"[a-zA-Z][\w.-]*", "invalid storage ID '{}'")),
    "pve-storage-path": _matches(
        r"/[-/a-zA-Z0-9_.@]*", "value does not look like a valid absolute path"
    ),
    "pve-storage-content": _content,
    "pve-storage-content-list": _each(_content),
    "pve-configid-list": _each(
        _matches(r"[a-zA-Z][a-zA-Z0-9_-]*", "invalid configuration ID '{}'")
    ),
    "dns-name": _matches(
        r"(?=.{1,253}$)[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9-]+)*",
        "value does not look like a valid DNS name",
    ),
    "email-opt": _matches(
        r"|\S+@\S+\.\S+|\S+@\S+", "value does not look like a valid email address"
    ),
    "pve-tag-list": _each(_matches(r"[a-zA-Z0-9_][a-zA-Z0-9_+.-]*", "invalid characters in tag")),
    "pve-qm-boot": _boot,
    "pve-startup-order": _startup,
    **{f"#{name}": form.verify for name, form in PROPERTY_STRINGS.items()},
}
