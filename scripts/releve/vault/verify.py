"""Compare copies with their manifests, and say by name what is not as it was sealed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from releve.vault import btrfs
from releve.vault.seal import is_sealed, log_entry
from releve.vault.store import LINE, MANIFEST, Copy, Store, blocks_of_image, digest_of_file, line_of

if TYPE_CHECKING:
    from pathlib import Path

_NAMED = 5
"""So many altered blocks of a disk are named; the rest is counted."""


def verify(store: Store, copy: Copy) -> list[str]:
    """Return what is wrong with a copy, one sentence each; nothing when it is as sealed."""
    try:
        sums = _sums(copy.folder / MANIFEST)
        log = store.log.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        return [f"cannot be read: {error}"]
    faults = []
    if not any(line.endswith(f" {log_entry(copy)}") for line in log):
        faults.append(f"{MANIFEST} is not the one in the vault's log")
    if not is_sealed(copy):
        faults.append("the seal is broken (immutable flags or read-only subvolume)")
    present = {path.name for path in copy.folder.iterdir()} - {MANIFEST}
    faults += [f"{name} is missing" for name in sorted(sums.keys() - present)]
    faults += [f"{name} is not in the manifest" for name in sorted(present - sums.keys())]
    for name in sorted(sums.keys() & present):
        with btrfs.opened(copy.folder / name) as fd:
            if digest_of_file(fd) != sums[name]:
                faults.append(f"{name} was altered{_where(copy.folder, name)}")
    return faults


def _sums(manifest: Path) -> dict[str, str]:
    """Read a manifest: `SHA256  NAME`, one a line."""
    sums = {}
    for line in manifest.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    return sums


def _where(folder: Path, name: str) -> str:
    """Return which blocks of an image differ from its list, for the message."""
    blocks = folder / name.replace(".raw", ".blocks")
    if not name.endswith(".raw") or not blocks.exists():
        return ""
    image = folder / name
    with btrfs.opened(image) as fd, blocks.open("rb") as lines:
        bad = [
            index
            for index, block in enumerate(blocks_of_image(fd, image.stat().st_size))
            if lines.read(LINE) != line_of(hashlib.sha256(block).digest())
        ]
    shown = ", ".join(map(str, bad[:_NAMED]))
    return f" (blocks {shown}{' …' if len(bad) > _NAMED else ''}; {len(bad)} in all)" if bad else ""
