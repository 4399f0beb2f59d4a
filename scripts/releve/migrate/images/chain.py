"""Follow an image to all its layers, and refuse what cannot be copied faithfully."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.images import ova, qcow2, vhd, vhdx, vmdk
from releve.migrate.images.model import DEEPEST, SECTOR, ImageError, Layer, Place, View, beside

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from releve.migrate.images.model import Reader

FORMATS = ("raw", "qcow2", "vmdk", "vpc", "vhdx")


def inspect(reader: Reader, path: str, form: str) -> Layer:
    """Return an image with all its layers; raises ImageError, one sentence for what is wrong.

    `form` is what the town file says: an image of another format is refused, since a guest could
    have written the magic of any format to its own disk.
    """
    inner = ova.split(path)
    place = ova.member(reader, *inner) if inner else Place(path)
    return _layer(reader, place, form, ())


def _layer(reader: Reader, place: Place, form: str, above: tuple[str, ...]) -> Layer:
    if place.file in above and place.length is None:
        message = f"{place.file}: it is its own parent, by way of {above[-1]}"
        raise ImageError(message)
    if len(above) > DEEPEST:
        message = f"{above[0]}: more than {DEEPEST} layers; merge its snapshots at the source"
        raise ImageError(message)
    view = View(reader, place)
    found = probe(view)
    if found == "raw" and form == "vmdk":
        vmdk.parse(view)  # says which file to name instead
    if found != form:
        message = f"{place.file}: it is {found}, not {form}; correct `format` in the town file"
        raise ImageError(message)
    return _READERS[form](view, (*above, place.file))


def probe(view: View) -> str:
    """Return the format that an image has by its own marks; raw for one without."""
    head = view.read(0, 64 * 1024)
    if head[:4] == qcow2.MAGIC:
        return "qcow2"
    if head[:8] == vhdx.MAGIC:
        return "vhdx"
    if head[:4] in {vmdk.SPARSE_MAGIC, vmdk.ESX_MAGIC} or head[:8] == vmdk.SESPARSE_MAGIC:
        return "vmdk"
    if b"# disk descriptorfile" in head[:SECTOR].lower():
        return "vmdk"
    if head[:8] == vhd.COOKIE or vhd.footer_of(view) is not None:
        return "vpc"
    return "raw"


def _raw(view: View, above: tuple[str, ...]) -> Layer:
    del above
    if not view.size:
        message = f"{view.place.file}: it is empty"
        raise ImageError(message)
    device = view.reader.device(view.place.file)
    return Layer(view.place, "raw", view.size, flat=view.place, device=device)


def _qcow2(view: View, above: tuple[str, ...]) -> Layer:
    header = qcow2.parse(view)
    device = view.reader.device(view.place.file)
    data_file = beside(view.place, header.data_file) if header.data_file else ""
    if data_file and not view.reader.exists(data_file):
        message = f"{data_file}: the data of {view.place.file} are in it, and it is not there"
        raise ImageError(message)
    parent = None
    if header.backing:
        file = _local(view.place, header.backing)
        if not view.reader.exists(file):
            message = (
                f"{file}: {view.place.file} is based on it, and it is not there; bring it there, or"
                f" name its new place: `qemu-img rebase -u -b NEW -F FORMAT {view.place.file}`"
            )
            raise ImageError(message)
        below = Place(file)
        form = header.backing_format or probe(View(view.reader, below))
        form = {"host_device": "raw", "file": "raw"}.get(form, form)
        parent = _layer(view.reader, below, form, above)
    return Layer(
        view.place, "qcow2", header.size, data_file=data_file, device=device, parent=parent
    )


def _local(place: Place, name: str) -> str:
    """Return a backing file's path; raises ImageError for one that is no file of that host."""
    name = name.removeprefix("file:")
    if ":" in name.partition("/")[0]:
        message = (
            f"{place.file}: it is based on {name[:80]!r}, which is no file; make it whole at the"
            " source: `qemu-img convert -O qcow2`"
        )
        raise ImageError(message)
    return beside(place, name)


