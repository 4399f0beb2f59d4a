"""How QEMU is told to open an image read-only: every layer and file by name, nothing guessed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from releve.migrate.images.model import ImageError

if TYPE_CHECKING:
    from releve.migrate.images.model import Layer, Place

Node = dict[str, Any]
_NAME = re.compile(r'(^\s*(?:RW|RDONLY)\s+\d+\s+\w+\s+")([^"]*)(")', re.MULTILINE)


class Opener(Protocol):
    """How the host that runs QEMU reaches the files of an image."""

    def node(self, file: str, *, device: bool) -> Node:
        """Return QEMU's protocol node of a file."""

    def name(self, file: str) -> str:
        """Return how a descriptor names that file to QEMU."""

    def text(self, name: str, content: str) -> str:
        """Keep a small file where QEMU reads it; return its path."""


class HereOpener:
    """QEMU runs where the files lie, so that it follows a descriptor by itself."""

    def node(self, file: str, *, device: bool) -> Node:
        """See `Opener`."""
        return {"driver": "host_device" if device else "file", "filename": file}

    def name(self, file: str) -> str:
        """See `Opener`."""
        return file

    def text(self, name: str, content: str) -> str:
        """See `Opener`: a descriptor is read where it lies."""
        del content
        return name


def graph(layer: Layer, opener: Opener) -> Node:
    """Return QEMU's node of an image.

    Raises ImageError for what QEMU would misread: it takes the parent of a differencing VHD for
    zeros, and opens no differencing VHDX.
    """
    refuse_differencing(layer)
    node: Node = {"driver": layer.format, "file": _file(layer, opener)}
    if layer.format == "raw":
        if layer.place.offset or layer.place.length is not None:
            node |= {"offset": layer.place.offset, "size": layer.size}
        return node
    if layer.format == "vpc":
        node["force_size_calc"] = "current_size"  # else it trusts the geometry, which is rounded
    if layer.data_file:
        node["data-file"] = opener.node(layer.data_file, device=False)
    if layer.format in {"qcow2", "vmdk"}:
        node["backing"] = None if layer.parent is None else graph(layer.parent, opener)
    return {key: value for key, value in node.items() if key != "backing" or value is not None}


def refuse_differencing(layer: Layer, host: str = "") -> None:
    """Raise ImageError for a checkpoint of Hyper-V or a snapshot's child of XCP-ng."""
    if layer.format not in {"vpc", "vhdx"} or layer.parent is None:
        return
    kind = "VHD" if layer.format == "vpc" else "VHDX"
    message = (
        f"{host}{': ' if host else ''}{layer.place.file}: a differencing {kind}, based on"
        f" {layer.parent.place.file}, which QEMU would not read. Make it one file at the source"
        " (Hyper-V: delete the checkpoint and wait until it is merged, or `Merge-VHD`; XCP-ng:"
        " delete the snapshot, or `xe vdi-copy`), then name that file"
    )
    raise ImageError(message)


def _file(layer: Layer, opener: Opener) -> Node:
    if layer.pieces:
        kept = opener.text(layer.place.file, _renamed(layer, opener))
        return {"driver": "file", "filename": kept}
    return _within(opener.node(layer.place.file, device=layer.device), layer.place, layer)


def _within(node: Node, place: Place, layer: Layer) -> Node:
    """Return the node of an archive's member, where the image is one."""
    if layer.format == "raw" or (not place.offset and place.length is None):
        return node
    return {"driver": "raw", "offset": place.offset, "size": place.length, "file": node}


def _renamed(layer: Layer, opener: Opener) -> str:
    """Return a VMDK's descriptor with its extents as QEMU reaches them."""
    files = iter([piece.file for piece in layer.pieces if piece.file])
    return _NAME.sub(lambda m: f"{m[1]}{opener.name(next(files))}{m[3]}", layer.descriptor)