def _vmdk(view: View, above: tuple[str, ...]) -> Layer:
    found = vmdk.parse(view)
    parent = None
    if found.parent_cid != vmdk.NO_PARENT:
        parent = _vmdk_parent(view, found, above)
        if parent.size > found.size:
            message = f"{view.place.file}: its parent is larger ({parent.size} bytes); wrong parent"
            raise ImageError(message)
    one = found.pieces[0]
    alone = len(found.pieces) == 1 and one.kind in vmdk.FLAT and parent is None
    return Layer(
        view.place,
        "vmdk",
        found.size,
        flat=Place(one.file, one.offset, one.length) if alone else None,
        pieces=() if found.inside else found.pieces,
        descriptor="" if found.inside else found.text,
        parent=parent,
    )


def _vmdk_parent(view: View, child: vmdk.Descriptor, above: tuple[str, ...]) -> Layer:
    name = _present(view, [child.parent], "parent")
    below = View(view.reader, Place(name))
    cid = vmdk.parse(below).cid
    if cid != child.parent_cid:
        message = (
            f"{view.place.file}: wrong parent: {name} was written after the snapshot (CID {cid},"
            f" expected {child.parent_cid}); what the guest sees cannot be known"
        )
        raise ImageError(message)
    return _layer(view.reader, below.place, "vmdk", above)


def _present(view: View, names: list[str], what: str) -> str:
    """Return the first of some names that is there, else the same name in the image's folder."""
    names = [name.replace("\\", "/") for name in names if name]
    if not names:
        message = f"{view.place.file}: it needs a {what} and does not say which; it is damaged"
        raise ImageError(message)
    tried = [beside(view.place, name) for name in names if name[1:2] != ":"]
    tried += [beside(view.place, name.rpartition("/")[2]) for name in names]
    for file in tried:
        if view.reader.exists(file):
            return file
    message = f"{view.place.file}: its {what} {names[0]} is not there; copy it beside it"
    raise ImageError(message)


def _vpc(view: View, above: tuple[str, ...]) -> Layer:
    header = vhd.parse(view)
    parent = None
    if header.kind == vhd.DIFFERENCING:

        def same(below: View) -> UUID:
            return vhd.parse(below).id

        parent = _microsoft(view, [header.parent_name], header.parent_id, same, above)
    flat = Place(view.place.file, view.place.offset, header.size)
    fixed = header.kind == vhd.FIXED
    return Layer(view.place, "vpc", header.size, flat=flat if fixed else None, parent=parent)


def _vhdx(view: View, above: tuple[str, ...]) -> Layer:
    header = vhdx.parse(view)
    parent = None
    if header.parent is not None:
        keys = ("relative_path", "volume_path", "absolute_win32_path")
        names = [header.parent[key] for key in keys if header.parent.get(key)]
        linkage = header.parent["parent_linkage"].strip("{}\0").lower()

        def same(below: View) -> str:
            return str(vhdx.parse(below).written)

        parent = _microsoft(view, names, linkage, same, above)
    return Layer(view.place, "vhdx", header.size, parent=parent)


def _microsoft(
    view: View,
    names: list[str],
    expected: UUID | str | None,
    identity: Callable[[View], UUID | str],
    above: tuple[str, ...],
) -> Layer:
    """Return the parent of a checkpoint, which must be the one that it was made on."""
    name = _present(view, names, "parent")
    below = View(view.reader, Place(name))
    form = probe(below)
    if form != probe(view) or (found := identity(below)) != expected:
        other = "" if form != probe(view) else f" (it has {found}, expected {expected})"
        message = (
            f"{view.place.file}: wrong parent: {name} is not what it was made on, or was written"
            f" since{other}; merge the checkpoint in Hyper-V and export again"
        )
        raise ImageError(message)
    return _layer(view.reader, below.place, form, above)


_READERS = {"raw": _raw, "qcow2": _qcow2, "vmdk": _vmdk, "vpc": _vpc, "vhdx": _vhdx}
